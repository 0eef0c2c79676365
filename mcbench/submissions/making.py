"""From a run folder to a submission. What the board would refuse is refused here, before it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.atomic import write_text
from mcbench.compare.evidence import is_behind
from mcbench.errors import ResultError
from mcbench.measurement import Measurement, read_measurement
from mcbench.metrics.frechet import frechet_distance, frechet_leave_one_out
from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix
from mcbench.protocol import PROTOCOLS, Protocol
from mcbench.results import Result, read_result
from mcbench.statistics import kernel_leave_one_out
from mcbench.submissions.boards import find_board
from mcbench.submissions.entry import FEATURES, Entry
from mcbench.submissions.findings import FileFault, Finding, finding
from mcbench.submissions.reading import parse_submission, read_bytes
from mcbench.submissions.rules import EARLY, RULES, broken
from mcbench.submissions.schema import (
    ClipRecord,
    LeftOut,
    Submission,
    content_digest,
    predictions_digest,
    submission_path,
)

__all__ = ["make_submission", "write_submission"]

Array = npt.NDArray[Any]

ROUNDING = 1e-6
"""Part of a value by which its second computation may differ."""
NOTHING = 1e-12
"""A difference of numbers that should both be 0."""


def make_submission(
    run: Path,
    folder: Path,
    *,
    authors: Sequence[str],
    links: Sequence[str] = (),
    license: str | None = None,
    claims: Mapping[str, Mapping[str, float]] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Submission:
    """A submission of a run, checked by the rules of the leaderboard.

    The values without one clip are computed from the run's measurements, and the result is held against those.

    Args:
        run: the run folder, or the `result.json` in it.
        folder: of the submissions, where the others of its board lie.
        authors, links, license, claims: see `Submission`.
        warn: told of what a reader of the board should know.

    Raises:
        ResultError: if the board would refuse it, or the run's measurements are gone or another result's; one line.
    """
    result = read_result(run)
    file = run / "result.json" if run.is_dir() else run
    measurements = _measurements(result, file.parent / "measurements", file)
    fields: dict[str, Any] = {
        "result": result,
        "authors": tuple(authors),
        "links": tuple(links),
        "license": license,
        "claims": {id: dict(values) for id, values in (claims or {}).items()},
        "clips": tuple(map(_record, measurements)),
    }
    _refuse(_entry(fields, {}, folder), file, EARLY, lambda text: None)
    _check_result(result, measurements, file)
    left_out = _left_out(result, measurements)
    entry = _entry(fields, left_out, folder)
    _refuse(entry, file, RULES, warn)
    return entry.submission


def write_submission(submission: Submission, folder: Path, *, overwrite: bool = False) -> Path:
    """Write a submission to its place, and return that. A file of the same content stays, with who reproduced it.

    Args:
        submission: what to write.
        folder: of the submissions.
        overwrite: whether it may take the place of an earlier one of the same name.

    Raises:
        ResultError: if another one is there already, or it cannot be written.
    """
    path = submission_path(submission, folder)
    text = submission.to_json()
    if path.is_symlink():
        raise ResultError(f"{path}: it is a symbolic link; remove it, or give another folder with --out")
    try:
        known = path.read_bytes()
    except FileNotFoundError:
        known = None
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror or error}); mend its permissions") from error
    if known is not None and _seal_of(known) == submission.content_sha256:
        return path
    if known is not None and not overwrite:
        raise ResultError(
            f"{path}: holds another submission{_whose(known)}; --replace it if it is yours, or measure your method"
            " under another name"
        )
    write_text(text, path)
    return path


def _entry(fields: Mapping[str, Any], left_out: dict[str, dict[str, LeftOut]], folder: Path) -> Entry:
    """The submission as a reader of its file will see it: through the same checks as a stranger's."""
    unsealed = Submission(**fields, left_out=left_out, content_sha256="0" * 64)
    sealed = unsealed.model_copy(update={"content_sha256": content_digest(unsealed.document())})
    path = submission_path(sealed, folder)
    try:
        document, submission = parse_submission(sealed.to_json().encode("utf-8", "surrogatepass"))
    except FileFault as fault:
        raise ResultError(_line(finding(fault.code, fault.where or "the submission", fault.evidence), 0)) from None
    board = find_board(submission.result.dataset.name, imported=True)
    return Entry(path, document, submission, board, _others(path))


def _others(path: Path) -> dict[str, Submission]:
    found = {}
    for file in sorted(path.parent.glob("*.json")) if path.parent.is_dir() else ():
        if file.name == path.name:
            continue
        try:
            found[file.name] = parse_submission(read_bytes(file))[1]
        except (FileFault, ResultError):
            continue  # `mcbench verify` says what is wrong with it; it does not keep others off the board
    return found


def _refuse(entry: Entry, file: Path, rules: Iterable[str], warn: Callable[[str], None]) -> None:
    findings = list(broken(entry, rules))
    errors = [item for item in findings if item.grade == "error"]
    if errors:
        where = errors[0].where.removeprefix(f"{entry.path}").removeprefix(": ").removeprefix("result.")
        raise ResultError(_line(replace(errors[0], where=f"{file}: {where}" if where else str(file)), len(errors) - 1))
    for item in findings:
        warn(f"{item.title}: {item.evidence}; {item.remedy}")


def _line(item: Finding, more: int) -> str:
    rest = f" ({more} more such {'fault' if more == 1 else 'faults'})" if more else ""
    return f"{item.where}: {item.title}: {item.evidence}{rest}; {item.remedy}"


def _measurements(result: Result, folder: Path, file: Path) -> list[Measurement]:
    """The measurements that the result was computed from, in its order of clips."""
    found = []
    names = list(next(iter(result.protocols.values())).clips) if result.protocols else []
    for name in names:
        candidates = [folder / f"{name}.safetensors", *sorted(folder.glob(f"{escape(name)}.????????.safetensors"))]
        items = [item for path in candidates if (item := read_measurement(path)) is not None and item.clip == name]
        fitting = [item for item in items if is_behind(item, result)]
        if not fitting:
            why = "are missing"
            if items:
                why = "are another run's"
            elif any(path.exists() for path in candidates):
                why = "are damaged or of another version of mcbench"
            raise ResultError(
                f"{folder}: the measurements of clip '{name}' {why}; run the same command again, which makes them anew,"
                " and submit the whole run folder"
            )
        found.append(fitting[0])
    if predictions_digest(map(_record, found)) != result.predictions.digest:
        raise ResultError(f"{file}: its predictions are not those in {folder}; run the same command again")
    return found


def _record(item: Measurement) -> ClipRecord:
    return ClipRecord(
        name=item.clip,
        frames=item.frames,
        reference_frame=item.reference_frame,
        prediction=item.prediction["frames"],
        truth=item.truth["frames"],
    )


def _check_result(result: Result, measurements: Sequence[Measurement], file: Path) -> None:
    """Distances are those of the measured features; what follows from the clips alone the rules look at."""
    for id, stated in result.protocols.items():
        for name in PROTOCOLS[id].metrics:
            metric = stated.metrics[name]
            if name not in FEATURES or metric.value is None:
                continue
            _, x, y = _features(name, PROTOCOLS[id], measurements)
            if name in ("kid", "kvd"):
                value = kernel_distance(pair_matrix(x, y))
            else:
                value = frechet_distance(np.concatenate(x), np.concatenate(y))
            hashes = {item.weights[FEATURES[name][0]].sha256 for item in measurements}
            if hashes != {metric.weights_sha256} or not math.isclose(
                value, metric.value, rel_tol=ROUNDING, abs_tol=NOTHING
            ):
                raise ResultError(
                    f"{file}: {id} {name} is {metric.value:.9g}, and {value:.9g} by its measurements; run the same"
                    " command again, and do not edit results"
                )


def _left_out(result: Result, measurements: Sequence[Measurement]) -> dict[str, dict[str, LeftOut]]:
    # Frames have no stride, so that protocols share what takes longest.
    known: dict[tuple[str, int], LeftOut] = {}
    found: dict[str, dict[str, LeftOut]] = {}
    for protocol in (PROTOCOLS[id] for id in result.protocols):
        found[protocol.id] = {}
        for name in protocol.metrics:
            if name not in FEATURES:
                continue
            key = name, 0 if FEATURES[name][0] == "inception" else protocol.window_stride
            if key not in known:
                known[key] = _without_each(name, *_features(name, protocol, measurements))
            found[protocol.id][name] = known[key]
    return found


def _without_each(name: str, clips: Sequence[str], x: Sequence[Array], y: Sequence[Array]) -> LeftOut:
    if name in ("kid", "kvd"):
        if len(x) < 3:
            return LeftOut(values=None, reason=f"a kernel distance without one video needs 3, there are {len(x)}")
        values = kernel_leave_one_out(pair_matrix(x, y))
    else:
        try:
            values = frechet_leave_one_out(x, y)
        except ValueError as error:
            return LeftOut(values=None, reason=f"without one of the videos, {error}")
    return LeftOut(values=dict(zip(clips, map(float, values), strict=True)))


def _features(
    name: str, protocol: Protocol, measurements: Sequence[Measurement]
) -> tuple[list[str], list[Array], list[Array]]:
    """Names of the clips that have features, and those of prediction and truth."""
    backbone = FEATURES[name][0]
    found = []
    for item in measurements:
        if backbone == "inception":
            x, y = (item.arrays[f"{backbone}/{side}"] for side in ("prediction", "truth"))
        else:
            x, y = (item.windows(backbone, side, protocol.window_stride) for side in ("prediction", "truth"))
        if len(x):
            found.append((item.clip, x, y))
    return [clip for clip, _, _ in found], [x for _, x, _ in found], [y for _, _, y in found]


def _seal_of(content: bytes) -> str | None:
    """The seal of a submission's file; None where it is none, or was changed afterwards."""
    try:
        document, submission = parse_submission(content)
    except FileFault:
        return None
    return submission.content_sha256 if content_digest(document) == submission.content_sha256 else None


def _whose(content: bytes) -> str:
    try:
        return f" by {', '.join(parse_submission(content)[1].authors)[:200]}"
    except FileFault:
        return ""
