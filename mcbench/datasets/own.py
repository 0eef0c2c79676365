"""A data set of one's own: any folder with a video or a folder of frames for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcbench.datasets.base import Clip
from mcbench.datasets.found import Kind, Location, locate_folder

__all__ = ["OWN"]

SPLIT = "test"
FPS = 25.0
"""Of folders of frames, which do not say."""


def _locate(source: Path, split: str | None) -> Location:
    return locate_folder(source, split or SPLIT)


def _check(location: Location, clips: Sequence[Clip]) -> None:
    """Nothing is known of it."""


OWN = Kind(split=SPLIT, fps=FPS, locate=_locate, check=_check)
