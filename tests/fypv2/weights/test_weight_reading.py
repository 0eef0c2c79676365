"""Weights files that are damaged, hostile, or not what they are called."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from fypv2.errors import CheckpointError
from fypv2.weights.reading import open_tensors


def refusal(path: Path) -> str:
    """The line that a file is refused with."""
    with pytest.raises(CheckpointError) as caught, open_tensors(path):
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


class Bomb:
    """An object whose unpickling would touch a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "touched"
    path = tmp_path / "bomb.ckpt"
    torch.save(
        {"state_dict": {"weight": torch.zeros(2)}, "callbacks": Bomb(target)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    text = refusal(path)
    assert "holds more than tensors" in text
    assert "nothing in it was run" in text
    assert not target.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert target.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_is_read_with_its_other_entries_set_aside(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.ckpt"
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"epoch": 3, "state_dict": {"a.weight": weight}}, path, _use_new_zipfile_serialization=zipped)
    with open_tensors(path) as file:
        assert file.shapes == {"a.weight": (2, 3)}
        assert file.set_aside == ("epoch",)
        assert torch.equal(file.tensor("a.weight"), weight)
        assert file.dtypes(["a.weight"]) == ("float32",)
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.size == path.stat().st_size


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    state = {"a": torch.randn(2, 3).half(), "b": torch.randn(4).bfloat16(), "c": torch.tensor(1.5)}
    safetensors.torch.save_file(state, path)
    with open_tensors(path) as file:
        assert file.shapes == {"a": (2, 3), "b": (4,), "c": ()}
        assert file.dtypes(["a", "b"]) == ("bfloat16", "float16")
        assert torch.equal(file.tensor("a"), state["a"])


@pytest.mark.parametrize("kept", [0, 5, 40, 0.5, 0.99])
@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    state = {"a.weight": torch.randn(64, 64), "b.weight": torch.randn(64)}
    if name.endswith(".ckpt"):
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    content = path.read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    path.write_bytes(content[:size])
    assert f"cut off at {size} bytes" in refusal(path) or "more than tensors" in refusal(path)


def test_other_contents_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "no.safetensors"
    assert "cannot be read (No such file" in refusal(missing)
    pointer = tmp_path / "pointer.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167540\n")
    assert "Git LFS pointer" in refusal(pointer)
    empty = tmp_path / "empty.safetensors"
    safetensors.torch.save_file({}, empty)
    assert "no tensors" in refusal(empty)
    listed = tmp_path / "list.pt"
    torch.save([torch.zeros(2)], listed)
    assert "holds no state dict" in refusal(listed)
    mixed = tmp_path / "mixed.pt"
    torch.save({"weight": torch.zeros(2), "steps": 3}, mixed)
    assert "steps is no tensor" in refusal(mixed)


def test_numbers_that_cannot_be_trained_on_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    state = {"whole": torch.zeros(3, dtype=torch.int8), "nan": torch.tensor([0.0, float("nan")])}
    safetensors.torch.save_file(state, path)
    with open_tensors(path) as file:
        with pytest.raises(CheckpointError, match="whole holds int8"):
            file.tensor("whole")
        with pytest.raises(CheckpointError, match="nan holds numbers that are not finite"):
            file.tensor("nan")
