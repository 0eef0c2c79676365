"""What the stand-ins for MRAA's and TPSMM's `demo.py` share; it lies in their checkouts as `modules/pictures.py`.

Both programs read the source by imageio, the driving video by imageio's FFmpeg reader at the file's own rate, and write
the result by `imageio.mimsave(path, frames, fps=rate)`, which is libx264 in yuv420p at imageio's default quality 5:
`-crf 25` (imageio-ffmpeg, `write_frames`: `int((1 - quality / 10) * 51)`). PyAV does the same here.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

BLOCK = 64
SIDE = 384
MODES = {"standard": 40, "relative": 120, "avd": 200}


def parse(defaults: dict[str, object]) -> argparse.Namespace:
    """The command line of both, which differ in defaults; what this family of networks at 384 cannot do is refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    for name in ("checkpoint", "source_image", "driving_video", "result_video"):
        parser.add_argument(f"--{name}", default=f"{name} of the repository's own example")
    parser.add_argument("--mode", choices=sorted(MODES))
    parser.add_argument("--img_shape", type=_sides)
    parser.add_argument("--cpu", action="store_true")
    parser.set_defaults(**defaults)
    options = parser.parse_args()
    if options.img_shape != [SIDE, SIDE]:
        raise ValueError(f"trained at {SIDE} x {SIDE} pixels, not {options.img_shape}")
    if not options.cpu:
        raise AssertionError("Torch not compiled with CUDA enabled")
    return options


def _sides(text: str) -> list[int]:
    height, width = text.split(",")
    return [int(height), int(width)]


def read_source(path: str) -> np.ndarray:
    """The source image; the real programs resize whatever they get, so a wrong size is a fault of who calls them."""
    with Image.open(path) as image:
        assert image.format == "PNG", f"the source is {image.format}, which loses"
        assert image.mode == "RGB", f"the source is {image.mode}; its first three channels are taken as RGB"
        pixels = np.asarray(image)
    assert pixels.shape == (SIDE, SIDE, 3), f"the source is {pixels.shape}, and would be squeezed to {SIDE} square"
    return pixels


def read_driving(path: str) -> tuple[list[np.ndarray], Fraction]:
    """Frames of the driving video and its rate."""
    assert Path(path).suffix == ".mp4", f"imageio tells the reader by the name's ending, and {path} has another"
    with av.open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        frames = [picture.to_ndarray(format="rgb24") for picture in container.decode(stream)]
    assert frames, "the driving video is empty"
    assert frames[0].shape == (SIDE, SIDE, 3), f"driving frames are {frames[0].shape}, and would be squeezed"
    return frames, rate


def check_regions(checkpoint: str, regions: int) -> None:
    """A checkpoint of another configuration does not fit the network, as `load_state_dict` says."""
    known = json.loads(Path(checkpoint).read_text())
    if known["regions"] != regions:
        raise RuntimeError(f"Error(s) in loading state_dict: size mismatch: {known['regions']} against {regions}")


def animated(source: np.ndarray, driving: list[np.ndarray], mode: str) -> list[np.ndarray]:
    """Flat blocks: mean colours of the source on the left, of the driving frame on the right, a grey for the mode.

    Flat, since the result video loses detail; what is meant can then be told from what comes back.
    """
    frames = []
    for frame in driving:
        both = np.concatenate([source[:, : SIDE // 2], frame[:, SIDE // 2 :]], axis=1)
        count = SIDE // BLOCK
        colours = both.reshape(count, BLOCK, count, BLOCK, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        colours[0, 0] = MODES[mode]
        frames.append(np.kron(colours, np.ones((BLOCK, BLOCK, 1), np.uint8)))
    return frames


def write_result(path: str, frames: list[np.ndarray], rate: Fraction) -> None:
    """The result as imageio writes it."""
    assert Path(path).suffix == ".mp4", f"imageio tells the writer by the name's ending, and {path} has another"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "25"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
