"""Training data on disk: WebDataset tar shards with a manifest, read at random by offsets.

    DATA/manifest.json        schema fypv2.shards/1: settings, extractors, digests of all other files, bad videos
    DATA/index-000000.json    schema fypv2.index/1: where each clip of a unit of work lies, and what was left out
    DATA/shard-000000.tar     the clips of that unit; shard-000000-1.tar … where one would be too large

A clip is a run of tar members (`fypv2.training.members`), so plain tar and the webdataset library read the shards too.
Nothing in them is trusted: names, kinds, places and sizes are checked before a byte is used, and nothing is unpacked
to disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from fypv2.training.clips import ClipInfo, ShardError, TrainingClip
from fypv2.training.members import MOST_FRAMES, MOST_PEOPLE, MOST_SIDE, SampleHeader, decode_sample

__all__ = ["INDEX_SCHEMA", "MANIFEST", "SHARDS_SCHEMA", "Shards", "open_shards"]

SHARDS_SCHEMA = "fypv2.shards/1"
INDEX_SCHEMA = "fypv2.index/1"
MANIFEST = "manifest.json"

_BLOCK = 512
_MOST_JSON = 1 << 28
_MOST_HEADER = 1 << 16
_MOST_MEMBER = 1 << 31
_SHARD = re.compile(r"shard-\d{6}(-\d{1,4})?\.tar")
_INDEX = re.compile(r"index-\d{6}\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENDING = re.compile(r"json|(poses|flow|depth|masks)\.npz|\d{5}\.(png|jpg)")
_KEPT_INDEXES = 64


def open_shards(folder: Path | str) -> Shards:
    """Training data that `fypv2 preprocess` made. The sizes of all shards are checked, and nothing of them is read.

    Raises:
        ShardError: if it is unfinished, damaged, or none.
    """
    return Shards(Path(folder))


class Shards:
    """A `ClipSource` on disk. It holds no open file: it may be pickled, and shared by threads and processes.

    Args:
        folder: with `manifest.json`.

    Raises:
        ShardError: as `open_shards`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = _read(folder / MANIFEST, f"{folder}: holds no finished training data; run `fypv2 preprocess` to its end")
        self._digest = hashlib.sha256(data).hexdigest()
        self.manifest: dict[str, Any] = _document(data, SHARDS_SCHEMA, folder / MANIFEST)
        try:
            self._shards = {
                str(row["file"]): (int(row["bytes"]), str(row["sha256"])) for row in self.manifest["shards"]
            }
            self._indexes = [
                (str(row["file"]), str(row["sha256"]), int(row["clips"])) for row in self.manifest["indexes"]
            ]
        except (KeyError, TypeError, ValueError):
            raise ShardError(f"{folder / MANIFEST}: shards or indexes are not listed as they should be") from None
        for file, (size, sha256) in self._shards.items():
            if not _SHARD.fullmatch(file) or not _SHA256.fullmatch(sha256) or size < 0:
                raise ShardError(f"{folder / MANIFEST}: {file[:80]!r} is no shard; it was not made here")
        for file, sha256, clips in self._indexes:
            if not _INDEX.fullmatch(file) or not _SHA256.fullmatch(sha256) or clips < 0:
                raise ShardError(f"{folder / MANIFEST}: {file[:80]!r} is no index; it was not made here")
        self._ends = list(accumulate(clips for _, _, clips in self._indexes))
        for file, (size, _) in self._shards.items():
            try:
                found = (folder / file).stat().st_size
            except OSError as error:
                raise ShardError(f"{folder / file}: {error.strerror or error}; {_remedy(file)}") from error
            if found != size:
                raise ShardError(f"{folder / file}: {found} bytes of {size}; it is torn, {_remedy(file)}")

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[TrainingClip]:
        return (self.read(index) for index in range(len(self)))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the manifest, which holds those of shards and indexes."""
        return self._digest

    def info(self, index: int) -> ClipInfo:
        """What is known of a clip without reading its pixels.

        Raises:
            IndexError: if there is no such clip.
            ShardError: if its index is not what the manifest says.
        """
        row = self._row(index)
        return ClipInfo(row["name"], row["frames"], (row["height"], row["width"]), row["fps"], row["people"])

    def read(self, index: int, frames: Sequence[int] | None = None) -> TrainingClip:
        """A clip, or chosen frames of it; see `ClipSource.read`.

        Raises:
            IndexError: if there is no such clip.
            ShardError: if it is not there as the manifest says.
            ValueError: for frames that the clip has not, or that do not rise.
        """
        row = self._row(index)
        path = self.folder / row["shard"]
        where = f"{path}, clip {row['key']}"
        try:
            with path.open("rb") as stream:
                members = _members(stream, row, where)

                def load(ending: str) -> bytes:
                    if ending not in members:
                        raise ShardError(f"{where}: has no {ending}; {_remedy(row['shard'])}")
                    offset, size = members[ending]
                    stream.seek(offset)
                    return stream.read(size)

                if members.get("json", (0, _MOST_HEADER + 1))[1] > _MOST_HEADER:
                    raise ShardError(f"{where}: has no JSON, or too much; {_remedy(row['shard'])}")
                header = SampleHeader.from_bytes(load("json"), where)
                if any(
                    getattr(header, field) != row[field] for field in ("name", "frames", "height", "width", "people")
                ):
                    raise ShardError(f"{where}: is not the clip that the index names; {_remedy(row['shard'])}")
                return decode_sample(header, load, where, frames)
        except OSError as error:
            raise ShardError(f"{path}: cannot be read ({error.strerror or error}); mend that") from error

    def verify(self, on_shard: Callable[[str], None] | None = None) -> list[str]:
        """Reads everything and compares digests.

        Args:
            on_shard: told each shard's name before it is read.

        Returns:
            One line for each file that is not what was written; empty if all are.
        """
        faults = []
        listed = frozenset(self._shards.items())
        for index, index_sha256, clips in self._indexes:
            try:
                # Not from memory, where it may be whole.
                _read_index.__wrapped__(self.folder / index, index_sha256, clips, listed)
            except ShardError as error:
                faults.append(str(error))
        for file, (_, sha256) in self._shards.items():
            if on_shard is not None:
                on_shard(file)
            digest = hashlib.sha256()
            try:
                with (self.folder / file).open("rb") as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
            except OSError as error:
                faults.append(f"{self.folder / file}: cannot be read ({error.strerror or error}); {_remedy(file)}")
                continue
            if digest.hexdigest() != sha256:
                faults.append(f"{self.folder / file}: its bytes are not those that were written; {_remedy(file)}")
        return faults

    def _row(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        number = bisect_right(self._ends, index)
        return self._index(number)[index - (self._ends[number - 1] if number else 0)]

    def _index(self, number: int) -> list[dict[str, Any]]:
        file, sha256, clips = self._indexes[number]
        return _read_index(self.folder / file, sha256, clips, frozenset(self._shards.items()))


@lru_cache(_KEPT_INDEXES)
def _read_index(path: Path, sha256: str, clips: int, shards: frozenset[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The clips of one index, checked."""
    data = _read(path, f"{path}: is missing; run the same command again")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ShardError(f"{path}: its bytes are not those that were written; delete it and run the same command again")
    rows = _document(data, INDEX_SCHEMA, path).get("clips")
    if not isinstance(rows, list) or len(rows) != clips:
        raise ShardError(f"{path}: does not list {clips} clips; it was not made here")
    sizes = {file: size for file, (size, _) in shards}
    for row in rows:
        try:
            ok = (
                isinstance(row["name"], str)
                and re.fullmatch(r"[A-Za-z0-9_-]{1,80}", row["key"]) is not None
                and all(type(row[field]) is int for field in ("frames", "height", "width", "people", "offset", "bytes"))
                and 1 <= row["frames"] <= MOST_FRAMES
                and 1 <= row["height"] <= MOST_SIDE
                and 1 <= row["width"] <= MOST_SIDE
                and 0 <= row["people"] <= MOST_PEOPLE
                and 0 < float(row["fps"]) < 1e4
                and row["offset"] >= 0
                and row["offset"] % _BLOCK == 0
                and 0 < row["bytes"] <= sizes[row["shard"]] - row["offset"]
            )
        except (KeyError, TypeError, ValueError):
            ok = False
        if not ok:
            raise ShardError(f"{path}: a clip is not listed as it should be; it was not made here")
    return rows


def _members(stream: BinaryIO, row: dict[str, Any], where: str) -> dict[str, tuple[int, int]]:
    """Offset and size of each file of a clip, from the tar headers in the clip's own stretch alone."""
    members: dict[str, tuple[int, int]] = {}
    at, end, remedy = row["offset"], row["offset"] + row["bytes"], _remedy(row["shard"])
    while at < end:
        stream.seek(at)
        try:
            member = tarfile.TarInfo.frombuf(stream.read(_BLOCK), "utf-8", "strict")
        except (tarfile.HeaderError, ValueError):
            raise ShardError(f"{where}: no tar member at byte {at}; {remedy}") from None
        key, _, ending = member.name.partition(".")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise ShardError(f"{where}: {member.name[:80]!r} is a link or no file; {remedy}")
        if key != row["key"] or not _ENDING.fullmatch(ending) or ending in members:
            raise ShardError(f"{where}: {member.name[:80]!r} does not belong there; {remedy}")
        at += _BLOCK
        if not 0 <= member.size <= min(end - at, _MOST_MEMBER):
            raise ShardError(f"{where}: {member.name[:80]!r} reaches beyond the clip; {remedy}")
        members[ending] = (at, member.size)
        at += -(-member.size // _BLOCK) * _BLOCK
    return members


def _read(path: Path, missing: str) -> bytes:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > _MOST_JSON:
                raise ShardError(f"{path}: more than {_MOST_JSON >> 20} MB; it was not made here")
            return stream.read()
    except FileNotFoundError:
        raise ShardError(missing) from None
    except OSError as error:
        raise ShardError(f"{path}: cannot be read ({error.strerror or error}); mend that") from error


def _document(data: bytes, schema: str, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ShardError(f"{path}: not JSON; it is damaged, run the same command again") from None
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise ShardError(f"{path}: not of schema {schema}; make it with this version of fypv2 preprocess")
    return document


def _remedy(file: str) -> str:
    return f"delete {file} and run the same `fypv2 preprocess` again"
