"""`fypv2`: the command line of the reference model."""

from __future__ import annotations

from importlib import metadata

import typer

from mcbench import run_command_line

__all__ = ["app", "main"]

app = typer.Typer(
    name="fypv2",
    help="The reference model of Follow-Your-Pose v2. The model itself is not part of this version.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    typer.echo(f"fypv2 of mcbench {metadata.version('mcbench')}" if version else context.get_help())


def main() -> None:
    """Entry point of the console script."""
    run_command_line(app, "fypv2")
