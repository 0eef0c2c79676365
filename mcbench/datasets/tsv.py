"""DisCo's TSV layout, read row by row and never whole.

A split is a few files side by side, one row for each frame, the rows of all files in the same order:

    <split>_images.tsv     key TAB base64 of the image
    <split>_poses.tsv      key TAB base64 of the OpenPose drawing [TAB whether it is valid]
    <split>_masks.tsv      key TAB base64 of the foreground mask [TAB whether it is valid]
    <split>_vid2line.tsv   key TAB [first row, last row] of its video; in some copies relative to the row itself
    <split>_images.lineidx the byte at which each row starts, one decimal number a line; one such file for each TSV

Keys are `<clip>_<frame number>.png`, such as `TiktokDance_00337_0010.png`. Layout: DisCo's `tsv_example/` and its
`dataset/tsv_cond_dataset.py`.

`open_tsv` reads every file once from end to end, holds the files against one another, and keeps nothing but keys and
offsets. A `TsvFrames` then reads one row at a time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcbench.errors import DatasetError, VideoError
from mcbench.video import decode_image

__all__ = ["Tsv", "TsvFile", "TsvFrames", "TsvRows", "open_tsv", "split_key"]

Frame = npt.NDArray[np.uint8]

MAX_ROW = 1 << 26
"""Bytes of a row: 64 MiB hold a 4096 x 4096 RGB image without any compression."""

_KEY = re.compile(r"(?P<clip>.+)_(?P<number>[0-9]+)\.(?:png|jpe?g)", re.IGNORECASE)


@dataclass(frozen=True)
class TsvRows:
    """One TSV file and where its rows lie.

    Attributes:
        path: the file.
        offsets: start of each row in bytes, then the end of the last; int64 of shape (rows + 1,).
    """

    path: Path
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, start: int, stop: int) -> Iterator[tuple[str, list[bytes]]]:
        """Rows [start, stop), each as its key and the columns behind it; one row is in memory at a time.

        Raises:
            DatasetError: if a row is not where it was, or has no second column.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offsets[start])
                for row in range(start, stop):
                    line = stream.read(int(self.offsets[row + 1] - self.offsets[row]))
                    if not line.endswith(b"\n") and row + 1 < len(self):
                        raise DatasetError(f"{self.path}: row {row + 1} has moved; import the data set again")
                    yield _columns(line, self.path, row)
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be read ({error.strerror or error})") from error


@dataclass(frozen=True)
class TsvFile:
    """What one pass over a TSV file finds.

    Attributes:
        rows: the file and its offsets.
        keys: first column of each row.
        sha256: SHA-256 (hex) of its bytes.
    """

    rows: TsvRows
    keys: list[str]
    sha256: str


@dataclass(frozen=True)
class Tsv:
    """A split whose files fit one another.

    Attributes:
        files: by part: images, poses, masks, and vid2line where there is one.
        clips: first row and number of rows of each clip, in the order of the file.
    """

    files: dict[str, TsvFile]
    clips: dict[str, tuple[int, int]]


@dataclass
class TsvFrames:
    """The frames of one clip, read from a split's images; a `FrameSource`.

    Attributes:
        images: the split's images.
        first: row of the first frame.
        frames: number of frames.
        fps: frames a second.
        pose_rows: the split's OpenPose drawings.
        mask_rows: the split's foreground masks.
        conversions: what was converted while reading, in words.
    """

    images: TsvRows
    first: int
    frames: int
    fps: float | None
    pose_rows: TsvRows
    mask_rows: TsvRows
    conversions: set[str] = field(default_factory=set)

    container = "tsv"

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, of the first frame."""
        height, width = next(self._decode(self.images, 0, 1)).shape[:2]
        return height, width

    def read(self) -> Iterator[Frame]:
        """Every frame in order, uint8 RGB (height, width, 3).

        Raises:
            DatasetError: if a row is not base64.
            VideoError: if an image does not decode, or has another size than the first.
        """
        first: tuple[int, ...] | None = None
        for number, frame in enumerate(self._decode(self.images, 0, self.frames)):
            first = first or frame.shape
            if frame.shape != first:
                raise VideoError(
                    f"{self.images.path}: row {self.first + number + 1} is {frame.shape[1]} x {frame.shape[0]}, but row"
                    f" {self.first + 1} is {first[1]} x {first[0]}; all frames of a clip have one size"
                )
            yield frame

    def poses(self, start: int = 0, stop: int | None = None) -> Iterator[Frame | None]:
        """OpenPose drawings of frames [start, stop), uint8 RGB (height, width, 3); None where marked as not valid.

        A drawing may have another size than its frame.
        """
        return self._conditions(self.pose_rows, start, stop)

    def masks(self, start: int = 0, stop: int | None = None) -> Iterator[Frame | None]:
        """Foreground masks of frames [start, stop), uint8 (height, width), 255 on the person; None where not valid.

        DisCo takes a pixel for foreground above 127.5. A mask may have another size than its frame.
        """
        masks = self._conditions(self.mask_rows, start, stop)
        return (None if mask is None else np.ascontiguousarray(mask[:, :, 0]) for mask in masks)

    def digest(self) -> str:
        digest = hashlib.sha256()
        for key, columns in self.images.read(self.first, self.first + self.frames):
            digest.update(f"{key}\0{len(columns[-1])}\0".encode())
            digest.update(columns[-1])
        return digest.hexdigest()

    def _decode(self, rows: TsvRows, start: int, stop: int) -> Iterator[Frame]:
        for row, (key, columns) in enumerate(
            rows.read(self.first + start, self.first + stop), start=self.first + start + 1
        ):
            # DisCo reads images from the last column, conditions from the second.
            data = columns[-1] if rows is self.images else columns[0]
            yield _decode_image(data, f"{rows.path}: row {row} ('{key}')", self.conversions)

    def _conditions(self, rows: TsvRows, start: int, stop: int | None) -> Iterator[Frame | None]:
        begin, end, _ = slice(start, stop).indices(self.frames)
        for row in range(begin, end):
            _, columns = next(rows.read(self.first + row, self.first + row + 1))
            if len(columns) > 1 and columns[1].lower() in {b"false", b"0"}:
                yield None
            else:
                yield from self._decode(rows, row, row + 1)


def split_key(key: str) -> tuple[str, int] | None:
    """Clip and frame number of a key: `TiktokDance_00337` and 10 of `TiktokDance_00337_0010.png`; None of others."""
    match = _KEY.fullmatch(key)
    return (match["clip"], int(match["number"])) if match else None


def open_tsv(paths: dict[str, Path], on_bytes: Callable[[str, int, int], None] = lambda file, done, total: None) -> Tsv:
    """Read the files of a split once and hold them against one another; images are not decoded.

    Args:
        paths: by part: images, poses, masks and, where there is one, vid2line. A `.lineidx` beside a file is checked;
            without one, the offsets come from the file itself.
        on_bytes: called with a file's name, its bytes that were read, and those that it has.

    Raises:
        DatasetError: for wrong offsets, keys that are unsorted, double or differ between the files, missing rows, and
            a vid2line that disagrees with the keys; names file and row.
    """
    files = {part: _scan(path, on_bytes) for part, path in paths.items()}
    images = files["images"]
    clips = _clips_of(images)
    for part, file in files.items():
        _check_keys(images, file)
        _check_lineidx(file.rows)
        if part == "vid2line":
            _check_vid2line(file.rows, clips)
    return Tsv(files, clips)


def _scan(path: Path, on_bytes: Callable[[str, int, int], None]) -> TsvFile:
    digest = hashlib.sha256()
    keys: list[str] = []
    offsets = [0]
    try:
        with path.open("rb") as stream:
            total = path.stat().st_size
            while line := stream.readline(MAX_ROW):
                if len(line) == MAX_ROW and not line.endswith(b"\n"):
                    raise DatasetError(f"{path}: row {len(keys) + 1} is longer than 64 MiB; not a TSV of frames")
                digest.update(line)
                keys.append(_key(line, path, len(keys)))
                offsets.append(offsets[-1] + len(line))
                on_bytes(path.name, offsets[-1], total)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not keys:
        raise DatasetError(f"{path}: empty; download it again")
    return TsvFile(TsvRows(path, np.array(offsets, np.int64)), keys, digest.hexdigest())


def _key(line: bytes, path: Path, row: int) -> str:
    end = line.find(b"\t")
    if end < 1:
        raise DatasetError(f"{path}: row {row + 1} is not key TAB value; the file is torn, download it again")
    return line[:end].decode("utf-8", errors="replace")


def _columns(line: bytes, path: Path, row: int) -> tuple[str, list[bytes]]:
    return _key(line, path, row), line.rstrip(b"\r\n").split(b"\t")[1:]


def _clips_of(images: TsvFile) -> dict[str, tuple[int, int]]:
    """First row and number of rows of each clip; the keys must be sorted."""
    path = images.rows.path
    clips: dict[str, tuple[int, int]] = {}
    seen: dict[str, int] = {}
    last: tuple[str, int] | None = None
    for row, key in enumerate(images.keys):
        place = split_key(key)
        if place is None:
            raise DatasetError(f"{path}: row {row + 1}: key '{key}' is not <clip>_<frame number>.png")
        if key in seen:
            raise DatasetError(f"{path}: rows {seen[key] + 1} and {row + 1} have the same key '{key}'; keep one")
        seen[key] = row
        clip, number = place
        if last is None or clip != last[0]:
            if clip in clips:
                raise DatasetError(
                    f"{path}: unsorted: row {row + 1} ('{key}') takes up clip '{clip}' again; sort the rows by key"
                )
            clips[clip] = (row, 0)
        elif number <= last[1]:
            raise DatasetError(
                f"{path}: unsorted: row {row + 1} ('{key}') comes after frame {last[1]}; sort the rows by frame number"
            )
        clips[clip] = (clips[clip][0], clips[clip][1] + 1)
        last = place
    return clips


def _check_keys(images: TsvFile, file: TsvFile) -> None:
    for row, (expected, key) in enumerate(itertools.zip_longest(images.keys, file.keys)):
        if key is None:
            raise DatasetError(
                f"{file.rows.path}: holds {len(file.keys)} of {len(images.keys)} rows; the first missing one is"
                f" '{expected}'; download it again"
            )
        if expected is None:
            raise DatasetError(f"{file.rows.path}: row {row + 1} ('{key}') has no image in {images.rows.path.name}")
        if key != expected:
            raise DatasetError(
                f"{file.rows.path}: row {row + 1} is '{key}', but that of {images.rows.path.name} is '{expected}';"
                " the files are not of one split"
            )


def _check_lineidx(rows: TsvRows) -> None:
    """Hold the offsets that came with a file, if any did, against those that it has."""
    for path in (rows.path.with_suffix(".lineidx"), rows.path.with_name(f"{rows.path.name}.lineidx")):
        if not path.is_file():
            continue
        remedy = f"delete it, it is not needed, or download {rows.path.name} again"
        try:
            stated = [int(word) for word in path.read_bytes().split()]
        except (OSError, ValueError):
            raise DatasetError(f"{path}: not a list of offsets; {remedy}") from None
        if len(stated) != len(rows):
            raise DatasetError(f"{path}: lists {len(stated)} rows, but {rows.path.name} has {len(rows)}; {remedy}")
        for row, (offset, start) in enumerate(zip(stated, rows.offsets, strict=False)):
            if offset != start:
                raise DatasetError(
                    f"{path}: line {row + 1} says {offset}, where no row starts: row {row + 1} of {rows.path.name}"
                    f" starts at {start}; {remedy}"
                )


def _check_vid2line(rows: TsvRows, clips: dict[str, tuple[int, int]]) -> None:
    for clip, (first, count) in clips.items():
        for row, (key, columns) in enumerate(rows.read(first, first + count), start=first):
            try:
                start, stop = (int(value) for value in json.loads(columns[0]))
            except (TypeError, ValueError):
                raise DatasetError(f"{rows.path}: row {row + 1} ('{key}') is not [first row, last row]") from None
            # Counted from the start of the file, or from the row itself; the end is the last row or one behind it.
            if not any(
                start + base == first and stop + base in (first + count - 1, first + count) for base in (0, row)
            ):
                raise DatasetError(
                    f"{rows.path}: row {row + 1} ('{key}') says [{start}, {stop}], but clip '{clip}' is rows"
                    f" [{first}, {first + count - 1}] by its keys; the files are not of one split"
                )


def _decode_image(data: bytes, where: str, conversions: set[str]) -> Frame:
    try:
        image_file = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise DatasetError(f"{where}: not base64 ({error}); the file is torn, download it again") from None
    return decode_image(image_file, where, conversions, "the file is torn, download it again")
