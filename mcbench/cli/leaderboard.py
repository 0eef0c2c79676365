"""`mcbench leaderboard`: the boards, in the terminal or as static pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import errors, output, print_json, sheet
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from mcbench.site import Board, Entry, Row

NAME = "leaderboard"
EXAMPLES = """Examples:

$ mcbench leaderboard --dataset tiktok

$ mcbench leaderboard --dataset ted-talks --json

$ mcbench leaderboard --site pages"""

_STYLES = {"best": "bold green", "second": "underline"}
_SIGNS = {"best": "¹", "second": "²"}
_LONGEST_NAME, _LONGEST_BADGE, _GAP = 36, 10, 2


def run(
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="The boards of this data set only.", metavar="D")
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option("--site", help="Write static pages to this folder, in place of an earlier site.", metavar="DIR"),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show the boards: what papers printed and what was submitted, best and second best marked."""
    from mcbench.site import boards_of, collect, write_site
    from mcbench.site.downloads import board_document

    entries = collect()
    if dataset is not None:
        entries = _of_dataset(entries, dataset)
    if site is not None:
        boards = write_site(entries, site)
        counted = f"{len(boards)} boards" if len(boards) != 1 else "1 board"
        errors.print(f"{site / 'index.html'} ({counted})", soft_wrap=True, markup=False)
    else:
        boards = boards_of(entries)
    if json:
        print_json({"boards": [board_document(board) for board in boards]})
    elif site is None:
        _show(boards, dataset)


def _of_dataset(entries: Sequence[Entry], dataset: str) -> list[Entry]:
    from mcbench.submissions import BOARDS

    known = dict.fromkeys([*BOARDS, *(entry.board for entry in entries)])
    if dataset not in known:
        raise UsageError(
            f"--dataset {dataset}: there is no such board{nearest(dataset, known)}; there are {', '.join(known)}"
        )
    return [entry for entry in entries if dataset in (entry.board, entry.dataset)]


def _show(boards: Sequence[Board], dataset: str | None) -> None:
    output.print()
    if not boards:
        where = f" on {dataset}" if dataset else ""
        output.print(f"Nothing has been measured{where} yet; `mcbench submit` says how to be the first.", markup=False)
    for board in boards:
        output.print(_title(board), soft_wrap=True)
        for table in _tables(board):
            sheet().print(table)
        for line in _remarks(board):
            output.print(f"  {line}", style="dim", soft_wrap=True, markup=False)
        output.print()


def _title(board: Board) -> Text:
    from mcbench.leaderboard.wording import plain
    from mcbench.protocol import PROTOCOLS

    title = Text.assemble((plain(board.name), "bold"), "  ", (board.protocol, "bold cyan"))
    if board.name != board.dataset:
        title.append(f"  on {plain(board.dataset)}")
    title.append(f"  {PROTOCOLS[board.protocol].summary}", style="dim")
    if board.weights != "published":
        title.append(f"  {board.weights} weights: these compare only among themselves", style="yellow")
    return title


def _tables(board: Board) -> Iterator[Table]:
    """The board; in a terminal that is too narrow for all metrics, its parts below each other."""
    from mcbench.leaderboard.wording import plain
    from mcbench.protocol import heading

    numbers = _notes(board)
    names = [
        plain(row.entry.name)[:_LONGEST_NAME] + (f" [{numbers[row.entry.note]}]" if row.entry.note else "")
        for row in board.rows
    ]
    columns = {}
    for metric in board.metrics:
        some_tied = any(metric in row.tied for row in board.rows)
        head = Text(heading(metric) + " " * (1 + some_tied))
        columns[metric] = [head, *(_value(row, metric, some_tied=some_tied) for row in board.rows)]
    room = output.width - _GAP - max(map(cell_len, names), default=0) - _GAP - _LONGEST_BADGE
    for metrics in _parts({metric: max(map(len, cells)) + _GAP for metric, cells in columns.items()}, room):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
        table.add_column("", no_wrap=True)
        table.add_column("", no_wrap=True, style="dim")
        for metric in metrics:
            table.add_column(columns[metric][0], justify="right", no_wrap=True)
        for index, (row, name) in enumerate(zip(board.rows, names, strict=True), 1):
            table.add_row(Text(name), row.entry.badge, *(columns[metric][index] for metric in metrics))
        yield table


def _parts(widths: Mapping[str, int], room: int) -> Iterator[list[str]]:
    """Metrics that fit beside each other, at least one a part; all of them where nothing limits a line."""
    part: list[str] = []
    left = room
    for metric, width in widths.items():
        if part and width > left and output.is_terminal:
            yield part
            part, left = [], room
        part.append(metric)
        left -= width
    yield part


def _value(row: Row, metric: str, *, some_tied: bool) -> Text:
    from mcbench.leaderboard.tables import TIED

    score = row.scores.get(metric)
    if score is None:
        return Text("- " + " " * some_tied, style="dim")
    mark = row.marks.get(metric, "")
    # Marks that are read without colours too, and a blank in their place, so that numbers stand below each other.
    sign = _SIGNS.get(mark, " ") if score.comparable else "!"
    equal = TIED if metric in row.tied else " " * some_tied
    return Text.assemble((score.text, _STYLES.get(mark, "")), equal, sign)


def _notes(board: Board) -> dict[str, int]:
    """The methods' notes, numbered in the order of the rows."""
    notes = dict.fromkeys(row.entry.note for row in board.rows if row.entry.note)
    return {note: number for number, note in enumerate(notes, 1)}


def _remarks(board: Board) -> Iterable[str]:
    from mcbench.leaderboard.tables import TIED
    from mcbench.leaderboard.wording import plain
    from mcbench.protocol import LABELS

    yield "¹ best, ² second best, by value alone" + (f"; sorted by {LABELS[board.headline]}" if board.headline else "")
    if any(row.tied for row in board.rows):
        yield (
            f"{TIED} cannot be told from the best: by paired tests over the videos (5%, Holm-corrected over the board),"
            " or for want of videos"
        )
    if any(row.entry.starred for row in board.rows):
        yield "* was shown the truth: listed, without a place"
    if any(not score.comparable for row in board.rows for score in row.scores.values()):
        yield "! in another unit than its column: without a place"
    others = [plain(row.entry.name) for row in board.rows if row.other_copy]
    if others:
        yield f"on another copy of the data set, without a place: {', '.join(others)}"
    for note, number in _notes(board).items():
        yield f"[{number}] {plain(note)}"
