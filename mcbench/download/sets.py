"""Data sets by name: drawn, found, or imported from a source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcbench.datasets import ted_talks
from mcbench.datasets.base import Dataset
from mcbench.datasets.cards import read_card
from mcbench.datasets.imported import datasets_root, imported_names, imported_splits, load_imported, split_folder
from mcbench.datasets.importing import import_dataset
from mcbench.datasets.manifest import MANIFEST, Manifest, describe_clip, make_manifest, read_manifest, write_manifest
from mcbench.datasets.registry import KINDS, kind_of
from mcbench.datasets.synthetic import load_synthetic, synthetic_names
from mcbench.download.faults import cannot_write
from mcbench.download.sources import Listener, parse_source, provide
from mcbench.download.ted_clips import make_ted_clips
from mcbench.errors import DatasetError, UsageError, UserError, nearest

__all__ = ["FETCHED", "Prepared", "check_name", "draw_set", "find_set", "import_set"]

FETCHED = ".fetched"
"""Folder below that of the data sets for what was fetched and unpacked. Data sets that were imported lie there."""


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready.

    Attributes:
        manifest: its clips and their digests.
        folder: where its manifest is.
        state: `drawn` or `imported` just now, or `there` before.
        pinned: the fingerprint that its data card names, which is the manifest's; None if it names none.
    """

    manifest: Manifest
    folder: Path
    state: Literal["drawn", "imported", "there"]
    pinned: str | None


def check_name(name: str, root: Path | None = None, *, with_source: bool) -> None:
    """Refuse a name under which nothing can be had, before anything is done.

    Args:
        name: of a data set.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        with_source: whether a source is given for it.

    Raises:
        UsageError: if it is unknown, cannot be a name, or is drawn and needs no source.
        DatasetError: if it needs a source, with what its card says on how to get it.
    """
    if name in synthetic_names():
        if with_source:
            raise UsageError(f"'{name}' is drawn on this machine; leave --source out")
    elif with_source:
        kind_of(name)
    elif not imported_splits(name, root):
        if name in KINDS:
            raise DatasetError(f"'{name}' cannot be fetched by itself; {_how_to_get(name)}")
        known = dict.fromkeys(["weights", *synthetic_names(), *KINDS, *imported_names(root)])
        raise UsageError(
            f"nothing is called '{name}'{nearest(name, known)}; there are {', '.join(known)},"
            " and --source makes a data set of your own"
        )


def draw_set(
    name: str,
    root: Path | None = None,
    *,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
    on_check: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """A synthetic data set, drawn in full and held against the fingerprint in its data card.

    The frames are decoded once for that; while no file is newer than the manifest, it is believed.

    Args:
        name: one of `synthetic_names()`.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        on_frame: called with the frames that are drawn and those to draw.
        on_check: called with the frames that are decoded and those to decode.

    Raises:
        DatasetError: if the frames are not those that the card names.
        UserError: if the disk is full or cannot be written to.
    """
    drawn = False

    def tick(done: int, total: int) -> None:
        nonlocal drawn
        drawn = True
        on_frame(done, total)

    place = datasets_root(root)
    try:
        dataset = load_synthetic(name, place, on_frame=tick)
    except OSError as error:
        raise cannot_write(place / name, error) from error
    shelf = place / name / dataset.version
    manifest = _known(dataset, shelf)
    if manifest is None:
        manifest = _describe(dataset, on_check)
        write_manifest(manifest, shelf)
    pinned = _hold_against_card(manifest, shelf)
    return Prepared(manifest, shelf, "drawn" if drawn else "there", pinned)


def find_set(name: str, root: Path | None = None, *, split: str | None = None) -> Prepared:
    """A data set that was imported before and is as it was.

    Raises:
        UsageError, DatasetError: as `check_name`; or if its files have changed.
    """
    check_name(name, root, with_source=False)
    dataset = load_imported(name, split=split, root=root)
    folder = split_folder(name, dataset.version.split("/", 1)[1], root)
    return Prepared(read_manifest(folder), folder, "there", None)


def import_set(
    name: str,
    source: str,
    root: Path | None = None,
    *,
    split: str | None = None,
    fps: float | None = None,
    offline: bool = False,
    listener: Listener | None = None,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Prepared:
    """Fetch and unpack a source as needed, and import it.

    Args:
        name: of a data set that mcbench knows, or one's own.
        source: see `parse_source`; for `ted-talks` also its metadata table, by which the clips are made.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
        split: its name, where the source does not tell it.
        fps: frames a second, where the files do not say.
        offline: never touch the network.
        listener: told how it goes.
        on_frames: called with 1 after each frame that is decoded.

    Raises:
        UserError: if it cannot be had, or is not that data set.
    """
    shelf = datasets_root(root) / FETCHED / name
    listener = listener or Listener()
    parsed = parse_source(source)
    if name == ted_talks.NAME and parsed.kind == "path" and parsed.text.lower().endswith(".csv"):
        table = Path(parsed.text)
        split = split or KINDS[name].split
        here = make_ted_clips(
            table, split, shelf / f"table-{_digest(table)}", offline=offline, on_note=listener.on_note
        )
    else:
        here = provide(parsed, shelf, offline=offline, listener=listener)
    decoded = 0

    def tick(count: int) -> None:
        nonlocal decoded
        decoded += count
        on_frames(count)

    try:
        manifest = import_dataset(
            name,
            here,
            split=split,
            root=root,
            fps=fps,
            on_frames=tick,
            on_bytes=lambda file, done, total: listener.on_bytes(f"reading {file}", done, total),
        )
    except UserError as error:
        if shelf not in here.parents:
            raise
        place = shelf / here.relative_to(shelf).parts[0]
        raise type(error)(f"{error} (what was fetched is kept in {place}; remove it to fetch it anew)") from error
    folder = split_folder(name, manifest.split, root)
    return Prepared(manifest, folder, "imported" if decoded else "there", _hold_against_card(manifest, folder))


def _known(dataset: Dataset, shelf: Path) -> Manifest | None:
    """The manifest, if it is of these clips and no frame was written after it."""
    try:
        manifest, written = read_manifest(shelf), (shelf / MANIFEST).stat().st_mtime_ns
        if [(entry.name, entry.frames) for entry in manifest.clips] != [
            (clip.name, clip.frames) for clip in dataset.clips
        ]:
            return None
        folders = {folder for folder in shelf.iterdir() if folder.is_dir() and not folder.name.startswith(".")}
        newest = max(file.stat().st_mtime_ns for folder in folders for file in (folder / "frames").iterdir())
    except (DatasetError, OSError, ValueError):
        return None
    return manifest if newest <= written else None


def _describe(dataset: Dataset, on_check: Callable[[int, int], None]) -> Manifest:
    total, done = sum(clip.frames for clip in dataset.clips), 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        on_check(done, total)

    entries = [describe_clip(clip, tick) for clip in dataset.clips]
    return make_manifest(dataset.name, dataset.version, "test", entries)


def _hold_against_card(manifest: Manifest, folder: Path) -> str | None:
    """The fingerprint in the card's front matter, if it names one for this split."""
    try:
        pinned = read_card(manifest.name).facts.get("fingerprint")
    except UsageError:
        return None
    if isinstance(pinned, dict):
        pinned = pinned.get(manifest.split)
    if pinned not in (None, manifest.fingerprint):
        raise DatasetError(
            f"{folder}: these frames have the fingerprint {manifest.fingerprint}, but the data card of"
            f" '{manifest.name}' says {pinned}, so that numbers on them would not compare; remove that folder and get"
            " them again, and report it if it stays so"
        )
    return manifest.fingerprint if pinned else None


def _digest(table: Path) -> str:
    try:
        return hashlib.sha256(table.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise DatasetError(f"{table}: cannot be read ({error.strerror or error}); mend its permissions") from error


def _how_to_get(name: str) -> str:
    """The card's own words, in one line."""
    usage = f"`mcbench download {name} --source PATH_OR_URL` imports it"
    try:
        text = read_card(name).text
    except UsageError:
        return usage
    section = re.search(r"^## How to get it\s*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    words = " ".join(section[1].split()) if section else ""
    return f"{usage}; how to get it: {words}" if words else usage
