"""The submission: schema `mcbench.submission/1`.

A submission holds a whole result and what a reader of a board needs beside it: who stands for it, under which licence
the weights are, what was claimed elsewhere, and the numbers from which the result's own can be computed again without
a network. Its `content_sha256` catches accidents (a value retyped, a merge gone wrong). Whoever means to cheat can seal
a lie as well; only `mcbench verify --predictions` tells that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mcbench.results import Result

__all__ = [
    "SCHEMA",
    "ClipRecord",
    "LeftOut",
    "Reproduction",
    "Submission",
    "badge_of",
    "content_digest",
    "next_steps",
    "predictions_digest",
    "submission_path",
]

SCHEMA = "mcbench.submission/1"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Badge = Literal["claimed", "reproduced"]


class _Record(BaseModel):
    """Immutable, and closed: an unknown field is a fault of the file, not something to skip."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClipRecord(_Record):
    """One clip: what was measured against what."""

    name: str
    """Its name in the data set."""

    frames: int
    """Number of frames."""

    reference_frame: int | None
    """Index of the frame that the method was given; null where the data set has a reference image of its own."""

    prediction: Sha256
    """`mcbench.datasets.manifest.frames_digest` of the decoded prediction."""

    truth: Sha256
    """The same of the truth; the data set's fingerprint follows from it."""


class LeftOut(_Record):
    """A feature metric with one video left out in turn: what its standard error and paired comparisons rest on."""

    values: dict[str, Finite] | None
    """By the clip that is left out of both sides; only clips that have features count. Null where not computable."""

    reason: str | None = None
    """Why the values are null."""

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> LeftOut:
        if (self.values is None) == (self.reason is None):
            raise ValueError("there are either values or a reason")
        return self


class Reproduction(_Record):
    """The predictions were measured anew by `mcbench verify --predictions DIR --record WHO`, and agreed."""

    by: str
    """Who did it."""

    date: str
    """UTC date on which, ISO 8601."""

    mcbench: str
    """Version of mcbench that measured."""

    device: str
    """Processor or GPU that ran the networks."""

    largest_difference: Finite
    """Largest difference between a stated number and the new one, as a part of the number; at most 1e-4."""

    content_sha256: Sha256
    """`content_sha256` of the submission that was reproduced: a record does not outlive a change."""


class Submission(_Record):
    """`leaderboard/submissions/<dataset>/<method>.json`."""

    schema_: Literal["mcbench.submission/1"] = Field(default="mcbench.submission/1", alias="schema")
    """Name and version of this schema."""

    result: Result
    """The result of the run, whole."""

    authors: tuple[str, ...]
    """Who stands for the numbers: names of people, groups or institutions."""

    links: tuple[str, ...] = ()
    """Web addresses of the paper, the code, the weights; https only."""

    license: str | None = None
    """Licence of the method's weights, best as an SPDX identifier; `none` for a method without weights."""

    claims: dict[str, dict[str, Finite]] = {}
    """What the method's own publication prints, by protocol and metric; stands beside what was measured."""

    clips: tuple[ClipRecord, ...]
    """Every clip, in the data set's order."""

    left_out: dict[str, dict[str, LeftOut]]
    """By protocol, then by feature metric."""

    reproduced: tuple[Reproduction, ...] = ()
    """Who measured the predictions anew."""

    content_sha256: Sha256
    """`content_digest` of the document."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def document(self) -> dict[str, Any]:
        """As it stands in its file."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self) -> str:
        """The file's text: two-space indents, fields in the order of the schema, no NaN."""
        return json.dumps(self.document(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def content_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of a submission: sorted keys, no blanks, ASCII, numbers as Python prints.

    Left out are the digest itself and `reproduced`, which others add later and which names the digest. It is taken of
    the document as it stands in its file, so that a field that a later version adds does not change old digests.
    """
    sealed = {key: value for key, value in document.items() if key not in ("content_sha256", "reproduced")}
    text = json.dumps(sealed, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def predictions_digest(clips: Iterable[ClipRecord]) -> str:
    """The digest of a result's predictions, from those of its clips."""
    rows = [[clip.name, clip.prediction] for clip in clips]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def badge_of(submission: Submission) -> Badge:
    """`reproduced` once somebody has measured these very predictions anew, until then `claimed`."""
    records = [record for record in submission.reproduced if record.content_sha256 == submission.content_sha256]
    return "reproduced" if records else "claimed"


def submission_path(submission: Submission, folder: Path) -> Path:
    """Where a submission belongs below a folder of submissions."""
    return folder / submission.result.dataset.name / f"{submission.result.method.name}.json"


def next_steps(path: Path) -> list[str]:
    """What remains to be done once a submission is written, one step a line."""
    return [
        f"look at {path}: all of it becomes public, the command line included",
        "keep the predictions: whoever has them can reproduce the numbers",
        "commit this one file in a fork of mcbench and open a pull request; it is checked as by `mcbench verify`",
    ]
