"""`mcbench`: its verbs."""

from __future__ import annotations

import typer

from mcbench import __version__
from mcbench.allocator import keep_freed_memory
from mcbench.cli import (
    compare,
    datasets,
    doctor,
    download,
    env,
    eval,
    leaderboard,
    methods,
    report,
    score,
    submit,
    table,
    verify,
)
from mcbench.command_line import run_command_line

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
for _verb in (
    eval,
    score,
    doctor,
    compare,
    report,
    download,
    datasets,
    table,
    leaderboard,
    submit,
    verify,
    methods,
    env,
):
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


def main() -> None:
    """Entry point of the console script."""
    keep_freed_memory()
    run_command_line(app, "mcbench")
