"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from mcbench.errors import ResultError

__all__ = ["open_permissions", "read_tensors", "replacing", "replacing_folder", "write_tensors", "write_text"]


_SEAL = "sealed"
"""Key of the digest among the metadata: safetensors itself has none, and takes changed bytes for other numbers."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place when the body is done.

    Raises:
        ResultError: if the disk is full or the place cannot be written to; what was there before stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        open_permissions(temporary)
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise ResultError(f"{path}: cannot be written ({why}); free space there, or mend its permissions") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, kind: str, fault: Callable[[OSError], Exception]) -> Iterator[Path]:
    """A temporary folder beside `folder`, which takes its place when the body is done.

    What a killed process left beside it is removed; only one process may write a folder at a time.

    Args:
        folder: the folder to make; one that is there is replaced.
        kind: a word for the temporary folder's name.
        fault: what to raise where the folder itself cannot be made or replaced. What the body raises goes to the caller
            as it is.
    """
    temporary: Path | None = None
    try:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            for stale in folder.parent.glob(f".{escape(folder.name)}.{kind}-*"):
                shutil.rmtree(stale, ignore_errors=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.{kind}-", dir=folder.parent))
        except OSError as error:
            raise fault(error) from error
        yield temporary
        try:
            open_permissions(temporary)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
        except OSError as error:
            raise fault(error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(text: str, path: Path) -> None:
    """Write a text file, flushed to disk before it is renamed.

    Raises:
        ResultError: as `replacing`.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def write_tensors(arrays: Mapping[str, npt.NDArray[Any]], metadata: dict[str, str], path: Path) -> None:
    """Write arrays as safetensors, with a digest over all that is in them.

    The file is not flushed to disk: one that a power failure damages is told by the digest, and made again.

    Raises:
        ResultError: as `replacing`.
    """
    with replacing(path) as temporary:
        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        # One entry alone: safetensors writes several in another order each time.
        sealed = json.dumps({"sha256": _digest(contiguous, metadata), "metadata": metadata}, sort_keys=True)
        safetensors.numpy.save_file(contiguous, temporary, metadata={_SEAL: sealed})


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]] | None:
    """Arrays and metadata that `write_tensors` wrote; None where there are none, or they are not what was written."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            sealed = json.loads((file.metadata() or {})[_SEAL])
            digest, metadata = sealed["sha256"], dict(sealed["metadata"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, safetensors.SafetensorError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return (arrays, metadata) if digest == _digest(arrays, metadata) else None


def _digest(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for key, array in sorted(arrays.items()):
        digest.update(json.dumps([key, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def open_permissions(path: Path) -> None:
    """Give a temporary file or folder, which is its maker's alone, the permissions of an ordinary one."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
