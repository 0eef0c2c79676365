"""Batches, prepared ahead in other processes: the position is one number, and decides everything that follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import CLIPImageProcessor

from fypv2.config import ModelConfig
from fypv2.model.conditioning import condition_tensors
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.training.clips import ClipSource
from fypv2.training.config import TrainConfig
from fypv2.training.latents import PreparedClips, quiet_worker
from fypv2.training.samples import Choice, Chooser, draw, read_choice

__all__ = ["Samples", "batches", "frame_size", "numbers_of"]


def frame_size(config: TrainConfig, model: ModelConfig) -> tuple[int, int]:
    """Height and width of the training frames."""
    return config.height or model.sampling.height, config.width or model.sampling.width


class Samples(Dataset[dict[str, Tensor]]):
    """Samples by number, with all chance that belongs to them.

    Args:
        source: of the clips.
        config: of the run.
        model: the model.
        processor: the image encoder's preprocessing.
        timesteps: of the noise process.
        prepared: the data encoded and drawn beforehand; None reads pixels and draws.
    """

    def __init__(
        self,
        source: ClipSource,
        config: TrainConfig,
        model: ModelConfig,
        processor: CLIPImageProcessor,
        timesteps: int = 1000,
        prepared: PreparedClips | None = None,
    ) -> None:
        self.source, self.config, self.model, self.processor = source, config, model, processor
        self.timesteps, self.prepared = timesteps, prepared
        self.chooser = Chooser(source, config)
        self.size = frame_size(config, model)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """One sample.

        Returns:
            For the VAE `pixels` uint8 (f, 3, H, W) and `noise` (f, c, h, w). Else what `PreparedClips.read` returns,
            or, where nothing was prepared, `pixels` uint8 (3, f, H, W) and `reference_pixels` (3, H, W) in the place of
            the latents; and `noise` float32 (c, f, h, w), `timesteps` int64, `referenced` bool.
        """
        choice = self.chooser.choose(number)
        channels = int(self.model.vae.get("latent_channels", 4))
        height, width = (side // self.model.reduction for side in self.size)
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence((self.config.seed, number, 2)).generate_state(1, np.uint64)[0] >> 1)
        )
        if self.config.of_vae:
            target, _ = read_choice(self.source, choice, consecutive=False)
            frames = [FollowYourPosePipeline.crop_picture(frame, *self.size) for frame in target.frames]
            return {
                "pixels": torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous(),
                "noise": torch.randn((len(frames), channels, height, width), generator=generator),
            }
        consecutive = self.config.stage == 2
        if self.prepared is not None:
            sample = self.prepared.read(choice, consecutive=consecutive)
        else:
            sample = self.read(choice, consecutive=consecutive)
        noise = torch.randn((channels, self.config.frames, height, width), generator=generator)
        if self.config.noise_offset:
            # As the relatives do it: brightness of a whole frame, which noise of single pixels hardly disturbs.
            offset = torch.randn((channels, self.config.frames, 1, 1), generator=generator)
            noise = noise + self.config.noise_offset * offset
        timestep = torch.randint(0, self.timesteps, (), generator=generator)
        dropped = torch.rand((), generator=generator) < self.config.drop_reference
        return {**sample, "noise": noise, "timesteps": timestep, "referenced": ~dropped}

    def read(self, choice: Choice, *, consecutive: bool) -> dict[str, Any]:
        """A sample from pixels, as `PreparedClips.read` but with `pixels` and `reference_pixels`."""
        target, reference = read_choice(self.source, choice, consecutive=consecutive)
        maps, characters = draw(target, reference.poses, *self.size, self.model.conditions)
        drawn = {name: tensor[0] for name, tensor in condition_tensors(maps).items()}
        frames = [FollowYourPosePipeline.crop_picture(frame, *self.size) for frame in target.frames]
        picture = FollowYourPosePipeline.crop_picture(reference.frames[0], *self.size)
        return {
            **drawn,
            "flow": drawn["flow"][:1],
            "characters": torch.from_numpy(characters),
            "pixels": torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2).contiguous(),
            "reference_pixels": torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).contiguous(),
            "prompt": self.processor(Image.fromarray(picture), return_tensors="pt").pixel_values[0],
        }


def numbers_of(step: int, config: TrainConfig, rank: int, world: int) -> list[list[int]]:
    """The samples of one process in one step, one list for each pass.

    A step's samples are the same on any number of processes; only who takes which differs.
    """
    first, each = step * config.batch, config.batch // world
    mine = list(range(first + rank * each, first + (rank + 1) * each))
    size = min(config.micro_batch or each, each)
    return [mine[at : at + size] for at in range(0, each, size)]


class _Numbers(Sampler[list[int]]):
    """Numbers of the samples of each pass, from a step on."""

    def __init__(self, config: TrainConfig, step: int, rank: int, world: int) -> None:
        self.config, self.step, self.rank, self.world = config, step, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.step, self.config.steps):
            yield from numbers_of(step, self.config, self.rank, self.world)


def batches(samples: Samples, step: int, rank: int = 0, world: int = 1, *, pin: bool = False) -> Iterator[Any]:
    """Batches of one process, one for each pass, from a step on to the end of the run.

    Args:
        samples: of the run.
        step: optimiser steps that are done.
        rank: which process.
        world: how many processes.
        pin: whether batches are put where a GPU fetches them while it computes.
    """
    workers = samples.config.workers
    return iter(
        DataLoader(
            samples,
            batch_sampler=_Numbers(samples.config, step, rank, world),
            num_workers=workers,
            prefetch_factor=samples.config.prefetch if workers else None,
            worker_init_fn=quiet_worker,
            pin_memory=pin,
        )
    )
