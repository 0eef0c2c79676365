"""How a prediction's frames lie along its truth's: late, early, in another order, repeated, dropped.

Every hypothesis is a map from frames of the prediction to frames of the truth. It is judged by what is left of the
difference after the mean over time is taken out, so that a wrong background, a colour cast or a character in the wrong
place count for nothing: only what moves does. A hypothesis is compared with the plain one on the same frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["OFFSETS", "Timing", "find_timing", "moving_parts", "text_order"]

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

OFFSETS = 8
"""Frames either way."""
RATES = (
    1 / 8,
    1 / 6,
    1 / 5,
    1 / 4,
    1 / 3,
    2 / 5,
    1 / 2,
    2 / 3,
    4 / 5,
    5 / 6,
    6 / 5,
    5 / 4,
    3 / 2,
    2.0,
    5 / 2,
    3.0,
    4.0,
)
"""Frames of the truth for each frame of the prediction: 8 to 60 frames a second, where 24, 25 or 30 were asked for."""
LEAST_FRAMES = 6
RATIO = 0.8
"""The hypothesis must leave at most this part of the difference that moves."""
SHARE = 0.7
"""The part of the frames with a say that it must bring nearer."""

ALIKE = 0.6
"""What is left must be less than this part of what moves in the prediction, and of what moves in the truth."""


@dataclass(frozen=True)
class Timing:
    """A map that fits better than the plain one.

    Attributes:
        code: `time-offset`, `frame-order`, `frame-expansion` or `dropped-frames`.
        what: the map in words.
        frames: (P,) the frame of the truth for each frame of the prediction; -1 where there is none.
        left: part of the moving difference that it leaves.
    """

    code: str
    what: str
    frames: Indices
    left: float


def moving_parts(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(frames, 1024) luma of thumbnails at 32 x 32, each frame's own mean taken out: flicker is not movement."""
    grey = [
        cv2.resize(cv2.cvtColor(thumb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA) for thumb in thumbs
    ]
    flat = np.stack(grey).reshape(len(grey), -1).astype(np.float32)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


def find_timing(prediction: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> Timing | None:
    """The best of all maps, or None if the plain one will do.

    Args:
        prediction: (P, pixels), see `moving_parts`.
        truth: (T, pixels).
    """
    count = min(len(prediction), len(truth))
    if count < LEAST_FRAMES or _movement(prediction) < 1.0 or _movement(truth) < 1.0:
        return None
    best: Timing | None = None
    for hypothesis in _hypotheses(len(prediction), len(truth)):
        judged = _judge(hypothesis, prediction, truth)
        if judged is not None and (best is None or judged.left < best.left - 0.01):
            best = judged
    broken = _broken(prediction, truth)
    if broken is not None and (best is None or broken.left < 0.8 * best.left):
        best = broken
    return best


def text_order(frames: int, first: int) -> Indices:
    """Frames numbered from `first` without leading zeros, in the order of a sort as text: 1, 10, 11, 2 …"""
    return np.array(sorted(range(frames), key=lambda index: str(index + first)), np.int64)


def _movement(frames: npt.NDArray[np.float32]) -> float:
    """Root mean square over the pixels that move most, in grey levels."""
    spread = (frames - frames.mean(axis=0)).std(axis=0)
    return float(np.quantile(spread, 0.95))


def _hypotheses(predictions: int, truths: int) -> Iterator[Timing]:
    index = np.arange(predictions)

    def inside(frames: Indices) -> Indices:
        return np.where((frames >= 0) & (frames < truths), frames, -1)

    for offset in sorted(range(-OFFSETS, OFFSETS + 1), key=abs):
        if offset and abs(offset) <= min(predictions, truths) - LEAST_FRAMES:
            way = "early" if offset > 0 else "late"
            words = (
                f"{abs(offset)} frame{'s' if abs(offset) > 1 else ''} {way}: frame i shows the truth's i {offset:+d}"
            )
            yield Timing("time-offset", words, inside(index + offset), 1.0)
    for first in (0, 1):
        order = text_order(max(predictions, truths), first)[:predictions]
        if predictions == truths and not np.array_equal(order, index):
            start = f"{first}, 10, 11" if first else "0, 1, 10, 11"
            yield Timing("frame-order", f"frames are in the order of a sort as text ({start}, …)", inside(order), 1.0)
    yield Timing("frame-order", "frames run backwards", inside(truths - 1 - index), 1.0)
    rates = set(RATES)
    if predictions != truths:
        rates.add(truths / predictions)
    for rate in sorted(rates, key=lambda rate: abs(np.log(rate))):
        frames = inside(np.floor(index * rate + 1e-9).astype(np.int64))
        if (frames >= 0).sum() < LEAST_FRAMES or rate == 1:
            continue
        if rate < 1:
            words = f"each frame of the truth is there about {1 / rate:.3g} times, as after a change of rate"
            yield Timing("frame-expansion", words, frames, 1.0)
        else:
            yield Timing("dropped-frames", f"only about one frame in {rate:.3g} is there", frames, 1.0)


def _residuals(
    prediction: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], rows: Indices, frames: Indices
) -> Values:
    """Per frame, the mean squared difference that is left once its mean over time is taken out."""
    difference = prediction[rows] - truth[frames]
    difference = difference - difference.mean(axis=0)
    return np.asarray((difference * difference).mean(axis=1), np.float64)


def _variance(frames: npt.NDArray[np.float32]) -> float:
    """Mean over the pixels of the variance over time."""
    return float(frames.var(axis=0).mean())


def _judge(hypothesis: Timing, prediction: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> Timing | None:
    frames = hypothesis.frames
    index = np.arange(len(prediction))
    rows = index[(frames >= 0) & (index < len(truth))]
    changed = frames[rows] != rows
    if len(rows) < LEAST_FRAMES or changed.sum() < 3:
        return None
    plain = _residuals(prediction, truth, rows, rows)
    other = _residuals(prediction, truth, rows, frames[rows])
    left = float(other.sum() / max(plain.sum(), 1e-9))
    # A prediction that hardly moves fits any stretch of the truth in which little happens: what moves must be alike.
    least = min(_variance(prediction[rows]), _variance(truth[frames[rows]]))
    if other.mean() > ALIKE * least:
        return None
    if left > RATIO or not _often(plain[changed] - other[changed], plain[changed]):
        return None
    return replace(hypothesis, left=left)


def _often(gains: Values, scale: Values) -> bool:
    """Whether the gain is there in most frames that have a say, and in each third of them."""
    say = np.abs(gains) > 0.02 * np.maximum(scale, 1e-9)
    if say.sum() < 3:
        return False
    thirds = [part.sum() for part in np.array_split(gains, 3)]
    return bool((gains[say] > 0).mean() >= SHARE and min(thirds) > 0)


def _broken(prediction: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> Timing | None:
    """A map whose offset changes on the way (Viterbi's algorithm over offsets): frames were dropped there."""
    count, far = len(prediction), OFFSETS
    if count < 2 * LEAST_FRAMES:
        return None
    bias = prediction.mean(axis=0) - truth.mean(axis=0)
    offsets = np.arange(-far, far + 1)
    cost = np.full((count, len(offsets)), np.inf)
    for k, offset in enumerate(offsets):
        rows = np.arange(max(0, -int(offset)), min(count, len(truth) - int(offset)))
        difference = prediction[rows] - truth[rows + offset] - bias
        cost[rows, k] = (difference * difference).mean(axis=1)
    usual = float(np.median(cost[:, far][np.isfinite(cost[:, far])]))
    change: Callable[[int], float] = lambda step: 0.0 if step == 0 else (1.0 + 0.1 * abs(step)) * usual  # noqa: E731
    penalty = np.array([[change(j - i) for j in range(len(offsets))] for i in range(len(offsets))])
    # A clip begins in step: the reference frame is there.
    best = cost[0] + penalty[far]
    came = np.zeros((count, len(offsets)), int)
    for i in range(1, count):
        total = best[:, None] + penalty
        came[i] = total.argmin(axis=0)
        best = total.min(axis=0) + np.where(np.isfinite(cost[i]), cost[i], usual * 4)
    path = np.zeros(count, int)
    path[-1] = int(best.argmin())
    for i in range(count - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    shift = offsets[path]
    steps = np.diff(shift)
    jumps = [(int(i) + 1, int(steps[i])) for i in np.flatnonzero(steps)]
    # Repeats are told from the prediction alone; here only frames that are gone. A frozen end makes many of them.
    if not 0 < sum(step > 0 for _, step in jumps) <= max(4, count // 12):
        return None
    frames = np.arange(count) + shift
    frames = np.where((frames >= 0) & (frames < len(truth)), frames, -1)
    gone = [f"{step} before frame {at}" for at, step in jumps if step > 0]
    more = f" and {len(gone) - 4} more times" if len(gone) > 4 else ""
    words = f"{sum(step for _, step in jumps if step > 0)} frames are missing: {', '.join(gone[:4])}{more}"
    return _judge(Timing("dropped-frames", words, frames, 1.0), prediction, truth)
