"""`fypv2 animate`, as a user calls it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import SIDE, mini_config, picture, walk

import fypv2.extractors
from fypv2.checkpoint import fresh_pipeline, save_pipeline
from fypv2.cli import animate
from fypv2.cli.main import main
from fypv2.conditions import Poses, draw_skeletons
from fypv2.config import STARTING_REPORT
from fypv2.extractors import save_poses, write_openpose_json
from mcbench import open_frames, write_video


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "mini"
    save_pipeline(fresh_pipeline(mini_config(), seed=6), folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, with all files that the examples name."""
    monkeypatch.chdir(tmp_path)
    for name in ("people.png", "two.png"):
        Image.fromarray(picture()).save(name)
    poses = walk(3)
    write_openpose_json(poses, Path("openpose"))
    save_poses(poses, "poses.safetensors")
    save_poses(walk(1), "people.safetensors")
    write_openpose_json(walk(1), Path("one"))
    write_video(Path("dance.mp4"), [picture(seed) for seed in range(3)], 30)
    write_video(Path("skeletons.mp4"), draw_skeletons(standing(3)), 12)
    return tmp_path


def standing(frames: int) -> Poses:
    """Two people side by side who sway, in pixels of a picture of 512 x 512."""
    person = np.array(
        [
            (0, 60), (0, 110), (-45, 112), (-60, 190), (-62, 260), (45, 112), (60, 190), (62, 260), (-28, 260),
            (-32, 350), (-34, 440), (28, 260), (32, 350), (34, 440), (-10, 50), (10, 50), (-22, 56), (22, 56),
        ],
        np.float32,
    )  # fmt: skip
    sway = np.arange(frames, dtype=np.float32)[:, None, None, None] * (3, 0)
    body = person[None, None] + np.array([(140, 20), (360, 30)], np.float32)[None, :, None] + sway
    return Poses(body.astype(np.float32), np.ones(body.shape[:3], np.float32), (512, 512))


class Finder:
    """Stands in for DWPose, whose weights are not here: two people in every frame."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def poses(self, frames: Any, *, characters: int | None = None) -> Poses:
        count = len(list(frames))
        return walk(count)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fypv2", "animate", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


ARGUMENTS = ("people.png", "--poses", "poses.safetensors", "--reference-poses", "people.safetensors", "--depth", "none")


def test_a_clip_is_written(place: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(monkeypatch, *ARGUMENTS, "-o", "out.mp4", "--checkpoint", str(checkpoint), "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "out": "out.mp4", "frames": 3, "height": SIDE, "width": SIDE, "fps": 25.0, "seed": 0,
    }  # fmt: skip
    video = open_frames(place / "out.mp4")
    assert (video.frames, video.size, video.fps) == (3, (SIDE, SIDE), 25.0)


def test_lossless_frames_a_grid_and_the_seed(
    place: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    more = ("--checkpoint", str(checkpoint), "--frames", "2", "--grid", "grid")
    for seed, out in (("0", "a"), ("0", "b"), ("1", "c")):
        assert run(monkeypatch, *ARGUMENTS, "-o", out, "--seed", seed, *more) == 0
    a, b, c = (np.stack(list(open_frames(place / name).read())) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    grid = np.stack(list(open_frames(place / "grid").read()))
    assert grid.shape == (2, SIDE, 6 * SIDE, 3)
    assert np.array_equal(grid[:, :, :SIDE], np.stack([picture()] * 2))
    assert np.array_equal(grid[:, :, -SIDE:], c)
    assert capsys.readouterr().out == ""


def test_it_says_when_nothing_was_trained(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(monkeypatch, *ARGUMENTS, "-o", "out", "--steps", "1", "--frames", "1", "--fresh") == 0
    assert "fresh weights makes noise" in " ".join(capsys.readouterr().err.split())


def test_starting_weights_are_said_to_be_untrained(
    place: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    shutil.copytree(checkpoint, place / "start")
    (place / "start" / STARTING_REPORT).write_text("{}")
    assert run(monkeypatch, *ARGUMENTS, "-o", "out", "--steps", "1", "--frames", "1", "--checkpoint", "start") == 0
    assert "learnt no animation" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["openpose", ".", "..", "", "people.png", "video.mp4", "skeletons.mp4", "still"])
def test_what_is_there_is_not_lost(
    place: Path, checkpoint: Path, out: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Results replace a folder of frames or a video; nothing else, and nothing that is read."""
    inputs = {"skeletons.mp4": "skeletons.mp4", "still": "still"}
    (place / "video.mp4").mkdir()
    (place / "still").mkdir()
    Image.fromarray(picture()).save(place / "still" / "00000.png")
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    words = [ARGUMENTS[0], "--poses", inputs.get(out, "poses.safetensors"), *ARGUMENTS[3:]]
    assert run(monkeypatch, *words, "-o", out, "--checkpoint", str(checkpoint)) == 2
    assert "name another" in (said := capsys.readouterr().err) or "give an .mp4" in said or "name an .mp4" in said
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_one_s_own_frames_are_replaced_but_not_by_the_grid(
    place: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    more = ("--checkpoint", str(checkpoint), "--steps", "1", "-o", "out")
    assert run(monkeypatch, *ARGUMENTS, *more) == 0
    assert run(monkeypatch, *ARGUMENTS, *more, "--frames", "1") == 0
    assert [path.name for path in (place / "out").iterdir()] == ["00000.png"]
    assert run(monkeypatch, *ARGUMENTS, *more, "--grid", "./out") == 2
    assert "one place" in capsys.readouterr().err


def test_references_of_every_depth_look_as_in_a_viewer(place: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (8, 12), dtype=np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save("deep.png")
    assert np.array_equal(animate._picture(place / "deep.png"), np.repeat(grey[..., None], 3, axis=-1))
    cut = np.dstack([picture(0, 8, 12), np.zeros((8, 12), np.uint8)])
    cut[:4, :, 3] = 255
    Image.fromarray(cut).save("cut.png")
    seen = animate._picture(place / "cut.png")
    assert np.array_equal(seen[:4], cut[:4, :, :3])
    assert (seen[4:] == 255).all()


@pytest.mark.parametrize("example", [line[2:] for line in animate.EXAMPLES.splitlines() if line.startswith("$ ")])
def test_the_examples_of_the_help_run(
    place: Path, checkpoint: Path, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "starts").mkdir()
    (place / "starts" / "paper").symlink_to(checkpoint)
    monkeypatch.setattr(fypv2.extractors, "DWPose", Finder)

    class Depth:
        def __init__(self, model: str, **_: Any) -> None:
            assert model == "depth-anything/Depth-Anything-V2-Small-hf"

        def nearness(self, frame: np.ndarray) -> np.ndarray:
            return np.ones(frame.shape[:2], np.float32)

    monkeypatch.setattr(fypv2.extractors, "DepthAnything", Depth)
    words = shlex.split(example)
    assert words[:2] == ["fypv2", "animate"]
    more = [] if "--checkpoint" in words else ["--checkpoint", str(checkpoint)]
    assert run(monkeypatch, *words[2:], *more) == 0
    assert (place / words[words.index("-o") + 1]).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody.png", *ARGUMENTS[1:], "-o", "out.mp4"], "no such file"),
        ([*ARGUMENTS, "-o", "out.gif"], ".mp4 file, or a folder"),
        ([*ARGUMENTS, "-o", "out.mp4", "--assign", "left"], "--assign left"),
        ([*ARGUMENTS, "-o", "out.mp4", "--assign", "0,5"], "5"),
        ([*ARGUMENTS, "-o", "out.mp4", "--width", "60"], "multiples of 8"),
        ([*ARGUMENTS, "-o", "out.mp4", "--checkpoint", "nowhere"], "no such folder"),
        ([*ARGUMENTS, "-o", "out.mp4", "--config", "huge"], "paper, small, tiny"),
        ([*ARGUMENTS, "-o", "out.mp4", "--offload", "model"], "leave it out"),
        ([*ARGUMENTS[:1], "--poses", "black.mp4", *ARGUMENTS[3:], "-o", "out.mp4"], "black.mp4"),
        ([*ARGUMENTS[:4], "large.safetensors", *ARGUMENTS[5:], "-o", "out.mp4"], "64 x 64"),
        ([*ARGUMENTS[:2], "three.safetensors", *ARGUMENTS[3:], "-o", "out.mp4"], "--assign"),
        ([*ARGUMENTS, "-o", "out.mp4", "--fps", "inf"], "--fps inf"),
        ([*ARGUMENTS, "-o", "out.mp4", "--steps", "1001"], "1001 steps"),
        ([*ARGUMENTS, "-o", "out.mp4", "--device", "gpu"], "device 'gpu'"),
        ([*ARGUMENTS, "-o", "out.mp4", "--device", "meta"], "device 'meta'"),
        ([*ARGUMENTS, "-o", "out.mp4", "--seed", str(2**70)], "--seed"),
        ([*ARGUMENTS, "-o", "out.mp4", "--stesp", "3"], "--steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_gets_one_line(
    place: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write_video(place / "black.mp4", np.zeros((3, SIDE, SIDE, 3), np.uint8), 25)
    large = walk(1, size=(2 * SIDE, 2 * SIDE))
    save_poses(large, place / "large.safetensors")
    save_poses(walk(2, characters=3), place / "three.safetensors")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(monkeypatch, *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("fypv2: error:")]
    assert says in line
    assert not (place / "out.mp4").exists()
