"""`mcbench doctor`: what is wrong with predictions, before they are measured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import ProgressReporter, drawing, output, print_json
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError

if TYPE_CHECKING:
    from mcbench.datasets.base import Dataset
    from mcbench.doctor import Diagnosis, Finding

NAME = "doctor"
EXAMPLES = """Examples:

$ mcbench doctor predictions --dataset synthetic-mini

$ mcbench doctor predictions --truth truth --json"""

SHOWN = 4
"""Clips of one fault that are shown; `--json` has them all."""

STYLES = {"error": ("✗", "bold red"), "warning": ("!", "bold yellow"), "note": ("·", "dim")}


def run(
    predictions: Annotated[Path, typer.Argument(help="Folder of <clip>/*.png or <clip>.mp4.", metavar="PREDICTIONS")],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="The data set that was animated.", metavar="D"),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Or a folder of truths, laid out as the predictions.", metavar="DIR"),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what is wrong with predictions, and what it costs; exit 1 if a number would be wrong."""
    if (dataset is None) == (truth is None):
        raise UsageError("give either --dataset NAME or --truth DIR, so that there is one truth to hold them against")
    from mcbench.datasets import load_dataset
    from mcbench.doctor import check_folder, diagnose, read_truth

    check_folder(predictions)
    unread: list[Finding] = []
    if truth is not None:
        loaded, unread = read_truth(truth)
    else:
        with drawing(dataset or "") as on_frame:
            loaded = load_dataset(dataset or "", on_frame=on_frame)
    with ProgressReporter() as reporter:
        reporter.start(sum(clip.frames for clip in loaded.clips))
        diagnosis = diagnose(predictions, loaded, unread=unread, on_frame=lambda clip: reporter.advance(1, clip))
    if json:
        print_json(diagnosis.document())
    else:
        _show(diagnosis, predictions, loaded)
    if not diagnosis.ok:
        raise typer.Exit(1)


def _show(diagnosis: Diagnosis, predictions: Path, dataset: Dataset) -> None:
    output.print()
    output.print(
        Text.assemble(
            (str(predictions), "bold"),
            f" against {dataset.name}: {_count(len(dataset.clips), 'clip')},",
            f" {_count(diagnosis.frames, 'frame')} looked at",
        ),
        soft_wrap=True,
    )
    output.print()
    for _, group in itertools.groupby(diagnosis.findings, key=lambda item: item.code):
        output.print(_fault(list(group)))
        output.print()
    output.print(_verdict(diagnosis))


def _fault(findings: Sequence[Finding]) -> RenderableType:
    """One kind of fault: where it is seen, what it costs, what to do."""
    first = findings[0]
    mark, style = STYLES[first.grade]
    head = Text.assemble((f"{mark} {first.title}", style), (f"  {first.code}", "dim"))
    if len(findings) > 1:
        head.append(f", {_count(len(findings), 'clip')}", "dim")
    if first.grade == "note":
        style = "dim"
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for item in findings[:SHOWN]:
        seen, comma, cost = item.evidence.partition("; with it ")
        table.add_row(item.clip or "", Text(seen))
        if comma:
            table.add_row("", _cost(cost))
    if len(findings) > SHOWN:
        table.add_row("", Text(f"and {_count(len(findings) - SHOWN, 'more clip')}; --json lists them all", "dim"))
    remedies = list(dict.fromkeys(item.remedy for item in findings))
    advice = [Text(f"→ {remedy}", "green" if first.grade != "note" else "dim") for remedy in remedies[:SHOWN]]
    return Group(head, Padding(Group(table, *advice), (0, 0, 0, 2)))


def _cost(cost: str) -> Text:
    worse, _, better = cost.partition("; without ")
    return Text.assemble((worse, "red"), ("  →  ", "dim"), (better, "green"), ("  once undone", "dim"))


def _verdict(diagnosis: Diagnosis) -> Panel:
    counts = {
        grade: len({item.code for item in diagnosis.findings if item.grade == grade}) for grade in ("error", "warning")
    }
    told = " and ".join(_count(count, grade) for grade, count in counts.items() if count)
    if not diagnosis.ok:
        return Panel(Text(f"{told}: do not publish numbers of these predictions"), border_style="red", expand=False)
    if told:
        return Panel(Text(f"{told}: fit to be measured, if this is meant"), border_style="yellow", expand=False)
    return Panel(Text("nothing wrong: fit to be measured"), border_style="green", expand=False)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
