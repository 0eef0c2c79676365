"""The one place where a fault of the user becomes one line and exit code 2."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from typing import Any, NoReturn

import typer

from mcbench.errors import UserError
from mcbench.workers import PARENT_VARIABLE

__all__ = ["run_command_line"]

# The class that all faults of usage share, wherever this version of typer keeps it.
_UsageFault: Any = typer.BadParameter.__mro__[1]

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes of a process that a signal ended, as shells count them."""


_NEW_OBJECTS = 10_000
"""After so many Python looks for garbage among them."""


class _Terminated(BaseException):
    """SIGTERM, raised where the process stands, so that it ends its workers and leaves nothing half-written."""


def run_command_line(app: typer.Typer, name: str) -> None:
    """Run a command line as the house does, and end the process with its exit code.

    0 is done, or what the verb returns; 1 a check that found a fault; 2 a fault of the user, in one line on stderr
    and nothing on stdout; 130 an interruption, 143 a termination. `--debug` anywhere shows the traceback instead of
    the line.

    Args:
        app: the command line; a verb's return value is the exit code, where it is a number.
        name: of the program, which each line begins with.
    """
    debug = "--debug" in sys.argv
    _collect_seldom()
    try:
        if PARENT_VARIABLE not in os.environ:  # a worker is to end at once, its parent waits for that
            signal.signal(signal.SIGTERM, _terminate)
        code = app(standalone_mode=False, prog_name=name)
        sys.stdout.flush()  # a full disk behind stdout is seen now, or only in a traceback at exit
    except (UserError, _UsageFault) as error:
        if debug:
            raise
        _complain(name, _told(error))
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except _Terminated:
        code = TERMINATED
    except OSError as error:  # rights, full disks and gone folders where no message of our own names them
        if debug:
            raise
        _silence_stdout()
        if error.errno == errno.EPIPE:
            sys.exit(1)
        place = f"{error.filename}: " if error.filename else ""
        _complain(name, f"{place}{error.strerror or error}; free space or mend its permissions; --debug shows where")
        sys.exit(2)
    if code in (INTERRUPTED, TERMINATED):  # typer makes a code of an interruption too
        print(f"{name}: stopped; the same command takes it up again", file=sys.stderr)  # noqa: T201
    sys.exit(code if isinstance(code, int) else 0)


def _collect_seldom() -> None:
    """Spare this process most of Python's search for cyclic garbage, which goes through all of torch's objects.

    At Python's own threshold of 700 new objects it takes a tenth of a second or two of the imports; at the end of the
    process, where all memory goes back anyhow, it takes most of a second.
    """
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def _silence_stdout() -> None:
    """What is still buffered for a stdout that cannot be written must not fail once more at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # stdout is closed, or no file
        pass


def _told(error: Any) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return f"{text.rstrip('.')}; see `{context.command_path} --help`" if context is not None else str(text)


def _complain(name: str, text: str) -> None:
    line = " ".join(text.split())
    print(f"{name}: error: {line}", file=sys.stderr)  # noqa: T201 (one line, however narrow the terminal)
