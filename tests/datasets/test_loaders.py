"""What is known of each named data set before it is seen, and held against the source."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tsv_files import make_videos, write_split

from mcbench.datasets import import_dataset, load_dataset
from mcbench.datasets.multi_character import CLIPS, FRAMES
from mcbench.datasets.ted_talks import RIGHT_TABLE, WRONG_ROWS, WRONG_VIDEOS, read_ted_table
from mcbench.errors import DatasetError, UsageError, UserError
from mcbench.video import write_frames, write_video

COLUMNS = "video_id,start,end,bbox,fps,width,height,partition"


def still(count: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.full((count, *size, 3), 7, np.uint8)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 folders of tiny frames, 3917 in all; the frames of a clip are links to one file."""
    folder = tmp_path_factory.mktemp("bench")
    counts = [FRAMES // CLIPS + (index < FRAMES % CLIPS) for index in range(CLIPS)]
    for index, count in enumerate(counts):
        clip = folder / f"dance {index}"
        write_frames(clip, still(1) + np.uint8(index))
        for frame in range(1, count):
            (clip / f"{frame:05d}.png").hardlink_to(clip / "00000.png")
    return folder


class TestMultiCharacter:
    @pytest.fixture
    def copy(self, bench: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(bench, tmp_path / "copy", copy_function=lambda a, b: Path(b).hardlink_to(a)))

    def test_the_counts_are_those_of_the_paper(self) -> None:
        assert (CLIPS, FRAMES, FRAMES - CLIPS * 15) == (20, 3917, 3617)

    def test_it_is_imported_and_loads(self, bench: Path) -> None:
        manifest = import_dataset("multi-character", bench)
        assert (manifest.split, len(manifest.clips), sum(item.frames for item in manifest.clips)) == ("test", 20, 3917)
        assert [item.name for item in manifest.clips[:3]] == ["dance_0", "dance_1", "dance_2"]
        assert len(load_dataset("multi-character").clips) == 20
        with pytest.raises(UsageError, match="has one split, 'test'"):
            import_dataset("multi-character", bench, split="val")

    @pytest.mark.parametrize(
        ("change", "counts"),
        [
            (lambda copy: shutil.rmtree(copy / "dance 19"), "19 clips, 3722 frames"),
            (lambda copy: write_frames(copy / "dance 20", still(2)), "21 clips, 3919 frames"),
            (lambda copy: (copy / "dance 3" / "00000.png").unlink(), "20 clips, 3916 frames"),
        ],
    )
    def test_other_counts_are_refused_except_under_ones_own_name(
        self, copy: Path, change: Callable[[Path], object], counts: str
    ) -> None:
        change(copy)
        with pytest.raises(DatasetError, match=rf"{counts}, but multi-character is 20 clips, 3917 frames") as caught:
            import_dataset("multi-character", copy)
        assert "a name of your own" in str(caught.value)
        manifest = import_dataset("my-multi-character", copy)
        assert f"{len(manifest.clips)} clips" in counts


class TestTikTok:
    def test_a_tsv(self, tmp_path: Path) -> None:
        videos = make_videos({"201_005": 2, "TiktokDance_00337": 3})
        manifest = import_dataset("tiktok", write_split(tmp_path / "share", videos))
        assert manifest.split == "new10val"
        assert [(item.name, item.frames, item.fps, item.reference_frame) for item in manifest.clips] == [
            ("201_005", 2, 30.0, 0), ("TiktokDance_00337", 3, 30.0, 0),
        ]  # fmt: skip

    def test_the_split_of_a_folder_is_named_or_taken_from_it(self, tmp_path: Path) -> None:
        for number in (335, 336):
            write_frames(tmp_path / "335-340" / f"{number:05d}", still(2) + np.uint8(number - 300))
        assert import_dataset("tiktok", tmp_path / "335-340").split == "335-340"
        assert import_dataset("tiktok", tmp_path / "335-340", split="last-6").split == "last-6"
        assert load_dataset("tiktok", split="335-340").version == "1/335-340"
        with pytest.raises(UsageError, match="has the splits 335-340, last-6; name the one"):
            load_dataset("tiktok")
        (tmp_path / "335-340").rename(tmp_path / "my videos")
        with pytest.raises(UsageError, match="'my videos' cannot name a split; name it with --split"):
            import_dataset("tiktok", tmp_path / "my videos")


class TestTedTalks:
    @pytest.fixture
    def talks(self, tmp_path: Path) -> Path:
        """MRAA's layout: `test` and `train`, names with `#`."""
        write_frames(tmp_path / "TED384-v2" / "test" / "abc#000000#000003.mp4", still(3, (384, 384)))
        write_frames(tmp_path / "TED384-v2" / "train" / "xyz#000010#000012.mp4", still(2, (384, 384)))
        return tmp_path / "TED384-v2"

    def test_its_folder(self, talks: Path) -> None:
        manifest = import_dataset("ted-talks", talks)
        (clip,) = manifest.clips
        assert (manifest.split, clip.name, clip.frames) == ("test", "abc_000000_000003", 3)
        assert (clip.fps, clip.size, clip.reference_frame) == (10.0, (384, 384), 0)
        assert import_dataset("ted-talks", talks / "test") == manifest
        assert import_dataset("ted-talks", talks, split="train").clips[0].frames == 2
        assert load_dataset("ted-talks").version == "1/test"

    def test_videos_of_another_rate_or_size(self, tmp_path: Path) -> None:
        for folder in "ab":
            (tmp_path / folder).mkdir()
        write_video(tmp_path / "a" / "abc.mp4", still(20, (384, 384)), 10.0)
        assert import_dataset("ted-talks", tmp_path / "a").clips[0].fps == 10.0
        write_video(tmp_path / "b" / "abc.mp4", still(20, (384, 384)), 25.0)
        with pytest.raises(DatasetError, match=r"25 frames a second, but ted-talks has 10; .* a name of your own"):
            import_dataset("ted-talks", tmp_path / "b")
        write_frames(tmp_path / "c" / "abc", still(2, (256, 384)))
        with pytest.raises(DatasetError, match=r"384 x 256, but ted-talks is 384 x 384; .* a name of your own"):
            import_dataset("ted-talks", tmp_path / "c")

    def test_the_table_known_to_be_wrong(self, talks: Path) -> None:
        rows = [
            f"v{index % WRONG_VIDEOS:03d}#{index:06d},0,0,1-2-3-4,10.0,944,944,train" for index in range(WRONG_ROWS)
        ]
        table = talks / "ted-metadata.csv"
        table.write_text("\n".join([COLUMNS, *rows]) + "\n")
        for source in (talks, table):
            with pytest.raises(DatasetError, match="wrong table: all 1320 rows of 411 videos") as caught:
                import_dataset("ted-talks", source)
            assert RIGHT_TABLE in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_a_right_table(self, talks: Path) -> None:
        table = talks / "ted384-metadata.csv"
        table.write_text(f"{COLUMNS}\nabc,0,3,104-10-665-570,10.0,944,944,test\nxyz,10,12,1-2-3-4,10.0,944,900,train\n")
        first, second = read_ted_table(table)
        assert (first.video_id, first.start, first.end, first.box) == ("abc", 0, 3, (104, 10, 665, 570))
        assert (second.fps, second.width, second.height, second.partition) == (10.0, 944, 900, "train")
        assert (first.clip, second.clip) == ("abc_000000_000003", "xyz_000010_000012")
        assert len(import_dataset("ted-talks", talks).clips) == 1
        with pytest.raises(UserError, match="a table, not videos; give the folder of videos"):
            import_dataset("ted-talks", table)

    def test_clips_of_another_partition(self, talks: Path, tmp_path: Path) -> None:
        (talks / "ted384-metadata.csv").write_text(f"{COLUMNS}\nxyz,10,12,1-2-3-4,10.0,944,944,train\n")
        (talks / "train" / "xyz#000010#000012.mp4").rename(talks / "test" / "xyz#000010#000012.mp4")
        with pytest.raises(DatasetError, match=r"ted384-metadata\.csv puts it into 'train', not 'test'"):
            import_dataset("ted-talks", talks)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("video_id,start,end\nabc,0,3\n", "no column 'bbox'"),
            (f"{COLUMNS}\n", "lists no clip"),
            (f"{COLUMNS}\nabc,zero,3,1-2-3-4,10.0,944,944,test\n", "line 2 is not a clip"),
            (f"{COLUMNS}\nabc,0,3,1-2-3,10.0,944,944,test\n", "line 2 is not a clip"),
            (f"{COLUMNS}\nabc,0\n", "line 2 is not a clip"),
            (f"{COLUMNS}\nabc,5,3,1-2-3-4,10.0,944,944,test\n", "abc ends at frame 3, before it starts at 5"),
        ],
    )
    def test_other_tables_are_refused(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "table.csv").write_text(text)
        with pytest.raises(DatasetError, match=message) as caught:
            read_ted_table(tmp_path / "table.csv")
        assert str(tmp_path / "table.csv") in str(caught.value)
