"""The C library's memory: kept between passes instead of given back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

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
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAXIMUM, 0)
    mallopt(_TRIM_THRESHOLD, _LARGEST)
