"""The model that a run begins with, and the one that it gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fypv2.checkpoint import assemble, load_pipeline, read_settings
from fypv2.config import ModelConfig, load_config
from fypv2.errors import ConfigError
from fypv2.model.build import PARTS, build_parts, guider_part
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.quiet import quiet
from fypv2.training.config import TrainConfig

__all__ = ["averaged_pipeline", "starting_parts"]

_WITHIN = {
    "unet": "denoiser.unet.",
    "reference_unet": "denoiser.reference_unet.",
    "vae": "vae.",
    "image_encoder": "image_encoder.",
    **{guider_part(name): f"denoiser.guiders.{name}." for name in ("pose", "flow", "depth", "reference_pose")},
}
"""Where the parts lie in a step's module."""
SWITCHES = ("place_codes", "aligned_reference")
"""Settings of a model that no parameter hangs on: the denoiser can learn to use what its start was trained without."""


def starting_parts(config: TrainConfig) -> tuple[ModelConfig, dict[str, nn.Module]]:
    """The model of a run and its parts, fresh or from a checkpoint.

    A checkpoint brings its own settings; but a run that trains the denoiser decides on the `SWITCHES`.

    Raises:
        ConfigError: if the checkpoint is of another model, or lacks what is to be trained.
        CheckpointError: as `load_pipeline`.
    """
    if config.start == "fresh":
        model = _without(load_config(config.model), config)
        with quiet():
            return model, build_parts(model, seed=config.seed, motion=config.stage == 2)
    folder = Path(config.start).expanduser()
    own = load_config(config.model)
    settings = read_settings(folder)
    if settings.name != own.name:
        raise ConfigError(f"{folder}: a checkpoint of '{settings.name}', the run trains '{own.name}'; set model=…")
    pipeline = load_pipeline(folder)
    if config.stage in (1, 2):
        settings = settings.model_copy(update={key: getattr(own, key) for key in SWITCHES})
    model = _without(settings, config)
    wanted = {*PARTS[:4], *(guider_part(one) for one in model.guiders)}
    parts = {name: part for name, part in pipeline.components.items() if name in wanted and part is not None}
    if config.stage == 1 and hasattr(parts["unet"].config, "motion_max_seq_length"):
        raise ConfigError(f"{folder}: has motion modules, which stage 1 would lose; train stage 2, or start elsewhere")
    return model, parts


def _without(model: ModelConfig, config: TrainConfig) -> ModelConfig:
    plan = model.model_dump(mode="json")
    for name in config.without:
        plan["conditions"][f"use_{name}"] = False
    return ModelConfig.model_validate(plan)


def averaged_pipeline(
    model: ModelConfig, parts: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], scale: float | None = None
) -> FollowYourPosePipeline:
    """The model with averaged weights, on the CPU and in evaluation mode.

    Args:
        model: its config.
        parts: those of the run; what `tensors` lacks is copied from them.
        tensors: of a step's module by name, whole and on the CPU; parts of which it has none stay as they are.
        scale: a new scaling factor of the VAE's latents.
    """
    made: dict[str, Any] = {}
    has_motion = hasattr(parts["unet"].config, "motion_max_seq_length")
    with quiet():
        empty = build_parts(model, device="meta", motion=has_motion)
    for name, part in parts.items():
        prefix = _WITHIN[name]
        trained = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if name in ("vae", "image_encoder"):
            # Few, and with buffers that no state holds.
            made[name] = copy.deepcopy(part).cpu().eval()
            made[name].load_state_dict({**made[name].state_dict(), **trained})
        else:
            state = {key: trained[key] if key in trained else value.cpu() for key, value in part.state_dict().items()}
            empty[name].load_state_dict({key: value.contiguous() for key, value in state.items()}, assign=True)
            made[name] = empty[name]
    if scale is not None:
        plan = model.model_dump(mode="json")
        plan["vae"]["scaling_factor"] = scale
        model = ModelConfig.model_validate(plan)
        made["vae"].register_to_config(scaling_factor=scale)
    for part in made.values():
        part.requires_grad_(False).eval()
    return assemble(model, made)
