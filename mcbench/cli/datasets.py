"""`mcbench datasets`: what a method can be measured on."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer
from rich import box
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import output, print_json
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import DatasetError

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
        facts = {**card.facts, **_state(name)}
        if json:
            print_json({**facts, "text": card.text})
        else:
            output.print(_facts_table(facts))
            output.print(Markdown(card.text))
        return
    cards: dict[str, dict[str, Any]] = {}
    for card in read_cards():  # of a data set of one's own, each split has a card
        cards.setdefault(card.facts["name"], card.facts)
    rows = [{**facts, **_state(name)} for name, facts in cards.items()]
    if json:
        print_json(rows)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("data set", no_wrap=True)
    table.add_column("split", overflow="fold")
    table.add_column("clips", justify="right")
    table.add_column("frames", justify="right")
    table.add_column("licence", style="dim")
    table.add_column("state", no_wrap=True)
    for facts in rows:
        splits = facts["imported"] or [
            {"split": split, "clips": facts["clips"], "frames": facts["frames"]} for split in facts["splits"]
        ]
        for place, split in enumerate(splits):
            table.add_row(
                Text(facts["name"], style="bold") if place == 0 else "",
                split["split"],
                _count(split["clips"]),
                _count(split["frames"]),
                str(facts["license"]) if place == 0 else "",
                Text("ready", style="green") if facts["ready"] else Text("not imported", style="yellow"),
            )
    output.print(table)
    output.print("`mcbench datasets NAME` shows what a data set is and how to get it.", style="dim", soft_wrap=True)


def _state(name: str) -> dict[str, Any]:
    """Whether `load_dataset` takes the name as things stand, and which splits were imported."""
    from mcbench.datasets.imported import imported_splits, split_folder
    from mcbench.datasets.manifest import read_manifest
    from mcbench.datasets.synthetic import synthetic_names

    manifests = []
    for split in imported_splits(name):
        with suppress(DatasetError):  # a torn manifest: what it described has to be imported again
            manifests.append(read_manifest(split_folder(name, split)))
    return {
        "ready": bool(manifests) or name in synthetic_names(),
        "imported": [
            {
                "split": manifest.split,
                "clips": len(manifest.clips),
                "frames": sum(entry.frames for entry in manifest.clips),
                "fingerprint": manifest.fingerprint,
            }
            for manifest in manifests
        ],
    }


def _facts_table(facts: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        if key == "imported":
            for split in value:
                counts = f"{split['clips']} clips, {split['frames']} frames"
                table.add_row("imported", f"{split['split']}: {counts}, fingerprint {split['fingerprint'][:12]}")
        elif key == "ready":
            table.add_row("state", "ready" if value else "not imported")
        elif isinstance(value, list):
            table.add_row(key, ", ".join(str(item) for item in value))
        else:
            table.add_row(key, "not documented" if value is None else str(value))
    return table


def _count(value: int | None) -> str:
    return "?" if value is None else str(value)
