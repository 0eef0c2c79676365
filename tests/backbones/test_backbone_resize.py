"""The video networks' resize: Pillow's own, to the last bit, and torch's, which may stand in for it on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcbench.backbones.resize import resize_pillow, resize_torch

SIZES = [(512, 512, 112), (512, 512, 224), (97, 131, 112), (60, 40, 224), (112, 112, 112)]


@pytest.fixture
def frames(request: pytest.FixtureRequest) -> torch.Tensor:
    height, width = request.param
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8))


@pytest.mark.parametrize(("frames", "size"), [((h, w), s) for h, w, s in SIZES], indirect=["frames"])
def test_each_channel_is_a_float_image_resized_by_pillow(frames: torch.Tensor, size: int) -> None:
    resized = resize_pillow(frames, size)
    assert resized.shape == (2, 3, size, size)
    assert resized.dtype == torch.float32
    for index in range(2):
        for channel in range(3):
            image = Image.fromarray(frames[index, :, :, channel].numpy()).convert("F")
            plain = np.asarray(image.resize((size, size), Image.BICUBIC))
            assert resized[index, channel].numpy().tobytes() == plain.tobytes()


@pytest.mark.parametrize(("frames", "size"), [((h, w), s) for h, w, s in SIZES], indirect=["frames"])
def test_torchs_filter_is_the_same_filter(frames: torch.Tensor, size: int) -> None:
    difference = (resize_torch(frames, size) - resize_pillow(frames, size)).abs().max().item()
    assert difference <= 2e-7 * 255


def test_neither_clips_nor_rounds() -> None:
    edge = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    edge[:, :, 20:] = 255
    for resize in (resize_pillow, resize_torch):
        values = resize(edge, 112)
        assert values.min() < -1
        assert values.max() > 256
        assert (values != values.round()).any()
