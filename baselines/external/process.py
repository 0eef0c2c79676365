"""Runs a program so that nothing of it outlives its time, and says in words how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench import MethodError

__all__ = ["Command", "Ended", "clean_environment", "explain", "run_program", "visible_gpus"]

GUARD = Path(__file__).with_name("guard.py")

PARENT_VARIABLE = "MCBENCH_PARENT"
"""Holds the process that started this one as a worker of its run; without it there is no use in going on."""

_OWN_VARIABLES = re.compile(
    r"PYTHON|VIRTUAL_ENV|__PYVENV_LAUNCHER__|CONDA_(PREFIX|DEFAULT_ENV|SHLVL)|MCBENCH_"
    r"|(RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_RANK|ROLE_RANK|MASTER_ADDR|MASTER_PORT)$|TORCHELASTIC|OMPI_COMM_WORLD_|PMI_|SLURM_(PROCID|LOCALID|NTASKS)"
)
"""What belongs to this process's own Python and its own workers, and would mislead another's."""

_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|MemoryError|std::bad_alloc"
    r"|Cannot allocate memory",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Command:
    """A program to run.

    Attributes:
        argv: its arguments; the first is the interpreter or the program itself. No shell reads them.
        env: variables that are added to a clean copy of the user's environment.
        cwd: where it runs, usually the user's checkout.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        status: exit status, the negative number of the signal that ended it, or None where it was not started.
        timed_out: whether it was stopped because its time was up.
        fault: why it could not be started.
    """

    status: int | None
    timed_out: bool
    fault: str | None = None


def run_program(
    command: Command,
    environment: Mapping[str, str],
    *,
    log: Path,
    timeout: float,
    locks: Sequence[Path] = (),
    afterwards: Sequence[str] = (),
) -> Ended:
    """Run a program to its end. Nothing that it started is alive afterwards, even if this process is killed meanwhile.

    Args:
        command: what to run; its `env` is added to `environment`.
        environment: as `clean_environment` makes it.
        log: file for what it prints, written anew.
        timeout: seconds that it may run.
        locks: files that stay locked (flock) until all of it has ended, even if this process is killed meanwhile.
        afterwards: what to run once it was stopped, for programs that only speak to a daemon, as docker does.

    Raises:
        MethodError: if this process was started as a worker and what started it is gone.
    """
    task = {
        "argv": list(command.argv),
        "cwd": str(command.cwd),
        "env": {**environment, **command.env},
        "locks": [str(path) for path in locks],
        "afterwards": list(afterwards),
    }
    started = time.monotonic()
    with log.open("wb") as stream:
        guard = subprocess.Popen(
            [sys.executable, "-I", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the guard
        )
    assert guard.stdin is not None
    assert guard.stdout is not None
    timed_out = False
    try:
        with contextlib.suppress(OSError):  # it ended before it could read: its exit status says so below
            guard.stdin.write(json.dumps(task).encode() + b"\n")
            guard.stdin.flush()
        while not select.select([guard.stdout], [], [], max(0.0, min(1.0, started + timeout - time.monotonic())))[0]:
            if time.monotonic() >= started + timeout:
                timed_out = True
                break
            if (parent := os.environ.get(PARENT_VARIABLE)) and str(os.getppid()) != parent:
                raise MethodError("the process that started this worker is gone")
    finally:
        with contextlib.suppress(OSError):
            guard.stdin.close()
        answer = guard.stdout.read()
        guard.wait()
        guard.stdout.close()
    ended: dict[str, Any] = json.loads(answer) if answer else {"status": guard.returncode}
    if "fault" in ended:
        return Ended(None, False, ended["fault"])
    return Ended(ended["status"], timed_out)


def explain(ended: Ended, log: Path, allowed: str) -> str:
    """In words why a program did not end well, with the last lines of its log.

    Args:
        ended: how it ended.
        log: what it printed.
        allowed: the time that it had, in words.
    """
    tail = _tail(log)
    if ended.fault is not None:
        return f"the program cannot be started ({ended.fault})"
    if ended.timed_out:
        return f"the program was stopped after {allowed}; raise --set timeout=SECONDS{_quoted(tail)}"
    assert ended.status is not None
    short = next((line for line in reversed(tail) if _OUT_OF_MEMORY.search(line)), None)
    if ended.status and short:
        return f"the program needs more memory than there is: {_cut(short)}"
    # A shell or a container's runner tells of a signal as 128 and its number.
    if ended.status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f"the program was killed (SIGKILL), most often by the system for want of memory{_quoted(tail)}"
    if ended.status < 0:
        return f"the program was ended by {_signal_name(-ended.status)}{_quoted(tail)}"
    return f"the program ended with exit status {ended.status}{_quoted(tail)}"


def clean_environment(device: str, program: str) -> dict[str, str]:
    """The user's environment for another Python: without what belongs to this one, with its own programs in front.

    Args:
        device: of the method, `cpu` or `cuda:N`; one GPU alone is shown to the program. On a `cpu` the variables stay
            as the user has them, since a program may see a GPU that this process's own PyTorch does not.
        program: absolute path of what is run, whose folder comes first in PATH; others leave PATH as it is.
    """
    environment = {key: value for key, value in os.environ.items() if not _OWN_VARIABLES.match(key)}
    environment["PYTHONUNBUFFERED"] = "1"  # or a killed program's last words are lost
    folder = Path(program).parent
    if folder.is_absolute():
        environment["PATH"] = os.pathsep.join([str(folder), environment.get("PATH", os.defpath)])
        if (folder.parent / "conda-meta").is_dir():
            environment["CONDA_PREFIX"] = str(folder.parent)
    if (gpus := visible_gpus(device)) is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpus
    return environment


def visible_gpus(device: str) -> str | None:
    """CUDA_VISIBLE_DEVICES for a program that is to use the method's device; None to leave it as it is.

    `cuda:1` is the second of the GPUs that this process sees, by number or by UUID.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    number = int(index or 0)
    mine = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return mine[number] if number < len(mine) else str(number)


def _tail(log: Path) -> list[str]:
    """The last lines of a log that say anything, the last state of each progress bar alone."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - (1 << 15)))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    words = (" ".join(line.split()) for line in lines)
    return ["".join(letter for letter in line if letter.isprintable()) for line in words if line]


def _quoted(tail: Sequence[str]) -> str:
    return f": {_cut(' | '.join(tail[-3:]))}" if tail else ""


def _cut(text: str, longest: int = 300) -> str:
    """The end of a text, where a traceback names the fault."""
    return text if len(text) <= longest else f"…{text[-longest:]}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
