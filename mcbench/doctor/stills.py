"""Frames that are frozen or repeated, and predictions that are their truth or their reference frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.doctor.findings import Finding, finding
from mcbench.doctor.look import Look

__all__ = ["count_distinct", "find_copies", "find_repeats", "repeats"]

Values = npt.NDArray[np.float64]

EQUAL = 0.25
"""Mean squared difference (54 dB) below which two frames are one: half the pixels off by less than a level."""
STILL = 0.04
"""A frame is a repeat if it moves less than this part of what its truth usually moves."""
FROZEN_RUN = 4
"""Repeats in a row that make a frozen stretch."""


def _usual_step(look: Look) -> float:
    """How much the truth changes from one frame to the next, in grey levels."""
    return float(np.median(look.truth_step[1:])) if len(look.truth_step) > 1 else 0.0


def repeats(look: Look) -> npt.NDArray[np.bool_]:
    """(P,) whether a frame repeats the one before, where the truth has something that moves."""
    usual = _usual_step(look)
    still = look.prediction_step < STILL * usual
    still[0] = False
    count = min(len(still), len(look.truth_step))
    # A pause of the truth is no fault of the prediction's.
    still[1:count] &= look.truth_step[1:count] > 0.25 * usual
    return np.asarray(still)


def count_distinct(look: Look) -> tuple[tuple[int, int], tuple[int, int]]:
    """Frames, and frames that differ from the one before, of the prediction and of the truth, wherever they pause."""
    usual = _usual_step(look)
    prediction, truth = (
        1 + int((steps[1:] >= STILL * usual).sum()) for steps in (look.prediction_step, look.truth_step)
    )
    return (len(look.prediction_step), prediction), (len(look.truth_step), truth)


def find_repeats(clip: str, look: Look) -> list[Finding]:
    """Single-frame, frozen and duplicated predictions, of which a clip is one at most."""
    still = repeats(look)
    total = len(still)
    if total > 2 and (look.prediction_step[1:] <= STILL * _usual_step(look)).all() and _usual_step(look) > 0:
        return [finding("single-frame", clip, f"all {total} frames are the same picture")]
    if total < 3 or not still.any():
        return []
    starts = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    runs = [(int(a), int(b)) for a, b in zip(starts[::2], starts[1::2], strict=True)]
    long = [(a, b) for a, b in runs if b - a >= FROZEN_RUN]
    found = []
    if long:
        places = ", ".join(f"{a - 1}-{b - 1}" for a, b in long[:4])
        count = sum(b - a for a, b in long)
        found.append(finding("frozen-frames", clip, f"{count} of {total} frames stand still: frames {places}"))
    single = [a for a, b in runs if b - a < FROZEN_RUN for a in range(a, b)]
    if single and not (long and len(single) < 3):
        gaps = np.diff(single)
        regular = f", every {int(np.median(gaps))} frames" if len(single) > 3 and np.ptp(gaps) <= 1 else ""
        places = ", ".join(map(str, single[:6])) + (" …" if len(single) > 6 else "")
        found.append(
            finding(
                "duplicated-frames", clip, f"{len(single)} of {total} frames repeat the one before{regular}: {places}"
            )
        )
    return found


def find_copies(clip: str, look: Look, reference: int | None) -> list[Finding]:
    """Whether frames are equal to the truth's or to the reference frame, which is left out."""
    others = np.arange(len(look.error)) != (reference if reference is not None else -1)
    found = []
    if others.any():
        equal = float((look.error[others] < EQUAL).mean())
        if equal > 0.2:
            found.append(finding("equals-truth", clip, f"{equal:.0%} of the frames are the truth's own (above 54 dB)"))
    rest = np.arange(len(look.to_reference)) != (reference if reference is not None else -1)
    usual = _usual_step(look)
    if rest.any() and usual > 0.02 and not found:
        equal = float((look.to_reference[rest] < EQUAL).mean())
        if equal > 0.2:
            found.append(
                finding("equals-reference", clip, f"{equal:.0%} of the frames are the reference frame (above 54 dB)")
            )
    return found
