"""What a loader finds at a source: which clips lie where, and in which split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import Clip
from mcbench.datasets.tsv import Tsv, TsvFrames, TsvRows, open_tsv
from mcbench.errors import DatasetError, UsageError
from mcbench.video import find_clips, open_frames

__all__ = ["Kind", "Location", "Opened", "clip_name", "locate_folder", "open_location", "split_name", "tsv_clips"]

Layout = Literal["clips", "tsv"]


@dataclass(frozen=True)
class Location:
    """Where a split lies; nothing in it was read yet.

    Attributes:
        folder: its folder, absolute.
        split: its name.
        layout: `clips`, a video or folder of frames for each clip; `tsv`, DisCo's files.
        paths: the clips by name, or the TSV files by part.
    """

    folder: Path
    split: str
    layout: Layout
    paths: dict[str, Path]


@dataclass(frozen=True)
class Opened:
    """A split whose files were looked through; no frame was decoded yet.

    Attributes:
        clips: its clips.
        digests: SHA-256 (hex) of the parts that were read anyway.
        rows: first row and number of rows of each clip, in a TSV.
        offsets: of each TSV file, see `TsvRows`.
    """

    clips: tuple[Clip, ...]
    digests: dict[str, str] = field(default_factory=dict)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    offsets: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What is known of a data set before it is seen.

    Attributes:
        split: the split that is meant where none is named and several are there.
        fps: frames a second, where the files do not say.
        locate: finds the split in what the user points at.
        check: holds the clips against what is known of them; raises DatasetError.
    """

    split: str
    fps: float
    locate: Callable[[Path, str | None], Location]
    check: Callable[[Location, Sequence[Clip]], None]


def clip_name(stem: str) -> str:
    """The name of a file or folder as that of a clip.

    Every run of characters other than `A-Z a-z 0-9 _ . -` becomes one `_`, and an ending `.mp4` goes: MRAA's
    preprocessing gives its folders of frames that ending.
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem.removesuffix(".mp4"))


def split_name(text: str) -> str:
    """A split's name, as it was given.

    Raises:
        UsageError: if it cannot be the name of a folder everywhere.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise UsageError(f"'{text}' cannot name a split; name it with --split, in letters, digits, '_', '.' and '-'")
    return text


def locate_folder(folder: Path, split: str) -> Location:
    """A folder with a video or a folder of frames for each clip.

    Raises:
        VideoError: if it is not there or holds no clip.
        DatasetError: if two clips would have the same name.
    """
    paths: dict[str, Path] = {}
    for stem, path in find_clips(folder).items():
        name = clip_name(stem)
        if name in paths:
            raise DatasetError(f"{folder}: {paths[name].name} and {path.name} would both be clip '{name}'; rename one")
        paths[name] = path
    return Location(folder, split_name(split), "clips", paths)


def open_location(
    location: Location, fps: float, on_bytes: Callable[[str, int, int], None] = lambda file, done, total: None
) -> Opened:
    """The clips of a split. A TSV is read from end to end and held against itself.

    Args:
        location: where it lies.
        fps: frames a second of what does not say it itself.
        on_bytes: called while a TSV is read, see `open_tsv`.

    Raises:
        DatasetError, VideoError: if something is wrong with a file.
    """
    if location.layout == "clips":
        clips = []
        for name, path in location.paths.items():
            source = open_frames(path, fps)
            clips.append(Clip(name=name, source=source, frames=source.frames, fps=source.fps or fps))
        return Opened(tuple(clips))
    tsv = open_tsv(location.paths, on_bytes)
    rows = _named(tsv, location.paths["images"])
    files = {part: file.rows for part, file in tsv.files.items()}
    return Opened(
        clips=tsv_clips(files, rows, fps),
        digests={part: file.sha256 for part, file in tsv.files.items()},
        rows=rows,
        offsets={part: file.rows.offsets for part, file in tsv.files.items() if part != "vid2line"},
    )


def tsv_clips(files: dict[str, TsvRows], rows: dict[str, tuple[int, int]], fps: float) -> tuple[Clip, ...]:
    """Clips over the files of a TSV split.

    Args:
        files: images, poses and masks.
        rows: first row and number of rows of each clip.
        fps: frames a second.
    """
    return tuple(
        Clip(
            name=name,
            source=TsvFrames(files["images"], first, count, fps, files["poses"], files["masks"]),
            frames=count,
            fps=fps,
        )
        for name, (first, count) in rows.items()
    )


def _named(tsv: Tsv, path: Path) -> dict[str, tuple[int, int]]:
    rows: dict[str, tuple[int, int]] = {}
    for stem, place in tsv.clips.items():
        name = clip_name(stem)
        if name in rows:
            raise DatasetError(f"{path}: two clips would both be '{name}'; rename one")
        rows[name] = place
    return rows
