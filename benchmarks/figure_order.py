"""Who is in front: in how many overlaps of two figures a prediction shows the wrong one.

For clips that mcbench draws itself, where every frame can be drawn again without one of its figures.

An *overlap* is all pixels of one frame in which figure a hides figure b: its own mask says a, and the same frame drawn
without a (its shadow stays) says b. Both drawings together are the two answers that a prediction can give there, in
the very clothes, pose and light of that frame: a in front, which is true, or b in front. An overlap is wrong if the
prediction's mean absolute difference over its pixels and channels is smaller to the second. It counts if it has at
least `LEAST_SHARE` of the picture's pixels, and if the two answers are `LEAST_DIFFERENCE` levels apart in the mean:
two figures in the same black trousers have no order that a picture shows.

The error is the share of wrong overlaps: 0 of the truth, 1 of the truth with its overlaps exchanged (`exchanged`).
Where a prediction shows neither figure, as a standing picture mostly does, whose clothes are more like the wall's
decides, which says nothing about the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.scene import Scene
from mcbench.datasets.synthetic.specs import ClipSpec

__all__ = ["LEAST_DIFFERENCE", "LEAST_SHARE", "Overlap", "exchanged", "find_overlaps", "wrong_overlaps"]

Frame = npt.NDArray[np.uint8]

LEAST_SHARE = 1 / 512
"""Of the picture: 32 pixels of 128 x 128, half of what one latent stands for."""
LEAST_DIFFERENCE = 25.0
"""A tenth of the range from black to white."""


@dataclass(frozen=True)
class Overlap:
    """One figure in front of another in one frame; n pixels.

    Attributes:
        frame: index.
        front, behind: indices of the figures.
        rows, columns: (n,) where.
        true: (n, 3) uint8, the front one's colours there.
        exchanged: (n, 3) uint8, those of the one behind.
        size: height and width of the frame.
    """

    frame: int
    front: int
    behind: int
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    true: npt.NDArray[np.uint8]
    exchanged: npt.NDArray[np.uint8]
    size: tuple[int, int]

    def is_wrong(self, frame: Frame) -> bool:
        """Whether a prediction of that frame, brought to its size, shows the wrong figure."""
        shown = frame[self.rows, self.columns].astype(np.int64)
        return bool(np.abs(shown - self.exchanged).sum() < np.abs(shown - self.true).sum())


class _Invisible:
    """In the place of a figure: casts its shadow, and is not there."""

    def solids(self, pose: Any) -> list[Any]:
        return []


def find_overlaps(spec: ClipSpec, frames: Sequence[int]) -> Iterator[Overlap]:
    """The overlaps that count.

    Args:
        spec: of the clip.
        frames: indices of the frames to look at.
    """
    scene = Scene(spec)
    drawing: Any = scene
    figures = list(scene.figures)
    least = LEAST_SHARE * spec.size**2
    for index in frames:
        drawing.figures = figures
        full = scene.frame(index)
        for front in np.unique(full.mask[full.mask > 0]).tolist():
            drawing.figures = [_Invisible() if k + 1 == front else figure for k, figure in enumerate(figures)]
            without = scene.frame(index)
            hides = (full.mask == front) & (without.mask > 0)
            for behind in np.unique(without.mask[hides]).tolist():
                rows, columns = np.nonzero(hides & (without.mask == behind))
                true, other = full.image[rows, columns], without.image[rows, columns]
                if len(rows) >= least and np.abs(true.astype(int) - other).mean() >= LEAST_DIFFERENCE:
                    yield Overlap(index, front - 1, behind - 1, rows, columns, true, other, full.mask.shape)


def wrong_overlaps(prediction: Iterable[Frame], overlaps: Iterable[Overlap]) -> list[bool]:
    """Of each overlap, in the order of the frames, whether the prediction shows the wrong figure in front.

    Args:
        prediction: frames in order, uint8 RGB (H, W, 3), square; another size than the clip's is resized.
        overlaps: of `find_overlaps`.
    """
    by_frame: dict[int, list[Overlap]] = {}
    for overlap in overlaps:
        by_frame.setdefault(overlap.frame, []).append(overlap)
    wrong: list[bool] = []
    for index, frame in enumerate(prediction):
        here = by_frame.pop(index, ())
        for overlap in here:
            height, width = overlap.size
            shown = frame if frame.shape[:2] == overlap.size else cv2.resize(frame, (width, height))
            wrong.append(overlap.is_wrong(np.asarray(shown)))
    if by_frame:
        raise ValueError(f"the prediction ends before frame {min(by_frame)}, in which figures overlap")
    return wrong


def exchanged(truth: Sequence[Frame], overlaps: Iterable[Overlap]) -> list[Frame]:
    """The truth with the hidden figure in front in every overlap: what has an error of 1."""
    frames = [frame.copy() for frame in truth]
    for overlap in overlaps:
        frames[overlap.frame][overlap.rows, overlap.columns] = overlap.exchanged
    return frames
