"""Keep diffusers and transformers from writing between the lines of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings of the two libraries; errors still raise."""
    verbosity = [(library, library.get_verbosity()) for library in (diffusers_logging, transformers_logging)]
    for library, _ in verbosity:
        library.disable_progress_bar()
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, level in verbosity:
            library.enable_progress_bar()
            library.set_verbosity(level)
