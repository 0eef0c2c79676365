"""`mcbench submit`: make a leaderboard submission of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mcbench.cli.console import errors, output
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError, nearest
from mcbench.protocol import DISCO_LEGACY, get_protocol

NAME = "submit"
EXAMPLES = """Examples:

$ mcbench submit runs/copy-reference-synthetic-mini --authors "Jane Doe"

$ mcbench verify leaderboard/submissions"""


def run(
    result: Annotated[Path, typer.Argument(help="Run folder, or the result.json in it.", metavar="RESULT")],
    authors: Annotated[
        list[str] | None,
        typer.Option("--authors", help="Who stands for the numbers; repeat it for each one.", metavar="NAME"),
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option("--link", help="Address of paper, code or weights, https; repeatable.", metavar="URL"),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option("--license", help="Licence of the method's weights, as Apache-2.0; none if it has none."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            help="What the method's publication prints, as fid=25.3 under disco-legacy@1, or mcbench@1/fid=25.3;"
            " repeatable.",
            metavar="CLAIM",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the submissions.", metavar="DIR")] = Path(
        "leaderboard/submissions"
    ),
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of an earlier submission of that name.", metavar="")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a leaderboard submission of a run, checked as a pull request will be, and say what to do with it."""
    if not authors:
        raise UsageError("somebody must stand for the numbers; give --authors NAME, once for each")
    claims = parse_claims(claim or ())
    from mcbench.submissions import make_submission, next_steps, write_submission

    def warn(text: str) -> None:
        errors.print(f"mcbench: warning: {text}", style="yellow", soft_wrap=True, markup=False)

    submission = make_submission(
        result, out, authors=authors, links=link or (), license=license, claims=claims, warn=warn
    )
    path = write_submission(submission, out, overwrite=replace)
    if json:
        output.file.write(path.read_text(encoding="utf-8"))
        return
    stated = submission.result
    star = "*" if stated.method.needs_truth else ""
    output.print(
        Text.assemble((f"{stated.method.name}{star}", "bold"), f" on {stated.dataset.name}: {path}"), soft_wrap=True
    )
    if stated.method.note:
        output.print(stated.method.note, style="bold yellow", soft_wrap=True, markup=False)
    for number, step in enumerate(next_steps(path), 1):
        output.print(f"  {number}. {step}", soft_wrap=True, markup=False)


def parse_claims(claims: Sequence[str]) -> dict[str, dict[str, float]]:
    """`metric=value` pairs, under the protocol of the field's papers unless another is named before a slash.

    Raises:
        UsageError: for one that is none, or two that contradict each other.
    """
    found: dict[str, dict[str, float]] = {}
    for claim in claims:
        name, equals, digits = claim.partition("=")
        id, slash, metric = name.rpartition("/")
        protocol = get_protocol(id) if slash else DISCO_LEGACY
        try:
            value = float(digits)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise UsageError(f"--claim {claim}: give it as METRIC=NUMBER or PROTOCOL/METRIC=NUMBER")
        if metric not in protocol.metrics:
            known = ", ".join(protocol.metrics)
            raise UsageError(
                f"--claim {claim}: {protocol.id} has no metric '{metric}'{nearest(metric, protocol.metrics)}; it has"
                f" {known}"
            )
        if found.setdefault(protocol.id, {}).setdefault(metric, value) != value:
            raise UsageError(
                f"--claim {metric}={found[protocol.id][metric]:g} and {claim} contradict each other; give one"
            )
    return found
