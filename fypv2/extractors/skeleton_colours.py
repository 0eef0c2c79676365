"""What each pixel of a skeleton drawing is: background, joint, limb, or something drawn over them.

The drawing is OpenPose's: joint i is a disc of colour i, limb i a thin ellipse of colour i at 0.6 of its brightness.
Hands and face points, where they are drawn, lie over both. Video compression moves colours, most of all at edges, so a
pixel is given to the nearest colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fypv2.conditions.skeletons import COLOURS, LIMB_SHADE, LIMBS
from fypv2.extractors.base import Frame

__all__ = ["Drawing", "disc_radii", "is_skeleton_frame", "read_colours"]

DARK = 40
"""A pixel with no brighter channel is background: the noise of compression stays under it, the darkest limb is 153."""
FAR = 75.0
"""Distance in RGB to the nearest colour above which a pixel is of no colour; neighbouring colours are 85 apart."""

_JOINTS = np.array(COLOURS, np.float32)
_LIMBS = np.rint(_JOINTS[: len(LIMBS)] * LIMB_SHADE)
_WHITE = np.array([[255, 255, 255]], np.float32)
_PALETTE = np.concatenate([_JOINTS, _LIMBS, _WHITE])

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawing:
    """A drawing's pixels by kind, cut to where anything is drawn.

    Attributes:
        kind: int16 (h, w): -1 background; 0 to 17 joint; 18 to 34 limb 0 to 16; 35 neither.
        left: column of the frame at which the cut begins.
        top: row of the frame at which it begins.
        size: height and width of the whole frame.
    """

    kind: npt.NDArray[np.int16]
    left: int
    top: int
    size: tuple[int, int]

    BACKGROUND = -1
    OTHER = len(COLOURS) + len(LIMBS)

    def joint(self, index: int) -> Mask:
        """(h, w): pixels of joint `index`."""
        return np.asarray(self.kind == index)

    def limb(self, index: int) -> Mask:
        """(h, w): pixels of limb `index`."""
        return np.asarray(self.kind == len(COLOURS) + index)


def read_colours(frame: Frame, margin: int = 24) -> Drawing:
    """Gives every pixel of a drawing its kind.

    Args:
        frame: uint8 RGB (H, W, 3).
        margin: background kept around what is drawn, in pixels.
    """
    height, width = frame.shape[:2]
    bright = frame.max(axis=-1) > DARK
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    if not len(rows):
        return Drawing(np.full((1, 1), Drawing.BACKGROUND, np.int16), 0, 0, (height, width))
    top, bottom = max(0, rows[0] - margin), min(height, rows[-1] + margin + 1)
    left, right = max(0, columns[0] - margin), min(width, columns[-1] + margin + 1)
    cut, bright = frame[top:bottom, left:right], bright[top:bottom, left:right]
    nearest, distance = _nearest(cut[bright])
    kind = np.full(bright.shape, Drawing.BACKGROUND, np.int16)
    kind[bright] = np.where(distance > FAR, Drawing.OTHER, nearest)
    return Drawing(kind, int(left), int(top), (height, width))


def _nearest(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]:
    """Nearest colour of each pixel (N, 3) and the distance to it."""
    colours = pixels.astype(np.float32)
    square = (colours**2).sum(-1)[:, None] - 2 * colours @ _PALETTE.T + (_PALETTE**2).sum(-1)
    nearest = square.argmin(-1)
    distance = np.sqrt(np.maximum(square[np.arange(len(pixels)), nearest], 0))
    return nearest.astype(np.int16), distance.astype(np.float32)


def disc_radii(drawing: Drawing) -> list[float]:
    """Radii in pixels of the joints that stand alone, from the areas of round spots of one joint's colour."""
    radii = []
    for index in range(len(COLOURS)):
        mask = drawing.joint(index).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for _, _, width, height, area in stats[1:]:
            # A disc fills pi / 4 of its box.
            if area >= 5 and 0.8 <= width / height <= 1.25 and 0.65 <= area / (width * height) <= 0.92:
                radii.append(float(np.sqrt(area / np.pi)))
    return radii


def is_skeleton_frame(frame: Frame) -> bool:
    """Whether a frame can be a skeleton drawing: black for the most part, and of its colours where it is not.

    An all black frame is not.
    """
    bright = frame.max(axis=-1) > DARK
    if not 0 < bright.mean() < 0.35:
        return False
    pixels = frame[bright][:: max(1, int(bright.sum()) // 20000)]
    nearest, distance = _nearest(pixels)
    # Half of a thin drawing are its edges, of no colour that is drawn.
    return bool(np.mean((distance < 50) & (nearest < Drawing.OTHER)) > 0.5)
