"""The fault of inputs that cannot be had."""

from __future__ import annotations

from mcbench import UserError

__all__ = ["InputError"]


class InputError(UserError):
    """Inputs that a clip does not offer, or files of a user from which they cannot be made."""
