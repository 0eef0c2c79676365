"""The mark that a program's outputs are complete, and what they were made from."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

__all__ = ["is_complete", "mark_complete"]

MARK = "complete.json"


def mark_complete(folder: Path, stamp: str, *, leave_out: Collection[str]) -> None:
    """Mark what a folder holds as complete; the mark appears whole or not at all.

    Args:
        folder: of a clip.
        stamp: digest of everything that it was made from.
        leave_out: names in the folder that may change or go.
    """
    files = {
        file.relative_to(folder).as_posix(): [file.stat().st_size, file.stat().st_mtime_ns]
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).parts[0] not in {MARK, *leave_out}
    }
    handle, name = tempfile.mkstemp(prefix=f".{MARK}.", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({"stamp": stamp, "files": files}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(folder / MARK)


def is_complete(folder: Path, stamp: str) -> bool:
    """Whether a folder holds, untouched, what was made from just this."""
    try:
        known = json.loads((folder / MARK).read_text(encoding="utf-8"))
        if known["stamp"] != stamp:
            return False
        return all(
            [(folder / name).stat().st_size, (folder / name).stat().st_mtime_ns] == about
            for name, about in known["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
