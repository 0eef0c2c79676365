"""`random@1` is the same everywhere: pinned digests, the recipe done by hand, and what it is drawn to be."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch

from mcbench.backbones import BACKBONES, _network_class
from mcbench.backbones.random_weights import RANDOM_SHA256, random_state, state_digest
from mcbench.backbones.state import tensor_shapes

DIGESTS = {
    "inception": "cc54e572fefc400ffecf8c87d3eddc6726da73269e8a353e52276bb73f8efc5f",
    "vgg16": "1b2627c3883d0eefe787e2752160defd3dddaaf0780c35ca9c21935568a531de",
    "alexnet": "7e31768a98eafe42948882f424e7546a62f3ab41e87d42d8ab9128bc33b4b5cd",
    "r3d50": "8e1851857503db5b988fa5c42de35e9b7ff56d8152d9609b20a2c352205cd351",
    "i3d": "86cc26b5ca3bf8effdd356aede69e5d1f380d6ebc64c9954de4cec3dc6784b57",
}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_drawn_tensors_are_pinned(name: str) -> None:
    with torch.device("meta"):
        network = _network_class(name)()
    assert state_digest(random_state(tensor_shapes(network.core()))) == DIGESTS[name] == RANDOM_SHA256[name]


def test_the_recipe_by_hand() -> None:
    key, shape = "layer.conv.weight", (2, 3, 1, 2)
    drawn = random_state({key: shape})[key]
    stream = hashlib.shake_256(key.encode()).digest(8 * 12)
    fan_in = 3 * 1 * 2
    for index, value in enumerate(drawn.ravel()):
        total = sum(stream[uniform * 12 + index] for uniform in range(8))
        normal = (total - 1020) / math.sqrt(8 * (256**2 - 1) / 12)
        assert value == pytest.approx(normal * math.sqrt(2 / fan_in), rel=1e-6)


def test_weights_are_near_to_normal_with_the_variance_that_relu_keeps() -> None:
    drawn = random_state({"a.weight": (64, 100, 3, 3)})["a.weight"].astype(float) / math.sqrt(2 / 900)
    assert abs(drawn.mean()) < 0.01
    assert drawn.std() == pytest.approx(1, abs=0.01)
    # The kurtosis of a sum of eight uniforms is 3 - 6/5/8.
    assert (drawn**4).mean() == pytest.approx(2.85, abs=0.05)
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.02


def test_norms_and_biases() -> None:
    shapes = {f"{layer}.{leaf}": (4,) for layer in ("bn1", "block.bn3") for leaf in ("weight", "bias", "running_var")}
    state = random_state(shapes | {"bn1.running_mean": (4,), "conv.bias": (4,)})
    values = {key: value[0] for key, value in state.items()}
    assert values == {
        "bn1.weight": 1, "bn1.bias": 0, "bn1.running_var": 1, "bn1.running_mean": 0,
        "block.bn3.weight": 0.25, "block.bn3.bias": 0, "block.bn3.running_var": 1, "conv.bias": 0,
    }  # fmt: skip
    assert all((value == value[0]).all() for value in state.values())


def test_the_digest_covers_keys_and_bytes_in_the_order_of_keys() -> None:
    a, b = np.float32([1, 2]), np.float32([[3]])
    expected = hashlib.sha256(b"a" + a.tobytes() + b"b" + b.tobytes()).hexdigest()
    assert state_digest({"b": b, "a": a}) == expected
