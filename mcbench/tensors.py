"""Safetensors files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from mcbench.errors import ResultError

__all__ = ["write_tensors"]


def write_tensors(arrays: Mapping[str, npt.NDArray[Any]], metadata: dict[str, str], path: Path) -> None:
    """Write arrays beside their place and rename them over it.

    Raises:
        ResultError: if the disk is full or the place cannot be written to; what was there before stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        safetensors.numpy.save_file(contiguous, temporary, metadata=metadata or None)
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ResultError(f"{path}: cannot be written ({error}); free space there") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
