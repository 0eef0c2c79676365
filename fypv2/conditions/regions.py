"""Character regions: where each character may be, from its skeleton alone (D in the paper's Eq. 3 to 8)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import Poses
from fypv2.conditions.skeletons import draw_skeleton

__all__ = ["DILATION", "character_regions"]

DILATION = 0.10
"""Side of the dilation's square kernel as a share of the picture's width. The paper names dilation without a size."""


def character_regions(poses: Poses, dilation: float = DILATION) -> npt.NDArray[np.bool_]:
    """The drawn skeleton of each character, dilated by a rectangular kernel.

    A clip of 16 frames, five characters and 896 x 640 pixels takes 46 MB; give `poses.frame(i)` to go frame by frame.

    Args:
        poses: of T frames and K characters.
        dilation: side of the kernel as a share of the picture's width. It is rounded down to an odd number of pixels,
            so that the region has no drift; 0 leaves the drawn skeleton as it is.

    Returns:
        bool (T, K, H, W); empty for a character that is absent.

    Raises:
        ValueError: if the dilation is negative.
    """
    if dilation < 0:
        raise ValueError(f"a dilation of {dilation} of the width; give 0 or more")
    reach = int(dilation * poses.size[1] / 2)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    regions = np.zeros((poses.frames, poses.characters, *poses.size), np.bool_)
    for frame, character in np.argwhere(poses.present):
        drawn = draw_skeleton(poses, int(frame), int(character))
        # Channel by channel: a reduction over an axis of three is ten times as slow.
        touched = drawn[..., 0] | drawn[..., 1] | drawn[..., 2]
        regions[frame, character] = np.asarray(cv2.dilate(touched, kernel)) > 0
    return regions
