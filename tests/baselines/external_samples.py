"""External methods for tests, their checkouts, and cases for them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tomlkit

from baselines.base import Command, ExternalMethod, Job, OutputError, Weights
from mcbench import Case, DrivingPoses, NativeOutput, open_frames, write_frames

STAND_INS = Path(__file__).parent / "stand_ins"

STRENGTH = b"weights"


class ManyClips(ExternalMethod):
    """`stand_ins/many_clips.py`."""

    name: ClassVar[str] = "many-clips"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "for tests"
    repository: ClassVar[str] = "somebody/many-clips"
    landmark: ClassVar[str] = "many_clips.py"
    licence: ClassVar[str] = "MIT"
    batch: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights("checkpoint", "model.pth of its release", size=len(STRENGTH)),
        Weights("extra", "more.pth", required=False),
    )

    class Settings(ExternalMethod.Settings):
        strength: float = 1.0

    @property
    def native(self) -> NativeOutput:
        return self.native_output(size=None, container="png", driver="drawn poses")

    def prepare(self, case: Case, folder: Path) -> None:
        write_frames(folder / "inputs" / "reference", [case.reference])

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        about = [
            {
                "clip": job.case.clip,
                "reference": str(job.folder / "inputs" / "reference" / "00000.png"),
                "frames": job.case.frames,
                "output": str(job.folder / "outputs"),
            }
            for job in jobs
        ]
        (folder / "jobs.json").write_text(json.dumps(about))
        argv = (*self.place.interpreter, str(self.place.repository / self.landmark), "--jobs", f"{folder}/jobs.json")
        return Command(argv, {}, self.place.repository)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        source = open_frames(folder / "outputs")
        if source.frames < case.frames:
            raise OutputError(f"the program wrote {source.frames} frames, {case.frames} were asked for")
        yield from source.read()


class OneClip(ManyClips):
    """The same program, one start a clip."""

    name: ClassVar[str] = "one-clip"
    section: ClassVar[str | None] = "many-clips"
    batch: ClassVar[bool] = False


def make_checkout(folder: Path, program: str, landmark: str) -> Path:
    """A folder that passes for a checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(STAND_INS / program, folder / landmark)
    return folder


def write_methods(file: Path, **sections: dict[str, Any]) -> None:
    """The TOML file with these sections, as a person would write them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(tomlkit.dumps({name.replace("_", "-"): section for name, section in sections.items()}))


def section_of(checkout: Path, weights: Path) -> dict[str, Any]:
    return {"repository": str(checkout), "interpreter": sys.executable, "weights": {"checkpoint": str(weights)}}


def make_case(name: str, root: Path | None, frames: int = 3, size: int = 32, **more: Any) -> Case:
    """A case whose reference image is noise of its own."""
    reference = np.random.default_rng(list(name.encode())).integers(0, 256, (size, size, 3), np.uint8)
    folder = None if root is None else root / name
    return Case(name, frames, 10.0, (size, size), more.pop("seed", 0), reference, folder=folder, **more)


def walking_poses(frames: int, size: int) -> DrivingPoses:
    """One character of 18 keypoints on a circle, which moves to the right."""
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * size / 4 + size / 2
    steps = np.arange(frames)[:, None, None, None] * np.array([2.0, 0.0])
    keypoints = (circle[None, None] + steps).astype(np.float32)
    return DrivingPoses(keypoints, np.full(keypoints.shape[:3], 2, np.uint8))


def meant(case: Case) -> npt.NDArray[np.uint8]:
    """What `many_clips.py` makes of a case."""
    video = np.repeat(case.reference[None], case.frames, axis=0)
    video[:, 0, 0] = [(number, 0, 0) for number in range(case.frames)]
    return video


def is_alive(process: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
