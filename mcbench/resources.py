"""Data that ships with mcbench: data cards and the leaderboard.

In a wheel they lie under `mcbench/_data`; in a checkout, at its top level, where people read and edit them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_folder"]


def data_folder(name: str) -> Path:
    """Folder `data_cards` or `leaderboard`, wherever this mcbench keeps it."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
