"""From clips to samples: the order, the frames, the mirror, and data that was prepared beforehand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import mini_config
from training_runs import CLIPS, FRAMES, SIDE, configured

from fypv2.conditions import draw_skeletons
from fypv2.model.build import build_feature_extractor, build_parts
from fypv2.training.clips import AffineFlow, DenseFlow
from fypv2.training.data import Samples, numbers_of
from fypv2.training.errors import TrainingError
from fypv2.training.latents import PreparedClips, clip_file, encode_pictures, prepare
from fypv2.training.samples import Choice, Chooser, mirrored, read_choice
from fypv2.training.shards import Shards, open_shards
from mcbench import KEYPOINT_NAMES

SIZE = (SIDE, SIDE)


@pytest.fixture(scope="module")
def source(shards: Path) -> Shards:
    return open_shards(shards)


@pytest.fixture(scope="module")
def prepared(source: Shards, tmp_path_factory: pytest.TempPathFactory) -> PreparedClips:
    model = mini_config()
    vae = build_parts(model)["vae"]
    place = prepare(source, vae, model, build_feature_extractor(model), SIZE, tmp_path_factory.mktemp("prepared"))
    return PreparedClips(place, SIZE, model.conditions.flow_scale)


def test_every_clip_comes_once_before_any_comes_again(source: Shards, tmp_path: Path, shards: Path) -> None:
    chooser = Chooser(source, configured(tmp_path, shards))
    rounds = [tuple(chooser.choose(n).clip for n in range(start, start + CLIPS)) for start in range(0, 40, CLIPS)]
    assert all(sorted(one) == list(range(CLIPS)) for one in rounds)
    assert len(set(rounds)) > 1


def test_a_sample_is_decided_by_the_seed_and_its_number(source: Shards, tmp_path: Path, shards: Path) -> None:
    one, again = (Chooser(source, configured(tmp_path, shards, seed=3)) for _ in range(2))
    other = Chooser(source, configured(tmp_path, shards, seed=4))
    backwards = [again.choose(n) for n in reversed(range(20))][::-1]
    assert [one.choose(n) for n in range(20)] == backwards
    assert [other.choose(n) for n in range(20)] != backwards


def test_the_reference_is_another_frame(source: Shards, tmp_path: Path, shards: Path) -> None:
    single = Chooser(source, configured(tmp_path, shards))
    assert all(choice.reference not in choice.frames for choice in map(single.choose, range(50)))
    window = Chooser(source, configured(tmp_path, shards, stage=2, frames=4, stride=(1, 3)))
    strides: Counter[int] = Counter()
    for choice in map(window.choose, range(200)):
        steps = set(np.diff(choice.frames).tolist())
        assert len(steps) == 1
        strides.update(steps)
        assert 0 <= choice.frames[0] <= choice.frames[-1] < FRAMES
        assert choice.frames[-1] - choice.frames[0] == FRAMES - 1 or not (
            choice.frames[0] <= choice.reference <= choice.frames[-1]
        )
    assert sorted(strides) == [1, 2, 3]


def test_clips_shorter_than_a_window_are_a_fault_of_the_user(source: Shards, tmp_path: Path, shards: Path) -> None:
    with pytest.raises(TrainingError, match=f"set frames={FRAMES}"):
        Chooser(source, configured(tmp_path, shards, stage=2, frames=FRAMES + 1))


def test_processes_share_a_step_without_changing_it(tmp_path: Path, shards: Path) -> None:
    config = configured(tmp_path, shards, batch=8, micro_batch=2)
    for step in (0, 7):
        for world in (1, 2, 4):
            parts = [numbers_of(step, config, rank, world) for rank in range(world)]
            assert all(len(numbers) == 2 for passes in parts for numbers in passes)
            flat = [number for passes in parts for numbers in passes for number in numbers]
            assert sorted(flat) == list(range(step * 8, step * 8 + 8))


def test_a_mirrored_clip_has_its_sides_exchanged(source: Shards) -> None:
    clip = source.read(0)
    flipped = mirrored(clip)
    for name in KEYPOINT_NAMES:
        other = name.replace("left", "?").replace("right", "left").replace("?", "right")
        here, there = KEYPOINT_NAMES.index(name), KEYPOINT_NAMES.index(other)
        assert np.allclose(flipped.poses.body[:, :, here, 0], SIDE - 1 - clip.poses.body[:, :, there, 0])
        assert np.array_equal(flipped.poses.body[:, :, here, 1], clip.poses.body[:, :, there, 1])
        assert np.array_equal(flipped.poses.body_scores[:, :, here], clip.poses.body_scores[:, :, there])
    assert np.array_equal(flipped.frames[:, :, 0], clip.frames[:, :, -1])
    twice = mirrored(flipped)
    assert np.array_equal(twice.frames, clip.frames)
    assert np.allclose(twice.poses.body, clip.poses.body, atol=1e-4)


def test_the_mirrored_skeleton_lies_on_the_mirrored_figure(source: Shards) -> None:
    clip = source.read(1)
    drawn, flipped = draw_skeletons(clip.poses), draw_skeletons(mirrored(clip).poses)
    covered, mirror = drawn.any(-1)[:, :, ::-1], flipped.any(-1)
    assert (covered != mirror).mean() < 0.002
    # Colours say left and right, so that the picture in the mirror is another one.
    assert not np.array_equal(drawn[:, :, ::-1], flipped)


@pytest.mark.parametrize("kind", ["affine", "dense"])
def test_mirrored_flow_is_the_flow_of_the_mirrored_video(source: Shards, kind: str) -> None:
    clip = source.read(0)
    assert isinstance(clip.flow, AffineFlow)
    motion = np.tile(np.array([[0.99, 0.02, 3.0], [-0.01, 1.02, -2.0]]), (FRAMES, 1, 1))
    flow: AffineFlow | DenseFlow = AffineFlow(motion, SIZE)
    if kind == "dense":
        flow = DenseFlow(np.stack([flow.dense(i) for i in range(FRAMES)]).astype(np.float16), SIZE)
    flipped = mirrored(replace(clip, flow=flow)).flow
    assert flipped is not None
    assert np.allclose(flipped.dense(2), flow.dense(2)[:, ::-1] * [-1, 1], atol=0.01)


def test_a_window_has_no_flow_in_its_first_frame_and_single_frames_have_their_own(source: Shards) -> None:
    frames = (2, 4, 6)
    whole = source.read(0).flow
    assert whole is not None
    window, _ = read_choice(source, Choice(0, 0, frames, 9, False), consecutive=True)
    assert window.flow is not None
    assert not window.flow.dense(0).any()
    assert np.allclose(window.flow.dense(1), whole.choose((2, 4)).dense(1), atol=1e-4)
    single, _ = read_choice(source, Choice(0, 0, (6, 2), 9, False), consecutive=False)
    assert single.flow is not None
    assert np.allclose(single.flow.dense(0), whole.dense(6), atol=1e-4)
    assert np.array_equal(single.frames[1], source.read(0).frames[2])


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("stage", [1, 2])
def test_what_was_prepared_is_what_would_be_drawn(
    source: Shards, prepared: PreparedClips, tmp_path: Path, shards: Path, stage: int, flipped: bool
) -> None:
    model, frames = mini_config(), (1, 4, 7)
    config = configured(tmp_path, shards, stage=stage, frames=3, stride=(3, 3))
    samples = Samples(source, config, model, build_feature_extractor(model))
    choice = Choice(0, 2, frames, 9, flipped)
    ready = prepared.read(choice, consecutive=stage == 2)
    drawn = samples.read(choice, consecutive=stage == 2)
    for name in ("pose", "depth", "reference_pose"):
        assert torch.equal(ready[name], drawn[name])
    assert torch.allclose(ready["flow"], drawn["flow"], atol=1e-3)
    assert torch.allclose(ready["characters"], drawn["characters"], atol=1 / 255)
    assert torch.allclose(ready["prompt"], drawn["prompt"], atol=0.03)  # resizing rounds to 8 bits, from either side
    vae = build_parts(model)["vae"]
    assert torch.allclose(
        ready["latents"], encode_pictures(vae, drawn["pixels"].transpose(0, 1)).transpose(0, 1), atol=2e-3
    )
    assert torch.allclose(
        ready["reference_latents"], encode_pictures(vae, drawn["reference_pixels"][None])[0], atol=2e-3
    )


def test_preparing_takes_up_where_it_was_stopped(source: Shards, prepared: PreparedClips) -> None:
    model = mini_config()
    gone = clip_file(prepared.folder, 1)
    whole = gone.read_bytes()
    others = {path: path.stat().st_mtime_ns for path in prepared.folder.glob("clip-*") if path != gone}
    gone.unlink()
    prepare(source, build_parts(model)["vae"], model, build_feature_extractor(model), SIZE, prepared.folder.parent)
    assert gone.read_bytes() == whole
    assert all(path.stat().st_mtime_ns == time for path, time in others.items())


def test_another_vae_has_its_own_prepared_data(source: Shards, prepared: PreparedClips) -> None:
    model = mini_config()
    other = build_parts(model, seed=9)["vae"]
    place = prepare(source, other, model, build_feature_extractor(model), SIZE, prepared.folder.parent)
    assert place != prepared.folder


def test_another_decoder_shares_the_prepared_data(source: Shards, prepared: PreparedClips) -> None:
    model = mini_config()
    vae = build_parts(model)["vae"]
    torch.nn.init.zeros_(vae.decoder.conv_out.weight)
    place = prepare(source, vae, model, build_feature_extractor(model), SIZE, prepared.folder.parent)
    assert place == prepared.folder


def test_damaged_prepared_data_is_named(source: Shards, prepared: PreparedClips) -> None:
    file = clip_file(prepared.folder, 3)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(TrainingError, match="clip-000003"):
            prepared.read(Choice(0, 3, (1,), 2, False), consecutive=False)
    finally:
        file.write_bytes(whole)
