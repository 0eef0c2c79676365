"""What the denoiser is at the start, what each part adds, and what it must not mix up."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as functional
from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from small_models import mini_config, shake
from torch import Tensor, nn

from fypv2.config import ModelConfig
from fypv2.model.build import build_parts
from fypv2.model.denoiser import Denoiser, place_codes
from fypv2.model.motion import normalise_per_frame, silence_motion

FRAMES = 3


def made(*, motion: bool, guiders_zero: bool = True, moving: bool = False) -> Denoiser:
    parts = build_parts(mini_config(), seed=3, motion=motion)
    for part in parts.values():
        shake(part)
    if motion and not moving:
        silence_motion(parts["unet"])
    for name, part in parts.items():
        if name.endswith("guider"):
            nn.init.zeros_(part.conv_out.bias)
            random = torch.Generator().manual_seed(len(name))
            nn.init.normal_(part.conv_out.weight, std=0.0 if guiders_zero else 0.3, generator=random)
    guiders = {name.removesuffix("_guider"): part for name, part in parts.items() if name.endswith("guider")}
    return Denoiser(parts["unet"], parts["reference_unet"], guiders)


def inputs(batch: int = 1) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(5)
    return {
        "noisy": torch.randn(batch, 4, FRAMES, 8, 8, generator=random),
        "timesteps": torch.full((batch,), 500),
        "token": torch.randn(batch, 1, 16, generator=random),
        "reference": torch.randn(batch, 4, 8, 8, generator=random),
    }


def drawn(batch: int = 1, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shapes = {"pose": FRAMES, "flow": FRAMES, "depth": FRAMES, "reference_pose": 1}
    return {name: torch.rand(batch, 3, frames, 64, 64, generator=random) for name, frames in shapes.items()}


def plain_copy(denoiser: Denoiser) -> UNet2DConditionModel:
    """diffusers' own U-Net with the denoiser's spatial weights and its own attention processors."""
    plain = UNet2DConditionModel(**mini_config().unet).eval()
    state = {key: value for key, value in denoiser.unet.state_dict().items() if "motion_modules" not in key}
    plain.load_state_dict(state)
    return plain


def test_codes_of_places() -> None:
    codes = place_codes(16, 4, 6)
    assert codes.shape == (16, 4, 6)
    flat = codes.flatten(1).T
    assert len(torch.unique(flat.round(decimals=4), dim=0)) == 24  # each place has its own
    # By hand: the slowest sine of y, half a turn over the height, at the middle of the second of four rows.
    assert float(codes[0, 1, 0]) == pytest.approx(math.sin(math.pi * 1.5 / 4), abs=1e-6)
    assert bool((codes[:8] == codes[:8, :, :1]).all())  # the first half tells rows, the second columns
    assert bool((codes[8:] == codes[8:, :1]).all())
    # The middle of the second of four is the middle of the fifth of twelve.
    torch.testing.assert_close(place_codes(16, 12, 18)[:, 1::3, 1::3], codes, atol=1e-5, rtol=0)


def test_both_networks_are_told_places_or_neither() -> None:
    denoiser, latents = made(motion=False), inputs()["reference"]
    networks = denoiser.unet, denoiser.reference_unet
    with torch.no_grad():
        untold = [one.conv_in(latents) for one in networks]
        Denoiser(*networks, denoiser.guiders, place_codes=True)
        for network, features in zip(networks, untold, strict=True):
            torch.testing.assert_close(network.conv_in(latents) - features, place_codes(features.shape[1], 8, 8)[None])
        Denoiser(*networks, denoiser.guiders)
        assert all(torch.equal(one.conv_in(latents), before) for one, before in zip(networks, untold, strict=True))


@pytest.mark.parametrize("motion", [False, True])
def test_the_reference_is_added_where_it_lies_unless_it_is_dropped(motion: bool) -> None:
    denoiser, given = made(motion=motion), inputs(batch=2)
    aligned = Denoiser(denoiser.unet, denoiser.reference_unet, denoiser.guiders, aligned_reference=True)
    features = torch.randn(2, 32, FRAMES, 8, 8, generator=torch.Generator().manual_seed(1))
    step = given["noisy"], given["timesteps"], given["token"]
    with torch.no_grad():
        bank = aligned.read_reference(given["reference"], given["token"])
        others = denoiser.read_reference(given["reference"], given["token"])
        assert bank.keys() - others.keys() == {"conv_in"}
        first = denoiser.reference_unet.conv_in(given["reference"])
        # Eq. 10's sum with one more term, by hand.
        expected = denoiser(*step, others, features + first[:, :, None])
        torch.testing.assert_close(aligned(*step, bank, features), expected)
        torch.testing.assert_close(aligned(*step, bank, None), denoiser(*step, others, first[:, :, None]))
        seen = torch.tensor([False, True])
        mixed = aligned(*step, bank, features, referenced=seen)
        torch.testing.assert_close(mixed[1], expected[1])
        torch.testing.assert_close(mixed[0], denoiser(*step, None, features)[0])


def test_without_bank_and_guiders_it_is_plain_diffusers() -> None:
    denoiser, given = made(motion=False), inputs()
    with torch.no_grad():
        ours = denoiser(given["noisy"], given["timesteps"], given["token"], None, None)
        frames = given["noisy"][0].transpose(0, 1)
        theirs = plain_copy(denoiser)(frames, given["timesteps"], given["token"].expand(FRAMES, -1, -1)).sample
    assert torch.equal(ours[0].transpose(0, 1), theirs)


def test_without_bank_and_guiders_stage_2_is_plain_diffusers() -> None:
    denoiser, given = made(motion=True, moving=True), inputs()
    plain = UNetMotionModel.from_config(denoiser.unet.config).eval()
    plain.load_state_dict(denoiser.unet.state_dict())
    normalise_per_frame(plain)
    with torch.no_grad():
        ours = denoiser(given["noisy"], given["timesteps"], given["token"], None, None)
        theirs = plain(given["noisy"], given["timesteps"], given["token"].expand(FRAMES, -1, -1)).sample
    assert torch.equal(ours, theirs)


class ConcatenatedAttention:
    """Reference attention written out once more, from its definition: softmax over own and reference tokens."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):  # type: ignore[no-untyped-def]
        seen = torch.cat([hidden_states, self.tokens.expand(len(hidden_states), -1, -1)], dim=1)
        q, k, v = attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen)
        size = q.shape[-1] // attn.heads
        heads = []
        for h in range(attn.heads):
            part = slice(h * size, (h + 1) * size)
            weights = functional.softmax(q[..., part] @ k[..., part].transpose(1, 2) / size**0.5, dim=-1)
            heads.append(weights @ v[..., part])
        return attn.to_out[0](torch.cat(heads, dim=-1))


@pytest.mark.parametrize("motion", [False, True])
def test_at_the_start_it_is_the_unet_with_reference_attention(motion: bool) -> None:
    denoiser, given = made(motion=motion), inputs()
    with torch.no_grad():
        bank = denoiser.read_reference(given["reference"], given["token"])
        ours = denoiser(given["noisy"], given["timesteps"], given["token"], bank, denoiser.guide(drawn()))

        # The reference's tokens once more, by hooks on a plain U-Net.
        reference = UNet2DConditionModel(**mini_config().unet).eval()
        reference.load_state_dict(denoiser.reference_unet.state_dict())
        tokens: dict[str, Tensor] = {}
        for name, module in reference.named_modules():
            if name.endswith("attn1"):
                module.register_forward_pre_hook(lambda _, args, name=name: tokens.__setitem__(name, args[0]))
        reference(given["reference"], 0, given["token"])
        plain = plain_copy(denoiser)
        plain.set_attn_processor(
            {
                key: ConcatenatedAttention(tokens[key.removesuffix(".processor")]) if "attn1" in key else processor
                for key, processor in plain.attn_processors.items()
            }
        )
        frames = given["noisy"][0].transpose(0, 1)
        theirs = plain(frames, given["timesteps"], given["token"].expand(FRAMES, -1, -1)).sample
    torch.testing.assert_close(ours[0].transpose(0, 1), theirs, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        blind = denoiser(given["noisy"], given["timesteps"], given["token"], None, None)
    assert (ours - blind).abs().max() > 1e-2


@pytest.mark.parametrize("motion", [False, True])
def test_frames_follow_their_own_conditions(motion: bool) -> None:
    """Without motion, exchanging two frames (noise and conditions) exchanges their results and nothing else."""
    denoiser, given, conditions = made(motion=motion, guiders_zero=False), inputs(), drawn()
    order = [2, 1, 0]
    swapped = {name: c[:, :, order] if c.shape[2] > 1 else c for name, c in conditions.items()}
    with torch.no_grad():
        bank = denoiser.read_reference(given["reference"], given["token"])
        context = given["timesteps"], given["token"], bank
        first = denoiser(given["noisy"], *context, denoiser.guide(conditions))
        second = denoiser(given["noisy"][:, :, order], *context, denoiser.guide(swapped))
    torch.testing.assert_close(second, first[:, :, order], atol=1e-5, rtol=1e-5)
    assert (first[:, :, 0] - first[:, :, 2]).abs().max() > 1e-2


def test_motion_modules_join_the_frames() -> None:
    denoiser, given = made(motion=True, moving=True), inputs()
    other = given["noisy"].clone()
    other[:, :, 2] += 1
    with torch.no_grad():
        first, second = (
            denoiser(noisy, given["timesteps"], given["token"], None, None) for noisy in (given["noisy"], other)
        )
    assert (first[:, :, 0] - second[:, :, 0]).abs().max() > 1e-4


@pytest.mark.parametrize("referenced", [[False, True], [True, False, True], [False, False], [True, True]])
def test_a_dropped_reference_is_dropped_for_that_clip_alone(referenced: list[bool]) -> None:
    batch = len(referenced)
    denoiser, given = made(motion=True, moving=True), inputs(batch)
    with torch.no_grad():
        bank = denoiser.read_reference(given["reference"], given["token"])
        together = denoiser(
            given["noisy"], given["timesteps"], given["token"], bank, None, referenced=torch.tensor(referenced)
        )
        for index, seen in enumerate(referenced):
            one = slice(index, index + 1)
            own = {name: tokens[one] for name, tokens in bank.items()} if seen else None
            alone = denoiser(given["noisy"][one], given["timesteps"][one], given["token"][one], own, None)
            torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-5)


def test_a_condition_reaches_the_result_through_its_guider_alone() -> None:
    denoiser, given, conditions = made(motion=False, guiders_zero=False), inputs(), drawn()
    with torch.no_grad():
        plain = denoiser(given["noisy"], given["timesteps"], given["token"], None, denoiser.guide(conditions))
        for name in conditions:
            changed = {**conditions, name: 1 - conditions[name]}
            result = denoiser(given["noisy"], given["timesteps"], given["token"], None, denoiser.guide(changed))
            assert (result - plain).abs().max() > 1e-5, name
        after = denoiser(given["noisy"], given["timesteps"], given["token"], None, None)
        theirs = plain_copy(denoiser)(
            given["noisy"][0].transpose(0, 1), given["timesteps"], given["token"].expand(FRAMES, -1, -1)
        ).sample
    assert torch.equal(after[0].transpose(0, 1), theirs)  # no features are left from the passes before


def test_the_guiders_sum_is_added_after_the_first_convolution() -> None:
    denoiser, conditions = made(motion=False, guiders_zero=False), drawn()
    with torch.no_grad():
        total = denoiser.guide(conditions)
        parts = [guider(conditions[name]) for name, guider in denoiser.guiders.items()]
    expected = torch.stack([part.expand_as(total) for part in parts]).sum(0)
    torch.testing.assert_close(total, expected)


def test_a_missing_condition_is_an_error() -> None:
    denoiser = made(motion=False)
    with pytest.raises(ValueError, match="flow"):
        denoiser.guide({name: c for name, c in drawn().items() if name != "flow"})


def test_sliced_attention_is_the_same() -> None:
    denoiser, given = made(motion=True, moving=True), inputs()
    with torch.no_grad():
        results = []
        for slices in (1, 3, 16, 1000):
            denoiser.set_attention_slices(slices)
            bank = denoiser.read_reference(given["reference"], given["token"])
            results.append(denoiser(given["noisy"], given["timesteps"], given["token"], bank, None))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], atol=1e-5, rtol=1e-5)


def test_replaced_processors_are_refused() -> None:
    denoiser, given = made(motion=False), inputs()
    denoiser.unet.set_attn_processor(AttnProcessor2_0())
    with pytest.raises(RuntimeError, match="replaced"):
        denoiser(given["noisy"], given["timesteps"], given["token"], None, None)


PLAIN_END = {
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}


@pytest.mark.parametrize("shape", [{}, PLAIN_END], ids=["attention last", "plain block last"])
def test_only_the_tail_of_the_reference_network_has_no_gradient(shape: dict[str, list[str]]) -> None:
    """What lies behind the last self-attention input must be frozen, or distributed training waits for it for ever."""
    plan = mini_config().model_dump(mode="json")
    plan["unet"] |= shape
    parts = build_parts(ModelConfig.model_validate(plan), seed=3)
    for part in parts.values():
        shake(part)
    guiders = {name.removesuffix("_guider"): part for name, part in parts.items() if name.endswith("guider")}
    for guider in guiders.values():
        nn.init.normal_(guider.conv_out.weight, std=0.3)
    denoiser, given, conditions = Denoiser(parts["unet"], parts["reference_unet"], guiders), inputs(), drawn()
    bank = denoiser.read_reference(given["reference"], given["token"])
    denoiser(
        given["noisy"], given["timesteps"], given["token"], bank, denoiser.guide(conditions)
    ).square().mean().backward()
    without = {name for name, p in denoiser.named_parameters() if p.grad is None}
    tail = {id(p) for p in denoiser.reference_tail()}
    assert without == {name for name, p in denoiser.named_parameters() if id(p) in tail}


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        denoiser, given, conditions = made(motion=True, guiders_zero=False, moving=True), inputs(), drawn()
        if checkpointing:
            denoiser.unet.enable_gradient_checkpointing()
            denoiser.reference_unet.enable_gradient_checkpointing()
            denoiser.train()
        bank = denoiser.read_reference(given["reference"], given["token"])
        result = denoiser(given["noisy"], given["timesteps"], given["token"], bank, denoiser.guide(conditions))
        result.square().mean().backward()
        gradients.append({name: p.grad for name, p in denoiser.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)
