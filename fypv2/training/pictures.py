"""Grids of what the model makes while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fypv2.conditions import ConditionMaps, Poses
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.training.data import Samples
from fypv2.training.samples import Choice

__all__ = ["animation_grid", "vae_grid"]

Frames = npt.NDArray[np.uint8]

SHOWN = 4
"""Frames of a clip in a row of the grid."""


def animation_grid(pipeline: FollowYourPosePipeline, samples: Samples, device: torch.device, rows: int) -> Frames:
    """Clips of the data in rows of reference, then pose, truth and output of some frames: uint8 (H, W, 3).

    The clips, frames and the noise are the same at every call, so that grids show what training changes.
    """
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    height, width = samples.size
    consecutive = samples.config.stage == 2
    grid = []
    for row in range(min(rows, len(samples.chooser.usable))):
        choice = samples.chooser.choose(row)
        if not consecutive:
            frames = np.arange(SHOWN) * (samples.chooser.lengths[choice.clip] - 1) // max(SHOWN - 1, 1)
            choice = Choice(row, choice.clip, tuple(int(i) for i in frames), choice.reference, False)
        sample = samples.read(choice, consecutive=consecutive)
        reference = _picture(sample["reference_pixels"])
        maps = ConditionMaps(
            _frames(sample["pose"]),
            sample["flow"][0].numpy(),
            _frames(sample["depth"]),
            _frames(sample["reference_pose"])[0],
        )
        made = pipeline(
            reference,
            Poses(np.zeros((0, 0, 18, 2), np.float32), np.zeros((0, 0, 18), np.float32), samples.size),
            conditions=maps,
            height=height,
            width=width,
            generator=torch.Generator().manual_seed(row),
        ).frames
        truth = _frames(sample["pixels"])
        shown = np.linspace(0, len(truth) - 1, min(SHOWN, len(truth))).round().astype(int)
        grid.append(np.concatenate([reference, *(one[i] for i in shown for one in (maps.pose, truth, made))], axis=1))
    return np.concatenate(grid, axis=0)


@torch.no_grad()
def vae_grid(vae: Any, samples: Samples, device: torch.device, rows: int) -> Frames:
    """Pictures of the data above what the VAE makes of them: uint8 (H, W, 3)."""
    vae.to(device)
    grid = []
    for row in range(rows):
        pixels = samples[row]["pixels"][:SHOWN]
        latents = vae.encode(pixels.to(device).float() / 127.5 - 1).latent_dist.mode()
        made = ((vae.decode(latents, return_dict=False)[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        for one in (pixels, made):
            grid.append(np.concatenate([_picture(picture) for picture in one], axis=1))
    return np.concatenate(grid, axis=0)


def _picture(picture: Tensor) -> Frames:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _frames(tensor: Tensor) -> Frames:
    return np.ascontiguousarray(tensor.permute(1, 2, 3, 0).numpy())
