"""An adapter to start from: copy it, and change what is yours. docs/baselines.md goes through it.

This one wraps a repository whose `animate.py` takes a reference image, a folder of drawn poses and a folder to write
frames into. It is complete: tests run it against a program that does just that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from baselines.base import Command, ExternalMethod, Job, OutputError, Weights
from baselines.inputs import PoseSettings, driving_poses, pose_drawings, reference_square
from mcbench import Case, NativeOutput, open_frames, write_frames

__all__ = ["Template"]

SIZE = 512
"""Side in pixels of all that the program reads and writes."""


class Template(ExternalMethod):
    """Runs `animate.py` once for each clip."""

    name: ClassVar[str] = "template"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "an adapter to start from"
    needs_driving_video: ClassVar[bool] = True
    repository: ClassVar[str] = "your-name/your-repository"
    landmark: ClassVar[str] = "animate.py"
    licence: ClassVar[str] = "yours"
    weights: ClassVar[tuple[Weights, ...]] = (Weights("checkpoint", "model.safetensors of your release"),)

    class Settings(PoseSettings, ExternalMethod.Settings):
        """What `--set` may set."""

        steps: int = 25
        """Denoising steps."""

    settings: Settings

    @property
    def native(self) -> NativeOutput:
        """What `animate.py` writes."""
        return self.native_output(size=(SIZE, SIZE), container="png", driver="drawn poses")

    def prepare(self, case: Case, folder: Path) -> None:
        """The inputs of one clip."""
        poses = driving_poses(case, SIZE, extractor=self.settings.poses, device=self.device)
        write_frames(folder / "inputs" / "reference", [reference_square(case, SIZE)])
        write_frames(folder / "inputs" / "poses", pose_drawings(poses))

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """How the program is started for one clip."""
        case = jobs[0].case
        argv = (
            *(*self.place.interpreter, str(self.place.repository / self.landmark)),
            *("--checkpoint", str(self.place.weights["checkpoint"])),
            *("--reference", str(folder / "inputs" / "reference" / "00000.png")),
            *("--poses", str(folder / "inputs" / "poses")),
            *("--output", str(folder / "outputs")),
            *("--steps", str(self.settings.steps), "--seed", str(case.seed)),
        )
        return Command(argv, {}, cwd=self.place.repository)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames that it wrote."""
        source = open_frames(folder / "outputs")
        if source.frames != case.frames:
            raise OutputError(f"the program wrote {source.frames} frames, {case.frames} were asked for")
        yield from source.read()
