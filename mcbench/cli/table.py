"""`mcbench table`: a table of the paper, with one's own rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcbench.cli.console import ProgressReporter, output, print_json
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError, UserError, nearest

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from mcbench.leaderboard.own import OwnResult
    from mcbench.leaderboard.ranking import Indistinguishable

NAME = "table"
EXAMPLES = """Examples:

$ mcbench table tiktok

$ mcbench table ablation --format latex

$ mcbench table ted-talks --json"""

NAMES = ("markdown", "latex", "csv", "html", "json")


def run(
    name: Annotated[
        str, typer.Argument(help="tiktok, ted-talks, multi-character or ablation.", metavar="TABLE", show_default=False)
    ],
    own: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Add a row: a result.json or a run folder; repeatable.", metavar="RESULT"),
    ] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add 95% intervals to your rows.", metavar="")] = False,
    format: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(NAMES)}; markdown by default.", metavar="FORMAT")
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Print a table of the paper, with your own results in its last rows."""
    if format is not None and format not in NAMES:
        raise UsageError(f"--format {format}: there are {', '.join(NAMES)}{nearest(format, NAMES)}")
    if json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} contradict each other; give one")
    from mcbench.leaderboard.own import read_own_results
    from mcbench.leaderboard.paper import read_paper_table
    from mcbench.leaderboard.render import FORMATS, to_rows
    from mcbench.leaderboard.tables import build_table

    paper = read_paper_table(name)
    results = read_own_results(own or (), paper)
    told_apart = _told_apart(own or (), results, paper.protocol)
    table = build_table(paper, results, intervals=intervals, indistinguishable=told_apart)
    if json or format == "json":
        print_json(to_rows(table))
        return
    output.file.write(FORMATS[format or "markdown"](table))


def _told_apart(paths: Sequence[Path], results: Sequence[OwnResult], protocol: str) -> Indistinguishable | None:
    """The paired tests between those of one's own results that are ranked; None where there are no two.

    Where two are ranked and cannot be compared, a warning says why.
    """
    ranked = [
        (path, item.sha256)
        for path, item in zip(paths, results, strict=True)
        if not item.result.method.needs_truth
        and all(metric.weights in (None, "published") for metric in item.result.protocols[protocol].metrics.values())
    ]
    if len(ranked) < 2:
        return None
    from mcbench.compare import compare_results

    try:
        compared = compare_results([path for path, _ in ranked])
    except UserError as error:
        ProgressReporter().warn(f"nothing is marked as equal to the best: {error}")
        return None
    labels = dict(zip((sha256 for _, sha256 in ranked), compared.results, strict=True))

    def indistinguishable(protocol: str, claims: Sequence[tuple[Hashable, Hashable, str]]) -> list[bool]:
        return [
            best in labels
            and other in labels
            and compared.indistinguishable(labels[str(best)], labels[str(other)], protocol, metric)
            for best, other, metric in claims
        ]

    return indistinguishable
