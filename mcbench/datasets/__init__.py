"""The data sets: by name, or a folder of truths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mcbench.datasets.base import KEYPOINT_NAMES, Annotations, Clip, Dataset, FrameSource, ReferenceAnnotations
from mcbench.datasets.imported import datasets_root, imported_names, load_imported
from mcbench.datasets.importing import import_dataset
from mcbench.datasets.registry import KINDS
from mcbench.datasets.synthetic import load_synthetic, synthetic_names
from mcbench.errors import DatasetError, UsageError, nearest
from mcbench.video import find_clips, open_frames

__all__ = [
    "KEYPOINT_NAMES",
    "Annotations",
    "Clip",
    "Dataset",
    "FrameSource",
    "ReferenceAnnotations",
    "dataset_names",
    "import_dataset",
    "load_dataset",
    "open_truth",
    "truth_clip",
]

DEFAULT_FPS = 25.0
"""Of truths in folders of frames, which do not say."""

SYNTHETIC_SPLIT = "test"


def dataset_names(root: Path | None = None) -> list[str]:
    """Names that `load_dataset` takes as things stand: the synthetic sets, then what was imported.

    Args:
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
    """
    return [*synthetic_names(), *imported_names(root)]


def load_dataset(
    name: str,
    *,
    clips: int | None = None,
    frames: int | None = None,
    root: Path | None = None,
    on_frame: Callable[[int, int], None] | None = None,
    split: str | None = None,
) -> Dataset:
    """A data set by name. A synthetic one is drawn on first use, and only as much of it as is asked for.

    Args:
        name: one of `dataset_names()`.
        clips: only the first that many.
        frames: only the first that many of each clip.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        on_frame: called with frames made and frames to make while one is drawn.
        split: of an imported data set; by default the one that there is, or that is meant without a name.

    Raises:
        UsageError: for an unknown name or split, or fewer than one clip or frame.
        DatasetError: if a data set was not imported yet, or what was imported has moved, changed or gone.
    """
    for option, count in (("--clips", clips), ("--frames", frames)):
        if count is not None and count < 1:
            raise UsageError(f"{option} {count}: at least 1")
    if name in synthetic_names():
        if split not in (None, SYNTHETIC_SPLIT):
            raise UsageError(f"data set '{name}' has no split '{split}'; there is {SYNTHETIC_SPLIT}")
        home = datasets_root(root)
        try:
            return load_synthetic(name, home, clips=clips, frames=frames, on_frame=on_frame)
        except OSError as error:
            why = error.strerror or error
            raise DatasetError(
                f"{home}: '{name}' cannot be drawn there ({why}); free space, or set MCBENCH_HOME"
            ) from error
    known = list(dict.fromkeys([*dataset_names(root), *KINDS]))
    if name not in known:
        raise UsageError(f"no data set is called '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return load_imported(name, split=split, clips=clips, frames=frames, root=root)


def open_truth(folder: Path) -> Dataset:
    """A folder of truths, `<clip>/*.png` or `<clip>.mp4`; the first frame of each clip is its reference frame.

    Raises:
        VideoError: if there is no clip, or one cannot be read.
    """
    clips = tuple(truth_clip(name, path) for name, path in find_clips(folder).items())
    return Dataset(name="custom", version="1", clips=clips, folder=folder)


def truth_clip(name: str, path: Path) -> Clip:
    """One clip of a folder of truths.

    Raises:
        VideoError: if it cannot be read.
    """
    source = open_frames(path)
    return Clip(name=name, source=source, frames=source.frames, fps=source.fps or DEFAULT_FPS)
