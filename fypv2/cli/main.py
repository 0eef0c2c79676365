"""`fypv2`: its verbs."""

from __future__ import annotations

from importlib import metadata

import typer

from fypv2.cli import animate, init, preprocess, train
from mcbench import run_command_line

__all__ = ["app", "main"]

app = typer.Typer(
    name="fypv2",
    help="Follow-Your-Pose v2, the reference model of mcbench.",
    epilog="Start with:\n\n$ fypv2 init --config paper --dry-run",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _verb in (init, preprocess, train, animate):
    app.command(_verb.NAME, epilog=_verb.EXAMPLES)(_verb.run)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fypv2 of mcbench {metadata.version('mcbench')}")
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
    run_command_line(app, "fypv2")
