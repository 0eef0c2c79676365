"""One step: the null condition, who learns and who does not, and what the loss weighs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import mini_config, shake
from torch import Tensor

from fypv2.model.build import build_parts
from fypv2.training.config import TrainConfig
from fypv2.training.module import AnimationStep, build_step

BATCH, FRAMES, SIDE = 2, 2, 64


def a_config(**changes: Any) -> TrainConfig:
    plan = {"stage": 1, "steps": 1, "batch": 2, "frames": FRAMES, "learning_rate": 1e-3, **changes}
    return TrainConfig.model_validate(plan)


def a_step(**changes: Any) -> AnimationStep:
    config = a_config(**changes)
    model = mini_config()
    parts = build_parts(model, motion=False)
    for part in parts.values():
        shake(part)
    return build_step(config, model, parts)


def a_batch(referenced: tuple[bool, ...] = (True, False)) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    latents = (BATCH, 4, FRAMES, 8, 8)
    picture = (BATCH, 3, FRAMES, SIDE, SIDE)
    return {
        "latents": torch.randn(latents, generator=random),
        "noise": torch.randn(latents, generator=random),
        "reference_latents": torch.randn((BATCH, 4, 8, 8), generator=random),
        "token": torch.randn((BATCH, 1, 16), generator=random),
        "prompt": torch.randn((BATCH, 3, 16, 16), generator=random),
        "timesteps": torch.tensor([20, 700]),
        "referenced": torch.tensor(referenced),
        "pose": torch.rand(picture, generator=random),
        "flow": torch.rand(picture, generator=random),
        "depth": torch.rand(picture, generator=random),
        "reference_pose": torch.rand((BATCH, 3, 1, SIDE, SIDE), generator=random),
        "characters": (torch.rand((BATCH, FRAMES, SIDE, SIDE), generator=random) > 0.8).float(),
    }


def test_the_null_condition_is_samplings_own() -> None:
    step, batch = a_step(min_snr_gamma=None), a_batch((False, False))
    denoiser = step.denoiser
    # What the pipeline asks for without guidance: a zero token, and a reference that is not read.
    with torch.no_grad():
        noisy = step.objective.noised(batch["latents"], batch["noise"], batch["timesteps"])
        null = denoiser(
            noisy,
            batch["timesteps"],
            torch.zeros_like(batch["token"]),
            None,
            denoiser.guide({name: batch[name] for name in denoiser.guiders}),
        )
        target = step.objective.target(batch["latents"], batch["noise"], batch["timesteps"])
        assert float(step(batch)) == pytest.approx(float(((null - target) ** 2).mean()), rel=1e-6)
        other = {**batch, "reference_latents": batch["reference_latents"] + 1, "token": batch["token"] + 1}
        assert float(step(other)) == float(step(batch))
        seen = {**other, "referenced": torch.tensor([True, True])}
        assert float(step(seen)) != float(step({**batch, "referenced": torch.tensor([True, True])}))


def test_a_sample_keeps_its_loss_whatever_stands_beside_it() -> None:
    step, batch = a_step(), a_batch((True, False))
    with torch.no_grad():
        both = float(step(batch))
        alone = [float(step({name: value[i : i + 1] for name, value in batch.items()})) for i in range(BATCH)]
    assert both == pytest.approx(sum(alone) / BATCH, rel=1e-5)


@pytest.mark.parametrize("referenced", [(True, True), (False, False)], ids=["seen", "all dropped"])
@pytest.mark.parametrize("stage", [1, 2])
def test_everything_that_learns_gets_a_gradient_in_every_step(stage: int, referenced: tuple[bool, bool]) -> None:
    """Data parallel training waits for all of them; one without would stop it."""
    trains = ["unet", "reference_unet", "guiders", "image_encoder", *(["motion"] if stage == 2 else [])]
    step = a_step(stage=stage, trains=trains)
    step(a_batch(referenced)).backward()
    without = [name for name, one in step.named_parameters() if one.requires_grad and one.grad is None]
    assert without == []
    learn = {name for name, one in step.named_parameters() if one.requires_grad}
    assert any("motion_modules" in name for name in learn) == (stage == 2)


def test_only_what_the_config_names_learns() -> None:
    step = a_step(stage=2, trains=["motion"])
    learn = {name for name, one in step.named_parameters() if one.requires_grad}
    assert learn
    assert all("motion_modules" in name for name in learn)


def test_checkpointing_changes_no_gradient() -> None:
    plain, saving = a_step(), a_step(gradient_checkpointing=True)
    for step in (plain, saving):
        step(a_batch()).backward()
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        if one.grad is not None:
            assert torch.allclose(one.grad, other.grad, atol=1e-6), name


def test_characters_weigh_more_and_the_whole_the_same() -> None:
    batch = a_batch((True, True))
    plain, weighted = a_step(), a_step(character_weight=4.0)
    weights = weighted._over_characters(batch["characters"], batch["latents"])
    assert torch.allclose(weights.mean(dim=(1, 2, 3, 4)), torch.ones(BATCH))
    share = torch.nn.functional.avg_pool2d(batch["characters"], 8)[:, None]
    expected = 1 + 3 * share
    assert torch.allclose(weights, expected / expected.mean(dim=(1, 2, 3, 4), keepdim=True))
    empty = {**batch, "characters": torch.zeros_like(batch["characters"])}
    with torch.no_grad():
        assert float(weighted(empty)) == pytest.approx(float(plain(empty)), rel=1e-6)
        assert float(weighted(batch)) != pytest.approx(float(plain(batch)), rel=1e-6)


def test_left_out_guiders_are_not_asked(tmp_path: Path) -> None:
    model = mini_config(use_flow=False)
    step = build_step(a_config(), model, build_parts(model, motion=False))
    batch = {name: value for name, value in a_batch().items() if name != "flow"}
    assert torch.isfinite(step(batch))
