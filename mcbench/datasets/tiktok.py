"""The TikTok-style test videos of DisCo, as its TSV files or as a folder of clips.

Others mean other videos by "TikTok test set", so that a split always has a name; DisCo's is `new10val`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcbench.datasets.base import Clip
from mcbench.datasets.found import Kind, Location, locate_folder, split_name
from mcbench.errors import DatasetError, UsageError, nearest

__all__ = ["FPS", "NAME", "SPLIT", "TIKTOK"]

NAME = "tiktok"
SPLIT = "new10val"
"""DisCo's validation split of ten videos, 8 self-collected and 2 of the TikTok set."""

FPS = 30.0

_IMAGES = "_images.tsv"
_DEPTH = 3
"""Folders below the one that the user points at in which TSV files are looked for: a share unpacks to a tree."""


def _locate(source: Path, split: str | None) -> Location:
    if source.name.endswith(_IMAGES) and source.is_file():
        return _choose(source.parent, [source], split)
    for depth in range(_DEPTH):
        if found := sorted(source.glob(f"{'*/' * depth}*{_IMAGES}")):
            return _choose(source, found, split)
    if sorted(source.glob("*.tsv")):
        raise DatasetError(f"{source}: has TSV files, but no <split>{_IMAGES}; download it too")
    return locate_folder(source, split or source.resolve().name)


def _choose(source: Path, found: list[Path], split: str | None) -> Location:
    splits = {path.name.removesuffix(_IMAGES): path for path in found}
    if len(splits) < len(found):
        raise DatasetError(f"{source}: several folders in it hold the same split; give the one that you mean")
    if split is None:
        split = SPLIT if SPLIT in splits else next(iter(splits)) if len(splits) == 1 else None
    if split is None or split not in splits:
        hint = nearest(split or "", splits)
        raise UsageError(f"{source}: holds the splits {', '.join(splits)}{hint or ';'} choose one with --split")
    return _locate_tsv(splits[split].parent, split)


def _locate_tsv(folder: Path, split: str) -> Location:
    paths = {part: folder / f"{split}_{part}.tsv" for part in ("images", "poses", "masks")}
    for part, path in paths.items():
        if not path.is_file():
            raise DatasetError(f"{path}: missing; the split '{split}' has images but no {part}, download them too")
    vid2line = folder / f"{split}_vid2line.tsv"
    if vid2line.is_file():
        paths["vid2line"] = vid2line
    return Location(folder, split_name(split), "tsv", paths)


def _check(location: Location, clips: Sequence[Clip]) -> None:
    """A split is what its name says; how many frames each of the ten videos has was never published."""


TIKTOK = Kind(split=SPLIT, fps=FPS, locate=_locate, check=_check)
