"""Make the clips of TED-talks from YouTube, by the metadata table: fetch each video, cut, crop, resize.

A row's stretch is counted at the row's own rate, and its box in pixels of the row's own size; a video that YouTube now
has at another rate or size is cut at the same seconds and cropped at the same place of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcbench.datasets.ted_talks import FPS, SIZE, TedRow, read_ted_table
from mcbench.download.fetch import sole_process
from mcbench.download.youtube import fetch_videos
from mcbench.errors import DatasetError, VideoError
from mcbench.video import open_frames, write_frames

__all__ = ["make_ted_clips"]

Frame = npt.NDArray[np.uint8]


def make_ted_clips(
    table: Path,
    partition: str,
    place: Path,
    *,
    offline: bool = False,
    on_note: Callable[[str], None] = lambda text: None,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Path:
    """The folder `<place>/clips`, in which `<partition>/<clip>/00000.png …` are the clips of a table, without loss.

    Videos and clips that are there are not made again. What cannot be made, because videos rot, is told to `on_note`.

    Args:
        table: the metadata table.
        partition: `test` or `train`.
        place: where videos and clips go.
        offline: never touch the network; make what can be made of the videos that are there.
        on_note: called with one line about what is missing.
        on_frames: called with 1 after each frame that is made.

    Raises:
        DatasetError: if the table is not one, or has no row of that partition, or no clip can be made.
        DownloadError: if no video can be had.
    """
    rows = [row for row in read_ted_table(table) if row.partition == partition]
    if not rows:
        raise DatasetError(f"{table}: no row says '{partition}'; give another table or --split")
    if not all(min(row.fps, row.width, row.height) > 0 <= row.start for row in rows):
        raise DatasetError(f"{table}: a rate or a size in it is not above 0, or a start below; give another table")
    videos, clips = place / "videos", place / "clips"
    ids = list(dict.fromkeys(_video_of(row) for row in rows))
    fetch_videos(ids, videos, offline=offline, on_note=on_note)
    with sole_process(clips, lambda: on_note("waiting for another process that makes the same clips")):
        ordered = sorted(rows, key=lambda row: (_video_of(row), row.start))
        for id, group in groupby(ordered, _video_of):
            todo = [row for row in group if not (clips / partition / row.clip).is_dir()]
            if todo and (videos / f"{id}.mp4").is_file():
                _cut(videos / f"{id}.mp4", todo, clips / partition, on_note, on_frames)
        if not any((clips / partition / row.clip).is_dir() for row in rows):
            raise DatasetError(f"{table}: no clip could be made of its {len(rows)} rows; see the warnings above")
    return clips


def _cut(
    video: Path,
    rows: list[TedRow],
    folder: Path,
    on_note: Callable[[str], None],
    on_frames: Callable[[int], None],
) -> None:
    """Clips of one video, in the order in which they begin: it is decoded once unless they overlap."""
    try:
        source = open_frames(video)
        reader = _Reader(source.read, source.fps or rows[0].fps)
        for row in rows:
            try:
                write_frames(folder / row.clip, _frames(reader, row, source.size, on_frames))
            except _Unfit as error:
                on_note(f"{video.name}: {error}; clip '{row.clip}' is left out")
    except VideoError as error:
        on_note(f"{error}; its further clips are left out")


class _Unfit(Exception):
    """A row that does not go with the video that there is now."""


class _Reader:
    """Frames of a video by number; going back means to begin again."""

    def __init__(self, read: Callable[[], Iterator[Frame]], fps: float) -> None:
        self._read, self.fps = read, fps
        self._frames, self._next = read(), 0
        self._last: Frame | None = None

    def frame(self, index: int) -> Frame:
        if index < self._next - 1:
            self._frames, self._next = self._read(), 0
        while self._next <= index:
            frame = next(self._frames, None)
            if frame is None:
                raise _Unfit(f"ends at frame {self._next}, before the table says")
            self._last = frame
            self._next += 1
        assert self._last is not None
        return self._last


def _frames(reader: _Reader, row: TedRow, size: tuple[int, int], on_frames: Callable[[int], None]) -> Iterator[Frame]:
    height, width = size
    left, top, right, bottom = row.box
    across, down = width / row.width, height / row.height
    box = (max(0.0, left * across), max(0.0, top * down), min(width, right * across), min(height, bottom * down))
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise _Unfit("does not hold the box that the table says")
    seconds = (row.end - row.start) / row.fps
    for index in range(max(1, round(seconds * FPS))):
        frame = reader.frame(round((row.start / row.fps + index / FPS) * reader.fps))
        image = Image.fromarray(frame).resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR, box=box)
        yield np.asarray(image)
        on_frames(1)


def _video_of(row: TedRow) -> str:
    return row.video_id.split("#")[0]
