"""The VAE's own training: pictures through it and back, and then the scale of its latents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from fypv2.training.latents import encode_pictures

__all__ = ["VaeStep", "gradient_difference", "measure_scale"]

SCALES = 4
"""Halvings at which image gradients are compared: up to the 8 pixels that one latent stands for."""


class VaeStep(nn.Module):
    """A batch of pictures in, the loss of their reconstruction out: L1, a little divergence, and image gradients.

    Args:
        vae: the VAE.
        kl_weight: of the divergence from a normal distribution, in nats per latent number.
        gradient_weight: of `gradient_difference`.
    """

    def __init__(self, vae: AutoencoderKL, kl_weight: float, gradient_weight: float) -> None:
        super().__init__()
        self.vae = vae
        self.kl_weight, self.gradient_weight = kl_weight, gradient_weight

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss, a scalar.

        Args:
            batch: `pixels` uint8 (b, f, 3, H, W), and `noise` (b, f, c, h, w) that the latents are drawn with.
        """
        pixels = batch["pixels"].flatten(0, 1).float() / 127.5 - 1
        posterior = self.vae.encode(pixels).latent_dist
        latents = posterior.mean + posterior.std * batch["noise"].flatten(0, 1)
        made = self.vae.decode(latents, return_dict=False)[0].float()
        loss = nn.functional.l1_loss(made, pixels)
        if self.gradient_weight:
            loss = loss + self.gradient_weight * gradient_difference(made, pixels)
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
        return loss + self.kl_weight * divergence


def gradient_difference(made: Tensor, truth: Tensor, scales: int = SCALES) -> Tensor:
    """Mean absolute difference of the horizontal and vertical differences of neighbouring pixels, on several scales.

    A blurred edge costs little in L1 and much here; unlike a perceptual distance, it needs no trained network.

    Args:
        made: (n, 3, H, W).
        truth: of the same shape.
        scales: the pictures themselves, and halved once less often than this.
    """
    error = made - truth
    total = error.new_zeros(())
    for scale in range(scales):
        if scale:
            error = nn.functional.avg_pool2d(error, 2)
        if min(error.shape[-2:]) < 2:
            return total / scale
        total = total + (error[..., 1:] - error[..., :-1]).abs().mean()
        total = total + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return total / scales


@torch.no_grad()
def measure_scale(vae: AutoencoderKL, batches: Iterable[Any]) -> float:
    """The scaling factor: one over the standard deviation of all latent numbers (Rombach et al. 2022).

    Args:
        vae: a trained VAE.
        batches: with `pixels` uint8 (b, f, 3, H, W).
    """
    count, total, square = 0, 0.0, 0.0
    for batch in batches:
        latents = encode_pictures(vae, batch["pixels"].flatten(0, 1)).double()
        count += latents.numel()
        total += float(latents.sum())
        square += float((latents**2).sum())
    variance = square / count - (total / count) ** 2
    return 1 / max(variance, 1e-12) ** 0.5
