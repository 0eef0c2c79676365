"""I3D and the 3D-ResNet-50 against plain functional networks written from their papers' tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from backbone_samples import picture
from torch import Tensor
from torch.nn import functional

from mcbench.backbones import _network_class, load_backbone
from mcbench.backbones.i3d import pool
from mcbench.backbones.resize import resize_pillow
from mcbench.backbones.weights import REGISTRY

State = dict[str, Tensor]

R3D_MEAN = torch.tensor([114.7748, 107.7354, 99.4750]).view(3, 1, 1)


def norm(x: Tensor, state: State, key: str, epsilon: float) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{key}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(x, mean, variance, weight, bias, eps=epsilon)


def same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """TensorFlow's "same" padding with zeros, the odd one behind."""
    padding: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding)


def plain_i3d(state: State, x: Tensor) -> Tensor:
    def unit(x: Tensor, key: str, stride: int = 1) -> Tensor:
        weight = state[f"{key}.conv3d.weight"]
        x = functional.conv3d(same(x, tuple(weight.shape[2:]), (stride,) * 3), weight, stride=stride)
        return norm(x, state, f"{key}.bn", 1e-3).relu()

    def max_pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        return functional.max_pool3d(same(x, kernel, stride), kernel, stride)

    def mixed(x: Tensor, key: str) -> Tensor:
        three = unit(unit(x, f"{key}.b1a"), f"{key}.b1b")
        other_three = unit(unit(x, f"{key}.b2a"), f"{key}.b2b")
        pooled = unit(max_pool(x, (3, 3, 3), (1, 1, 1)), f"{key}.b3b")
        return torch.cat([unit(x, f"{key}.b0"), three, other_three, pooled], dim=1)

    x = max_pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = max_pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = max_pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = mixed(mixed(max_pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")
    logits = functional.conv3d(x.mean((3, 4), keepdim=True), state["logits.conv3d.weight"], state["logits.conv3d.bias"])
    return logits.mean(2).flatten(1)


def plain_r3d50(state: State, x: Tensor) -> Tensor:
    def conv(x: Tensor, key: str, stride: int | tuple[int, ...] = 1, padding: int = 0) -> Tensor:
        return functional.conv3d(x, state[f"{key}.weight"], stride=stride, padding=padding)

    x = norm(conv(x, "conv1", (1, 2, 2), 3), state, "bn1", 1e-5).relu()
    x = functional.max_pool3d(functional.pad(x, (1,) * 6, value=-math.inf), 3, 2)
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            key, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            out = norm(conv(x, f"{key}.conv1"), state, f"{key}.bn1", 1e-5).relu()
            out = norm(conv(out, f"{key}.conv2", stride, 1), state, f"{key}.bn2", 1e-5).relu()
            out = norm(conv(out, f"{key}.conv3"), state, f"{key}.bn3", 1e-5)
            if block == 0:
                x = norm(conv(x, f"{key}.downsample.0", stride), state, f"{key}.downsample.1", 1e-5)
            x = (x + out).relu()
    assert x.shape[1:] == (2048, 1, 4, 4)
    return x.mean((2, 3, 4))


@pytest.mark.parametrize("name", ["i3d", "r3d50"])
def test_a_published_checkpoint_gives_the_papers_features(
    name: str, checkpoint: Callable[[str], State], tmp_path: Path
) -> None:
    """From frames to features, through a file in the published layout."""
    state = checkpoint(name)
    frames = np.stack([np.roll(picture(0, 120, 160), 3 * index, axis=1) for index in range(16)])
    resized = resize_pillow(torch.from_numpy(frames), {"i3d": 224, "r3d50": 112}[name])
    with torch.no_grad():
        if name == "i3d":
            torch.save(state, tmp_path / "w")
            expected = plain_i3d(state, (resized / 127.5 - 1).transpose(0, 1)[None])
        else:
            wrapped = {f"module.{key}": value for key, value in state.items()}
            classifier = {"module.fc.weight": torch.zeros(400, 2048), "module.fc.bias": torch.zeros(400)}
            torch.save({"state_dict": wrapped | classifier}, tmp_path / "w")
            expected = plain_r3d50(state, (resized - R3D_MEAN).transpose(0, 1)[None])
    network = load_backbone(name, str(tmp_path / "w"))
    prepared = network.prepare(frames)
    features = network.features(prepared[None])
    assert prepared.shape == (16, 3, network.input_size, network.input_size)
    assert features.shape == expected.shape == (1, network.dimension)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_preparation_is_the_same_frame_by_frame(backbone: Callable[[str], object]) -> None:
    frames = np.stack([picture(seed, 64, 64) for seed in range(3)])
    for name in ("i3d", "r3d50"):
        network = backbone(name)
        resized = resize_pillow(torch.from_numpy(frames), network.input_size)
        expected = resized / 127.5 - 1 if name == "i3d" else resized - R3D_MEAN
        assert torch.equal(network.prepare(frames), expected)
        assert torch.equal(network.prepare(frames)[2:], network.prepare(frames[2:]))


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((8, 12, 12), (1, 3, 3), (1, 2, 2)), ((8, 6, 6), (3, 3, 3), (2, 2, 2)), ((4, 6, 6), (2, 2, 2), (2, 2, 2))],
)
def test_pools_are_tensorflows_same_pools(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    """Against loops: output i covers inputs i * s - before onwards, zeros outside."""
    x = np.abs(np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    before = [max((math.ceil(n / s) - 1) * s + k - n, 0) // 2 for n, k, s in zip(shape, kernel, stride, strict=True)]
    expected = np.zeros([math.ceil(n / s) for n, s in zip(shape, stride, strict=True)], np.float32)
    for place in np.ndindex(expected.shape):
        for offset in np.ndindex(*kernel):
            source = tuple(i * s - b + o for i, s, b, o in zip(place, stride, before, offset, strict=True))
            inside = all(0 <= position < n for position, n in zip(source, shape, strict=True))
            expected[place] = max(expected[place], x[source] if inside else 0)
    np.testing.assert_array_equal(pool(torch.from_numpy(x)[None, None], kernel, stride)[0, 0].numpy(), expected)


def test_parameters_and_published_sizes() -> None:
    """12.7 M and 46.2 M are the known counts; and each published file has room for just these tensors."""
    parameters, overhead = {}, {}
    classifier = 400 * 2048 + 400
    for name in ("i3d", "r3d50"):
        with torch.device("meta"):
            network = _network_class(name)()
        parameters[name] = sum(tensor.numel() for tensor in network.parameters())
        values = sum(tensor.numel() for tensor in network.state_dict().values() if tensor.is_floating_point())
        if name == "r3d50":
            # The file also holds the momenta of all parameters, and the classifier among them.
            values += parameters[name] + 2 * classifier
        overhead[name] = REGISTRY[name].size - 4 * values
    assert parameters == {"i3d": 12_697_264, "r3d50": 46_198_976}
    assert all(0 < rest < 100_000 for rest in overhead.values()), overhead


def test_other_windows_are_refused(backbone: Callable[[str], object]) -> None:
    network = backbone("r3d50")
    for windows in (
        torch.zeros(1, 15, 3, 112, 112),
        torch.zeros(16, 3, 112, 112),
        torch.zeros(1, 16, 3, 224, 224),
        torch.zeros(1, 16, 3, 112, 112, dtype=torch.uint8),
    ):
        with pytest.raises(ValueError, match=r"r3d50 takes float32 windows of shape \(B, 16, 3, 112, 112\)"):
            network.features(windows)
