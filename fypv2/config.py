"""What a model is: its parts, its conditions, and every choice that the paper leaves open, in one file each."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fypv2.conditions.depth_order import DepthRule
from fypv2.errors import ConfigError

__all__ = ["CONFIGS", "GUIDERS", "STARTING_REPORT", "ModelConfig", "load_config"]

CONFIGS = ("paper", "small", "tiny")
"""The configs that ship, from the largest to the smallest."""

GUIDERS = ("pose", "flow", "depth", "reference_pose")
"""The four conditions, each with a guider of its own."""

STARTING_REPORT = "starting_weights.json"
"""In the folder of a checkpoint that was put together and not trained: where its weights are from."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GuiderConfig(_Strict):
    """The guiders' shape: 3x3 convolutions with SiLU, halving the picture at each step between widths."""

    channels: tuple[int, ...] = Field(default=(16, 32, 96, 256), min_length=2)
    """Widths from the picture inwards; one stride of 2 for each step between them."""


class ConditionConfig(_Strict):
    """How the conditions are drawn. Lengths are fractions of the picture's width, so that sizes are interchangeable."""

    use_flow: bool = True
    """The optical flow guider; off is the paper's ablation 'w/o Optical Flow'."""
    use_depth: bool = True
    """The depth order guider; off is the paper's ablation 'w/o Depth'."""
    use_reference_pose: bool = True
    """The reference pose guider; off is the paper's ablation 'w/o Ref. Pose'."""
    dilation: float = Field(default=0.10, gt=0, lt=1)
    """Side of the dilation's rectangular kernel. The paper draws it about this wide and gives no number."""
    flow_scale: float = Field(default=20 / 512, gt=0)
    """Motion at which the flow map is 1. The paper normalises in a way its text has lost; 20 px at 512 is ours."""
    depth_rule: DepthRule = "mean"
    """How one depth is made of a region's depths. The paper takes the mean; `foreground` orders more pairs rightly."""


class SamplingConfig(_Strict):
    """How a clip is made."""

    height: int = Field(default=512, ge=8)
    """Height in pixels, where the user names none. The benchmark is 512 x 512; the paper trains at 896 x 640."""
    width: int = Field(default=512, ge=8)
    """Width in pixels."""
    steps: int = Field(default=50, ge=1)
    """DDIM steps (paper)."""
    guidance: float = Field(default=1.5, ge=0)
    """Weight of classifier-free guidance (paper)."""
    window: int = Field(default=16, ge=1)
    """Frames denoised together; the paper trains on 16."""
    overlap: int = Field(default=4, ge=0)
    """Frames that neighbouring windows share. The paper says only that long clips are made in overlapping pieces."""

    @model_validator(mode="after")
    def _fits(self) -> SamplingConfig:
        if self.overlap >= self.window:
            raise ValueError(f"windows of {self.window} frames cannot share {self.overlap}")
        return self


class ModelConfig(_Strict):
    """A whole model. The dictionaries are the arguments of diffusers' and transformers' own classes."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    """What results call it."""
    unet: dict[str, Any]
    """Arguments of `diffusers.UNet2DConditionModel`, for the denoising U-Net and ReferenceNet alike."""
    motion: dict[str, Any]
    """Arguments of `diffusers.MotionAdapter`: the temporal layers of stage 2."""
    per_frame_norm: bool = True
    """Whether the motion modules' group norm takes each frame by itself, as AnimateDiff was trained, or a window."""
    place_codes: bool = False
    """Whether both U-Nets are told where a latent lies. Published weights know it; a small model that starts from
    nothing learns far sooner to fetch a place from the same place of the reference."""
    aligned_reference: bool = False
    """Whether the reference's first features are added to the denoiser's, place by place, as DisCo's ControlNet adds
    the background's: what stands still is where the reference has it, without being looked for."""
    vae: dict[str, Any]
    """Arguments of `diffusers.AutoencoderKL`."""
    image_encoder: dict[str, Any]
    """Arguments of `transformers.CLIPVisionConfig`; `projection_dim` is the U-Net's `cross_attention_dim`."""
    guider: GuiderConfig = GuiderConfig()
    """The four guiders."""
    conditions: ConditionConfig = ConditionConfig()
    """What the guiders are shown."""
    scheduler: dict[str, Any]
    """Arguments of `diffusers.DDIMScheduler`; training uses the same betas and the same target."""
    sampling: SamplingConfig = SamplingConfig()
    """Defaults of the pipeline."""

    @property
    def guiders(self) -> tuple[str, ...]:
        """The guiders that this model has, in the order of `GUIDERS`."""
        on = {
            "pose": True,
            "flow": self.conditions.use_flow,
            "depth": self.conditions.use_depth,
            "reference_pose": self.conditions.use_reference_pose,
        }
        return tuple(name for name in GUIDERS if on[name])

    @property
    def reduction(self) -> int:
        """How many pixels a side one latent stands for."""
        return int(2 ** (len(self.vae["block_out_channels"]) - 1))

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelConfig:
        needed = {
            "unet": ("cross_attention_dim", "block_out_channels"),
            "image_encoder": ("projection_dim", "image_size"),
            "vae": ("block_out_channels",),
        }
        for part, keys in needed.items():
            for key in keys:
                if key not in getattr(self, part):
                    raise ValueError(f"{part} needs {key}")
                if key == "block_out_channels" and not isinstance(getattr(self, part)[key], list | tuple):
                    raise ValueError(f"{part}.{key} is no list")
        if self.unet["cross_attention_dim"] != self.image_encoder["projection_dim"]:
            raise ValueError("unet.cross_attention_dim and image_encoder.projection_dim differ; the token fits neither")
        if 2 ** (len(self.guider.channels) - 1) != self.reduction:
            raise ValueError(
                f"guider.channels of {len(self.guider.channels)} widths reduce {2 ** (len(self.guider.channels) - 1)}"
                f" times, the VAE {self.reduction} times"
            )
        if self.place_codes and self.unet["block_out_channels"][0] % 4:
            raise ValueError("place_codes need unet.block_out_channels to begin with a multiple of 4")
        latent = self.vae.get("latent_channels", 4)
        if (self.unet.get("in_channels", 4), self.unet.get("out_channels", 4)) != (latent, latent):
            raise ValueError(f"unet.in_channels and unet.out_channels must be vae.latent_channels, which is {latent}")
        if self.sampling.height % self.reduction or self.sampling.width % self.reduction:
            raise ValueError(f"sampling.height and sampling.width must be multiples of {self.reduction}")
        if self.motion.get("motion_max_seq_length", 32) < self.sampling.window:
            raise ValueError(f"the motion modules take fewer frames than a window of {self.sampling.window}")
        return self


def load_config(name_or_path: str | Path) -> ModelConfig:
    """A config by name (`paper`, `small`, `tiny`), or from a YAML file.

    Raises:
        ConfigError: if there is none, or it does not hold together; says where.
    """
    text = str(name_or_path)
    try:
        if text in CONFIGS:
            content = resources.files("fypv2").joinpath("configs", f"{text}.yaml").read_text(encoding="utf-8")
        elif Path(text).suffix in {".yaml", ".yml"}:
            content = Path(text).read_text(encoding="utf-8")
        else:
            raise ConfigError(f"no config is called '{text}'; there are {', '.join(CONFIGS)}, or name a .yaml file")
        return ModelConfig.model_validate(yaml.safe_load(content))
    except OSError as error:
        raise ConfigError(f"{text}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text}: not YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise ConfigError(f"{text}, {where}: {fault['msg']}") from None
