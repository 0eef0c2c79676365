"""What holds for every network: its interface, its arithmetic, and features that tell images apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from backbone_samples import picture

import mcbench.backbones
from mcbench.backbones import BACKBONES, FrameBackbone, PairBackbone, WindowBackbone
from mcbench.backbones.base import BATCHES, batch_size, fitting_batch, full_precision
from mcbench.backbones.random_weights import RANDOM_SHA256
from mcbench.backbones.weights import WeightsRecord

KINDS = {
    "inception": (FrameBackbone, 2048),
    "vgg16": (PairBackbone, 1472),
    "alexnet": (PairBackbone, 1152),
    "r3d50": (WindowBackbone, 2048),
    "i3d": (WindowBackbone, 400),
}

Make = Callable[[str], Any]


def window(network: Any, seed: int) -> torch.Tensor:
    frame = picture(seed, 80, 80)
    return network.prepare(np.stack([np.roll(frame, 2 * index, axis=1) for index in range(16)]))


@pytest.fixture(scope="module")
def features(backbone: Make) -> Callable[[str], torch.Tensor]:
    """Features of four unlike images or windows, with random weights."""
    made: dict[str, torch.Tensor] = {}

    def make(name: str) -> torch.Tensor:
        if name not in made:
            network = backbone(name)
            if name == "inception":
                made[name] = network.features(np.stack([picture(seed, 80, 80) for seed in range(4)]))
            else:
                made[name] = network.features(torch.stack([window(network, seed) for seed in range(4)]))
        return made[name]

    return make


def test_the_public_names() -> None:
    assert mcbench.backbones.__all__ == [
        "BACKBONES",
        "FrameBackbone",
        "PairBackbone",
        "WindowBackbone",
        "load_backbone",
    ]
    assert all(hasattr(mcbench.backbones, name) for name in mcbench.backbones.__all__)
    assert not hasattr(mcbench.backbones, "SoundBackbone")
    assert set(BACKBONES) == set(KINDS)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_loaded_network_only_measures(name: str, backbone: Make) -> None:
    network = backbone(name)
    kind, dimension = KINDS[name]
    assert isinstance(network, kind)
    assert (network.name, network.dimension) == (name, dimension)
    assert network.record == WeightsRecord(name, "random@1", RANDOM_SHA256[name])
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())


@pytest.mark.parametrize("name", ["inception", "r3d50", "i3d"])
def test_random_features_tell_images_apart(name: str, features: Callable[[str], torch.Tensor]) -> None:
    """Neither exploded nor collapsed: unlike images differ by several percent of the features' own spread."""
    values = features(name)
    assert values.shape == (4, KINDS[name][1])
    assert torch.isfinite(values).all()
    assert 1e-2 < values.std() < 1e3
    assert values.std(dim=0).mean() / values.std() > 0.03
    assert torch.linalg.matrix_rank(values.double() - values.double().mean(dim=0)) == 3


@pytest.mark.parametrize("name", ["inception", "r3d50", "i3d"])
def test_features_do_not_depend_on_how_the_work_is_shared_out(
    name: str, backbone: Make, features: Callable[[str], torch.Tensor]
) -> None:
    """To the last bit: in whichever batch and by however many threads a prepared frame or window is measured."""
    network = backbone(name)
    if name == "inception":
        assert torch.equal(network.features(picture(1, 80, 80)[None])[0], features(name)[1])
        prepared = network.preprocess(torch.from_numpy(picture(1, 80, 80)[None]))
    else:
        prepared = window(network, 1)[None]
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            alone = network(prepared) if name == "inception" else network.features(prepared)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone[0], features(name)[1])


def test_frames_come_as_arrays_or_tensors_of_any_layout(backbone: Make) -> None:
    network = backbone("alexnet")
    frames = np.stack([picture(seed, 40, 48) for seed in range(2)])
    frozen = frames.copy()
    frozen.flags.writeable = False
    mirrored = np.ascontiguousarray(frames[:, :, ::-1])[:, :, ::-1]
    expected = network.activations(frames, True)
    for same in (torch.from_numpy(frames), frozen, mirrored, np.asfortranarray(frames)):
        assert all(torch.equal(*pair) for pair in zip(network.activations(same, True), expected, strict=True))
    assert np.array_equal(frozen, frames)


def test_no_frames_give_no_features(backbone: Make) -> None:
    assert backbone("inception").features(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 2048)
    assert backbone("i3d").features(torch.zeros(0, 16, 3, 224, 224)).shape == (0, 400)
    assert backbone("i3d").prepare(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 3, 224, 224)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 64, 64, 3), np.float32), np.zeros((64, 64, 3), np.uint8), np.zeros((1, 3, 64, 64), np.uint8)],
)
def test_other_frames_are_refused(frames: np.ndarray, backbone: Make) -> None:
    for call in (
        backbone("inception").features,
        backbone("r3d50").prepare,
        lambda frames: backbone("alexnet").activations(frames, True),
    ):
        with pytest.raises(ValueError, match=r"frames must be uint8 of shape \(N, H, W, 3\)"):
            call(frames)


def test_batches_leave_three_quarters_of_a_gpus_free_memory() -> None:
    assert set(BATCHES) == set(BACKBONES)
    for name, batch in BATCHES.items():
        assert batch_size(name, torch.device("cpu")) == batch.cpu
        enough = 4 * batch.gpu * batch.item_bytes
        assert fitting_batch(batch, enough) == fitting_batch(batch, 100 * enough) == batch.gpu
        assert fitting_batch(batch, enough - 1) == batch.gpu // 2
        assert fitting_batch(batch, 0) == 1


def test_networks_run_in_full_float32_and_leave_the_callers_settings_alone() -> None:
    # A training loop may allow TF32, by the name of torch 2.9 and later, and run under autocast.
    cudnn = torch.backends.cudnn
    has_new_name = hasattr(cudnn, "conv") and hasattr(cudnn.conv, "fp32_precision")
    place, name, loose, full = (
        (cudnn.conv, "fp32_precision", "tf32", "ieee") if has_new_name else (cudnn, "allow_tf32", True, False)
    )
    before = getattr(place, name)
    setattr(place, name, loose)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), full_precision():
            assert getattr(place, name) == full
            assert torch.is_inference_mode_enabled()
            assert torch.nn.functional.linear(torch.ones(1, 3), torch.ones(2, 3)).dtype == torch.float32
        assert getattr(place, name) == loose
        assert not torch.is_inference_mode_enabled()
    finally:
        setattr(place, name, before)


@pytest.mark.parametrize("name", ["alexnet", "r3d50"])
def test_a_default_type_that_a_method_left_behind_moves_nothing(name: str, backbone: Make) -> None:
    network = backbone(name)

    def arithmetic() -> torch.Tensor:
        frames = np.stack([picture(seed, 80, 80) for seed in range(2)])
        return network.activations(frames, signed=True)[0] if name == "alexnet" else network.prepare(frames)

    expected = arithmetic()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(arithmetic(), expected)
    finally:
        torch.set_default_dtype(torch.float32)
