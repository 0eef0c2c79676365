"""SHA-256 of weights, which are large: each file is read once, and its digest remembered while it stays as it was."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from mcbench import MethodError, files_of, files_sha256, home_folder

__all__ = ["sha256_of"]


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, or over the names and bytes of all files of a folder.

    Remembered under `cache/weights` of mcbench's home by place, size and time of change.

    Raises:
        MethodError: if there is nothing to read.
    """
    path = path.absolute()
    try:
        state = _state(path)
        if not state:
            raise MethodError(f"{path}: no weights there; give a file, or a folder that holds some")
        note = home_folder() / "cache" / "weights" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
        if (known := _recalled(note, state)) is not None:
            return known
        digest = files_sha256(path)
        if _state(path) != state:
            raise MethodError(f"{path}: it changed while it was read; wait until it is complete")
    except OSError as error:
        raise MethodError(f"{path}: cannot be read ({error.strerror or error}); mend its permissions") from None
    _remember(note, {"path": str(path), "state": state, "sha256": digest})
    return digest


def _state(path: Path) -> list[list[str | int]]:
    """Name, size and time of change (ns) of every file."""
    about = [(file, file.stat()) for file in files_of(path)]
    return [[file.relative_to(path).as_posix(), info.st_size, info.st_mtime_ns] for file, info in about]


def _recalled(note: Path, state: list[list[str | int]]) -> str | None:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        return str(known["sha256"]) if known["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(note: Path, known: object) -> None:
    """A home that cannot be written to costs reading the file again, and nothing else."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=note.parent, delete=False) as stream:
            json.dump(known, stream)
        Path(stream.name).replace(note)
    except OSError:
        return
