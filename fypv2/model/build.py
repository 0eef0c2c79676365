"""The parts of a model from its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from fypv2.config import GUIDERS, ModelConfig
from fypv2.errors import ConfigError, lacks_memory
from fypv2.model.denoiser import Denoiser
from fypv2.model.guiders import Guider
from fypv2.model.motion import normalise_per_frame, silence_motion
from fypv2.quiet import quiet

__all__ = [
    "PARTS",
    "build_denoiser",
    "build_feature_extractor",
    "build_parts",
    "build_scheduler",
    "count_parameters",
    "guider_part",
    "inflate",
]

PARTS = ("unet", "reference_unet", "vae", "image_encoder", *(f"{name}_guider" for name in GUIDERS))
"""The parts of a full model, as their folders in a checkpoint are called."""


def guider_part(name: str) -> str:
    """The part that holds a guider."""
    return f"{name}_guider"


def build_parts(
    config: ModelConfig, *, device: str = "cpu", seed: int = 0, motion: bool = True
) -> dict[str, nn.Module]:
    """Fresh parts of a model, in float32 and in evaluation mode.

    Args:
        config: the model.
        device: `meta` makes them without memory.
        seed: decides the fresh weights.
        motion: whether the denoising U-Net has its motion modules (stage 2); they start silent.

    Returns:
        By name, as in `PARTS`; without the guiders that the config switches off.

    Raises:
        ConfigError: if the libraries refuse a part's arguments.
    """
    on_meta = torch.device(device).type == "meta"
    place: AbstractContextManager[Any] = torch.device("meta") if on_meta else nullcontext()
    with torch.random.fork_rng(devices=[]), place:
        torch.manual_seed(seed)
        with _arguments_of(config, "unet"):
            flat = UNet2DConditionModel(**config.unet)
        with _arguments_of(config, "motion"):
            parts: dict[str, nn.Module] = {"unet": inflate(config, flat) if motion else flat}
        parts["reference_unet"] = UNet2DConditionModel(**config.unet)
        with _arguments_of(config, "vae"):
            parts["vae"] = AutoencoderKL(**config.vae)
        with _arguments_of(config, "image_encoder"):
            parts["image_encoder"] = CLIPVisionModelWithProjection(_clip_config(config))
        for name in config.guiders:
            parts[guider_part(name)] = Guider(
                channels=config.unet["block_out_channels"][0], block_channels=config.guider.channels
            )
    return {name: part.eval() if on_meta else part.to(device).eval() for name, part in parts.items()}


def inflate(config: ModelConfig, flat: UNet2DConditionModel, adapter: MotionAdapter | None = None) -> UNetMotionModel:
    """The stage 2 denoiser: a U-Net for pictures, and motion modules after its spatial attention.

    Args:
        config: the model.
        flat: the U-Net; its weights are copied.
        adapter: motion modules; None makes fresh ones, which change nothing until they have been trained.
    """
    fresh = adapter is None
    with quiet():
        inflated = UNetMotionModel.from_unet2d(flat, adapter or MotionAdapter(**config.motion))
    if fresh:
        silence_motion(inflated)
    if config.per_frame_norm:
        normalise_per_frame(inflated)
    return inflated


def build_denoiser(
    config: ModelConfig,
    unet: UNet2DConditionModel | UNetMotionModel,
    reference_unet: UNet2DConditionModel,
    guiders: Mapping[str, Guider],
) -> Denoiser:
    """Both U-Nets and the guiders as one, with the config's settings that no part holds."""
    return Denoiser(
        unet, reference_unet, guiders, place_codes=config.place_codes, aligned_reference=config.aligned_reference
    )


def build_scheduler(config: ModelConfig) -> DDIMScheduler:
    """The noise schedule, one for training and sampling.

    Raises:
        ConfigError: if diffusers refuses its arguments.
    """
    with _arguments_of(config, "scheduler"):
        return DDIMScheduler(**config.scheduler)


def build_feature_extractor(config: ModelConfig) -> CLIPImageProcessor:
    """CLIP's preprocessing for the image encoder's size."""
    side = int(config.image_encoder["image_size"])
    return CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_convert_rgb=True
    )


def count_parameters(parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Parameters of each part; those of the motion modules apart, as `motion`."""
    counts: dict[str, int] = {}
    for name, part in parts.items():
        named = list(part.named_parameters())
        counts[name] = sum(p.numel() for key, p in named if "motion_modules" not in key)
        if moving := sum(p.numel() for key, p in named if "motion_modules" in key):
            counts["motion"] = moving
    return counts


def _clip_config(config: ModelConfig) -> CLIPVisionConfig:
    # transformers takes any name and keeps it without a use.
    if unknown := [key for key in config.image_encoder if key not in CLIPVisionConfig().to_dict()]:
        raise TypeError(f"there is no '{unknown[0]}'")
    return CLIPVisionConfig(**config.image_encoder)


@contextmanager
def _arguments_of(config: ModelConfig, section: str) -> Iterator[None]:
    """Turn what the libraries raise at wrong arguments, of whatever class, into a fault of the config."""
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise
        why = " ".join(str(error).split())
        raise ConfigError(
            f"config '{config.name}', {section}: {why if len(why) <= 200 else why[:200] + '…'}"
        ) from error
