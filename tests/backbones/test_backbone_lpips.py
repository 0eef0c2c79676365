"""LPIPS against the package lpips 0.1.4 with the same trunk."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lpips
import numpy as np
import pytest
import torch
import torchvision
from backbone_samples import picture
from torch import Tensor

import mcbench.backbones.lpips as ours
from mcbench.backbones import load_backbone
from mcbench.errors import WeightsError

SIZE = (72, 96)
NETS = {"vgg16": "vgg", "alexnet": "alex"}


def reference(name: str, state: dict[str, Tensor], spatial: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    with torch.device("meta"):
        features = getattr(torchvision.models, name)(weights=None).features
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()}, assign=True)
    monkeypatch.setattr(torchvision.models, name, lambda **_: SimpleNamespace(features=features))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=NETS[name], spatial=spatial, pnet_rand=True, verbose=False)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("signed", [True, False])
def test_distances_and_maps_are_the_packages(
    name: str,
    signed: bool,
    checkpoint: Callable[[str], Any],
    backbone: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = np.stack([picture(seed, *SIZE) for seed in range(3)])
    right = np.stack([picture(9, *SIZE), left[1], np.clip(left[2].astype(int) + 12, 0, 255).astype(np.uint8)])
    images = [torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 for frames in (left, right)]
    with torch.no_grad():
        scalar, spatial = (
            reference(name, checkpoint(name), spatial, monkeypatch)(*images, normalize=signed)
            for spatial in (False, True)
        )
    network = backbone(name)
    a, b = (network.activations(frames, signed) for frames in (left, right))
    distances = network.distance(a, b)
    assert distances.shape == (3,)
    assert distances[1] == 0
    torch.testing.assert_close(distances, scalar.flatten(), rtol=1e-5, atol=1e-6)
    assert (distances - scalar.flatten()).abs().max() < 1e-6
    maps = network.distance_map(a, b, SIZE)
    assert maps.shape == (3, *SIZE)
    assert (maps - spatial[:, 0]).abs().max() < 1e-5 * spatial.max()


def test_activations_may_be_kept_in_any_layout(backbone: Callable[[str], Any]) -> None:
    network = backbone("alexnet")
    a, b = (network.activations(picture(seed, *SIZE)[None], True) for seed in (0, 1))
    plain = tuple(layer.contiguous() for layer in a), tuple(layer.contiguous() for layer in b)
    assert torch.allclose(network.distance(a, b), network.distance(*plain), rtol=1e-6)
    assert torch.allclose(network.distance_map(a, b, SIZE), network.distance_map(*plain, SIZE), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NETS)
def test_activations_are_five_layers_of_unit_length(name: str, backbone: Callable[[str], Any]) -> None:
    network = backbone(name)
    layers = network.activations(picture(0, *SIZE)[None], True)
    assert len(layers) == 5
    assert sum(layer.shape[1] for layer in layers) == network.dimension
    for layer in layers:
        lengths = torch.linalg.vector_norm(layer, dim=1)
        assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4)


def test_more_change_is_more_distance(backbone: Callable[[str], Any]) -> None:
    network, frame = backbone("alexnet"), picture(0, *SIZE)
    noise = np.random.default_rng(1).normal(size=frame.shape)
    noisy = [np.clip(frame + amount * noise, 0, 255).astype(np.uint8) for amount in (2, 8, 32)]
    own = network.activations(frame[None], True)
    distances = [network.distance(own, network.activations(other[None], True)).item() for other in noisy]
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("name", [*NETS, "r3d50"])
def test_constants_move_with_the_network_and_are_no_weights(name: str, backbone: Callable[[str], Any]) -> None:
    network = backbone(name)
    constants = dict(network.named_buffers())
    lpips_constants = {"shift", "scale", *(f"head{layer}" for layer in range(5))}
    assert set(constants) == ({"mean"} if name == "r3d50" else lpips_constants)
    assert not set(constants) & set(network.state_dict())
    assert all(value.dtype == torch.float32 and value.device == network.device for value in constants.values())
    assert {value.device.type for value in copy.deepcopy(network).to("meta").buffers()} == {"meta"}


@pytest.mark.parametrize("name", NETS)
def test_other_heads_than_the_pinned_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "HEADS", dict.fromkeys(ours.HEADS, "0" * 64))
    with pytest.raises(WeightsError, match=r"is not the file of lpips 0\.1\.4; `pip install"):
        load_backbone(name, "random@1")
