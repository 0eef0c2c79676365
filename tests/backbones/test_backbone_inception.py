"""The Inception network against pytorch-fid 0.3.0 itself, from image files to features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_fid.inception
import torch
from backbone_samples import picture
from PIL import Image
from pytorch_fid.fid_score import get_activations
from torch import Tensor

from mcbench.backbones import load_backbone
from mcbench.backbones.inception import Inception
from mcbench.backbones.weights import REGISTRY

State = dict[str, Tensor]


@pytest.mark.parametrize("size", [(512, 512), (150, 200)])
def test_features_are_pytorch_fids(
    size: tuple[int, int], checkpoint: Callable[[str], State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = checkpoint("inception") | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: state)
    reference = pytorch_fid.inception.InceptionV3([pytorch_fid.inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    frames = np.stack([picture(seed, *size) for seed in range(2)])
    files = [tmp_path / f"{index}.png" for index in range(len(frames))]
    for file, frame in zip(files, frames, strict=True):
        Image.fromarray(frame).save(file)
    expected = get_activations(files, reference, batch_size=2, num_workers=0)

    torch.save(state, tmp_path / "w.pth")
    features = load_backbone("inception", str(tmp_path / "w.pth")).features(frames)

    assert features.shape == expected.shape == (2, 2048)
    assert features.dtype == torch.float32
    np.testing.assert_allclose(features.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).mean())


def test_the_published_file_has_room_for_exactly_this_network_and_its_classifier() -> None:
    with torch.device("meta"):
        network = Inception()
    values = sum(tensor.numel() for tensor in network.core().state_dict().values()) + 1008 * 2048 + 1008
    overhead = REGISTRY["inception"].size - 4 * values
    assert 0 < overhead < 100_000
