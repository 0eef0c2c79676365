"""Text files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mcbench.errors import ResultError

__all__ = ["write_text"]


def write_text(text: str, path: Path) -> None:
    """Write a file beside its place, flush it to disk, and rename it over.

    Raises:
        ResultError: if the disk is full or the place cannot be written to; what was there before stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error}); free space there") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
