"""DisCo's TSV layout: every frame comes back as it was written, and every fault has a name, a file and a row."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tsv_files import PARTS, edit, encode, make_videos, write_split

from mcbench.datasets import import_dataset, load_dataset
from mcbench.datasets.manifest import frames_digest
from mcbench.datasets.tsv import TsvFrames, open_tsv, split_key
from mcbench.errors import DatasetError, UserError, VideoError

CLIPS = {"201_005": 4, "TiktokDance_00337": 3}


@pytest.fixture
def videos() -> dict[str, np.ndarray]:
    return make_videos(CLIPS)


@pytest.fixture
def share(tmp_path: Path, videos: dict[str, np.ndarray]) -> Path:
    return write_split(tmp_path / "share", videos)


def source_of(share: Path, clip: str = "201_005") -> TsvFrames:
    import_dataset("tiktok", share)
    source = next(item for item in load_dataset("tiktok").clips if item.name == clip).source
    assert isinstance(source, TsvFrames)
    return source


class TestFaithful:
    @pytest.mark.parametrize(
        ("key", "place"),
        [
            ("TiktokDance_00337_0010.png", ("TiktokDance_00337", 10)),
            ("201_005_0001.jpg", ("201_005", 1)),
            ("Custom_000_000009.PNG", ("Custom_000", 9)),
            ("TiktokDance_00337.txt", None),
            ("0010.png", None),
        ],
    )
    def test_keys_split_into_clip_and_frame(self, key: str, place: tuple[str, int] | None) -> None:
        assert split_key(key) == place

    def test_frames_poses_and_masks_come_back(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        for clip, video in videos.items():
            source = source_of(share, clip)
            assert (source.frames, source.size, source.fps, source.container) == (len(video), (24, 16), 30.0, "tsv")
            np.testing.assert_array_equal(np.stack(list(source.read())), video)
            poses = np.stack([pose for pose in source.poses() if pose is not None])
            np.testing.assert_array_equal(poses, video[:, ::-1])
            masks = np.stack([mask for mask in source.masks(1, 3) if mask is not None])
            np.testing.assert_array_equal(masks, np.where(video[1:3, ..., 0] > 127, 255, 0))
            assert masks.dtype == np.uint8

    def test_conditions_that_are_marked_invalid_are_none(self, share: Path) -> None:
        edit(share / "new10val_masks.tsv", lambda rows: [[*row[:2], str(i != 1)] for i, row in enumerate(rows)])
        assert [mask is None for mask in source_of(share).masks()] == [False, True, False, False]

    @pytest.mark.parametrize("relative", [False, True])
    def test_both_forms_of_vid2line(self, tmp_path: Path, videos: dict[str, np.ndarray], relative: bool) -> None:
        write_split(tmp_path / "share", videos, relative=relative)
        assert [entry.frames for entry in import_dataset("tiktok", tmp_path / "share").clips] == list(CLIPS.values())

    def test_without_vid2line_lineidx_and_last_line_break(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        (share / "new10val_vid2line.tsv").unlink()
        for index in share.glob("*.lineidx"):
            index.unlink()
        images = share / "new10val_images.tsv"
        images.write_bytes(images.read_bytes().rstrip(b"\n"))
        listing = sorted(share.iterdir())
        manifest = import_dataset("tiktok", share)
        assert [entry.sha256 for entry in manifest.clips] == [frames_digest(video) for video in videos.values()]
        assert len(list(source_of(share, "TiktokDance_00337").read())) == 3
        assert sorted(share.iterdir()) == listing, "nothing is written beside the user's files"

    def test_windows_line_ends_and_jpeg(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        for part in PARTS:
            path = share / f"new10val_{part}.tsv"
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
            path.with_suffix(".lineidx").unlink()
        source = source_of(share)
        np.testing.assert_array_equal(np.stack(list(source.read())), videos["201_005"])
        smooth = np.full((24, 16, 3), (200, 30, 90), np.uint8)
        edit(share / "new10val_images.tsv", lambda rows: [[key, encode(smooth, "JPEG")] for key, *_ in rows])
        import_dataset("tiktok", share, root=share.parent / "other")
        (frame, *_) = load_dataset("tiktok", root=share.parent / "other").clips[0].source.read()
        assert np.abs(frame.astype(int) - smooth).max() <= 3

    def test_grey_images_become_rgb_and_say_so(self, share: Path) -> None:
        grey = np.arange(24 * 16, dtype=np.uint8).reshape(24, 16)
        edit(share / "new10val_images.tsv", lambda rows: [[key, encode(grey)] for key, *_ in rows])
        source = source_of(share)
        np.testing.assert_array_equal(next(source.read()), np.repeat(grey[..., None], 3, axis=2))
        assert source.conversions == {"greyscale to RGB"}

    def test_the_digest_covers_one_clip_and_its_keys(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        first, second = source_of(share).digest(), source_of(share, "TiktokDance_00337").digest()
        assert len({first, second}) == 2
        write_split(share.parent / "later", videos, first=2)
        import_dataset("tiktok", share.parent / "later", root=share.parent / "other")
        (clip, other) = load_dataset("tiktok", root=share.parent / "other").clips
        assert clip.source.digest() != first
        assert other.source.digest() != second


def swap(rows: list[list[str]]) -> list[list[str]]:
    return [rows[1], rows[0], *rows[2:]]


def first_to_end(rows: list[list[str]]) -> list[list[str]]:
    return [*rows[1:], rows[0]]


def with_value(row: int, value: str) -> Callable[[list[list[str]]], list[list[str]]]:
    return lambda rows: [[key, value if i == row else old, *rest] for i, (key, old, *rest) in enumerate(rows)]


def with_key(row: int, key: str) -> Callable[[list[list[str]]], list[list[str]]]:
    return lambda rows: [[key if i == row else old, *rest] for i, (old, *rest) in enumerate(rows)]


def all_files(change: Callable[[list[list[str]]], list[list[str]]]) -> Callable[[Path], None]:
    def spoil(share: Path) -> None:
        for part in PARTS:
            edit(share / f"new10val_{part}.tsv", change)

    return spoil


def one_file(part: str, change: Callable[[list[list[str]]], list[list[str]]]) -> Callable[[Path], None]:
    return lambda share: edit(share / f"new10val_{part}.tsv", change)


def index(part: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def spoil(share: Path) -> None:
        path = share / f"new10val_{part}.lineidx"
        path.write_text("\n".join(change(path.read_text().split())) + "\n")

    return spoil


def test_reading_it_is_told_as_it_goes(share: Path) -> None:
    """A split of many gigabytes takes minutes."""
    told: list[tuple[str, int, int]] = []
    import_dataset("tiktok", share, on_bytes=lambda *seen: told.append(seen))
    for part in PARTS:
        size = (share / f"new10val_{part}.tsv").stat().st_size
        mine = [(done, total) for name, done, total in told if name == f"new10val_{part}.tsv"]
        assert len(mine) == sum(CLIPS.values())
        assert [done for done, _ in mine] == sorted(done for done, _ in mine)
        assert mine[-1] == (size, size)


class TestFaults:
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (
                index("images", lambda o: [*o[:2], str(int(o[2]) + 5), *o[3:]]),
                r"images.lineidx: line 3 says \d+, where no",
            ),
            (index("images", lambda o: o[:-1]), "images.lineidx: lists 6 rows, but new10val_images.tsv has 7"),
            (index("masks", lambda o: [*o, "99999999"]), "masks.lineidx: lists 8 rows, but new10val_masks.tsv has 7"),
            (index("poses", lambda o: [*o[:-1], "x"]), "poses.lineidx: not a list of offsets"),
            (one_file("images", with_value(2, "not*base64")), r"images.tsv: row 3 \('201_005_0003.png'\): not base64"),
            (one_file("images", with_value(2, "abc")), "row 3 .*: not base64"),
            (one_file("images", with_value(2, "aGVsbG8=")), "row 3 .*: this frame does not decode"),
            (one_file("images", with_value(2, "")), "row 3 .*: this frame does not decode"),
            (all_files(swap), r"unsorted: row 2 \('201_005_0001.png'\) comes after frame 2"),
            (all_files(first_to_end), "unsorted: row 7 .* takes up clip '201_005' again"),
            (all_files(with_key(1, "201_005_0001.png")), "rows 1 and 2 have the same key '201_005_0001.png'"),
            (all_files(with_key(1, "cover.png")), "row 2: key 'cover.png' is not <clip>_<frame number>.png"),
            (one_file("poses", with_key(4, "x_0001.png")), "poses.tsv: row 5 is 'x_0001.png', but that of"),
            (one_file("masks", lambda rows: rows[:5]), "masks.tsv: holds 5 of 7 rows; the first missing one is 'Tik"),
            (one_file("masks", lambda rows: [*rows, ["y_0001.png", "AA=="]]), "masks.tsv: row 8 .* has no image in"),
            (lambda share: (share / "new10val_masks.tsv").unlink(), "masks.tsv: missing; .* images but no masks"),
            (lambda share: (share / "new10val_poses.tsv").unlink(), "poses.tsv: missing; .* images but no poses"),
            (lambda share: (share / "new10val_images.tsv").unlink(), "no <split>_images.tsv"),
            (lambda share: (share / "new10val_masks.tsv").write_bytes(b""), "masks.tsv: empty; download it again"),
            (
                lambda share: (share / "new10val_poses.tsv").write_bytes(b"\n\n"),
                "poses.tsv: row 1 is not key TAB value",
            ),
            (one_file("vid2line", with_value(5, "[0, 3]")), r"vid2line.tsv: row 6 .* says \[0, 3\], but clip 'Tik"),
            (one_file("vid2line", with_value(0, "[0, 9]")), r"row 1 .* says \[0, 9\], .* is rows \[0, 3\]"),
            (one_file("vid2line", with_value(0, "none")), r"row 1 .* is not \[first row, last row\]"),
        ],
    )
    def test_named_with_file_and_row(self, share: Path, spoil: Callable[[Path], None], message: str) -> None:
        spoil(share)
        with pytest.raises(UserError, match=message) as caught:
            import_dataset("tiktok", share)
        assert isinstance(caught.value, (DatasetError, VideoError))
        assert "\n" not in str(caught.value)
        with pytest.raises(DatasetError, match="not imported yet"):
            load_dataset("tiktok")

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            (np.zeros((24, 20, 3), np.uint8), "row 3 is 20 x 24, but row 1 is 16 x 24"),
            (np.zeros((24, 16, 4), np.uint8), "row 3 .*: has transparent pixels"),
            (np.full((24, 16), 258, np.uint16), "row 3 .*: 16 bits a channel"),
        ],
    )
    def test_images_that_cannot_be_rgb_frames(self, share: Path, frame: np.ndarray, message: str) -> None:
        edit(share / "new10val_images.tsv", with_value(2, encode(frame)))
        with pytest.raises(VideoError, match=message):
            import_dataset("tiktok", share)

    def test_bad_masks_are_named_when_they_are_read(self, share: Path) -> None:
        edit(share / "new10val_masks.tsv", with_value(1, "!"))
        source = source_of(share)
        with pytest.raises(DatasetError, match=r"masks.tsv: row 2 .*: not base64"):
            list(source.masks())

    def test_a_torn_png_does_not_decode(self, share: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (24, 16, 3), np.uint8)
        torn = encode(noise)[: len(encode(noise)) // 8 * 4]
        edit(share / "new10val_images.tsv", with_value(0, torn))
        with pytest.raises(VideoError, match="does not decode"):
            import_dataset("tiktok", share)

    def test_a_row_without_end_is_not_read_into_memory(self, share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mcbench.datasets.tsv.MAX_ROW", 100)
        with pytest.raises(DatasetError, match="row 1 is longer"):
            open_tsv({"images": share / "new10val_images.tsv"})


class TestSplits:
    def test_one_is_found_below_the_folder_and_by_its_file(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        write_split(share.parent / "root" / "data" / "TikTokDance", videos)
        for number, place in enumerate((share.parent / "root", share / "new10val_images.tsv")):
            manifest = import_dataset("tiktok", place, root=share.parent / str(number))
            assert (manifest.name, manifest.split, len(manifest.clips)) == ("tiktok", "new10val", 2)
        with pytest.raises(UserError, match="holds the splits new10val"):
            import_dataset("tiktok", share / "new10val_images.tsv", split="train")

    def test_of_several_new10val_is_meant(self, share: Path, videos: dict[str, np.ndarray]) -> None:
        write_split(share, {"TiktokDance_00001": videos["201_005"]}, split="train")
        assert import_dataset("tiktok", share).split == "new10val"
        assert import_dataset("tiktok", share, split="train").split == "train"
        with pytest.raises(UserError, match="holds the splits new10val, train; did you mean 'train'"):
            import_dataset("tiktok", share, split="trian")
        assert load_dataset("tiktok").version == "1/new10val"
        assert load_dataset("tiktok", split="train").version == "1/train"
        with pytest.raises(UserError, match="no split 'trial'; did you mean 'train'"):
            load_dataset("tiktok", split="trial")

    def test_of_several_others_one_must_be_named(self, tmp_path: Path, videos: dict[str, np.ndarray]) -> None:
        for split in ("val", "train"):
            write_split(tmp_path / "share", videos, split=split)
        with pytest.raises(UserError, match="choose one with --split"):
            import_dataset("tiktok", tmp_path / "share")


ROW_BYTES = 2_000_000
READER = """
import re, sys
from pathlib import Path
from mcbench.datasets import import_dataset, load_dataset

def peak():
    # Not getrusage: what it says of a child begins at the size of its parent.
    return int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
import_dataset("tiktok", Path(sys.argv[1]), root=Path(sys.argv[2]))
frames = 0
for clip in load_dataset("tiktok", root=Path(sys.argv[2])).clips:
    frames += sum(1 for _ in clip.source.read())
print(frames, peak() - before)
"""


@pytest.mark.slow
def test_a_gigabyte_is_read_in_bounded_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (708, 708, 3), np.uint8)
    value = encode(noise).encode()
    assert len(value) > ROW_BYTES
    count = 2**30 // len(value) + 1
    folder = write_split(tmp_path / "share", make_videos({"TiktokDance_00001": count}, (8, 8)))
    images = folder / "new10val_images.tsv"
    keys = [line.split("\t")[0].encode() for line in images.read_text().splitlines()]
    offsets = []
    with images.open("wb") as stream:
        for key in keys:
            offsets.append(stream.tell())
            stream.write(key + b"\t" + value + b"\n")
    images.with_suffix(".lineidx").write_text("".join(f"{offset}\n" for offset in offsets))
    assert images.stat().st_size >= 2**30
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(READER), str(folder), str(tmp_path / "root")],
        check=True,
        capture_output=True,
        text=True,
    )
    frames, growth = done.stdout.split()
    assert int(frames) == count
    assert 1 < float(growth) < 300
