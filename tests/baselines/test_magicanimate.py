"""MagicAnimate's adapter against a stand-in that speaks its command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from animation_cases import animate, block_case, block_parts, fake_densepose, flat, install, make, square, tree
from pydantic import ValidationError
from stand_ins.magicanimate import mark

from baselines.inputs import densepose_colours
from baselines.magicanimate import MagicAnimate
from mcbench import Case, MethodError, open_frames

TOLERANCE = 6.0
"""Grey levels: the program writes yuv420p at a constant rate factor of 25. Flat colours came back within 3.0."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("baselines.magicanimate.densepose", fake_densepose)
    return install(
        tmp_path,
        monkeypatch,
        "magicanimate",
        programs={"magicanimate/pipelines/animation.py": "magicanimate.py"},
        files=["configs/inference/inference.yaml=noise_scheduler_kwargs: {}"],
        weights={
            "checkpoints": [
                "appearance_encoder/config.json",
                "densepose_controlnet/config.json",
                "temporal_attention/temporal_attention.ckpt",
            ],
            "stable_diffusion": ["tokenizer/vocab.json", "text_encoder/config.json", "unet/config.json"],
            "vae": ["config.json"],
        },
    )


def meant(case: Case) -> list[npt.NDArray[np.uint8]]:
    """What the stand-in makes of a case: DensePose over the reference, with the mark of the seed and the frame."""
    frames = []
    for number in range(case.frames):
        part = block_parts(number).part
        frame = np.where(part[..., None] > 0, densepose_colours(part), square(case))
        frame[-64:, -64:] = mark(case.seed % 2**32, number)
        frames.append(frame)
    return frames


def starts(checkout: Path) -> int:
    return len((checkout / "starts").read_text().splitlines())


def assert_same(frames: list[npt.NDArray[np.uint8]], case: Case) -> None:
    assert [frame.shape for frame in frames] == [(512, 512, 3)] * case.frames
    assert np.abs(flat(frames) - flat(meant(case))).max() < TOLERANCE


def test_one_start_serves_clips_of_any_length_and_seed(checkout: Path, tmp_path: Path) -> None:
    cases = [
        block_case("a.b", 3, tmp_path, seed=1),
        block_case("dance/ü", 17, tmp_path, seed=2**32 + 5),
        block_case("c", 1, tmp_path),
    ]
    before = tree(checkout)
    for frames, case in zip(animate(MagicAnimate, *cases), cases, strict=True):
        assert_same(frames, case)
    assert starts(checkout) == 1
    assert tree(checkout) == before


def test_padding_that_is_left_is_cut(checkout: Path, tmp_path: Path) -> None:
    (checkout / "fault").write_text(json.dumps({"keep_padding": True}))
    case = block_case("a", 3, tmp_path)
    assert_same(animate(MagicAnimate, case)[0], case)


def test_the_program_sees_the_settings_and_densepose_without_loss(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 4, tmp_path)
    animate(MagicAnimate, case, steps=9, guidance_scale=2.5, keep=True)
    (config,) = (tmp_path / "work" / "a").rglob("animation.yaml")
    assert "steps: 9\nguidance_scale: 2.5\n" in config.read_text()
    (video,) = (tmp_path / "work" / "a" / "inputs").glob("*.mp4")
    seen = list(open_frames(video).read())
    assert len(seen) == 4
    for number, frame in enumerate(seen):
        np.testing.assert_array_equal(frame, densepose_colours(block_parts(number).part))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"drop_frames": 1}, "2 frames, expected 3 or 16"),
        ({"extra_frames": 3}, "6 frames, expected 3 or 16"),
        ({"size": 256}, "256 x 256, expected 512 x 512"),
    ],
)
def test_a_video_that_is_not_the_clip_is_refused(
    checkout: Path, tmp_path: Path, fault: dict[str, int], told: str
) -> None:
    (checkout / "fault").write_text(json.dumps(fault))
    with pytest.raises(MethodError, match=f"magicanimate', clip 'a': .*{told}"):
        animate(MagicAnimate, block_case("a", 3, tmp_path))


def test_a_batch_that_dies_keeps_what_it_made(checkout: Path, tmp_path: Path) -> None:
    cases = [block_case(name, 2, tmp_path) for name in "abc"]
    (checkout / "fault").write_text(json.dumps({"die_at_pair": 1}))
    with pytest.raises(MethodError, match=r"clip 'b'.*stand-in dies"):
        animate(MagicAnimate, *cases)
    (checkout / "fault").unlink()
    for frames, case in zip(animate(MagicAnimate, *cases), cases, strict=True):
        assert_same(frames, case)
    assert starts(checkout) == 2
    assert len(list((tmp_path / "work").glob("*/complete.json"))) == 3


def test_a_video_of_an_older_run_is_not_taken(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 2, tmp_path, seed=1)
    animate(MagicAnimate, case)
    (checkout / "fault").write_text(json.dumps({"skip_pair": 0}))
    with pytest.raises(MethodError, match="wrote no video"):
        animate(MagicAnimate, block_case("a", 2, tmp_path, seed=2))


def test_guidance_that_the_program_fails_at_is_refused(checkout: Path) -> None:
    with pytest.raises(ValidationError):
        make(MagicAnimate, guidance_scale=1)


def test_the_result_says_that_the_frames_went_through_a_video(checkout: Path) -> None:
    native = make(MagicAnimate).native
    assert native is not None
    assert (native.size, native.container, native.fps, native.driver) == ((512, 512), "mp4", 25.0, "densepose")
