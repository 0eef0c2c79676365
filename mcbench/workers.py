"""Several processes on one run: who am I, and how are the others started.

`torchrun` sets RANK and WORLD_SIZE; `--workers N` starts the same command N - 1 times more with the same variables.
A Slurm array or a loop over machines needs neither: processes that know nothing of each other share a run folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mcbench.errors import UsageError

__all__ = ["PARENT_VARIABLE", "Worker", "this_worker", "with_workers"]

PARENT_VARIABLE = "MCBENCH_PARENT"
"""Holds the process that started this one as a worker."""


@dataclass(frozen=True)
class Worker:
    """This process among those of the run.

    Attributes:
        index: 0 prints and writes the result.
        count: how many processes there are.
        local_index: place on this machine, which chooses the GPU.
        parent: process that must be alive for this one to go on, None for one that stands alone.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    parent: int | None = None

    @property
    def is_orphan(self) -> bool:
        """Whether the process that started this one has died."""
        return self.parent is not None and os.getppid() != self.parent


def this_worker() -> Worker:
    """From the environment."""
    parent = os.environ.get(PARENT_VARIABLE)
    try:
        return Worker(
            index=int(os.environ.get("RANK", "0")),
            count=int(os.environ.get("WORLD_SIZE", "1")),
            local_index=int(os.environ.get("LOCAL_RANK", "0")),
            parent=int(parent) if parent else None,
        )
    except ValueError as error:
        raise UsageError(f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers ({error}); unset them") from None


@contextmanager
def with_workers(count: int, arguments: Sequence[str]) -> Iterator[None]:
    """Run `count - 1` further processes of this command while the body runs; they end with it.

    Args:
        count: processes in all, this one included. The processor's threads are shared out among them.
        arguments: the command line after the program's name.
    """
    if count <= 1 or this_worker().count > 1:
        yield
        return
    threads = str(max(1, _processors() // count))
    environment = {
        **os.environ,
        "WORLD_SIZE": str(count),
        PARENT_VARIABLE: str(os.getpid()),
        "OMP_NUM_THREADS": threads,
    }
    # This process shares the processor too; torch and the linear algebra read it when they are loaded.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = threads
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "mcbench", *arguments],
            env={**environment, "RANK": str(index), "LOCAL_RANK": str(index)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for index in range(1, count)
    ]
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this operating system
        return os.cpu_count() or 1
