"""A command, run by several workers on a Ray cluster."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcbench import __version__
from mcbench.engines.cluster import cluster, placement
from mcbench.engines.node import PAUSE, Order, serve, shared_folder
from mcbench.engines.progress import Progress
from mcbench.errors import UsageError, UserError

__all__ = ["run_on_ray"]

ATTEMPTS = 3
"""How often a worker is started at most."""
PARTING = 10
"""Seconds that workers get to end in when they are no longer needed."""
PASSED_ON = ("MCBENCH_", "HF_", "PYTHONPATH")
"""Beginnings of the names of variables that workers get from the process that starts them."""

_USER_FAULT = 2


def run_on_ray(
    program: str,
    arguments: Sequence[str],
    *,
    workers: int,
    folder: Path,
    address: str | None = None,
    device: str = "auto",
    on_progress: Callable[[int, int, str], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Run a command by several workers on a Ray cluster, each on a GPU or a share of the processors of its own.

    A worker that is lost, with its node or by itself, is started again, up to three times in all; meanwhile the others
    take its clips. The run is over when the first worker has written the result.

    Args:
        program: a package with a command line, `mcbench` or `fypv2`.
        arguments: what follows the program's name. Each worker runs the same, in the same working directory, with RANK
            and WORLD_SIZE set.
        workers: how many.
        folder: where the workers write. It must be one folder on all nodes, with locks that they all see.
        address: `HOST:PORT` of the head node, or `auto` for a cluster that this machine belongs to. Without one, and
            without RAY_ADDRESS, a cluster of this machine alone is started.
        device: as the command has it; on a cluster with GPUs anything but `cpu` places one worker on each.
        on_progress: told the amount done, the total and the item in work whenever they change.
        say: told each line that the first worker writes to stderr, and what befalls the others.

    Returns:
        What the first worker wrote to stdout.

    Raises:
        UsageError: if Ray is missing or not at this address, or if a node cannot run workers on this folder.
        UserError: with the first worker's fault.
    """
    say = say or (lambda _: None)
    with cluster(address, workers) as ray, shared_folder(folder) as shared:
        resources, threads = placement(ray, workers, device)
        order = Order(
            program=program,
            arguments=tuple(arguments),
            here=Path.cwd(),
            folder=shared,
            environment={
                **{name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
                "OMP_NUM_THREADS": str(threads),
                "COLUMNS": str(shutil.get_terminal_size().columns),
            },
            workers=workers,
            version=__version__,
        )
        # Lost workers are started again below and not by Ray, so that each has files of its own and is told of.
        task = ray.remote(max_retries=0, scheduling_strategy="SPREAD", **resources)(serve)
        running = {task.remote(each): each for each in (replace(order, index=index) for index in range(workers))}
        progress = Progress(shared, on_progress)
        try:
            return _watch(ray, task, running, progress, say)
        finally:
            _dismiss(ray, list(running))


def _watch(ray: Any, task: Any, running: dict[Any, Order], progress: Progress, say: Callable[[str], None]) -> str:
    """Until the first worker is done: tell how it goes, and start lost workers again."""
    heard, refused = 0, list[str]()
    first = next(order for order in running.values() if order.index == 0)
    while True:
        ended = _ended(ray, running)
        progress.look()
        heard = _repeat(first, heard, say)
        # Most faults of the user are met by all workers; once the first one works, others' are those of their nodes.
        while refused and first.file("progress").exists():
            say(refused.pop(0))
        for reference in ended:
            order = running.pop(reference)
            fault = _fault(ray, reference, order)
            if order.index == 0:
                heard = _repeat(first, heard, say)
                if fault is None:
                    for line in refused:
                        say(line)
                    return order.file("out").read_text(encoding="utf-8")
            if fault is None:
                continue
            if fault.is_final or order.attempt == ATTEMPTS:
                if order.index == 0:
                    raise UserError(fault.text)
                refused.append(f"{order.program}: warning: {fault.text}; the others go on without it")
                continue
            say(f"{order.program}: warning: {fault.text}; it is started again")
            again = replace(order, attempt=order.attempt + 1)
            running[task.remote(again)] = again
            if order.index == 0:
                first, heard = again, 0


def _ended(ray: Any, running: dict[Any, Order]) -> list[Any]:
    time.sleep(PAUSE)  # and not within Ray, which takes a signal's exception for a fault of its own
    try:
        ended: list[Any] = ray.wait(list(running), timeout=0)[0]
    except SystemError as error:
        raise error.__cause__ or error from None
    return ended


@dataclass(frozen=True)
class _Fault:
    text: str
    is_final: bool


def _fault(ray: Any, reference: Any, order: Order) -> _Fault | None:
    """What became of a worker; None if it did its part.

    Raises:
        UsageError: if no worker can be started on its node.
    """
    try:
        node, code = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise UsageError(str(cause)) from None
        why = str(cause).strip().splitlines() or [type(cause).__name__]
        raise UsageError(f"a node of the cluster cannot start workers ({why[-1]}); install mcbench on all") from None
    except ray.exceptions.RayError as error:
        return _Fault(f"worker {order.index} was lost ({type(error).__name__}){_said(order)}", False)
    if code == 0:
        return None
    if code == _USER_FAULT and order.index == 0:
        return _Fault(order.last_line().partition(": error: ")[2] or order.last_line(), True)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return _Fault(f"worker {order.index} on {node} ended with {how}{_said(order)}", code == _USER_FAULT)


def _said(order: Order) -> str:
    line = order.last_line()
    return f" and said last: {line}" if line else ""


def _repeat(first: Order, heard: int, say: Callable[[str], None]) -> int:
    """Say what the first worker wrote to stderr since; its fault comes to light as an exception."""
    with suppress(OSError), first.file("log").open("rb") as stream:
        stream.seek(heard)
        whole = stream.read().rpartition(b"\n")[0:2]
        heard += len(b"".join(whole))
        for line in whole[0].decode(errors="replace").split("\n") if whole[1] else ():
            if not line.startswith(f"{first.program}: error: "):
                say(line)
    return heard


def _dismiss(ray: Any, references: list[Any]) -> None:
    """End workers that are no longer needed."""
    with suppress(Exception):  # the cluster may be gone, and the outcome is known
        for reference in references:
            ray.cancel(reference)
        if references:
            ray.wait(references, num_returns=len(references), timeout=PARTING)
