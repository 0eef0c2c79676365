"""One worker on one node: whether it can work there, and the process that does."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mcbench import __version__
from mcbench.errors import UsageError
from mcbench.workers import PARENT_VARIABLE, PROGRESS_VARIABLE, SHARERS_VARIABLE, processors

__all__ = ["PAUSE", "Order", "serve", "shared_folder"]

PAUSE = 0.3
"""Seconds between two looks at how a worker is doing."""

_LOCK = "shared.lock"
_PREFIX = ".workers-"


@dataclass(frozen=True)
class Order:
    """What a node is to start."""

    program: str
    arguments: tuple[str, ...]
    here: Path
    folder: Path
    environment: dict[str, str]
    workers: int
    version: str
    index: int = 0
    attempt: int = 1

    def file(self, kind: str) -> Path:
        return self.folder / f"{self.index}-{self.attempt}.{kind}"

    def last_line(self) -> str:
        """Of what the process wrote to stderr."""
        with suppress(OSError):
            lines = self.file("log").read_text(encoding="utf-8", errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""


@contextmanager
def shared_folder(folder: Path) -> Iterator[Path]:
    """A folder of this run's own within another, in which a lock is held; what killed runs left there is removed."""
    shared = folder.absolute() / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
    is_new = not folder.exists()
    try:
        shared.mkdir(parents=True)
        for other in shared.parent.glob(f"{_PREFIX}*/{_LOCK}"):
            with suppress(Timeout), FileLock(other, timeout=0):
                shutil.rmtree(other.parent, ignore_errors=True)
        lock = FileLock(shared / _LOCK)
        lock.acquire()
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror or error}); give another folder with --out"
        ) from error
    try:
        yield shared
    finally:
        lock.release()
        shutil.rmtree(shared, ignore_errors=True)
        if is_new:  # and still empty, where no worker came to write anything
            with suppress(OSError):
                folder.rmdir()


def serve(order: Order) -> tuple[str, int]:
    """Runs on a node: starts the command and waits for it.

    Returns:
        The node's name, and the exit code.
    """
    node = platform.node()
    _check_node(order, node)
    with order.file("out").open("wb") as out, order.file("log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", order.program, *order.arguments],
            cwd=order.here,
            env={
                **os.environ,
                **order.environment,
                "RANK": str(order.index),
                "WORLD_SIZE": str(order.workers),
                "LOCAL_RANK": "0",  # Ray shows each worker its own GPU alone
                PARENT_VARIABLE: str(os.getpid()),
                PROGRESS_VARIABLE: str(order.file("progress")),
                # Other workers of the run may be here, as many as there is room for.
                SHARERS_VARIABLE: str(max(1, processors() // int(order.environment["OMP_NUM_THREADS"]))),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
        )
        try:
            while child.poll() is None:
                time.sleep(PAUSE)  # where Ray may interrupt it, which it cannot while a process is waited for
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    return node, child.returncode


def _check_node(order: Order, node: str) -> None:
    if order.version != __version__:
        raise UsageError(f"{node}: has mcbench {__version__} and not {order.version}; install the same on all nodes")
    lock = order.folder / _LOCK
    if not lock.is_file():
        raise UsageError(
            f"{node}: does not see {order.folder.parent}; give a folder that all nodes share, under the same path"
        )
    try:
        with FileLock(lock, timeout=0):
            pass
    except Timeout:  # held by the process that started this, and seen from here
        pass
    else:
        raise UsageError(
            f"{node}: does not see the locks in {order.folder.parent}; mount it with locking (flock) on all nodes"
        )
    if not order.here.is_dir():
        raise UsageError(f"{node}: has no folder {order.here}; start the command in a folder that all nodes share")
