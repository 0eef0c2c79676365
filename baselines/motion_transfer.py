"""What MRAA and TPSMM share: a `demo.py` that animates one source image by one driving video.

Both learn how pictures move from videos alone, without poses. The paper (Table 2) has each of them twice: driven by the
true video, which it calls perfect and unfair (starred), and by a video of the drawn poses. The source is the reference
image either way.

What the programs do, read in their sources:

- They read source and driving video with imageio, the video frame by frame through FFmpeg; take three channels of each
  as RGB; and resize to `--img_shape` without regard to the ratio. Both are given as squares of that size, without loss.
- They write one frame for each driving frame, rounded to 8 bits, with `imageio.mimsave`. An .mp4 of imageio's is H.264
  in yuv420p at its quality 5, x264's `-crf 25`: frames lose detail, and their colours half the resolution, before
  anything is measured. That is a loss that nothing here can undo; the result says `mp4`.
- The rate of the result is that of the driving video, hence the clip's, rounded to two digits by FFmpeg's own words.
- They draw nothing at random, so a case's seed means nothing to them.
- Where a checkpoint holds no AVD network, they say nothing and go on with an untrained one; here that is an error.
- imageio needs the package imageio-ffmpeg for videos, which MRAA's requirements.txt does not name.
- A whole clip lies in memory several times, about 10 MiB for each frame.
"""

from __future__ import annotations

import mmap
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from baselines.base import Command, ExternalMethod, Job, OutputError
from baselines.external.video_files import read_tile, write_exact_video
from baselines.inputs import PoseSettings, driving_poses, pose_drawings, reference_square, truth_square
from mcbench import Case, MethodError, NativeOutput

__all__ = ["SIZE", "DrivenByPoses", "DrivenByTruth", "Mode", "MotionTransfer"]

SIZE = 384
"""Side in pixels of the squares that the networks for TED-talks were trained on."""

Mode = Literal["standard", "relative", "avd"]
"""How motion goes from the driver to the source.

`standard` puts the source's parts where the driver's are. `relative` moves them as the driver's have moved since its
first frame, which fits where the reference shows the pose of that frame. `avd`, animation via disentanglement, lets a
network that was trained for it keep the source's shape in the driver's pose.
"""

SOURCE, DRIVING, RESULT = "source.png", "driving.mp4", "result.mp4"


class MotionTransfer(ExternalMethod):
    """Runs `demo.py` of the user's checkout; a subclass says of which, and with what.

    Attributes:
        driver: what drives it, as `native` calls it.
    """

    landmark: ClassVar[str] = "demo.py"
    driver: ClassVar[str]

    class Settings(ExternalMethod.Settings):
        """The options that both programs have; a subclass narrows the configurations and gives the defaults."""

        config: str
        """Name of the configuration in the checkout's folder `config`."""
        mode: Mode
        """How motion is transferred."""

    settings: Settings

    @abstractmethod
    def driving_frames(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The driving video: `case.frames` frames, uint8 RGB (SIZE, SIZE, 3)."""

    @property
    @abstractmethod
    def weights_key(self) -> str:
        """Which of the weights is loaded."""

    @property
    def weights_in_use(self) -> Collection[str]:
        """The one checkpoint that these settings load."""
        return (self.weights_key,)

    @property
    def native(self) -> NativeOutput:
        """384 x 384 in an mp4, at the clip's own rate."""
        return self.native_output(size=(SIZE, SIZE), container="mp4", driver=self.driver)

    def program(self) -> tuple[str, ...]:
        """What the interpreter runs, before its options."""
        return (str(self.place.repository / self.landmark),)

    def prepare(self, case: Case, folder: Path) -> None:
        """Write the reference (PNG) and the driving video (lossless RGB) of one clip."""
        inputs = folder / "inputs"
        Image.fromarray(reference_square(case, SIZE)).save(inputs / SOURCE)
        write_exact_video(inputs / DRIVING, self.driving_frames(case), case.fps)

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """The start for one job.

        Raises:
            MethodError: if the checkout has no such configuration, or the checkpoint no AVD network where one is used.
        """
        (job,) = jobs
        config = self.place.repository / "config" / f"{self.settings.config}.yaml"
        if not config.is_file():
            raise MethodError(f"{config}: not there; the checkout must be one of https://github.com/{self.repository}")
        checkpoint = self.place.weights[self.weights_key]
        if self.settings.mode == "avd" and not _holds_avd(checkpoint):
            raise MethodError(
                f"{checkpoint}: holds no AVD network, and an untrained one would be used; give --set mode=standard or"
                " --set mode=relative, or a checkpoint of the repository's own `run.py --mode train_avd`"
            )
        argv = (
            *self.place.interpreter,
            *self.program(),
            *("--config", str(config)),
            *("--driving_video", str(job.folder / "inputs" / DRIVING)),
            *("--source_image", str(job.folder / "inputs" / SOURCE)),
            *("--checkpoint", str(checkpoint)),
            *("--result_video", str(job.folder / "outputs" / RESULT)),
            *("--mode", self.settings.mode),
            *("--img_shape", f"{SIZE},{SIZE}"),
            *(() if self.device.startswith("cuda") else ("--cpu",)),
        )
        return Command(argv=argv, env={}, cwd=self.place.repository)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames of the result video, one for each driving frame."""
        video = folder / "outputs" / RESULT
        if not video.is_file():
            raise OutputError(f"the program wrote no {RESULT}")
        yield from read_tile(video, frames=case.frames, counts=(case.frames,), size=(SIZE, SIZE), tile=(0, 0, SIZE))


class DrivenByPoses(MotionTransfer):
    """Driven by a video of the drawn poses, as the paper's rows without a star are."""

    needs_driving_video: ClassVar[bool] = True
    driver: ClassVar[str] = "drawn poses"

    def driving_frames(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """OpenPose drawings on black."""
        assert isinstance(self.settings, PoseSettings)
        poses = driving_poses(case, SIZE, extractor=self.settings.poses, device=self.device)
        return pose_drawings(poses, size=SIZE)


class DrivenByTruth(MotionTransfer):
    """Driven by the true video, as the paper's starred rows are."""

    needs_truth: ClassVar[bool] = True
    driver: ClassVar[str] = "truth video"

    def driving_frames(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The true frames, square."""
        return truth_square(case, SIZE)


@cache
def _holds_avd(checkpoint: Path) -> bool:
    """Whether a checkpoint has an entry for the AVD network.

    PyTorch writes the names of entries as plain text, in its old files and in its uncompressed zip files alike, so that
    nothing needs to be unpickled.
    """
    if checkpoint.stat().st_size == 0:  # which cannot be mapped
        return False
    with checkpoint.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"avd_network") >= 0
