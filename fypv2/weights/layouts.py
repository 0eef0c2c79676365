"""How published files name the tensors of a part, and what else lies in those files.

Each layout is a function from the name that diffusers or transformers gives a tensor (our checkpoints' name) to the
name in a file. Going in this direction accounts for every tensor of the part; what a file has beyond them is left over.

Sources of the names are the published files: CompVis' Stable Diffusion 1.x (one file with `model.diffusion_model`,
`first_stage_model` and `cond_stage_model`), AnimateDiff's motion modules, ControlNet 1.x, and diffusers' own files
before and after it renamed the VAE's attention. docs/starting-weights.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fypv2.config import ModelConfig

__all__ = ["SOURCES", "Layout", "expected_left_over", "layouts_for"]

SOURCES: Final = ("unet", "motion", "vae", "image-encoder", "controlnet")
"""What starting weights are made of; each is one published file."""


@dataclass(frozen=True)
class Layout:
    """One way to name a part's tensors.

    Attributes:
        name: for reports.
        rename: from our name to the file's, without its prefix.
        prefixes: what may stand before all names of the part in a file.
    """

    name: str
    rename: Callable[[str], str]
    prefixes: tuple[str, ...] = ("", "module.")


def layouts_for(source: str, config: ModelConfig) -> tuple[Layout, ...]:
    """The layouts that a source's files come in.

    Args:
        source: one of `SOURCES`.
        config: the model; CompVis numbers the U-Net's layers through, so the count in a block decides the names.
    """
    if source == "unet":
        layers = config.unet.get("layers_per_block", 2)
        known = [Layout("diffusers", _same, ("", "module.", "unet."))]
        if isinstance(layers, int):
            attending = [index for index, kind in enumerate(config.unet["up_block_types"]) if "CrossAttn" in kind]
            prefixes = ("model.diffusion_model.", "", "diffusion_model.", "module.")
            known.append(Layout("CompVis", lambda key: _compvis_unet(key, layers, attending), prefixes))
        return tuple(known)
    if source == "motion":
        return (Layout("AnimateDiff", _animatediff), Layout("diffusers", _same, ("", "module.", "unet.")))
    if source == "vae":
        blocks = len(config.vae["block_out_channels"])
        return (
            Layout("diffusers", _same),
            Layout("diffusers, old attention names", _old_vae_attention),
            Layout("CompVis", lambda key: _compvis_vae(key, blocks), ("first_stage_model.", "")),
        )
    if source == "image-encoder":
        return (Layout("transformers", _same, ("", "image_encoder.", "module.")),)
    steps = 2 * (len(config.guider.channels) - 1)
    return (
        Layout("diffusers", _same, ("controlnet_cond_embedding.", "")),
        Layout("ControlNet", lambda key: _controlnet_hint(key, steps), ("control_model.", "", "model.control_model.")),
    )


def expected_left_over(source: str, key: str) -> str | None:
    """What a key that a part does not use is known to be, or None for a stranger.

    Args:
        source: the file's, one of `SOURCES`.
        key: as it stands in the file.
    """
    for pattern, what in (*_EXPECTED[source], *_EXPECTED_ANYWHERE):
        if re.match(pattern, key):
            return what
    return None


_EXPECTED_ANYWHERE: Final = (
    (r"model_ema\.", "EMA copy"),
    (
        r"(betas|alphas_cumprod(_prev)?|(sqrt|log)_\w*alphas_cumprod|posterior_\w+|logvar|scale_factor)$",
        "noise schedule",
    ),
)
_TEXT_ENCODER: Final = (r"cond_stage_model\.", "text encoder")
_VAE: Final = (r"first_stage_model\.", "VAE")
_UNET: Final = (r"model\.diffusion_model\.", "U-Net")

_EXPECTED: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "unet": (_TEXT_ENCODER, _VAE, (r".*\.motion_modules\.", "motion modules")),
    "motion": (
        (r".*\.attention_blocks\.1\.pos_encoder\.pe$", "positions, second copy"),
        (r"(module\.|unet\.)?(conv_in|conv_norm_out|conv_out|time_embedding)\.", "spatial U-Net"),
        (r"(?!.*motion_modules)(module\.|unet\.)?(down_blocks|mid_block|up_blocks)\.", "spatial U-Net"),
    ),
    "vae": (_TEXT_ENCODER, _UNET, (r"loss\.", "discriminator")),
    "image-encoder": (
        (r"(.*\.)?position_ids$", "position numbers"),
        (r"(text_model|text_projection)\.", "text tower"),
        (r"logit_scale$", "text tower"),
    ),
    "controlnet": (
        (r".*(cond_embedding\.conv_out|input_hint_block\.\d+)\.", "output convolution of the condition embedding"),
        (
            r"((model\.)?control_model\.)?(input_blocks|middle_block|middle_block_out|zero_convs|time_embed)\.",
            "ControlNet's copy of the U-Net",
        ),
        (
            r"(conv_in|time_embedding|down_blocks|mid_block|controlnet_down_blocks|controlnet_mid_block)\.",
            "ControlNet's copy of the U-Net",
        ),
        _TEXT_ENCODER,
        _VAE,
        _UNET,
    ),
}


def _same(key: str) -> str:
    return key


_RESNET: Final = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS: Final = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def _compvis_unet(key: str, layers: int, attending: list[int]) -> str:
    """CompVis counts input and output blocks through all resolutions, the samplers among them."""
    stem, _, kind = key.rpartition(".")
    if stem in _UNET_ENDS:
        return f"{_UNET_ENDS[stem]}.{kind}"
    found = re.match(r"(?:(down|up)_blocks\.(\d+)|(mid)_block)\.(\w+)\.(\d+)\.(.+)", key)
    if found is None:
        return key
    way, what, rest = found[1] or found[3], found[4], found[6]
    block, layer = int(found[2] or 0), int(found[5])
    if what == "resnets":
        part, _, kind = rest.rpartition(".")
        rest = f"{_RESNET.get(part, part)}.{kind}"
    if way == "mid":
        return f"middle_block.{1 if what == 'attentions' else 2 * layer}.{rest}"
    first = block * (layers + 1)
    if what == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.{rest.replace('conv', 'op', 1)}"
    if what == "upsamplers":
        # The sampler comes after the attention, where a block has any.
        return f"output_blocks.{first + layers}.{2 if block in attending else 1}.{rest}"
    number = first + layer + (1 if way == "down" else 0)
    side = "input" if way == "down" else "output"
    return f"{side}_blocks.{number}.{1 if what == 'attentions' else 0}.{rest}"


def _animatediff(key: str) -> str:
    """AnimateDiff wraps each module in `temporal_transformer`, and lists attentions and norms by number."""
    changes = (
        (r"(\.motion_modules\.\d+)\.", r"\1.temporal_transformer."),
        (r"\.pos_embed\.pe$", ".attention_blocks.0.pos_encoder.pe"),
        (r"\.attn1\.", ".attention_blocks.0."),
        (r"\.attn2\.", ".attention_blocks.1."),
        (r"\.norm1\.", ".norms.0."),
        (r"\.norm2\.", ".norms.1."),
        (r"\.norm3\.", ".ff_norm."),
    )
    for pattern, replacement in changes:
        key = re.sub(pattern, replacement, key)
    return key


_OLD_ATTENTION: Final = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
_COMPVIS_ATTENTION: Final = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def _old_vae_attention(key: str) -> str:
    found = re.match(r"(.*\.attentions\.\d+)\.(.+)\.(\w+)$", key)
    return key if found is None else f"{found[1]}.{_OLD_ATTENTION.get(found[2], found[2])}.{found[3]}"


def _compvis_vae(key: str, blocks: int) -> str:
    """CompVis numbers the decoder's blocks by resolution, so from the last one backwards."""
    key = key.replace(".conv_norm_out.", ".norm_out.").replace(".conv_shortcut.", ".nin_shortcut.")
    if found := re.match(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(\w+)$", key):
        return f"{found[1]}.mid.attn_1.{_COMPVIS_ATTENTION.get(found[2], found[2])}.{found[3]}"
    if found := re.match(r"(\w+)\.mid_block\.resnets\.(\d+)\.(.+)", key):
        return f"{found[1]}.mid.block_{int(found[2]) + 1}.{found[3]}"
    if found := re.match(r"(\w+)\.(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", key):
        coder, way, what = found[1], found[2], found[4]
        block = int(found[3]) if way == "down" else blocks - 1 - int(found[3])
        inside = f"block.{found[5]}" if what == "resnets" else f"{way}sample"
        return f"{coder}.{way}.{block}.{inside}.{found[6]}"
    return key


def _controlnet_hint(key: str, steps: int) -> str:
    """ControlNet's hint block is one sequence with an activation, which has no tensors, after each convolution."""
    stem, _, kind = key.rpartition(".")
    if stem == "conv_out":
        return f"input_hint_block.{2 + 2 * steps}.{kind}"
    if stem == "conv_in":
        return f"input_hint_block.0.{kind}"
    return f"input_hint_block.{2 + 2 * int(stem.rpartition('.')[2])}.{kind}"
