"""The two ends of every scale: a video that never moves, and the truth itself.

A method that does not beat `copy-reference` has learned nothing; `truth` shows what each metric says at its best.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mcbench import Case, Method

__all__ = ["CopyReference", "Truth"]


class CopyReference(Method):
    """Repeats the reference frame."""

    name: ClassVar[str] = "copy-reference"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "repeats the reference frame; the floor"

    def animate(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The reference image, `case.frames` times."""
        for _ in range(case.frames):
            yield case.reference


class Truth(Method):
    """Returns the truth."""

    name: ClassVar[str] = "truth"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "returns the truth; the ceiling"
    needs_truth: ClassVar[bool] = True

    def animate(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The true frames."""
        assert case.truth is not None  # declared by needs_truth
        yield from islice(case.truth.read(), case.frames)
