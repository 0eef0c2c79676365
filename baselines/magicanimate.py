"""MagicAnimate (Xu et al. 2023), driven by DensePose: https://github.com/magic-research/magic-animate

What its sources (head d2bc3bc) do, and what is made of it here:

- `python -m magicanimate.pipelines.animation --config X.yaml` takes lists of reference images and driving videos and
  goes through them pair by pair, so one start serves many clips. It sets its seeds anew for every pair: the frames of
  a clip do not depend on its neighbours.
- All keys of `configs/prompts/animation.yaml` must be there: OmegaConf refuses to read one that is not.
- The reference goes to the network as Pillow opens it, without conversion to RGB, and both inputs are resized without
  regard to their aspect: they are given as 512 x 512 RGB, where nothing is resized.
- A driving video is one whose name ends in `.mp4`, in lower case. PyAV decodes it, so it is lossless RGB here. The
  colours are those of the repository's own samples: viridis over the parts, on RGB (68, 1, 84).
- Frames are padded to a multiple of `L` by repeating the last, and the padding is cut off again before writing. A
  video that still has it, as other versions write, is cut here.
- The result, `samples/<savename>/videos/<source>_<video>.mp4`, is found relative to the folder where the program is
  started, which is therefore one of its own: nothing is written into the checkout. `<source>` ends at the first dot.
- It is H.264 in yuv420p at 25 frames a second whatever the driving video said, at imageio's default quality (constant
  rate factor 25). That is a loss that nothing here can undo.

Precision is fp16, the device must be a CUDA GPU, xformers must be installed. `LICENSE` is BSD-3-Clause, while the head
of `animation.py` forbids use without an agreement with ByteDance; which one binds is for the user to find out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from pydantic import Field

from baselines.base import Command, ExternalMethod, Job, OutputError, Weights, file_name
from baselines.external.video_files import read_tile, write_exact_video
from baselines.inputs import DensePoseSettings, densepose, densepose_colours, reference_square
from mcbench import Case, NativeOutput

__all__ = ["MagicAnimate"]

SIZE = 512
WINDOW = 16
"""`L`: frames that the motion modules see at once, as the weights were trained."""
OUTPUT_FPS = 25.0
SAVENAME = "mcbench"


class MagicAnimate(ExternalMethod):
    """Runs the user's checkout of MagicAnimate on DensePose of the driving video."""

    name: ClassVar[str] = "magicanimate"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "MagicAnimate (Xu et al. 2023), driven by DensePose"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "magic-research/magic-animate"
    landmark: ClassVar[str] = "magicanimate/pipelines/animation.py"
    licence: ClassVar[str] = "BSD-3-Clause; see also the head of magicanimate/pipelines/animation.py"
    batch: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            key="checkpoints",
            what="folder with appearance_encoder, densepose_controlnet and temporal_attention, from"
            " huggingface.co/zcxu-eric/MagicAnimate",
            is_folder=True,
        ),
        Weights(
            key="stable_diffusion",
            what="folder of Stable Diffusion 1.5 in diffusers' layout (tokenizer, text_encoder, unet, scheduler)",
            is_folder=True,
        ),
        Weights(key="vae", what="folder of huggingface.co/stabilityai/sd-vae-ft-mse", is_folder=True),
    )

    class Settings(DensePoseSettings, ExternalMethod.Settings):
        """The sampler's settings, with the repository's values."""

        steps: int = Field(default=25, ge=1)
        """Denoising steps."""
        guidance_scale: float = Field(default=7.5, gt=1)
        """Classifier-free guidance; the program fails at 1 and below, where there is none."""

    settings: Settings

    @property
    def native(self) -> NativeOutput:
        """512 x 512 in an mp4 of 25 frames a second."""
        return self.native_output(size=(SIZE, SIZE), container="mp4", fps=OUTPUT_FPS, driver="densepose")

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference (PNG) and the DensePose video (lossless RGB) of one clip."""
        inputs = folder / "inputs"
        name = file_name(case.clip)
        Image.fromarray(reference_square(case, SIZE)).save(inputs / f"{name}.png")
        frames = densepose(
            case,
            SIZE,
            model=self.settings.densepose,
            sha256=self.settings.densepose_sha256,
            device=self.device,
        )
        pictures = (densepose_colours(frame.part) for frame in frames)
        write_exact_video(inputs / f"{name}.mp4", pictures, case.fps)

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """One start for all jobs, in the folder of the start."""
        videos = folder / "samples" / SAVENAME / "videos"
        videos.mkdir(parents=True)
        for job in jobs:
            # The program writes through the link into the clip's own folder, so a batch that dies keeps what it made.
            name = file_name(job.case.clip)
            (videos / f"{name}_{name}.mp4").symlink_to(job.folder / "outputs" / "video.mp4")
        config = folder / "animation.yaml"
        config.write_text(yaml.safe_dump(self._config(jobs), sort_keys=False), encoding="utf-8")
        return Command(
            argv=(*self.place.interpreter, "-m", "magicanimate.pipelines.animation", "--config", str(config)),
            env={"PYTHONPATH": self.module_path(), "HF_HUB_OFFLINE": "1"},
            cwd=folder,
        )

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames of one clip, without padding."""
        video = folder / "outputs" / "video.mp4"
        if not video.is_file():
            raise OutputError(f"{self.name} wrote no video for clip '{case.clip}'")
        padded = math.ceil(case.frames / WINDOW) * WINDOW
        yield from read_tile(
            video, frames=case.frames, counts=(case.frames, padded), size=(SIZE, SIZE), tile=(0, 0, SIZE)
        )

    def _config(self, jobs: Sequence[Job]) -> dict[str, object]:
        """All keys of the repository's `configs/prompts/animation.yaml`, of which it reads most without a default."""
        checkpoints = self.place.weights["checkpoints"]
        inputs = [job.folder / "inputs" / file_name(job.case.clip) for job in jobs]
        return {
            "pretrained_model_path": str(self.place.weights["stable_diffusion"]),
            "pretrained_vae_path": str(self.place.weights["vae"]),
            "pretrained_controlnet_path": str(checkpoints / "densepose_controlnet"),
            "pretrained_appearance_encoder_path": str(checkpoints / "appearance_encoder"),
            "pretrained_unet_path": "",
            "motion_module": str(checkpoints / "temporal_attention" / "temporal_attention.ckpt"),
            "savename": SAVENAME,
            "fusion_blocks": "midup",
            # NumPy, which it seeds too, takes no more than 32 bits.
            "seed": [job.case.seed % 2**32 for job in jobs],
            "steps": self.settings.steps,
            "guidance_scale": self.settings.guidance_scale,
            "source_image": [f"{path}.png" for path in inputs],
            "video_path": [f"{path}.mp4" for path in inputs],
            "inference_config": str(self.place.repository / "configs" / "inference" / "inference.yaml"),
            "size": SIZE,
            "L": WINDOW,
            "S": 1,
            "I": 0,
            "clip": 0,
            "offset": 0,
            "max_length": None,
            "video_type": "condition",
            "invert_video": False,
            "save_individual_videos": False,
        }
