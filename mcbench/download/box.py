"""The folder that an archive is unpacked into: which names may stand in it, and how much."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from mcbench.download.faults import DownloadError, readable_size
from mcbench.download.fetch import check_space

__all__ = ["Box", "Limits", "WriteError"]

_CHUNK: Final = 1 << 20
_MAX_DEPTH: Final = 32
_MAX_NAME: Final = 200
"""Bytes in one part of a path; file systems end at 255, and temporary names need some of them."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may unpack to.

    Attributes:
        entries: files and folders.
        size: bytes in all.
        ratio: bytes for each byte of the archive, once more than `free` bytes have come out.
        free: bytes that may come out whatever the ratio is.
    """

    entries: int = 9_999
    size: int = 200 * 10**9
    ratio: int = 200
    free: int = 1 << 20


class Readable(Protocol):
    """What a file is copied from."""

    def read(self, size: int, /) -> bytes: ...


class WriteError(Exception):
    """The disk's fault, not the archive's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Box:
    """Takes the entries of an archive one by one, and refuses what an archive may not hold.

    Args:
        archive: the file that is unpacked, for messages and for the ratio.
        folder: new, empty, and nobody else's, so that no path in it can be a link.
        limits: how much may come out.
    """

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive, self.folder, self.limits = archive, folder, limits
        self.archive_size = archive.stat().st_size
        self.room = min(limits.size, max(limits.free, self.archive_size * limits.ratio))
        self._entries = 0
        self._folders: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._made: set[Path] = set()

    def refuse(self, what: str) -> DownloadError:
        """The fault of an archive that holds what it may not."""
        return DownloadError(f"{self.archive}: {what}; if you trust it, unpack it yourself and give the folder")

    def count_entries(self, count: int = 1) -> None:
        """Of whatever kind."""
        self._entries += count
        if self._entries > self.limits.entries:
            raise self.refuse(f"holds more than {self.limits.entries} entries")

    def count_bytes(self, count: int) -> None:
        """That came out."""
        self.check_size(count)
        self.room -= count

    def check_size(self, count: int) -> None:
        """Of what is going to come out."""
        if count > self.room:
            raise self.refuse(
                f"unpacks to more than {self.limits.ratio} times its {readable_size(self.archive_size)}"
                f" or more than {readable_size(self.limits.size)}"
            )

    def place(self, name: str, *, is_folder: bool) -> Path | None:
        """Where an entry goes; None for what a Macintosh adds for itself, and for the folder as a whole.

        Raises:
            DownloadError: if the name leads elsewhere, or not every file system can hold it beside the others.
        """
        entry = f"the entry {_shown(name)}"
        if not name.isprintable():
            raise self.refuse(f"{entry} has a name that is not text")
        # A backslash separates on Windows and in the zips of some tools there; it is no harm to read it so everywhere.
        name = name.replace("\\", "/")
        if name.startswith("/") or name[1:2] == ":":
            raise self.refuse(f"{entry} has an absolute path")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refuse(f"{entry} leads out of the folder")
        if len(parts) > _MAX_DEPTH or any(len(part.encode()) > _MAX_NAME or ":" in part for part in parts):
            raise self.refuse(f"{entry} has a path that not every file system can hold")
        if not parts and is_folder:
            return None
        if not parts:
            raise self.refuse(f"{entry} has no name")
        if parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"):
            return None
        for depth in range(1, len(parts)):
            self._claim("/".join(parts[:depth]), self._folders, self._files)
        path = "/".join(parts)
        if is_folder:
            self._claim(path, self._folders, self._files)
        elif _without_case(path) in self._files:
            raise self.refuse(f"{entry} is in it twice, or differs from another only in case")
        else:
            self._claim(path, self._files, self._folders)
        return self.folder.joinpath(*parts)

    def _claim(self, path: str, kind: dict[str, str], other: dict[str, str]) -> None:
        key = _without_case(path)
        if key in other:
            raise self.refuse(f"{_shown(path)} is both a file and a folder in it")
        if kind.setdefault(key, path) != path:
            raise self.refuse(f"{_shown(kind[key])} and {_shown(path)} differ only in case")

    def make_folder(self, path: Path) -> None:
        """And those above it."""
        if path not in self._made:
            with _disk_faults():
                path.mkdir(parents=True, exist_ok=True)
            self._made.add(path)

    def write(self, path: Path, size: int, source: Readable) -> None:
        """Copy exactly `size` bytes into a new file. Who reads from the archive counts what comes out.

        Raises:
            DownloadError: if the source ends before, or there is no room.
            WriteError: if the disk fails.
        """
        self.check_size(size)
        check_space(self.folder, size)
        self.make_folder(path.parent)
        left = size
        with _disk_faults(), path.open("xb") as stream:
            while left > 0:
                with _archive_faults():
                    block = source.read(min(left, _CHUNK))
                if not block:
                    raise self.refuse(f"the entry {_shown(path.name)} ends before its {size} bytes")
                left -= len(block)
                stream.write(block)


class _ReadError(Exception):
    """Carries an OSError of the archive past those of the disk."""


@contextmanager
def _archive_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _ReadError(*error.args) from error


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(error) from error


def _without_case(path: str) -> str:
    """What file systems that do not tell case, or composed from decomposed letters, take for one name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _shown(name: str) -> str:
    return ascii(name)[:100]
