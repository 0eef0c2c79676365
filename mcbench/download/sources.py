"""What a user gives as `--source`, and how it becomes a folder on this machine.

A folder stays where it is; what is fetched or unpacked goes below one folder for each source, and is fetched once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from mcbench.download.faults import DownloadError, cannot_write
from mcbench.download.fetch import fetch, sole_process
from mcbench.download.hub import fetch_hub
from mcbench.download.unpack import archive_kind, unpack
from mcbench.download.youtube import fetch_videos, video_ids
from mcbench.errors import UsageError
from mcbench.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

__all__ = ["Listener", "Source", "parse_source", "provide"]

_HUB_ID: Final = r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
_REVISION: Final = r"[A-Za-z0-9][\w./-]*"
_HUB_PATTERNS: Final = (
    rf"(?:hf://datasets/)?{_HUB_ID}(?:@(?P<revision>{_REVISION}))?",
    rf"https://huggingface\.co/datasets/{_HUB_ID}(?:/tree/(?P<revision>{_REVISION}))?/?",
)


_MEDIA: Final = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".tsv")


@dataclass(frozen=True)
class Listener:
    """Who is told how it goes.

    Attributes:
        on_bytes: called with what it is, the bytes done, and the bytes in all where they are known.
        on_note: called with one line that a user should read.
    """

    on_bytes: Callable[[str, int, int | None], None] = lambda what, done, total: None
    on_note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Source:
    """A source, understood.

    Attributes:
        kind: `path` is a folder or file of this machine, `address` http or https, `hub` a data set of Hugging Face,
            `youtube` videos.
        text: path, address, `owner/name` or the videos' ids, separated by commas.
        revision: of a data set of Hugging Face: a branch, tag or commit; None for the newest.
    """

    kind: Literal["path", "address", "hub", "youtube"]
    text: str
    revision: str | None = None


def parse_source(text: str) -> Source:
    """Understand a source: a path, an address, `owner/name[@revision]`, or `youtube:ID,ID`.

    A path that is there is a path, whatever else it could mean.

    Raises:
        UsageError: if it is none of them.
    """
    path = Path(text).expanduser()
    if text and _exists(path):
        return Source("path", str(path.absolute()))
    if ids := video_ids(text):
        return Source("youtube", ",".join(ids))
    first = path.parts[0] if path.parts else ""
    if not (text.startswith((".", "/", "~")) or (first and _exists(Path(first)))):
        for pattern in _HUB_PATTERNS:
            if match := re.fullmatch(pattern, text, re.ASCII):
                return Source("hub", match["id"], match["revision"])
    if re.match(r"https?://[^/]", text):
        return Source("address", text)
    raise UsageError(
        f"--source {text}: no such file or folder; give one, an http(s) address, OWNER/NAME of Hugging Face,"
        " or youtube:ID"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # an address too long for a file's name, or with a zero byte
        return False


def provide(source: Source, shelf: Path, *, offline: bool = False, listener: Listener | None = None) -> Path:
    """A folder (or single file) of this machine with what the source holds.

    Args:
        source: from `parse_source`.
        shelf: folder below which things are fetched and unpacked, one folder for each source. What lies there from
            an earlier call is taken as it is.
        offline: never touch the network.
        listener: told how it goes.

    Raises:
        DownloadError: if it cannot be fetched or unpacked, or if that would need the network while `offline`.
    """
    listener = listener or Listener()
    if source.kind == "path":
        path = Path(source.text)
        if path.is_dir() or archive_kind(path) is None:
            return path
        about = path.stat()
        place = _place(shelf, f"{path} {about.st_size} {about.st_mtime_ns}")
        return _unpacked(path, place / _stem(path.name), listener)
    if source.kind == "hub":
        folder = fetch_hub(source.text, source.revision, offline=offline)
        return _with_archives_unpacked(folder, shelf, listener)
    place = _place(shelf, source.text)
    if source.kind == "youtube":
        return fetch_videos(source.text.split(","), place / "videos", offline=offline, on_note=listener.on_note)
    return _from_address(source.text, place, offline, listener)


def _from_address(address: str, place: Path, offline: bool, listener: Listener) -> Path:
    name = re.sub(r"[^\w.-]+", "_", unquote(PurePosixPath(urlsplit(address).path).name)).lstrip(".")[:100] or "file"
    folder, file = place / _stem(name), place / "download" / name
    with sole_process(folder, lambda: listener.on_note(f"waiting for another process that fetches {address}")):
        if folder.is_dir():
            return content_folder(folder)
        if offline and not file.is_file():
            raise DownloadError(f"{address} was not fetched before, and --offline forbids it now; leave --offline out")
        if not offline:
            fetch([address], file, on_bytes=lambda done, total: listener.on_bytes(name, done, total))
        try:
            if archive_kind(file) is None:
                folder.mkdir(parents=True)
                file.replace(folder / name)
                return content_folder(folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        _unpack(file, folder, listener)
        shutil.rmtree(file.parent, ignore_errors=True)
        return content_folder(folder)


def _unpacked(archive: Path, folder: Path, listener: Listener) -> Path:
    with sole_process(folder, lambda: listener.on_note(f"waiting for another process that unpacks {archive}")):
        if not folder.is_dir():
            _unpack(archive, folder, listener)
    return content_folder(folder)


def _unpack(archive: Path, folder: Path, listener: Listener) -> None:
    # Nobody else is at it: what a killed process left half unpacked may go.
    for torn in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(torn, ignore_errors=True)
    unpack(archive, folder, on_bytes=lambda done, total: listener.on_bytes(f"unpacking {archive.name}", done, total))


def _with_archives_unpacked(folder: Path, shelf: Path, listener: Listener) -> Path:
    """Data sets of the hub often hold archives and a page about them, and no clip as it is."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if any(file.suffix.lower() in _MEDIA for file in files):
        return content_folder(folder)
    archives = [file for file in files if archive_kind(file)]
    if not archives:
        return folder
    # The hub names the files of a snapshot by their content.
    place = _place(shelf, " ".join(str(file.resolve()) for file in archives))
    for archive in archives:
        _unpacked(archive, place / folder.name / _stem(archive.name), listener)
    return content_folder(place / folder.name)


def content_folder(folder: Path) -> Path:
    """Step into the single folder that many archives hold, unless that is a clip itself."""
    while True:
        inside = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        if len(inside) != 1 or _has_files(folder) or not _has_clips(inside[0]):
            return folder
        folder = inside[0]


def _has_clips(folder: Path) -> bool:
    return _has_files(folder) or any(entry.is_dir() and not entry.name.startswith(".") for entry in folder.iterdir())


def _has_files(folder: Path) -> bool:
    """Whether it has videos or TSV files itself; images alone make it a clip, not a data set."""
    return any(entry.suffix.lower() in (*VIDEO_SUFFIXES, ".tsv") for entry in folder.iterdir() if entry.is_file())


def _place(shelf: Path, identity: str) -> Path:
    return shelf / hashlib.sha256(identity.encode()).hexdigest()[:12]


def _stem(name: str) -> str:
    """Without the endings of archives; a split may be called so."""
    return re.sub(r"(\.(zip|tar|tgz|tbz2|gz|bz2))+$", "", name, flags=re.IGNORECASE) or name
