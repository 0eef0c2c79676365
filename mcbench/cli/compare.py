"""`mcbench compare`: which of several results is better, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import errors, output, print_json
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError
from mcbench.protocol import PROTOCOLS

if TYPE_CHECKING:
    from mcbench.compare import Comparisons, Pair
    from mcbench.compare.words import Standing

NAME = "compare"
EXAMPLES = """Examples:

$ mcbench compare runs/copy-reference-synthetic-mini runs/truth-synthetic-mini"""

STYLES = {"a": "bold cyan", "b": "bold magenta"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UNLIMITED = 1000
"""Columns of a terminal in which every table fits."""
HEADINGS: dict[str, Any] = {
    "a - b": {"justify": "right", "style": "bold"},
    "95% interval": {"justify": "center"},
    "p": {"justify": "right", "style": "dim"},
    "p, Holm": {"justify": "right"},
    "a:b:ties": {"justify": "center", "style": "dim"},
    "better": {"justify": "center"},
}
"""Columns behind a metric's name, and their looks."""


def run(
    results: Annotated[
        list[Path], typer.Argument(help="Run folders or result.json files, two or more.", metavar="RESULT")
    ],
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare results of one data set: paired tests over its videos, corrected for their number."""
    if len(results) < 2:
        raise UsageError(f"{results[0]} alone cannot be compared; give two results or more")
    from mcbench.compare import compare_results
    from mcbench.leaderboard.wording import plain

    with errors.status("reading") if errors.is_terminal else nullcontext() as status:
        comparisons = compare_results(
            results, on_result=lambda label: status.update(f"comparing {escape(plain(label))}") if status else None
        )
    if json:
        print_json(comparisons.document())
    else:
        _show(comparisons)


def _show(comparisons: Comparisons) -> None:
    from mcbench.compare import conclude, standing
    from mcbench.leaderboard.wording import plain

    first = next(iter(comparisons.results.values()))
    data = f"{_number(first.dataset.clips, 'video')}, {_number(first.dataset.frames, 'frame')}"
    output.print()
    output.print(Text.assemble((plain(first.dataset.name), "bold"), f": {data}"))
    for label, result in comparisons.results.items():
        if result.method.note:
            output.print(Text(f"{plain(label)}: {plain(result.method.note)}", style="bold yellow"))
    for id in comparisons.protocols:
        output.print()
        output.print(Text.assemble((id, "bold cyan"), f"  {PROTOCOLS[id].summary}"))
        for a, b in combinations(comparisons.results, 2):
            output.print()
            output.print(_heading(comparisons, a, b))
            for table in _tables(comparisons.select(id, a, b)):
                output.print(table)
            for sentence in conclude(comparisons, a, b, id):
                output.print(_item("•", plain(sentence)))
        if len(comparisons.results) > 2 and (best := standing(comparisons, id)):
            output.print()
            output.print(_standing(comparisons, id, best))
    output.print()
    for line in _footnotes(comparisons):
        output.print(_item("", line, "dim"))
    output.print()


def _item(mark: str, text: str, style: str = "") -> Table:
    """A paragraph whose lines all begin behind the mark."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=2, justify="right")
    grid.add_column()
    grid.add_row(mark, Text(text, style))
    return grid


def _heading(comparisons: Comparisons, a: str, b: str) -> Text:
    first, second = (
        Text.assemble((side, STYLES[side]), f" {_name(comparisons, label)}") for side, label in (("a", a), ("b", b))
    )
    gap = "    " if first.cell_len + 4 + second.cell_len <= output.width else "\n"
    return Text.assemble(first, gap, second)


def _tables(pairs: Sequence[Pair]) -> Iterator[Table]:
    """The tests of two results; where it is too narrow for all columns, parts of them below each other."""
    rows = [_cells(pair) for pair in pairs]
    unlimited = output.options.update(max_width=UNLIMITED)
    part: list[str] = []
    for heading in HEADINGS:
        if part and output.measure(_table(rows, [*part, heading]), options=unlimited).maximum > output.width:
            yield _table(rows, part)
            part = []
        part.append(heading)
    yield _table(rows, part)


def _table(rows: Sequence[dict[str, str | Text]], headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True, **HEADINGS[heading])
    for row in rows:
        table.add_row(row[""], *(row[heading] for heading in headings))
    return table


def _cells(pair: Pair) -> dict[str, str | Text]:
    """A metric's row by heading; its name has none."""
    from mcbench.compare.words import METRIC_NAMES, format_p
    from mcbench.protocol import HIGHER_IS_BETTER

    name = f"{METRIC_NAMES[pair.metric]} {'↑' if pair.metric in HIGHER_IS_BETTER else '↓'}"
    numbers = [number for number in (pair.difference, *(pair.interval or ())) if number is not None]
    exponent, decimals = _scale(numbers)
    if exponent:
        name += f" ×10{str(exponent).translate(SUPERSCRIPTS)}"
    shown = [f"{number / 10.0**exponent:+.{decimals}f}" for number in numbers]
    verdict = Text("-", "dim") if pair.p_value is None else Text("?", "dim")
    if pair.better is not None:
        side = "a" if pair.better == pair.a else "b"
        verdict = Text(side, STYLES[side])
    return {
        "": Text(name),
        "a - b": shown[0] if shown else "-",
        "95% interval": f"{shown[1]} … {shown[2]}" if pair.interval else "-",
        "p": "-" if pair.p_value is None else format_p(pair.p_value),
        "p, Holm": "-" if pair.p_holm is None else format_p(pair.p_holm),
        # As text, or rich takes `:1:` for the name of a picture.
        "a:b:ties": Text(":".join(map(str, pair.wins)) if pair.wins else "-"),
        "better": verdict,
    }


def _scale(numbers: list[float]) -> tuple[int, int]:
    """A power of ten for a row, 0 where it reads well without one, and decimals: three digits of the interval."""
    largest = max(map(abs, numbers), default=0.0)
    if largest == 0:
        return 0, 0
    exponent = 0 if 1e-2 <= largest < 1e5 else math.floor(math.log10(largest))
    reach = (numbers[2] - numbers[1]) / 2 if len(numbers) == 3 and numbers[2] > numbers[1] else largest
    return exponent, min(4, max(0, 2 - math.floor(math.log10(reach / 10.0**exponent))))


def _standing(comparisons: Comparisons, id: str, best: Sequence[Standing]) -> Table:
    from mcbench.compare.words import METRIC_NAMES
    from mcbench.leaderboard.wording import format_value

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("best", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("cannot be told from it", overflow="fold")
    for item in best:
        rest = ", ".join(_name(comparisons, label) for label in item.level_with)
        table.add_row(
            METRIC_NAMES[item.metric],
            Text(_name(comparisons, item.best), "bold"),
            format_value(id, item.metric, item.value),
            Text(rest) if rest else Text("none of the others", "dim"),
        )
    return table


def _footnotes(comparisons: Comparisons) -> list[str]:
    lines = ["↓ lower is better, ↑ higher; ? no claim; - no test. The unit of all tests is the video."]
    counts = {id: comparisons.tests(id) for id in comparisons.protocols}
    if any(counts.values()):
        told = " and ".join(f"{count} under {id}" for id, count in counts.items())
        lines.append(
            f"p, Holm: corrected for all tests of a protocol in this call ({told}); a method is called better where it"
            " is at most 0.05. An interval is of one difference by itself."
        )
    metrics = {pair.metric for pair in comparisons.pairs if pair.interval is not None}
    if metrics & {"fid", "fid_vid", "fvd"}:
        lines.append("FID, FID-VID, FVD: the difference at this number of videos, not that of the populations.")
    if "background_motion" in {pair.metric for pair in comparisons.pairs}:
        lines.append("bg motion: compared is the distance from 0, where the background moves as in the truth.")
    if "disco-legacy@1" in comparisons.protocols:
        lines.append("disco-legacy@1 has the field's faults: for which frames are better, go by mcbench@1.")
    if any(result.method.needs_truth for result in comparisons.results.values()):
        placeless = ", and has no place among the best" if len(comparisons.results) > 2 else ""
        lines.append(f"* was shown the truth{placeless}")
    unverified = {
        name: kind for result in comparisons.results.values() for name, kind in result.unverified_weights.items()
    }
    if unverified:
        kinds = ", ".join(sorted(set(unverified.values())))
        lines.append(
            f"{kinds} weights under {', '.join(sorted(unverified))}: these numbers compare only with others of the same"
            " weights."
        )
    return lines


def _name(comparisons: Comparisons, label: str) -> str:
    from mcbench.leaderboard.wording import plain

    return plain(label) + ("*" if comparisons.results[label].method.needs_truth else "")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
