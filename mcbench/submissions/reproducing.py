"""Measuring a submission's predictions anew: the one check that a liar does not pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from mcbench.atomic import write_text
from mcbench.datasets import load_dataset
from mcbench.errors import ResultError
from mcbench.evaluation import score
from mcbench.protocol import PROTOCOLS
from mcbench.results import Result
from mcbench.submissions.boards import find_board
from mcbench.submissions.entry import PAIRWISE
from mcbench.submissions.findings import FileFault, Finding, finding
from mcbench.submissions.reading import parse_submission, read_bytes
from mcbench.submissions.rules.place import TOLERANCE
from mcbench.submissions.schema import Reproduction, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcbench.evaluation import Reporter

__all__ = ["Reproduced", "record", "reproduce"]

PAIRWISE_FLOOR = 1e-12
"""A difference of numbers that should both be 0, as the truth's L1 is."""


@dataclass(frozen=True)
class Reproduced:
    """What came of measuring anew.

    Attributes:
        findings: what did not come out again; empty if all did.
        content_sha256: of the submission.
        result: the new result.
        largest: largest difference between a stated number and the new one, as a part of the number.
        of: which number that is, `<protocol> <metric>`.
    """

    findings: tuple[Finding, ...]
    content_sha256: str
    result: Result
    largest: float
    of: str


def reproduce(
    submission: Submission,
    predictions: Path,
    *,
    path: Path,
    out: Path,
    device: str = "auto",
    reporter: Reporter | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Reproduced | None:
    """Measure predictions on the submission's data set, with its kind of weights, and compare every number.

    Args:
        submission: one that keeps the rules.
        predictions: folder of `<clip>/*.png` or `<clip>.mp4`.
        path: of the submission's file, for findings.
        out, device, reporter: as in `mcbench.score`.
        on_frame: as in `load_dataset`.

    Returns:
        None in a worker process other than the first.

    Raises:
        UserError: if the data set, the weights or the predictions are not there or do not fit.
    """
    stated = submission.result
    board = find_board(stated.dataset.name)
    if board is None:
        raise ResultError(f"{path}: '{stated.dataset.name}' has no board; there is nothing to reproduce")
    kinds = {metric.weights for protocol in stated.protocols.values() for metric in protocol.metrics.values()}
    (weights,) = kinds - {None}
    new = score(
        predictions,
        load_dataset(stated.dataset.name, split=board.split, on_frame=on_frame),
        protocols=[PROTOCOLS[id] for id in stated.protocols],
        weights=weights,
        out=out,
        device=device,
        reporter=reporter,
    )
    if new is None:
        return None
    findings = []
    is_same_truth = new.dataset.fingerprint == stated.dataset.fingerprint
    if not is_same_truth:
        seen = f"fingerprint {stated.dataset.fingerprint[:12]}; here it is {new.dataset.fingerprint[:12]}"
        findings.append(finding("other-truth", f"{path}: result.dataset.fingerprint", seen))
    if new.predictions.digest != stated.predictions.digest:
        seen = f"digest {stated.predictions.digest[:12]}; that of {predictions} is {new.predictions.digest[:12]}"
        findings.append(finding("other-predictions", f"{path}: result.predictions.digest", seen))
    largest, of = 0.0, "none"
    # Other frames have other numbers, and perhaps other clips.
    for where, name, a, b, scale in _numbers(submission, new) if is_same_truth else ():
        difference = _difference(a, b, scale)
        if difference is None or difference > TOLERANCE:
            seen = f"{_told(a)} is stated; measured anew it is {_told(b)}"
            findings.append(finding("not-reproduced", f"{path}: {where}", seen))
        if difference is not None and difference > largest:
            largest, of = difference, name
    return Reproduced(tuple(findings), submission.content_sha256, new, largest, of)


def record(path: Path, done: Reproduced, by: str) -> None:
    """Write into a submission's file that its numbers came out again; an earlier record by the same person goes.

    Nothing else in the file changes, fields that it lacks stay lacking: its seal is over what it says.

    Args:
        path: of the file.
        done: what came of measuring anew.
        by: who did it.

    Raises:
        ResultError: if it was not reproduced, the file has changed since, or it cannot be written.
    """
    try:
        document, submission = parse_submission(read_bytes(path))
    except FileFault as fault:
        raise ResultError(f"{path}: has changed meanwhile ({fault.evidence}); verify it again") from None
    if done.findings or submission.content_sha256 != done.content_sha256:
        why = "its numbers did not come out again" if done.findings else "it has changed meanwhile"
        raise ResultError(f"{path}: nothing is recorded, {why}; verify it again")
    made = Reproduction(
        by=by,
        date=datetime.now(timezone.utc).date().isoformat(),
        mcbench=done.result.provenance.mcbench,
        device=done.result.provenance.device,
        largest_difference=done.largest,
        content_sha256=done.content_sha256,
    )
    kept = [old for old in submission.reproduced if old.by != by and old.content_sha256 == done.content_sha256]
    document["reproduced"] = [item.model_dump(mode="json") for item in (*kept, made)]
    write_text(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n", path)


def _numbers(submission: Submission, new: Result) -> Iterator[tuple[str, str, float | None, float | None, float]]:
    """Place, name, stated and new number, and the size of what they are differences of."""
    for id, stated in submission.result.protocols.items():
        for name, metric in stated.metrics.items():
            anew = new.protocols[id].metrics[name]
            # A kernel distance may be 0 by chance; its values without one clip tell how large its terms are.
            left = submission.left_out[id][name].values if name in ("kid", "kvd") else None
            scale = max(map(abs, [metric.value or 0.0, *(left or {}).values()]))
            where = f"result.protocols.{id}.metrics.{name}"
            yield where, f"{id} {name}", metric.value, anew.value, scale
            yield f"{where}.std_error", f"{id} {name}", metric.std_error, anew.std_error, scale
        for clip, scores in stated.clips.items():
            again = new.protocols[id].clips[clip]
            for name in PAIRWISE:
                where = f"result.protocols.{id}.clips.{clip}.{name}"
                yield where, f"{id} {name}", getattr(scores, name), getattr(again, name), 0.0


def _difference(a: float | None, b: float | None, scale: float) -> float | None:
    """As a part of the larger number; None if only one of them is there."""
    if a is None or b is None:
        return 0.0 if a is b else None
    size = max(abs(a), abs(b), scale)
    return abs(a - b) / size if abs(a - b) > PAIRWISE_FLOOR else 0.0


def _told(number: float | None) -> str:
    return "none" if number is None else f"{number:.9g}"
