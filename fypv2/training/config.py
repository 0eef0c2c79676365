"""What a training run is: every choice of it in one file, and any of them from the command line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fypv2.errors import ConfigError

__all__ = ["TRAIN_CONFIGS", "TrainConfig", "Trained", "load_train_config"]

TRAIN_CONFIGS = (
    "paper-stage1",
    "paper-stage2",
    "small-stage1",
    "small-stage2",
    "tiny-vae",
    "tiny-stage1",
    "tiny-stage2",
    "tiny-decoder",
)
"""The training configs that ship."""

Trained = Literal["unet", "motion", "reference_unet", "guiders", "image_encoder"]
"""What a run may train, of the animating model."""


class TrainConfig(BaseModel):
    """A run. Lengths are in pixels, counts in samples: a sample is a reference with the frames made from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stage: Literal["vae", "decoder", 1, 2]
    """`vae` trains the VAE, 1 single frames, 2 windows of consecutive frames with the motion modules. `decoder` trains
    the VAE's decoder alone, of a model that may be trained already: latents stay what they are."""
    model: str = "tiny"
    """Model config by name or .yaml file; a start checkpoint must be of the same name, and brings its own settings, but
    for `place_codes` and `aligned_reference`, on which stages 1 and 2 decide."""
    start: str = "fresh"
    """A checkpoint folder, or `fresh` weights drawn by the seed."""
    data: str | None = None
    """Folder of shards, as `fypv2 preprocess` writes it."""
    out: str | None = None
    """Folder of the run: checkpoints, the model, logs, samples."""
    without: tuple[Literal["flow", "depth", "reference_pose"], ...] = ()
    """Guiders that are left out: the paper's ablations."""
    trains: tuple[Trained, ...] = ()
    """Parts that learn; empty is the paper's choice: U-Net, ReferenceNet and guiders, in stage 2 the motion modules."""

    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(ge=1)
    """Samples in one optimiser step, over all processes and accumulated passes."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Samples in one pass of one process; the rest is accumulated. None: all that fall to a process."""
    frames: int = Field(default=1, ge=1)
    """Frames of a sample. Stage 1: so many single frames share one reference. Stage 2: the window."""
    stride: tuple[int, int] = (1, 1)
    """Stage 2: least and most video frames from one frame of a window to the next."""
    height: int | None = Field(default=None, ge=8)
    """Of the training frames; None is the model's own."""
    width: int | None = Field(default=None, ge=8)
    """Likewise."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Share of samples that are mirrored, left and right keypoints exchanged."""
    seed: int = Field(default=0, ge=0)
    """Decides everything: fresh weights, the order of clips, frames, noise, what is dropped."""

    learning_rate: float = Field(gt=0)
    """Of AdamW, after the warm-up."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What the learning rate does after the warm-up; cosine falls to a tenth."""
    warmup: int = Field(default=0, ge=0)
    """Steps in which the learning rate rises from 0."""
    optimiser: Literal["adamw", "adamw-8bit"] = "adamw"
    """`adamw-8bit` holds the moments in 8 bits (bitsandbytes, CUDA only)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(default=0.9999, ge=0, lt=1)
    """Decay of the averaged weights, which are what is sampled and saved as the model; 0 takes the last weights."""

    min_snr_gamma: float | None = Field(default=5.0, gt=0)
    """Min-SNR weighting of the timesteps; None weighs all alike."""
    noise_offset: float = Field(default=0.0, ge=0)
    """Size of the noise that is one number over a whole channel of a frame."""
    drop_reference: float = Field(default=0.1, ge=0, le=1)
    """Share of samples whose reference and image token are dropped together, for guidance."""
    character_weight: float = Field(default=1.0, ge=1)
    """Weight of the loss where a character is, against 1 elsewhere; 1 is the paper's loss."""

    kl_weight: float = Field(default=1e-6, ge=0)
    """VAE: weight of the divergence from a normal distribution, per latent number."""
    gradient_weight: float = Field(default=0.0, ge=0)
    """VAE: weight of the difference of image gradients on four scales, which keeps edges without needing a network."""
    contrast_weight: float = Field(default=0.0, ge=0)
    """VAE: weight of the difference of local contrast on three scales, against softness."""

    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Type of the passes; weights and moments stay float32."""
    gradient_checkpointing: bool = False
    """Compute activations anew in the backward pass: half the memory for a third more time."""
    channels_last: bool = False
    """Memory order of the convolutions; faster on CPUs and on tensor cores."""
    compile: bool = False
    """Compile both U-Nets (torch.compile)."""
    fsdp: bool = False
    """Shard weights, gradients and moments over the processes."""

    cache_latents: bool = False
    """Encode and draw the whole data set once, mirrored too, and keep it beside the data."""
    workers: int = Field(default=2, ge=0)
    """Processes that prepare batches ahead, for each training process."""
    prefetch: int = Field(default=4, ge=1)
    """Batches that each of them keeps ready."""

    save_every: int = Field(default=1000, ge=1)
    """Steps between checkpoints; one is also written at SIGTERM and at the end."""
    keep: int = Field(default=2, ge=1)
    """Checkpoints that are kept."""
    model_dtype: Literal["float32", "float16"] = "float32"
    """Of the model that is written; float16 is for one that is shipped, not trained on."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of the log."""
    sample_every: int | None = Field(default=1000, ge=1)
    """Steps between sample grids; None draws none."""
    sample_clips: int = Field(default=4, ge=1)
    """Rows of a grid."""
    log_with: tuple[str, ...] = ("tensorboard",)
    """Trackers of accelerate: tensorboard, wandb, comet_ml, aim, mlflow, …; `log.jsonl` is always written."""

    @field_validator("mixed_precision", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: Any) -> Any:
        """YAML 1.1 reads a plain `no` as false."""
        return "no" if value is False else value

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError(f"a batch of {self.batch} is no multiple of micro_batch {self.micro_batch}")
        if not 1 <= self.stride[0] <= self.stride[1]:
            raise ValueError(f"stride {list(self.stride)}; give the least and the most, from 1")
        if self.stage != 2 and "motion" in self.trains:
            raise ValueError("motion modules are trained in stage 2")
        if self.stage == 2 and self.frames < 2:
            raise ValueError("stage 2 trains windows; give frames of 2 or more")
        return self

    @property
    def of_vae(self) -> bool:
        """Whether pictures go through the VAE and back, and nothing is animated."""
        return self.stage in ("vae", "decoder")

    @property
    def learning(self) -> tuple[str, ...]:
        """The parts that learn."""
        paper = ("unet", "reference_unet", "guiders", *(("motion",) if self.stage == 2 else ()))
        return self.trains or paper


def load_train_config(name_or_path: str | Path, overrides: Sequence[str] = (), **given: Any) -> TrainConfig:
    """A training config by name or from a YAML file.

    Args:
        name_or_path: one of `TRAIN_CONFIGS`, or a .yaml file.
        overrides: `key=value`, the value in YAML: `--set steps=100 --set 'stride=[1, 4]'`.
        given: further fields; None leaves the file's.

    Raises:
        ConfigError: if there is none, a key is unknown, or a value does not fit; names the nearest key.
    """
    text = str(name_or_path)
    try:
        if text in TRAIN_CONFIGS:
            content = resources.files("fypv2").joinpath("configs", "train", f"{text}.yaml").read_text(encoding="utf-8")
        elif Path(text).suffix in {".yaml", ".yml"}:
            content = Path(text).read_text(encoding="utf-8")
        else:
            raise ConfigError(
                f"no training config is called '{text}'; there are {', '.join(TRAIN_CONFIGS)}, or name a .yaml file"
            )
        plan = yaml.safe_load(content)
        if not isinstance(plan, dict):
            raise ConfigError(f"{text}: no mapping of keys to values")
        plan |= dict(_override(one) for one in overrides)
        plan |= {key: value for key, value in given.items() if value is not None}
        return TrainConfig.model_validate(plan)
    except OSError as error:
        raise ConfigError(f"{text}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text}: not YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise ConfigError(f"{text}, {where}: {fault['msg'].removeprefix('Value error, ')}") from None


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes key=value, as steps=100, not '{text}'")
    if key not in TrainConfig.model_fields:
        near = difflib.get_close_matches(key, TrainConfig.model_fields, 1)
        raise ConfigError(f"--set {key}: no such key" + (f"; did you mean {near[0]}?" if near else ""))
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: the value is not YAML") from None
    if isinstance(found, str) and TrainConfig.model_fields[key].annotation is not str:
        # YAML 1.1 reads 1e-4 as a word: it wants a dot.
        try:
            return key, float(found)
        except ValueError:
            pass
    return key, found
