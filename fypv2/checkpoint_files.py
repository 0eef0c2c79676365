"""What lies in a checkpoint's folders, held against its config before any of it is loaded.

The libraries that load it fill a lacking tensor with noise, leave a surplus one out, and follow what a part's own files
say: another precision, another schedule, files elsewhere. Here a checkpoint is what its settings say, or refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from torch import nn

from fypv2.config import ModelConfig
from fypv2.errors import CheckpointError
from fypv2.model.build import build_feature_extractor, build_parts, build_scheduler

__all__ = ["check_files"]

_TYPES = ("F64", "F32", "F16", "BF16")
_MOST_BYTES = 16 << 20
# Notes of the libraries about themselves and about how a file was written; none changes what a part computes.
_NOTES = ("architectures", "dtype", "torch_dtype", "transformers_version", "model_type", "image_processor_type")


def check_files(folder: Path, config: ModelConfig, *, motion: bool) -> None:
    """Hold every part's weights and configuration against the checkpoint's settings; only headers are read.

    Args:
        folder: of the checkpoint.
        config: its settings.
        motion: whether its denoiser has motion modules.

    Raises:
        CheckpointError: for a tensor that is missing, too many, twice, of another shape, or of integers; a shard that
            lies elsewhere; or a part whose own configuration says something else than the settings.
    """
    for name, part in build_parts(config, device="meta", motion=motion).items():
        own: Any = part.config
        said = _read_object(folder / name / "config.json")
        if said.get("quantization_config"):
            raise CheckpointError(f"{folder}: {name} is quantised; take the checkpoint in float16 or float32")
        _compare(folder, f"{name}/config.json", said, own.to_dict() if hasattr(own, "to_dict") else own)
        _check_tensors(folder, name, part)
    for place, made in (
        ("scheduler/scheduler_config.json", dict(build_scheduler(config).config)),
        ("feature_extractor/preprocessor_config.json", build_feature_extractor(config).to_dict()),
    ):
        _compare(folder, place, _read_object(folder / place), made)


def _check_tensors(folder: Path, name: str, part: nn.Module) -> None:
    files = sorted((folder / name).glob("*.safetensors"))
    for index in (folder / name).glob("*.index.json"):
        shards = _read_object(index).get("weight_map")
        if not isinstance(shards, dict) or not set(map(str, shards.values())) <= {file.name for file in files}:
            raise CheckpointError(f"{index}: names shards that do not lie beside it; copy the whole checkpoint")
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        try:
            with safetensors.safe_open(file, framework="pt") as content:
                for key in content.keys():  # noqa: SIM118
                    view = content.get_slice(key)
                    if view.get_dtype() not in _TYPES:
                        raise CheckpointError(f"{file}: {key} holds {view.get_dtype()}, not floating numbers")
                    if key in found:
                        raise CheckpointError(f"{file}: {key} is in another file too; leave one of them")
                    found[key] = tuple(view.get_shape())
        except (OSError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{file}: cannot be loaded ({' '.join(str(error).split())})") from error
    wanted = {key: tuple(tensor.shape) for key, tensor in part.state_dict().items()}
    faults = [
        *(f"lacks {key}" for key in wanted if key not in found),
        *(f"has {key}, which the model does not" for key in found if key not in wanted),
        *(
            f"has {key} of shape {found[key]}, the model {shape}"
            for key, shape in wanted.items()
            if found.get(key, shape) != shape
        ),
    ]
    if faults:
        more = f" ({len(faults)} such faults)" if len(faults) > 1 else ""
        raise CheckpointError(f"{folder}: {name} {faults[0]}{more}; it is damaged, or not of its config")


def _compare(folder: Path, place: str, said: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """What both name must be the same; versions of the libraries add and drop defaults."""
    for key, value in said.items():
        if key.startswith("_") or key in _NOTES or key not in made:
            continue
        expected = json.loads(json.dumps(made[key], default=dict))
        if value != expected:
            raise CheckpointError(
                f"{folder / place}: '{key}' is {json.dumps(value):.60}, by the checkpoint's settings"
                f" {json.dumps(expected):.60}; they must agree"
            )


def _read_object(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{file}: larger than any such file; not read")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot be read ({' '.join(str(error).split()):.200})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: not an object; copy the whole checkpoint")
    return content
