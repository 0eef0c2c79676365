"""The VAE's training: its loss, and the scale of what it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import mini_config
from training_runs import run

from fypv2.checkpoint import load_pipeline
from fypv2.model.build import build_parts
from fypv2.training.latents import encode_pictures
from fypv2.training.shards import open_shards
from fypv2.training.vae import VaeStep, contrast_difference, gradient_difference, measure_scale


def test_the_gradient_difference_is_zero_for_another_brightness_and_large_for_a_blur() -> None:
    truth = torch.zeros(1, 3, 32, 32)
    truth[..., 16:] = 1
    assert float(gradient_difference(truth + 0.5, truth)) == 0
    blurred = torch.nn.functional.avg_pool2d(truth, 9, stride=1, padding=4, count_include_pad=False)
    # By hand for the finest scale alone: one edge of height 1 in 31 differences, against nothing.
    assert float(gradient_difference(torch.zeros_like(truth), truth, scales=1)) == pytest.approx(1 / 31)
    assert float(gradient_difference(blurred, truth)) > 0.01


def test_contrast_asks_how_strong_edges_are_and_not_where_they_lie() -> None:
    bars = (torch.arange(65) // 4 % 2).float() * 2 - 1
    truth = bars.expand(1, 3, 65, 65)
    shifted = bars.roll(1).expand(1, 3, 65, 65)
    faded = (truth + shifted) / 2
    l1 = torch.nn.functional.l1_loss
    assert l1(faded, truth) < l1(shifted, truth)  # which is why L1 fades
    faded_by, shifted_by = (float(contrast_difference(one, truth, scales=1)) for one in (faded, shifted))
    assert faded_by > 4 * shifted_by
    assert float(contrast_difference(truth, truth)) == 0
    assert float(contrast_difference(truth + 0.1, truth)) == pytest.approx(0, abs=1e-6)
    # By hand for the finest scale: stripes of one pixel, +-a, have the contrast 2a in every patch.
    stripes = torch.ones(1, 3, 33, 33)
    stripes[..., 1::2] = -1
    assert float(contrast_difference(0.25 * stripes, stripes, scales=1)) == pytest.approx(1.5, rel=1e-5)


def test_even_pictures_have_a_finite_slope() -> None:
    even = torch.zeros(1, 3, 64, 64, requires_grad=True)
    contrast_difference(even, torch.rand(1, 3, 64, 64)).backward()
    assert even.grad is not None
    assert bool(even.grad.isfinite().all())


def test_the_divergence_is_that_of_normal_distributions() -> None:
    vae = build_parts(mini_config())["vae"]
    batch = {"pixels": torch.randint(0, 256, (1, 2, 3, 64, 64), dtype=torch.uint8), "noise": torch.zeros(1, 2, 4, 8, 8)}
    with torch.no_grad():
        posterior = vae.encode(batch["pixels"][0].float() / 127.5 - 1).latent_dist
        normal = torch.distributions.Normal
        expected = torch.distributions.kl_divergence(normal(posterior.mean, posterior.std), normal(0.0, 1.0)).mean()
        with_divergence, without = (float(VaeStep(vae, weight, 0.0)(batch)) for weight in (1.0, 0.0))
    assert with_divergence - without == pytest.approx(float(expected), rel=1e-4)


def test_a_trained_vae_is_saved_with_the_scale_of_its_latents(shards: Path, tmp_path: Path) -> None:
    lines = run(tmp_path, shards, stage="vae", steps=12, batch=4, learning_rate=3e-3, ema=0.5, gradient_weight=1.0)
    assert lines[-1]["loss"] < lines[0]["loss"]
    pipeline = load_pipeline(tmp_path / "run/model")
    scale = pipeline.vae.config.scaling_factor
    assert scale == pipeline.model_config.vae["scaling_factor"] != 1.0
    source = open_shards(shards)
    frames = np.concatenate([source.read(i).frames for i in range(len(source))])
    latents = encode_pictures(pipeline.vae, torch.from_numpy(frames).permute(0, 3, 1, 2))
    assert float((latents * scale).std()) == pytest.approx(1, rel=0.05)


def test_the_decoder_alone_is_trained_and_all_else_kept(shards: Path, tmp_path: Path) -> None:
    run(tmp_path / "two", shards, stage=2, frames=4, steps=1)
    start = tmp_path / "two/run/model"
    lines = run(
        tmp_path, shards, stage="decoder", start=str(start), steps=12, batch=4, learning_rate=3e-3, ema=0.5,
        gradient_weight=1.0, contrast_weight=1.0,
    )  # fmt: skip
    assert lines[-1]["loss"] < lines[0]["loss"]
    before, after = load_pipeline(start), load_pipeline(tmp_path / "run/model")
    assert before.model_config == after.model_config  # the scale of the latents too
    changed = set()
    for name, part in before.components.items():
        if isinstance(part, torch.nn.Module):
            other = after.components[name].state_dict()
            changed |= {f"{name}.{key}" for key, value in part.state_dict().items() if not value.equal(other[key])}
    assert changed
    assert {".".join(key.split(".")[:2]) for key in changed} <= {"vae.decoder", "vae.post_quant_conv"}


def test_the_scale_is_of_all_numbers_together() -> None:
    vae = build_parts(mini_config())["vae"]
    pixels = torch.randint(0, 256, (6, 1, 3, 64, 64), dtype=torch.uint8)
    apart = measure_scale(vae, ({"pixels": part} for part in pixels.split(2)))
    assert apart == pytest.approx(1 / float(encode_pictures(vae, pixels[:, 0]).double().std(correction=0)), rel=1e-6)
