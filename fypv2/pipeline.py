"""The sampling pipeline: a reference image and poses in, a clip out, by diffusers' own names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel, UNetMotionModel
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from fypv2.conditions import ConditionMaps, Poses, build_conditions, crop_box
from fypv2.config import ModelConfig
from fypv2.errors import PipelineError
from fypv2.model.build import build_denoiser, guider_part
from fypv2.model.conditioning import as_input, condition_tensors
from fypv2.model.denoiser import Denoiser
from fypv2.model.guiders import Guider
from fypv2.model.motion import normalise_per_frame
from fypv2.model.reference import Bank
from fypv2.windows import Blend, window_places

__all__ = ["FollowYourPoseOutput", "FollowYourPosePipeline"]

Frame = npt.NDArray[np.uint8]


@dataclass
class FollowYourPoseOutput(BaseOutput):
    """What the pipeline returns.

    Attributes:
        frames: by `output_type`: `np` uint8 (T, H, W, 3), `pil` a list of images, `pt` float32 (T, 3, H, W) in [0, 1],
            `latent` (1, 4, T, h, w).
    """

    frames: Any


class FollowYourPosePipeline(DiffusionPipeline):
    """Animates the characters of a reference image by driving poses.

    Switches that save memory are diffusers' own: `enable_model_cpu_offload`, `enable_sequential_cpu_offload`,
    `enable_attention_slicing`, `vae.enable_tiling`, `vae.enable_slicing`, and a `torch_dtype` of half the size.

    Args:
        vae: latents of pictures.
        image_encoder: CLIP, whose one projected token stands in the place of a text.
        feature_extractor: the image encoder's preprocessing.
        unet: the denoiser, `UNetMotionModel` (stage 2) or `UNet2DConditionModel` (stage 1).
        reference_unet: ReferenceNet.
        scheduler: DDIM, as the model was trained.
        pose_guider: of the driving poses.
        flow_guider: of the background's motion, None for the ablation.
        depth_guider: of the characters' depth order, None for the ablation.
        reference_pose_guider: of the reference's pose, None for the ablation.
        settings: a `ModelConfig` as a dictionary.
    """

    model_cpu_offload_seq = (
        "image_encoder->reference_unet->pose_guider->flow_guider->depth_guider->reference_pose_guider->unet->vae"
    )
    _optional_components = ["flow_guider", "depth_guider", "reference_pose_guider"]  # noqa: RUF012 (diffusers' name)
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012

    def __init__(
        self,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: CLIPImageProcessor,
        unet: UNetMotionModel | UNet2DConditionModel,
        reference_unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        pose_guider: Guider,
        flow_guider: Guider | None = None,
        depth_guider: Guider | None = None,
        reference_pose_guider: Guider | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model_config = ModelConfig.model_validate(settings)
        guiders = {
            "pose": pose_guider,
            "flow": flow_guider,
            "depth": depth_guider,
            "reference_pose": reference_pose_guider,
        }
        present = {name: guider for name, guider in guiders.items() if guider is not None}
        if tuple(present) != self.model_config.guiders:
            raise ValueError(f"the config has the guiders {self.model_config.guiders}, the parts are {tuple(present)}")
        if self.model_config.per_frame_norm:
            normalise_per_frame(unet)
        self.register_modules(
            vae=vae,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
            unet=unet,
            reference_unet=reference_unet,
            scheduler=scheduler,
            **{guider_part(name): guider for name, guider in guiders.items()},
        )
        self.register_to_config(settings=self.model_config.model_dump(mode="json"))
        self._denoiser = build_denoiser(self.model_config, unet, reference_unet, present)
        self.video_processor = VideoProcessor(vae_scale_factor=self.model_config.reduction)

    @property
    def denoiser(self) -> Denoiser:
        """Both U-Nets and the guiders as one, of the parts there are now: they may be exchanged, or compiled."""
        guiders = {name: getattr(self, guider_part(name)) for name in self.model_config.guiders}
        held = self._denoiser
        parts = [self.unet, self.reference_unet, *guiders.values()]
        if any(
            a is not b for a, b in zip(parts, [held.unet, held.reference_unet, *held.guiders.values()], strict=True)
        ):
            if self.model_config.per_frame_norm:
                normalise_per_frame(self.unet)
            self._denoiser = build_denoiser(self.model_config, self.unet, self.reference_unet, guiders)
        return self._denoiser

    def enable_attention_slicing(self, slice_size: str | int | None = "auto") -> None:
        """Attend for a part of the queries at a time, in both U-Nets.

        Args:
            slice_size: `auto` halves them, `max` takes 16 parts, a number takes that many.
        """
        slices = {"auto": 2, "max": 16}.get(slice_size, 1) if isinstance(slice_size, str) else int(slice_size or 1)
        self.denoiser.set_attention_slices(slices)

    def disable_attention_slicing(self) -> None:
        """Attend at once."""
        self.denoiser.set_attention_slices(1)

    def check_size(self, height: int, width: int) -> None:
        """Raise a PipelineError unless the network can make frames of that size."""
        unit = self.model_config.reduction
        if height % unit or width % unit or min(height, width) < unit:
            near = f"{max(unit, round(height / unit) * unit)} x {max(unit, round(width / unit) * unit)}"
            raise PipelineError(
                f"height and width must be multiples of {unit}, not {height} x {width}; the nearest is {near}"
            )

    @staticmethod
    def crop_picture(picture: Frame, height: int, width: int) -> Frame:
        """The largest centred crop of that ratio, resized with an antialiased filter: uint8 (height, width, 3)."""
        top, left, crop_height, crop_width = crop_box(picture.shape[:2], height, width)
        crop = np.ascontiguousarray(picture[top : top + crop_height, left : left + crop_width])
        if crop.shape[:2] == (height, width):
            return crop
        return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR))

    def encode_image(self, reference: Frame) -> Tensor:
        """The image prompt's token, (1, 1, d), from the reference image (H, W, 3)."""
        pixels = self.feature_extractor(Image.fromarray(reference), return_tensors="pt").pixel_values
        pixels = pixels.to(self._execution_device, self.image_encoder.dtype)
        token: Tensor = self.image_encoder(pixels).image_embeds[:, None]
        return token

    def encode_reference(self, reference: Frame) -> Tensor:
        """The reference's latent, scaled, (1, 4, h, w): the mean of the VAE's posterior, so that no chance enters."""
        pixels = self.video_processor.preprocess(Image.fromarray(reference))
        pixels = pixels.to(self._execution_device, self.vae.dtype)
        latent: Tensor = self.vae.encode(pixels).latent_dist.mode() * self.vae.config.scaling_factor
        return latent

    def decode_latents(self, latents: Tensor, chunk: int = 8) -> Tensor:
        """Frames float32 (T, 3, H, W) in [0, 1], on the CPU, from latents (1, 4, T, h, w), some at a time."""
        flat = latents[0].transpose(0, 1) / self.vae.config.scaling_factor
        parts = []
        for block in flat.split(chunk):
            decoded = self.vae.decode(block.to(self.vae.dtype), return_dict=False)[0]
            parts.append((decoded.float() / 2 + 0.5).clamp(0, 1).cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def __call__(
        self,
        reference: Frame | Image.Image,
        poses: Poses,
        reference_poses: Poses | None = None,
        *,
        reference_nearness: npt.NDArray[np.float32] | None = None,
        assignment: list[int] | None = None,
        conditions: ConditionMaps | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        eta: float = 0.0,
        window: int | None = None,
        overlap: int | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | None = None,
    ) -> Any:
        """Animate.

        Args:
            reference: the picture, uint8 RGB (H, W, 3) or a PIL image. It is cropped to the output's ratio and resized.
            poses: driving poses of T frames, in pixels of the driving video.
            reference_poses: poses in the reference image, T = 1, in its pixels. Needed unless `conditions` are given.
            reference_nearness: (H, W) float32 of the reference image, larger is nearer; None ranks the characters by
                where they stand.
            assignment: for each driving character, the reference character that follows it; None matches from left to
                right.
            conditions: drawn conditions, in place of the poses and the nearness.
            height: of the clip in pixels, a multiple of 8; None is the config's.
            width: likewise.
            num_inference_steps: None is the config's.
            guidance_scale: None is the config's; at most 1 runs the model once a step instead of twice.
            eta: of DDIM, 0 to 1; 0 is deterministic.
            window: frames denoised together; None is the config's.
            overlap: frames that windows share; None is the config's.
            generator: decides the noise; on the CPU for the same noise on every device.
            latents: starting noise (1, 4, T, h, w) instead.
            output_type: `np`, `pil`, `pt` or `latent`.
            return_dict: whether to return `FollowYourPoseOutput`, else a tuple.
            callback_on_step_end: called after each step with the pipeline, step, timestep and tensors; may return
                changed ones.
            callback_on_step_end_tensor_inputs: which tensors it is given; only `latents` here.

        Returns:
            The clip, a `FollowYourPoseOutput`, or a tuple of its frames.

        Raises:
            PipelineError: for sizes that do not fit, missing poses, or arguments that do not go together.
        """
        config = self.model_config
        height, width = height or config.sampling.height, width or config.sampling.width
        steps = config.sampling.steps if num_inference_steps is None else num_inference_steps
        guidance = config.sampling.guidance if guidance_scale is None else guidance_scale
        window = config.sampling.window if window is None else window
        overlap = min(config.sampling.overlap, window - 1) if overlap is None else overlap
        self._check(height, width, steps, guidance, eta, window, overlap, output_type)
        # From pure noise (zero terminal signal-to-noise ratio), an eta of 1 leaves nothing of the first step's own
        # direction: the root of a zero that rounding may have made negative.
        eta = min(eta, 1 - 1e-5)
        wanted = callback_on_step_end_tensor_inputs or self._callback_tensor_inputs
        if unknown := set(wanted) - set(self._callback_tensor_inputs):
            raise PipelineError(f"callbacks are given latents alone, not {', '.join(sorted(unknown))}")
        picture = np.asarray(reference.convert("RGB") if isinstance(reference, Image.Image) else reference)
        if conditions is None:
            conditions = self._draw(picture, poses, reference_poses, reference_nearness, assignment, height, width)
        frames = len(conditions.pose)
        picture = self.crop_picture(picture, height, width)

        token, bank, features = self._prepare(picture, conditions, window)
        shape = (1, self.unet.config.in_channels, frames, height // config.reduction, width // config.reduction)
        latents = self._start(shape, generator, latents, token.dtype)
        self.scheduler.set_timesteps(steps, device=self._execution_device)
        latents = latents * self.scheduler.init_noise_sigma
        places = window_places(frames, window, overlap)
        with self.progress_bar(total=steps) as bar:
            for number, timestep in enumerate(self.scheduler.timesteps):
                blend = Blend(latents, places)
                for index, place in enumerate(places):
                    noisy = self.scheduler.scale_model_input(latents[:, :, place], timestep)
                    part = features if features.shape[2] == 1 else features[:, :, place]
                    blend.add(index, self._estimate(noisy, timestep, token, bank, part, guidance))
                latents = self.scheduler.step(
                    blend.mean().to(latents.dtype), timestep, latents, eta=eta, generator=generator, return_dict=False
                )[0]
                if callback_on_step_end is not None:
                    tensors = {"latents": latents} if "latents" in wanted else {}
                    answer = callback_on_step_end(self, number, int(timestep), tensors)
                    latents = (answer or {}).get("latents", latents)
                bar.update()

        if not bool(torch.isfinite(latents).all()):
            raise PipelineError(
                "the model's numbers are not finite: its weights are damaged or were never trained, or float16 is too"
                " narrow for them (bfloat16 is not)"
            )
        result = latents if output_type == "latent" else _as_type(self.decode_latents(latents), output_type)
        self.maybe_free_model_hooks()
        return FollowYourPoseOutput(frames=result) if return_dict else (result,)

    def _prepare(self, picture: Frame, conditions: ConditionMaps, window: int) -> tuple[Tensor, Bank, Tensor]:
        """All that a clip needs once: the token, the reference bank, and the guiders' features of all frames."""
        token = self.encode_image(picture).to(self.unet.dtype)
        latent = self.encode_reference(picture).to(self.reference_unet.dtype)
        bank = self.denoiser.read_reference(latent, token)
        maps = condition_tensors(conditions)
        blocks = []
        for start in range(0, len(conditions.pose), window):
            block = {
                name: maps[name] if maps[name].shape[2] == 1 else maps[name][:, :, start : start + window]
                for name in self.model_config.guiders
            }
            placed = {name: as_input(part, self._execution_device, self.unet.dtype) for name, part in block.items()}
            blocks.append(self.denoiser.guide(placed))
        return token, bank, torch.cat(blocks, dim=2)

    def _estimate(
        self, noisy: Tensor, timestep: Tensor, token: Tensor, bank: Bank, features: Tensor, guidance: float
    ) -> Tensor:
        """The guided estimate for one window."""
        if guidance <= 1:
            return self.denoiser(noisy, timestep.expand(1), token, bank, features)
        both = {name: tokens.expand(2, -1, -1) for name, tokens in bank.items()}
        without, with_reference = self.denoiser(
            noisy.expand(2, -1, -1, -1, -1),
            timestep.expand(2),
            torch.cat([torch.zeros_like(token), token]),
            both,
            features.expand(2, -1, -1, -1, -1),
            referenced=torch.tensor([False, True]),
        ).chunk(2)
        return without + guidance * (with_reference - without)

    def _draw(
        self,
        picture: Frame,
        poses: Poses,
        reference_poses: Poses | None,
        nearness: npt.NDArray[np.float32] | None,
        assignment: list[int] | None,
        height: int,
        width: int,
    ) -> ConditionMaps:
        if reference_poses is None:
            raise PipelineError("no poses of the reference image; give reference_poses, or ready conditions")
        if reference_poses.size != picture.shape[:2]:
            raise PipelineError(
                f"the reference's poses are in a picture of {reference_poses.size}, the reference has"
                f" {picture.shape[:2]} (height, width)"
            )
        how = self.model_config.conditions
        return build_conditions(
            reference_poses,
            nearness,
            poses,
            height,
            width,
            assignment=assignment,
            dilation=how.dilation,
            flow_scale=how.flow_scale,
            rule=how.depth_rule,
        )

    def _start(
        self, shape: tuple[int, ...], generator: torch.Generator | None, latents: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        device = self._execution_device
        if latents is not None:
            if tuple(latents.shape) != shape:
                raise PipelineError(f"latents of shape {tuple(latents.shape)}; this clip needs {shape}")
            return latents.to(device, dtype)
        # Frame by frame, so that a clip's first frames start from the same noise however long it is.
        one = (*shape[:2], 1, *shape[3:])
        noise = [randn_tensor(one, generator=generator, device=device, dtype=dtype) for _ in range(shape[2])]
        return torch.cat(noise, dim=2)

    def _check(
        self,
        height: int,
        width: int,
        steps: int,
        guidance: float,
        eta: float,
        window: int,
        overlap: int,
        output_type: str,
    ) -> None:
        self.check_size(height, width)
        most = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= most:
            raise PipelineError(f"{steps} steps; at least one is needed, and {most} are all that there are")
        if not math.isfinite(guidance):
            raise PipelineError(f"a guidance of {guidance}; give a finite number")
        if not 0 <= eta <= 1:
            raise PipelineError(f"an eta of {eta}; give 0 to 1")
        longest = self.unet.config.get("motion_max_seq_length", window)
        if not 1 <= window <= longest:
            raise PipelineError(f"windows of {window} frames; this model takes 1 to {longest}")
        if not 0 <= overlap < window:
            raise PipelineError(f"windows of {window} frames cannot share {overlap}")
        if output_type not in ("np", "pil", "pt", "latent"):
            raise PipelineError(f"output type '{output_type}'; there are np, pil, pt and latent")


def _as_type(frames: Tensor, output_type: str) -> Any:
    if output_type == "pt":
        return frames
    arrays = (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(array) for array in arrays] if output_type == "pil" else arrays
