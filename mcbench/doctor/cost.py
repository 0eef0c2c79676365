"""What a fault costs: the pairwise metrics with and without it, on the frames that were kept whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.doctor.colour import Tone
from mcbench.doctor.look import SIZE
from mcbench.doctor.registration import Registration
from mcbench.metrics.l1 import absolute_error
from mcbench.metrics.psnr import psnr
from mcbench.metrics.ssim import ssim_gaussian

__all__ = ["Correction", "Pairs", "price"]

Frame = npt.NDArray[np.uint8]
LEAST_SIDE = 64
"""Pixels of the part that both pictures show, below which no metric is worth giving."""


@dataclass(frozen=True)
class Pairs:
    """Frames of a prediction with those of the truth that they are compared with, and with those that they show."""

    predictions: list[Frame]
    compared: list[Frame]
    shown: list[Frame]


@dataclass(frozen=True)
class Correction:
    """What undoes the faults that were found; all of them, or all but one.

    Attributes:
        geometry: how the prediction lies over its truth.
        swap: whether red and blue change places.
        tone: the curve to undo.
        timed: whether frames are compared with those that they show.
    """

    geometry: Registration | None = None
    swap: bool = False
    tone: Tone | None = None
    timed: bool = False

    def colours(self, frame: Frame, without: str = "") -> Frame:
        """A frame with its channels and values put right, unless that is the fault to leave in."""
        if self.tone is not None and without != "tone":
            frame = self.tone.undone()[frame]
        return np.ascontiguousarray(frame[..., ::-1]) if self.swap and without != "swap" else frame

    def lay(self, frame: Frame, without: str = "", border: int = cv2.BORDER_REPLICATE) -> Frame:
        """A square picture of any size laid over the truth's."""
        if self.geometry is None:
            return frame
        matrix = self.geometry.matrix
        if without == "place":
            matrix = self.geometry.mirror_matrix
        elif without == "mirror":
            matrix = self.geometry.unmirrored
        side = frame.shape[0]
        ratio = side / SIZE
        local = matrix.copy()
        # The centre of the top left pixel is (0, 0) at either size.
        local[:, 2] = (matrix[:, 2] + (matrix[:, :2] @ (1, 1) - 1) * 0.5) * ratio - (matrix[:, :2] @ (1, 1) - 1) * 0.5
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(frame, local, (side, side), flags=flags, borderMode=border))


def price(pairs: Pairs, correction: Correction, parts: Collection[str]) -> Mapping[str, str]:
    """What each fault costs, in words.

    Args:
        pairs: frames (SIZE, SIZE, 3).
        correction: what undoes all of them.
        parts: of `mirror`, `place`, `swap`, `tone`, `time`: the faults that were found.

    Returns:
        By part: the metrics with that fault alone, and without any.
    """
    if not parts or not pairs.predictions:
        return {}
    inside = correction.lay(np.full((SIZE, SIZE, 3), 255, np.uint8), border=cv2.BORDER_CONSTANT)[..., 0] == 255
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if min(len(rows), len(columns)) < LEAST_SIDE:
        return {}
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def measure(without: str) -> tuple[float, float, float]:
        truths = pairs.compared if without == "time" or not correction.timed else pairs.shown
        p = np.stack(
            [correction.lay(correction.colours(frame, without), without)[window] for frame in pairs.predictions]
        )
        t = np.stack([frame[window] for frame in truths])
        return float(psnr(p, t).mean()), float(ssim_gaussian(p, t).mean()), float(absolute_error(p, t).mean()) / 255

    best = measure("")
    costs = {}
    for part in parts:
        worse = measure(part)
        costs[part] = (
            f"with it PSNR {worse[0]:.2f} dB, SSIM {worse[1]:.3f}, L1 {worse[2]:.4f};"
            f" without {best[0]:.2f} dB, {best[1]:.3f}, {best[2]:.4f}"
        )
    return costs
