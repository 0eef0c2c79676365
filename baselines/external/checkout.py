"""The state of a git checkout, for the result."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cached_property
from pathlib import Path

__all__ = ["Checkout"]


class Checkout:
    """A folder that may be a git checkout.

    Args:
        folder: its top; a checkout around it is not its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def commit(self) -> str | None:
        """The commit that is checked out; None where there is none, or git does not say."""
        return self._git("rev-parse", "HEAD") or None

    @cached_property
    def dirty(self) -> bool | None:
        """Whether a file that git knows was changed; None where it cannot be told."""
        if self.commit is None:
            return None
        changed = self._git("status", "--porcelain", "--untracked-files=no")
        return None if changed is None else bool(changed)

    @cached_property
    def changes(self) -> str | None:
        """SHA-256 (hex) of all changes to files that git knows; None where there are none, or it cannot be told."""
        if not self.dirty:
            return None
        changes = self._git("diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD")
        return None if changes is None else hashlib.sha256(changes.encode(errors="surrogateescape")).hexdigest()

    def _git(self, *arguments: str) -> str | None:
        """What git says; None where it says nothing. No program that the checkout's own settings name is run."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        try:
            return subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "-C", str(self._folder), *arguments],
                env={**environment, "GIT_CEILING_DIRECTORIES": str(self._folder.parent), "GIT_OPTIONAL_LOCKS": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",  # a change may be in any encoding
                check=True,
                timeout=60,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None
