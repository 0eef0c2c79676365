"""Networks of a few thousand parameters, in the shape of the real ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from fypv2.conditions import Poses
from fypv2.config import ModelConfig, load_config

SIDE = 64
"""Side of the pictures in pixels."""


@cache
def mini_config(**changes: Any) -> ModelConfig:
    """A model like `tiny`, of 32 channels and less, for 64-pixel pictures (8 latents)."""
    plan = load_config("tiny").model_dump(mode="json")
    widths = [32, 32, 64]
    plan["unet"] |= {"sample_size": 8, "block_out_channels": widths, "attention_head_dim": 2, "cross_attention_dim": 16}
    plan["unet"] |= {"in_channels": 4, "out_channels": 4}
    plan["motion"] |= {"block_out_channels": widths, "motion_num_attention_heads": 2}
    plan["vae"] |= {"block_out_channels": [8, 8, 16, 16], "norm_num_groups": 4, "sample_size": 64, "latent_channels": 4}
    plan["image_encoder"] |= {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 16, "projection_dim": 16,
    }  # fmt: skip
    plan["guider"] = {"channels": [4, 8, 8, 8]}
    plan["sampling"] |= {"height": 64, "width": 64, "steps": 3}
    plan["name"] = "mini"
    for key, value in changes.items():
        plan["conditions" if key.startswith("use_") else "sampling"][key] = value
    return ModelConfig.model_validate(plan)


def shake(module: torch.nn.Module, seed: int = 0, scale: float = 0.2) -> torch.nn.Module:
    """Give every parameter some noise, so that nothing is zero by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            size = float(parameter.abs().mean()) or 0.1
            parameter.add_(scale * size * torch.randn(parameter.shape, generator=generator))
    return module


def picture(seed: int = 0, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def walk(frames: int, characters: int = 2, seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> Poses:
    """Characters of scattered joints that drift down and to the right."""
    random = np.random.default_rng(seed)
    body = random.uniform(4, min(size) - 4, (1, characters, 18, 2)) + np.linspace(0, 8, frames)[:, None, None, None]
    return Poses(body.astype(np.float32), np.ones((frames, characters, 18), np.float32), size)
