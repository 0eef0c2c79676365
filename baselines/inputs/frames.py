"""Pictures in the benchmark's geometry: the centred square, resized."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from baselines.inputs.errors import InputError
from mcbench import Case, FrameSource, to_square

__all__ = ["driving_square", "driving_video", "reference_square", "squares", "truth_square"]

Frame = npt.NDArray[np.uint8]


def reference_square(case: Case, size: int) -> Frame:
    """The reference image through `mcbench.to_square`, as the protocol crops and resizes what it measures.

    Returns:
        uint8 RGB (size, size, 3).
    """
    return to_square(case.reference, size)


def driving_square(case: Case, size: int) -> Iterator[Frame]:
    """The frames of the driving video, cropped and resized likewise, for extractors.

    Yields:
        `case.frames` frames, uint8 RGB (size, size, 3).

    Raises:
        InputError: if the case has no driving video, or that ends too early.
    """
    return squares(driving_video(case), case, size)


def truth_square(case: Case, size: int) -> Iterator[Frame]:
    """The true frames, cropped and resized likewise; for methods with `needs_truth` alone.

    Yields:
        `case.frames` frames, uint8 RGB (size, size, 3).

    Raises:
        InputError: if the case has no truth, or that ends too early.
    """
    if case.truth is None:
        raise InputError(f"clip '{case.clip}': the true frames were not given; declare needs_truth in the method")
    return squares(case.truth, case, size)


def driving_video(case: Case) -> FrameSource:
    """The driving video of a case; the truth serves where a method is given that.

    Raises:
        InputError: if it has neither.
    """
    source = case.driving_video if case.driving_video is not None else case.truth
    if source is None:
        raise InputError(
            f"clip '{case.clip}': there is no driving video to extract from; declare needs_driving_video in the method"
        )
    return source


def squares(source: FrameSource, case: Case, size: int) -> Iterator[Frame]:
    count = 0
    for frame in islice(source.read(), case.frames):
        count += 1
        yield to_square(frame, size)
    if count < case.frames:
        raise InputError(f"clip '{case.clip}': the driving video has {count} frames, {case.frames} are needed")
