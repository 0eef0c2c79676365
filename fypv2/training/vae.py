"""The VAE's own training: pictures through it and back, and then the scale of its latents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from fypv2.training.latents import encode_pictures

__all__ = ["VaeStep", "contrast_difference", "gradient_difference", "measure_scale"]

SCALES = 4
"""Halvings at which image gradients are compared: up to the 8 pixels that one latent stands for."""
CONTRAST_SCALES = 3
"""Likewise for the local contrast; on the next one L1 leaves nothing to mend."""
CONTRAST_PATCH = 8
"""Side of the patches, in pixels of a scale, over which contrast is taken."""
CONTRAST_FLOOR = 1e-3
"""Added under the root, squared: an even patch would have an endless slope. An eighth of a grey level."""


class VaeStep(nn.Module):
    """A batch of pictures in, the loss of their reconstruction out: L1, a little divergence, gradients and contrast.

    Args:
        vae: the VAE.
        kl_weight: of the divergence from a normal distribution, in nats per latent number.
        gradient_weight: of `gradient_difference`.
        contrast_weight: of `contrast_difference`.
        decoder_only: leave the encoder as it is.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        kl_weight: float,
        gradient_weight: float,
        contrast_weight: float = 0.0,
        *,
        decoder_only: bool = False,
    ) -> None:
        super().__init__()
        vae.train().requires_grad_(not decoder_only)
        for part in (vae.decoder, vae.post_quant_conv):
            if part is not None:
                part.requires_grad_(True)
        self.vae = vae
        self.kl_weight, self.gradient_weight, self.contrast_weight = kl_weight, gradient_weight, contrast_weight

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
        if self.contrast_weight:
            loss = loss + self.contrast_weight * contrast_difference(made, pixels)
        if self.kl_weight:
            divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
            loss = loss + self.kl_weight * divergence
        return loss


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


def contrast_difference(made: Tensor, truth: Tensor, scales: int = CONTRAST_SCALES) -> Tensor:
    """Mean absolute difference of the local contrast, on several scales.

    Where an edge lies in doubt, L1 and gradients are served best by a faded one, so that all pictures come out softer
    than the truth. Contrast is the root mean square of the differences of neighbouring pixels over a patch, of which a
    faded edge has too little wherever it lies: the contrast term of SSIM (Wang et al. 2004), told as a difference.

    Args:
        made: (n, 3, H, W).
        truth: of the same shape.
        scales: the pictures themselves, and halved once less often than this.
    """
    total = made.new_zeros(())
    for scale in range(scales):
        if scale:
            made, truth = (nn.functional.avg_pool2d(one, 2) for one in (made, truth))
        if min(made.shape[-2:]) <= CONTRAST_PATCH:
            return total / max(scale, 1)
        total = total + (_contrast(made) - _contrast(truth)).abs().mean()
    return total / scales


def _contrast(pictures: Tensor) -> Tensor:
    """(n, 3, h, w) of overlapping patches."""
    energy = (pictures[..., :-1, 1:] - pictures[..., :-1, :-1]) ** 2
    energy = energy + (pictures[..., 1:, :-1] - pictures[..., :-1, :-1]) ** 2
    patches = nn.functional.avg_pool2d(energy, CONTRAST_PATCH, CONTRAST_PATCH // 2, ceil_mode=True)
    return (patches + CONTRAST_FLOOR**2).sqrt()


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
