"""Any program as a method, without a line of Python: `--method command:'python run.py {reference} {poses} {output}'`.

The words are split as a shell would, and no shell reads them. Each placeholder becomes a path or a number of the clip;
only the inputs that are named are made. The program runs where mcbench was started, or in `--set cwd=FOLDER`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from baselines.external.checkout import Checkout
from baselines.external.starts import Command, Job, OutputError, ProgramMethod, ProgramSettings
from baselines.external.video_files import write_exact_video
from baselines.inputs import PoseSettings, driving_poses, pose_drawings, reference_square
from mcbench import KEYPOINT_NAMES, Case, MethodError, NativeOutput, open_frames, write_frames

if TYPE_CHECKING:
    from fypv2.conditions import Poses

__all__ = ["PLACEHOLDERS", "CommandMethod"]

PLACEHOLDERS = {
    "reference": "reference image (PNG)",
    "poses": "drawn driving poses (mp4, lossless)",
    "pose_frames": "the same, as a folder of 00000.png …",
    "keypoints": "driving poses as numbers (JSON)",
    "output": "folder to write 00000.png … into",
    "output_video": "mp4 file to write instead",
    "frames": "number of frames",
    "fps": "frames a second",
    "size": "side of all pictures in pixels",
    "seed": "of random choices",
    "clip": "name of the clip",
    "checkpoint": "what --checkpoint names",
}


class CommandMethod(ProgramMethod):
    """A command of the user's own."""

    name: ClassVar[str] = "command"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "any program: --method command:'PROGRAM {reference} {poses} {output}'"
    needs_driving_video: ClassVar[bool] = True
    takes_checkpoint: ClassVar[bool] = True
    argument: ClassVar[str | None] = "run"

    class Settings(PoseSettings, ProgramSettings):
        """What `--set` may set; `run` is what stands behind the colon."""

        run: str
        """The command line with its placeholders."""
        name: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", max_length=100)
        """The method's name in results."""
        size: int = Field(default=512, ge=16, le=4096, multiple_of=2)
        """Side in pixels of the square pictures that the program is given."""
        cwd: Path | None = None
        """Folder in which it runs; where mcbench was started by default."""
        driver: str | None = Field(default=None, max_length=100)
        """What the result says that it is driven by; by default what the command names."""

    settings: Settings

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        super().__init__(settings, checkpoint, device)
        self._cwd = (self.settings.cwd or Path()).expanduser().absolute()
        self._words = _split(self.settings.run)
        self._asked = {name for word in self._words for name in _placeholders(word)}
        if len(self._asked & {"output", "output_video"}) != 1:
            raise MethodError("the command must name {output} or {output_video}, and not both; its frames go there")
        if "checkpoint" in self._asked and checkpoint is None:
            raise MethodError("the command names {checkpoint}; say which with --checkpoint PATH")
        if not self._cwd.is_dir():
            raise MethodError(f"{self._cwd}: no folder to run the command in; give another with --set cwd=FOLDER")
        program = self._words[0]
        if shutil.which(self._cwd / program if os.sep in program else program) is None:
            raise MethodError(f"no program is called '{program}'; give its path, from {self._cwd}, or the whole one")

    @property
    def id(self) -> str:
        """`--set name=…`, else `command`."""
        return self.settings.name or self.name

    @cached_property
    def _checkout(self) -> Checkout | None:
        return None if self.settings.cwd is None else Checkout(self._cwd)

    @property
    def commit(self) -> str | None:
        """Git commit of `--set cwd=FOLDER`."""
        return self._checkout.commit if self._checkout else None

    @property
    def uncommitted(self) -> str | None:
        """SHA-256 of the uncommitted changes there."""
        return self._checkout.changes if self._checkout else None

    @property
    def native(self) -> NativeOutput:
        """PNG or mp4; how large is the program's choice."""
        return NativeOutput(
            container="mp4" if "output_video" in self._asked else "png",
            driver=self.settings.driver or self._driver(),
            commit=self.commit,
            dirty=self._checkout.dirty if self._checkout else None,
        )

    def _driver(self) -> str:
        if self._asked & {"poses", "pose_frames"}:
            return "drawn poses"
        return "keypoints" if "keypoints" in self._asked else "nothing"

    def prepare(self, case: Case, folder: Path) -> None:
        """Write what the command names."""
        inputs, size = folder / "inputs", self.settings.size
        if "reference" in self._asked:
            write_frames(inputs / "reference", [reference_square(case, size)])
        if not self._asked & {"poses", "pose_frames", "keypoints"}:
            return
        poses = driving_poses(case, size, extractor=self.settings.poses, device=self.device)
        if "poses" in self._asked:
            write_exact_video(inputs / "poses.mp4", pose_drawings(poses), case.fps)
        if "pose_frames" in self._asked:
            write_frames(inputs / "poses", pose_drawings(poses))
        if "keypoints" in self._asked:
            (inputs / "keypoints.json").write_text(json.dumps(_document(poses, case.fps)), encoding="utf-8")

    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """The words, with a clip's paths and numbers in place of the placeholders."""
        case = jobs[0].case
        values: dict[str, Any] = {
            "reference": folder / "inputs" / "reference" / "00000.png",
            "poses": folder / "inputs" / "poses.mp4",
            "pose_frames": folder / "inputs" / "poses",
            "keypoints": folder / "inputs" / "keypoints.json",
            "output": folder / "outputs",
            "output_video": folder / "outputs" / "video.mp4",
            "frames": case.frames,
            "fps": case.fps,
            "size": self.settings.size,
            "seed": case.seed,
            "clip": case.clip,
            "checkpoint": None if self.checkpoint is None else self.checkpoint.expanduser().absolute(),
        }
        return Command(tuple(word.format_map(values) for word in self._words), {}, self._cwd)

    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames in `{output}` or `{output_video}`."""
        outputs = folder / "outputs"
        if "output_video" in self._asked:
            if not (outputs / "video.mp4").is_file():
                raise OutputError("the program wrote no {output_video}")
            source = open_frames(outputs / "video.mp4")
        else:
            source = open_frames(outputs)
            if source.container != "png":
                raise OutputError(f"the program wrote {source.container} files into {{output}}; make it write PNG")
        if source.frames != case.frames:
            raise OutputError(f"the program wrote {source.frames} frames, {case.frames} were asked for")
        yield from source.read()


def _split(line: str) -> list[str]:
    """The words of a command line.

    Raises:
        MethodError: if there are none, or a quote is left open.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise MethodError(f"the command cannot be split into words ({str(error).lower()}); mend its quotes") from None
    if not words:
        raise MethodError("the command is empty; give --method command:'PROGRAM … {output}'")
    return words


def _placeholders(word: str) -> Iterator[str]:
    """The placeholders of a word.

    Raises:
        MethodError: for one that there is not, or braces that are none.
    """
    try:
        for _, name, form, conversion in Formatter().parse(word):
            if name is None:
                continue
            if name not in PLACEHOLDERS or form or conversion:
                close = get_close_matches(name, PLACEHOLDERS, n=1)
                meant = f"; did you mean {{{close[0]}}}?" if close else ""
                written = f"{name}!{conversion}" if conversion else name
                written = f"{written}:{form}" if form else written
                raise MethodError(
                    f"no placeholder is called {{{written}}}{meant}; there are {', '.join(PLACEHOLDERS)};"
                    " write {{ and }} for braces"
                )
            yield name
    except ValueError as error:
        raise MethodError(f"'{word}': {str(error).lower()}; write {{{{ and }}}} for braces") from None


def _document(poses: Poses, fps: float) -> dict[str, Any]:
    """Poses as JSON: for each frame and character 18 rows of x, y and score; hands likewise, right one first."""

    def rows(places: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> Any:
        return np.round(np.concatenate([places, scores[..., None]], axis=-1).astype(float), 3).tolist()

    document = {
        "size": list(poses.size),
        "fps": fps,
        "names": list(KEYPOINT_NAMES),
        "body": rows(poses.body, poses.body_scores),
    }
    if poses.hands is not None and poses.hand_scores is not None:
        document["hands"] = rows(poses.hands, poses.hand_scores)
    return document
