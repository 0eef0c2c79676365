"""Verifying: one submission, or all that lie in a folder. It needs no network, no weights and no data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcbench.errors import ResultError
from mcbench.submissions.boards import BOARDS, find_board
from mcbench.submissions.entry import Entry
from mcbench.submissions.findings import FileFault, Finding, Verdict, finding, printable
from mcbench.submissions.reading import parse_submission, read_bytes
from mcbench.submissions.rules import broken
from mcbench.submissions.schema import Submission

__all__ = ["verify"]

README = "README.md"
ASIDE = (".gitkeep",)

Read = dict[Path, tuple[dict[str, Any], Submission]]


def verify(path: Path) -> Verdict:
    """Hold a submission, or every one in a folder of them, against the rules.

    Args:
        path: `<dataset>/<method>.json`, whose neighbours are looked at too; or the folder `<dataset>`; or the one with
            all of these in it.

    Raises:
        ResultError: if there is nothing at that place, or it cannot be listed.
    """
    findings: list[Finding] = []
    if path.is_dir() and not path.is_symlink():
        files = []
        for file, fault in _of_board(path) if path.absolute().name in BOARDS else _listed(path):
            if fault is None:
                files.append(file)
            else:
                findings.append(finding("stray-file", str(file), fault))
        checked = set(files)
    else:
        checked = {path}
        folder = path.parent
        files = [path, *(file for file in sorted(folder.glob("*.json")) if file.name != path.name)]
    read: Read = {}
    for file in files:
        try:
            read[file] = parse_submission(read_bytes(file))
        except FileFault as fault:
            if file in checked:
                where = f"{file}: {printable(fault.where)}" if fault.where else str(file)
                findings.append(finding(fault.code, where, fault.evidence))
        except ResultError:
            if file in checked:
                raise
    for file in files:
        if file in checked and file in read:
            findings += broken(_entry(file, read))
    return Verdict.of(findings, len(checked))


def _entry(file: Path, read: Read) -> Entry:
    document, submission = read[file]
    others = {
        other.name: theirs for other, (_, theirs) in read.items() if other != file and other.parent == file.parent
    }
    return Entry(file, document, submission, find_board(submission.result.dataset.name), others)


def _listed(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file of a folder of submissions, with what is wrong about its being there."""
    for path in _children(folder):
        if path.is_symlink():
            yield path, "it is a symbolic link"
        elif path.is_dir():
            if path.name not in BOARDS:
                yield path, f"no board is called '{printable(path.name, 60)}'"
                continue
            yield from _of_board(path)
        elif path.name not in (README, *ASIDE):
            yield path, "only folders of data sets and a README lie here"


def _of_board(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The same of one board's folder."""
    for file in _children(folder):
        if file.is_dir() and not file.is_symlink():
            yield file, "it is a folder"
        elif file.name not in ASIDE:
            yield file, None if file.suffix == ".json" else "it is no JSON file"


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ResultError(f"{folder}: cannot be listed ({error.strerror or error}); mend its permissions") from error
