"""What can be wrong with a submission: one table of faults, and the findings of one check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FAULTS", "Fault", "FileFault", "Finding", "Grade", "Verdict", "finding", "printable"]

Grade = Literal["error", "warning", "note"]

LONGEST_SHOWN = 160
"""Characters of a text from a file that are shown; whoever wrote it may not fill a screen."""
LONGEST_PLACE = 1000
"""Of a path on this machine and a place in its file."""
LONGEST_EVIDENCE = 400


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        grade: `error` keeps a submission off the board; `warning` is for a reader of the board to know.
        title: a few words for people.
        remedy: what to do about it.
    """

    grade: Grade
    title: str
    remedy: str


_AGAIN = "write the file with `mcbench submit`, and do not edit it"
_NO_HAND = "measure again and submit the result as it is"

FAULTS: dict[str, Fault] = {
    # of the file
    "stray-file": Fault("error", "a file that does not belong here", "leave only <dataset>/<method>.json here"),
    "not-a-file": Fault("error", "not an ordinary file", "put the file itself there, not a link"),
    "too-large": Fault("error", "a file that is too large", _AGAIN),
    "encoding": Fault("error", "not plain UTF-8", _AGAIN),
    "not-json": Fault("error", "not one JSON document", _AGAIN),
    "duplicate-key": Fault("error", "a key that is there twice", _AGAIN),
    "not-finite": Fault("error", "a number that is none", _AGAIN),
    "huge-number": Fault("error", "a number beyond all measure", _AGAIN),
    "nesting": Fault("error", "nested too deep", _AGAIN),
    "text": Fault(
        "error", "text that may not be shown", "write plain text: no control, invisible or markup characters"
    ),
    "schema": Fault("error", "not of the schema", _AGAIN),
    # of its place and its people
    "content-hash": Fault("error", "changed after it was sealed", _AGAIN),
    "path": Fault("error", "in the wrong place", "move it to <dataset>/<method>.json"),
    "method-name": Fault("error", "not a method's name", "use small letters, digits and -, as in my-method"),
    "look-alike": Fault("error", "a name that looks like another's", "choose a name that cannot be taken for another"),
    "authors": Fault(
        "error", "authors who cannot be named", "give each author's name with --authors, in plain letters"
    ),
    "links": Fault("error", "a link that may not be followed", "give https addresses with --link, in plain ASCII"),
    "license": Fault("error", "not a licence", "give it with --license, as an SPDX identifier such as Apache-2.0"),
    "claim": Fault("error", "a claim about nothing", "give it as --claim METRIC=VALUE or PROTOCOL/METRIC=VALUE"),
    "duplicate": Fault("error", "predictions that are there already", "submit predictions of your own"),
    "reproduced": Fault("error", "a record of another submission", "reproduce it again with --record"),
    # of where it comes from
    "provenance": Fault("error", "where it comes from is unclear", _NO_HAND),
    "dirty-checkout": Fault(
        "error", "measured by changed code", "commit or stash the changes, then measure again into a new --out"
    ),
    "dataset": Fault("error", "no board", "measure on one of the data sets that have a board"),
    "dataset-version": Fault("error", "another version or split", "measure on the version and split of the board"),
    "clips": Fault("error", "not the data set's clips", "measure whole clips, all of them: no --clips, no --frames"),
    "fingerprint": Fault("error", "not the data set's frames", "draw or import the data set again, and measure again"),
    "predictions": Fault("error", "predictions that contradict their clips", _NO_HAND),
    "truth-copied": Fault("error", "predictions that are the truth", "submit what the method made"),
    "weights": Fault(
        "error",
        "weights without a board",
        "measure with the published weights; random@1 counts on the synthetic data sets only",
    ),
    "weights-hash": Fault("error", "not the weights that they are called", _NO_HAND),
    "networks": Fault("error", "not the protocol's networks", _NO_HAND),
    # of its numbers
    "protocols": Fault("error", "not a protocol's metrics", "measure under whole protocols"),
    "counts": Fault("error", "counts that contradict the clips", _NO_HAND),
    "missing-value": Fault("error", "a metric without a value", "measure whole clips, all of them"),
    "range": Fault("error", "a number outside its range", _NO_HAND),
    "averages": Fault("error", "a total that is not the mean of its clips", _NO_HAND),
    "spread": Fault("error", "an interval that does not follow from the clips", _NO_HAND),
    "left-out": Fault("error", "an interval that does not follow from the values without one clip", _NO_HAND),
    "across-protocols": Fault("error", "protocols that contradict each other", _NO_HAND),
    "same-truth": Fault("error", "another truth than the board's", "measure on the frames of the board"),
    # of measuring anew
    "other-predictions": Fault("error", "not the predictions that were submitted", "give those, frame for frame"),
    "other-truth": Fault("error", "not the truth that was measured on", "draw or import the data set again"),
    "not-reproduced": Fault("error", "numbers that do not come out again", _NO_HAND),
    # to know
    "claim-differs": Fault("warning", "measured is not what was claimed", "keep it if it is right: both are shown"),
    "no-license": Fault("warning", "no licence of the weights", "say with --license under which terms they can be had"),
    "reproduced-by-author": Fault("warning", "reproduced by its own authors", "ask somebody else to reproduce it"),
}
"""Every code, in the order in which findings are shown."""


class FileFault(Exception):
    """What keeps a file from being read.

    Attributes:
        code: a key of `FAULTS`.
        where: the place in the document, empty for the whole file.
        evidence: what was seen.
    """

    def __init__(self, code: str, evidence: str, where: str = "") -> None:
        super().__init__(code, evidence, where)
        self.code, self.evidence, self.where = code, evidence, where


@dataclass(frozen=True)
class Finding:
    """One fault of one submission.

    Attributes:
        code: a key of `FAULTS`.
        grade: its grade.
        where: the file, and the place in it.
        evidence: what was seen.
        remedy: what to do.
    """

    code: str
    grade: Grade
    where: str
    evidence: str
    remedy: str

    @property
    def title(self) -> str:
        """The fault in a few words."""
        return FAULTS[self.code].title


def finding(code: str, where: str, evidence: str) -> Finding:
    """A finding with its code's grade and remedy; all of it printable, on one line, and of bounded length."""
    fault = FAULTS[code]
    return Finding(
        code, fault.grade, printable(where, LONGEST_PLACE), printable(evidence, LONGEST_EVIDENCE), fault.remedy
    )


def printable(text: object, longest: int = LONGEST_SHOWN) -> str:
    """Text from a file as it may go to a terminal: ASCII and printable letters, cut to a length."""
    whole = str(text)
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in whole[:longest])
    return shown[:longest] + ("…" if len(whole) > longest or len(shown) > longest else "")


@dataclass(frozen=True)
class Verdict:
    """All findings, errors first.

    Attributes:
        findings: sorted by grade, then by the order of `FAULTS`, then as they were found.
        submissions: how many files were checked.
    """

    findings: tuple[Finding, ...]
    submissions: int

    @classmethod
    def of(cls, findings: Iterable[Finding], submissions: int) -> Verdict:
        """A verdict with its findings sorted."""
        grades: tuple[Grade, ...] = ("error", "warning", "note")
        codes = list(FAULTS)
        ordered = sorted(findings, key=lambda item: (grades.index(item.grade), codes.index(item.code)))
        return cls(tuple(ordered), submissions)

    @property
    def ok(self) -> bool:
        """Whether there is no finding of grade error."""
        return all(item.grade != "error" for item in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON form: `{"ok": bool, "findings": [{"code", "grade", "where", "evidence", "remedy"}]}`."""
        return {"ok": self.ok, "findings": [vars(item) for item in self.findings]}
