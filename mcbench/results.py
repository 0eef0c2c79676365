"""The result of a run: schema `mcbench.result/1`, reading and writing.

The schema is the documentation: every field says what it holds. A file is written whole or not at all, and no NaN or
Infinity ever reaches it; a number that cannot be given is null and its reason stands beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcbench.atomic import write_text
from mcbench.errors import ResultError

__all__ = [
    "SCHEMA",
    "ClipScores",
    "DatasetInfo",
    "MethodInfo",
    "MetricResult",
    "NativeOutput",
    "PredictionsInfo",
    "ProtocolResult",
    "Provenance",
    "Result",
    "read_result",
    "write_result",
]

SCHEMA = "mcbench.result/1"

MAX_BYTES = 64 << 20
"""Of a file; a clip takes about 1 KB."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
WeightsKind = Literal["published", "random@1", "custom"]


class _Record(BaseModel):
    """Immutable, and closed: an unknown field is a fault of the file, not something to skip."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricResult(_Record):
    """One metric under one protocol."""

    value: Finite | None
    """The number, in the unit of its protocol; null where it cannot be given."""

    reason: str | None = None
    """Why the value is null."""

    std_error: Finite | None = None
    """Standard error over videos."""

    interval: tuple[Finite, Finite] | None = None
    """95% interval over videos, low and high."""

    interval_reason: str | None = None
    """Why the interval is null."""

    interval_note: str | None = None
    """What the interval does and does not cover, where that is not plain."""

    videos: int
    """Videos that went into the value."""

    frames: int | None = None
    """Frames that went into the value; null for window metrics."""

    windows: int | None = None
    """Windows of 16 frames that went into the value; null for frame metrics."""

    dimension: int | None = None
    """Length of a feature vector; null for pairwise metrics."""

    split_half: Finite | None = None
    """Mean Fréchet distance between two halves of the truth, split by video: how unlike unrelated videos are here."""

    split_half_reason: str | None = None
    """Why a Fréchet distance has no split-half; null where it has one, and for metrics that never do."""

    backbone: str | None = None
    """The network under the metric; null for metrics without one."""

    weights: WeightsKind | None = None
    """Where its weights come from: the published file, drawn by the recipe `random@1`, or the user's own file."""

    weights_sha256: Sha256 | None = None
    """SHA-256 of the weights file, or of the drawn tensors."""

    note: str | None = None
    """What a reader must know before comparing the value with one from elsewhere."""

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> MetricResult:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a metric has either a value or a reason")
        return self


class ClipScores(_Record):
    """The pairwise metrics of one clip."""

    frames: int
    """Frames that count under the protocol."""

    psnr: Finite | None
    """Mean over those frames; null where no frame counts."""

    ssim: Finite | None
    """Mean over those frames."""

    lpips: Finite | None
    """Mean over those frames."""

    l1: Finite | None
    """Mean over those frames."""


class ProtocolResult(_Record):
    """Everything measured under one protocol."""

    metrics: dict[str, MetricResult]
    """By metric name: fid, ssim, psnr, lpips, l1, fid_vid, fvd, and kid, kvd under `mcbench@1`."""

    clips: dict[str, ClipScores]
    """By clip name."""


class NativeOutput(_Record):
    """What a program's frames were before the protocol, and the code that made them."""

    size: tuple[int, int] | None = None
    """Height and width of its frames; null where the program decides, and `predictions.size` alone says it."""

    container: Literal["png", "jpeg", "mp4"]
    """What it writes: `png` keeps every value, `jpeg` and `mp4` do not."""

    fps: Finite | None = None
    """Frames a second that its video says; null for pictures, and where it has the clip's own."""

    driver: str = Field(max_length=100)
    """What drives it: `densepose`, `openpose`, `drawn poses`, `truth video`, or its own word for another kind."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")] | None = None
    """Git commit of the user's checkout of it; null where that is no git checkout."""

    dirty: bool | None = None
    """Whether that checkout had uncommitted changes; null where it cannot be told."""

    def told(self) -> str:
        """All of it in one line."""
        size = f"{self.size[1]} x {self.size[0]} " if self.size else ""
        rate = f" at {self.fps:g} frames a second" if self.fps is not None else ""
        changed = " with uncommitted changes" if self.dirty else ""
        commit = f", commit {self.commit[:12]}{changed}" if self.commit else ""
        return f"{size}{self.container}{rate}, driven by {self.driver}{commit}"


class MethodInfo(_Record):
    """What was measured."""

    name: str
    """Method id, `[a-z0-9-]+`; for scored predictions the name that was given for them."""

    version: str | None = None
    """Version of the method; null where only its frames are known."""

    checkpoint_sha256: Sha256 | None = None
    """SHA-256 of its checkpoint."""

    settings: dict[str, Any] = {}
    """Its settings, defaults included."""

    needs_truth: bool = False
    """Whether it was shown the truth; starred in tables."""

    native: NativeOutput | None = None
    """What its frames were before the protocol, where a program of its own made them."""

    note: str | None = None
    """What a reader must know of the method before its numbers mean anything, such as that it was never trained."""


class DatasetInfo(_Record):
    """What it was measured on."""

    name: str
    """Name of the data set; `custom` for a folder of truths."""

    version: str
    """Its version."""

    fingerprint: Sha256
    """SHA-256 over the clips' names, frame counts, reference frames and decoded frames. Results compare only where
    this agrees."""

    clips: int
    """Number of clips."""

    frames: int
    """Number of frames."""


class PredictionsInfo(_Record):
    """The frames that were measured."""

    digest: Sha256
    """SHA-256 over the clips' names and decoded frames."""

    container: str
    """File kinds, such as `png` or `mp4`, joined by `/` where clips differ."""

    size: tuple[int, int] | None
    """Height and width before the centre-crop; null where clips differ."""

    fps: Finite | None
    """Frames a second as the files say; null where they do not say or clips differ."""

    conversions: list[str] = []
    """Lossless conversions made while reading."""


class Provenance(_Record):
    """How the result came about."""

    mcbench: str
    """Version of mcbench."""

    git_commit: str | None
    """Commit of the checkout that ran; null for an installed package."""

    git_dirty: bool | None
    """Whether that checkout had uncommitted changes."""

    libraries: dict[str, str]
    """Versions of Python and of the libraries that decide numbers."""

    device: str
    """Processor or GPU that ran the networks."""

    command: str
    """The command line."""

    seed: int
    """Seed of the method's random choices."""

    start: str
    """UTC time at which the run was started, ISO 8601."""

    seconds: Finite
    """Wall time from start to result, of the last start where a run was resumed."""


class Result(_Record):
    """`result.json`."""

    schema_: Literal["mcbench.result/1"] = Field(default="mcbench.result/1", alias="schema")
    """Name and version of this schema."""

    method: MethodInfo
    dataset: DatasetInfo
    predictions: PredictionsInfo

    protocols: dict[str, ProtocolResult]
    """By protocol id."""

    provenance: Provenance

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def unverified_weights(self) -> dict[str, str]:
        """Backbones whose weights are not the published files: their numbers compare only among themselves."""
        return {
            metric.backbone: metric.weights
            for protocol in self.protocols.values()
            for metric in protocol.metrics.values()
            if metric.backbone and metric.weights and metric.weights != "published"
        }

    def to_json(self) -> str:
        """The document as text: two-space indents, fields in the order of the schema, no NaN."""
        return (
            json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, allow_nan=False, ensure_ascii=False)
            + "\n"
        )


def read_result(path: Path | str) -> Result:
    """Read a `result.json`, or the run folder that holds one.

    Raises:
        ResultError: if it is missing, torn, or not of this schema; names the first fault.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "result.json"
    try:
        # A pipe or a device would be waited for, or never end.
        if path.exists() and not path.is_file():
            raise ResultError(f"{path}: no ordinary file; give a run folder or its result.json")
        if path.stat().st_size > MAX_BYTES:
            raise ResultError(f"{path}: {path.stat().st_size} bytes, a result has {MAX_BYTES} at most; make it anew")
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"{path}: no such result; make one with `mcbench eval` or `mcbench score`") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise _misfit(path, error) from None
        raise ResultError(f"{path}: cannot be read ({error})") from error


def _misfit(path: Path, error: ValidationError) -> ResultError:
    """Why a document is no result of this schema."""
    fault = error.errors()[0]
    if fault["loc"] == ("schema",):
        given = " ".join(str(fault.get("input")).split())[:40]
        return ResultError(
            f"{path}: schema {given}, this mcbench reads {SCHEMA}; read it with the version that wrote it, or make the"
            " result anew"
        )
    place = ".".join(str(part) for part in fault["loc"]) or "document"
    return ResultError(f"{path}: not a result of schema {SCHEMA}: {place}: {fault['msg']}")


def write_result(result: Result, path: Path) -> None:
    """Write a result whole or not at all.

    Raises:
        ResultError: if the disk is full or the place cannot be written to; what was there before stays.
    """
    write_text(result.to_json(), path)
