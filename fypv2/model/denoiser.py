"""The denoiser: both U-Nets and the guiders as one module, the same for training and for sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from fypv2.model.guiders import Guider, guide
from fypv2.model.reference import (
    Bank,
    Gathering,
    ReadingProcessor,
    TokenProcessor,
    install_readers,
    install_writers,
    reference_layers,
)

__all__ = ["Denoiser", "GuidedConvolution", "place_codes"]

FIRST = "conv_in"
"""The first features' name in a bank."""
CYCLES = 0.5, 8.0
"""Slowest and fastest sinusoid of `place_codes` over a side; 16 latents a side, those of `tiny`, tell no faster one."""


def place_codes(channels: int, height: int, width: int) -> Tensor:
    """Where a latent lies, as sines and cosines of both axes (Vaswani et al. 2017, in two dimensions).

    They are of fractions of a side, so that a place has one code in every size.

    Args:
        channels: a multiple of 4.
        height, width: in latents.

    Returns:
        (channels, height, width), in -1 … 1.
    """
    slowest, fastest = (math.log2(one) for one in CYCLES)
    angles = 2 * math.pi * torch.logspace(slowest, fastest, channels // 4, base=2)
    codes = []
    for axis, side in enumerate((height, width)):
        along = angles[:, None] * ((torch.arange(side) + 0.5) / side)
        code = torch.cat([along.sin(), along.cos()])
        codes.append((code[:, :, None] if axis == 0 else code[:, None, :]).expand(-1, height, width))
    return torch.cat(codes)


class GuidedConvolution(nn.Conv2d):
    """The U-Net's first convolution, to whose output the guiders' features are added (Eq. 10).

    diffusers has no argument for that. The features lie here during one pass of the denoiser.
    """

    added: Tensor | None = None
    placed: bool = False
    """Whether `place_codes` are added too."""
    kept: Bank | None = None
    """Where its output is left, without what is added, as tokens (b, h * w, c)."""

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> GuidedConvolution:
        """The same convolution with the same parameters, under the same key names."""
        if isinstance(convolution, cls):
            return convolution
        device = convolution.weight.device
        made = cls(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            padding=convolution.padding,  # type: ignore[arg-type]
            device="meta",
        )
        made.weight, made.bias = convolution.weight, convolution.bias
        return made.to(device)

    def forward(self, input: Tensor) -> Tensor:
        """(b * f, 4, h, w) to (b * f, c, h, w)."""
        result = super().forward(input)
        if self.kept is not None:
            self.kept[FIRST] = result.flatten(2).transpose(1, 2)
        if self.placed:
            result = result + place_codes(*result.shape[-3:]).to(result)
        return result if self.added is None else result + self.added.to(result.dtype)


class Denoiser(nn.Module):
    """The network of Eq. 11: noisy latents, conditions and a reference in, its estimate of the target out.

    The null condition of classifier-free guidance is one and the same in training and in sampling: the image prompt's
    token is zero and the reference bank is not read. The guiders are never dropped.

    Args:
        unet: `UNet2DConditionModel` (stage 1: frames know nothing of each other) or `UNetMotionModel` (stage 2).
        reference_unet: ReferenceNet.
        guiders: by name, in the order of `fypv2.config.GUIDERS`; those that the model has.
        place_codes: whether both U-Nets are told where a latent lies.
        aligned_reference: whether the reference's first features are added to the denoiser's, place by place.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel | UNetMotionModel,
        reference_unet: UNet2DConditionModel,
        guiders: Mapping[str, Guider],
        *,
        place_codes: bool = False,
        aligned_reference: bool = False,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.reference_unet = reference_unet
        self.guiders = nn.ModuleDict(guiders)
        for one in (unet, reference_unet):
            one.conv_in = GuidedConvolution.of(one.conv_in)
            one.conv_in.placed = place_codes
        install_readers(unet)
        install_writers(reference_unet)
        self.aligned_reference = aligned_reference
        self._layers = reference_layers(unet)
        if self._layers != reference_layers(reference_unet):
            raise ValueError("the two U-Nets have different self-attention layers, so that one cannot read the other")

    @property
    def has_motion(self) -> bool:
        """Whether frames know of each other (stage 2)."""
        return isinstance(getattr(self.unet, "_orig_mod", self.unet), UNetMotionModel)  # within torch.compile's wrapper

    def read_reference(self, latents: Tensor, token: Tensor) -> Bank:
        """Run ReferenceNet, at t = 0 and without noise, and collect its tokens.

        Args:
            latents: (b, 4, h, w) of the reference images, scaled.
            token: (b, 1, d) of the image prompt.

        Returns:
            The bank, one entry for each spatial self-attention layer, and one of the first features where these are
            added to the denoiser's.
        """
        gathering = Gathering()
        time = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        self.reference_unet.conv_in.kept = gathering.bank if self.aligned_reference else None
        try:
            self.reference_unet(
                latents,
                time,
                encoder_hidden_states=token,
                cross_attention_kwargs={"bank": gathering},
                return_dict=False,
            )
        finally:
            self.reference_unet.conv_in.kept = None
        return {name: gathering.bank[name] for name in ([FIRST] if self.aligned_reference else []) + self._layers}

    def guide(self, conditions: Mapping[str, Tensor]) -> Tensor:
        """Features of the conditions, (b, c, f, h, w); see `fypv2.model.guiders.guide`."""
        return guide(self.guiders, conditions)  # type: ignore[arg-type]

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        token: Tensor,
        bank: Bank | None,
        features: Tensor | None,
        referenced: Tensor | None = None,
    ) -> Tensor:
        """Estimate the scheduler's target (noise, or v).

        Args:
            noisy: latents (b, 4, f, h, w).
            timesteps: (b,).
            token: (b, n, d), zero where the reference is dropped.
            bank: of `read_reference`, with b entries a layer; None leaves the reference out for all.
            features: of `guide`, (b, c, f, h, w) or with f = 1; None adds nothing.
            referenced: (b,) bool on the CPU; where False, the reference is dropped. None drops none.

        Returns:
            (b, 4, f, h, w).
        """
        batch, _, frames = noisy.shape[:3]
        self._check_processors()
        # Plain values, so that a compiled U-Net holds one graph and not one between any two layers.
        seen = None if referenced is None else tuple(bool(one) for one in referenced.tolist())
        context: dict[str, Any] = {"bank": bank, "referenced": seen}
        token = token.repeat_interleave(frames, dim=0)
        if self.aligned_reference and bank is not None:
            first = bank[FIRST].transpose(1, 2).unflatten(2, noisy.shape[-2:])[:, :, None]
            if seen is not None:
                first = first * torch.tensor(seen, device=first.device)[:, None, None, None, None]
            features = first if features is None else features + first
        if features is not None:
            features = features.expand(-1, -1, frames, -1, -1).transpose(1, 2).flatten(0, 1)
        self.unet.conv_in.added = features
        try:
            if self.has_motion:
                result: Tensor = self.unet(
                    noisy, timesteps, encoder_hidden_states=token, cross_attention_kwargs=context, return_dict=False
                )[0]
                return result
            flat: Tensor = self.unet(
                noisy.transpose(1, 2).flatten(0, 1),
                timesteps.repeat_interleave(frames),
                encoder_hidden_states=token,
                cross_attention_kwargs=context,
                return_dict=False,
            )[0]
            return flat.unflatten(0, (batch, frames)).transpose(1, 2)
        finally:
            self.unet.conv_in.added = None

    def _check_processors(self) -> None:
        """Other attention processors would leave the reference out without a word."""
        if not isinstance(self.unet.attn_processors[f"{self._layers[0]}.processor"], ReadingProcessor):
            raise RuntimeError("the U-Net's attention processors were replaced; they are what reads the reference")

    def set_attention_slices(self, slices: int) -> None:
        """Attend for `1 / slices` of the queries at a time, in the spatial layers of both U-Nets."""
        for unet in (self.unet, self.reference_unet):
            for processor in unet.attn_processors.values():
                if isinstance(processor, TokenProcessor):
                    processor.slices = slices

    def reference_tail(self) -> list[nn.Parameter]:
        """ReferenceNet's parameters that lie behind its last self-attention input, and so never get a gradient."""
        # diffusers lists the middle block last; the upward blocks are the last to run.
        last = [name for name in self._layers if name.startswith("up_blocks")][-1].removesuffix(".attn1")
        _, block, _, attention, *_ = last.split(".")
        # The block's norm1 makes the input; everything of it from attn1 on is behind.
        named = self.reference_unet.get_submodule(last).named_parameters()
        after = [parameter for name, parameter in named if not name.startswith("norm1.")]
        upward = self.reference_unet.up_blocks
        here = upward[int(block)]
        behind = [
            here.attentions[int(attention)].proj_out,
            *here.resnets[int(attention) + 1 :],
            *(here.upsamplers or []),
            *upward[int(block) + 1 :],
            self.reference_unet.conv_norm_out,
            self.reference_unet.conv_out,
        ]
        return after + [parameter for module in behind for parameter in module.parameters()]
