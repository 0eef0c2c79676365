"""The published layouts: names and shapes against lists of published files, and against diffusers' own converters."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from diffusers.loaders import single_file_utils
from torch import Tensor, nn
from weight_files import (
    animatediff_file,
    compvis_file,
    layout,
    published,
    safetensors_size,
    sample_config,
    shapes_of,
    split_motion,
    trained_parts,
)

from fypv2.config import load_config
from fypv2.model.build import build_parts
from fypv2.weights.layouts import SOURCES, expected_left_over
from fypv2.weights.plan import choose_sources, plan

PAPER = load_config("paper")


@pytest.fixture(scope="module")
def parts() -> dict[str, nn.Module]:
    return build_parts(PAPER, device="meta")


def moving(parts: Mapping[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in shapes_of(parts["unet"]).items() if "motion_modules" in key}


def still(parts: Mapping[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in shapes_of(parts["unet"]).items() if "motion_modules" not in key}


def test_the_papers_parts_have_the_published_sizes(parts: dict[str, nn.Module]) -> None:
    components = {one.name: one for one in plan(PAPER, parts, choose_sources(PAPER, {}))}
    assert {name: (one.parameters, len(one.shapes)) for name, one in components.items()} == {
        "unet": (859_520_964, 686),
        "motion": (453_209_280, 567),
        "reference_unet": (859_520_964, 686),
        "vae": (83_653_863, 248),
        "image_encoder": (303_966_208, 392),
        "pose_guider": (1_086_480, 16),
        "flow_guider": (1_086_480, 16),
        "depth_guider": (1_086_480, 16),
        "reference_pose_guider": (1_086_480, 16),
    }
    modules = {key.partition(".transformer_blocks")[0] for key in moving(parts) if "transformer_blocks" in key}
    by_side = {side: sum(name.startswith(side) for name in modules) for side in ("down", "mid", "up")}
    assert by_side == {"down": 8, "mid": 1, "up": 12}
    assert {shape[1] for key, shape in moving(parts).items() if key.endswith("pos_embed.pe")} == {32}


def test_the_papers_parts_have_the_published_names_and_shapes(parts: dict[str, nn.Module]) -> None:
    assert still(parts) == published("diffusers_unet")
    assert shapes_of(parts["reference_unet"]) == published("diffusers_unet")
    assert moving(parts) == published("diffusers_motion")
    assert shapes_of(parts["image_encoder"]) == published("clip_vision")
    old = layout("vae", "diffusers, old attention names", PAPER)
    assert {old.rename(key): shape for key, shape in shapes_of(parts["vae"]).items()} == published("diffusers_vae")


def test_compvis_names_are_those_of_the_published_file(parts: dict[str, nn.Module]) -> None:
    rename = layout("unet", "CompVis", PAPER).rename
    assert {rename(key): shape for key, shape in still(parts).items()} == published("compvis_unet")
    rename = layout("vae", "CompVis", PAPER).rename
    names = {rename(key): shape for key, shape in shapes_of(parts["vae"]).items()}
    convolutions = published("compvis_vae")
    assert names.keys() == convolutions.keys()
    assert {key: shape for key, shape in names.items() if "attn_1" not in key} == {
        key: shape for key, shape in convolutions.items() if "attn_1" not in key
    }


def test_animatediff_names_are_those_of_the_published_file(parts: dict[str, nn.Module]) -> None:
    rename = layout("motion", "AnimateDiff", PAPER).rename
    names = {rename(key): shape for key, shape in moving(parts).items()}
    listed = published("animatediff_motion")
    assert len(listed) == 588
    assert names.items() <= listed.items()
    rest = listed.keys() - names.keys()
    assert len(rest) == 21
    assert {expected_left_over("motion", key) for key in rest} == {"positions, second copy"}


def test_controlnet_names_are_those_of_the_published_file(parts: dict[str, nn.Module]) -> None:
    rename = layout("controlnet", "ControlNet", PAPER).rename
    names = {rename(key): shape for key, shape in shapes_of(parts["pose_guider"]).items()}
    listed = published("controlnet_compvis")
    assert names == {key: shape for key, shape in listed.items() if key.startswith("input_hint_block")}
    rest = {f"control_model.{key}" for key in listed if not key.startswith("input_hint_block")}
    assert {expected_left_over("controlnet", key) for key in rest} == {"ControlNet's copy of the U-Net"}


# Beside the numbers, a .safetensors file holds names, shapes and offsets: a list with one name too many,
# too few or too long gives another size.
def test_lists_give_the_published_sizes_to_the_byte() -> None:
    vae = published("diffusers_vae")
    assert safetensors_size(vae, sorted(vae), aligned=True) == 334_643_276
    motion = published("diffusers_motion")
    assert safetensors_size(motion, sorted(motion), aligned=True) == 1_815_329_816
    ema = {"model_ema.decay": (), "model_ema.num_updates": ()}
    original = published("compvis_vae") | ema
    assert safetensors_size(original, sorted(original), aligned=False) == 334_641_190


def test_lists_give_the_published_size_of_clip_to_the_byte() -> None:
    text = {f"text_model.{key}": shape for key, shape in published("compvis_text_encoder").items()}
    beside = {"vision_model.embeddings.position_ids": (1, 257), "logit_scale": (), "text_projection.weight": (768, 768)}
    whole = published("clip_vision") | text | beside
    # The writer sorts by type first, the widest in front.
    keys = sorted(whole, key=lambda key: (not key.endswith("position_ids"), key))
    assert safetensors_size(whole, keys, aligned=True) == 1_710_540_580


def test_lists_give_the_published_size_of_stable_diffusion_to_the_byte() -> None:
    schedule = (
        *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
        *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
        *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
    )
    whole = {
        **{f"model.diffusion_model.{key}": shape for key, shape in published("compvis_unet").items()},
        **{f"first_stage_model.{key}": shape for key, shape in published("compvis_vae").items()},
        **{
            f"cond_stage_model.transformer.text_model.{key}": shape
            for key, shape in published("compvis_text_encoder").items()
        },
        **dict.fromkeys(schedule, (1000,)),
        "model_ema.decay": (),
        "model_ema.num_updates": (),
    }
    assert len(whole) == 1145
    assert safetensors_size(whole, sorted(whole), aligned=False) == 4_265_146_304
    for source, prefix in (("unet", "model.diffusion_model."), ("vae", "first_stage_model.")):
        rest = [key for key in whole if not key.startswith(prefix)]
        assert None not in {expected_left_over(source, key) for key in rest}


def test_unet_list_gives_the_published_size_but_for_the_order() -> None:
    unet = published("diffusers_unet")
    sizes = [safetensors_size(unet, order, aligned=False) for order in (sorted(unet), sorted(unet, reverse=True))]
    assert min(sizes) <= 3_438_167_540 <= max(sizes)


def test_a_tower_of_text_is_expected_and_a_stranger_is_not() -> None:
    assert expected_left_over("image-encoder", "text_model.encoder.layers.0.mlp.fc1.bias") == "text tower"
    assert expected_left_over("image-encoder", "logit_scale") == "text tower"
    assert expected_left_over("image-encoder", "vision_model.embeddings.position_ids") == "position numbers"
    for source in SOURCES:
        assert expected_left_over(source, "adapter.weight") is None
    assert expected_left_over("unet", "down_blocks.9.resnets.0.norm1.weight") is None
    assert expected_left_over("vae", "vision_model.embeddings.position_ids") is None


@pytest.fixture(scope="module")
def trained() -> dict[str, dict[str, Tensor]]:
    return trained_parts(sample_config())


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key].reshape(value.shape)), key


def test_diffusers_converters_read_our_compvis_file_as_we_do(trained: dict[str, dict[str, Tensor]]) -> None:
    config = sample_config()
    file = compvis_file(trained, config)
    unet = single_file_utils.convert_ldm_unet_checkpoint(dict(file), dict(config.unet))
    assert_same(split_motion(trained["unet"])[0], unet)
    vae = single_file_utils.convert_ldm_vae_checkpoint(dict(file), dict(config.vae))
    assert_same(trained["vae"], vae)


def test_diffusers_converter_reads_our_animatediff_file_as_we_do(trained: dict[str, dict[str, Tensor]]) -> None:
    file = animatediff_file(trained, sample_config())
    motion = single_file_utils.convert_animatediff_checkpoint_to_diffusers(file)
    expected = split_motion(trained["unet"])[1]
    assert_same({key: value for key, value in expected.items() if not key.endswith("pos_embed.pe")}, motion)
