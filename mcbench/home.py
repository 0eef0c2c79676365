"""The one tree of files that mcbench keeps for a user."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["home_folder"]


def home_folder() -> Path:
    """`$MCBENCH_HOME`, else `mcbench` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`)."""
    if home := os.environ.get("MCBENCH_HOME"):
        return Path(home).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mcbench"
