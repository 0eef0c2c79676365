"""Units of work, shared out among processes: each takes what nobody holds and is not done."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from fypv2.preprocess.data_folder import DataFolder
from fypv2.preprocess.writer import UnitWriter
from fypv2.training.clips import ShardError
from mcbench import share_threads, this_worker

__all__ = ["Job", "Reporter", "preprocess"]


class Reporter(Protocol):
    """What a run tells while it goes on."""

    def start(self, total: int, done: int) -> None:
        """So many units there are, and so many of them were done before."""

    def advance(self) -> None:
        """One more unit is done, whoever did it."""


class Job(Protocol):
    """What is to be made. It is pickled to start workers, which load networks of their own."""

    @property
    def request(self) -> dict[str, Any]:
        """All that decides the bytes, as plain values for JSON."""

    @property
    def units(self) -> int:
        """Number of units."""

    def load(self) -> None:
        """Loads what is needed, so that what is missing is known before work begins."""

    def make(self, unit: int, writer: UnitWriter) -> None:
        """Adds the clips of a unit. A fault of a video goes to the writer; what is raised ends the run."""


class _Silent:
    def start(self, total: int, done: int) -> None: ...

    def advance(self) -> None: ...


def preprocess(job: Job, folder: Path, workers: int = 1, reporter: Reporter | None = None) -> dict[str, Any] | None:
    """Makes what is not there yet, together with all other processes that work in the same folder.

    Among processes that know of each other (`torchrun`, tasks of Slurm, workers on a cluster) each begins at another
    unit, and only the first one waits for the others and writes the manifest.

    Args:
        job: what to make.
        folder: of the data.
        workers: processes on this machine, this one included; no further ones in a worker that was started as one.
        reporter: told how it goes.

    Returns:
        The manifest; None in a process other than the first.

    Raises:
        ShardError: if the folder holds something else or cannot be written to.
        UserError: for what ends a run: missing weights or libraries.
    """
    reporter = reporter or _Silent()
    here = this_worker()
    data = DataFolder(folder)
    request = job.request
    data.identify(request)
    pending = [unit for unit in range(job.units) if not data.is_done(unit)]
    reporter.start(job.units, job.units - len(pending))
    if pending:
        job.load()
    here.tell_total(len(pending))
    turn = here.turn(len(pending))
    mine = pending[turn:] + pending[:turn]
    count = 1 if here.parent is not None else min(workers, len(pending))
    with _helpers(job, folder, mine, count, here.local_index):
        # Whoever has helpers waits for theirs; others are free as soon as nothing is left to take.
        _work(job, data, mine, reporter, here.parent, waits=here.index == 0 or count > 1)
    if here.index != 0:
        return None
    return data.write_manifest(request, job.units)


def _work(
    job: Job, data: DataFolder, pending: list[int], reporter: Reporter, parent: int | None, *, waits: bool = True
) -> None:
    here = this_worker()
    # Second time round, what others hold is waited for: it is done when they let go, unless they died.
    for wait in (False, True) if waits else (False,):
        left = []
        for unit in pending:
            if parent is not None and os.getppid() != parent:
                raise ShardError("the process that started this worker is gone")
            with data.claim(unit, wait=wait) as mine:
                if not mine:
                    left.append(unit)
                    continue
                # Another process may have done it since the list was made.
                if not data.is_done(unit):
                    _make(job, data, unit)
            reporter.advance()
            here.tell(1, f"unit {unit}")
        pending = left


def _make(job: Job, data: DataFolder, unit: int) -> None:
    writer = UnitWriter(data.path, unit)
    try:
        job.make(unit, writer)
        data.write_index(unit, writer.finish())
    finally:
        writer.abandon()


def _serve(job: Job, folder: Path, pending: list[int], local_index: int, parent: int) -> None:
    """A worker's life. It prints nothing: its faults are met by the first process too, which tells of them."""
    os.environ["LOCAL_RANK"] = str(local_index)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with suppress(KeyboardInterrupt, ShardError):
        _work(job, DataFolder(folder), pending, _Silent(), parent)


@contextmanager
def _helpers(job: Job, folder: Path, pending: list[int], count: int, local_index: int) -> Iterator[None]:
    """`count - 1` further processes while the body runs."""
    if count <= 1:
        yield
        return
    # A forked process would share the threads and locks of libraries that are loaded by now.
    context = multiprocessing.get_context("spawn")
    children: list[Any] = []
    with share_threads(count):
        try:
            for index in range(1, count):
                # Each begins elsewhere in the list, so that they seldom ask for the same unit.
                turn = index * len(pending) // count
                mine = pending[turn:] + pending[:turn]
                arguments = (job, folder, mine, local_index * count + index, os.getpid())
                children.append(context.Process(target=_serve, args=arguments, daemon=True))
                children[-1].start()
            yield
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.join()
