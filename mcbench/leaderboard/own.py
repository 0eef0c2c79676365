"""One's own results as rows of a table of the paper: which may stand there, and which may not."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcbench.datasets.cards import read_card
from mcbench.datasets.imported import imported_splits, split_folder
from mcbench.datasets.manifest import check_comparable, read_manifest
from mcbench.errors import ResultError
from mcbench.leaderboard.paper import PaperTable
from mcbench.leaderboard.wording import plain
from mcbench.results import Result, read_result

__all__ = ["OwnResult", "read_own_results"]


@dataclass(frozen=True)
class OwnResult:
    """A result that may stand in a table.

    Attributes:
        label: what its row is called, star included; no two rows of a table have the same.
        sha256: of its file, hex.
        result: what the file holds.
    """

    label: str
    sha256: str
    result: Result


def read_own_results(paths: Sequence[Path], table: PaperTable) -> list[OwnResult]:
    """Read results that are to stand beside the rows of a table.

    Args:
        paths: `result.json` files, or run folders.
        table: of the paper.

    Returns:
        In the order of the paths.

    Raises:
        ResultError: naming the first that cannot stand there: another data set or split, a part of it only, no
            numbers under the table's protocol, other frames than those of the result before, the same file twice.
    """
    files = [path / "result.json" if path.is_dir() else path for path in paths]
    results = [read_result(path) for path in paths]
    digests: dict[str, Path] = {}
    for path, file, result in zip(paths, files, results, strict=True):
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        if sha256 in digests:
            raise ResultError(f"{path}: the same result as {digests[sha256]}; give it once")
        digests[sha256] = path
        _check(path, result, table)
        try:
            check_comparable(results[0].dataset, result.dataset)
        except ResultError as error:
            raise ResultError(f"{path} and {paths[0]}: {error}") from None
    labels = _labels(results, files, {row.name for row in table.rows})
    return [OwnResult(*item) for item in zip(labels, digests, results, strict=True)]


def _labels(results: Sequence[Result], files: Sequence[Path], taken: set[str]) -> list[str]:
    """The methods' names with their stars; where two rows would have one name, the runs' folders tell them apart."""
    names = [
        f"{plain(result.method.name) or 'unnamed'}{'*' if result.method.needs_truth else ''}" for result in results
    ]
    labels: list[str] = []
    for name, file in zip(names, files, strict=True):
        folder = plain(file.resolve().parent.name)
        candidates = [name] if names.count(name) == 1 else []
        candidates += [f"{name} ({folder})", *(f"{name} ({folder}, {number})" for number in range(2, len(names) + 2))]
        labels.append(next(label for label in candidates if label not in taken.union(labels)))
    return labels


def _check(path: Path, result: Result, table: PaperTable) -> None:
    dataset = result.dataset
    which = f"Table {table.number}" if table.name == table.dataset else f"Table {table.number} ({table.name})"
    if dataset.name != table.dataset:
        raise ResultError(
            f"{path}: measured on '{plain(dataset.name)}', {which} stands on '{table.dataset}'; give a result of that"
        )
    split = dataset.version.partition("/")[2]
    if split and split != table.split:
        raise ResultError(
            f"{path}: measured on the split '{plain(split)}' of {table.dataset}, {which} stands on '{table.split}';"
            " numbers of two splits do not compare"
        )
    protocol = result.protocols.get(table.protocol)
    if protocol is None:
        raise ResultError(
            f"{path}: has no numbers under {table.protocol}, as {which} has; run the same command with"
            f" --protocol {table.protocol}"
        )
    part = _missing_part(result, table)
    if part:
        raise ResultError(f"{path}: a part of {table.dataset} only ({part}); measure all of it")


def _missing_part(result: Result, table: PaperTable) -> str | None:
    """How a result falls short of its whole data set, as far as anything at hand tells; None where nothing does.

    What tells: the result's own counts, the data card, the manifest of the data set where it was imported here, and,
    for data sets whose frames nobody ever counted in print, the command line.
    """
    dataset, scores = result.dataset, result.protocols[table.protocol].clips
    if len(scores) != dataset.clips:
        return f"{len(scores)} clips have scores, its data set has {dataset.clips}"
    frames = sum(clip.frames for clip in scores.values())
    if frames != dataset.frames:
        return f"{frames} frames have scores, its data set has {dataset.frames}"
    facts = read_card(table.dataset).facts
    for what, count in (("clips", dataset.clips), ("frames", dataset.frames)):
        whole = facts.get(what)
        if whole is not None and count != whole:
            return f"{count} {what} of {whole}"
    if table.split in imported_splits(table.dataset):
        manifest = read_manifest(split_folder(table.dataset, table.split))
        whole = len(manifest.clips), sum(entry.frames for entry in manifest.clips)
        if dataset.clips < whole[0] or dataset.frames < whole[1]:
            return f"{dataset.clips} clips and {dataset.frames} frames, {whole[0]} and {whole[1]} were imported here"
    elif facts.get("frames") is None:
        return _asked_for_less(result.provenance.command)
    return None


def _asked_for_less(command: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    options = [word.partition("=")[0] for word in words]
    option = next((option for option in options if option in ("--clips", "--frames")), None)
    return f"it was made with {option}" if option else None
