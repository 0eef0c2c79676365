"""Several processes on one run: who am I, and how are the others started.

`torchrun` sets RANK and WORLD_SIZE, Slurm its own variables; `--workers N` starts the same command N - 1 times more.
A loop over machines needs none of them: processes that know nothing of each other share a run folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcbench.errors import UsageError

__all__ = [
    "PARENT_VARIABLE",
    "PROGRESS_VARIABLE",
    "SHARERS_VARIABLE",
    "Worker",
    "allowed_threads",
    "processors",
    "share_threads",
    "spare_processors",
    "this_worker",
    "torchrun_share",
    "with_workers",
]

PARENT_VARIABLE = "MCBENCH_PARENT"
"""Holds the process that started this one as a worker."""
PROGRESS_VARIABLE = "MCBENCH_PROGRESS"
"""Holds the file in which a worker on another machine tells how it goes."""
SHARERS_VARIABLE = "MCBENCH_SHARERS"
"""Holds how many processes share the processors of this machine among them."""

_TAIL = 4096


@dataclass(frozen=True)
class Worker:
    """This process among those of the run.

    Attributes:
        index: 0 prints and writes the result.
        count: how many processes there are.
        local_index: place on this machine, which chooses the GPU.
        parent: process that must be alive for this one to go on, None for one that stands alone.
        progress: file for `tell`, None where nobody reads it.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    parent: int | None = None
    progress: Path | None = None

    @property
    def is_orphan(self) -> bool:
        """Whether the process that started this one has died."""
        return self.parent is not None and os.getppid() != self.parent

    def turn(self, items: int) -> int:
        """Where this process begins among so many items, so that the processes seldom meet."""
        return self.index * items // self.count

    def tell_total(self, total: int) -> None:
        """Let whoever started this process elsewhere know how much there is to do."""
        self._tell({"total": total})

    def tell(self, amount: int, item: str) -> None:
        """Let whoever started this process elsewhere know that so much more of an item is done."""
        self._tell({"amount": amount, "item": item})

    def _tell(self, message: dict[str, int | str]) -> None:
        if self.progress is None:
            return
        # Closed after each line, as network file systems show others what was written when a file is closed.
        with suppress(OSError), self.progress.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(message) + "\n")


def this_worker() -> Worker:
    """From the environment: of `torchrun` or of what started this process as a worker, else of Slurm.

    In Slurm, the tasks of a job array and the tasks that `srun` starts are the processes, both together where an array
    uses `srun`. A batch script by itself is one process, however many tasks it asked for.

    Raises:
        UsageError: if the variables are no numbers.
    """
    parent, progress = os.environ.get(PARENT_VARIABLE), os.environ.get(PROGRESS_VARIABLE)
    try:
        index, count, local_index = _of_slurm() if "RANK" not in os.environ else _of_torchrun()
        return Worker(index, count, local_index, int(parent) if parent else None, Path(progress) if progress else None)
    except ValueError as error:
        names = "SLURM_*" if "RANK" not in os.environ else "RANK, WORLD_SIZE and LOCAL_RANK"
        raise UsageError(f"{names} must be numbers ({error}); unset them") from None


def _of_torchrun() -> tuple[int, int, int]:
    return _number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)


def _of_slurm() -> tuple[int, int, int]:
    index, count, local_index = 0, 1, _number("LOCAL_RANK", 0)
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        count = _number("SLURM_ARRAY_TASK_COUNT", 1)
        beyond = _number("SLURM_ARRAY_TASK_ID", 0) - _number("SLURM_ARRAY_TASK_MIN", 0)
        index = beyond // max(1, _number("SLURM_ARRAY_TASK_STEP", 1))
        if index >= count:  # `--array=1,5,9` has gaps; only the lowest of them is the first
            index = 1 + (index - 1) % (count - 1) if count > 1 else 0
    # Batch scripts have SLURM_PROCID and SLURM_NTASKS too; the number of tasks of a step is srun's alone.
    tasks = _number("SLURM_STEP_NUM_TASKS", 1)
    if tasks > 1:
        index, count = index * tasks + _number("SLURM_PROCID", 0), count * tasks
        local_index = _number("SLURM_LOCALID", local_index)
    return index, count, local_index


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


@contextmanager
def with_workers(count: int, arguments: Sequence[str], say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Run `count - 1` further processes of this command while the body runs; they end with it.

    Under `torchrun`, which starts processes itself, and in a worker nothing is started. Each task of a Slurm job
    starts workers of its own.

    Args:
        count: processes in all, this one included. The processor's threads are shared out among them.
        arguments: the command line after the program's name.
        say: told in one line, at the end, of each process that failed. Where the body fails nothing is told: most
            faults of the user are met by all processes, and the body's is raised.
    """
    here = this_worker()
    if count <= 1 or (here.count > 1 and "RANK" in os.environ):
        yield
        return
    numbers = [here.index * count + index for index in range(1, count)]
    with share_threads(count), ExitStack() as files:
        logs = [files.enter_context(tempfile.TemporaryFile()) for _ in numbers]
        environment = {**os.environ, "WORLD_SIZE": str(here.count * count), PARENT_VARIABLE: str(os.getpid())}
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "mcbench", *arguments],
                env={
                    **environment,
                    "RANK": str(number),
                    "LOCAL_RANK": str(here.local_index * count + index),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            for index, (number, log) in enumerate(zip(numbers, logs, strict=True), start=1)
        ]
        try:
            yield
            # The first one has waited for all clips; another one's workers may be in the midst of some.
            if here.index != 0:
                for child in children:
                    child.wait()
            # Before they are ended, which gives them codes too.
            for number, child, log in zip(numbers, children, logs, strict=True):
                if say is not None and child.poll():
                    say(
                        f"mcbench: warning: worker {number} {_end_of(child.returncode, log)}; the others took its clips"
                    )
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()


def _end_of(code: int, log: IO[bytes]) -> str:
    """How a process ended, and the last line that it wrote."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return f"ended with {how}" + (f" and said last: {lines[-1]}" if lines else "")


@contextmanager
def share_threads(count: int) -> Iterator[None]:
    """Give this process, and those that it starts while the body runs, the threads of one among `count`.

    Torch and the linear algebra read `OMP_NUM_THREADS` when they are loaded; all is put back at the end.

    Args:
        count: processes that share as many threads as `OMP_NUM_THREADS` allows this one. Where it is not set to a
            positive whole number, there is a thread for each processor that this one may use.
    """
    threads = max(1, (_positive("OMP_NUM_THREADS") or processors()) // count)
    new = {"OMP_NUM_THREADS": str(threads), SHARERS_VARIABLE: str(count * (_positive(SHARERS_VARIABLE) or 1))}
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def allowed_threads() -> int:
    """Threads that this process may keep busy: `torchrun`'s share, else what `OMP_NUM_THREADS` says, else all."""
    return torchrun_share() or _positive("OMP_NUM_THREADS") or processors()


def spare_processors(threads: int) -> int:
    """Processors of this process's part of the machine that so many threads leave idle."""
    sharers = _positive("LOCAL_WORLD_SIZE") or _positive(SHARERS_VARIABLE) or 1
    return max(0, processors() // sharers - threads)


def torchrun_share() -> int | None:
    """Processors for each of the processes that `torchrun` started on this machine; None without it.

    It allows each of them one thread for all that is done by torch, however many processors there are.
    """
    processes = _positive("LOCAL_WORLD_SIZE")
    return max(1, processors() // processes) if processes else None


def _positive(name: str) -> int | None:
    """The variable's value; None where it is not set to a positive whole number."""
    text = os.environ.get(name, "")
    return int(text) or None if text.isdecimal() else None


def processors() -> int:
    """How many processors this process may use, which can be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this operating system
        return os.cpu_count() or 1
