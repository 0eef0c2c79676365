"""`mcbench datasets`: what a method can be measured on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from mcbench.cli.console import output, print_json
from mcbench.cli.options import DebugOption, JsonOption

NAME = "datasets"
EXAMPLES = """Examples:

$ mcbench datasets

$ mcbench datasets synthetic-mini

$ mcbench datasets synthetic --json"""


def run(
    name: Annotated[str | None, typer.Argument(help="Show the card of this one.", metavar="NAME")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the data sets, or show the card of one."""
    from mcbench.datasets.cards import read_card, read_cards

    if name is not None:
        card = read_card(name)
        if json:
            print_json({**card.facts, "text": card.text})
        else:
            output.print(Markdown(card.text))
        return
    cards = read_cards()
    if json:
        print_json([card.facts for card in cards])
        return
    table = Table(box=None, header_style="bold", padding=(0, 2))
    table.add_column("data set")
    table.add_column("clips", justify="right")
    table.add_column("frames", justify="right")
    table.add_column("licence")
    table.add_column("what it is")
    for card in cards:
        facts = card.facts
        table.add_row(
            facts["name"], str(facts["clips"]), str(facts["frames"]), facts["license"], facts.get("pretty_name", "")
        )
    output.print(table)
