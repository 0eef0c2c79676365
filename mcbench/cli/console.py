"""What all verbs print with: results to stdout, progress and warnings to stderr."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mcbench.workers import this_worker

__all__ = ["ProgressReporter", "drawing", "errors", "output", "print_json", "sheet", "stdout_to_stderr"]

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_SHEET_WIDTH = 1000


def sheet() -> Console:
    """Where tables of numbers go: what is written to a file or a program has no edge at which they may be cut."""
    return output if output.is_terminal else Console(file=output.file, width=_SHEET_WIDTH, highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on stdout and nothing else."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """All that is written to stdout meanwhile goes to stderr: a method's prints, its libraries' and its programs'.

    Works on the file descriptor, since only Python's own prints go through `sys.stdout`.
    """
    try:
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError, AttributeError):  # no stdout, so nothing to keep clean
        yield
        return
    try:
        with suppress(OSError):  # no stderr: what is printed stays where it goes
            os.dup2(2, 1)
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        with suppress(OSError, AttributeError, TypeError):  # what C libraries still hold back
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=errors,
        transient=True,
        disable=not errors.is_terminal or this_worker().index != 0,
    )


class ProgressReporter:
    """A progress bar over the frame pairs of a run, and warnings, each said once."""

    def __init__(self) -> None:
        self._progress = _progress()
        self._task: TaskID | None = None
        self._warned: set[str] = set()

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._progress.stop()

    def start(self, total: int) -> None:
        this_worker().tell_total(total)
        self._progress.start()
        self._task = self._progress.add_task("measuring", total=total)

    def advance(self, frames: int, what: str) -> None:
        if frames:
            this_worker().tell(frames, what)
        if self._task is not None:
            self._progress.update(self._task, advance=frames, description=f"measuring {escape(what)}")

    def set(self, done: int, total: int, what: str) -> None:
        """So many of all frame pairs are done, by whichever workers; in place of `start` and `advance`."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("measuring")
        self._progress.update(self._task, completed=done, total=total, description=f"measuring {escape(what)}")

    def warn(self, text: str) -> None:
        if text not in self._warned and this_worker().index == 0:
            self._warned.add(text)
            errors.print(f"mcbench: warning: {text}", style="yellow", soft_wrap=True, markup=False)


@contextmanager
def drawing(name: str) -> Iterator[Any]:
    """A progress bar for a synthetic data set that is being drawn; nothing where it lies ready."""
    progress = _progress()
    task: TaskID | None = None

    def on_frame(done: int, total: int) -> None:
        nonlocal task
        if task is None:
            progress.start()
            task = progress.add_task(f"drawing {name}", total=total)
        progress.update(task, completed=done)

    try:
        yield on_frame
    finally:
        if task is not None:
            progress.stop()
