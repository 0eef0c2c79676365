"""What the tests share: networks with random weights, each built once, and checkpoints that look published."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mcbench.backbones import _network_class, load_backbone
from mcbench.backbones.random_weights import random_state
from mcbench.backbones.state import tensor_shapes


@pytest.fixture(scope="session")
def backbone() -> Callable[[str], Any]:
    """`random@1` networks by name."""
    return functools.cache(lambda name: load_backbone(name, "random@1"))


@pytest.fixture(scope="session")
def checkpoint() -> Callable[[str], dict[str, Tensor]]:
    """Tensors in the published layout whose norms, unlike those of `random@1`, all matter, without counters."""

    @functools.cache
    def make(name: str) -> dict[str, Tensor]:
        with torch.device("meta"):
            network = _network_class(name)()
        state = {key: torch.from_numpy(value) for key, value in random_state(tensor_shapes(network.core())).items()}
        random = np.random.default_rng(7)
        for key, value in state.items():
            if value.ndim != 1 or (name in ("vgg16", "alexnet") and key.endswith("bias")):
                continue
            if key.endswith(("running_mean", "bias")):
                drawn = random.normal(0, 0.1, len(value))
            elif key.endswith("running_var"):
                # Small enough for the epsilon of 1e-3 to be felt.
                drawn = random.uniform(0.005, 1.5, len(value))
            else:
                drawn = random.uniform(0.3, 0.9, len(value))
            state[key] = torch.from_numpy(drawn).float()
        return state

    return make
