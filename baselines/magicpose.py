"""MagicPose, also MagicDance (Chang et al. 2024), driven by OpenPose drawings: https://github.com/Boese0601/MagicDance

What its sources (head a515a1f) do, and what is made of it here:

- `test_any_image_pose.py` animates one reference by one folder of drawings, so there is one start a clip. The flags are
  those of `scripts/inference_any_image_pose.sh`; `--with_text`, contrary to its name, is what leaves text out.
- It must be started by torchrun, from which it takes its rank; the script's fixed port is replaced by a free one, so
  that two workers can share a machine.
- All files of the folder are taken as drawings, sorted as text: their names have leading zeros.
- Reference and drawings are cropped to a square at a random place and resized to 512 (`RandomResizedCrop`). They are
  given as 512 x 512, where there is nothing to choose.
- Drawings are ControlNet 1.1's of body, hands and face. Body and, where they are known, hands are drawn here, all
  characters of them; the face's 70 white dots are not, and the method's note says so.
- All drawings lie in memory at once, 3 MiB each.
- Frames are JPEG of Pillow's default quality (75, colours at half the resolution): `<local_image_dir>/0/gen_images/`,
  `000.jpg` and on. That is a loss that nothing here can undo; the result says `jpeg`.
- Text encoder and tokenizer, `openai/clip-vit-large-patch14`, come from the hub's cache on the user's machine, or are
  downloaded into it by the program; all other weights are in the checkpoint.

Precision is fp16 (bf16 from torch 2 on) and the device must be a CUDA GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from baselines.base import Command, ExternalMethod, Job, Weights
from baselines.external.frame_files import read_frame_files
from baselines.external.ports import free_port
from baselines.inputs import PoseSettings, driving_poses, pose_drawings, reference_square
from mcbench import Case, NativeOutput, write_frames

__all__ = ["MagicPose"]

SIZE = 512
MODEL_CONFIG = "model_lib/ControlNet/models/cldm_v15_reference_only_pose.yaml"


class MagicPose(ExternalMethod):
    """Runs the user's checkout of MagicPose on drawings of the driving poses."""

    name: ClassVar[str] = "magicpose"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "MagicPose (Chang et al. 2024), driven by OpenPose"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "Boese0601/MagicDance"
    landmark: ClassVar[str] = "test_any_image_pose.py"
    licence: ClassVar[str] = "USC research licence: educational, research and non-profit purposes"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            key="checkpoint",
            what="model_state-110000.th, linked in MagicDance's README as 'our MagicDance checkpoint'; the program also"
            " loads openai/clip-vit-large-patch14 from the hub's cache",
        ),
    )

    class Settings(PoseSettings, ExternalMethod.Settings):
        """Steps (50) and guidance (7) are fixed in the program."""

    settings: Settings

    @property
    def native(self) -> NativeOutput:
        """512 x 512 JPEG."""
        return self.native_output(size=(SIZE, SIZE), container="jpeg", driver="openpose")

    @property
    def note(self) -> str | None:
        """What its drawings lack, and what its frames went through."""
        return "driven without the face landmarks that it was trained with; its frames are JPEG"

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference (PNG) and the drawings (a folder of PNG) of one clip, 512 x 512."""
        inputs = folder / "inputs"
        Image.fromarray(reference_square(case, SIZE)).save(inputs / "reference.png")
        poses = driving_poses(case, SIZE, extractor=self.settings.poses, device=self.device)
        write_frames(inputs / "poses", pose_drawings(poses))

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """The start for one job."""
        (job,) = jobs
        inputs = job.folder / "inputs"
        argv = (
            *self.place.interpreter,
            *("-m", "torch.distributed.run", "--nproc_per_node", "1", "--master_port", str(free_port())),
            "test_any_image_pose.py",
            *("--model_config", MODEL_CONFIG, "--num_train_steps", "1", "--img_bin_limit", "all"),
            *("--train_batch_size", "1", "--use_fp16", "--control_mode", "controlnet_important"),
            *("--control_type", "body+hand+face", "--train_dataset", "tiktok_video_arnold"),
            *("--v4", "--with_text", "--wonoise"),
            *("--seed", str(job.case.seed % 2**32)),  # NumPy, which it seeds too, takes no more than 32 bits
            *("--local_image_dir", str(job.folder / "outputs"), "--local_log_dir", str(folder / "start")),
            *("--image_pretrain_dir", str(self.place.weights["checkpoint"])),
            *("--local_pose_path", str(inputs / "poses")),
            *("--local_cond_image_path", str(inputs / "reference.png")),
        )
        return Command(argv=argv, env={}, cwd=self.place.repository)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames of one clip."""
        frames = folder / "outputs" / "0" / "gen_images"
        return read_frame_files((frames / f"{number:03d}.jpg" for number in range(case.frames)), (SIZE, SIZE))
