"""Skeletons as DisCo's networks saw them.

Its training drawings are those of pytorch-openpose (`draw_bodypose` in DisCo's
`tsv_example/create_custom_dataset_tsvs.py`): 18 body keypoints and 17 limbs, neither hands nor faces; joints first, as
discs of radius 4, then each limb as an ellipse of half width 4 that covers what lies below it to 60%. The drawings of
newer models differ where limbs meet: there joints come last and cover fully.

It draws one person. Here all are drawn, joints of all before limbs of any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from fypv2.conditions import COLOURS, LIMBS, SEEN, Poses

__all__ = ["DRAWING_SIDE", "disco_drawings"]

DRAWING_SIDE = 604
"""Side in pixels of the square that is drawn in: the width of the TikTok data set's frames (604 x 1080), whose centre
DisCo crops and resizes to 256 x 256. Widths above are in these pixels."""

_RADIUS = 4
_HALF_WIDTH = 4
_COVER = 0.6

# OpenCV takes places and lengths in these fractions of a pixel.
_SHIFT = 4

Picture = npt.NDArray[np.uint8]


def disco_drawings(poses: Poses, size: int) -> Iterator[Picture]:
    """Drawings of all characters, frame by frame, resized as DisCo's loader resizes (Pillow's bilinear filter).

    Args:
        poses: in pixels of a square of `DRAWING_SIDE`; hands are left out.
        size: side of the drawings in pixels.

    Yields:
        uint8 RGB (size, size, 3) on black.
    """
    for frame in range(poses.frames):
        yield np.asarray(Image.fromarray(_draw(poses, frame)).resize((size, size), Image.Resampling.BILINEAR))


def _draw(poses: Poses, frame: int) -> Picture:
    import cv2  # takes time that the command line need not wait for

    canvas = np.zeros((*poses.size, 3), np.uint8)
    scale = 1 << _SHIFT
    places = np.where(np.isfinite(poses.body[frame]), poses.body[frame], 0)
    seen = (poses.body_scores[frame] >= SEEN) & np.isfinite(poses.body[frame]).all(axis=-1)
    # Far outside the picture nothing shows, and OpenCV's fixed-point numbers end.
    reach = 16 * max(poses.size)
    places = np.clip(places, -reach, reach)
    for joint, colour in enumerate(COLOURS):
        for person in np.flatnonzero(seen[:, joint]):
            x, y = np.rint(places[person, joint] * scale).astype(int).tolist()
            cv2.circle(canvas, (x, y), _RADIUS * scale, colour, thickness=-1, shift=_SHIFT)
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        for person in np.flatnonzero(seen[:, start] & seen[:, end]):
            a, b = places[person, start], places[person, end]
            centre = np.rint((a + b) / 2 * scale).astype(int).tolist()
            half_length = round(float(np.hypot(*(b - a))) / 2 * scale)
            angle = math.degrees(math.atan2(b[1] - a[1], b[0] - a[0]))
            limb = np.zeros(poses.size, np.uint8)
            axes = (half_length, _HALF_WIDTH * scale)
            cv2.ellipse(limb, centre, axes, angle, 0, 360, (1,), thickness=-1, shift=_SHIFT)
            x, y, width, height = cv2.boundingRect(limb)
            window, inside = (canvas[y : y + height, x : x + width], limb[y : y + height, x : x + width] > 0)
            window[inside] = np.rint(window[inside] * (1 - _COVER) + np.array(colour) * _COVER).astype(np.uint8)
    return canvas
