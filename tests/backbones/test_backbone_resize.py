"""The video networks' resize: Pillow's own, to the last bit, and as matrix products, as a GPU does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcbench.backbones.resize import resize_matrix, resize_pillow

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
def test_the_matrix_product_is_pillow_to_its_last_bit(frames: torch.Tensor, size: int) -> None:
    product, pillow = resize_matrix(frames, size), resize_pillow(frames, size)
    assert product.dtype == torch.float32
    # Pillow rounds between rows and columns, and may take either first where a frame is not square.
    assert ((product - pillow).abs() <= np.spacing(np.float32(511))).all()
    if frames.shape[1] == frames.shape[2]:
        assert (product != pillow).sum() <= 1e-5 * pillow.numel()


def test_frames_are_resized_alike_however_many_there_are() -> None:
    frames = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (19, 40, 40, 3), np.uint8))
    whole = resize_matrix(frames, 112)
    assert whole.shape == (19, 3, 112, 112)
    for index in (0, 8, 18):
        assert torch.allclose(whole[index], resize_matrix(frames[index : index + 1], 112)[0], rtol=0, atol=4e-5)
    assert resize_matrix(frames[:0], 112).shape == (0, 3, 112, 112)


def test_neither_clips_nor_rounds() -> None:
    edge = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    edge[:, :, 20:] = 255
    for resize in (resize_pillow, resize_matrix):
        values = resize(edge, 112)
        assert values.min() < -1
        assert values.max() > 256
        assert (values != values.round()).any()
