"""What a board is: one data set, in one version and split, with the clips that its card names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mcbench.datasets.cards import read_card
from mcbench.datasets.imported import split_folder
from mcbench.datasets.manifest import MANIFEST, read_manifest
from mcbench.datasets.registry import KINDS
from mcbench.datasets.synthetic import clip_specs, synthetic_names

__all__ = ["BOARDS", "Board", "find_board"]

BOARDS = (*synthetic_names(), *KINDS)
"""Data sets with a board. A data set of one's own has none: nobody else could measure on it."""


@dataclass(frozen=True)
class Board:
    """What is known of a data set that has a board.

    Attributes:
        dataset: its name.
        version: as results state it, with the split of an imported set.
        split: of an imported set, None for a drawn one.
        clips: number of clips, None where it is not known beforehand.
        frames: number of frames, None where it is not known beforehand.
        lengths: frames of each clip by name, in order, None where they are not known beforehand.
        fingerprint: of all its frames, None where it is not known beforehand.
    """

    dataset: str
    version: str
    split: str | None
    clips: int | None
    frames: int | None
    lengths: dict[str, int] | None
    fingerprint: str | None

    @property
    def is_synthetic(self) -> bool:
        """Whether it is drawn by mcbench, so that `random@1` weights have a board on it."""
        return self.split is None


def find_board(dataset: str, *, imported: bool = False, root: Path | None = None) -> Board | None:
    """The board of a data set, None if it has none.

    Args:
        dataset: name of a data set.
        imported: whether an import on this machine counts as knowledge of the clips. It does where a submission is
            made; where one is checked the verdict must be the same on every machine.
        root: folder of the data sets; `$MCBENCH_HOME/datasets` by default.
    """
    if dataset not in BOARDS:
        return None
    facts = _facts(dataset)
    if dataset in synthetic_names():
        lengths = {spec.name: spec.frames for spec in clip_specs(dataset)}
        return Board(
            dataset, facts["version"], None, len(lengths), sum(lengths.values()), lengths, facts.get("fingerprint")
        )
    split = facts["splits"][0]
    board = Board(
        dataset=dataset,
        version=f"{facts['version']}/{split}",
        split=split,
        clips=facts["clips"],
        frames=facts["frames"],
        lengths=None,
        fingerprint=facts.get("fingerprint"),
    )
    folder = split_folder(dataset, split, root)
    if not imported or not (folder / MANIFEST).exists():
        return board
    manifest = read_manifest(folder)
    lengths = {entry.name: entry.frames for entry in manifest.clips}
    return Board(dataset, board.version, split, len(lengths), sum(lengths.values()), lengths, manifest.fingerprint)


@cache
def _facts(dataset: str) -> dict[str, Any]:
    """Of a card that ships with mcbench, which does not change while a program runs."""
    return read_card(dataset).facts
