"""Small weights files in every published layout, and the lists of published names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from fypv2.config import ModelConfig, load_config
from fypv2.model.build import build_parts
from fypv2.weights.layouts import Layout, layouts_for

DATA = Path(__file__).resolve().parent.parent / "data"


def published(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published file; the list's head says where they are from."""
    lines = (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {key: () if shape == "-" else tuple(map(int, shape.split(","))) for key, shape in pairs}


def safetensors_size(shapes: Mapping[str, tuple[int, ...]], keys: Iterable[str], *, aligned: bool) -> int:
    """Bytes of the .safetensors file with these float32 tensors (`position_ids` int64), in this order.

    The form: 8 bytes of length, a JSON head, the tensors. Later writers align the head to 8 bytes.
    """
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in keys:
        whole = key.endswith("position_ids")
        size = (8 if whole else 4) * torch.Size(shapes[key]).numel()
        offsets = [end, end + size]
        head[key] = {"dtype": "I64" if whole else "F32", "shape": list(shapes[key]), "data_offsets": offsets}
        end += size
    length = len(json.dumps(head, separators=(",", ":")))
    return 8 + (-(-length // 8) * 8 if aligned else length) + end


def sample_config() -> ModelConfig:
    """All parts of the paper's model, with all their kinds of layers, in a few hundred thousand numbers."""
    content = load_config("tiny").model_dump()
    content["name"] = "sample"
    content["unet"] |= {
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "layers_per_block": 2,
    }
    content["motion"] |= {
        "block_out_channels": [32, 64],
        "motion_num_attention_heads": 2,
        "motion_layers_per_block": 2,
    }
    content["vae"] |= {"block_out_channels": [32, 32, 32, 64], "mid_block_add_attention": True, "latent_channels": 4}
    content["vae"] |= {"norm_num_groups": 32}
    content["unet"] |= {"in_channels": 4, "out_channels": 4}
    content["image_encoder"] |= {"hidden_size": 32, "intermediate_size": 64, "projection_dim": 32}
    content["guider"] = {"channels": [4, 4, 8, 8]}
    return ModelConfig.model_validate(content)


def trained_parts(config: ModelConfig) -> dict[str, dict[str, Tensor]]:
    """Parts whose every number is drawn, so that none is zero or one by its initialisation."""
    generator = torch.Generator().manual_seed(11)
    parts = {}
    for name, part in build_parts(config, seed=5).items():
        trained = {key for key, _ in part.named_parameters()}
        parts[name] = {
            key: torch.randn(value.shape, generator=generator) if key in trained else value.clone()
            for key, value in part.state_dict().items()
        }
    return parts


def split_motion(unet: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The U-Net's own tensors, and the motion modules'."""
    still = {key: value for key, value in unet.items() if "motion_modules" not in key}
    return still, {key: value for key, value in unet.items() if "motion_modules" in key}


def layout(source: str, name: str, config: ModelConfig) -> Layout:
    """A layout by its name."""
    return next(one for one in layouts_for(source, config) if one.name == name)


def renamed(state: Mapping[str, Tensor], one: Layout, prefix: str) -> dict[str, Tensor]:
    """A state under a layout's names."""
    return {prefix + one.rename(key): value for key, value in state.items()}


def compvis_file(parts: Mapping[str, Mapping[str, Tensor]], config: ModelConfig) -> dict[str, Tensor]:
    """U-Net, VAE and what else lies in a Stable Diffusion 1.x file; the VAE's attention is of 1x1 convolutions."""
    unet = renamed(split_motion(parts["unet"])[0], layout("unet", "CompVis", config), "model.diffusion_model.")
    vae = renamed(parts["vae"], layout("vae", "CompVis", config), "first_stage_model.")
    vae = {key: v[..., None, None] if "attn_1" in key and v.ndim == 2 else v for key, v in vae.items()}
    rest = {
        "cond_stage_model.transformer.text_model.final_layer_norm.bias": torch.zeros(4),
        "model_ema.decay": torch.tensor(0.9999),
        "betas": torch.zeros(10),
        "posterior_mean_coef1": torch.zeros(10),
        "sqrt_one_minus_alphas_cumprod": torch.zeros(10),
    }
    return {**unet, **vae, **rest}


def animatediff_file(parts: Mapping[str, Mapping[str, Tensor]], config: ModelConfig) -> dict[str, Tensor]:
    """Motion modules under AnimateDiff's names, with the positions of the second attention."""
    motion = renamed(split_motion(parts["unet"])[1], layout("motion", "AnimateDiff", config), "")
    second = {
        key.replace("attention_blocks.0.pos", "attention_blocks.1.pos"): value.clone()
        for key, value in motion.items()
        if key.endswith("pos_encoder.pe")
    }
    return {**motion, **second}


def controlnet_file(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A ControlNet in diffusers' layout, cut down to its condition embedding and one layer of the rest."""
    embedding = {f"controlnet_cond_embedding.{key}": value for key, value in parts["pose_guider"].items()}
    return {**embedding, "conv_in.weight": torch.zeros(32, 4, 3, 3), "controlnet_mid_block.bias": torch.zeros(32)}


def write_sources(folder: Path, parts: Mapping[str, Mapping[str, Tensor]], config: ModelConfig) -> dict[str, str]:
    """A file for each source, in the layouts of the default repositories."""
    folder.mkdir(parents=True, exist_ok=True)
    save = safetensors.torch.save_file
    save(split_motion(parts["unet"])[0], folder / "unet.safetensors")
    torch.save(animatediff_file(parts, config), folder / "motion.ckpt")
    old = renamed(parts["vae"], layout("vae", "diffusers, old attention names", config), "")
    save(old, folder / "vae.safetensors")
    clip = {**parts["image_encoder"], "vision_model.embeddings.position_ids": torch.arange(65)[None]}
    torch.save(clip, folder / "image_encoder.bin")
    save(controlnet_file(parts), folder / "controlnet.safetensors")
    return {
        "unet": str(folder / "unet.safetensors"),
        "motion": str(folder / "motion.ckpt"),
        "vae": str(folder / "vae.safetensors"),
        "image-encoder": str(folder / "image_encoder.bin"),
        "controlnet": str(folder / "controlnet.safetensors"),
    }


def written(folder: Path, part: str) -> dict[str, Tensor]:
    """The tensors of a part in a checkpoint."""
    (file,) = (folder / part).glob("*.safetensors")
    return safetensors.torch.load_file(file)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a module's tensors."""
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}
