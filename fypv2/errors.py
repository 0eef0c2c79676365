"""The faults of a user, one class per kind. Each message is one line: what, where, and what to do."""

from __future__ import annotations

from mcbench import UserError

__all__ = ["CheckpointError", "ConfigError", "PipelineError", "lacks_memory"]


class ConfigError(UserError):
    """A config that is unknown, or is not one."""


class CheckpointError(UserError):
    """Weights that are missing, damaged, of another model, or not to be trusted."""


class PipelineError(UserError):
    """A clip that cannot be made as asked for."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python's or torch's says that memory is short; on a CPU torch says so in plain words."""
    return type(error).__name__ in ("MemoryError", "OutOfMemoryError") or "can't allocate memory" in str(error)
