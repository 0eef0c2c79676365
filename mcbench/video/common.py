"""Small things that both kinds of source need."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mcbench.errors import VideoError

__all__ = ["hash_file", "number_key", "one_line"]


def number_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts names as people do: runs of digits compare as numbers, so frame 2 comes before frame 10."""
    return tuple(
        (int(part), "") if part[0] in "0123456789" else (-1, part) for part in re.split(r"([0-9]+)", name) if part
    )


def hash_file(file: Path, digest: hashlib._Hash) -> None:
    """Feed the bytes of a file to a digest.

    Raises:
        VideoError: if it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise VideoError(f"{file}: cannot be read ({error.strerror or error}); mend its permissions") from error


def one_line(error: BaseException) -> str:
    """The message of another library's error, cut to fit one of ours."""
    return " ".join(str(error).split())[:200] or type(error).__name__
