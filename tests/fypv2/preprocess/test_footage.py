"""Videos to shards: poses stay on their pixels, and no bad video stops the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from footage_files import FPS, HEIGHT, WIDTH, figure, make_footage, picture
from PIL import Image

from fypv2.conditions import Poses
from fypv2.extractors import ExtractorError, save_poses, write_openpose_json
from fypv2.extractors.base import DepthExtractor, ExtractorRecord, FlowExtractor, PoseExtractor
from fypv2.preprocess.cutting import CutSettings
from fypv2.preprocess.estimating import EstimatedPoses, Estimators
from fypv2.preprocess.footage import FootageJob, clip_key
from fypv2.preprocess.probing import find_videos
from fypv2.preprocess.runner import preprocess
from fypv2.training.clips import DenseFlow, ShardError
from fypv2.training.shards import open_shards
from mcbench import write_frames, write_video


def job(folder: Path, poses: Path | None, **changes: Any) -> FootageJob:
    cutting = CutSettings(
        size=changes.pop("size", (64, 64)), min_frames=changes.pop("min_frames", 8), max_frames=32, fps=FPS
    )
    return FootageJob(find_videos([folder]), cutting, poses, **{"flow": None, "depth": None} | changes)


def test_poses_stay_on_their_pixels_through_crop_and_resize(tmp_path: Path) -> None:
    """Each keypoint's disc is bright where the pose says it is, after a crop to a square and at 4/3 of the size."""
    make_footage(tmp_path / "in", tmp_path / "poses", {"dance": 20}, people=1)
    preprocess(job(tmp_path / "in", tmp_path / "poses", size=(128, 128), frame_format="png"), tmp_path / "out")
    clip = open_shards(tmp_path / "out").read(0)
    assert clip.name == "dance.mp4#0"
    assert clip.poses.characters == 1
    assert np.abs(clip.poses.body[:, 0, :6, 0] - clip.poses.body[:1, 0, :6, 0]).max() > 3
    ring = [(dx, dy) for dx in (-8, 8) for dy in (-8, 8)]
    for i in (0, 7, 19):
        for x, y in clip.poses.body[i, 0, [0, 5, 12, 17]]:
            column, row = round(float(x)), round(float(y))
            on = clip.frames[i, row, column].astype(int)
            off = np.mean([clip.frames[i, row + dy, column + dx] for dx, dy in ring], 0)
            # Yellow on blue.
            assert on[0] > off[0] + 60
            assert on[2] < 160


@pytest.mark.parametrize("kind", ["safetensors", "folder", "other size"])
def test_pose_files_of_every_kind(tmp_path: Path, kind: str) -> None:
    poses = figure(12)
    write_video(_made(tmp_path / "in") / "a.mp4", picture(poses), FPS)
    if kind == "safetensors":
        save_poses(poses, tmp_path / "poses" / "a.safetensors")
    elif kind == "folder":
        write_openpose_json(poses, tmp_path / "poses" / "a")
    else:
        body = (poses.body + 0.5) * 2 - 0.5
        save_poses(Poses(body, poses.body_scores, (2 * HEIGHT, 2 * WIDTH)), tmp_path / "poses" / "a.safetensors")
    preprocess(job(tmp_path / "in", tmp_path / "poses", size=(HEIGHT, WIDTH)), tmp_path / "out")
    clip = open_shards(tmp_path / "out").read(0)
    assert np.abs(clip.poses.body - poses.body).max() < 2e-3
    assert clip.poses.characters == 2
    assert clip.flow is None


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def damage(path: Path) -> None:
    """Overwrites the middle of the compressed pictures; the file's head and tail stay as they are."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) * 6 // 10
    data[middle : middle + 400] = b"\x5a" * 400
    path.write_bytes(data)


def noisy(poses: Poses) -> Any:
    """Pictures that compress badly, so that damage meets picture data."""
    noise = np.random.default_rng(0).integers(0, 60, (poses.frames, *poses.size, 3))
    return np.clip(picture(poses) + noise, 0, 255).astype(np.uint8)


def write_hdr(path: Path, poses: Poses) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.options = {"color_trc": "smpte2084", "color_primaries": "bt2020", "colorspace": "bt2020nc"}
        for frame in picture(poses):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_gigantic(path: Path) -> None:
    """A small file of huge frames."""
    frame = np.zeros((4160, 8064, 3), np.uint8)
    frame[..., 2] = 200
    path.mkdir()
    Image.fromarray(frame).save(path / "00000.png")


def test_bad_videos_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    videos, poses = _made(tmp_path / "in"), tmp_path / "poses"
    make_footage(videos, poses, {"good": 20, "deep/good": 20, "short": 5, "twisted": 20, "fewer": 20, "gone": 20})
    (videos / "text.mp4").write_text("no video")
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "playlist.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (videos / "stream.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    whole = (videos / "good.mp4").read_bytes()
    (videos / "torn.mp4").write_bytes(whole[: len(whole) // 2])
    scenes = [noisy(figure(20)), 255 - noisy(figure(60))]
    write_video(videos / "damaged.mp4", np.concatenate(scenes), FPS, crf=10, keyframe_every=20)
    damage(videos / "damaged.mp4")
    save_poses(figure(80), poses / "damaged.safetensors")
    grey = np.repeat(picture(figure(20)).mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    write_video(videos / "grey.mp4", grey, FPS)
    save_poses(figure(20), poses / "grey.safetensors")
    write_hdr(videos / "hdr.mp4", figure(20))
    write_gigantic(videos / "gigantic")
    small = figure(20, size=(24, 40))
    write_video(videos / "small.mp4", picture(small), FPS)
    save_poses(
        Poses(figure(20).body, np.zeros((20, 2, 18), np.float32), (HEIGHT, WIDTH)), poses / "twisted.safetensors"
    )
    save_poses(figure(19), poses / "fewer.safetensors")
    (poses / "gone.safetensors").unlink()
    (videos / "link.mp4").symlink_to("nowhere.mp4")
    write_video(videos / "strange.mp4", picture(figure(20)), FPS)
    (poses / "strange.safetensors").write_text("no poses")

    manifest = preprocess(job(videos, poses), tmp_path / "out")

    bad = {row["video"]: row for row in manifest["bad_videos"]}
    expected = {
        "short.mp4": "too short",
        "text.mp4": "not a video",
        "empty.mp4": "not a video",
        "playlist.mp4": "not a video",
        "stream.mp4": "not a video",
        "torn.mp4": "torn",
        "damaged.mp4": "does not decode",
        "grey.mp4": "wrong colour: grey",
        "hdr.mp4": "wrong colour: high dynamic range (PQ)",
        "gigantic": "gigantic",
        "small.mp4": "too small",
        "twisted.mp4": "no people",
        "fewer.mp4": "19 frames, the video 20",
        "gone.mp4": "no poses",
        "link.mp4": "no such file",
        "strange.mp4": "its poses: damaged",
    }
    assert bad.keys() == expected.keys()
    for name, words in expected.items():
        assert words in bad[name]["reason"], bad[name]
        assert "\n" not in bad[name]["reason"]
        assert str(tmp_path) not in bad[name]["reason"]
    source = open_shards(tmp_path / "out")
    names = [source.info(i).name for i in range(len(source))]
    assert {"good.mp4#0", "deep/good.mp4#0"} <= set(names)
    # What came before the damage is kept, and said to be.
    assert bad["damaged.mp4"]["clips"] == sum(name.startswith("damaged") for name in names) >= 1
    assert manifest["frames_left_out"]["no people"] == 20


class Told(PoseExtractor):
    """Finds what it was told to find."""

    def __init__(self, people: int) -> None:
        self.people = people

    @property
    def record(self) -> ExtractorRecord:
        return ExtractorRecord("told", {})

    def poses(self, frames: Any, *, characters: int | None = None) -> Poses:
        shown = list(frames)
        if not self.people:
            raise ExtractorError(f"nobody is found in {len(shown)} frames; give a clip in which people can be seen")
        return figure(len(shown), self.people, shown[0].shape[:2])


class Shift(FlowExtractor):
    @property
    def record(self) -> ExtractorRecord:
        return ExtractorRecord("shift", {})

    def flows(self, frames: Any) -> Any:
        for i, frame in enumerate(frames):
            yield np.full((*frame.shape[:2], 2), 0 if i == 0 else 4, np.float32)


class Ramp(DepthExtractor):
    @property
    def record(self) -> ExtractorRecord:
        return ExtractorRecord("ramp", {})

    def nearness(self, frame: Any) -> Any:
        return np.tile(np.arange(frame.shape[1], dtype=np.float32), (frame.shape[0], 1))


def with_extractors(tmp_path: Path, people: int, **changes: Any) -> dict[str, Any]:
    make_footage(tmp_path / "in", tmp_path / "unused", {"a": 12})

    def loader() -> Estimators:
        return Estimators(EstimatedPoses(Told(people)), Shift(), Ramp())

    return preprocess(job(tmp_path / "in", None, loader=loader, **changes), tmp_path / "out")


def test_extractors_are_asked_and_recorded(tmp_path: Path) -> None:
    manifest = with_extractors(tmp_path, 3, map_scale=2)
    clip = open_shards(tmp_path / "out").read(0)
    assert clip.poses.characters == 3
    assert isinstance(clip.flow, DenseFlow)
    assert clip.flow.vectors.shape[1:3] == (32, 32)
    # Kept at half the size, and still in pixels of the frames.
    assert np.allclose(clip.flow.dense(5), 4)
    assert np.allclose(clip.flow.dense(0), 0)
    assert np.abs(clip.nearness[3, 5] - np.arange(64)).max() <= 0.6
    assert [manifest["extractors"][0][part]["name"] for part in ("poses", "flow", "depth")] == ["told", "shift", "ramp"]
    assert manifest["settings"]["loader"].endswith("loader")


@pytest.mark.parametrize(("people", "reason"), [(0, "no people"), (5, "5 people"), (1, "1 people")])
def test_scenes_with_other_numbers_of_people_are_left_out(tmp_path: Path, people: int, reason: str) -> None:
    manifest = with_extractors(tmp_path, people, min_people=2, max_people=4)
    assert manifest["totals"]["clips"] == 0
    assert manifest["bad_videos"] == [{"video": "a.mp4", "reason": reason, "clips": 0}]


def test_frame_folders_and_rates(tmp_path: Path) -> None:
    poses = figure(24)
    write_frames(_made(tmp_path / "in") / "walk", picture(poses))
    write_video(tmp_path / "in" / "fast.mp4", picture(poses), 50)
    for name in ("walk", "fast"):
        save_poses(poses, tmp_path / "poses" / f"{name}.safetensors")
    manifest = preprocess(job(tmp_path / "in", tmp_path / "poses"), tmp_path / "out")
    source = open_shards(tmp_path / "out")
    assert [(source.info(i).name, source.info(i).frames, source.info(i).fps) for i in range(2)] == [
        ("fast.mp4#0", 12, 25.0),
        ("walk#0", 24, 25.0),
    ]
    # The poses of the frames that are kept.
    assert np.allclose(source.read(0).poses.body[3], source.read(1).poses.body[6], atol=1e-4)
    assert any("without a frame rate" in note for note in manifest["notes"])


def test_videos_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("b/a.MP4", "a.mov", "b/.hidden.mp4", ".git/a.mp4", "b/notes.txt", "b/c/0001.png", "b/c/0002.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert list(find_videos([tmp_path / "in"])) == ["a.mov", "b/a.MP4", "b/c"]
    assert list(find_videos([tmp_path / "in" / "b", tmp_path / "in" / "a.mov"])) == ["a.mov", "b/a.MP4", "b/c"]
    for places in ([tmp_path / "nowhere"], [_made(tmp_path / "void")], [tmp_path / "in" / "b"] * 2):
        with pytest.raises(ShardError):
            find_videos(places)


def test_keys_have_no_dot_and_differ() -> None:
    names = ["a.b.mp4", "a_b.mp4", "x/a.b.mp4", "é" * 300 + ".mp4", ".mp4", "a b.mp4"]
    keys = [clip_key(name, 0) for name in names]
    assert len(set(keys)) == len(names)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for key in keys)
    assert all(len(f"{key}.00000.png".encode()) <= 100 for key in keys)


def test_json_of_the_run_is_for_everybody(tmp_path: Path) -> None:
    make_footage(tmp_path / "in", tmp_path / "poses", {"tänzer": 12})
    preprocess(job(tmp_path / "in", tmp_path / "poses"), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema"] == "fypv2.shards/1"
    assert manifest["settings"]["cutting"]["fps"] == FPS
    assert open_shards(tmp_path / "out").info(0).name == "tänzer.mp4#0"
