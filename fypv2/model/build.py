"""The parts of a model from its config."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from fypv2.config import GUIDERS, ModelConfig
from fypv2.model.guiders import Guider
from fypv2.model.motion import normalise_per_frame, silence_motion
from fypv2.quiet import quiet

__all__ = ["PARTS", "build_parts", "build_scheduler", "count_parameters", "guider_part", "inflate"]

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
    """
    on_meta = torch.device(device).type == "meta"
    place: AbstractContextManager[Any] = torch.device("meta") if on_meta else nullcontext()
    with torch.random.fork_rng(devices=[]), place:
        torch.manual_seed(seed)
        flat = UNet2DConditionModel(**config.unet)
        parts: dict[str, nn.Module] = {
            "unet": inflate(config, flat) if motion else flat,
            "reference_unet": UNet2DConditionModel(**config.unet),
            "vae": AutoencoderKL(**config.vae),
            "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder)),
        }
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


def build_scheduler(config: ModelConfig) -> DDIMScheduler:
    """The noise schedule, one for training and sampling."""
    return DDIMScheduler(**config.scheduler)


def count_parameters(parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Parameters of each part; those of the motion modules apart, as `motion`."""
    counts: dict[str, int] = {}
    for name, part in parts.items():
        named = list(part.named_parameters())
        counts[name] = sum(p.numel() for key, p in named if "motion_modules" not in key)
        if moving := sum(p.numel() for key, p in named if "motion_modules" in key):
            counts["motion"] = moving
    return counts
