"""Clips of TED-talks from videos, by the metadata table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcbench.datasets.imported import load_imported
from mcbench.download.faults import DownloadError
from mcbench.download.sets import import_set
from mcbench.download.sources import Listener
from mcbench.download.ted_clips import make_ted_clips
from mcbench.errors import DatasetError
from mcbench.video import open_frames, write_video

ID, GONE = "aaaaaaaaaaa", "bbbbbbbbbbb"


def write_table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["video_id,start,end,bbox,fps,width,height,partition", *rows]) + "\n")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A video of 60 frames at 20 a second, 160 x 120: frame i is grey of level 4 i, its right half 10 brighter."""
    video = np.repeat((np.arange(60, dtype=np.uint8) * 4)[:, None, None, None], 120, 1).repeat(160, 2).repeat(3, 3)
    video[:, :, 80:] += 10
    (tmp_path / "place" / "videos").mkdir(parents=True)
    write_video(tmp_path / "place" / "videos" / f"{ID}.mp4", video, 20, crf=1)
    return tmp_path / "place"


def levels(folder: Path) -> list[float]:
    return [float(frame.mean()) for frame in open_frames(folder).read()]


def test_cut_cropped_and_resized_at_the_rows_own_rate_and_size(place: Path, tmp_path: Path) -> None:
    """The table counts at 40 frames a second in a picture of 320 x 240: twice the video's in all."""
    row = f"{ID},40,80,0-0-160-240,40,320,240"
    table = write_table(tmp_path / "t.csv", [f"{row},test", f"{ID},0,9,0-0-9-9,40,320,240,train"])
    with pytest.raises(DatasetError, match="no row says 'val'"):
        make_ted_clips(table, "val", place, offline=True)
    clip = make_ted_clips(table, "test", place, offline=True) / "test" / f"{ID}_000040_000080"
    source = open_frames(clip)
    assert (source.frames, source.size) == (10, (384, 384))
    # From 1 s to 2 s at 10 frames a second: every other frame from 20 on, of the left half only.
    assert levels(clip) == pytest.approx([4 * index for index in range(20, 40, 2)], abs=2)


def test_rows_that_overlap_and_a_box_beyond_the_picture(place: Path, tmp_path: Path) -> None:
    rows = [f"{ID},20,40,80-0-999-999,20,160,120,test", f"{ID},30,50,80-0-160-120,20,160,120,test"]
    clips = make_ted_clips(write_table(tmp_path / "t.csv", rows), "test", place, offline=True) / "test"
    for start in (20, 30):
        got = levels(clips / f"{ID}_{start:06d}_{start + 20:06d}")
        assert got == pytest.approx([4 * index + 10 for index in range(start, start + 20, 2)], abs=2)


def test_what_cannot_be_made_is_told(place: Path, tmp_path: Path) -> None:
    rows = [
        f"{ID},0,20,0-0-80-80,20,160,120,test",
        f"{ID},50,90,0-0-80-80,20,160,120,test",
        f"{ID},52,56,200-0-300-80,20,160,120,test",
        f"{ID},54,58,0-0-80-80,20,160,120,test",
        f"{GONE},0,20,0-0-80-80,20,160,120,test",
    ]
    notes: list[str] = []
    table = write_table(tmp_path / "t.csv", rows)
    clips = make_ted_clips(table, "test", place, offline=True, on_note=notes.append)
    made = sorted((clips / "test").iterdir())
    assert [folder.name for folder in made] == [f"{ID}_000000_000020", f"{ID}_000054_000058"]
    assert len(notes) == 3
    assert "1 of 2 videos of YouTube cannot be had" in notes[0]
    assert "ends at frame 60, before the table says" in notes[1]
    assert "does not hold the box that the table says" in notes[2]
    before = [folder.stat().st_mtime_ns for folder in made]
    make_ted_clips(table, "test", place, offline=True)
    assert [folder.stat().st_mtime_ns for folder in made] == before


@pytest.mark.parametrize("bad", ["0,160,120", "20,0,120", "nan,160,120"])
def test_numbers_that_make_no_sense(place: Path, tmp_path: Path, bad: str) -> None:
    table = write_table(tmp_path / "t.csv", [f"{ID},0,20,0-0-80-80,{bad},test"])
    with pytest.raises(DatasetError, match="not above 0"):
        make_ted_clips(table, "test", place, offline=True)


def test_a_video_that_does_not_decode(place: Path, tmp_path: Path) -> None:
    (place / "videos" / f"{ID}.mp4").write_bytes(b"not a video")
    table = write_table(tmp_path / "t.csv", [f"{ID},0,20,0-0-80-80,20,160,120,test"])
    with pytest.raises(DatasetError, match="no clip could be made of its 1 rows"):
        make_ted_clips(table, "test", place, offline=True)


def test_no_video_at_all(place: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [f"{GONE},0,20,0-0-80-80,20,160,120,test"])
    with pytest.raises(DownloadError, match="none of 1 videos"):
        make_ted_clips(table, "test", place, offline=True)


def test_from_the_table_to_the_data_set(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(ids: list[str], folder: Path, **_: object) -> Path:
        folder.mkdir(parents=True)
        for id in ids:
            (folder / f"{id}.mp4").write_bytes((place / "videos" / f"{ID}.mp4").read_bytes())
        return folder

    monkeypatch.setattr("mcbench.download.ted_clips.fetch_videos", fetched)
    rows = [f"{ID},0,20,0-0-80-80,20,160,120,test", f"{GONE},0,40,0-0-80-80,20,160,120,test"]
    table = write_table(tmp_path / "ted384-metadata.csv", rows)
    prepared = import_set("ted-talks", str(table), listener=Listener())
    assert (prepared.state, prepared.manifest.split) == ("imported", "test")
    assert [(clip.name, clip.frames, clip.fps, clip.size) for clip in prepared.manifest.clips] == [
        (f"{ID}_000000_000020", 10, 10.0, (384, 384)),
        (f"{GONE}_000000_000040", 20, 10.0, (384, 384)),
    ]
    assert [clip.frames for clip in load_imported("ted-talks").clips] == [10, 20]
