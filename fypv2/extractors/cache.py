"""What extractors found, kept by content: arrays in files that are there whole or not at all.

An entry is a zip archive of `.npy` members with a seal, which holds the key and the SHA-256 of every member. One that
is torn, changed, or of another key is made again. Arrays go in and come out one by one, so that a long clip's maps are
never in memory together.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mcbench import home_folder

__all__ = ["ArrayCache", "content_key"]

Array = npt.NDArray[Any]

_FORMAT = "inputs/1"
_SEAL = "seal.json"
_LARGEST = 1 << 28
"""Bytes of one member; none that is made here comes near, so a larger one is a forged or damaged entry."""
_STALE_SECONDS = 86_400.0
_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What zipfile, json and numpy raise for bytes that are not theirs; RuntimeError is an entry that claims a password."""


def content_key(*parts: Any) -> str:
    """SHA-256 (hex) over values that JSON can hold: what was looked at, by what, and at which size."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class ArrayCache:
    """Sequences of arrays by key, on disk.

    Args:
        folder: where the files lie; default `cache/inputs` in `mcbench.home_folder()`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = home_folder() / "cache" / "inputs" if folder is None else folder

    def path(self, key: str) -> Path:
        """Where the entry of a key lies."""
        return self.folder / key[:2] / f"{key}.zip"

    def kept(self, key: str, make: Callable[[], Iterable[Array]]) -> Iterator[Array]:
        """The arrays of a key: read where they are known, else made, handed on as they come, and kept once complete.

        A cache that cannot be written to costs time, not a run. Nothing is kept of what was not asked for to its end.

        Args:
            key: of `content_key`.
            make: makes the arrays, in order; called only where they are not known.
        """
        try:
            stream = self.path(key).open("rb")
        except OSError:  # a folder in its place, or no permission: as good as not there
            yield from self._made(key, make)
            return
        # What is checked is what is read, even if another process replaces the file meanwhile.
        with stream:
            members = _sealed(stream, key)
            if members is not None:
                with zipfile.ZipFile(stream) as archive:
                    for name in members:
                        yield np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                return
        yield from self._made(key, make)

    def _made(self, key: str, make: Callable[[], Iterable[Array]]) -> Iterator[Array]:
        writer = _Writer(self.path(key), key)
        try:
            for array in make():
                writer.add(array)
                yield array
            writer.finish()
        finally:
            writer.discard()


def _sealed(stream: BinaryIO, key: str) -> list[str] | None:
    """The names of an entry's members in order, None unless all is as it was written under that key."""
    try:
        with zipfile.ZipFile(stream) as archive:
            if any(member.file_size > _LARGEST for member in archive.infolist()):
                return None
            seal = json.loads(archive.read(_SEAL))
            if seal["format"] != _FORMAT or seal["key"] != key:
                return None
            digests = dict(seal["members"])
            if sorted([*digests, _SEAL]) != sorted(archive.namelist()):
                return None
            for name, digest in digests.items():
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != digest:
                    return None
                np.load(io.BytesIO(content), allow_pickle=False)  # a forged seal may cover what is no array
            return list(digests)
    except _DAMAGED:
        return None


class _Writer:
    """An entry on its way, in a temporary file beside its place; after the first fault of the disk it does nothing."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._digests: dict[str, str] = {}
        self._temporary: Path | None = None
        self._archive: zipfile.ZipFile | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*"):  # of a process that was killed
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            self._temporary = Path(name)
            self._archive = zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        except OSError:
            self.discard()

    def add(self, array: Array) -> None:
        """Takes up the next array."""
        if self._archive is None:
            return
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(array), allow_pickle=False)
        name = f"{len(self._digests):06d}.npy"
        self._digests[name] = hashlib.sha256(content.getbuffer()).hexdigest()
        self._write(name, content.getvalue())

    def finish(self) -> None:
        """Seals the entry and puts it in its place."""
        seal = {"format": _FORMAT, "key": self._key, "members": self._digests}
        self._write(_SEAL, json.dumps(seal).encode())
        if self._archive is None or self._temporary is None:
            return
        with suppress(OSError):
            self._archive.close()
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Removes what did not get to its place."""
        if self._archive is not None:
            with suppress(OSError, ValueError):
                self._archive.close()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
        self._archive = None

    def _write(self, name: str, content: bytes) -> None:
        if self._archive is None:
            return
        try:
            self._archive.writestr(name, content)
        except OSError:
            self.discard()
