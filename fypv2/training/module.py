"""The whole step as one module, so that data parallel wrappers see every parameter in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from fypv2.config import ModelConfig
from fypv2.model.build import build_denoiser, build_scheduler, guider_part, inflate
from fypv2.model.conditioning import as_input
from fypv2.model.denoiser import Denoiser
from fypv2.training.config import TrainConfig
from fypv2.training.latents import encode_pictures
from fypv2.training.objective import Objective

__all__ = ["AnimationStep", "FrozenParts", "build_step", "to_device"]


class AnimationStep(nn.Module):
    """Eq. 11: a batch in, its loss out.

    Args:
        denoiser: both U-Nets and the guiders.
        image_encoder: where it learns; else its token comes with the batch.
        objective: of the model's scheduler.
        character_weight: see `TrainConfig`.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        image_encoder: CLIPVisionModelWithProjection | None,
        objective: Objective,
        character_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.image_encoder = image_encoder
        self.objective = objective
        self.character_weight = character_weight

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            batch: `latents` (b, c, f, h, w) and `reference_latents` (b, c, h, w), scaled; `noise` as the latents;
                `timesteps` (b,); `referenced` (b,) bool on the CPU; `token` (b, 1, d), or `prompt` (b, 3, s, s) where
                the image encoder learns; the guiders' conditions (b, 3, f, H, W); `characters` (b, f, H, W).
        """
        latents, noise, timesteps = batch["latents"], batch["noise"], batch["timesteps"]
        token = batch["token"] if self.image_encoder is None else self.image_encoder(batch["prompt"]).image_embeds
        token = token.reshape(len(latents), 1, -1)
        referenced = batch["referenced"]
        bank = self.denoiser.read_reference(batch["reference_latents"], token)
        # Exactly sampling's null condition: a zero token, and no reference in the self-attention.
        seen = torch.where(referenced.to(token.device)[:, None, None], token, torch.zeros_like(token))
        found = self.denoiser(
            self.objective.noised(latents, noise, timesteps),
            timesteps,
            seen,
            bank,
            self.denoiser.guide({name: batch[name] for name in self.denoiser.guiders}),
            referenced=referenced,
        )
        error = (found.float() - self.objective.target(latents, noise, timesteps).float()) ** 2
        weights = self.objective.weights(timesteps).to(error.device, error.dtype).reshape(-1, 1, 1, 1, 1)
        if self.character_weight > 1:
            weights = weights * self._over_characters(batch["characters"], latents)
        loss = (error * weights).mean()
        if not bool(referenced.any()):
            # Who waits for the gradients of all parameters must get some: of nothing, where no sample has a reference.
            loss = loss + 0 * sum(tokens.float().mean() for tokens in bank.values())
        return loss

    def _over_characters(self, characters: Tensor, latents: Tensor) -> Tensor:
        """Weights (b, 1, f, h, w) of mean 1 in each sample."""
        share = nn.functional.adaptive_avg_pool2d(characters, (latents.shape[-2], latents.shape[-1]))[:, None]
        weights = 1 + (self.character_weight - 1) * share
        return weights / weights.mean(dim=(1, 2, 3, 4), keepdim=True)


class FrozenParts:
    """What a batch goes through before the step: parts that do not learn.

    Args:
        vae: the frozen VAE, on the device of the step.
        image_encoder: where it is frozen; None where it learns.
    """

    def __init__(self, vae: AutoencoderKL, image_encoder: CLIPVisionModelWithProjection | None) -> None:
        self.vae, self.image_encoder = vae, image_encoder
        self.scale = float(vae.config.scaling_factor)

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any], device: torch.device, guiders: tuple[str, ...]) -> dict[str, Tensor]:
        """The batch as `AnimationStep.forward` takes it."""
        ready = {"referenced": batch["referenced"], "timesteps": batch["timesteps"].to(device)}
        for name in ("noise", "characters", "prompt"):
            ready[name] = to_device(batch[name], device)
        for name in guiders:
            condition = as_input(to_device(batch[name], device), device, torch.float32)
            ready[name] = condition.expand(-1, 3, -1, -1, -1)
        if "latents" in batch:
            latents, references = to_device(batch["latents"], device), to_device(batch["reference_latents"], device)
        else:
            pixels = to_device(batch["pixels"], device)
            flat = encode_pictures(self.vae, pixels.transpose(1, 2).flatten(0, 1))
            latents = flat.unflatten(0, (len(pixels), -1)).transpose(1, 2)
            references = encode_pictures(self.vae, to_device(batch["reference_pixels"], device))
        ready["latents"] = latents.float() * self.scale
        ready["reference_latents"] = references.float() * self.scale
        if self.image_encoder is not None:
            prompt = ready["prompt"].to(self.image_encoder.dtype)
            ready["token"] = self.image_encoder(prompt).image_embeds[:, None].float()
        return ready


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Without waiting, where the memory is pinned."""
    return tensor.to(device, non_blocking=True)


def build_step(config: TrainConfig, model: ModelConfig, parts: dict[str, nn.Module]) -> AnimationStep:
    """The step of a run, with everything frozen that does not learn.

    Args:
        config: of the run.
        model: the model, without the guiders that the run leaves out.
        parts: of `fypv2.model.build.build_parts` or of a checkpoint; a flat U-Net gets fresh motion modules in stage 2.
    """
    if config.stage == 2 and not hasattr(parts["unet"].config, "motion_max_seq_length"):
        # Fresh ones are drawn by the run's seed, whatever was drawn before.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            parts["unet"] = inflate(model, parts["unet"])
    guiders: dict[str, Any] = {name: parts[guider_part(name)] for name in model.guiders}
    denoiser = build_denoiser(model, parts["unet"], parts["reference_unet"], guiders)
    learning = config.learning
    encoder = parts["image_encoder"] if "image_encoder" in learning else None
    step = AnimationStep(
        denoiser, encoder, Objective.of(build_scheduler(model), config.min_snr_gamma), config.character_weight
    )
    step.train().requires_grad_(False)
    for name, parameter in denoiser.unet.named_parameters():
        parameter.requires_grad_(("motion" if "motion_modules" in name else "unet") in learning)
    denoiser.reference_unet.requires_grad_("reference_unet" in learning)
    denoiser.guiders.requires_grad_("guiders" in learning)
    if encoder is not None:
        encoder.requires_grad_(True)
    for parameter in denoiser.reference_tail():
        parameter.requires_grad_(False)
    if config.gradient_checkpointing:
        denoiser.unet.enable_gradient_checkpointing()
        denoiser.reference_unet.enable_gradient_checkpointing()
    if config.channels_last:
        step.to(memory_format=torch.channels_last)
    if config.compile:
        denoiser.unet.compile()
        denoiser.reference_unet.compile()
    return step
