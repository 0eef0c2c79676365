"""The C library's memory: kept between passes, and given back to the system when the passes are over."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

# Parameters of mallopt(3) in glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAXIMUM = -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process reuse freed memory from now on; for programs, not for libraries.

    glibc maps every tensor above 32 MB afresh and gives it back at once, so that each pass of a network has its pages
    zeroed again by the system: a quarter of VGG-16's time at 512 x 512. Where the C library is another, nothing
    happens.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_MAXIMUM, 0)
        mallopt(_TRIM_THRESHOLD, _LARGEST)


def give_back_freed_memory() -> None:
    """Give back to the system what `keep_freed_memory` kept, before work that needs memory of another shape.

    Where the C library is another, nothing happens.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _of_glibc(name: str) -> Any:
    """A function of the C library; None where it is not glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
