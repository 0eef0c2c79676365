"""SHA-256 of a file, or of a folder as a whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["files_of", "files_sha256"]


def files_of(path: Path) -> list[Path]:
    """All files of a folder and its folders, in order of their paths; of a file the file itself."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def files_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, or over the names within a folder and the bytes of all its files.

    Raises:
        OSError: if one of them cannot be read.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        if file != path:
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
