"""The driving pose as a picture: exact keypoints drawn as stick figures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["LIMBS", "draw_skeletons"]

LIMBS = (
    *((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7)),
    *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
"""Pairs of keypoints that are joined, as indices into `mcbench.KEYPOINT_NAMES`: OpenPose's 17 limbs."""

_LEFT = frozenset({5, 6, 7, 11, 12, 13, 15, 17})
_COLOURS = ((255, 158, 27), (64, 176, 255), (94, 214, 122), (255, 112, 181), (190, 150, 255), (240, 226, 88))
"""One a character, so that a swap of two people is seen; RGB."""
_PALE = 0.55
"""How far a character's left side goes towards white, so that front and back views are told apart."""
_HIDDEN = 0.4
"""Brightness of what is hidden behind something."""
_FRACTION_BITS = 4
"""OpenCV draws to sixteenths of a pixel."""


def draw_skeletons(
    keypoints: npt.NDArray[np.floating[Any]], visibility: npt.NDArray[np.integer[Any]], size: tuple[int, int], side: int
) -> npt.NDArray[np.uint8]:
    """The stick figures of one frame, in the square that the protocols measure.

    A colour is a character; its left side is paler; what is hidden is darker, and what is absent is not drawn.

    Args:
        keypoints: (K, 18, 2), x then y in pixels of the clip; the centre of the top left pixel is (0, 0).
        visibility: (K, 18): 0 absent, 1 hidden, 2 visible.
        size: height and width of the clip.
        side: of the picture in pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    height, width = size
    square = min(height, width)
    scale = side / square
    corner = np.array([(width - square) // 2, (height - square) // 2], np.float64)
    points = (np.asarray(keypoints, np.float64) - corner + 0.5) * scale - 0.5
    picture = np.zeros((side, side, 3), np.uint8)
    thick = max(1, round(side / 110))
    # Hidden limbs lie behind all others, whosever they are.
    for state in (1, 2):
        for character, (place, seen) in enumerate(zip(points, visibility, strict=True)):
            base = np.array(_COLOURS[character % len(_COLOURS)], np.float64)
            for a, b in LIMBS:
                if min(seen[a], seen[b]) == state and np.isfinite(place[[a, b]]).all():
                    colour = _shade(base, is_left=bool(_LEFT & {a, b}), hidden=state == 1)
                    cv2.line(picture, _fixed(place[a]), _fixed(place[b]), colour, thick, cv2.LINE_AA, _FRACTION_BITS)
            for joint in range(len(place)):
                if seen[joint] == state and np.isfinite(place[joint]).all():
                    colour = _shade(base, is_left=joint in _LEFT, hidden=state == 1)
                    radius = round(thick * 1.1 * (1 << _FRACTION_BITS))
                    cv2.circle(picture, _fixed(place[joint]), radius, colour, -1, cv2.LINE_AA, _FRACTION_BITS)
    return picture


def _fixed(point: npt.NDArray[np.float64]) -> tuple[int, int]:
    # Far outside, OpenCV's fixed point numbers would overflow.
    x, y = np.clip(point * (1 << _FRACTION_BITS), -(1 << 20), 1 << 20)
    return round(float(x)), round(float(y))


def _shade(base: npt.NDArray[np.float64], *, is_left: bool, hidden: bool) -> tuple[int, int, int]:
    colour = base + (255 - base) * _PALE if is_left else base
    red, green, blue = np.rint(colour * (_HIDDEN if hidden else 1))
    return int(red), int(green), int(blue)
