"""Data cards: one page a data set, with its facts as YAML in front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from mcbench.errors import UsageError, nearest
from mcbench.resources import data_folder

__all__ = ["DataCard", "read_card", "read_cards"]


@dataclass(frozen=True)
class DataCard:
    """A data card.

    Attributes:
        facts: its front matter: name, version, pretty_name, license, clips, frames and more.
        text: the page, in Markdown.
    """

    facts: dict[str, Any]
    text: str


def read_cards() -> list[DataCard]:
    """Every card, by name."""
    return [_parse(file.read_text(encoding="utf-8")) for file in sorted(data_folder("data_cards").glob("*.md"))]


def read_card(name: str) -> DataCard:
    """The card of a data set.

    Raises:
        UsageError: if there is none.
    """
    cards = {card.facts["name"]: card for card in read_cards()}
    if name not in cards:
        raise UsageError(f"no data set is called '{name}'{nearest(name, cards)}; there are {', '.join(cards)}")
    return cards[name]


def _parse(text: str) -> DataCard:
    _, front, page = text.split("---\n", 2)
    return DataCard(facts=yaml.safe_load(front), text=page.strip())
