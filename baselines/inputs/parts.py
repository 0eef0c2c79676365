"""DensePose's parts: their numbers, a picture of them, and the colours in which MagicAnimate was trained to read them.

The numbers are those of the DensePose-COCO data set (facebookresearch/DensePose, challenge/2019_COCO_DensePose,
data_format.md). Where that names two parts alike, they are the two charts of one limb: of the torso and the legs the
back and the front, of the arms the side away from the body and the inner side, of the head the right and the left half.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["BACKGROUND_COLOUR", "PARTS", "PART_NAMES", "DensePoseFrame", "densepose_colours", "pack", "unpack"]

PARTS = 24

PART_NAMES = (
    "background", "torso back", "torso front", "right hand", "left hand", "left foot", "right foot",
    "right thigh back", "left thigh back", "right thigh front", "left thigh front",
    "right shin back", "left shin back", "right shin front", "left shin front",
    "left upper arm inside", "right upper arm inside", "left upper arm outside", "right upper arm outside",
    "left forearm inside", "right forearm inside", "left forearm outside", "right forearm outside",
    "head right", "head left",
)  # fmt: skip
"""By number; right and left are the person's own."""

BACKGROUND_COLOUR = (68, 1, 84)
"""RGB of viridis at 0."""


@dataclass(frozen=True)
class DensePoseFrame:
    """Parts of one picture, with a place on each.

    Attributes:
        part: uint8 (size, size): 0 background, 1 to 24 as `PART_NAMES`.
        u: float32 (size, size) in [0, 1], in steps of 1/255 as in DensePose's own IUV images; 0 on the background.
        v: float32 (size, size) likewise.
    """

    part: npt.NDArray[np.uint8]
    u: npt.NDArray[np.float32]
    v: npt.NDArray[np.float32]


def densepose_colours(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Parts in viridis, on the colour of its 0.

    Part p has the colour of floor(255 p / 24), as in the fine segmentation view of detectron2 (projects/DensePose,
    densepose/vis/densepose_results.py) at full opacity: the driving videos in MagicAnimate's repository have it so.

    Args:
        part: uint8 of any shape, 0 to 24.

    Returns:
        uint8 RGB, (*part.shape, 3).

    Raises:
        ValueError: for a number above 24.
    """
    if part.size and part.max() > PARTS:
        raise ValueError(f"part {int(part.max())}; DensePose has {PARTS}")
    return _colours()[part]


@lru_cache(maxsize=1)
def _colours() -> npt.NDArray[np.uint8]:
    import cv2  # a list of methods must not wait for it

    scaled = (np.arange(PARTS + 1) * 255 // PARTS).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(scaled[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1])


def pack(
    part: npt.NDArray[np.uint8], u: npt.NDArray[np.floating], v: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Part, u and v as DensePose's IUV image: uint8 (3, size, size), coordinates times 255."""
    coordinates = np.clip(np.stack([u, v]), 0, 1) * (part > 0)
    return np.concatenate([part[None], np.rint(coordinates * 255).astype(np.uint8)])


def unpack(image: npt.NDArray[np.uint8]) -> DensePoseFrame:
    """The reverse of `pack`."""
    u, v = image[1:].astype(np.float32) / np.float32(255)
    return DensePoseFrame(image[0], u, v)
