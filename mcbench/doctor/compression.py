"""Traces that JPEG and H.264 leave in frames which come as PNG.

JPEG rounds the cosine coefficients of aligned 8 x 8 blocks to multiples of a step (ITU-T T.81, A.3.4), and the decoded
frame's coefficients still stand on that comb. H.264 as it is commonly written (4:2:0) keeps one chroma value for 2 x 2
pixels, and leaves edges at multiples of 8. All three are looked for in the prediction and in its truth; what the truth
has too is not the prediction's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["blockiness", "chroma_pairing", "comb", "find_compression"]

Frame = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

COMB = 0.55
"""Mean of cos(2 pi c / q) over coefficients c from 0.5 q to 4.5 q; 1 on a perfect comb, near 0 without one."""
COMBS = 2
"""Of the frequencies looked at, how many must stand on a comb."""
STEPS = np.arange(3, 61)
"""Steps of the comb that are tried."""
FINENESS = 16
"""Parts of a grey level to which coefficients are told apart."""
LEAST_TEETH = 60
PAIRING = 0.62
"""Chroma steps within pairs of columns over steps between pairs; 1 without subsampling, 0 with plain repetition."""
BLOCKS = 1.35
"""Luma steps across multiples of 8 over steps elsewhere, in the calm parts of the picture."""

_FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0))


def find_compression(predictions: Sequence[Frame], truths: Sequence[Frame]) -> str | None:
    """The traces in words, or None.

    Args:
        predictions: uint8 RGB (height, width, 3), as decoded: cropped or resized frames have lost them.
        truths: the same of the truth, of any size.
    """
    said = []
    if _median(comb, predictions) >= COMBS > _median(comb, truths):
        said.append("cosine coefficients of 8 x 8 blocks stand on a comb, as after JPEG")
    # The truth is looked at only where the prediction has traces: most have none.
    pairing = _median(chroma_pairing, predictions)
    if pairing < PAIRING:
        own = _median(chroma_pairing, truths)
        if own + 0.15 > PAIRING and pairing < 0.75 * own:
            said.append(
                "chroma comes in 2 x 2 pixels, as after 4:2:0 video"
                f" (steps within pairs {pairing:.2f} of those between)"
            )
    blocks = _median(blockiness, predictions)
    if blocks > BLOCKS and blocks > 1.2 * _median(blockiness, truths):
        said.append(f"steps at multiples of 8 pixels are {blocks:.2f} times those elsewhere")
    return "; ".join(said) or None


def comb(frame: Frame) -> float:
    """How many low frequencies of aligned 8 x 8 blocks are quantised."""
    y = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., 0].astype(np.float32) - 128
    height, width = (side // 8 * 8 for side in y.shape)
    blocks = y[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    # Blocks that touch the ends of the range were clipped after decoding.
    blocks = blocks[(blocks.min(axis=(1, 2)) > -127) & (blocks.max(axis=(1, 2)) < 126)]
    if len(blocks) < 64:
        return 0.0
    basis = _cosines()
    size = np.abs(np.matmul(np.matmul(basis, blocks), basis.T))
    fine = np.minimum((size * FINENESS).astype(np.int64), FINENESS * 300)
    counts = np.stack([np.bincount(fine[:, u, v], minlength=FINENESS * 300 + 1) for u, v in _FREQUENCIES])
    weights, inside = _teeth()
    teeth, wave = counts @ inside, counts @ weights
    # Larger steps are looked at only as long as enough coefficients reach them.
    enough = np.logical_and.accumulate(teeth >= LEAST_TEETH, axis=1)
    return float((enough & (wave > COMB * teeth)).any(axis=1).sum())


@cache
def _teeth() -> tuple[Values, Values]:
    """(sizes, steps) the cosine of each size under each step, and whether it counts there.

    Whole periods from the first tooth on: a distribution that only falls off has no preference there.
    """
    size = (np.arange(FINENESS * 300 + 1)[:, None] + 0.5) / FINENESS
    inside = (size >= 0.5 * STEPS) & (size < 4.5 * STEPS)
    return np.cos(2 * np.pi * size / STEPS) * inside, inside.astype(np.float64)


def chroma_pairing(frame: Frame) -> float:
    """Chroma steps within aligned pairs of columns and rows over those between pairs, relative to the luma's."""
    ycc = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
    ratios = []
    for picture in (ycc, ycc.transpose(1, 0, 2)):
        count = len(picture) // 2
        even, odd = (np.ascontiguousarray(picture[i : 2 * count : 2]) for i in (0, 1))
        # Rounding to 8 bits leaves steps of a third of a level where there are none.
        within = np.array(cv2.mean(cv2.absdiff(even, odd))[:3]) + 0.05
        between = np.array(cv2.mean(cv2.absdiff(odd[:-1], even[1:]))[:3]) + 0.05
        ratios.append(float(within[1:].sum() / between[1:].sum() / (within[0] / between[0])))
    return float(np.mean(ratios))


def blockiness(frame: Frame) -> float:
    """Luma steps across the edges of aligned 8 x 8 blocks over those elsewhere, in calm parts; the lesser axis."""
    y = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., 0].astype(np.float32)
    ratios = []
    for plane in (y, y.T):
        steps = np.abs(np.diff(plane, axis=1))
        calm = np.minimum(steps, 6.0)
        means = np.array([calm[:, phase::8].mean() for phase in range(8)])
        ratios.append(float((means[7] + 0.05) / (np.median(means[:7]) + 0.05)))
    return min(ratios)


def _median(measure: Callable[[Frame], float], frames: Sequence[Frame]) -> float:
    return float(np.median([measure(frame) for frame in frames])) if frames else 0.0


def _cosines() -> npt.NDArray[np.float32]:
    """The orthonormal cosine transform of 8 values (ITU-T T.81, A.3.3)."""
    u, i = np.mgrid[0:8, 0:8]
    basis = np.cos((2 * i + 1) * u * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)
