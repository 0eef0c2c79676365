"""Weights files as users have them: good ones in every dress, and broken, wrong and hostile ones."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from mcbench.backbones import load_backbone
from mcbench.backbones.state import read_state
from mcbench.errors import WeightsError

State = dict[str, Tensor]


@pytest.fixture
def alexnet(checkpoint: Callable[[str], State]) -> State:
    """The smallest of the networks' state dicts."""
    return checkpoint("alexnet")


def load_fails(path: Path, words: str, name: str = "alexnet") -> None:
    with pytest.raises(WeightsError, match=words) as error:
        load_backbone(name, str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def same_tensors(network: Any, state: State) -> bool:
    own = network.state_dict()
    return all(torch.equal(own[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    "dress", ["plain", "checkpoint", "parallel", "safetensors", "legacy", "with-classifier", "double"]
)
def test_a_state_dict_loads_in_every_dress(dress: str, alexnet: State, tmp_path: Path) -> None:
    path = tmp_path / ("w.safetensors" if dress == "safetensors" else "w.pth")
    if dress == "safetensors":
        safetensors.torch.save_file(alexnet, path)
    elif dress == "checkpoint":
        torch.save({"epoch": 3, "arch": "alexnet", "state_dict": alexnet, "optimizer": {"state": {}}}, path)
    elif dress == "parallel":
        torch.save({"state_dict": OrderedDict((f"module.{key}", value) for key, value in alexnet.items())}, path)
    elif dress == "with-classifier":
        torch.save(alexnet | {"classifier.1.weight": torch.zeros(3, 2)}, path)
    elif dress == "double":
        torch.save({key: value.double() for key, value in alexnet.items()}, path)
    else:
        torch.save(alexnet, path, _use_new_zipfile_serialization=dress == "plain")
    network = load_backbone("alexnet", str(path))
    assert same_tensors(network, alexnet)
    assert network.record.kind == "custom"


class _OldTensor:
    """Pickles as a tensor of 2017 does: on a GPU, through `_rebuild_tensor`."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        shape, strides = tuple(self.values.shape), self.values.contiguous().stride()
        return torch._utils._rebuild_tensor, (_OldStorage(self.values), 0, shape, strides)


class _OldStorage:
    def __init__(self, values: Tensor) -> None:
        self.values = values


def save_as_in_2017(content: Any, path: Path) -> None:
    """What torch 0.2 wrote: magic number, protocol, system, the pickle, the storages' keys, the storages."""
    storages: dict[str, Tensor] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, _OldStorage):
                return None
            key = str(id(value.values))
            storages[key] = value.values
            return ("storage", torch.cuda.FloatStorage, key, "cuda:0", value.values.numel(), None)

    body = io.BytesIO()
    Pickler(body, protocol=2).dump(content)
    with path.open("wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, file, protocol=2)
        file.write(body.getvalue())
        pickle.dump(sorted(storages), file, protocol=2)
        for key in sorted(storages):
            file.write(struct.pack("<q", storages[key].numel()) + storages[key].contiguous().numpy().tobytes())


def test_a_checkpoint_of_2017_loads_without_a_gpu(tmp_path: Path) -> None:
    """The 3D-ResNet was published in that form; the installed torch must still read it with `weights_only`."""
    path = tmp_path / "old.pth"
    values = torch.arange(6.0).view(2, 3)
    optimizer = {"param_groups": [{"lr": 1e-4, "params": [1]}], "state": {1: {"momentum_buffer": _OldTensor(values)}}}
    content = {"epoch": 1, "arch": "resnet-50", "optimizer": optimizer}
    save_as_in_2017(content | {"state_dict": OrderedDict({"module.conv1.weight": _OldTensor(values)})}, path)
    with path.open("rb") as file:
        state = read_state(file, path)
    assert list(state) == ["conv1.weight"]
    assert torch.equal(state["conv1.weight"], values)


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(new_format: bool, alexnet: State, tmp_path: Path) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "ran"
    torch.save(alexnet | {"extra": _Attack(mark)}, path, _use_new_zipfile_serialization=new_format)
    load_fails(path, "holds more than tensors")
    path.write_bytes(pickle.dumps(_Attack(mark)))
    load_fails(path, "cannot be loaded")
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists(), "the attack would have worked"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_and_empty_files_are_refused(suffix: str, alexnet: State, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(alexnet, path)
    else:
        safetensors.torch.save_file(alexnet, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:100], b"", b"<!DOCTYPE html><html>Sign in</html>"):
        path.write_bytes(content)
        load_fails(path, "cannot be loaded as plain weights")


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {}, {1: torch.zeros(3)}, {"a": 1.5}])
def test_files_with_something_else_are_refused(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(content, path)
    load_fails(path, "state dict")


def test_keys_that_are_missing_or_unknown_are_named(alexnet: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({key: value for key, value in alexnet.items() if not key.endswith("bias")}, path)
    load_fails(path, r"lacks features.0.bias, features.3.bias, features.6.bias and 2 more")
    torch.save(alexnet | {"head.weight": torch.zeros(1)}, path)
    load_fails(path, "has the unknown head.weight")
    torch.save(alexnet, path)
    load_fails(path, "lacks", name="vgg16")


def test_wrong_shapes_and_values_are_named(alexnet: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(alexnet | {"features.3.bias": torch.zeros(5)}, path)
    load_fails(path, r"features.3.bias has shape \(5,\), not \(192,\)")
    for value in (torch.full((192,), float("nan")), torch.zeros(192, dtype=torch.int64)):
        torch.save(alexnet | {"features.3.bias": value}, path)
        load_fails(path, "features.3.bias holds values that are not finite numbers")


@pytest.mark.parametrize("counters", [True, False])
def test_counters_of_batches_may_be_there_or_not(
    counters: bool, checkpoint: Callable[[str], State], tmp_path: Path
) -> None:
    state, path = dict(checkpoint("i3d")), tmp_path / "i3d.pt"
    assert not any(key.endswith("num_batches_tracked") for key in state)
    if counters:
        norms = [key.removesuffix("running_mean") for key in state if key.endswith("running_mean")]
        state |= {f"{norm}num_batches_tracked": torch.tensor(9) for norm in norms}
    torch.save(state, path)
    assert load_backbone("i3d", str(path)).record.kind == "custom"
