"""The faults of a user, one class per kind. Each message is one line: what, where, and what to do."""

from __future__ import annotations

from mcbench import UserError

__all__ = ["CheckpointError", "ConfigError", "PipelineError"]


class ConfigError(UserError):
    """A config that is unknown, or is not one."""


class CheckpointError(UserError):
    """Weights that are missing, damaged, of another model, or not to be trusted."""


class PipelineError(UserError):
    """A clip that cannot be made as asked for."""
