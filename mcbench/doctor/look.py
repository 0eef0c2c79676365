"""One pass over a prediction and its truth: what all checks look at, in memory that does not grow with the picture.

Every frame leaves a thumbnail and a few numbers; a handful of frames is kept whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import Clip, FrameSource
from mcbench.errors import UserError
from mcbench.geometry import to_square
from mcbench.protocol import MCBENCH

__all__ = ["SAMPLES", "SIZE", "THUMB", "Look", "TruthError", "look_at", "pick", "take_frames"]

Frame = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

SIZE = MCBENCH.size
"""Side in pixels at which everything but traces of compression is judged, as the protocols measure."""
THUMB = 64
"""Side of a thumbnail: a character of a dance clip still has some thirty pixels, noise has none."""
SAMPLES = 8
"""Frames kept whole from each side."""


class TruthError(Exception):
    """The truth, not the prediction, cannot be read."""


@dataclass(frozen=True)
class Look:
    """What one pass leaves. P and T frames in the prediction and the truth.

    Attributes:
        prediction: (P, THUMB, THUMB, 3) uint8 thumbnails.
        truth: (T, THUMB, THUMB, 3) uint8 thumbnails.
        samples: indices of the frames kept whole.
        prediction_samples: those frames as the protocols see them, (SIZE, SIZE, 3) each.
        truth_samples: the same of the truth.
        raw_prediction: up to three of them as they were decoded, for traces of compression.
        raw_truth: the same of the truth.
        error: (min(P, T),) mean squared difference of prediction and truth.
        to_reference: (P,) mean squared difference of the prediction and the reference frame.
        prediction_step: (P,) mean absolute difference to the frame before; 0 for the first.
        truth_step: (T,) the same of the truth.
        values: (256,) how often each value occurs in the prediction's samples.
    """

    prediction: Frame
    truth: Frame
    samples: list[int]
    prediction_samples: list[Frame]
    truth_samples: list[Frame]
    raw_prediction: list[Frame]
    raw_truth: list[Frame]
    error: Values
    to_reference: Values
    prediction_step: Values
    truth_step: Values
    values: npt.NDArray[np.int64]


def pick(frames: int, count: int = SAMPLES) -> list[int]:
    """Indices spread over a clip, without the first frame where there are others: it was given to the method."""
    if frames == 1:
        return [0]
    return sorted(set(np.linspace(1, frames - 1, min(count, frames - 1)).round().astype(int).tolist()))


def look_at(clip: Clip, prediction: FrameSource, on_frame: Callable[[], None] = lambda: None) -> Look:
    """Decode both sides once.

    Args:
        clip: the truth.
        prediction: its prediction, of any number of frames.
        on_frame: called after each frame of the prediction.

    Raises:
        VideoError: if the prediction does not decode.
        TruthError: if the truth does not.
    """
    reference = _reference(clip)
    samples = pick(min(clip.frames, prediction.frames))
    raw = {samples[len(samples) * part // 6] for part in (1, 3, 5)}
    kept: tuple[list[Frame], list[Frame], list[Frame], list[Frame]] = ([], [], [], [])
    thumbs: tuple[list[Frame], list[Frame]] = ([], [])
    steps: tuple[list[float], list[float]] = ([], [])
    error, to_reference = [], []
    last: list[Frame | None] = [None, None]
    truths = itertools.islice(clip.source.read(), clip.frames)
    predictions = prediction.read()
    for index in itertools.count():
        pair = next(predictions, None), _next_truth(truths)
        if pair[0] is None and pair[1] is None:
            break
        squares: list[Frame | None] = [None, None]
        for side, frame in enumerate(pair):
            if frame is None:
                continue
            square = squares[side] = to_square(frame, SIZE)
            thumbs[side].append(np.asarray(cv2.resize(square, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.uint8))
            before = last[side]
            steps[side].append(0.0 if before is None else cv2.norm(square, before, cv2.NORM_L1) / square.size)
            last[side] = square
            if index in samples:
                kept[side].append(square)
                if index in raw:
                    kept[side + 2].append(frame)
        p, t = squares
        if p is not None:
            to_reference.append(mean_square(p, reference))
            on_frame()
            if t is not None:
                error.append(mean_square(p, t))
    return Look(
        prediction=np.stack(thumbs[0]),
        truth=np.stack(thumbs[1]),
        samples=samples,
        prediction_samples=kept[0],
        truth_samples=kept[1],
        raw_prediction=kept[2],
        raw_truth=kept[3],
        error=np.array(error),
        to_reference=np.array(to_reference),
        prediction_step=np.array(steps[0]),
        truth_step=np.array(steps[1]),
        values=np.bincount(np.concatenate([frame.ravel() for frame in kept[0]]), minlength=256),
    )


def take_frames(source: FrameSource, wanted: Collection[int]) -> dict[int, Frame]:
    """Some frames of a source as the protocols see them: index to (SIZE, SIZE, 3)."""
    reader = itertools.islice(source.read(), max(wanted, default=-1) + 1)
    return {index: to_square(frame, SIZE) for index, frame in enumerate(reader) if index in wanted}


def mean_square(one: Frame, other: Frame) -> float:
    """Mean squared difference of two frames of one shape."""
    return float(cv2.norm(one, other, cv2.NORM_L2SQR)) / one.size


def _reference(clip: Clip) -> Frame:
    try:
        if clip.reference_source is not None:
            return take_frames(clip.reference_source, {0})[0]
        wanted = clip.reference_frame or 0
        return take_frames(clip.source, {wanted})[wanted]
    except KeyError:
        raise TruthError(f"clip '{clip.name}': its reference frame is not there") from None
    except (UserError, OSError) as error:
        raise TruthError(str(error)) from error


def _next_truth(frames: itertools.islice[Frame]) -> Frame | None:
    try:
        return next(frames, None)
    except (UserError, OSError) as error:
        raise TruthError(str(error)) from error
