"""Permissions of what was written beside its place and then moved there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["open_permissions"]


def open_permissions(folder: Path) -> None:
    """Give a folder and all in it the permissions of ordinary ones: temporary folders, and the files that safetensors
    writes, are their maker's alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
