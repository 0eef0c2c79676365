"""The loss of Eq. 11 and its weights: what is noised, what is to be found, and how much each timestep counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """The noise process of a scheduler, so that training and sampling have one and the same.

    Attributes:
        signal: float64 (timesteps,), the root of the cumulative alpha.
        noise: float64 (timesteps,), the root of one minus it.
        prediction: `epsilon` or `v_prediction`.
        min_snr_gamma: see `weights`.
    """

    signal: Tensor
    noise: Tensor
    prediction: str
    min_snr_gamma: float | None = None

    @classmethod
    def of(cls, scheduler: DDIMScheduler, min_snr_gamma: float | None = None) -> Objective:
        """Of a scheduler that predicts the noise or v.

        Raises:
            ValueError: for another target, or for noise as the target of a step that holds nothing but noise.
        """
        alphas = scheduler.alphas_cumprod.double()
        prediction = scheduler.config.prediction_type
        if prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction type '{prediction}'; there are epsilon and v_prediction")
        # diffusers' rescaling ends at exactly 0; noise found in noise says nothing of the picture, so that sampling
        # would divide by 0 there.
        if prediction == "epsilon" and bool(alphas[-1] <= 0):
            raise ValueError("zero-terminal SNR needs v_prediction: at its last step the noise is all there is")
        return cls(alphas.sqrt(), (1 - alphas).sqrt(), prediction, min_snr_gamma)

    @property
    def timesteps(self) -> int:
        """How many there are."""
        return len(self.signal)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t = a_t z_0 + s_t e.

        Args:
            latents: (b, ...), scaled.
            noise: of the same shape, normal.
            timesteps: (b,) int64.
        """
        return self._at(self.signal, timesteps, latents) * latents + self._at(self.noise, timesteps, latents) * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """y of Eq. 11: the noise, or v = a_t e - s_t z_0 (Salimans and Ho 2022)."""
        if self.prediction == "epsilon":
            return noise
        return self._at(self.signal, timesteps, latents) * noise - self._at(self.noise, timesteps, latents) * latents

    def weights(self, timesteps: Tensor) -> Tensor:
        """Min-SNR-gamma (Hang et al. 2023): the loss, told as one of z_0, weighs no timestep more than gamma.

        An error of z_0 counts SNR times in the noise, and SNR + 1 times in v (Salimans and Ho 2022). So the weights are
        min(SNR, gamma) / SNR, and min(SNR + 1, gamma) / (SNR + 1). Hang et al. take min(SNR, gamma) / (SNR + 1) for v,
        which is 0 where the SNR is 0: under a zero-terminal schedule, the step that sampling starts from would never be
        learnt.

        Args:
            timesteps: (b,) int64.

        Returns:
            float64 (b,), in (0, 1] where gamma is at least 1.
        """
        if self.min_snr_gamma is None:
            return torch.ones(len(timesteps), dtype=torch.float64, device=timesteps.device)
        counts = (self.signal / self.noise) ** 2 + (0 if self.prediction == "epsilon" else 1)
        return (counts.clamp(max=self.min_snr_gamma) / counts).to(timesteps.device)[timesteps]

    @staticmethod
    def _at(table: Tensor, timesteps: Tensor, like: Tensor) -> Tensor:
        values = table.to(timesteps.device)[timesteps].to(like.device, like.dtype)
        return values.reshape(-1, *[1] * (like.ndim - 1))
