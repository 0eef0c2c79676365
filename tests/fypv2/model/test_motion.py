"""The motion modules: which frames their norm sees, and how fresh ones start."""

from __future__ import annotations

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from small_models import mini_config, shake
from torch import nn

from fypv2.model.build import inflate
from fypv2.model.motion import PerFrameGroupNorm, motion_transformers, normalise_per_frame


def test_each_frame_is_normalised_by_itself() -> None:
    norm = shake(PerFrameGroupNorm(4, 8))
    frames = torch.randn(2, 8, 5, 3, 3) * torch.arange(1, 6).view(5, 1, 1)
    expected = torch.stack(
        [nn.functional.group_norm(frames[:, :, i], 4, norm.weight, norm.bias, norm.eps) for i in range(5)], dim=2
    )
    torch.testing.assert_close(norm(frames), expected)
    over_the_window = nn.functional.group_norm(frames, 4, norm.weight, norm.bias, norm.eps)
    assert (norm(frames) - over_the_window).abs().max() > 0.1


def test_exchanging_the_norms_keeps_keys_and_weights() -> None:
    unet = shake(
        UNetMotionModel.from_unet2d(UNet2DConditionModel(**mini_config().unet), MotionAdapter(**mini_config().motion))
    )
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    normalise_per_frame(unet)
    normalise_per_frame(unet)
    assert list(unet.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())
    assert all(isinstance(module.norm, PerFrameGroupNorm) for module in motion_transformers(unet))


def test_fresh_motion_changes_nothing_and_given_motion_stays() -> None:
    config = mini_config()
    flat = UNet2DConditionModel(**config.unet).eval()
    sample, token = torch.randn(1, 4, 3, 8, 8), torch.randn(3, 1, 16)
    with torch.no_grad():
        silent = inflate(config, flat).eval()(sample, torch.tensor([9]), token).sample
        expected = flat(sample[0].transpose(0, 1), 9, token).sample
        moving = inflate(config, flat, MotionAdapter(**config.motion)).eval()(sample, torch.tensor([9]), token).sample
    torch.testing.assert_close(silent[0].transpose(0, 1), expected, atol=1e-5, rtol=1e-5)
    assert (moving - silent).abs().max() > 1e-4
