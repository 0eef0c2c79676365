"""Data cards: one page a data set, with its facts as YAML in front.

Those of the data sets that mcbench knows ship with it; that of a data set of one's own is generated on import.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcbench.datasets.imported import imported_names, imported_splits, split_folder
from mcbench.datasets.manifest import Manifest
from mcbench.datasets.registry import KINDS
from mcbench.errors import DatasetError, UsageError, nearest
from mcbench.resources import data_folder

__all__ = ["CARD", "DataCard", "generate_card", "read_card", "read_cards"]

CARD = "card.md"


@dataclass(frozen=True)
class DataCard:
    """A data card.

    Attributes:
        facts: its front matter: name, version, pretty_name, license, clips, frames and more.
        text: the page, in Markdown.
    """

    facts: dict[str, Any]
    text: str


def read_cards(root: Path | None = None) -> list[DataCard]:
    """Every card, by name: those that ship with mcbench, then those of imported data sets.

    Args:
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.

    Raises:
        DatasetError: if one is not a card.
    """
    shipped = sorted(data_folder("data_cards").glob("*.md"), key=lambda file: file.stem)
    own = [
        split_folder(name, split, root) / CARD
        for name in imported_names(root)
        if name not in KINDS
        for split in imported_splits(name, root)
    ]
    return [_read(file) for file in [*shipped, *own]]


def read_card(name: str, root: Path | None = None) -> DataCard:
    """The card of a data set; of one's own with several splits, that of the first.

    Raises:
        UsageError: if there is none.
    """
    cards: dict[str, DataCard] = {}
    for card in read_cards(root):
        cards.setdefault(card.facts["name"], card)
    if name not in cards:
        raise UsageError(f"no data set is called '{name}'{nearest(name, cards)}; there are {', '.join(cards)}")
    return cards[name]


def generate_card(manifest: Manifest) -> str:
    """The card of a data set of one's own: what its manifest says, and headings for what only its owner knows."""
    sizes = sorted({entry.size for entry in manifest.clips})
    rates = sorted({entry.fps for entry in manifest.clips})
    frames = sum(entry.frames for entry in manifest.clips)
    facts = {
        "name": manifest.name,
        "version": manifest.version,
        "pretty_name": manifest.name,
        "license": "unknown",
        "clips": len(manifest.clips),
        "frames": frames,
        "size": [f"{width} x {height}" for height, width in sizes],
        "fps": rates[0] if len(rates) == 1 else rates,
        "splits": [manifest.split],
        "generated": True,
    }
    unknown = "Not known to mcbench."
    clips = "\n".join(f"- {entry.name}: {entry.frames} frames, `{entry.sha256}`" for entry in manifest.clips)
    return f"""---
{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---

# {manifest.name}

**This card was generated** from the files when they were imported. What files do not say is not in it.

## Summary

A data set of your own: {len(manifest.clips)} clips, {frames} frames.

## Source and how it was made

{unknown}

## Splits

One split in this card, `{manifest.split}`. The first frame of each clip is its reference. The clips, each with the
SHA-256 of its decoded frames:

{clips}

## People

{unknown} Before results or frames are shown to others, make sure that whoever can be recognised agrees.

## Licence

Unknown to mcbench. Unless whoever holds the rights grants one, none is granted.

## Known faults

None was looked for.

## Digests

Those of the clips stand above. Fingerprint of the split: `{manifest.fingerprint}`.

## How to get it

From whoever imported it: `mcbench download {manifest.name} --source DIR`.

## Removal requests

To whoever holds the data: mcbench keeps no copy of the frames.

## How to cite

By its name, split and fingerprint; numbers on it compare only where the fingerprint agrees.
"""


def _read(file: Path) -> DataCard:
    try:
        _, front, page = file.read_text(encoding="utf-8").split("---\n", 2)
        facts = yaml.safe_load(front)
        name = facts["name"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        raise DatasetError(f"{file}: not a data card; import the data set again") from None
    return DataCard(facts={**facts, "name": str(name)}, text=page.strip())
