"""What goes wrong with a download, in one line for the user."""

from __future__ import annotations

import errno
from pathlib import Path

from mcbench.errors import UserError

__all__ = ["DownloadError", "cannot_write", "readable_size"]


class DownloadError(UserError):
    """A file or an archive that cannot be had, or is not what it should be."""


def readable_size(count: int) -> str:
    """A number of bytes for people: `17 bytes`, `3.4 MB`."""
    if count < 1000:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} TB"


def cannot_write(path: Path, error: OSError) -> DownloadError:
    """The fault of a place that cannot be written to. What was downloaded so far stays and is taken up."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(f"{path.parent}: the disk is full; free space there and run the same command again")
    return DownloadError(
        f"{path}: cannot be written ({error.strerror or error}); mend the folder, or choose another with MCBENCH_HOME"
    )
