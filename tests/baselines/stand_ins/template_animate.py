"""The program that `baselines/template.py` wraps: draws the poses over the reference image."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "reference", "poses", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    for name in ("steps", "seed"):
        parser.add_argument(f"--{name}", required=True, type=int)
    args = parser.parse_args()
    assert args.checkpoint.read_bytes() == b"weights"
    reference = np.asarray(Image.open(args.reference))
    assert reference.shape == (512, 512, 3), reference.shape
    for drawing in sorted(args.poses.iterdir()):
        pose = np.asarray(Image.open(drawing))
        assert pose.shape == (512, 512, 3), pose.shape
        Image.fromarray(np.where(pose.any(-1, keepdims=True), pose, reference)).save(args.output / drawing.name)


if __name__ == "__main__":
    main()
