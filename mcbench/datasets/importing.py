"""Import a data set: look through a local source, write down what it is, and hold it against what it was before.

The first import writes the manifest; every later one is held against it, so that a name always means the same frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from mcbench.atomic import write_text
from mcbench.datasets.cards import CARD, generate_card
from mcbench.datasets.found import Location, Opened, open_location
from mcbench.datasets.imported import datasets_root, open_sources, split_folder
from mcbench.datasets.manifest import (
    ClipEntry,
    Manifest,
    describe_clip,
    make_manifest,
    read_manifest,
    write_manifest,
)
from mcbench.datasets.registry import KINDS, kind_of
from mcbench.datasets.source import (
    Part,
    Source,
    Stamp,
    digest_of,
    read_source,
    take_stamp,
    write_offsets,
    write_source,
)
from mcbench.errors import DatasetError, UsageError

__all__ = ["IMPORT_VERSION", "import_dataset"]

IMPORT_VERSION = "1"
"""Version of imported data sets; the split stands beside it."""


def import_dataset(
    name: str,
    source: Path,
    *,
    split: str | None = None,
    root: Path | None = None,
    fps: float | None = None,
    on_frames: Callable[[int], None] = lambda count: None,
    on_bytes: Callable[[str, int, int], None] = lambda file, done, total: None,
) -> Manifest:
    """Import a local source as a data set. The frames stay where they are.

    Importing the same files again is quick and changes nothing; files that have moved or were packed otherwise are
    decoded and held against the manifest.

    Args:
        name: `multi-character`, `tiktok`, `ted-talks`, or a name of one's own, `[a-z0-9][a-z0-9-]*`.
        source: a folder with a video or a folder of frames for each clip; for `tiktok` also DisCo's TSV files.
        split: its name; needed where the source does not tell it.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        fps: frames a second of folders of frames and TSV files, which do not say; by default what is known of the
            data set, and 25 for one's own.
        on_frames: called with 1 after each frame that is decoded.
        on_bytes: called with a TSV file's name, its bytes that were read, and those that it has.

    Raises:
        DatasetError: if the source is not that data set, or not what it was when first imported; names the first clip
            that differs.
        UsageError: for a name that is taken, a split that is not clear, or a rate that is none.
        VideoError: if there is no clip, or one cannot be read.
        UserError: if the documents cannot be written.
    """
    if fps is not None and not 0 < fps < math.inf:
        raise UsageError(f"{fps} frames a second: give a positive number")
    kind = kind_of(name)
    location = kind.locate(Path(source).expanduser().absolute(), split)
    folder = split_folder(name, location.split, root)
    with _lock(datasets_root(root), f"{name}.{location.split}"):
        manifest, record = _known(folder)
        try:
            # Taken before anything is read, so that files which change meanwhile are noticed when they are loaded.
            stamps = {part: take_stamp(path) for part, path in location.paths.items()}
            fps = fps or (record.fps if record is not None else kind.fps)
            if manifest is not None and record is not None and _untouched(location, stamps, fps, record, folder):
                return manifest
            opened = open_location(location, fps, on_bytes)
            kind.check(location, opened.clips)
            digests = {part: opened.digests.get(part) or digest_of(path) for part, path in location.paths.items()}
        except OSError as error:
            raise DatasetError(f"{error.filename}: cannot be read ({error.strerror}); mend its permissions") from error
        if manifest is None:
            entries = [describe_clip(clip, on_frames) for clip in opened.clips]
        else:
            _hold_against(manifest, opened, _same_parts(record, digests), folder, on_frames)
            rates = {clip.name: clip.fps for clip in opened.clips}
            entries = [entry.model_copy(update={"fps": rates[entry.name]}) for entry in manifest.clips]
        manifest = make_manifest(name, IMPORT_VERSION, location.split, entries)
        parts = {part: _part(location, part, stamps[part], digests[part]) for part in location.paths}
        offsets = {part: write_offsets(rows, folder / f"{part}.lineidx") for part, rows in opened.offsets.items()}
        if name not in KINDS:
            write_text(generate_card(manifest), folder / CARD)
        write_source(
            Source(
                folder=str(location.folder),
                layout=location.layout,
                fps=fps,
                parts=parts,
                rows=opened.rows,
                offsets=offsets,
            ),
            folder,
        )
        write_manifest(manifest, folder)  # last: a folder with a manifest is an imported split
    return manifest


@contextmanager
def _lock(root: Path, name: str) -> Iterator[None]:
    """Hold a split against a second process."""
    folder = root / ".locks"
    lock = FileLock(folder / f"{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise DatasetError(f"{root}: cannot be written ({error.strerror or error}); set MCBENCH_HOME") from error
    try:
        yield
    finally:
        lock.release()


def _known(folder: Path) -> tuple[Manifest | None, Source | None]:
    """What was written down before. What is missing or torn is written anew: there is nothing to hold it against."""
    try:
        manifest = read_manifest(folder)
    except DatasetError:
        return None, None
    try:
        return manifest, read_source(folder)
    except DatasetError:
        return manifest, None


def _untouched(location: Location, stamps: dict[str, Stamp], fps: float, record: Source, folder: Path) -> bool:
    """Whether the very files that were imported lie where they lay, and what was made of them is there."""
    if (record.folder, record.fps) != (str(location.folder), fps) or record.parts.keys() != location.paths.keys():
        return False
    if any(
        (record.parts[part].path, record.parts[part].stamp) != (_relative(location, part), stamps[part].stamp)
        for part in location.paths
    ):
        return False
    try:
        open_sources(record, folder)
    except DatasetError:
        return False
    return True


def _same_parts(record: Source | None, digests: dict[str, str]) -> set[str]:
    """Parts whose files have the bytes that they had."""
    known = record.parts if record is not None else {}
    return {part for part, digest in digests.items() if part in known and known[part].sha256 == digest}


def _hold_against(
    manifest: Manifest, opened: Opened, same: set[str], folder: Path, on_frames: Callable[[int], None]
) -> None:
    """Compare what was found with what was imported first; decode only what is not known to be the same."""
    anew = f"it was imported otherwise before; remove {folder} to import it anew"
    known = {entry.name: entry for entry in manifest.clips}
    found = {clip.name: clip for clip in opened.clips}
    for name in [*known, *found]:
        if name not in found:
            raise DatasetError(f"clip '{name}' of '{manifest.name}' is missing from the source; {anew}")
        if name not in known:
            raise DatasetError(f"clip '{name}' is not one of '{manifest.name}'; {anew}")
    for name, entry in known.items():
        if ("images" if opened.rows else name) in same:
            continue
        clip = found[name]
        if clip.frames != entry.frames:
            raise DatasetError(
                f"clip '{name}' of '{manifest.name}' has {clip.frames} frames, but had {entry.frames}; {anew}"
            )
        if _identity(describe_clip(clip, on_frames)) != _identity(entry):
            raise DatasetError(f"clip '{name}' of '{manifest.name}' has other frames than it had; {anew}")


def _identity(entry: ClipEntry) -> tuple[str, int, int | None]:
    return entry.sha256, entry.frames, entry.reference_frame


def _part(location: Location, part: str, stamp: Stamp, digest: str) -> Part:
    return Part(path=_relative(location, part), files=stamp.files, bytes=stamp.bytes, stamp=stamp.stamp, sha256=digest)


def _relative(location: Location, part: str) -> str:
    return location.paths[part].relative_to(location.folder).as_posix()
