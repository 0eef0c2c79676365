"""The configs make the networks whose sizes are published."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from small_models import mini_config

from fypv2.config import CONFIGS, ModelConfig, load_config
from fypv2.errors import ConfigError
from fypv2.model.build import PARTS, build_parts, build_scheduler, count_parameters
from fypv2.model.motion import motion_transformers

PUBLISHED = {
    # Stable Diffusion 1.5's U-Net, AnimateDiff's mm_sd_v15_v2, sd-vae-ft-mse, CLIP ViT-L/14 with its projection, and
    # ControlNet's condition embedding, as counted from their published files.
    "unet": 859_520_964,
    "motion": 453_209_280,
    "reference_unet": 859_520_964,
    "vae": 83_653_863,
    "image_encoder": 303_966_208,
    "pose_guider": 1_086_480,
    "flow_guider": 1_086_480,
    "depth_guider": 1_086_480,
    "reference_pose_guider": 1_086_480,
}


@pytest.fixture(scope="module")
def paper() -> dict[str, torch.nn.Module]:
    return build_parts(load_config("paper"), device="meta")


def test_the_paper_s_sizes(paper: dict[str, torch.nn.Module]) -> None:
    assert count_parameters(paper) == PUBLISHED


def test_the_page_says_how_large_they_are() -> None:
    page = (Path(__file__).parents[3] / "docs/model.md").read_text(encoding="utf-8")
    rows = {"denoising U-Net": "unet", "motion modules": "motion", "ReferenceNet": "reference_unet", "VAE": "vae"}
    rows |= {"image encoder": "image_encoder", "each guider": "flow_guider"}
    counts = [count_parameters(build_parts(load_config(name), device="meta")) for name in CONFIGS]
    for title, part in rows.items():
        assert f"| {title} | {' | '.join(f'{count[part]:,}' for count in counts)} |" in page


def test_nothing_of_the_paper_s_model_takes_memory(paper: dict[str, torch.nn.Module]) -> None:
    for part in paper.values():
        assert all(parameter.is_meta for parameter in part.parameters())


def test_the_motion_modules_are_where_animatediff_has_them(paper: dict[str, torch.nn.Module]) -> None:
    unet = paper["unet"]
    places = [name for name, module in unet.named_modules() if type(module).__name__ == "AnimateDiffTransformer3D"]
    assert sum(name.startswith("down_blocks") for name in places) == 8
    assert sum(name.startswith("mid_block") for name in places) == 1
    assert sum(name.startswith("up_blocks") for name in places) == 12
    assert {block.pos_embed.pe.shape[1] for m in motion_transformers(unet) for block in m.transformer_blocks} == {32}


def test_the_spatial_keys_are_stable_diffusion_s(paper: dict[str, torch.nn.Module]) -> None:
    spatial = {key for key in paper["unet"].state_dict() if "motion_modules" not in key}
    assert len(spatial) == 686
    assert spatial == set(paper["reference_unet"].state_dict())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_all_parts(name: str) -> None:
    parts = build_parts(load_config(name), device="meta")
    assert tuple(parts) == PARTS


def test_tiny_is_small_enough_to_ship() -> None:
    counts = count_parameters(build_parts(load_config("tiny"), device="meta"))
    assert sum(counts.values()) * 2 < 40e6  # bytes in float16


def test_the_seed_decides_the_weights() -> None:
    config = load_config("tiny")
    one, same, other = (build_parts(config, seed=seed)["pose_guider"] for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_schedule_ends_in_pure_noise() -> None:
    # Zero terminal signal-to-noise ratio (Lin, Liu, Li and Yang 2024): the last step holds nothing of the picture.
    scheduler = build_scheduler(load_config("paper"))
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0, abs=1e-6)
    scheduler.set_timesteps(50)
    assert int(scheduler.timesteps[0]) == 999


@pytest.mark.parametrize(
    ("section", "change", "says"),
    [
        ("unet", {"down_block_types": ["Nothing"] * 3}, "unet: Nothing"),
        ("unet", {"strange": 1}, "strange"),
        ("motion", {"block_out_channels": [32, 32, 32]}, "motion: "),
        ("vae", {"act_fn": "none"}, "vae: "),
        ("image_encoder", {"hidden_sizes": 8}, "hidden_sizes"),
        ("image_encoder", {"hidden_size": 17}, "image_encoder: "),
        ("scheduler", {"beta_schedule": "none"}, "scheduler: none"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arguments_that_the_libraries_refuse_are_a_fault_of_the_config(
    section: str, change: dict[str, Any], says: str
) -> None:
    plan = mini_config().model_dump(mode="json")
    plan[section] |= change
    config = ModelConfig.model_validate(plan)
    build = build_scheduler if section == "scheduler" else partial(build_parts, device="meta")
    with pytest.raises(ConfigError) as fault:
        build(config)
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("section", "change", "says"),
    [
        ("unet", {"in_channels": 9}, "latent_channels"),
        ("unet", {"block_out_channels": [30, 32, 32]}, "multiple of 4"),
        ("vae", {"block_out_channels": 8}, "no list"),
        ("sampling", {"height": 100}, "multiples of 8"),
        ("sampling", {"guidance": float("nan")}, "finite"),
    ],
)
def test_sections_that_do_not_fit_each_other_are_refused(section: str, change: dict[str, Any], says: str) -> None:
    plan = mini_config().model_dump(mode="json")
    plan[section] |= change
    with pytest.raises(ValidationError, match=says):
        ModelConfig.model_validate(plan)
