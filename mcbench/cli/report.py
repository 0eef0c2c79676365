"""`mcbench report`: results of one data set side by side, as pages that open from disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from mcbench.cli.console import drawing, errors, output, print_json
from mcbench.cli.options import DebugOption, JsonOption

NAME = "report"
EXAMPLES = """Examples:

$ mcbench report runs/copy-reference-synthetic-mini --out report

$ mcbench report runs/copy-reference-synthetic-mini --out report --megabytes 1"""


def run(
    results: Annotated[
        list[Path], typer.Argument(help="Run folders or result files of one data set, 1 to 8.", metavar="RESULT …")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; an older report there goes.", metavar="DIR")],
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Folder of the truths, where they have moved.", metavar="DIR"),
    ] = None,
    megabytes: Annotated[
        float, typer.Option("--megabytes", help="What each clip's video is to keep below.", metavar="MB")
    ] = 4.5,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write an HTML report that opens from disk: all methods in sync, curves, worst frames, differences."""
    from mcbench.report import write_report

    with ExitStack() as bars:
        on_draw = bars.enter_context(drawing("the data set"))
        filming: Callable[[int, int], None] | None = None

        def on_frame(done: int, total: int) -> None:
            nonlocal filming
            if filming is None:
                bars.close()  # two bars cannot be drawn at once
                filming = bars.enter_context(drawing("the report"))
            filming(done, total)

        made = write_report(results, out, truth=truth, megabytes=megabytes, on_draw=on_draw, on_frame=on_frame)
    if json:
        print_json(
            {
                "report": str(made.index),
                "methods": list(made.methods),
                "clips": made.clips,
                "bytes": made.size,
                "missing": list(made.missing),
            }
        )
        return
    for text in made.missing:
        errors.print(f"mcbench: warning: {text}", style="yellow", soft_wrap=True, markup=False)
    output.print(str(made.index), soft_wrap=True, markup=False)
    errors.print(f"{made.clips} clips, {made.size / 1e6:.1f} MB", soft_wrap=True, markup=False)
