"""The folder of the training data while it is made: what is asked for, what is done, who works on what.

    DATA/preprocess.json      what is made here; another request is refused
    DATA/index-000000.json    a unit that is done; written after its shards
    DATA/manifest.json        written when all units are done
    DATA/.locks/              claims

Any number of processes may work in one folder, on one machine or several that share it: a unit is claimed by a lock
that the operating system lets go when its holder dies.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fypv2.training.clips import ShardError
from fypv2.training.shards import INDEX_SCHEMA, MANIFEST, SHARDS_SCHEMA

__all__ = ["DataFolder"]


class DataFolder:
    """Paths, claims and the two JSON files of a run.

    Args:
        path: made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def identify(self, request: dict[str, Any]) -> None:
        """Write down what is made here, or hold it against what was written down before.

        Raises:
            ShardError: if the folder holds another request or other files, or cannot be written to.
        """
        file = self.path / "preprocess.json"
        with self._locked("run"):
            try:
                if not file.exists():
                    strange = next((entry.name for entry in sorted(self.path.iterdir()) if entry.name[0] != "."), None)
                    if strange is not None:
                        raise ShardError(f"{self.path}: holds '{strange}' already; give an empty folder with -o")
                    self._write("preprocess.json", _json(request))
                    return
                known = json.loads(file.read_bytes())
            except (ValueError, RecursionError):
                raise ShardError(f"{file}: damaged; give another folder with -o") from None
            except OSError as error:
                raise self._unwritable(error) from error
        if not isinstance(known, dict):
            raise ShardError(f"{file}: damaged; give another folder with -o")
        for key in sorted(request.keys() | known.keys()):
            if request.get(key) != known.get(key):
                raise ShardError(
                    f"{self.path}: was begun with {key} {_short(known.get(key))}, not {_short(request.get(key))};"
                    " give another folder with -o"
                )

    def is_done(self, unit: int) -> bool:
        """Whether a unit's index and all shards that it names are there, in their sizes."""
        try:
            index = self._index(unit)
            return all((self.path / row["file"]).stat().st_size == row["bytes"] for row in index["shards"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def write_index(self, unit: int, document: dict[str, Any]) -> None:
        """Declare a unit done.

        Raises:
            ShardError: if the disk is full or the folder cannot be written to.
        """
        self._write(_index_name(unit), _json(document))

    @contextmanager
    def claim(self, unit: int, *, wait: bool) -> Iterator[bool]:
        """Hold a unit while working on it.

        Args:
            unit: its number.
            wait: until another process lets it go; otherwise yields False if another holds it.

        Raises:
            ShardError: if locks cannot be made there.
        """
        lock = self._lock(f"unit-{unit:06d}")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield True
        finally:
            lock.release()

    def write_manifest(self, request: dict[str, Any], units: int) -> dict[str, Any]:
        """Writes the manifest of a finished run, whose bytes depend on the request and the data alone.

        Args:
            request: as for `identify`.
            units: how many there are.

        Raises:
            ShardError: if a unit is not done, or the folder cannot be written to.
        """
        shards, indexes, bad, extractors = [], [], [], []
        totals: Counter[str] = Counter(clips=0, frames=0, bytes=0)
        reasons: Counter[str] = Counter()
        notes: set[str] = set()
        for unit in range(units):
            name = _index_name(unit)
            try:
                data = (self.path / name).read_bytes()
                index = json.loads(data)
            except (OSError, ValueError):
                raise ShardError(f"{self.path / name}: cannot be read; run the same command again") from None
            shards += index["shards"]
            indexes.append({"file": name, "clips": len(index["clips"]), "sha256": hashlib.sha256(data).hexdigest()})
            bad += index["bad_videos"]
            if index["extractors"] and index["extractors"] not in extractors:
                extractors.append(index["extractors"])
            notes.update(index["notes"])
            for row in index["left_out"]:
                reasons[row["reason"]] += row["frames"]
            totals["clips"] += len(index["clips"])
            totals["frames"] += sum(row["frames"] for row in index["clips"])
            totals["bytes"] += sum(row["bytes"] for row in index["shards"])
        manifest = {
            "schema": SHARDS_SCHEMA,
            "settings": request,
            "extractors": extractors,
            "totals": dict(totals),
            "frames_left_out": dict(sorted(reasons.items())),
            "notes": sorted(notes),
            "bad_videos": bad,
            "shards": shards,
            "indexes": indexes,
        }
        with self._locked("run"):
            self._write(MANIFEST, _json(manifest))
        return manifest

    def _index(self, unit: int) -> dict[str, Any]:
        index = json.loads((self.path / _index_name(unit)).read_bytes())
        if not isinstance(index, dict) or index.get("schema") != INDEX_SCHEMA or index.get("unit") != unit:
            raise ValueError("another kind of file")
        return index

    def _write(self, name: str, data: bytes) -> None:
        """A whole file or none; whoever calls holds the lock that makes it the only writer."""
        partial = self.path / f".{name}.partial"
        try:
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self.path / name)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise self._unwritable(error) from error

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = self._lock(name)
        try:
            lock.acquire()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _lock(self, name: str) -> FileLock:
        try:
            (self.path / ".locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return FileLock(self.path / ".locks" / f"{name}.lock")

    def _unwritable(self, error: OSError) -> ShardError:
        return ShardError(
            f"{self.path}: cannot be written ({error.strerror or error}); free space there, mend its permissions, or"
            " give another folder with -o"
        )


def _index_name(unit: int) -> str:
    return f"index-{unit:06d}.json"


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
