"""The motion modules' ends: how they normalise, and how they start."""

from __future__ import annotations

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

__all__ = ["PerFrameGroupNorm", "motion_transformers", "normalise_per_frame", "silence_motion"]


class PerFrameGroupNorm(nn.GroupNorm):
    """Group norm of each frame by itself, as AnimateDiff was trained.

    diffusers gives the motion modules (b, c, f, h, w) and normalises over the frames as well, which is another function
    of the same weights.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(b, c, f, h, w) to the same shape."""
        batch = input.shape[0]
        flat = input.transpose(1, 2).flatten(0, 1)
        return super().forward(flat).unflatten(0, (batch, -1)).transpose(1, 2)


def motion_transformers(unet: nn.Module) -> list[AnimateDiffTransformer3D]:
    """The motion modules of a U-Net: 21 in AnimateDiff v2 (8 down, 1 in the middle, 12 up)."""
    return [module for module in unet.modules() if isinstance(module, AnimateDiffTransformer3D)]


def normalise_per_frame(unet: nn.Module) -> None:
    """Exchange the motion modules' group norms; weights and key names stay."""
    for module in motion_transformers(unet):
        old = module.norm
        new = PerFrameGroupNorm(
            old.num_groups, old.num_channels, old.eps, device=old.weight.device, dtype=old.weight.dtype
        )
        new.weight, new.bias = old.weight, old.bias
        module.norm = new


def silence_motion(unet: nn.Module) -> None:
    """Set the motion modules' last layers to zero, so that fresh ones change nothing until they have been trained."""
    with torch.no_grad():
        for module in motion_transformers(unet):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
