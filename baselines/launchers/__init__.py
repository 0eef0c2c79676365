"""Programs of ours that the user's interpreter runs, with the user's packages, around programs that need it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LAUNCHERS"]

LAUNCHERS = Path(__file__).resolve().parent
"""The folder; a container mounts it at just this path."""
