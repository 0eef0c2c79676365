"""Stands in for `demo.py` of yoyo-nb/Thin-Plate-Spline-Motion-Model: its command line, inputs, outputs and faults.

Its defaults are those for faces: 256 x 256 pixels, relative motion, the VoxCeleb checkpoint.
"""

from __future__ import annotations

import yaml
from modules.pictures import animated, check_regions, parse, read_driving, read_source, write_result

options = parse({"img_shape": [256, 256], "mode": "relative", "checkpoint": "checkpoints/vox.pth.tar"})
source = read_source(options.source_image)
driving, rate = read_driving(options.driving_video)
with open(options.config) as stream:  # noqa: PTH123
    regions = yaml.safe_load(stream)["model_params"]["common_params"]["num_tps"]
check_regions(options.checkpoint, regions)
write_result(options.result_video, animated(source, driving, options.mode), rate)
