"""`dataset.json`: which clips a data set has, and which frames those are.

Every loader reads through one. Its fingerprint covers the clips' names, frame counts, reference frames and decoded
frames; results carry it, and two results with different fingerprints are not comparable.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mcbench.atomic import write_text
from mcbench.datasets.base import Clip
from mcbench.errors import DatasetError, ResultError

__all__ = [
    "MANIFEST",
    "ClipEntry",
    "Identified",
    "Manifest",
    "check_comparable",
    "describe_clip",
    "fingerprint",
    "frame_digest",
    "frames_digest",
    "make_manifest",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "dataset.json"

MAX_FRAMES = 10**9
"""A year at 30 frames a second."""

Side = Annotated[int, Field(ge=1, le=1 << 20)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _file_name(text: str) -> str:
    if not text or text.startswith(".") or set(text) & set("/\\") or not text.isprintable():
        raise ValueError("it must be a file name without a leading dot")
    return text


class ClipEntry(_Record):
    """One clip."""

    name: Annotated[str, AfterValidator(_file_name)]
    """Its name, which predictions carry too."""

    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)]
    """Number of frames."""

    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Frames a second."""

    size: tuple[Side, Side]
    """Height and width in pixels."""

    reference_frame: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] | None
    """Index of the frame that a method is given as reference; null where the data set has an image of its own."""

    sha256: Sha256
    """`frames_digest` of its decoded frames."""


class Manifest(_Record):
    """A data set's clips."""

    schema_: Literal["mcbench.dataset/1"] = Field(default="mcbench.dataset/1", alias="schema")
    """Name and version of this schema."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Name of the data set."""

    version: Annotated[str, AfterValidator(_file_name)]
    """Its version."""

    split: Annotated[str, AfterValidator(_file_name)]
    """Name of the split; two splits of one data set are not comparable."""

    clips: tuple[ClipEntry, ...]
    """In the order in which they are measured."""

    fingerprint: Sha256
    """`fingerprint` over the clips."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def frame_digest(frame: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 of one decoded frame: its shape, then its bytes, uint8 RGB (height, width, 3)."""
    return hashlib.sha256(repr(frame.shape).encode() + np.ascontiguousarray(frame).tobytes()).digest()


def frames_digest(frames: Iterable[npt.NDArray[np.uint8]]) -> str:
    """SHA-256 (hex) over the digests of frames in their order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame_digest(frame))
    return digest.hexdigest()


def fingerprint(clips: Iterable[tuple[str, int, int | None, str]]) -> str:
    """SHA-256 (hex) over clips, each as name, frames, reference frame and `frames_digest`, in their order."""
    rows = [list(clip) for clip in clips]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def describe_clip(clip: Clip, on_frames: Callable[[int], None] = lambda count: None) -> ClipEntry:
    """Decode a clip and write down what it is.

    Args:
        clip: the clip; its first `clip.frames` frames count.
        on_frames: called with 1 after each frame.

    Raises:
        VideoError: if it does not decode.
    """
    digest = hashlib.sha256()
    for frame in islice(clip.source.read(), clip.frames):
        digest.update(frame_digest(frame))
        on_frames(1)
    return ClipEntry(
        name=clip.name,
        frames=clip.frames,
        fps=clip.fps,
        size=clip.source.size,
        reference_frame=clip.reference_frame if clip.reference_source is None else None,
        sha256=digest.hexdigest(),
    )


def make_manifest(name: str, version: str, split: str, clips: Iterable[ClipEntry]) -> Manifest:
    """A manifest over clips, with its fingerprint."""
    entries = tuple(clips)
    rows = ((entry.name, entry.frames, entry.reference_frame, entry.sha256) for entry in entries)
    return Manifest(name=name, version=version, split=split, clips=entries, fingerprint=fingerprint(rows))


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder.

    Raises:
        DatasetError: if it is missing, torn, or its fingerprint does not fit its clips.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such manifest; import the data set again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "document"
        raise DatasetError(f"{path}: not a manifest: {place}: {fault['msg']}; import the data set again") from None
    names = Counter(entry.name for entry in manifest.clips)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise DatasetError(f"{path}: not a manifest: clip '{twice}' is in it twice; import the data set again")
    beyond = next((one.name for one in manifest.clips if (one.reference_frame or 0) >= one.frames), None)
    if beyond is not None:
        raise DatasetError(
            f"{path}: not a manifest: the reference frame of '{beyond}' is none of its; import the data set again"
        )
    if make_manifest(manifest.name, manifest.version, manifest.split, manifest.clips) != manifest:
        raise DatasetError(f"{path}: its fingerprint does not fit its clips; import the data set again")
    return manifest


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write a manifest into a folder, whole or not at all.

    Raises:
        UserError: if the disk is full or the place cannot be written to.
    """
    document = manifest.model_dump(mode="json", by_alias=True)
    write_text(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n", folder / MANIFEST)


class Identified(Protocol):
    """What says on which frames something was measured; `mcbench.results.DatasetInfo` does."""

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def version(self) -> str:
        """Its version, with the split of an imported one."""

    @property
    def fingerprint(self) -> str:
        """`fingerprint` over its clips."""

    @property
    def clips(self) -> int:
        """Number of clips."""

    @property
    def frames(self) -> int:
        """Number of frames."""


def check_comparable(a: Identified, b: Identified) -> None:
    """Make sure that two results were measured on the same frames.

    Raises:
        ResultError: if not; with both fingerprints, cut to 12 digits, and why they are likely to differ.
    """
    if a.fingerprint == b.fingerprint:
        return
    if a.name != b.name:
        reason = f"the data sets are '{a.name}' and '{b.name}'"
    elif a.version != b.version:
        reason = f"the versions or splits of '{a.name}' are {a.version} and {b.version}"
    elif a.clips != b.clips:
        reason = f"{a.clips} and {b.clips} clips of '{a.name}'"
    elif a.frames != b.frames:
        reason = f"{a.frames} and {b.frames} frames of '{a.name}'"
    else:
        reason = f"as many clips and frames of '{a.name}', but other pixels, names or reference frames"
    raise ResultError(
        f"not comparable: fingerprints {a.fingerprint[:12]} and {b.fingerprint[:12]} differ ({reason});"
        " measure both on the same frames"
    )
