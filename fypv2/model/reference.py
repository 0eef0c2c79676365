"""Reference attention: the denoiser looks at the reference image while it looks at itself.

ReferenceNet runs once over the reference image, and each of its self-attention layers leaves its input in a bank. The
denoiser's layer of the same name takes these tokens as further keys and values. Both U-Nets are of one make, so their
layers have the same names, and no forward pass is changed: everything happens in diffusers' attention processors.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, TypeAlias

import torch
import torch.nn.functional as functional
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

__all__ = [
    "Bank",
    "Gathering",
    "ReadingProcessor",
    "TokenProcessor",
    "WritingProcessor",
    "install_readers",
    "install_writers",
    "reference_layers",
]

Bank: TypeAlias = "dict[str, Tensor]"
"""By layer name, the reference's tokens (b, n, c) at that layer."""


def reference_layers(unet: nn.Module) -> list[str]:
    """Names of the spatial self-attention layers of a U-Net, in the order in which it holds them: 16 in SD 1.5."""
    names = (name.removesuffix(".processor") for name in unet.attn_processors)  # type: ignore[union-attr]
    return [name for name in names if name.endswith(".attn1") and "motion_modules" not in name]


class Gathering:
    """Where ReferenceNet leaves its tokens: no dictionary, since offloading hands a module copies of those.

    Attributes:
        bank: filled by a pass of ReferenceNet that is given this object as its bank.
    """

    def __init__(self) -> None:
        self.bank: Bank = {}


class TokenProcessor:
    """Cross-attention to the image prompt's token, and self-attention of a ReferenceNet that writes nothing.

    Args:
        slices: query rows at a time are `1 / slices` of all; less memory where the card has no fused attention.
    """

    def __init__(self, slices: int = 1) -> None:
        self.slices = slices

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        bank: Bank | Gathering | None = None,
        referenced: tuple[bool, ...] | None = None,
    ) -> Tensor:
        """As diffusers calls it; the bank is not for this layer."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return _finish(attn, self._attend(attn, attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)))

    def _attend(self, attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in (query, key, value))
        parts = [
            functional.scaled_dot_product_attention(block, k, v)
            for block in q.tensor_split(min(self.slices, q.shape[2]), dim=2)
        ]
        attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return attended.transpose(1, 2).flatten(2)


class WritingProcessor(TokenProcessor):
    """Self-attention of ReferenceNet: leaves its input in the bank, then works as ever."""

    def __init__(self, name: str, slices: int = 1) -> None:
        super().__init__(slices)
        self.name = name

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *args: Any, bank: Bank | Gathering | None = None, **kwargs: Any
    ) -> Tensor:
        """As diffusers calls it; `bank` is a `Gathering`, or None to write nothing."""
        if isinstance(bank, Gathering):
            bank.bank[self.name] = hidden_states
        return super().__call__(attn, hidden_states)


class ReadingProcessor(TokenProcessor):
    """Self-attention of the denoiser: its own tokens and, where there are any, the reference's.

    Frames ride in the batch, so that a clip's b x f rows share b entries of the bank. Keys and values of the reference
    are computed once for all frames of a clip.
    """

    def __init__(self, name: str, slices: int = 1) -> None:
        super().__init__(slices)
        self.name = name

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        bank: Bank | Gathering | None = None,
        referenced: tuple[bool, ...] | None = None,
    ) -> Tensor:
        """As diffusers calls it.

        Args:
            attn: the layer.
            hidden_states: (b * f, n, c).
            encoder_hidden_states: unused; this is self-attention.
            attention_mask: unused.
            temb: unused.
            bank: tokens of the reference by layer; None attends to itself alone.
            referenced: for each of the b clips, whether it sees its reference; None is all of them. The others attend
                to themselves alone, exactly as without a bank.
        """
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        if bank is None or isinstance(bank, Gathering):
            return _finish(attn, self._attend(attn, query, key, value))
        tokens = bank[self.name]
        frames = hidden_states.shape[0] // tokens.shape[0]
        # Groups rather than a mask: a mask would cost every row the fused kernel and the reference's keys.
        attended = []
        for clips, seen in _runs(referenced, tokens.shape[0]):
            rows = slice(clips.start * frames, clips.stop * frames)
            own = query[rows], key[rows], value[rows]
            attended.append(
                self._with_reference(attn, *own, tokens[clips], frames) if seen else self._attend(attn, *own)
            )
        return _finish(attn, attended[0] if len(attended) == 1 else torch.cat(attended))

    def _with_reference(
        self, attn: Attention, query: Tensor, key: Tensor, value: Tensor, tokens: Tensor, frames: int
    ) -> Tensor:
        tokens = tokens.to(query.dtype)
        more_keys = attn.to_k(tokens).repeat_interleave(frames, dim=0)
        more_values = attn.to_v(tokens).repeat_interleave(frames, dim=0)
        return self._attend(attn, query, torch.cat([key, more_keys], 1), torch.cat([value, more_values], 1))


def install_writers(unet: nn.Module, slices: int = 1) -> None:
    """Make a `UNet2DConditionModel` a ReferenceNet: its passes fill a `Gathering`, given as its bank."""
    layers = reference_layers(unet)
    _install(unet, {name: WritingProcessor(name, slices) for name in layers}, slices)


def install_readers(unet: nn.Module, slices: int = 1) -> None:
    """Make a denoiser read a bank given as cross-attention argument; motion modules stay as they are."""
    layers = reference_layers(unet)
    _install(unet, {name: ReadingProcessor(name, slices) for name in layers}, slices)


def _install(unet: nn.Module, at: dict[str, Any], slices: int) -> None:
    processors = dict(unet.attn_processors)  # type: ignore[arg-type]
    for key in processors:
        name = key.removesuffix(".processor")
        if name in at:
            processors[key] = at[name]
        elif "motion_modules" not in key:
            processors[key] = TokenProcessor(slices)
    unet.set_attn_processor(processors)  # type: ignore[operator]


def _runs(referenced: tuple[bool, ...] | None, clips: int) -> list[tuple[slice, bool]]:
    """Runs of clips that do, or do not, see their reference."""
    if referenced is None:
        return [(slice(0, clips), True)]
    runs: list[tuple[slice, bool]] = []
    start = 0
    for seen, group in groupby(referenced):
        stop = start + len(list(group))
        runs.append((slice(start, stop), seen))
        start = stop
    return runs


def _finish(attn: Attention, attended: Tensor) -> Tensor:
    projected: Tensor = attn.to_out[0](attended)
    dropped: Tensor = attn.to_out[1](projected)
    return dropped / attn.rescale_output_factor if attn.rescale_output_factor != 1 else dropped
