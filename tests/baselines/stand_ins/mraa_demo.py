"""Stands in for `demo.py` of snap-research/articulated-animation: its command line, inputs, outputs and faults.

As at the head of that repository, `os` is used here and imported nowhere, and `logger` is loaded on the way.
"""

from __future__ import annotations

import logger  # noqa: F401 (for its faults)
import yaml
from modules.pictures import animated, check_regions, parse, read_driving, read_source, write_result

options = parse({"img_shape": [384, 384], "mode": "avd", "checkpoint": "ted384.pth"})
for name in ("config", "checkpoint", "source_image", "driving_video"):
    if not os.path.isfile(getattr(options, name)):  # noqa: F821 (a fault that is to be mended from outside)
        raise FileNotFoundError(f"--{name}: no file there")
source = read_source(options.source_image)
driving, rate = read_driving(options.driving_video)
with open(options.config) as stream:  # noqa: PTH123
    regions = yaml.safe_load(stream)["model_params"]["num_regions"]
check_regions(options.checkpoint, regions)
write_result(options.result_video, animated(source, driving, options.mode), rate)
