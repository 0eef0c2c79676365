"""AnimateAnyone (Hu et al. 2023) as reproduced by https://github.com/MooreThreads/Moore-AnimateAnyone

The authors' own code was never released; this is the reproduction that is in use, and a row of it says so.

What its sources (head a914ef3) do, and what is made of it here:

- `python -m scripts.pose2vid --config X.yaml -W -H -L --seed --cfg --steps --fps` generates `L` frames for each entry
  of `test_cases`. `L` may not be more than the pose video has, nor 1: a clip of one frame is given two.
- One start could serve many clips, but `L` is the same for all, and all draw from one random generator in turn: the
  frames of a clip would depend on which clips came before it, and a resumed run would differ. So it is one clip
  a start.
- The default size is 512 x 784, for a person who stands upright. The benchmark's clips are squares, and a square
  stretched to 512 x 784 is no picture of people: the default here is 512 x 512, the size at which the paper compares.
- Its own pose tool keeps the best person alone, so the pose video is drawn here, of everybody. Limbs, colours and their
  order are the same as in that tool's drawings, hands included. What its pose guider saw in training and does not see
  here are the white dots of 68 face keypoints, which no data set of the benchmark has.
- PyAV decodes the pose video, so it is lossless RGB here.
- Output: `output/<date>/<time>--seed_…/<reference>_<poses>_….mp4`, relative to the folder where the program is
  started. That is one of its own, empty before each start: nothing is guessed from clocks, and two starts never mix.
- It shows reference, poses and result side by side, with 2 pixels around each; the third tile is cut out.
- PyAV 11, which it pins, writes yuv420p at 1,024,000 bits a second. At 25 frames a second that is 41,000 bits for
  three pictures. `--fps 1` gives each frame 25 times as many: on a test pattern with noise, the PSNR of the third tile
  went from 26.0 dB to 29.2 dB, of 29.4 dB that yuv420p allows. Nothing else depends on the rate.
- Where `motion_module.pth` is missing, it goes on without it and without a word. All four files are checked for here.

Precision is fp16, the device must be a CUDA GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from pydantic import Field

from baselines.base import Command, ExternalMethod, Job, OutputError, Weights
from baselines.external.video_files import read_tile, write_exact_video
from baselines.inputs import PoseSettings, driving_poses, pose_drawings, reference_square
from mcbench import Case, MethodError, NativeOutput

__all__ = ["AnimateAnyone"]

CHECKPOINTS = ("denoising_unet.pth", "reference_unet.pth", "pose_guider.pth", "motion_module.pth")
CHECKPOINTS_AT = "huggingface.co/patrolli/AnimateAnyone"
TILES = 3
BORDER = 2
"""Pixels around each tile of `torchvision.utils.make_grid`."""
FEWEST_FRAMES = 2
OUTPUT_FPS = 1


class AnimateAnyone(ExternalMethod):
    """Runs the user's checkout of Moore-AnimateAnyone on drawn poses."""

    name: ClassVar[str] = "animateanyone"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "AnimateAnyone (Hu et al. 2023) as reproduced by Moore Threads, driven by drawn poses"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "MooreThreads/Moore-AnimateAnyone"
    landmark: ClassVar[str] = "scripts/pose2vid.py"
    licence: ClassVar[str] = "Apache-2.0"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            key="checkpoints",
            what=f"folder with {', '.join(CHECKPOINTS)}, from {CHECKPOINTS_AT}",
            is_folder=True,
        ),
        Weights(
            key="stable_diffusion",
            what="folder of Stable Diffusion 1.5 in diffusers' layout; of it only unet is read",
            is_folder=True,
        ),
        Weights(key="vae", what="folder of huggingface.co/stabilityai/sd-vae-ft-mse", is_folder=True),
        Weights(
            key="image_encoder",
            what="folder image_encoder of huggingface.co/lambdalabs/sd-image-variations-diffusers",
            is_folder=True,
        ),
    )

    class Settings(PoseSettings, ExternalMethod.Settings):
        """The sampler's settings, with the repository's values."""

        size: int = Field(default=512, ge=64, multiple_of=64)
        """Side of the square that is generated, in pixels: three halvings in the U-Net after eightfold encoding."""
        steps: int = Field(default=30, ge=1)
        """Denoising steps."""
        guidance_scale: float = Field(default=3.5, ge=1)
        """Classifier-free guidance."""
        precision: Literal["fp16", "fp32"] = "fp16"
        """Number format of all networks."""

    settings: Settings

    @property
    def note(self) -> str:
        """That it is a reproduction."""
        return "the reproduction by Moore Threads; the authors released no code. Poses are drawn without faces"

    @property
    def native(self) -> NativeOutput:
        """A square in an mp4."""
        side = self.settings.size
        return self.native_output(size=(side, side), container="mp4", fps=OUTPUT_FPS, driver="drawn poses")

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference (PNG) and the drawn poses (lossless RGB) of one clip."""
        side = self.settings.size
        inputs = folder / "inputs"
        Image.fromarray(reference_square(case, side)).save(inputs / "reference.png")
        poses = driving_poses(case, side, extractor=self.settings.poses, device=self.device)
        drawings = pose_drawings(poses)
        if case.frames < FEWEST_FRAMES:
            only = next(iter(drawings))
            drawings = chain([only], [only] * (FEWEST_FRAMES - case.frames))
        write_exact_video(inputs / "poses.mp4", drawings, case.fps)

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """One start for one job, in the folder of its outputs."""
        (job,) = jobs
        start = job.folder / "outputs"
        config = start / "animation.yaml"
        config.write_text(yaml.safe_dump(self._config(job.folder / "inputs"), sort_keys=False), encoding="utf-8")
        side = str(self.settings.size)
        return Command(
            argv=(
                *(*self.place.interpreter, "-m", "scripts.pose2vid", "--config", str(config)),
                *("-W", side, "-H", side, "-L", str(max(job.case.frames, FEWEST_FRAMES))),
                *("--seed", str(job.case.seed), "--cfg", str(self.settings.guidance_scale)),
                *("--steps", str(self.settings.steps), "--fps", str(OUTPUT_FPS)),
            ),
            env={"PYTHONPATH": self.module_path(), "HF_HUB_OFFLINE": "1"},
            cwd=start,
        )

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The third tile of every frame."""
        found = sorted((folder / "outputs" / "output").glob("*/*/reference_poses_*.mp4"))
        if len(found) != 1:
            raise OutputError(
                f"{self.name} wrote {len(found) or 'no'} videos for clip '{case.clip}' under {folder / 'outputs'},"
                " expected one"
            )
        side = self.settings.size
        yield from read_tile(
            found[0],
            frames=case.frames,
            counts=(max(case.frames, FEWEST_FRAMES),),
            size=(side + 2 * BORDER, TILES * (side + BORDER) + BORDER),
            tile=((TILES - 1) * (side + BORDER) + BORDER, BORDER, side),
        )

    def _config(self, inputs: Path) -> dict[str, object]:
        """All keys of the repository's `configs/prompts/animation.yaml`."""
        checkpoints = self.place.weights["checkpoints"]
        missing = [name for name in CHECKPOINTS if not (checkpoints / name).is_file()]
        if missing:
            raise MethodError(f"{checkpoints}: holds no {missing[0]}; get it from {CHECKPOINTS_AT}")
        return {
            "pretrained_base_model_path": str(self.place.weights["stable_diffusion"]),
            "pretrained_vae_path": str(self.place.weights["vae"]),
            "image_encoder_path": str(self.place.weights["image_encoder"]),
            "denoising_unet_path": str(checkpoints / "denoising_unet.pth"),
            "reference_unet_path": str(checkpoints / "reference_unet.pth"),
            "pose_guider_path": str(checkpoints / "pose_guider.pth"),
            "motion_module_path": str(checkpoints / "motion_module.pth"),
            "inference_config": str(self.place.repository / "configs" / "inference" / "inference_v2.yaml"),
            "weight_dtype": self.settings.precision,
            "test_cases": {str(inputs / "reference.png"): [str(inputs / "poses.mp4")]},
        }
