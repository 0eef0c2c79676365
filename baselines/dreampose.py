"""DreamPose (Karras et al. 2023), driven by DensePose: https://github.com/johannakarras/DreamPose

What its sources (head 5bf30b7) do, and what is made of it here:

- Three programs, run in order by `launchers/dreampose.py`: `finetune-unet.py` and `finetune-vae.py` fit the networks to
  the reference image, with the README's settings, then `test.py` generates frame by frame.
- `finetune-unet.py` saves only where its step count is a multiple of 500, and says nothing where it never is. With one
  reference image a step is an epoch: `unet_epochs` must be such a multiple.
- They load `CompVis/stable-diffusion-v1-4` and `openai/clip-vit-base-patch32` by these names whatever they are told,
  and `test.py` looks for a frame's neighbours by replacing its number wherever it stands in the path. So they are
  started in a folder where these names are links to the user's folders, with paths that are relative and hold no
  digit; nothing is downloaded and nothing is written into the checkout.
- They work at 512 x 640 pixels (width x height) and stretch what has another shape. The square is given here with 64
  rows above and below that repeat its border, without DensePose, and these rows are cut off what comes back: people
  keep the proportions that the network was trained on.
- DensePose is `frame_N_densepose.npy`, (2, height, width): U and V in [0, 1], 0 on the background, without the parts.
  Its own tool keeps the first person that it finds; here everybody is in one picture.
- Each output frame is stretched so that its darkest value is 0 and its brightest 255. Its old extremes are not kept,
  so nothing here can undo that; it costs PSNR on clips of low contrast.
- `test.py` sets no seed; the launcher seeds PyTorch before it. The initial noise is the same for all frames.
- The folder `datasets` of the checkout holds no `__init__.py`, so an installed package of that name (Hugging Face's)
  hides it: the environment must not have one.

Fine-tuning is in fp32 and needs a CUDA GPU. The networks of a clip lie in its folder `kept`, some 10 GB, until its
frames are read; `--set keep=true` leaves them there. A clip that was stopped goes on behind the last step it had done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from baselines.base import Command, ExternalMethod, Job, Weights
from baselines.external.frame_files import read_frame_files
from baselines.inputs import DensePoseFrame, DensePoseSettings, densepose, reference_densepose, reference_square
from baselines.launchers import LAUNCHERS
from mcbench import Case, NativeOutput

__all__ = ["DreamPose"]

WIDTH, HEIGHT = 512, 640
MARGIN = (HEIGHT - WIDTH) // 2
SAVED_EVERY = 500
BASE_MODEL = "CompVis/stable-diffusion-v1-4"
BASE_REVISION = "ebb811dd71cdc38a204ecbdd6ac5d580f529fd8c"
IMAGE_ENCODER = "openai/clip-vit-base-patch32"
UNET = "base/unet_epoch_20.pth"
"""The adapter is looked for where `unet_epoch` in this path is replaced by `adapter`."""
ADAPTER = "base/adapter_20.pth"
LAUNCHER = LAUNCHERS / "dreampose.py"


class DreamPose(ExternalMethod):
    """Fits the user's checkout of DreamPose to each reference image and runs it on DensePose of the driving video."""

    name: ClassVar[str] = "dreampose"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "DreamPose (Karras et al. 2023), fine-tuned for each clip, driven by DensePose"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "johannakarras/DreamPose"
    landmark: ClassVar[str] = "finetune-unet.py"
    licence: ClassVar[str] = "MIT"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(key="unet", what="unet_epoch_20.pth, the base model that the repository's README links"),
        Weights(key="adapter", what="adapter_20.pth, which comes with it"),
        Weights(
            key="stable_diffusion",
            what=f"folder of huggingface.co/{BASE_MODEL} at revision {BASE_REVISION}, in diffusers' layout",
            is_folder=True,
        ),
        Weights(key="clip", what=f"folder of huggingface.co/{IMAGE_ENCODER}", is_folder=True),
    )

    class Settings(DensePoseSettings, ExternalMethod.Settings):
        """Fine-tuning and sampling, with the README's values."""

        unet_epochs: int = Field(default=500, ge=SAVED_EVERY, multiple_of=SAVED_EVERY)
        """Steps of fine-tuning the U-Net and the adapter; its program saves at multiples of 500 alone."""
        unet_learning_rate: float = Field(default=1e-5, gt=0)
        """Of AdamW."""
        vae_epochs: int = Field(default=1500, ge=1)
        """Steps of fine-tuning the VAE's decoder."""
        vae_learning_rate: float = Field(default=5e-5, gt=0)
        """Of AdamW."""
        s1: float = Field(default=8.0, ge=0)
        """Guidance by the reference image."""
        s2: float = Field(default=3.0, ge=0)
        """Guidance by the pose."""
        steps: int = Field(default=100, ge=1)
        """Denoising steps."""
        timeout: float = Field(default=6 * 3600.0, gt=0)
        """Seconds for a clip, fine-tuning included."""

    settings: Settings

    @property
    def note(self) -> str:
        """What it was made for."""
        return "made and fine-tuned for one person; clips with several characters are run as they are"

    @property
    def native(self) -> NativeOutput:
        """640 rows of 512 pixels in PNG."""
        return self.native_output(size=(HEIGHT, WIDTH), container="png", driver="densepose")

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference with its DensePose, and the DensePose of every driving frame."""
        train, poses = folder / "inputs" / "train", folder / "inputs" / "poses"
        for place in (train, poses):
            place.mkdir(parents=True)  # new: all that lies there would be taken for a frame
        picture = np.pad(reference_square(case, WIDTH), ((MARGIN, MARGIN), (0, 0), (0, 0)), mode="edge")
        Image.fromarray(picture).save(train / "frame_0.png")
        model, sha256 = self.settings.densepose, self.settings.densepose_sha256
        known = reference_densepose(case, WIDTH, model=model, sha256=sha256, device=self.device)
        np.save(train / "frame_0_densepose.npy", _uv(known))
        driving = densepose(case, WIDTH, model=model, sha256=sha256, device=self.device)
        for number, frame in enumerate(driving):
            np.save(poses / f"frame_{number}_densepose.npy", _uv(frame))

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """One start for one job: both kinds of fine-tuning, then the test, by the launcher."""
        (job,) = jobs
        start = job.folder / "start"
        for name, target in (
            (BASE_MODEL, self.place.weights["stable_diffusion"]),
            (IMAGE_ENCODER, self.place.weights["clip"]),
            (UNET, self.place.weights["unet"]),
            (ADAPTER, self.place.weights["adapter"]),
        ):
            link = start / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target.absolute())
        (start / "custom").symlink_to(Path("..", "kept"))
        steps = start / "steps.json"
        steps.write_text(json.dumps(self._steps(job.case), indent=1), encoding="utf-8")
        return Command(
            argv=(*self.place.interpreter, str(LAUNCHER), str(steps)),
            env={"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            cwd=start,
        )

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames, without the rows that were added."""
        frames = folder / "outputs" / "frames"
        paths = (frames / f"pred_#{number}.png" for number in range(case.frames))
        for frame in read_frame_files(paths, (HEIGHT, WIDTH)):
            yield np.ascontiguousarray(frame[MARGIN : MARGIN + WIDTH])

    def _steps(self, case: Case) -> list[dict[str, object]]:
        """The three programs with the README's arguments, as the launcher reads them."""
        settings = self.settings
        last, last_of_vae = settings.unet_epochs - 1, settings.vae_epochs - 1
        networks = [f"custom/unet_epoch_{last}.pth", f"custom/adapter_{last}.pth", f"custom/checkpoint-{last}"]
        vae = f"custom/vae_{last_of_vae}.pth"
        both = [
            f"--pretrained_model_name_or_path={BASE_MODEL}",
            f"--revision={BASE_REVISION}",
            "--instance_data_dir=../inputs/train",
            "--output_dir=custom",
            "--resolution=512",
            "--mixed_precision=no",
            f"--seed={case.seed % 2**32}",  # NumPy takes no more
        ]
        return [
            {
                "name": "finetune-unet",
                "script": str(self.place.repository / "finetune-unet.py"),
                "arguments": [
                    *both,
                    *("--train_batch_size=1", "--gradient_accumulation_steps=1", "--dropout_rate=0.0"),
                    f"--learning_rate={settings.unet_learning_rate}",
                    f"--num_train_epochs={settings.unet_epochs}",
                    f"--custom_chkpt={UNET}",
                ],
                "seed": None,
                "makes": networks,
                "done": "custom/finetune-unet.done",
            },
            {
                "name": "finetune-vae",
                "script": str(self.place.repository / "finetune-vae.py"),
                "arguments": [
                    *both,
                    *("--train_batch_size=4", "--gradient_accumulation_steps=4", "--run_name=vae"),
                    f"--learning_rate={settings.vae_learning_rate}",
                    f"--num_train_epochs={settings.vae_epochs}",
                ],
                "seed": None,
                "makes": [vae],
                "done": "custom/finetune-vae.done",
            },
            {
                "name": "test",
                "script": str(self.place.repository / "test.py"),
                "arguments": [
                    *("--epoch", str(last), "--folder", "custom", "--custom_vae", vae),
                    *("--pose_folder", "../inputs/poses", "--key_frame_path", "../inputs/train/frame_0.png"),
                    *("--s1", str(settings.s1), "--s2", str(settings.s2), "--n_steps", str(settings.steps)),
                    *("--output_dir", "../outputs/frames"),
                ],
                "seed": case.seed,
                "makes": [f"../outputs/frames/pred_#{number}.png" for number in range(case.frames)],
                "done": None,
            },
        ]


def _uv(frame: DensePoseFrame) -> npt.NDArray[np.float32]:
    """U and V over the padded picture, float32 (2, 640, 512)."""
    background = frame.part == 0
    uv = np.where(background, np.float32(0), np.stack([frame.u, frame.v]))
    return np.pad(uv, ((0, 0), (MARGIN, MARGIN), (0, 0))).astype(np.float32)
