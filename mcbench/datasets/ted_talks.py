"""MRAA's TED-talks: upper bodies of speakers, 384 x 384, 10 frames a second, cut from YouTube by a metadata table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcbench.datasets.base import Clip
from mcbench.datasets.found import Kind, Location, clip_name, locate_folder
from mcbench.errors import DatasetError

__all__ = ["FPS", "NAME", "RIGHT_TABLE", "SIZE", "TED_TALKS", "TedRow", "read_ted_table"]

NAME = "ted-talks"
SPLIT = "test"
SIZE = (384, 384)
FPS = 10.0

RIGHT_TABLE = "https://github.com/snap-research/articulated-animation/issues/12#issuecomment-836635256"
"""Where the authors point to for the right table."""

WRONG_ROWS, WRONG_VIDEOS = 1320, 411
"""Of `ted-metadata.csv` in the authors' repository, which says `train` and start = end = 0 throughout."""

_COLUMNS = ("video_id", "start", "end", "bbox", "fps", "width", "height", "partition")
_FPS_TOLERANCE = 0.01


@dataclass(frozen=True)
class TedRow:
    """One clip of the metadata table.

    Attributes:
        video_id: of YouTube, in front of the first `#`.
        start: first frame, counted at `fps`.
        end: frame behind the last.
        box: left, top, right and bottom in pixels of a video of `width` x `height`.
        fps: frames a second at which `start` and `end` count.
        width, height: in pixels.
        partition: `train` or `test`.
    """

    video_id: str
    start: int
    end: int
    box: tuple[int, int, int, int]
    fps: float
    width: int
    height: int
    partition: str

    @property
    def clip(self) -> str:
        """Name of the clip that `load_videos.py` of the authors' preprocessing makes of it, as mcbench calls it."""
        parts = "#".join(reversed(self.video_id.split("#")))
        return clip_name(f"{parts}#{self.start:06d}#{self.end:06d}")


def read_ted_table(path: Path) -> list[TedRow]:
    """The rows of a metadata table.

    Raises:
        DatasetError: if it is not such a table, or is the one known to be wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path}: no column '{missing[0]}'; the right table is at {RIGHT_TABLE}")
            rows = []
            for record in reader:
                try:
                    rows.append(_row(record))
                except (TypeError, ValueError, AttributeError):
                    raise DatasetError(
                        f"{path}: line {reader.line_num} is not a clip; the right table is at {RIGHT_TABLE}"
                    ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); the right table is at {RIGHT_TABLE}") from error
    if not rows:
        raise DatasetError(f"{path}: lists no clip; the right table is at {RIGHT_TABLE}")
    if all(row.partition == "train" and row.start == row.end == 0 for row in rows):
        videos = len({row.video_id.split("#")[0] for row in rows})
        raise DatasetError(
            f"{path}: the wrong table: all {len(rows)} rows of {videos} videos say 'train' and start = end = 0;"
            f" the right one is at {RIGHT_TABLE}"
        )
    for row in rows:
        if row.end <= row.start:
            raise DatasetError(
                f"{path}: {row.video_id} ends at frame {row.end}, before it starts at {row.start};"
                f" the right table is at {RIGHT_TABLE}"
            )
    return rows


def _row(record: dict[str, str]) -> TedRow:
    left, top, right, bottom = (int(number) for number in record["bbox"].split("-"))
    return TedRow(
        video_id=record["video_id"],
        start=int(record["start"]),
        end=int(record["end"]),
        box=(left, top, right, bottom),
        fps=float(record["fps"]),
        width=int(record["width"]),
        height=int(record["height"]),
        partition=record["partition"].strip(),
    )


def _locate(source: Path, split: str | None) -> Location:
    if source.suffix.lower() == ".csv":
        read_ted_table(source)
        raise DatasetError(f"{source}: a table, not videos; give the folder of videos that was made from it")
    split = split or SPLIT
    folder = source / split if (source / split).is_dir() else source
    location = locate_folder(folder, split)
    for table in sorted({*source.glob("*metadata*.csv"), *folder.glob("*metadata*.csv")}):
        partitions = {row.clip: row.partition for row in read_ted_table(table)}
        for name, path in location.paths.items():
            if partitions.get(name, split) != split:
                raise DatasetError(
                    f"{path}: {table.name} puts it into '{partitions[name]}', not '{split}';"
                    f" give the folder of '{split}'"
                )
    return location


def _check(location: Location, clips: Sequence[Clip]) -> None:
    for clip in clips:
        path = location.paths[clip.name]
        height, width = clip.source.size
        if (height, width) != SIZE:
            raise DatasetError(
                f"{path}: {width} x {height}, but {NAME} is {SIZE[1]} x {SIZE[0]}; make the clips at that size, or"
                " import them under a name of your own"
            )
        if abs(clip.fps - FPS) > FPS * _FPS_TOLERANCE:
            raise DatasetError(
                f"{path}: {clip.fps:g} frames a second, but {NAME} has {FPS:g}; make the clips at that rate, or import"
                " them under a name of your own"
            )


TED_TALKS = Kind(split=SPLIT, fps=FPS, locate=_locate, check=_check)
