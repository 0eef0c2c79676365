"""The reference model as a method of mcbench."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import SIDE, mini_config, picture, walk

from fypv2.checkpoint import fresh_pipeline, save_pipeline
from fypv2.config import STARTING_REPORT
from fypv2.errors import CheckpointError, PipelineError
from fypv2.extractors import ExtractorRecord, save_poses, write_openpose_json
from fypv2.memory import in_memory, make_pipeline
from fypv2.method import FollowYourPoseV2
from mcbench import (
    PROTOCOLS,
    Case,
    DrivingPoses,
    MethodError,
    ReferenceAnnotations,
    evaluate,
    load_dataset,
    load_method,
    open_frames,
    write_frames,
)
from mcbench.cases import make_case


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "mini"
    pipeline = fresh_pipeline(mini_config(), seed=6)
    for guider in pipeline.denoiser.guiders.values():
        torch.nn.init.normal_(guider.conv_out.weight, std=0.5, generator=torch.Generator().manual_seed(2))
    save_pipeline(pipeline, folder)
    return folder


def case(seed: int = 0, frames: int = 2, **changes: Any) -> Case:
    poses = walk(frames)
    seen = np.full(poses.body_scores.shape, 2, np.uint8)
    annotations = ReferenceAnnotations(
        keypoints=poses.body[0],
        visibility=seen[0],
        mask=np.zeros((SIDE, SIDE), np.uint8),
        depth=np.full((SIDE, SIDE), 3.0, np.float32),
    )
    given: dict[str, Any] = {
        "clip": "a",
        "frames": frames,
        "fps": 25.0,
        "size": (SIDE, SIDE),
        "seed": seed,
        "reference": picture(),
        "poses": DrivingPoses(poses.body, seen),
        "reference_annotations": annotations,
    }
    return Case(**given | changes)


def frames_of(method: FollowYourPoseV2, given: Case) -> np.ndarray:
    return np.stack(list(method.animate(given)))


def made(checkpoint: Path | None, **settings: str) -> Any:
    return load_method("fypv2", settings=settings, checkpoint=checkpoint)


def test_it_is_registered_and_takes_a_checkpoint(checkpoint: Path) -> None:
    method = made(checkpoint)
    assert isinstance(method, FollowYourPoseV2)
    assert method.note is None
    assert method.checkpoint_sha256 is not None
    frames = frames_of(method, case())
    assert frames.shape == (2, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8


def test_the_case_s_seed_decides(checkpoint: Path) -> None:
    method = made(checkpoint)
    assert np.array_equal(frames_of(method, case(seed=1)), frames_of(method, case(seed=1)))
    assert not np.array_equal(frames_of(method, case(seed=1)), frames_of(method, case(seed=2)))


@pytest.mark.parametrize("setting", [{"steps": "1"}, {"guidance": "2.5"}, {"height": "72", "width": "72"}])
def test_settings_reach_the_pipeline(checkpoint: Path, setting: dict[str, str]) -> None:
    plain, changed = frames_of(made(checkpoint), case()), frames_of(made(checkpoint, **setting), case())
    assert changed.shape != plain.shape or not np.array_equal(changed, plain)


def test_settings_that_save_memory_keep_the_frames(checkpoint: Path) -> None:
    plain = frames_of(made(checkpoint), case()).astype(int)
    sliced = frames_of(made(checkpoint, attention_slices="4"), case())
    assert np.abs(sliced - plain).max() <= 1


def test_someone_who_is_not_in_the_reference_is_left_out(checkpoint: Path) -> None:
    """A character that enters later has no appearance to take; the others are animated all the same."""
    given = case()
    annotations = given.reference_annotations
    assert annotations is not None
    absent = annotations.visibility.copy()
    absent[1] = 0
    alone = case(
        reference_annotations=ReferenceAnnotations(annotations.keypoints, absent, annotations.mask, annotations.depth)
    )
    method = made(checkpoint)
    assert not np.array_equal(frames_of(method, alone), frames_of(method, given))


def test_a_clip_without_poses_is_an_error_that_says_what_to_do(checkpoint: Path) -> None:
    with pytest.raises(MethodError, match="no exact poses"):
        frames_of(made(checkpoint), case(poses=None))


def test_poses_from_a_folder_stand_in_for_annotations(checkpoint: Path, tmp_path: Path) -> None:
    poses = walk(3)
    bare = case(poses=None, reference_annotations=None)
    save_poses(poses, tmp_path / "a.safetensors")
    saved = frames_of(made(checkpoint, poses=str(tmp_path)), bare)
    (tmp_path / "json").mkdir()
    write_openpose_json(poses, tmp_path / "json" / "a")
    assert np.abs(frames_of(made(checkpoint, poses=str(tmp_path / "json")), bare).astype(int) - saved).max() <= 1
    save_poses(walk(1, seed=5), tmp_path / "a-reference.safetensors")
    assert not np.array_equal(frames_of(made(checkpoint, poses=str(tmp_path)), bare), saved)


def test_too_few_poses_are_an_error(checkpoint: Path, tmp_path: Path) -> None:
    save_poses(walk(1), tmp_path / "a.safetensors")
    with pytest.raises(MethodError, match="poses of 1 frames, clip 'a' has 2"):
        frames_of(made(checkpoint, poses=str(tmp_path)), case(poses=None))
    with pytest.raises(MethodError, match=r"no poses of clip 'b'"):
        frames_of(made(checkpoint, poses=str(tmp_path)), case(poses=None, clip="b"))


def test_without_a_checkpoint_it_says_that_nothing_was_trained() -> None:
    note = made(None, fresh="true").note
    assert note is not None
    assert "WITHOUT TRAINING" in note
    assert "'tiny'" in note


def test_starting_weights_are_no_trained_model(checkpoint: Path, tmp_path: Path) -> None:
    start = shutil.copytree(checkpoint, tmp_path / "start")
    (start / STARTING_REPORT).write_text("{}")
    assert "WITHOUT TRAINING" in (made(start).note or "")


def test_poses_that_are_named_count_before_annotations(checkpoint: Path, tmp_path: Path) -> None:
    exact = frames_of(made(checkpoint), case())
    save_poses(walk(2, seed=5), tmp_path / "a.safetensors")
    assert not np.array_equal(frames_of(made(checkpoint, poses=str(tmp_path)), case()), exact)
    with pytest.raises(MethodError, match="no poses of clip 'a'"):
        frames_of(made(checkpoint, poses=str(tmp_path / "nowhere")), case())


def test_the_note_stands_in_the_result(tmp_path: Path, fake_networks: Any) -> None:
    """The whole way: the default config, drawn weights, a synthetic clip, a result."""
    result = evaluate(
        made(None, steps="1", fresh="true"),
        load_dataset("synthetic-mini", clips=1, frames=1),
        protocols=[PROTOCOLS["disco-legacy@1"]],
        out=tmp_path / "run",
    )
    assert result is not None
    assert result.method.note == made(None, fresh="true").note
    assert json.loads((tmp_path / "run" / "result.json").read_text())["method"]["note"] == result.method.note


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "Other"}))
    with pytest.raises(CheckpointError, match="Other"):
        frames_of(made(tmp_path), case())


def test_offload_needs_a_gpu(checkpoint: Path) -> None:
    with pytest.raises(PipelineError, match="leave it out"):
        make_pipeline(checkpoint, offload="model")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_names_the_switches(error: Exception) -> None:
    with pytest.raises(PipelineError, match="attention_slices=4") as fault, in_memory("clip 'a'"):
        raise error
    assert "\n" not in str(fault.value)


def test_other_faults_are_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="shape"), in_memory("clip 'a'"):
        raise RuntimeError("shape")


class _Found:
    """In place of DWPose: finds the poses of `walk`, and keeps what it was shown."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.record = ExtractorRecord("found", {})

    def poses(self, frames: Any, *, characters: int | None = None) -> Any:
        self.frames.append(len(list(frames)))
        return walk(self.frames[-1])


def test_poses_are_found_in_the_driving_video(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _Found()
    monkeypatch.setattr("fypv2.extractors.driving._made", lambda device: found)
    write_frames(tmp_path / "video", np.stack([picture(seed) for seed in range(3)]))
    bare = case(poses=None, reference_annotations=None, driving_video=open_frames(tmp_path / "video"))
    frames = frames_of(made(checkpoint, poses="dwpose", steps="1"), bare)
    assert sorted(found.frames) == [1, 2]
    save_poses(walk(2), tmp_path / "poses" / "a.safetensors")
    save_poses(walk(1), tmp_path / "poses" / "a-reference.safetensors")
    assert np.array_equal(frames, frames_of(made(checkpoint, poses=str(tmp_path / "poses"), steps="1"), bare))
    assert np.array_equal(frames, frames_of(made(checkpoint, poses="dwpose", steps="1"), bare))
    assert sorted(found.frames) == [1, 2]


def test_poses_can_be_found_only_in_a_driving_video(checkpoint: Path) -> None:
    assert FollowYourPoseV2.needs_driving_video
    assert not FollowYourPoseV2.needs_truth
    with pytest.raises(MethodError, match=r"clip 'a' has no driving video .* --set poses=DIR"):
        frames_of(made(checkpoint, poses="dwpose"), case(poses=None))


def test_changed_pose_files_are_another_case(tmp_path: Path) -> None:
    """A run that is taken up makes the clip's frames anew, and those of no other clip."""
    poses = tmp_path / "poses"
    poses.mkdir()
    method = made(None, poses=str(poses), fresh="true")
    dataset = load_dataset("synthetic-mini", clips=2, frames=1)
    cases = [make_case(clip, 0, with_truth=False) for clip in dataset.clips]
    (poses / f"{cases[0].clip}.json").write_text("[1]")
    before = [method.case_digest(case) for case in cases]
    (poses / f"{cases[0].clip}.json").write_text("[2]")
    after = [method.case_digest(case) for case in cases]
    assert after[0] != before[0]
    assert after[1] == before[1]
    (poses / f"{cases[1].clip}-reference.json").write_text("[3]")
    assert method.case_digest(cases[1]) != before[1]
