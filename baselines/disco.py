"""DisCo (Wang et al. 2024), driven by OpenPose drawings: https://github.com/Wangt-CN/DisCo

What its sources (head c4fa48a) do, and what is made of it here:

- One start of `finetune_sdm_yaml.py --eval_visu` serves many clips, which stand one after the other in TSV files; see
  `baselines.disco_tsv`. The flags are those of `config/bash_command/tiktok_cfg.sh` (and of `moretiktok_cfg.sh`, which
  has the same), without the ones that training alone looks at.
- What the config file says counts wherever the command line is silent (`parse_with_cf` in `utils/args.py`): seed 42 and
  guidance 7.5 among others. So those that matter are given.
- `--deepspeed` stays: without it the checkpoint's weights, which lie under `module`, are not found, and the program
  goes on without them.
- Model and frames are 256 x 256, whatever comes in. References are given in that size, cropped and resized as the
  protocol does it, so that the program's own random crop has nothing to choose from.
- Of a clip it sees the reference, its people as a mask, and the drawings: no true frame.
- The noise of a frame depends on the seed and on its place in a batch (`prepare_latents`); clips are padded to whole
  batches, so that it does not depend on a clip's neighbours. What still does is the background's latent: it is drawn
  from the VAE's narrow posterior with the random state of the whole process.
- The authors' own run was on eight GPUs, whose batches begin with the same noise: there eight neighbouring frames share
  one noise. On one GPU every frame of a batch has another.
- Frames are saved as PNG under the row's key (`baselines.disco_tsv.output_name`). At the end it computes an FID of its
  own, for which it may look for weights on the network; whether that succeeds does not matter.
- `utils/dist.py` opens port 12475 unless `MASTER_PORT` says otherwise, which two workers on one machine must not share,
  and stumbles over a `WORLD_SIZE` in the environment.

Precision is fp16 and the device must be a CUDA GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from baselines.base import Command, ExternalMethod, Job, Weights, file_name
from baselines.disco_poses import DRAWING_SIDE, disco_drawings
from baselines.disco_tsv import TsvClip, frame_key, output_name, write_split
from baselines.external.frame_files import read_frame_files
from baselines.external.ports import free_port
from baselines.inputs import (
    DensePoseSettings,
    InputError,
    PoseSettings,
    driving_poses,
    reference_densepose,
    reference_square,
)
from mcbench import Case, MethodError, NativeOutput, to_square, write_frames

__all__ = ["DisCo", "DisCoPlus"]

SIZE = 256
CONFIG = "config/ref_attn_clip_combine_controlnet/tiktok_S256L16_xformers_tsv.py"
ENVIRONMENT = {
    "AZFUSE_USE_FUSE": "0",
    "NCCL_ASYNC_ERROR_HANDLING": "0",
    "QD_USE_LINEIDX_8B": "0",
    "WANDB_ENABLE": "0",
}
OUTPUT_FOLDER = "frames"


def _weights(data: str) -> tuple[Weights, ...]:
    return (
        Weights(
            key="checkpoint",
            what=f"mp_rank_00_model_states.pt of the model with classifier-free guidance, '{data}'; linked in DisCo's"
            " README under 'w/ Classifier-Free Guidance'",
        ),
        Weights(
            key="image_variations",
            what="folder of huggingface.co/lambdalabs/sd-image-variations-diffusers",
            is_folder=True,
            shared=True,
        ),
    )


class DisCo(ExternalMethod):
    """Runs the user's checkout of DisCo with the checkpoint that saw the TikTok data set."""

    name: ClassVar[str] = "disco"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "DisCo (Wang et al. 2024), driven by OpenPose"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "Wangt-CN/DisCo"
    landmark: ClassVar[str] = CONFIG
    licence: ClassVar[str] = "Apache-2.0"
    batch: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = _weights("TikTok Training Data")

    class Settings(PoseSettings, DensePoseSettings, ExternalMethod.Settings):
        """The sampler's settings, with the repository's values."""

        steps: int = Field(default=50, ge=1)
        """Denoising steps."""
        guidance_scale: float = Field(default=1.5, ge=1)
        """Classifier-free guidance; 1 is none."""
        batch_size: int = Field(default=16, ge=1)
        """Frames in a batch. The noise of a frame depends on its place there, so another size gives other frames."""
        masks: Path | None = None
        """A folder of `<clip>.png`, each as large as the clip's reference image: white on its people, as Grounded-SAM
        finds them. Without it the exact mask serves where there is one, else DensePose's parts."""

    settings: Settings

    @property
    def native(self) -> NativeOutput:
        """256 x 256 PNG."""
        return self.native_output(size=(SIZE, SIZE), container="png", driver="openpose")

    def files(self, case: Case) -> Sequence[Path]:
        """Poses and masks of the user's."""
        masks = self.settings.masks
        return [*super().files(case), *([] if masks is None else [_mask_file(masks, case)])]

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference, its mask and the drawings of one clip, as PNG files of 256 x 256."""
        inputs = folder / "inputs"
        Image.fromarray(reference_square(case, SIZE)).save(inputs / "reference.png")
        Image.fromarray(self._mask(case)).save(inputs / "mask.png")
        poses = driving_poses(case, DRAWING_SIDE, extractor=self.settings.poses, device=self.device)
        write_frames(inputs / "poses", disco_drawings(poses, SIZE))

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """One start for all jobs."""
        seeds = {job.case.seed % 2**32 for job in jobs}  # what is beyond, the program replaces by a random one
        if len(seeds) != 1:
            raise MethodError(f"one start has one seed, but these clips have {len(seeds)}; run them one by one")
        config = write_split(folder / "tsv", [_tsv_clip(job) for job in jobs], self.settings.batch_size)
        log = folder / "log"
        self._link_outputs(jobs, log)
        argv = (
            *self.place.interpreter,
            "finetune_sdm_yaml.py",
            *("--cf", CONFIG, "--eval_visu", "--deepspeed"),
            *("--root_dir", str(folder), "--log_dir", str(log), "--eval_save_filename", OUTPUT_FOLDER),
            *("--val_yaml", str(config), "--local_eval_batch_size", str(self.settings.batch_size)),
            *("--pretrained_model", str(self.place.weights["checkpoint"])),
            *("--pretrained_model_path", str(self.place.weights["image_variations"])),
            *("--seed", str(seeds.pop()), "--fix_dist_seed", "--loss_target", "noise"),
            *("--num_inference_steps", str(self.settings.steps), "--guidance_scale", str(self.settings.guidance_scale)),
            *("--unet_unfreeze_type", "null", "--drop_ref", "0.05", "--refer_sdvae", "--ref_null_caption", "False"),
            *("--combine_clip_local", "--combine_use_mask", "--conds", "poses", "masks"),
        )
        environment = {**ENVIRONMENT, "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
        return Command(argv=argv, env=environment, cwd=self.place.repository)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames of one clip, without padding."""
        return read_frame_files((_output(folder, number) for number in range(case.frames)), (SIZE, SIZE))

    def _link_outputs(self, jobs: Sequence[Job], log: Path) -> None:
        """Let the program write each frame into its clip's own folder, so that a start that dies keeps what it made."""
        predictions = log / OUTPUT_FOLDER / f"pred_gs{self.settings.guidance_scale}_scale-cond1.0-ref1.0"
        predictions.mkdir(parents=True)
        for job in jobs:
            for number in range(job.case.frames):
                name = output_name(frame_key(file_name(job.case.clip), number))
                (predictions / name).symlink_to(_output(job.folder, number))

    def _mask(self, case: Case) -> npt.NDArray[np.uint8]:
        """The people of the reference image, uint8 (256, 256): 255 on them, 0 elsewhere."""
        if self.settings.masks is None:
            model, sha256 = self.settings.densepose, self.settings.densepose_sha256
            people = reference_densepose(case, SIZE, model=model, sha256=sha256, device=self.device).part > 0
        else:
            people = to_square(_user_mask(_mask_file(self.settings.masks, case), case), SIZE)[..., 0] > 127
        return np.where(people, 255, 0).astype(np.uint8)


class DisCoPlus(DisCo):
    """The same by the checkpoint that saw more TikTok-style videos."""

    name: ClassVar[str] = "disco-plus"
    summary: ClassVar[str] = "DisCo+ (Wang et al. 2024), trained on more data, driven by OpenPose"
    shares: ClassVar[str | None] = "disco"
    weights: ClassVar[tuple[Weights, ...]] = _weights("More TikTok-Style Training Data")


def _output(folder: Path, number: int) -> Path:
    return folder / "outputs" / f"{number:05d}.png"


def _tsv_clip(job: Job) -> TsvClip:
    inputs = job.folder / "inputs"
    poses = [inputs / "poses" / f"{number:05d}.png" for number in range(job.case.frames)]
    return TsvClip(file_name(job.case.clip), inputs / "reference.png", inputs / "mask.png", poses)


def _mask_file(masks: Path, case: Case) -> Path:
    return masks / f"{case.clip}.png"


def _user_mask(path: Path, case: Case) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            mask = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; `masks` must hold the mask of every clip's reference image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f"{path}: not a PNG image; write it again") from None
    if mask.shape != case.reference.shape:
        raise InputError(
            f"{path}: {mask.shape[1]} x {mask.shape[0]}, but the reference image of clip '{case.clip}' is"
            f" {case.reference.shape[1]} x {case.reference.shape[0]}; a mask has the size of its image"
        )
    return mask
