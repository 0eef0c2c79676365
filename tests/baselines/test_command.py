"""A program of the user's own, named on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_samples import is_alive, make_case, walking_poses
from filelock import FileLock
from PIL import Image

from baselines.command import PLACEHOLDERS, CommandMethod
from mcbench import KEYPOINT_NAMES, Case, MethodError, UserError, evaluate, load_method, open_frames, open_truth
from mcbench.methods import checked_frames

PYTHON = f"'{sys.executable}'"

COPY = """
import sys
from pathlib import Path
from PIL import Image
reference, output, frames = sys.argv[1:4]
image = Image.open(reference)
for number in range(int(frames)):
    image.putpixel((0, 0), (number, 0, 0))
    image.save(Path(output) / f"{number}.png")
"""

RECORD = """
import json, shutil, sys
from pathlib import Path
names = sys.argv[2].split()
Path(sys.argv[1]).write_text(json.dumps(dict(zip(names, sys.argv[3:]))))
kept = Path(sys.argv[1]).parent / "kept"
for name, path in zip(names, sys.argv[3:]):
    if name == "pose_frames":
        shutil.copytree(path, kept / name)
    elif name in ("reference", "poses", "keypoints"):
        kept.mkdir(exist_ok=True)
        shutil.copy(path, kept)
sys.exit(4)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Writes a program and gives the beginning of a command that runs it."""

    def write(code: str) -> str:
        (tmp_path / "my program.py").write_text(code)
        return f"{PYTHON} '{tmp_path / 'my program.py'}'"

    return write


def made(run: str, /, **settings: Any) -> CommandMethod:
    method = load_method(f"command:{run}", settings={key: str(value) for key, value in settings.items()})
    assert isinstance(method, CommandMethod)
    return method


def animated(method: CommandMethod, case: Case) -> np.ndarray:
    return np.stack(list(checked_frames(method, case)))


def test_a_program_that_writes_pictures(program: Callable[[str], str], tmp_path: Path) -> None:
    method = made(program(COPY) + " {reference} {output} {frames}", size=32)
    case = make_case("dance 1; $(touch x)", tmp_path / "work", frames=11)
    frames = animated(method, case)
    assert np.array_equal(frames[:, 0, 0, 0], range(11))  # 10.png comes after 9.png
    assert np.array_equal(frames[5, 1:], case.reference[1:])
    assert method.native.model_dump() == {
        "size": None,
        "container": "png",
        "fps": None,
        "driver": "nothing",
        "commit": None,
        "dirty": None,
    }


@pytest.mark.parametrize(
    ("names", "driver"),
    [
        ("{poses}", "drawn poses"),
        ("{pose_frames} {keypoints}", "drawn poses"),
        ("{keypoints}", "keypoints"),
        ("{reference}", "nothing"),
    ],
)
def test_a_result_says_what_the_command_was_given(names: str, driver: str) -> None:
    assert made(f"{PYTHON} {names} {{output}}").native.driver == driver
    assert made(f"{PYTHON} {names} {{output}}", driver="a voice").native.driver == "a voice"


def test_every_placeholder(program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pth").write_bytes(b"weights")
    names = " ".join(name for name in PLACEHOLDERS if name != "output_video")
    words = " ".join(f"{{{name}}}" for name in names.split())
    told = tmp_path / "told.json"
    run = f"{program(RECORD)} {told} '{names}' {words} {{{{literal}}}} x{{seed}}y"
    settings = CommandMethod.Settings(run=run, size=64)
    method = CommandMethod(settings, Path("weights.pth"))
    case = make_case("a b", tmp_path / "work", frames=3, size=32, seed=9, poses=walking_poses(3, 32))
    with pytest.raises(MethodError, match=r"method 'command', clip 'a b': the program ended with exit status 4; log: "):
        animated(method, case)
    values = json.loads(told.read_text())
    assert {key: values[key] for key in ("frames", "fps", "size", "seed", "clip")} == {
        "frames": "3",
        "fps": "10.0",
        "size": "64",
        "seed": "9",
        "clip": "a b",
    }
    assert values["checkpoint"] == str(Path("weights.pth").absolute())
    assert np.asarray(Image.open(tmp_path / "kept" / "00000.png")).shape == (64, 64, 3)
    drawn = np.stack(list(open_frames(tmp_path / "kept" / "pose_frames").read()))
    assert drawn.shape == (3, 64, 64, 3)
    assert drawn.any(axis=(1, 2, 3)).all()
    video = open_frames(tmp_path / "kept" / "poses.mp4")
    assert np.array_equal(np.stack(list(video.read())), drawn)
    assert video.fps == 10.0
    poses = json.loads((tmp_path / "kept" / "keypoints.json").read_text())
    assert (poses["size"], poses["fps"], poses["names"]) == ([64, 64], 10.0, list(KEYPOINT_NAMES))
    body = np.asarray(poses["body"])
    assert body.shape == (3, 1, 18, 3)
    # Twice as large about the pixels' centres, and two of the clip's pixels a frame to the right.
    expected = (walking_poses(3, 32).keypoints + 0.5) * 2 - 0.5
    assert np.allclose(body[..., :2], expected, atol=1e-2)


def test_a_video(program: Callable[[str], str], tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from pathlib import Path
from mcbench import write_video
write_video(Path(sys.argv[1]), [np.full((32, 32, 3), 80 * k, np.uint8) for k in range(int(sys.argv[2]))], 25)
"""
    method = made(program(code) + " {output_video} {frames}")
    assert method.native.container == "mp4"
    frames = animated(method, make_case("a", tmp_path / "work"))
    # Flat grey in yuv420p at crf 18 comes back within a few levels.
    assert np.abs(frames.mean(axis=(1, 2, 3)) - [0, 80, 160]).max() < 4


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("", "the command is empty"),
        ("python 'x {output}", r"cannot be split into words \(no closing quotation\)"),
        ("python {outptu}", r"no placeholder is called {outptu}; did you mean {output}\?; there are reference, poses"),
        ("python {output} {frames:05d}", r"no placeholder is called {frames:05d}; did you mean {frames}"),
        ("python {output} {0}", "no placeholder is called {0}"),
        ("python {output} {poses.__class__}", "no placeholder is called {poses.__class__}"),
        ("python {output} {", r"'{': .*; write {{ and }} for braces"),
        ("python {reference}", "must name {output} or {output_video}, and not both"),
        ("python {output} {output_video}", "must name {output} or {output_video}, and not both"),
        ("python {output} {checkpoint}", "say which with --checkpoint PATH"),
        ("/no/such/program {output}", "no program is called '/no/such/program'"),
    ],
)
def test_commands_that_cannot_be(run: str, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        made(run)


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    for settings, message in {
        ("name", "My Model"): "setting 'name'",
        ("size", 33): "setting 'size'",
        ("run", "other"): "contradict each other",
        ("cwd", tmp_path / "none"): "no folder to run the command in",
    }.items():
        with pytest.raises(UserError, match=message):
            made("python {output}", **{settings[0]: settings[1]})
    with pytest.raises(UserError, match="setting 'run': field required"):
        load_method("command")
    with pytest.raises(UserError, match="method 'truth' takes nothing behind a colon"):
        load_method("truth:x")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "no frames|no images|holds no"),
        ("image.save(output / '0.png')", "wrote 1 frames, 3 were asked for"),
        ("for k in range(4): image.save(output / f'{k}.png')", "wrote 4 frames, 3 were asked for"),
        ("for k in range(3): image.save(output / f'{k}.jpg')", "wrote jpe?g files into {output}; make it write PNG"),
        ("for k in range(3): (output / f'{k}.png').write_text('x')", r"0\.png"),
    ],
)
def test_outputs_that_are_not_the_clip(program: Callable[[str], str], tmp_path: Path, code: str, message: str) -> None:
    head = "import sys\nfrom pathlib import Path\nfrom PIL import Image\noutput = Path(sys.argv[1])\n"
    method = made(program(f"{head}image = Image.new('RGB', (32, 32))\n{code}") + " {output}")
    with pytest.raises(MethodError, match=f"^method 'command', clip 'a': .*({message}).*; log: "):
        animated(method, make_case("a", tmp_path / "work"))


def test_a_run_under_a_name_of_its_own(
    program: Callable[[str], str],
    clip_folders: Callable[..., Path],
    fake_networks: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    method = made(program(COPY) + " {reference} {output} {frames}", size=32, name="my-model")
    result = evaluate(method, open_truth(clip_folders("truth", 1, frames=3)), device="cpu", weights="random@1")
    assert result is not None
    assert result.method.name == "my-model"
    assert result.method.settings["run"].endswith(" {reference} {output} {frames}")
    assert (tmp_path / "here" / "runs" / "my-model-custom" / "result.json").is_file()
    assert os.listdir() == ["runs"]  # noqa: PTH208


HANG = """
import subprocess, sys, time
from pathlib import Path
from PIL import Image
output, reference, frames, clip, here = sys.argv[1:6]
if clip == "mini-01" and (Path(here) / "hang").exists():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (Path(here) / "new").write_text(str(child.pid))
    (Path(here) / "new").rename(Path(here) / "child")
    time.sleep(600)
for number in range(int(frames)):
    Image.open(reference).save(Path(output) / f"{number}.png")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_run_that_is_ended_and_taken_up_again(
    program: Callable[[str], str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = program(HANG) + f" {{output}} {{reference}} {{frames}} {{clip}} '{tmp_path}'"
    wanted = ["--clips", "2", "--frames", "2", "--protocol", "mcbench@1", "--set", "name=mine", "--out", "run"]
    argv = [sys.executable, "-m", "mcbench", "eval", "--method", f"command:{run}", *wanted]
    (tmp_path / "hang").touch()
    mcbench = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "child").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        mcbench.send_signal(number)
        assert mcbench.wait(timeout=30) == code
    finally:
        mcbench.kill()
        mcbench.wait()
    with FileLock(tmp_path / "run" / "work" / ".mini-01.guard", timeout=30):
        assert not is_alive(int((tmp_path / "child").read_text()))
    assert (tmp_path / "run" / "predictions" / "mini-00").is_dir()
    made_at = (tmp_path / "run" / "work" / "mini-00" / "complete.json").stat().st_mtime_ns
    (tmp_path / "hang").unlink()
    subprocess.run(argv, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "run" / "work" / "mini-00" / "complete.json").stat().st_mtime_ns == made_at
    assert (tmp_path / "run" / "result.json").is_file()


def test_poses_of_the_user_that_were_changed_make_the_clip_anew(
    program: Callable[[str], str], clip_folders: Callable[..., Path], fake_networks: object, tmp_path: Path
) -> None:
    """Even though all that the settings say is the folder; what is another clip's, or was only touched, does not."""
    poses = tmp_path / "poses"
    poses.mkdir()
    for clip in "ab":
        (poses / f"{clip}.json").write_text(json.dumps(openpose(3, 10.0)))
    truth = open_truth(clip_folders("truth", 2, frames=3))
    counted = tmp_path / "counted"
    line = program(f"open({str(counted)!r}, 'a').write(sys.argv[4])".join(["import sys\n", COPY]))

    def run() -> str:
        counted.write_text("")
        method = made(line + " {reference} {output} {frames} {clip} {keypoints}", poses=poses)
        assert evaluate(method, truth, out=tmp_path / "run", device="cpu", weights="random@1") is not None
        return counted.read_text()

    assert run() == "ab"
    (poses / "a.json").touch()
    (poses / "notes.txt").write_text("mine")
    assert run() == ""
    (poses / "b.json").write_text(json.dumps(openpose(3, 20.0)))
    assert run() == "b"
    (poses / "a-reference.json").write_text(json.dumps(openpose(1, 10.0)))
    assert run() == "a"


def openpose(frames: int, left: float) -> list[dict[str, Any]]:
    """OpenPose's JSON of one character that stands still."""
    person = {"pose_keypoints_2d": [value for joint in range(18) for value in (left + joint, 20 + joint, 1)]}
    return [{"people": [person]}] * frames
