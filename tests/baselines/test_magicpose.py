"""MagicPose's adapter, from a case to its frames, with a program in MagicPose's place that checks what it is given."""

from __future__ import annotations

import itertools
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.base import Job
from baselines.inputs import driving_poses, pose_drawings, reference_square
from baselines.magicpose import MODEL_CONFIG, MagicPose
from mcbench import Case, DrivingPoses, MethodError

STAND_INS = Path(__file__).parent / "stand_ins"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in as a checkout, with its checkpoint, written into methods.toml; torchrun is one too."""
    folder = tmp_path / "MagicDance"
    (folder / MODEL_CONFIG).parent.mkdir(parents=True)
    (folder / MODEL_CONFIG).touch()
    shutil.copy(STAND_INS / "magicpose.py", folder / "test_any_image_pose.py")
    torchrun = folder / "torch" / "distributed"
    torchrun.mkdir(parents=True)
    shutil.copy(STAND_INS / "magicpose_torchrun.py", torchrun / "run.py")
    for package in (torchrun, torchrun.parent):
        (package / "__init__.py").touch()
    checkpoint = tmp_path / "model_state-110000.th"
    checkpoint.touch()
    methods = tmp_path / "methods.toml"
    methods.write_text(
        f"""
        [magicpose]
        repository = {str(folder)!r}
        interpreter = {sys.executable!r}
        weights = {{checkpoint = {str(checkpoint)!r}}}
        """
    )
    monkeypatch.setenv("MCBENCH_METHODS", str(methods))
    return folder


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Case]:
    def make(clip: str = "a.b", frames: int = 3, seed: int = 5, people: int = 2) -> Case:
        random = np.random.default_rng(seed)
        keypoints = random.uniform((40, 0), (280, 240), (frames, people, 18, 2)).astype(np.float32)
        return Case(
            clip=clip,
            frames=frames,
            fps=25.0,
            size=(240, 320),
            seed=seed,
            reference=random.integers(0, 256, (240, 320, 3), np.uint8),
            poses=DrivingPoses(keypoints, np.full((frames, people, 18), 2, np.uint8)),
            folder=tmp_path / "run" / "work" / clip,
        )

    return make


def method() -> MagicPose:
    return MagicPose(MagicPose.Settings())


def meant(case: Case) -> np.ndarray:
    """What the stand-in makes of a case before it becomes JPEG: (frames, 512, 512, 3)."""
    animated = runpy.run_path(str(STAND_INS / "magicpose.py"))["animated"]
    reference = reference_square(case, 512)
    return np.stack([animated(it, reference, case.seed) for it in pose_drawings(driving_poses(case, 512))])


# Grey blocks of 64 pixels have one coefficient in JPEG, the mean of 8 x 8 pixels. Pillow's quality of 75 halves the
# standard's step of 16 for it, and 8 of the coefficient is one grey level: a rounding of at most half of one, and
# another on the way to colours and back.
JPEG_ERROR = 1


@pytest.mark.parametrize("clip", ["a.b", "dance no. 1∕ (50%)#0.jpg"])
def test_frames_come_back_as_they_were_meant(checkout: Path, make_case: Callable[..., Case], clip: str) -> None:
    case = make_case(clip, frames=4)
    frames = np.stack(list(method().animate(case)))
    expected = meant(case)
    assert np.abs(frames.astype(int) - expected).max() <= JPEG_ERROR
    # Neighbours differ by more than that, so their order is told apart.
    assert all(np.abs(a.astype(int) - b).max() > 2 * JPEG_ERROR for a, b in itertools.pairwise(expected))


def test_every_character_is_drawn(checkout: Path, make_case: Callable[..., Case], tmp_path: Path) -> None:
    case = make_case(frames=1, people=4)
    (tmp_path / "job" / "inputs").mkdir(parents=True)
    method().prepare(case, tmp_path / "job")
    drawing = np.asarray(Image.open(tmp_path / "job" / "inputs" / "poses" / "00000.png"))
    assert case.poses is not None
    x, y = np.moveaxis((case.poses.keypoints[0] + 0.5 - (40, 0)) * 512 / 240 - 0.5, -1, 0)
    inside = (x > 5) & (x < 506) & (y > 5) & (y < 506)
    lit = drawing[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)].max(-1)
    assert inside.any(axis=1).all()
    assert (lit == 255).all()


def test_one_start_a_clip_on_a_port_of_its_own(checkout: Path, make_case: Callable[..., Case], tmp_path: Path) -> None:
    one, other = (method().command([Job(make_case(name), tmp_path / name)], tmp_path / name) for name in "ab")
    for command in (one, other):
        assert command.argv[:3] == (sys.executable, "-m", "torch.distributed.run")
        assert command.cwd == checkout
    port = one.argv.index("--master_port") + 1
    assert one.argv[port] != other.argv[port]
    assert not MagicPose.batch


def test_a_seed_beyond_32_bits_still_starts(checkout: Path, make_case: Callable[..., Case]) -> None:
    # NumPy refuses what is larger, and so does the stand-in.
    frames = list(method().animate(make_case(frames=1, seed=2**32 + 77)))
    assert frames[0][:64, :64].mean() == pytest.approx(77, abs=JPEG_ERROR)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash", "crashed on purpose"),
        ("missing", r"002\.jpg: the program did not write this frame"),
        ("size", r"001\.jpg: 512 x 256, expected 512 x 512"),
        ("garbage", r"001\.jpg: this frame does not decode"),
    ],
)
def test_faults_are_told_in_one_line(checkout: Path, make_case: Callable[..., Case], fault: str, message: str) -> None:
    (checkout / "fault.txt").write_text(fault)
    with pytest.raises(MethodError, match=message) as told:
        list(method().animate(make_case("a.b")))
    assert "\n" not in str(told.value)
    assert "clip 'a.b'" in str(told.value)


def test_after_999_comes_1000(
    checkout: Path, make_case: Callable[..., Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baselines.magicpose.read_frame_files", lambda paths, size: [path.name for path in paths])
    names = list(method().collect(make_case(frames=1002), tmp_path))
    assert [names[0], *names[9:11], *names[99:101], *names[-3:]] == [
        *("000.jpg", "009.jpg", "010.jpg", "099.jpg", "100.jpg", "999.jpg", "1000.jpg", "1001.jpg")
    ]


def test_what_it_was_is_told(checkout: Path) -> None:
    magicpose = method()
    native = magicpose.native
    assert (native.size, native.container, native.driver) == ((512, 512), "jpeg", "openpose")
    assert "JPEG" in (magicpose.note or "")


def test_the_stand_in_misses_what_the_program_would_take_otherwise(
    checkout: Path, make_case: Callable[..., Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(make_case(frames=1), tmp_path / "job")
    (job.folder / "inputs").mkdir(parents=True)
    magicpose = method()
    magicpose.prepare(job.case, job.folder)
    argv = magicpose.command([job], job.folder).argv
    words = list(argv[argv.index("test_any_image_pose.py") :])
    monkeypatch.chdir(checkout)

    def run(*without: str) -> None:
        monkeypatch.setattr(sys, "argv", [word for word in words if word not in without])
        runpy.run_path(words[0], run_name="__main__")

    with pytest.raises(SystemExit, match="not started by torchrun"):
        run()
    ranks = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    run()
    for flag in ("--wonoise", "--with_text", "--v4", "--use_fp16"):
        with pytest.raises(SystemExit, match="stand-in: "):
            run(flag)
    Image.new("RGB", (640, 512)).save(job.folder / "inputs" / "poses" / "00001.png")
    with pytest.raises(SystemExit, match="cropped at a place of its choice"):
        run()


@pytest.mark.slow
def test_torchrun_itself_takes_the_command_line(checkout: Path, make_case: Callable[..., Case]) -> None:
    shutil.rmtree(checkout / "torch")
    case = make_case(frames=2)
    frames = np.stack(list(method().animate(case)))
    assert np.abs(frames.astype(int) - meant(case)).max() <= JPEG_ERROR
