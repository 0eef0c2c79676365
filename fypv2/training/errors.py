"""The faults of a user who trains."""

from __future__ import annotations

from mcbench import UserError

__all__ = ["TrainingError"]


class TrainingError(UserError):
    """A run that cannot start, go on or be taken up; the message is one line."""
