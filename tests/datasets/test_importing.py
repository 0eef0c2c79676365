"""Importing: the first says what a data set is, later ones are held against it, a source that moved is noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tsv_files import edit, encode, make_videos, write_split

from mcbench.datasets import Dataset, dataset_names, import_dataset, load_dataset
from mcbench.datasets.cards import read_card, read_cards
from mcbench.datasets.manifest import describe_clip, frames_digest, read_manifest
from mcbench.errors import DatasetError, UsageError, UserError, VideoError
from mcbench.evaluation import score
from mcbench.video import write_frames, write_video


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "datasets"


def documents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def shift_times(folder: Path) -> None:
    for file in folder.rglob("*.*"):
        os.utime(file, (1, 1))


class TestFirst:
    def test_frame_folders(self, clip_folders: Callable[..., Path], root: Path) -> None:
        source = clip_folders("mine", clips=2, frames=5)
        seen: list[int] = []
        manifest = import_dataset("my-set", source, on_frames=seen.append)
        assert (manifest.name, manifest.split, manifest.version) == ("my-set", "test", "1")
        assert [(item.name, item.frames, item.fps, item.size) for item in manifest.clips] == [
            ("a", 5, 25.0, (64, 64)), ("b", 5, 25.0, (64, 64)),
        ]  # fmt: skip
        assert seen == [1] * 10
        assert read_manifest(root / "my-set" / "test") == manifest
        assert sorted(documents(root / "my-set" / "test")) == ["card.md", "dataset.json", "source.json"]

    def test_videos_bring_their_rate(self, tmp_path: Path, clip_folders: Callable[..., Path]) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
        source = clip_folders("mine", clips=1, frames=3)
        write_video(source / "film.mp4", frames, 30.0)
        manifest = import_dataset("my-set", source, fps=12.5)
        assert {item.name: item.fps for item in manifest.clips} == {"a": 12.5, "film": 30.0}
        assert len(list(load_dataset("my-set").clips[1].source.read())) == 6

    def test_loading_gives_the_frames_that_were_imported(self, clip_folders: Callable[..., Path]) -> None:
        manifest = import_dataset("my-set", clip_folders("mine", clips=3, frames=5))
        data = load_dataset("my-set")
        assert isinstance(data, Dataset)
        assert (data.name, data.version) == ("my-set", "1/test")
        assert tuple(describe_clip(clip) for clip in data.clips) == manifest.clips
        part = load_dataset("my-set", clips=2, frames=4)
        assert [(clip.name, clip.frames) for clip in part.clips] == [("a", 4), ("b", 4)]
        assert [clip.frames for clip in load_dataset("my-set", frames=99).clips] == [5, 5, 5]

    def test_odd_names_become_plain_ones(self, tmp_path: Path) -> None:
        frame = np.zeros((1, 8, 8, 3), np.uint8)
        odd = ("016737#016609#VM6H-k", "clip 1 (final)", "küche", "a.b_c-d")
        for name in odd:
            write_frames(tmp_path / "mine" / name, frame)
        manifest = import_dataset("my-set", tmp_path / "mine")
        assert {item.name for item in manifest.clips} == {"016737_016609_VM6H-k", "clip_1_final_", "k_che", "a.b_c-d"}
        assert all(next(clip.source.read()).shape == (8, 8, 3) for clip in load_dataset("my-set").clips)

    def test_two_odd_names_that_become_one_are_refused(self, tmp_path: Path) -> None:
        for name in ("clip 1", "clip#1"):
            write_frames(tmp_path / "mine" / name, np.zeros((1, 8, 8, 3), np.uint8))
        with pytest.raises(DatasetError, match="would both be clip 'clip_1'; rename one"):
            import_dataset("my-set", tmp_path / "mine")

    def test_the_card_is_generated_and_says_so(self, clip_folders: Callable[..., Path]) -> None:
        manifest = import_dataset("my-set", clip_folders("mine", clips=2, frames=5))
        card = read_card("my-set")
        assert card.facts["generated"] is True
        assert (card.facts["clips"], card.facts["frames"], card.facts["splits"]) == (2, 10, ["test"])
        assert "This card was generated" in card.text
        for text in (manifest.fingerprint, manifest.clips[1].sha256, "## Licence", "## People"):
            assert text in card.text

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("synthetic", "'synthetic' is taken"),
            ("synthetic-2", "is taken"),
            ("custom", "is taken"),
            ("weights", "is taken"),
            ("My Set", "use small letters, digits and '-'"),
            ("../up", "use small letters"),
        ],
    )
    def test_names(self, clip_folders: Callable[..., Path], name: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            import_dataset(name, clip_folders("mine", clips=1, frames=1))

    def test_bad_sources(self, tmp_path: Path, clip_folders: Callable[..., Path], root: Path) -> None:
        with pytest.raises(VideoError, match="no such folder"):
            import_dataset("my-set", tmp_path / "nowhere")
        with pytest.raises(UsageError, match="cannot name a split"):
            import_dataset("my-set", clip_folders("mine", clips=1, frames=1), split="../x")
        (tmp_path / "mine" / "a" / "00000.png").write_bytes(b"no image")
        with pytest.raises(VideoError, match="does not decode"):
            import_dataset("my-set", tmp_path / "mine")
        (tmp_path / "mine" / "a" / "00000.png").unlink()
        with pytest.raises(VideoError, match="no frames in it"):
            import_dataset("my-set", tmp_path / "mine")
        assert dataset_names() == ["synthetic", "synthetic-mini", "synthetic-misaligned"]
        assert not (root / "my-set").exists(), "a failed import leaves nothing"


class TestAgain:
    def test_the_same_files_are_not_read(
        self, clip_folders: Callable[..., Path], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = clip_folders("mine")
        first, before = import_dataset("my-set", source), documents(root / "my-set" / "test")
        read: list[Path] = []
        monkeypatch.setattr("mcbench.datasets.importing.digest_of", read.append)
        monkeypatch.setattr("mcbench.datasets.importing.open_location", read.append)
        assert import_dataset("my-set", source) == first
        assert read == []
        assert documents(root / "my-set" / "test") == before

    def test_the_same_bytes_elsewhere_are_not_decoded(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        source = clip_folders("mine")
        first = import_dataset("my-set", source)
        shutil.move(source, tmp_path / "moved")
        seen: list[int] = []
        assert import_dataset("my-set", tmp_path / "moved", on_frames=seen.append) == first
        assert seen == []
        assert len(list(load_dataset("my-set").clips[0].source.read())) == 18

    def test_the_same_pixels_in_other_files_will_do(self, clip_folders: Callable[..., Path]) -> None:
        source = clip_folders("mine")
        first = import_dataset("my-set", source)
        with Image.open(source / "b" / "00003.png") as image:
            image.convert("RGBA").save(source / "b" / "00003.png", compress_level=0)
        seen: list[int] = []
        assert import_dataset("my-set", source, on_frames=seen.append) == first
        assert len(seen) == 18, "only the clip whose files changed is decoded"

    def test_other_pixels_name_the_first_clip_that_differs(self, clip_folders: Callable[..., Path], root: Path) -> None:
        source = clip_folders("mine", clips=3)
        import_dataset("my-set", source)
        before = documents(root / "my-set" / "test")
        for clip in "bc":
            Image.new("RGB", (64, 64)).save(source / clip / "00003.png")
        with pytest.raises(DatasetError, match=r"clip 'b' of 'my-set' has other frames than it had; .* remove .*test"):
            import_dataset("my-set", source)
        assert documents(root / "my-set" / "test") == before

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda source: shutil.rmtree(source / "a"), "clip 'a' of 'my-set' is missing from the source"),
            (lambda source: shutil.copytree(source / "a", source / "d"), "clip 'd' is not one of 'my-set'"),
            (lambda source: (source / "b" / "00017.png").unlink(), "clip 'b' of 'my-set' has 17 frames, but had 18"),
        ],
    )
    def test_other_clips_and_counts(
        self, clip_folders: Callable[..., Path], change: Callable[[Path], object], message: str
    ) -> None:
        source = clip_folders("mine")
        import_dataset("my-set", source)
        change(source)
        with pytest.raises(DatasetError, match=message):
            import_dataset("my-set", source)

    def test_another_rate_is_written_down_and_moves_no_fingerprint(self, clip_folders: Callable[..., Path]) -> None:
        source = clip_folders("mine")
        first = import_dataset("my-set", source)
        second = import_dataset("my-set", source, fps=30.0)
        assert second.fingerprint == first.fingerprint
        assert import_dataset("my-set", source) == second
        assert load_dataset("my-set").clips[0].fps == 30.0

    def test_two_at_once_do_the_work_once(self, clip_folders: Callable[..., Path]) -> None:
        source = clip_folders("mine")
        seen: list[int] = []
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: import_dataset("my-set", source, on_frames=seen.append), range(4)))
        assert made == [made[0]] * 4
        assert len(seen) == 36

    @pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_rate_that_is_none(self, clip_folders: Callable[..., Path], fps: float) -> None:
        with pytest.raises(UsageError, match="give a positive number"):
            import_dataset("my-set", clip_folders("mine"), fps=fps)

    def test_splits_lie_side_by_side(self, clip_folders: Callable[..., Path]) -> None:
        import_dataset("my-set", clip_folders("one"))
        import_dataset("my-set", clip_folders("two", clips=1), split="small")
        assert len(load_dataset("my-set", split="small").clips) == 1
        assert len(load_dataset("my-set").clips) == 2

    def test_a_tsv_and_its_frames_as_a_folder_are_one_data_set(self, tmp_path: Path) -> None:
        videos = make_videos({"201_005": 3, "203_006": 2})
        first = import_dataset("tiktok", write_split(tmp_path / "share", videos))
        for clip, frames in videos.items():
            write_frames(tmp_path / "folder" / clip, frames)
        assert import_dataset("tiktok", tmp_path / "folder", split="new10val") == first
        assert load_dataset("tiktok").clips[0].source.container == "png"

    def test_a_tsv_with_other_frames_is_refused(self, tmp_path: Path) -> None:
        share = write_split(tmp_path / "share", make_videos({"201_005": 3, "203_006": 2}))
        import_dataset("tiktok", share)
        black = encode(np.zeros((24, 16, 3), np.uint8))
        edit(share / "new10val_images.tsv", lambda rows: [*rows[:-1], [rows[-1][0], black]])
        with pytest.raises(DatasetError, match="clip '203_006' of 'tiktok' has other frames"):
            import_dataset("tiktok", share)

    @pytest.mark.usefixtures("fake_networks")
    def test_results_carry_the_manifests_fingerprint(self, tmp_path: Path) -> None:
        videos = make_videos({"201_005": 3, "203_006": 2})
        manifest = import_dataset("tiktok", write_split(tmp_path / "share", videos))
        for clip, frames in videos.items():
            write_frames(tmp_path / "predictions" / clip, frames // 2)
        result = score(tmp_path / "predictions", "tiktok", out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert (result.dataset.name, result.dataset.version) == ("tiktok", "1/new10val")
        assert result.dataset.fingerprint == manifest.fingerprint

    @pytest.mark.parametrize("name", ["source.json", "images.lineidx", "dataset.json"])
    def test_a_torn_document_is_made_again(self, tmp_path: Path, root: Path, name: str) -> None:
        share = write_split(tmp_path / "share", make_videos({"201_005": 3}))
        first = import_dataset("tiktok", share)
        torn = root / "tiktok" / "new10val" / name
        torn.write_text("{")
        with pytest.raises(DatasetError, match="import the data set again"):
            load_dataset("tiktok")
        assert import_dataset("tiktok", share) == first
        assert len(load_dataset("tiktok").clips) == 1


class TestSource:
    @pytest.fixture
    def source(self, clip_folders: Callable[..., Path]) -> Path:
        folder = clip_folders("mine")
        import_dataset("my-set", folder)
        return folder

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda source: source.rename(source.parent / "moved"),
                "the imported frames are no longer there; import it",
            ),
            (lambda source: shutil.rmtree(source / "b"), "b: 'b' was imported from there and is gone"),
            (lambda source: (source / "b" / "00001.png").unlink(), "'b' has changed since it was imported"),
            (lambda source: (source / "b" / "00001.png").write_bytes(b""), "'b' has changed since it was imported"),
            (
                lambda source: [file.unlink() for file in (source / "a").iterdir()],
                "'a' is not what was imported any more",
            ),
            (lambda source: shutil.copy(source / "a" / "00001.png", source / "a" / "99.png"), "'a' has changed"),
        ],
    )
    def test_moved_changed_or_gone(self, source: Path, change: Callable[[Path], object], message: str) -> None:
        change(source)
        with pytest.raises(DatasetError, match=message) as caught:
            load_dataset("my-set")
        assert "mcbench download my-set --source DIR" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_the_same_size_but_other_bytes(self, source: Path) -> None:
        file = source / "a" / "00001.png"
        data = bytearray(file.read_bytes())
        data[-20] ^= 1
        file.write_bytes(bytes(data))
        os.utime(file, (1, 1))
        with pytest.raises(DatasetError, match="'a' has changed"):
            load_dataset("my-set")

    def test_other_times_but_the_same_bytes_are_no_change(self, source: Path) -> None:
        shift_times(source)
        assert len(load_dataset("my-set").clips) == 2

    def test_one_file_of_a_tsv(self, tmp_path: Path) -> None:
        share = write_split(tmp_path / "share", make_videos({"201_005": 3}))
        import_dataset("tiktok", share)
        edit(share / "new10val_masks.tsv", lambda rows: [[*row[:2], "False"] for row in rows])
        with pytest.raises(DatasetError, match=r"masks\.tsv: 'masks' has changed"):
            load_dataset("tiktok")

    @pytest.mark.parametrize(
        "change",
        [
            lambda document: document["rows"].update({"201_005": [10**9, 3]}),
            lambda document: document["rows"].update({"201_005": [-2, 2]}),
            lambda document: document["rows"].update({"201_005": [0, 0]}),
            lambda document: document["rows"].update({"201_005": [1, 3]}),
            lambda document: document["parts"].pop("images"),
            lambda document: document["offsets"].pop("poses"),
            lambda document: document["offsets"].update({"more": "0" * 64}),
        ],
    )
    def test_rows_that_its_files_do_not_have(self, tmp_path: Path, root: Path, change: Callable[[Any], object]) -> None:
        import_dataset("tiktok", write_split(tmp_path / "share", make_videos({"201_005": 3})))
        file = root / "tiktok" / "new10val" / "source.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
        with pytest.raises(DatasetError, match="not fit them; import the data set again"):
            load_dataset("tiktok")

    def test_it_says_where_and_what(self, source: Path, root: Path) -> None:
        document = json.loads((root / "my-set" / "test" / "source.json").read_text())
        assert (document["schema"], document["folder"], document["layout"]) == (
            "mcbench.source/1",
            str(source),
            "clips",
        )
        part = document["parts"]["a"]
        assert (part["path"], part["files"]) == ("a", 18)
        assert part["bytes"] == sum(file.stat().st_size for file in (source / "a").iterdir())


class TestNames:
    def test_dataset_names_are_those_that_load(self, clip_folders: Callable[..., Path]) -> None:
        assert "my-set" not in dataset_names()
        import_dataset("my-set", clip_folders("mine"))
        assert dataset_names()[-1] == "my-set"

    def test_what_else_lies_among_the_data_sets_is_none(self, clip_folders: Callable[..., Path], root: Path) -> None:
        import_dataset("my-set", clip_folders("mine"))
        drawn = root / "synthetic" / "1"
        drawn.mkdir(parents=True)
        shutil.copy(root / "my-set" / "test" / "dataset.json", drawn)
        shutil.copytree(root / "my-set", root / ".fetched")
        assert dataset_names() == ["synthetic", "synthetic-mini", "synthetic-misaligned", "my-set"]
        assert [card.facts["name"] for card in read_cards()].count("my-set") == 1

    @pytest.mark.parametrize("name", ["tiktok", "ted-talks", "multi-character"])
    def test_one_that_is_not_imported_says_how_to_get_it(self, name: str) -> None:
        with pytest.raises(DatasetError, match=f"get it with `mcbench download {name} --source PATH_OR_URL`") as caught:
            load_dataset(name)
        assert f"`mcbench datasets {name}`" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("name", "near"), [("tik-tok", "tiktok"), ("sintetic", "synthetic"), ("my_set", "my-set")])
    def test_unknown_ones_name_the_nearest(self, clip_folders: Callable[..., Path], name: str, near: str) -> None:
        import_dataset("my-set", clip_folders("mine"))
        with pytest.raises(UsageError, match=f"did you mean '{near}'"):
            load_dataset(name)

    def test_a_synthetic_set_has_one_split(self) -> None:
        with pytest.raises(UsageError, match="no split 'val'; there is test"):
            load_dataset("synthetic-mini", split="val")
        assert len(load_dataset("synthetic-mini", clips=1, frames=1, split="test").clips) == 1

    def test_a_full_disk_is_one_line(self, clip_folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
        source = clip_folders("mine")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(UserError, match="No space left on device"):
            import_dataset("my-set", source)
        monkeypatch.undo()

    def test_the_manifest_is_of_the_pixels(self, tmp_path: Path) -> None:
        frames = make_videos({"a": 3})["a"]
        write_frames(tmp_path / "mine" / "a", frames)
        assert import_dataset("my-set", tmp_path / "mine").clips[0].sha256 == frames_digest(frames)
