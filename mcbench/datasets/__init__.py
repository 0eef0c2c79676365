"""The data sets: by name, or a folder of truths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mcbench.datasets.base import KEYPOINT_NAMES, Annotations, Clip, Dataset, FrameSource, ReferenceAnnotations
from mcbench.datasets.synthetic import load_synthetic, synthetic_names
from mcbench.errors import UsageError, nearest
from mcbench.home import home_folder
from mcbench.video import find_clips, open_frames

__all__ = [
    "KEYPOINT_NAMES",
    "Annotations",
    "Clip",
    "Dataset",
    "FrameSource",
    "ReferenceAnnotations",
    "dataset_names",
    "load_dataset",
    "open_truth",
]

DEFAULT_FPS = 25.0
"""Of truths in folders of frames, which do not say."""


def dataset_names() -> list[str]:
    """Names that `load_dataset` takes."""
    return list(synthetic_names())


def load_dataset(
    name: str,
    *,
    clips: int | None = None,
    frames: int | None = None,
    root: Path | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Dataset:
    """A data set by name. A synthetic one is drawn on first use, and only as much of it as is asked for.

    Args:
        name: one of `dataset_names()`.
        clips: only the first that many.
        frames: only the first that many of each clip.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        on_frame: called with frames made and frames to make while one is drawn.

    Raises:
        UsageError: for an unknown name, or fewer than one clip or frame.
    """
    for option, count in (("--clips", clips), ("--frames", frames)):
        if count is not None and count < 1:
            raise UsageError(f"{option} {count}: at least 1")
    if name not in synthetic_names():
        raise UsageError(
            f"no data set is called '{name}'{nearest(name, dataset_names())}; there are {', '.join(dataset_names())}"
        )
    return load_synthetic(name, root or home_folder() / "datasets", clips=clips, frames=frames, on_frame=on_frame)


def open_truth(folder: Path) -> Dataset:
    """A folder of truths, `<clip>/*.png` or `<clip>.mp4`; the first frame of each clip is its reference frame.

    Raises:
        VideoError: if there is no clip, or one cannot be read.
    """
    clips = []
    for name, path in find_clips(folder).items():
        source = open_frames(path)
        clips.append(Clip(name=name, source=source, frames=source.frames, fps=source.fps or DEFAULT_FPS))
    return Dataset(name="custom", version="1", clips=tuple(clips))
