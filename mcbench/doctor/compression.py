"""Traces that JPEG and H.264 leave in frames which come as PNG.

JPEG rounds the cosine coefficients of aligned 8 x 8 blocks to multiples of a step (ITU-T T.81, A.3.4), and the decoded
frame's coefficients still stand on that comb. H.264 as it is commonly written (4:2:0) keeps one chroma value for 2 x 2
pixels, and leaves edges at multiples of 8. All three are looked for in the prediction and in its truth; what the truth
has too is not the prediction's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    combs, own = _median(comb, predictions), _median(comb, truths)
    if combs >= COMBS > own:
        said.append("cosine coefficients of 8 x 8 blocks stand on a comb, as after JPEG")
    pairing, own = _median(chroma_pairing, predictions), _median(chroma_pairing, truths)
    if pairing < PAIRING < own + 0.15 and pairing < 0.75 * own:
        said.append(
            f"chroma comes in 2 x 2 pixels, as after 4:2:0 video (steps within pairs {pairing:.2f} of those between)"
        )
    blocks, own = _median(blockiness, predictions), _median(blockiness, truths)
    if blocks > BLOCKS and blocks > 1.2 * own:
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
    spectrum = np.einsum("ui,nij,vj->nuv", basis, blocks, basis, optimize=True)
    return float(sum(_on_comb(spectrum[:, u, v]) for u, v in _FREQUENCIES))


def _on_comb(values: npt.NDArray[np.float32]) -> bool:
    size = np.abs(values)
    for step in range(3, 61):
        # Whole periods from the first tooth on: a distribution that only falls off has no preference there.
        teeth = size[(size >= 0.5 * step) & (size < 4.5 * step)]
        if len(teeth) < 60:
            return False
        if float(np.cos(2 * np.pi * teeth / step).mean()) > COMB:
            return True
    return False


def chroma_pairing(frame: Frame) -> float:
    """Chroma steps within aligned pairs of columns and rows over those between pairs, relative to the luma's."""
    ycc = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(ycc, axis=axis))
        within, between = (steps[i::2] if axis == 0 else steps[:, i::2] for i in (0, 1))
        w, b = (part[..., 1:].mean(axis=(0, 1)) for part in (within, between))
        luma = float((within[..., 0].mean() + 0.05) / (between[..., 0].mean() + 0.05))
        # Rounding to 8 bits leaves steps of a third of a level where there are none.
        ratios.append(float((w + 0.05).sum() / (b + 0.05).sum()) / luma)
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
