"""`fypv2`: the command line of the reference model."""

from __future__ import annotations

import sys
from importlib import metadata

import typer

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
    try:
        app(standalone_mode=False, prog_name="fypv2")
    except typer.BadParameter.__mro__[1] as error:  # the class that all faults of usage share
        print(f"fypv2: error: {' '.join(error.format_message().split())}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
