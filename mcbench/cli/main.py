"""`mcbench`: its verbs, and the one place where a fault of the user becomes one line and exit code 2."""

from __future__ import annotations

import sys
from typing import Any

import typer

from mcbench import __version__
from mcbench.cli import datasets, doctor, download, env, eval, methods, score
from mcbench.cli.console import errors
from mcbench.errors import UserError

__all__ = ["app", "main"]

app = typer.Typer(
    name="mcbench",
    help="The benchmark of pose-guided character animation.",
    epilog="Start with:\n\n$ mcbench eval --method copy-reference",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _verb in (eval, score, doctor, download, datasets, methods, env):
    app.command(_verb.NAME, epilog=_verb.EXAMPLES)(_verb.run)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


# The class that all faults of usage share, wherever this version of typer keeps it.
_UsageFault: Any = typer.BadParameter.__mro__[1]


def main() -> None:
    """Entry point of the console script."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False, prog_name="mcbench")
    except (UserError, _UsageFault) as error:
        if debug:
            raise
        _complain(error)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        errors.print("mcbench: stopped; the same command takes it up again", style="yellow", highlight=False)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(error: Exception) -> None:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    if context is not None:
        text = f"{text.rstrip('.')}; see `{context.command_path} --help`"
    line = " ".join(text.split())
    print(f"mcbench: error: {line}", file=sys.stderr)  # noqa: T201 (one line, however narrow the terminal)
