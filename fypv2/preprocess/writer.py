"""One unit of work as tar shards: the same clips give the same bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

from fypv2.training.clips import ShardError
from fypv2.training.members import SampleHeader
from fypv2.training.shards import INDEX_SCHEMA

__all__ = ["SHARD_BYTES", "UnitWriter", "shard_name"]

SHARD_BYTES = 1 << 30
"""A shard that has reached this takes no further clip; WebDataset's own advice is a few hundred MB to a few GB."""

_BLOCK = tarfile.BLOCKSIZE


def shard_name(unit: int, part: int) -> str:
    """`shard-000012.tar`, then `shard-000012-1.tar` …"""
    return f"shard-{unit:06d}.tar" if part == 0 else f"shard-{unit:06d}-{part}.tar"


class UnitWriter:
    """Writes the clips of a unit, and collects what its index says.

    Args:
        folder: of the data.
        unit: number of the unit.
        shard_bytes: see `SHARD_BYTES`.
    """

    def __init__(self, folder: Path, unit: int, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._unit, self._shard_bytes = folder, unit, shard_bytes
        self._shards: list[dict[str, Any]] = []
        self._clips: list[dict[str, Any]] = []
        self._bad: list[dict[str, Any]] = []
        self._left_out: list[dict[str, Any]] = []
        self._notes: set[str] = set()
        self._stream: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._at = 0
        self.extractors: dict[str, Any] = {}

    def add(self, key: str, header: SampleHeader, files: list[tuple[str, bytes]]) -> None:
        """Append a clip.

        Raises:
            ShardError: if the disk is full or the folder cannot be written to.
        """
        try:
            if self._stream is None:
                self._stream = self._partial.open("wb")
                self._digest, self._at = hashlib.sha256(), 0
            first = self._at
            for ending, data in files:
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size, member.mode = len(data), 0o644
                self._write(member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
                self._write(data)
                self._write(bytes(-len(data) % _BLOCK))
            self._clips.append(
                {
                    "key": key,
                    "name": header.name,
                    "frames": header.frames,
                    "height": header.height,
                    "width": header.width,
                    "fps": header.fps,
                    "people": header.people,
                    "shard": shard_name(self._unit, len(self._shards)),
                    "offset": first,
                    "bytes": self._at - first,
                }
            )
            if self._at >= self._shard_bytes:
                self._finish_shard()
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def clips(self) -> int:
        """How many were added."""
        return len(self._clips)

    def bad_video(self, video: str, reason: str, clips: int = 0) -> None:
        """Note a video that cannot be used, or not to its end.

        Args:
            video: its name.
            reason: one line.
            clips: how many clips before the fault are kept.
        """
        self._bad.append({"video": video, "reason": reason, "clips": clips})

    def left_out(self, video: str, first_frame: int, frames: int, reason: str) -> None:
        """Note a stretch of a good video that is no clip."""
        self._left_out.append({"video": video, "first_frame": first_frame, "frames": frames, "reason": reason})

    def note(self, text: str) -> None:
        """Note something that was converted."""
        self._notes.add(text)

    def finish(self) -> dict[str, Any]:
        """Puts the last shard in its place.

        Returns:
            The index document.

        Raises:
            ShardError: as `add`.
        """
        try:
            self._finish_shard()
        except OSError as error:
            raise self._unwritable(error) from error
        return {
            "schema": INDEX_SCHEMA,
            "unit": self._unit,
            "shards": self._shards,
            "clips": self._clips,
            "bad_videos": self._bad,
            "left_out": self._left_out,
            "notes": sorted(self._notes),
            "extractors": self.extractors,
        }

    def abandon(self) -> None:
        """Leaves nothing half-written."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._partial.unlink(missing_ok=True)

    @property
    def _partial(self) -> Path:
        # Its name is always the same: whoever takes up a unit of a killed process writes over what that one left.
        return self._folder / f".shard-{self._unit:06d}.partial"

    def _write(self, data: bytes) -> None:
        assert self._stream is not None
        self._stream.write(data)
        self._digest.update(data)
        self._at += len(data)

    def _finish_shard(self) -> None:
        if self._stream is None:
            return
        # Two empty blocks end a tar, and it is filled up to a whole record.
        end = self._at + 2 * _BLOCK
        self._write(bytes(2 * _BLOCK + -end % tarfile.RECORDSIZE))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._stream = None
        name = shard_name(self._unit, len(self._shards))
        self._partial.replace(self._folder / name)
        self._shards.append({"file": name, "bytes": self._at, "sha256": self._digest.hexdigest()})

    def _unwritable(self, error: OSError) -> ShardError:
        return ShardError(
            f"{self._folder}: cannot be written ({error.strerror or error}); free space there or mend its permissions,"
            " then run the same command again"
        )
