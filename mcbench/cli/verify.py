"""`mcbench verify`: whether a leaderboard submission keeps the rules, and comes out again."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mcbench.cli.console import ProgressReporter, drawing, errors, output, print_json
from mcbench.cli.engine import say
from mcbench.cli.options import DebugOption, DeviceOption, JsonOption, WorkersOption
from mcbench.errors import UsageError
from mcbench.workers import this_worker, with_workers

if TYPE_CHECKING:
    from mcbench.submissions import Finding, Verdict
    from mcbench.submissions.reproducing import Reproduced

NAME = "verify"
EXAMPLES = """Examples:

$ mcbench verify leaderboard/submissions

$ mcbench verify leaderboard/submissions --json"""

SHOWN = 5
"""Places of one fault that are shown; `--json` has them all."""

STYLES = {"error": ("✗", "bold red"), "warning": ("!", "bold yellow"), "note": ("·", "dim")}


def run(
    submission: Annotated[
        Path,
        typer.Argument(help="<dataset>/<method>.json, or the folder that holds all of them.", metavar="SUBMISSION"),
    ],
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="Measure these predictions anew and compare every number.", metavar="DIR"),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option("--record", help="If they come out again, write into the file that WHO saw it.", metavar="WHO"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Run folder of the new measurement; one that stopped is taken up. Default:"
            " runs/verify-<method>-<dataset>.",
            metavar="RUN",
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 1,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check leaderboard submissions; exit 1 if one breaks a rule, or its numbers do not come out again."""
    _check_usage(submission, predictions, record, workers)
    from mcbench.submissions import verify

    verdict = verify(submission)
    done: Reproduced | None = None
    if predictions is not None and verdict.ok:
        done = _reproduce(submission, predictions, out, device, workers)
        if done is None:
            return
        verdict = type(verdict).of([*verdict.findings, *done.findings], verdict.submissions)
    elif predictions is not None:
        errors.print("mcbench: warning: nothing was measured, since the submission breaks the rules", style="yellow")
    if record is not None and done is not None and not done.findings:
        from mcbench.submissions.reproducing import record as write_record

        write_record(submission, done, record)
        errors.print(f"{submission}: recorded as reproduced by {record}", soft_wrap=True, markup=False)
    if json:
        print_json(verdict.document())
    else:
        _show(verdict, done, submission)
    if not verdict.ok:
        raise typer.Exit(1)


def _check_usage(submission: Path, predictions: Path | None, record: str | None, workers: int) -> None:
    if workers < 1:
        raise UsageError(f"--workers {workers}: at least 1")
    if record is not None:
        from mcbench.submissions.text import fault_of_name

        if predictions is None:
            raise UsageError("--record says that numbers came out again; give the --predictions to measure")
        if why := fault_of_name(record):
            raise UsageError(f"--record {record}: {why}")
    if predictions is not None and submission.is_dir():
        raise UsageError(f"{submission}: --predictions are those of one submission; name its file")


def _reproduce(submission: Path, predictions: Path, out: Path | None, device: str, workers: int) -> Reproduced | None:
    with with_workers(workers, sys.argv[1:], say), ProgressReporter() as reporter:
        from mcbench.submissions import load_submission
        from mcbench.submissions.reproducing import reproduce

        loaded = load_submission(submission)
        name, dataset = loaded.result.method.name, loaded.result.dataset.name
        with drawing(dataset) as on_frame:
            return reproduce(
                loaded,
                predictions,
                path=submission,
                out=out or Path("runs") / f"verify-{name}-{dataset}",
                device=device,
                reporter=reporter,
                on_frame=on_frame if this_worker().index == 0 else None,
            )


def _show(verdict: Verdict, done: Reproduced | None, path: Path) -> None:
    for _, group in itertools.groupby(verdict.findings, key=lambda item: item.code):
        _show_fault(list(group))
    count = f"{verdict.submissions} submission" + ("" if verdict.submissions == 1 else "s")
    if not verdict.ok:
        kinds = len({item.code for item in verdict.findings if item.grade == "error"})
        told = "1 kind of fault" if kinds == 1 else f"{kinds} kinds of faults"
        output.print(Text(f"{path}: {count}, {told}", "bold red"), soft_wrap=True)
        return
    kept = "keeps the rules" if verdict.submissions == 1 else "keep the rules"
    output.print(
        Text(f"{path}: {count} {kept}" if verdict.submissions else f"{path}: no submission", "green"), soft_wrap=True
    )
    if done is not None:
        largest = f"largest difference {done.largest:.1e} of the number" + (f" ({done.of})" if done.largest else "")
        output.print(Text(f"reproduced: {largest}", "green"), soft_wrap=True)


def _show_fault(findings: Sequence[Finding]) -> None:
    first = findings[0]
    mark, style = STYLES[first.grade]
    output.print(Text.assemble((f"{mark} {first.title}", style), (f"  {first.code}", "dim")), soft_wrap=True)
    for item in findings[:SHOWN]:
        output.print(Text.assemble("  ", (item.where, "cyan"), f": {item.evidence}"), soft_wrap=True)
    if len(findings) > SHOWN:
        output.print(Text(f"  and {len(findings) - SHOWN} more; --json lists them all", "dim"))
    output.print(Text(f"  → {first.remedy}", "green" if first.grade == "error" else "dim"), soft_wrap=True)
    output.print()
