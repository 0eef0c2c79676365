"""Multi-Character, the bench of Follow-Your-Pose v2: 20 clips, 3917 frames. Counts are the check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcbench.datasets.base import Clip
from mcbench.datasets.found import Kind, Location, locate_folder
from mcbench.errors import DatasetError, UsageError

__all__ = ["CLIPS", "FRAMES", "MULTI_CHARACTER", "NAME"]

NAME = "multi-character"
CLIPS = 20
FRAMES = 3917
"""Both from the paper, section 5.1; with windows of 16 at stride 1 that makes 3617 windows."""

SPLIT = "test"
FPS = 25.0
"""Of folders of frames: the paper gives no rate."""


def _locate(source: Path, split: str | None) -> Location:
    if split not in (None, SPLIT):
        raise UsageError(f"{NAME} has one split, '{SPLIT}'; import other clips under a name of your own")
    return locate_folder(source, SPLIT)


def _check(location: Location, clips: Sequence[Clip]) -> None:
    frames = sum(clip.frames for clip in clips)
    if (len(clips), frames) != (CLIPS, FRAMES):
        raise DatasetError(
            f"{location.folder}: {len(clips)} clips, {frames} frames, but {NAME} is {CLIPS} clips, {FRAMES} frames;"
            " complete it, or import it under a name of your own"
        )


MULTI_CHARACTER = Kind(split=SPLIT, fps=FPS, locate=_locate, check=_check)
