"""What drives a clip: found once in its video and kept, or read from the user's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import walk

from fypv2.conditions import Poses
from fypv2.extractors import (
    ExtractorError,
    ExtractorRecord,
    PoseExtractor,
    WeightsUsed,
    clip_poses,
    driving,
    picture_poses,
    reference_poses,
    save_poses,
    video_poses,
    write_openpose_json,
)
from mcbench import MethodError, open_frames, write_frames

SIZE = (24, 32)


class Finder(PoseExtractor):
    """Finds what it was told to, and counts the frames it was shown."""

    def __init__(self, weights: str = "1", hands: bool = False) -> None:
        self.shown: list[np.ndarray] = []
        self.weights, self.hands = weights, hands

    @property
    def record(self) -> ExtractorRecord:
        return ExtractorRecord("finder", {"library": "1.0"}, (WeightsUsed("a.onnx", self.weights * 64, "custom"),))

    def poses(self, frames: Iterable[np.ndarray], *, characters: int | None = None) -> Poses:
        before = len(self.shown)
        self.shown += list(frames)
        found = walk(len(self.shown) - before, size=SIZE)
        if not self.hands:
            return found
        hands = np.ones((found.frames, found.characters, 2, 21, 2), np.float32)
        return Poses(found.body, found.body_scores, SIZE, hands, hands[..., 0] / 2)


@pytest.fixture
def video(tmp_path: Path) -> Any:
    frames = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), dtype=np.uint8)
    write_frames(tmp_path / "clip", frames)
    return open_frames(tmp_path / "clip")


def equal(a: Poses, b: Poses) -> bool:
    pairs = [(a.body, b.body), (a.body_scores, b.body_scores), (a.hands, b.hands), (a.hand_scores, b.hand_scores)]
    return a.size == b.size and all(
        x is y is None or (x is not None and y is not None and np.array_equal(x, y)) for x, y in pairs
    )


@pytest.mark.parametrize("hands", [False, True])
def test_a_video_is_looked_at_once(video: Any, hands: bool) -> None:
    finder = Finder(hands=hands)
    first = video_poses(video, 3, extractor=lambda: finder)
    again = video_poses(video, 3, extractor=lambda: finder)
    assert len(finder.shown) == 3
    assert first.frames == 3
    assert (first.hands is not None) == hands
    assert equal(first, again)
    assert equal(first, Finder(hands=hands).poses(finder.shown))


@pytest.mark.parametrize("change", ["weights", "frames", "video"])
def test_something_else_is_looked_at_anew(video: Any, tmp_path: Path, change: str) -> None:
    video_poses(video, 3, extractor=Finder)
    finder = Finder("2" if change == "weights" else "1")
    other, frames = video, 2 if change == "frames" else 3
    if change == "video":
        pictures = np.stack(list(video.read()))
        pictures[2, 0, 0] ^= 1
        write_frames(tmp_path / "other", pictures)
        other = open_frames(tmp_path / "other")
    video_poses(other, frames, extractor=lambda: finder)
    assert len(finder.shown) == frames


def test_the_same_video_elsewhere_is_the_same(video: Any, tmp_path: Path) -> None:
    video_poses(video, 4, extractor=Finder)
    write_frames(tmp_path / "elsewhere" / "other name", np.stack(list(video.read())))
    finder = Finder()
    video_poses(open_frames(tmp_path / "elsewhere" / "other name"), 4, extractor=lambda: finder)
    assert finder.shown == []


def test_a_video_that_is_too_short_is_an_error_before_anything_is_loaded(video: Any) -> None:
    def never() -> PoseExtractor:
        raise AssertionError("loaded")

    with pytest.raises(ExtractorError, match="4 frames, 5 are needed"):
        video_poses(video, 5, extractor=never)


def test_a_picture_has_poses_of_its_own(video: Any) -> None:
    frame = next(video.read())
    finder = Finder()
    poses = picture_poses(frame, extractor=lambda: finder)
    assert poses.frames == 1
    assert equal(poses, picture_poses(frame.copy(), extractor=lambda: finder))
    assert len(finder.shown) == 1
    picture_poses(255 - frame, extractor=lambda: finder)
    picture_poses(frame.reshape(SIZE[1], SIZE[0], 3), extractor=lambda: finder)
    assert len(finder.shown) == 3


def test_dwpose_is_made_once_in_a_process_and_only_when_asked_for(video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def dwpose(*, device: str) -> Finder:
        made.append(device)
        return Finder()

    driving._made.cache_clear()
    monkeypatch.setattr(driving, "DWPose", dwpose)
    video_poses(video, 2, device="cuda")
    picture_poses(next(video.read()), device="cuda")
    assert made == ["cuda"]
    driving._made.cache_clear()


def write_saved(poses: Poses, folder: Path, name: str) -> None:
    save_poses(poses, folder / f"{name}.safetensors")


def write_json(poses: Poses, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_openpose_json(poses, folder / name)


@pytest.mark.parametrize("write", [write_saved, write_json])
def test_a_folder_of_pose_files_is_read_by_clip(tmp_path: Path, write: Callable[[Poses, Path, str], None]) -> None:
    poses = walk(3, size=SIZE)
    write(poses, tmp_path / "poses", "a")
    found = clip_poses(tmp_path / "poses", "a", 2, SIZE)
    assert found.frames == 2
    assert found.size == SIZE
    np.testing.assert_allclose(found.body, poses.body[:2], atol=1e-3)
    assert reference_poses(tmp_path / "poses", "a", SIZE) is None
    write(walk(1, seed=3, size=SIZE), tmp_path / "poses", "a-reference")
    own = reference_poses(tmp_path / "poses", "a", SIZE)
    assert own is not None
    np.testing.assert_allclose(own.body, walk(1, seed=3, size=SIZE).body, atol=1e-3)


def test_missing_and_short_files_say_what_is_needed(tmp_path: Path) -> None:
    save_poses(walk(2), tmp_path / "a.safetensors")
    with pytest.raises(MethodError, match="poses of 2 frames, clip 'a' has 3"):
        clip_poses(tmp_path, "a", 3, SIZE)
    with pytest.raises(MethodError, match=r"no poses of clip 'b'; it should hold b\.json"):
        clip_poses(tmp_path, "b", 1, SIZE)
