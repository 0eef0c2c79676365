"""Checkpoint folders: made fresh, written whole, and read without trusting them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from fypv2.checkpoint_files import check_files
from fypv2.config import ModelConfig
from fypv2.errors import CheckpointError, lacks_memory
from fypv2.model.build import build_feature_extractor, build_parts, build_scheduler, guider_part
from fypv2.permissions import open_permissions
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.quiet import quiet

__all__ = ["LAYOUT", "assemble", "fresh_pipeline", "load_pipeline", "read_settings", "save_pipeline"]

_GUIDER = ("fypv2.model.guiders", "Guider")
LAYOUT: dict[str, tuple[tuple[str, str], ...]] = {
    "vae": (("diffusers", "AutoencoderKL"),),
    "image_encoder": (("transformers", "CLIPVisionModelWithProjection"),),
    "feature_extractor": (("transformers", "CLIPImageProcessor"), ("transformers", "CLIPImageProcessorFast")),
    "unet": (("diffusers", "UNetMotionModel"), ("diffusers", "UNet2DConditionModel")),
    "reference_unet": (("diffusers", "UNet2DConditionModel"),),
    "scheduler": (("diffusers", "DDIMScheduler"),),
    "pose_guider": (_GUIDER,),
    "flow_guider": (_GUIDER,),
    "depth_guider": (_GUIDER,),
    "reference_pose_guider": (_GUIDER,),
}
"""What each folder of a checkpoint may hold. A checkpoint names classes; these are the only ones that are loaded."""

_INDEX = "model_index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX_BYTES = 1 << 20


def assemble(config: ModelConfig, parts: Mapping[str, Any]) -> FollowYourPosePipeline:
    """A pipeline from ready parts, named as in `fypv2.model.build.PARTS`."""
    guiders = {guider_part(name): parts.get(guider_part(name)) for name in ("flow", "depth", "reference_pose")}
    return FollowYourPosePipeline(
        vae=parts["vae"],
        image_encoder=parts["image_encoder"],
        feature_extractor=build_feature_extractor(config),
        unet=parts["unet"],
        reference_unet=parts["reference_unet"],
        scheduler=build_scheduler(config),
        pose_guider=parts["pose_guider"],
        settings=config.model_dump(mode="json"),
        **guiders,
    )


def fresh_pipeline(config: ModelConfig, seed: int = 0, *, motion: bool = True) -> FollowYourPosePipeline:
    """An untrained model, decided by its seed."""
    return assemble(config, build_parts(config, seed=seed, motion=motion))


def save_pipeline(pipeline: FollowYourPosePipeline, folder: Path, *, max_shard_size: str = "5GB") -> None:
    """Write a checkpoint folder, safetensors alone; it appears whole or not at all, and replaces one that is there.

    Raises:
        CheckpointError: if the place cannot be written to, or holds something else.
    """
    if folder.exists() and not (folder / _INDEX).is_file() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise CheckpointError(f"{folder}: holds something that is no checkpoint; name another folder")
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        with quiet():
            pipeline.save_pretrained(temporary, safe_serialization=True, max_shard_size=max_shard_size)
        open_permissions(temporary)
        _put(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be written ({_one_line(error)})") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _put(new: Path, folder: Path) -> None:
    """Into its place; the old one is deleted last, so that a kill leaves no half of either."""
    if not folder.exists():
        new.replace(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        folder.replace(old)
    except OSError:
        old.rmdir()
        raise
    try:
        new.replace(folder)
    except OSError:
        old.replace(folder)  # and where that fails too, it stays aside: it is the only one
        raise
    shutil.rmtree(old, ignore_errors=True)


def load_pipeline(
    folder: Path, *, dtype: torch.dtype = torch.float32, config: str | None = None
) -> FollowYourPosePipeline:
    """Read a checkpoint folder.

    Nothing in it is executed: the classes are fixed, and weights are safetensors.

    Args:
        folder: as `save_pipeline` or `fypv2 init` writes it.
        dtype: of the weights in memory.
        config: name of the config that it must have; None takes any.

    Raises:
        CheckpointError: if it is missing, damaged, of another model or layout, or not to be trusted; one line.
    """
    settings = read_settings(folder)
    if config is not None and settings.name != config:
        raise CheckpointError(f"{folder}: a checkpoint of the config '{settings.name}', not of '{config}'")
    _refuse_pickles(folder)
    check_files(folder, settings, motion=_has_motion(folder))
    try:
        with quiet():
            pipeline = FollowYourPosePipeline.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=True
            )
    except Exception as error:  # whatever two libraries raise at a damaged file
        if lacks_memory(error):
            raise
        raise CheckpointError(f"{folder}: cannot be loaded ({_one_line(error)})") from error
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module):
            part.requires_grad_(False).eval()
            for key, value in part.state_dict().items():
                if not bool(torch.isfinite(value).all()):
                    raise CheckpointError(
                        f"{folder}: {name}, {key} holds numbers that are not finite as {value.dtype}; it is damaged, or"
                        " too large for that type"
                    )
            # A mapped file's tensors lie at any address, and some kernels round by alignment: a loaded model would not
            # make quite the frames of the model that was saved.
            for tensor in (*part.parameters(), *part.buffers()):
                tensor.data = tensor.data.clone()
    return pipeline


def read_settings(folder: Path) -> ModelConfig:
    """The config of a checkpoint folder, once its index has been found to name nothing but this model's parts.

    Raises:
        CheckpointError: as `load_pipeline`.
    """
    index = folder / _INDEX
    if not index.is_file():
        what = "no such folder" if not folder.exists() else f"no checkpoint: it has no {_INDEX}"
        raise CheckpointError(f"{folder}: {what}; `fypv2 init` makes one")
    try:
        if index.stat().st_size > _INDEX_BYTES:
            raise CheckpointError(f"{index}: larger than any index; not read")
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{index}: cannot be read ({_one_line(error)})") from error
    if not isinstance(content, dict) or content.get("_class_name") != FollowYourPosePipeline.__name__:
        made = content.get("_class_name") if isinstance(content, dict) else None
        raise CheckpointError(
            f"{folder}: a checkpoint of {made or 'something else'}, not of Follow-Your-Pose v2;"
            " `fypv2 init` takes published parts"
        )
    for name, allowed in LAYOUT.items():
        entry = content.get(name)
        optional = name in FollowYourPosePipeline._optional_components
        if optional and entry in (None, [None, None]):
            continue
        if not isinstance(entry, list) or tuple(entry) not in allowed:
            raise CheckpointError(f"{index}: '{name}' must be {' or '.join(map('.'.join, allowed))}, not {entry!r:.80}")
        if not (folder / name).is_dir():
            raise CheckpointError(f"{folder}: the folder '{name}' is missing; copy the whole checkpoint")
    known = {*LAYOUT, "settings"}
    if more := [key for key in content if not key.startswith("_") and key not in known]:
        raise CheckpointError(f"{index}: has parts that this model does not, the first is '{more[0]!r:.80}'")
    try:
        return ModelConfig.model_validate(content.get("settings"))
    except ValueError as error:
        raise CheckpointError(f"{index}: its settings are not a config ({_one_line(error)})") from None


def _has_motion(folder: Path) -> bool:
    """Whether an index that `read_settings` took names the denoiser of stage 2."""
    return bool(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["unet"][1] == "UNetMotionModel")


def _refuse_pickles(folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.suffix in _PICKLES:
            raise CheckpointError(
                f"{file}: a pickle, which can run code; a checkpoint holds safetensors alone. `fypv2 init` converts"
            )


def _one_line(error: Any) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"
