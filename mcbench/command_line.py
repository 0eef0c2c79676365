"""The one place where a fault of the user becomes one line and exit code 2."""

from __future__ import annotations

import sys
from typing import Any

import typer

from mcbench.errors import UserError

__all__ = ["run_command_line"]

# The class that all faults of usage share, wherever this version of typer keeps it.
_UsageFault: Any = typer.BadParameter.__mro__[1]


def run_command_line(app: typer.Typer, name: str) -> None:
    """Run a command line as the house does, and end the process with its exit code.

    0 is done, or what the verb returns; 1 a check that found a fault; 2 a fault of the user, in one line on stderr
    and nothing on stdout; 130 an interruption. `--debug` anywhere shows the traceback instead of the line.

    Args:
        app: the command line; a verb's return value is the exit code, where it is a number.
        name: of the program, which each line begins with.
    """
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False, prog_name=name)
    except (UserError, _UsageFault) as error:
        if debug:
            raise
        _complain(name, error)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        print(f"{name}: stopped; the same command takes it up again", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(name: str, error: Exception) -> None:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    if context is not None:
        text = f"{text.rstrip('.')}; see `{context.command_path} --help`"
    line = " ".join(text.split())
    print(f"{name}: error: {line}", file=sys.stderr)  # noqa: T201 (one line, however narrow the terminal)
