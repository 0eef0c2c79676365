"""The pipeline: what decides the frames, how long clips are joined, and what is refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from PIL import Image
from small_models import SIDE, mini_config, picture, shake, walk
from torch import nn

from fypv2.checkpoint import fresh_pipeline
from fypv2.conditions import Poses
from fypv2.errors import PipelineError
from fypv2.model.build import build_parts
from fypv2.pipeline import FollowYourPosePipeline
from mcbench import UserError


@cache
def mini() -> FollowYourPosePipeline:
    """One mini model, every part of it awake."""
    pipeline = fresh_pipeline(mini_config(), seed=1)
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and name not in ("vae", "image_encoder"):
            shake(part, scale=0.5)
    for guider in pipeline.denoiser.guiders.values():
        nn.init.normal_(guider.conv_out.weight, std=0.5, generator=torch.Generator().manual_seed(2))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def animate(frames: int = 3, seed: int = 0, **arguments: Any) -> Any:
    given: dict[str, Any] = {"reference": picture(), "poses": walk(frames), "reference_poses": walk(1)} | arguments
    return mini()(**given, generator=torch.Generator().manual_seed(seed)).frames


def test_the_seed_decides_the_frames() -> None:
    first = animate(seed=0)
    assert first.shape == (3, SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, animate(seed=0))
    assert not np.array_equal(first, animate(seed=1))


@pytest.mark.parametrize(
    "change",
    [
        {"reference": picture(1)},
        {"poses": walk(3, seed=1)},
        {"reference_poses": walk(1, seed=1)},
        {"guidance_scale": 3.0},
        {"num_inference_steps": 2},
        {"eta": 1.0},
        {"assignment": [1, 0]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_given_counts(change: dict[str, Any]) -> None:
    assert not np.array_equal(animate(**change), animate())


def test_the_reference_counts_only_through_guidance_s_second_half() -> None:
    """With a weight of 0 the estimate is the one without reference: its picture must not matter."""

    def unguided(seed: int) -> np.ndarray:
        # guidance <= 1 skips the null pass, so 0 is reached from the other side: w = 1 + 1e-9 weighs both passes.
        return np.asarray(animate(reference=picture(seed), guidance_scale=1.0))

    assert not np.array_equal(unguided(0), unguided(1))


def test_guidance_of_one_equals_the_conditional_pass() -> None:
    near = animate(guidance_scale=1.0 + 1e-6).astype(int)
    assert np.abs(near - animate(guidance_scale=1.0)).max() <= 1


def test_a_clip_s_length_does_not_change_its_noise() -> None:
    generator = [torch.Generator().manual_seed(4) for _ in range(2)]
    short, long = (
        mini()._start((1, 4, frames, 8, 8), g, None, torch.float32) for frames, g in zip((5, 9), generator, strict=True)
    )
    assert torch.equal(short, long[:, :, :5])


def test_long_clips_join_without_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a model whose answer is known to differ from window to window, the join is no rougher than the inside."""
    calls = 0

    def estimate(noisy: torch.Tensor, *_: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        drift = torch.linspace(0, 0.25 * (noisy.shape[2] - 1), noisy.shape[2])  # 0.25 a frame within a window
        return (calls + drift)[None, None, :, None, None].expand_as(noisy)  # and 1 more in each window

    monkeypatch.setattr(mini(), "_estimate", estimate)
    latents = animate(
        frames=40,
        num_inference_steps=1,
        window=16,
        overlap=4,
        output_type="latent",
        latents=torch.zeros(1, 4, 40, 8, 8),
    )
    values = latents[0, 0, :, 0, 0]
    assert calls == 3
    steps = values.diff().abs()
    inside = float(steps[1])
    # Three windows, each 1 above the last but 12 frames of 0.25 ahead: joined linearly, no step passes 0.25 + 1 / 4.
    assert float(steps.max()) <= inside * (1 + (3 - 1) / 4 / 0.25) + 1e-5


def test_windows_of_one_clip_agree_with_one_window() -> None:
    """A clip of one window does not depend on how windows are shared."""
    assert np.array_equal(animate(frames=4, window=16, overlap=4), animate(frames=4, window=8, overlap=2))


def test_output_types_are_the_same_frames() -> None:
    arrays = animate()
    images = animate(output_type="pil")
    tensors = animate(output_type="pt")
    assert all(np.array_equal(np.asarray(image), array) for image, array in zip(images, arrays, strict=True))
    assert np.array_equal((tensors * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), arrays)
    latent = animate(output_type="latent")
    assert np.array_equal(
        (mini().decode_latents(latent) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), arrays
    )


def test_a_pil_image_is_as_good_as_an_array() -> None:
    assert np.array_equal(animate(reference=Image.fromarray(picture())), animate())


def test_pictures_of_any_shape_are_cropped() -> None:
    wide = picture(height=SIDE, width=SIDE + 40)
    poses, reference = walk(3, size=(SIDE, SIDE + 40)), walk(1, size=(SIDE, SIDE + 40))
    shift = np.array([20, 0], np.float32)
    cropped = [Poses(p.body - shift, p.body_scores, (SIDE, SIDE)) for p in (poses, reference)]
    whole = animate(reference=wide, poses=poses, reference_poses=reference)
    part = animate(reference=wide[:, 20:-20], poses=cropped[0], reference_poses=cropped[1])
    assert np.abs(whole.astype(int) - part).max() <= 1


def test_callbacks_see_and_change_every_step() -> None:
    seen = []

    def watch(pipe: Any, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, timestep))
        return {"latents": torch.zeros_like(tensors["latents"])}

    frames = animate(callback_on_step_end=watch)
    assert [step for step, _ in seen] == [0, 1, 2]
    assert [time for _, time in seen] == sorted((time for _, time in seen), reverse=True)
    assert np.abs(frames.astype(int) - frames[:1]).max() <= 1  # latents of zeros decode to one picture


def test_memory_switches_keep_the_frames() -> None:
    plain = animate().astype(int)
    pipeline = mini()
    try:
        pipeline.enable_attention_slicing("max")
        pipeline.vae.enable_slicing()
        assert np.abs(animate() - plain).max() <= 1
    finally:
        pipeline.disable_attention_slicing()
        pipeline.vae.disable_slicing()


def twin() -> FollowYourPosePipeline:
    """A model of its own with the weights of `mini`."""
    pipeline = fresh_pipeline(mini_config(), seed=1)
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module):
            part.load_state_dict(mini().components[name].state_dict())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def animate_with(pipeline: FollowYourPosePipeline, **arguments: Any) -> np.ndarray:
    made = pipeline(picture(), walk(3), walk(1), generator=torch.Generator().manual_seed(0), **arguments)
    return np.asarray(made.frames)


def test_model_offloading_keeps_the_frames() -> None:
    """Its hooks hand each part copies of its arguments; here they work with the CPU in the place of the GPU."""
    pipeline = twin()
    pipeline.enable_model_cpu_offload(device="cpu")
    assert np.array_equal(animate_with(pipeline), animate())


def test_sequential_offloading_keeps_the_frames() -> None:
    pipeline = twin()
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):  # as `enable_sequential_cpu_offload` does, which refuses a CPU
            cpu_offload(part, torch.device("cpu"), offload_buffers=len(part._parameters) > 0)
    assert {p.device.type for p in pipeline.unet.parameters()} == {"meta"}
    assert np.array_equal(animate_with(pipeline), animate())


def test_an_exchanged_part_is_the_one_that_runs() -> None:
    pipeline, plain = twin(), animate()
    assert np.array_equal(animate_with(pipeline), plain)
    pipeline.unet = shake(build_parts(mini_config(), seed=8)["unet"])
    assert pipeline.denoiser.unet is pipeline.unet
    assert not np.array_equal(animate_with(pipeline), plain)


@pytest.mark.slow
def test_a_compiled_denoiser_is_one_graph_of_the_same_frames() -> None:
    pipeline = twin()
    pipeline.unet = torch.compile(pipeline.unet, backend="eager", fullgraph=True)
    assert pipeline.denoiser.has_motion
    assert np.array_equal(animate_with(pipeline, num_inference_steps=2), animate(num_inference_steps=2))


@pytest.mark.parametrize(("frames", "window", "overlap"), [(1, 16, 4), (7, 3, 1), (9, 4, 3)])
def test_a_chance_in_every_step_keeps_the_numbers_finite(frames: int, window: int, overlap: int) -> None:
    latents = animate(frames, eta=1.0, num_inference_steps=2, window=window, overlap=overlap, output_type="latent")
    assert latents.shape == (1, 4, frames, 8, 8)
    assert 0.1 < float(latents.std()) < 10


def test_numbers_that_are_not_finite_are_no_frames() -> None:
    pipeline = twin()
    nn.init.constant_(pipeline.unet.conv_out.bias, torch.inf)
    with pytest.raises(PipelineError, match="not finite"):
        animate_with(pipeline)


def test_half_precision_stays_near() -> None:
    half = twin().to(torch.bfloat16)
    assert np.abs(animate_with(half) - animate().astype(int)).mean() < 12


@pytest.mark.parametrize("missing", ["use_flow", "use_depth", "use_reference_pose"])
def test_each_guider_can_be_switched_off(missing: str) -> None:
    pipeline = fresh_pipeline(mini_config(**{missing: False}))
    pipeline.set_progress_bar_config(disable=True)
    assert len(pipeline.denoiser.guiders) == 3
    frames = pipeline(picture(), walk(2), walk(1), generator=torch.Generator().manual_seed(0)).frames
    assert frames.shape == (2, SIDE, SIDE, 3)


def test_a_stage_1_model_animates_frame_by_frame() -> None:
    pipeline = fresh_pipeline(mini_config(), motion=False)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    clip = pipeline(picture(), walk(3), walk(1), latents=noise).frames
    one = pipeline(picture(), walk(3).frame(1), walk(1), latents=noise[:, :, 1:2]).frames
    assert np.abs(clip[1].astype(int) - one[0]).max() <= 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height": 60}, "multiples of 8"),
        ({"width": 4}, "multiples of 8"),
        ({"num_inference_steps": 0}, "at least one"),
        ({"num_inference_steps": 1001}, "1000 are all"),
        ({"guidance_scale": float("inf")}, "finite"),
        ({"eta": 1.5}, "0 to 1"),
        ({"window": 33}, "1 to 32"),
        ({"window": 8, "overlap": 8}, "cannot share"),
        ({"output_type": "gif"}, "np, pil, pt and latent"),
        ({"reference_poses": None}, "no poses of the reference"),
        ({"reference_poses": walk(1, size=(32, 32))}, "(height, width)"),
        ({"latents": torch.zeros(1, 4, 2, 8, 8)}, "this clip needs"),
        ({"poses": walk(3, characters=3)}, "assign"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_in_one_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as fault:
        animate(**change)
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)


def test_sizes_are_refused_as_this_package_s_fault() -> None:
    with pytest.raises(PipelineError, match="the nearest is 64 x 64"):
        animate(height=61)
