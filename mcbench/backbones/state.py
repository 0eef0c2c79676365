"""From a weights file to a network's tensors: read without running anything in it, checked key by key."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor, nn

from mcbench.errors import WeightsError

__all__ = ["fill", "read_state", "tensor_shapes"]

_COUNTER = "num_batches_tracked"
_SHOWN = 3


def read_state(file: BinaryIO, path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU, by key.

    `.safetensors`, or what `torch.save` writes: a state dict, or a checkpoint that holds one under `state_dict`. The
    prefix `module.` of data-parallel training is taken off. `torch.load` runs with `weights_only=True` in every case.

    Args:
        file: the open file, at its beginning.
        path: its path, for messages and for the kind of file.

    Raises:
        WeightsError: if it holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load(file.read())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about odd formats, which either load or are the error below
                content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or hostile file can make a parser raise anything
        reason = str(error).strip().partition("\n")[0][:120]
        raise WeightsError(
            f"{path} cannot be loaded as plain weights, it is damaged or holds more than tensors "
            f"({type(error).__name__}: {reason}); save it anew as a state dict or as .safetensors"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content or not all(isinstance(key, str) for key in content):
        raise WeightsError(f"{path} holds no state dict; save the network's state_dict() there")
    if odd := [key for key, value in content.items() if not isinstance(value, Tensor)]:
        raise WeightsError(f"{path} is not a state dict: {_names(odd)} is no tensor; save the network's state_dict()")
    return {key.removeprefix("module."): value for key, value in content.items()}


def tensor_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the tensors that a weights file must give, in the network's order."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}


def fill(network: nn.Module, state: Mapping[str, Tensor], unused: tuple[str, ...], origin: str) -> None:
    """Put tensors into a network that was built on the meta device.

    Counters of training batches may be missing, and are not used. Everything else must fit exactly.

    Args:
        network: takes the tensors as float32.
        state: tensors by key.
        unused: beginnings of keys that published files hold and the network does not use.
        origin: where the tensors are from, for messages.

    Raises:
        WeightsError: if keys are missing or unknown, a shape differs, or a value is not a finite number.
    """
    shapes = tensor_shapes(network)
    given = {key: value for key, value in state.items() if not key.endswith(_COUNTER) and not key.startswith(unused)}
    if missing := [key for key in shapes if key not in given]:
        raise WeightsError(f"{origin} is not for this network: it lacks {_names(missing)}")
    if unknown := [key for key in given if key not in shapes]:
        raise WeightsError(f"{origin} is not for this network: it has the unknown {_names(unknown)}")
    for key, shape in shapes.items():
        if tuple(given[key].shape) != shape:
            raise WeightsError(
                f"{origin} is not for this network: {key} has shape {tuple(given[key].shape)}, not {shape}"
            )
        if not given[key].is_floating_point() or not bool(torch.isfinite(given[key]).all()):
            raise WeightsError(f"{origin} is damaged: {key} holds values that are not finite numbers")
    tensors = {key: given[key].to(torch.float32) for key in shapes}
    counters = {key: torch.tensor(0) for key in network.state_dict() if key.endswith(_COUNTER)}
    network.load_state_dict(tensors | counters, strict=True, assign=True)


def _names(keys: list[str]) -> str:
    rest = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
