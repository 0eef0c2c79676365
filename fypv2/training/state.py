"""Checkpoints of a run: everything that continues it, as safetensors and JSON, whole or not at all.

    OUT/checkpoints/step-000500/state.json         step, settings, digests
                                model.safetensors  what learns
                                ema.safetensors    its average
                                optimiser.safetensors
    OUT/model/                                     the averaged weights as a model, as `save_pipeline` writes it

There is no state of random numbers: all chance is drawn from the seed and the number of a sample.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from fypv2.permissions import open_permissions
from fypv2.training.errors import TrainingError

__all__ = [
    "Average",
    "Saved",
    "full",
    "last_checkpoint",
    "load_tensors",
    "optimiser_tensors",
    "restore_optimiser",
    "save",
    "write_text",
]

_STATE = "state.json"
_STEP = re.compile(r"step-(\d{6,})")
_SCHEMA = "fypv2.training/1"


class Average:
    """The exponential moving average of what learns.

    It begins as a plain mean: an average that starts at the fresh weights would hold on to them for thousands of steps.

    Args:
        module: whose parameters that need a gradient are averaged, in float32.
        decay: the most that is kept of the average in one step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = learning_parameters(module)
        self.values = {name: parameter.detach().clone() for name, parameter in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimiser step `step`, counted from 1."""
        # (1 + n) / (10 + n): a tenth of the run's length is remembered until the decay itself is longer (TensorFlow's
        # ExponentialMovingAverage).
        decay = min(self.decay, (1 + step) / (10 + step))
        held, live = list(self.values.values()), [parameter.detach() for parameter in self._live.values()]
        torch._foreach_lerp_(held, live, 1 - decay)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up a saved average."""
        _copy_into(self.values, tensors, "ema.safetensors")


class Saved:
    """A checkpoint on disk.

    Args:
        folder: `step-…`.

    Raises:
        TrainingError: if it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            if self.state["schema"] != _SCHEMA:
                raise TrainingError(f"{folder}: of schema {self.state['schema']!r:.40}, this version writes {_SCHEMA}")
            self.step = int(self.state["step"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{folder}: damaged ({error!r:.80}); remove it to go on from the one before") from error

    def tensors(self, name: str) -> dict[str, Tensor]:
        """`model`, `ema` or `optimiser`.

        Raises:
            TrainingError: if it cannot be read.
        """
        file = self.folder / f"{name}.safetensors"
        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            why = " ".join(str(error).split())
            raise TrainingError(f"{file}: damaged ({why}); remove its folder to go on from the one before") from error


def last_checkpoint(out: Path) -> Saved | None:
    """The last checkpoint of a run's folder; None where there is none."""
    found = _steps(out / "checkpoints")
    return Saved(found[max(found)]) if found else None


def save(
    out: Path,
    step: int,
    state: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
    keep: int,
) -> Path:
    """Write a checkpoint; older ones than the last `keep` are removed once it is there.

    Args:
        out: the run's folder.
        step: optimiser steps that are done.
        state: what else belongs to it, as JSON.
        tensors: by file name without ending.
        keep: how many checkpoints stay.

    Raises:
        TrainingError: if it cannot be written, as on a full disk; those before stay.
    """
    place = out / "checkpoints" / f"step-{step:06d}"
    temporary: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        for name, group in tensors.items():
            save_file({key: value.contiguous() for key, value in group.items()}, temporary / f"{name}.safetensors")
        text = json.dumps({"schema": _SCHEMA, "step": step, **state}, indent=2, allow_nan=False)
        (temporary / _STATE).write_text(text + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            _to_disk(file)
        open_permissions(temporary)
        if place.exists():
            shutil.rmtree(place)
        temporary.replace(place)
    except (OSError, SafetensorError) as error:
        kept = _steps(place.parent)
        last = f"the last good one is {kept[max(kept)]}" if kept else "there is none before it"
        raise TrainingError(f"{place}: cannot be written ({' '.join(str(error).split())}); {last}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    found = _steps(place.parent)
    for old in sorted(found)[:-keep]:
        shutil.rmtree(found[old], ignore_errors=True)
    return place


def learning_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that need a gradient, by their own names, whatever the module is wrapped in."""
    return {
        name.replace("_fsdp_wrapped_module.", "").removeprefix("module."): parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def full(tensors: Mapping[str, Tensor], *, wanted: bool = True) -> dict[str, Tensor]:
    """The same on the CPU, and whole where they are spread over processes; all processes must ask.

    Args:
        tensors: by name.
        wanted: False only takes part in putting them together, and gives nothing: the processes of one machine share
            its memory.
    """
    result = {}
    for name, value in tensors.items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if wanted:
            result[name] = whole.detach().to("cpu", copy=True)
    return result


@torch.no_grad()
def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set what learns.

    Raises:
        TrainingError: if names or shapes are others.
    """
    _copy_into(learning_parameters(module), tensors, "model.safetensors")


def optimiser_tensors(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter name, whole and on the CPU; all processes must ask, the first is told."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found: Any = get_optimizer_state_dict(module, optimiser, options=options)
    return {
        f"{name}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, group in found.get("state", {}).items()
        for key, value in group.items()
    }


def restore_optimiser(module: nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set the optimiser's state; its settings stay those of the run."""
    # Without the CPU, which all but the first process would find empty.
    options = StateDictOptions(full_state_dict=True)
    state: dict[str, Any] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        state.setdefault(name, {})[key] = value
    groups = get_optimizer_state_dict(module, optimiser, options=options)["param_groups"]
    set_optimizer_state_dict(module, optimiser, {"state": state, "param_groups": groups}, options=options)
    for parameter, held in optimiser.state.items():
        for key, value in held.items():
            # Fused kernels go through parameter and moments in the order of memory, which a file does not keep.
            if isinstance(value, Tensor) and value.shape == parameter.shape and not isinstance(value, DTensor):
                held[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def write_text(text: str, path: Path) -> None:
    """A file that is there as a whole or as it was before.

    Raises:
        OSError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        _to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_into(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], file: str) -> None:
    if strange := sorted(set(targets) ^ set(tensors)):
        raise TrainingError(f"{file} holds other parameters than this run trains, as {strange[0]}; use --fresh")
    for name, target in targets.items():
        value = tensors[name]
        if value.shape != target.shape:
            raise TrainingError(f"{file}: {name} is of shape {tuple(value.shape)}, not {tuple(target.shape)}")
        if isinstance(target, DTensor):
            from torch.distributed.tensor import distribute_tensor

            value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
        target.data.copy_(value)


def _steps(folder: Path) -> dict[int, Path]:
    found = {}
    for path in folder.glob("step-*") if folder.is_dir() else ():
        if match := _STEP.fullmatch(path.name):
            found[int(match[1])] = path
    return found


def _to_disk(file: Path) -> None:
    """A rename may reach the disk before what is renamed."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
