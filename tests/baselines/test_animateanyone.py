"""AnimateAnyone's adapter against a stand-in that speaks the command line of Moore Threads' reproduction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from animation_cases import animate, block_case, flat, install, make, square, tree
from pydantic import ValidationError
from stand_ins.animateanyone import mark

from baselines.animateanyone import AnimateAnyone
from baselines.base import OutputError
from baselines.inputs import pose_drawings
from fypv2.conditions import Poses
from mcbench import Case, MethodError, open_frames, to_square

TOLERANCE = 6.0
"""Grey levels: the program writes yuv420p at 1,024,000 bits a second. Flat colours came back within 3.0."""

CHECKPOINTS = ["denoising_unet.pth", "reference_unet.pth", "pose_guider.pth", "motion_module.pth"]


def two_people(case: Case, size: int, **_: object) -> Poses:
    """Two characters of which each shows one limb and moves: in place of `baselines.inputs.driving_poses`."""
    body = np.zeros((case.frames, 2, 18, 2), np.float32)
    scores = np.zeros((case.frames, 2, 18), np.float32)
    scores[:, :, 2:4] = 1
    for frame in range(case.frames):
        body[frame, 0, 2:4] = [[40, 40 + 8 * frame], [200, 40]]
        body[frame, 1, 2:4] = [[300, 300], [300 + 8 * frame, 420]]
    return Poses(body * (size / 512), scores, (size, size))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("baselines.animateanyone.driving_poses", two_people)
    return install(
        tmp_path,
        monkeypatch,
        "animateanyone",
        programs={"scripts/pose2vid.py": "animateanyone.py"},
        files=["configs/inference/inference_v2.yaml=noise_scheduler_kwargs: {prediction_type: v_prediction}"],
        weights={
            "checkpoints": CHECKPOINTS,
            "stable_diffusion": ["unet/config.json"],
            "vae": ["config.json"],
            "image_encoder": ["config.json"],
        },
    )


def meant(case: Case, size: int = 512) -> list[npt.NDArray[np.uint8]]:
    """What the stand-in makes of a case: drawn poses over the reference, with the mark of the seed and the frame."""
    frames = []
    for number, drawing in enumerate(pose_drawings(two_people(case, size))):
        frame = np.where(drawing.any(-1, keepdims=True), drawing, to_square(square(case), size))
        frame[-64:, -64:] = mark(case.seed, number)
        frames.append(frame)
    return frames


def starts(checkout: Path) -> int:
    return len((checkout / "starts").read_text().splitlines())


def test_the_third_tile_comes_back(checkout: Path, tmp_path: Path) -> None:
    cases = [block_case("a.b", 5, tmp_path, seed=7), block_case("dance-2", 3, tmp_path, seed=8)]
    before = tree(checkout)
    for frames, case in zip(animate(AnimateAnyone, *cases), cases, strict=True):
        assert [frame.shape for frame in frames] == [(512, 512, 3)] * case.frames
        assert np.abs(flat(frames) - flat(meant(case))).max() < TOLERANCE
        # No row or column of the black border, nor of the tile beside it, which would be off by 100 and more.
        off = np.abs(np.stack(frames).astype(int) - np.stack(meant(case))).mean((0, 3))
        for edge in (off[0], off[-1], off[:, 0], off[:, -1]):
            assert edge.mean() < 2 * TOLERANCE
    assert starts(checkout) == 2, "clips of one start would share a random generator"
    assert tree(checkout) == before


def test_a_clip_of_one_frame_is_given_the_two_that_the_program_needs(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 1, tmp_path)
    (frames,) = animate(AnimateAnyone, case)
    assert len(frames) == 1
    assert np.abs(flat(frames) - flat(meant(case))).max() < TOLERANCE


def test_another_size_is_asked_for_and_cut_out(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 2, tmp_path)
    (frames,) = animate(AnimateAnyone, case, size=256)
    assert [frame.shape for frame in frames] == [(256, 256, 3)] * 2
    assert np.abs(flat(frames) - flat(meant(case, 256)))[:, :, :3].max() < TOLERANCE
    native = make(AnimateAnyone, size=256).native
    assert native is not None
    assert (native.size, native.container, native.driver) == ((256, 256), "mp4", "drawn poses")
    with pytest.raises(ValidationError):
        make(AnimateAnyone, size=500)


def test_the_program_sees_everybody_without_loss(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 3, tmp_path)
    animate(AnimateAnyone, case, keep=True)
    seen = np.stack(list(open_frames(tmp_path / "work" / "a" / "inputs" / "poses.mp4").read()))
    np.testing.assert_array_equal(seen, np.stack(list(pose_drawings(two_people(case, 512)))))
    assert seen[:, :256, :256].any((1, 2, 3)).all()
    assert seen[:, 256:, 256:].any((1, 2, 3)).all()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"drop_frames": 1}, "2 frames, expected 3"),
        ({"tiles": 2}, "1030 x 516, expected 1544 x 516"),
        ({"torn": True}, "cannot be read"),
    ],
)
def test_a_video_that_is_not_the_clip_is_refused(
    checkout: Path, tmp_path: Path, fault: dict[str, object], told: str
) -> None:
    (checkout / "fault").write_text(json.dumps(fault))
    with pytest.raises(MethodError, match=f"animateanyone', clip 'a': .*{told}"):
        animate(AnimateAnyone, block_case("a", 3, tmp_path))


def test_two_videos_are_not_chosen_from(checkout: Path, tmp_path: Path) -> None:
    for time in ("1200", "1201"):
        folder = tmp_path / "outputs" / "output" / "20240101" / f"{time}--seed_0-512x512"
        folder.mkdir(parents=True)
        (folder / f"reference_poses_512x512_3_{time}.mp4").touch()
    with pytest.raises(OutputError, match="wrote 2 videos"):
        list(make(AnimateAnyone).collect(block_case("a", 2), tmp_path))


def test_a_video_of_an_older_run_is_not_taken(checkout: Path, tmp_path: Path) -> None:
    animate(AnimateAnyone, block_case("a", 2, tmp_path, seed=1))
    (checkout / "fault").write_text(json.dumps({"nothing": True}))
    with pytest.raises(MethodError, match="wrote no videos"):
        animate(AnimateAnyone, block_case("a", 2, tmp_path, seed=2))


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_program_is_not_started_without_all_its_weights(checkout: Path, tmp_path: Path, name: str) -> None:
    """It goes on without its motion module where that is missing."""
    (tmp_path / "weights" / "checkpoints" / name).unlink()
    with pytest.raises(MethodError, match=f"holds no {name}; get it from"):
        animate(AnimateAnyone, block_case("a", 2, tmp_path))
    assert not (checkout / "starts").exists()


def test_the_note_says_whose_model_it_is(checkout: Path) -> None:
    assert "Moore Threads" in (make(AnimateAnyone).note or "")
