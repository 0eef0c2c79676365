"""`source.json`: where the frames of an imported data set lie, and what their files were when it was imported.

Data are not copied. A source that has moved, changed or gone is noticed when the data set is loaded: sizes and times
of modification are compared first, and only where a time differs are the bytes read again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcbench.atomic import write_text
from mcbench.errors import DatasetError, VideoError
from mcbench.video import FrameFolder
from mcbench.video.common import hash_file

__all__ = [
    "SOURCE", "Part", "Source", "Stamp", "check_parts", "digest_of", "read_offsets", "read_source", "take_stamp",
    "write_offsets", "write_source",
]  # fmt: skip

SOURCE = "source.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Record):
    """A clip, or one file of a TSV split."""

    path: str
    """Below the source's folder, with `/`."""

    files: int
    """Number of its files."""

    bytes: int
    """Size of its files together."""

    stamp: Sha256
    """SHA-256 over its files' names, sizes and times of modification."""

    sha256: Sha256
    """SHA-256 over its files' bytes, and their names where there are several."""


class Source(_Record):
    """Where the frames of one split lie."""

    schema_: Literal["mcbench.source/1"] = Field(default="mcbench.source/1", alias="schema")
    """Name and version of this schema."""

    folder: str
    """The source's folder, absolute."""

    layout: Literal["clips", "tsv"]
    """`clips`: a video or a folder of frames for each clip; `tsv`: DisCo's files."""

    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Frames a second of what does not say it itself: folders of frames and TSV files."""

    parts: dict[str, Part]
    """By clip, or by what a TSV file holds: images, poses, masks, vid2line."""

    rows: dict[str, tuple[int, int]] = {}
    """First row and number of rows of each clip, in a TSV."""

    offsets: dict[str, Sha256] = {}
    """SHA-256 of `<part>.lineidx`, the rows' offsets of a TSV file, which lie beside this document."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True)
class Stamp:
    """What can be known of files without reading them. Fields as in `Part`."""

    files: int
    bytes: int
    stamp: str


def take_stamp(path: Path) -> Stamp:
    """Of a file, or of the frames in a folder.

    Raises:
        VideoError: if a folder holds no frames.
        OSError: if it is not there.
    """
    digest, total = hashlib.sha256(), 0
    files = FrameFolder(path).files if path.is_dir() else [path]
    for file in files:
        about = file.stat()
        total += about.st_size
        digest.update(f"{file.name}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return Stamp(len(files), total, digest.hexdigest())


def digest_of(path: Path) -> str:
    """SHA-256 (hex) over the bytes of a file, or over the names and bytes of the frames in a folder.

    Raises:
        VideoError: if it cannot be read.
    """
    if path.is_dir():
        return FrameFolder(path).digest()
    digest = hashlib.sha256()
    hash_file(path, digest)
    return digest.hexdigest()


def check_parts(source: Source, again: str) -> None:
    """Make sure that the files are those that were imported.

    Args:
        source: what they were.
        again: how to import anew, for the message.

    Raises:
        DatasetError: if one has moved, changed or gone.
    """
    folder = Path(source.folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: the imported frames are no longer there; {again}")
    for name, part in source.parts.items():
        path = folder / part.path
        try:
            stamp = take_stamp(path)
            same = stamp.stamp == part.stamp or (
                (stamp.files, stamp.bytes) == (part.files, part.bytes) and digest_of(path) == part.sha256
            )
        except VideoError as error:
            raise DatasetError(
                f"{path}: '{name}' is not what was imported any more ({error}); put it back, or {again}"
            ) from error
        except FileNotFoundError:
            raise DatasetError(f"{path}: '{name}' was imported from there and is gone; {again}") from None
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); mend its permissions") from error
        if not same:
            raise DatasetError(f"{path}: '{name}' has changed since it was imported; put it back, or {again}")


def read_source(folder: Path) -> Source:
    """The record in a folder.

    Raises:
        DatasetError: if it is missing or torn.
    """
    path = folder / SOURCE
    try:
        return Source.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); import the data set again") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "document"
        raise DatasetError(f"{path}: not a source: {place}: {fault['msg']}; import the data set again") from None


def write_source(source: Source, folder: Path) -> None:
    """Write a record into a folder, whole or not at all.

    Raises:
        UserError: if the disk is full or the place cannot be written to.
    """
    document = source.model_dump(mode="json", by_alias=True)
    write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", folder / SOURCE)


def write_offsets(offsets: npt.NDArray[np.int64], path: Path) -> str:
    """Write a TSV file's offsets, one decimal number a line, the end of the file last; the SHA-256 (hex) of that."""
    text = "".join(f"{offset}\n" for offset in offsets.tolist())
    write_text(text, path)
    return hashlib.sha256(text.encode()).hexdigest()


def read_offsets(path: Path, sha256: str) -> npt.NDArray[np.int64]:
    """Offsets as `write_offsets` wrote them.

    Raises:
        DatasetError: if they are gone or others.
    """
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DatasetError(f"{path}: missing or damaged; import the data set again")
    return np.array(data.split(), np.int64)
