"""The faults of a user, one class per kind. Each message is one line: what, where, and what to do.

The command line prints the message alone and exits with 2; a traceback means a fault of mcbench itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DatasetError",
    "MethodError",
    "PredictionError",
    "ResultError",
    "UsageError",
    "UserError",
    "VideoError",
    "WeightsError",
    "nearest",
]


class UserError(Exception):
    """A fault that the user can mend; base of all others."""


class UsageError(UserError):
    """An unknown name, or options that do not go together."""


class VideoError(UserError):
    """A video or a folder of frames that cannot be read as it should."""


class PredictionError(UserError):
    """Predictions that do not fit their truth: missing clips, other counts, other sizes."""


class WeightsError(UserError):
    """Weights that are missing, or are not the file they should be."""


class DatasetError(UserError):
    """A data set that is not there, or is not what it should be."""


class MethodError(UserError):
    """A method that is unknown, fails, or returns something that is not the clip asked for."""


class ResultError(UserError):
    """A run folder or a result file that cannot be used."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or nothing: a tail for messages about unknown names."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
