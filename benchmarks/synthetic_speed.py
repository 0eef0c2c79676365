"""How fast the synthetic data sets are made: `python benchmarks/synthetic_speed.py`. Processor time of one core."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from mcbench.datasets.synthetic.dataset import _write_frame
from mcbench.datasets.synthetic.scene import Scene
from mcbench.datasets.synthetic.specs import ClipSpec

# A seed of its own, outside all data sets.
SEED = 5 << 64


def frames_per_second(characters: int, frames: int, size: int, shaken: bool, write: bool) -> tuple[float, float]:
    """Frames a second (drawing and, if asked, writing image, mask and depth), and the seconds that the scene took."""
    start = time.process_time()
    scene = Scene(ClipSpec("speed", SEED + characters, frames, characters, size, shaken))
    ready = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for frame in scene.frames():
            if write:
                _write_frame(frame, *(Path(folder) / f"{kind}.png" for kind in ("frame", "mask", "depth")))
    return frames / (time.process_time() - ready), ready - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = ["characters  camera  drawn f/s  with PNGs f/s  scene s"]
    for shaken in (False, True):
        for characters in (2, 3, 4, 5):
            drawn, scene = frames_per_second(characters, options.frames, options.size, shaken, False)
            written, _ = frames_per_second(characters, options.frames, options.size, shaken, True)
            camera = "shaken" if shaken else "still"
            rows.append(f"{characters:10d}  {camera:6s}  {drawn:9.1f}  {written:13.1f}  {scene:7.2f}")
    print("\n".join(rows))  # noqa: T201


if __name__ == "__main__":
    main()
