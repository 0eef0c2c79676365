"""One entry for poses of every origin."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from fypv2.conditions.poses import Poses
from fypv2.conditions.skeletons import draw_skeletons
from fypv2.extractors import ExtractorError, PoseExtractor, PoseFileError, read_poses, save_poses, write_openpose_json
from mcbench import UserError, write_frames, write_video


def standing(hands: bool = False) -> Poses:
    across = [0, 0, -40, -50, -50, 40, 50, 50, -24, -24, -24, 24, 24, 24, -12, 12, -24, 24]
    down = [0, 60, 60, 140, 220, 60, 140, 220, 220, 320, 400, 220, 320, 400, -14, -14, 0, 0]
    body = (np.stack([across, down], -1) + np.array([256, 60])).astype(np.float32)
    bodies = np.stack([body + np.array([4 * t, 0]) for t in range(5)])[:, None].astype(np.float32)
    scores = np.ones((5, 1, 18), np.float32)
    if not hands:
        return Poses(bodies, scores, (512, 512))
    hand = np.random.default_rng(0).uniform(0, 500, (5, 1, 2, 21, 2)).astype(np.float32)
    return Poses(bodies, scores, (512, 512), hand, np.ones(hand.shape[:-1], np.float32))


class _Found(PoseExtractor):
    record = None  # type: ignore[assignment]

    def poses(self, frames, *, characters=None):  # type: ignore[no-untyped-def]
        self.seen, self.characters = list(frames), characters
        return standing()


def people(path: Path) -> Path:
    random = np.random.default_rng(0)
    write_frames(path, random.integers(60, 200, (5, 64, 64, 3), np.uint8))
    return path


def test_saved_poses_come_back_bit_for_bit(tmp_path: Path) -> None:
    for hands in (True, False):
        poses = standing(hands)
        save_poses(poses, tmp_path / "deep" / "a.safetensors")
        back = read_poses(tmp_path / "deep" / "a.safetensors")
        assert back.size == poses.size
        for name in ("body", "body_scores", "hands", "hand_scores"):
            assert np.array_equal(getattr(back, name), getattr(poses, name))
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.safetensors"]
    save_poses(standing().reorder([0]).select(slice(None, None, 2)), tmp_path / "b.safetensors")
    assert np.array_equal(read_poses(tmp_path / "b.safetensors").body, standing().body[::2])


def test_each_origin_is_told_by_itself(tmp_path: Path) -> None:
    poses = standing()
    write_openpose_json(poses, tmp_path / "json")
    save_poses(poses, tmp_path / "a.safetensors")
    write_video(tmp_path / "a.mp4", draw_skeletons(poses), 25)
    write_frames(tmp_path / "drawn", draw_skeletons(poses))
    (tmp_path / "one.json").write_bytes(sorted((tmp_path / "json").iterdir())[0].read_bytes())
    for name in ("json", "a.safetensors", "a.mp4", "drawn"):
        read = read_poses(tmp_path / name, characters=1)
        assert read.body.shape == poses.body.shape
        assert np.abs(read.body - poses.body).max() < 2
        assert read_poses(tmp_path / name, frames=2).frames == 2
    assert read_poses(tmp_path / "one.json").frames == 1
    found = _Found()
    assert read_poses(people(tmp_path / "people"), extractor=lambda: found, frames=3, characters=1) is not None
    assert (len(found.seen), found.characters) == (3, 1)


def test_a_kind_that_is_given_counts(tmp_path: Path) -> None:
    write_frames(tmp_path / "drawn", draw_skeletons(standing()))
    found = _Found()
    read_poses(tmp_path / "drawn", kind="people", extractor=lambda: found)
    assert len(found.seen) == 5


def test_faults_are_one_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "black", np.zeros((3, 512, 512, 3), np.uint8))
    (tmp_path / "text.safetensors").write_text("nothing of the kind")
    safetensors.numpy.save_file({"body": np.zeros((1, 1, 18, 2), np.float32)}, tmp_path / "other.safetensors")
    save_poses(standing(), tmp_path / "good.safetensors")
    torn = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "torn.safetensors").write_bytes(torn[:-8])
    (tmp_path / "nan.safetensors").write_bytes(torn[:-4] + np.float32(np.nan).tobytes())
    for arguments, kind, message in (
        ({"path": "black", "kind": "skeleton"}, ExtractorError, "black: nobody is found in 3 frames"),
        ({"path": "text.safetensors"}, PoseFileError, "damaged, or not poses"),
        ({"path": "torn.safetensors"}, PoseFileError, "damaged, or not poses"),
        ({"path": "nan.safetensors"}, PoseFileError, "not finite"),
        ({"path": "other.safetensors"}, PoseFileError, "not poses that were saved here"),
        ({"path": "none.safetensors"}, PoseFileError, "no such file"),
        ({"path": "none.json"}, PoseFileError, "no such file"),
        ({"path": "none.mp4"}, UserError, "no such file"),
        ({"path": "black", "kind": "skeletons"}, PoseFileError, "no kind of poses is called 'skeletons'"),
        ({"path": "black", "frames": 0}, PoseFileError, "0 frames"),
        ({"path": "good.safetensors", "size": (9, 9)}, PoseFileError, "leave `size` out"),
    ):
        with pytest.raises(kind, match=message) as caught:
            read_poses(**{**arguments, "path": tmp_path / arguments["path"]})
        assert "\n" not in str(caught.value)
    with pytest.raises(PoseFileError, match="a name that ends so"):
        save_poses(standing(), tmp_path / "a.npz")
    with pytest.raises(PoseFileError, match="cannot be written"):
        save_poses(standing(), tmp_path / "text.safetensors" / "a.safetensors")


def test_a_video_of_people_without_the_libraries_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExtractorError, match=r"people: DWPose needs 'onnxruntime'.*mcbench\[extract\]"):
        read_poses(people(tmp_path / "people"))
