"""A weights file, opened without running anything in it and without loading it whole."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from fypv2.errors import CheckpointError

__all__ = ["TensorFile", "open_tensors"]

_READ_BYTES = 1 << 22
_POINTER = b"version https://git-lfs"
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass
class TensorFile:
    """An open weights file.

    Attributes:
        path: of the file.
        size: bytes.
        sha256: of the whole file.
        shapes: shape of each tensor by its key in the file.
        set_aside: entries beside the tensors that a trainer leaves in a checkpoint, such as a step count; unused.
    """

    path: Path
    size: int
    sha256: str
    shapes: dict[str, tuple[int, ...]]
    set_aside: tuple[str, ...] = ()
    _source: Any = field(default=None, repr=False)

    def dtypes(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Types of some tensors, each once, by name."""
        if isinstance(self._source, dict):
            names = {str(self._source[key].dtype).removeprefix("torch.") for key in keys}
        else:
            names = {_TYPES.get(code := self._source.get_slice(key).get_dtype(), code) for key in keys}
        return tuple(sorted(names))

    def tensor(self, key: str) -> Tensor:
        """A tensor, on the CPU; its numbers are read from the file when they are used.

        Raises:
            CheckpointError: if it holds numbers that are not floating, or not finite.
        """
        tensor: Tensor = self._source[key] if isinstance(self._source, dict) else self._source.get_tensor(key)
        if not tensor.is_floating_point():
            raise CheckpointError(
                f"{self.path}: {key} holds {str(tensor.dtype).removeprefix('torch.')}; "
                "quantised weights cannot be trained on, take the file in float16 or float32"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{self.path}: {key} holds numbers that are not finite; take an undamaged file")
        return tensor


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a `.safetensors` file, or one that `torch.save` wrote: a state dict, alone or under `state_dict`.

    A pickle is read by `torch.load(weights_only=True)` and by nothing else, so that code in it is refused, not run.

    Args:
        path: of the file.

    Raises:
        CheckpointError: if it is missing, damaged, or holds more than tensors.
    """
    try:
        size, sha256 = path.stat().st_size, _sha256(path)
        with path.open("rb") as file:
            head = file.read(len(_POINTER))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    if head == _POINTER:
        raise CheckpointError(f"{path}: a Git LFS pointer, not the weights; run `git lfs pull` in its folder")
    if path.suffix == ".safetensors":
        try:
            opened = safetensors.safe_open(path, framework="pt", device="cpu")
        except Exception as error:  # a damaged header can make the parser raise anything
            raise CheckpointError(_damaged(path, size, error)) from error
        with opened as source:
            shapes = {key: tuple(source.get_slice(key).get_shape()) for key in source.keys()}  # noqa: SIM118
            if not shapes:
                raise CheckpointError(f"{path}: holds no tensors; name the part's weights")
            yield TensorFile(path, size, sha256, shapes, (), source)
        return
    state, set_aside = _unpickle(path, size)
    yield TensorFile(path, size, sha256, {key: tuple(t.shape) for key, t in state.items()}, set_aside, state)


def _unpickle(path: Path, size: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old forms of files, which either load or are the error below
            # Only archives can be mapped instead of being read into memory.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors ({_first_words(error)}); nothing in it was run; "
            "take the .safetensors file of the same weights"
        ) from error
    except Exception as error:  # a damaged archive can make the reader raise anything
        raise CheckpointError(_damaged(path, size, error)) from error
    set_aside: tuple[str, ...] = ()
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        set_aside = tuple(str(key) for key in content if key != "state_dict")
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds no state dict; save the network's state_dict() there")
    odd = [key for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(f"{path}: is not a state dict, {odd[0]!s} is no tensor; save the network's state_dict()")
    return dict(content), set_aside


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, size: int, error: Exception) -> str:
    return f"{path}: damaged, or cut off at {size} bytes ({_first_words(error)}); fetch it again"


def _first_words(error: Exception) -> str:
    """The error's first sentence, without the library's advice to trust the file."""
    text = " ".join(str(error).split())
    for start in ("WeightsUnpickler error: ", "Error while deserializing header: "):
        text = text.partition(start)[2] or text
    return text.partition(". ")[0][:160].rstrip(". ") or type(error).__name__
