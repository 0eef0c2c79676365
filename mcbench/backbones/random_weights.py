"""`random@1`: weights drawn from the tensors' names, the same on every machine and under every version of a library.

They make the whole path run where the published files cannot be had. Numbers measured with them are comparable among
themselves and with nothing else.

The recipe, for a tensor of n weights with key k in the network's state dict:

- the first 8n bytes of SHAKE-256(k in UTF-8) are read as an 8 x n array of bytes, uniform on 0..255;
- its columns are summed: eight uniforms are near to normal (Irwin-Hall), with mean 1020 and variance 8 * 65535 / 12;
- minus 1020, times sqrt(2 / fan_in) / sqrt(8 * 65535 / 12) in float64, rounded to float32 (He et al. 2015 give the
  factor sqrt(2 / fan_in), which keeps the variance through ReLU layers); fan_in is the number of weights over the
  number of output channels.

Biases are 0. Norms have weight 1, bias 0, mean 0, variance 1, except that the last norm of a residual branch (`bn3`)
has weight 0.25, or features would grow with depth. Everything up to the one multiplication is integer arithmetic.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["RANDOM_SHA256", "random_state", "state_digest"]

_UNIFORMS = 8
_MEAN_OF_SUM = _UNIFORMS * 255 // 2
_VARIANCE_OF_SUM = _UNIFORMS * (256**2 - 1) / 12
_RESIDUAL_NORM_WEIGHT = 0.25
_BLOCK = 1 << 15
"""Weights that are worked on at a time."""

RANDOM_SHA256 = {
    "inception": "cc54e572fefc400ffecf8c87d3eddc6726da73269e8a353e52276bb73f8efc5f",
    "vgg16": "1b2627c3883d0eefe787e2752160defd3dddaaf0780c35ca9c21935568a531de",
    "alexnet": "7e31768a98eafe42948882f424e7546a62f3ab41e87d42d8ab9128bc33b4b5cd",
    "r3d50": "8e1851857503db5b988fa5c42de35e9b7ff56d8152d9609b20a2c352205cd351",
    "i3d": "86cc26b5ca3bf8effdd356aede69e5d1f380d6ebc64c9954de4cec3dc6784b57",
}
"""Digest of each backbone's drawn tensors: a machine that draws others must not report `random@1`."""


def random_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[np.float32]]:
    """Draw the tensors of a network.

    Args:
        shapes: state-dict keys (without `num_batches_tracked`) and the shapes of their tensors.

    Returns:
        float32 arrays under the same keys.
    """
    return {key: _draw(key, shape) for key, shape in shapes.items()}


def state_digest(state: Mapping[str, npt.NDArray[np.float32]]) -> str:
    """SHA-256 (hexadecimal) over the tensors sorted by key: each key in UTF-8, then its little-endian float32 bytes."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(state[key], dtype="<f4").data)
    return digest.hexdigest()


def _draw(key: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    parent, _, leaf = key.rpartition(".")
    if leaf in ("bias", "running_mean"):
        return np.zeros(shape, np.float32)
    if leaf == "running_var":
        return np.ones(shape, np.float32)
    if len(shape) == 1:
        weight = _RESIDUAL_NORM_WEIGHT if parent.rpartition(".")[2] == "bn3" else 1.0
        return np.full(shape, weight, np.float32)
    count = math.prod(shape)
    fan_in = count // shape[0]
    stream = hashlib.shake_256(key.encode()).digest(_UNIFORMS * count)
    uniforms = np.frombuffer(stream, np.uint8).reshape(_UNIFORMS, count)
    scale = math.sqrt(2 / fan_in) / math.sqrt(_VARIANCE_OF_SUM)
    drawn = np.empty(count, np.float32)
    # In blocks that stay in the processor's cache: whole, this takes longer than the drawing.
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        sums = uniforms[:, block].sum(axis=0, dtype=np.int16)
        sums -= np.int16(_MEAN_OF_SUM)
        drawn[block] = np.multiply(sums, scale, dtype=np.float64)
    return drawn.reshape(shape)
