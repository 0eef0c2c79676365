"""Imported data sets as they lie under `$MCBENCH_HOME/datasets/<name>/<split>`: which there are, and loading one.

dataset.json    the manifest: the clips and the digests of their frames
source.json     where the frames lie; they are not copied
card.md         the data card, of a data set of one's own
*.lineidx       offsets of the rows, of a TSV
"""

from __future__ import annotations

from pathlib import Path

from mcbench.datasets.base import Clip, Dataset, FrameSource
from mcbench.datasets.found import tsv_clips
from mcbench.datasets.manifest import MANIFEST, read_manifest
from mcbench.datasets.registry import KINDS, kind_of
from mcbench.datasets.source import SOURCE, Source, check_parts, read_offsets, read_source
from mcbench.datasets.tsv import TsvRows
from mcbench.errors import DatasetError, UsageError, nearest
from mcbench.home import home_folder
from mcbench.video import open_frames

__all__ = ["datasets_root", "imported_names", "imported_splits", "load_imported", "open_sources", "split_folder"]


_TSV_PARTS = {"images", "poses", "masks"}
"""Those of which rows are read; vid2line is only checked."""


def datasets_root(root: Path | None) -> Path:
    """`root`, or the user's own folder of data sets."""
    return root if root is not None else home_folder() / "datasets"


def split_folder(name: str, split: str, root: Path | None = None) -> Path:
    """Where a split's documents lie."""
    return datasets_root(root) / name / split


def imported_splits(name: str, root: Path | None = None) -> list[str]:
    """The splits of a data set that were imported."""
    return sorted(
        file.parent.name
        for file in (datasets_root(root) / name).glob(f"*/{SOURCE}")
        if (file.parent / MANIFEST).exists() and not file.parent.name.startswith(".")
    )


def imported_names(root: Path | None = None) -> list[str]:
    """The data sets of which a split was imported."""
    folders = sorted(file.parent.parent.name for file in datasets_root(root).glob(f"*/*/{SOURCE}"))
    return [name for name in dict.fromkeys(folders) if not name.startswith(".") and imported_splits(name, root)]


def load_imported(
    name: str,
    *,
    split: str | None = None,
    clips: int | None = None,
    frames: int | None = None,
    root: Path | None = None,
) -> Dataset:
    """An imported data set. Its version names its split, as in `1/new10val`.

    Args:
        name: one of `imported_names()`, or of `KINDS`.
        split: by default the only one that there is, or the one that is meant without a name.
        clips: only the first that many.
        frames: only the first that many of each clip.
        root: folder of the data sets.

    Raises:
        DatasetError: if it was not imported, or its source has moved, changed or gone.
        UsageError: if it is not clear which split is meant.
    """
    split = _choose(name, split, imported_splits(name, root))
    folder = split_folder(name, split, root)
    manifest, source = read_manifest(folder), read_source(folder)
    check_parts(source, f"import it again: mcbench download {name} --source DIR")
    sources = open_sources(source, folder)
    missing = next((entry.name for entry in manifest.clips if entry.name not in sources), None)
    if missing is not None:
        raise DatasetError(f"{folder}: manifest and source differ in clip '{missing}'; import the data set again")
    return Dataset(
        name=name,
        version=f"{manifest.version}/{manifest.split}",
        clips=tuple(
            Clip(
                name=entry.name,
                source=sources[entry.name],
                frames=min(entry.frames, frames or entry.frames),
                fps=entry.fps,
                reference_frame=entry.reference_frame,
            )
            for entry in manifest.clips[:clips]
        ),
    )


def open_sources(source: Source, folder: Path) -> dict[str, FrameSource]:
    """The frames of each clip of a split.

    Args:
        source: where they lie.
        folder: where the split's documents lie.

    Raises:
        DatasetError: if the offsets of a TSV are gone, or do not fit its clips.
    """
    paths = {name: Path(source.folder) / part.path for name, part in source.parts.items()}
    if source.layout == "clips":
        return {name: open_frames(path, source.fps) for name, path in paths.items()}
    unfit = DatasetError(f"{folder}: what is known of its TSV files does not fit them; import the data set again")
    if source.offsets.keys() != _TSV_PARTS or not source.offsets.keys() <= paths.keys():
        raise unfit
    files = {
        part: TsvRows(paths[part], read_offsets(folder / f"{part}.lineidx", sha256))
        for part, sha256 in source.offsets.items()
    }
    rows = min(len(file) for file in files.values())
    if any(first < 0 or not 0 < count <= rows - first for first, count in source.rows.values()):
        raise unfit
    return {clip.name: clip.source for clip in tsv_clips(files, source.rows, source.fps)}


def _choose(name: str, split: str | None, there: list[str]) -> str:
    get = f"mcbench download {name} --source PATH_OR_URL"
    if not there:
        raise DatasetError(f"data set '{name}' is not imported yet; get it with `{get}`, see `mcbench datasets {name}`")
    if split is None:
        usual = (KINDS.get(name) or kind_of(name)).split
        if len(there) > 1 and usual not in there:
            raise UsageError(f"data set '{name}' has the splits {', '.join(there)}; name the one that you mean")
        return usual if usual in there else there[0]
    if split not in there:
        raise UsageError(
            f"data set '{name}' has no split '{split}'{nearest(split, there)}; there are {', '.join(there)},"
            f" and `{get} --split {split}` imports more"
        )
    return split
