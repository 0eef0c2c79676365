"""Runs one program and lets nothing of it live on: started as a script of its own, between mcbench and the program.

mcbench may be killed in a way that lets it do nothing more, and a program may start others in sessions of their own. So
this process stands between the two: it ends the program and all that came from it as soon as the pipe from mcbench
breaks, whatever broke it. It uses the standard library alone, and is run with `python -I`.

Standard input: one line of JSON `{"argv", "cwd", "env", "locks", "afterwards"}`; then it stays open for as long as
the program may run. Standard output: one line of JSON `{"status", "stopped"}`, or `{"fault"}` where it could not be
started. Standard error is the program's log.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GRACE = 3.0
"""Seconds between asking a program to end and ending it."""

# Of prctl(2) in linux/prctl.h.
_PARENT_DEATH_SIGNAL = 1
_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the program that standard input names."""
    task = json.loads(_line())
    locks = [_locked(path) for path in task["locks"]]
    _prctl(_CHILD_SUBREAPER, 1)  # what loses its own parent becomes a child of this process, and is found
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which the program would inherit
    try:
        child = subprocess.Popen(
            task["argv"],
            cwd=task["cwd"],
            env=task["env"],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            start_new_session=True,
            preexec_fn=lambda: _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL),  # safe: this process has one thread
        )
    except (OSError, ValueError) as error:
        print(json.dumps({"fault": str(error)}))  # noqa: T201
        return
    status, stopped = _wait(child, wake)
    if stopped and task["afterwards"]:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                task["afterwards"],
                env=task["env"],
                timeout=30,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    _end_all(child.pid)
    for lock in locks:
        os.close(lock)
    with contextlib.suppress(OSError):  # nobody may be left to be told
        os.write(1, json.dumps({"status": status, "stopped": stopped}).encode())


def _line() -> bytes:
    """The first line of standard input, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        block = os.read(0, 1 << 16)
        if not block:
            sys.exit(0)  # mcbench ended before it had told anything
        line += block
    return line


def _wait(child: subprocess.Popen[bytes], wake: int) -> tuple[int | None, bool]:
    """Until the program ends, or is to be ended: its exit status, and whether it was stopped."""
    deadline: float | None = None
    while True:
        status = child.poll()
        if status is not None:
            return status, deadline is not None
        if deadline is not None and time.monotonic() > deadline:
            _signal_group(child.pid, signal.SIGKILL)
            return child.wait(), True
        watched = [wake] if deadline is not None else [wake, 0]
        ready, _, _ = select.select(watched, [], [], 0.1 if deadline is not None else None)
        asked = wake in ready and set(os.read(wake, 4096)) & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        if deadline is None and (asked or (0 in ready and not os.read(0, 4096))):
            deadline = time.monotonic() + GRACE
            _signal_group(child.pid, signal.SIGTERM)


def _end_all(group: int) -> None:
    """End what is left of a program: its process group, and all that descends from this process."""
    _signal_group(group, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (alive := _descendants()) and time.monotonic() < deadline:
        for process in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _descendants() -> list[int]:
    """Living processes that descend from this one; empty where the system has no /proc."""
    parents: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in (entry.name for entry in Path("/proc").iterdir()):
            if name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    # The name, in parentheses, may hold anything; the state and the parent stand behind it.
                    parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    generation = {os.getpid()}
    while generation:
        generation = {process for process, parent in parents.items() if parent in generation}
        found += generation
    return found


def _locked(path: str) -> int:
    """A lock file, held until it is closed."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _prctl(option: int, value: int) -> Any:
    """prctl(2), where the system has it."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return None


if __name__ == "__main__":
    main()
