"""ProgramMethod: frames that a program of its own makes, one start for one clip or for many."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from baselines.external.marks import is_complete, mark_complete
from baselines.external.process import Command, clean_environment, explain, run_program
from baselines.inputs import PoseSettings
from mcbench import Case, Method, MethodError, UserError

__all__ = ["Command", "Job", "OutputError", "ProgramMethod", "ProgramSettings", "file_name"]

LOG = "log.txt"
INPUTS, OUTPUTS, START, KEPT = "inputs", "outputs", "start", "kept"


class OutputError(MethodError):
    """What a program wrote is not the clip: missing, too short, or no frames at all."""


def file_name(clip: str) -> str:
    """A name for a clip's files in a start for many: letters, digits and `-` alone, another for every clip.

    Programs cut names at dots, and drop or replace what they do not like: `a.b` and `ab` would be one. The digest of a
    clip's name loses nothing.
    """
    return "clip-" + hashlib.sha256(clip.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """One clip of a start.

    Attributes:
        case: what is asked for.
        folder: its own, absolute; `inputs` and `outputs` are there, and `kept`, for what the next start may go on with
            if this one is stopped.
    """

    case: Case
    folder: Path


class ProgramSettings(BaseModel):
    """What `--set` may set for every program."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    timeout: float = Field(default=3600, gt=0)
    """Seconds that the program may take for a clip; a start for several clips has as many times as much."""
    clips_per_start: int = Field(default=16, ge=1)
    """Clips that one start may do, where the program can do several."""
    keep: bool = False
    """Whether the program's inputs stay in the run folder once its frames are there."""


class ProgramMethod(Method):
    """A program that is started, reads files and writes files.

    Attributes:
        batch: whether one start can do many clips.
    """

    class Settings(ProgramSettings):
        """What `--set` may set for every program."""

    batch: ClassVar[bool] = False
    incidental: ClassVar[frozenset[str]] = frozenset({"timeout", "clips_per_start", "keep"})

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        super().__init__(settings, checkpoint, device)
        assert isinstance(settings, ProgramSettings)
        self._program = settings
        self._expected: Iterable[Case] = ()

    @abstractmethod
    def prepare(self, case: Case, folder: Path) -> None:
        """Write the program's inputs for one clip into `folder / "inputs"`.

        Raises:
            MethodError: if it cannot, in one line.
        """

    @abstractmethod
    def command(self, jobs: Sequence[Job], folder: Path) -> Command:
        """How the program is started.

        Args:
            jobs: what it is to do, prepared; one unless `batch`.
            folder: of this start, for its configuration. Of a method that is not `batch` it is the job's own.
        """

    @abstractmethod
    def collect(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        """The frames of a clip that the program wrote, in order: uint8 RGB, native size, exactly `case.frames`.

        May be called several times, and before all is there.

        Raises:
            OutputError: if they are missing, too few or garbage, in one line.
        """

    def finish(self, jobs: Sequence[Job], folder: Path) -> None:
        """Bring the outputs of a start into each job's `folder / "outputs"`, where the program writes elsewhere.

        Also called after a start that failed, to keep what it had done; what it raises is then left aside.
        """

    @property
    def commit(self) -> str | None:
        """Commit of the code that is run, where it is known."""
        return None

    def files(self, case: Case) -> Sequence[Path]:
        """Poses of a folder; an adapter adds what else it reads."""
        from fypv2.extractors import pose_files_of

        poses = self.settings.poses if isinstance(self.settings, PoseSettings) else None
        return pose_files_of(poses, case.clip) if isinstance(poses, Path) else ()

    def start_command(self, jobs: Sequence[Job], folder: Path) -> tuple[Command, tuple[str, ...]]:
        """The command as it is run, and what must be run once it was stopped."""
        return self.command(jobs, folder), ()

    def expect(self, cases: Iterable[Case]) -> None:
        """Keep what may be asked for, so that one start can do several clips."""
        self._expected = cases

    def animate(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The program's frames; it is started unless they are there from an earlier start."""
        if case.folder is not None:
            yield from self._animated(case, case.folder)
            return
        with tempfile.TemporaryDirectory(prefix="mcbench-") as temporary:
            yield from self._animated(case, Path(temporary).resolve() / "clip")

    def _animated(self, case: Case, folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
        stamp = self._stamp(case)
        with contextlib.ExitStack() as held:
            held.enter_context(_lock(folder))  # another process may be making them along with its own
            if not is_complete(folder, stamp):
                self._start([Job(case, folder), *self._others(folder, held)])
        for count, frame in enumerate(self.collect(case, folder)):
            yield frame
            if count + 1 == case.frames:
                break
        if not self._program.keep:
            for name in (INPUTS, START, KEPT):
                shutil.rmtree(folder / name, ignore_errors=True)

    def _others(self, folder: Path, held: contextlib.ExitStack) -> Iterator[Job]:
        """Further clips for the same start, each locked as long as `held` is open."""
        if not self.batch or self._program.clips_per_start == 1:
            return
        count = 1
        for case in self._expected:
            if case.folder is None or case.folder == folder:
                continue
            lock = _lock(case.folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            if is_complete(case.folder, self._stamp(case)):
                lock.release()
                continue
            held.callback(lock.release)
            yield Job(case, case.folder)
            count += 1
            if count == self._program.clips_per_start:
                return

    def _start(self, jobs: Sequence[Job]) -> None:
        """Start the program for these clips, and keep what it makes.

        Raises:
            MethodError: naming the first clip that has no frames afterwards.
        """
        first = jobs[0]
        for job in jobs:
            with self._named(job):
                _clear(job.folder, self._stamp(job.case))
                self.prepare(job.case, job.folder)
        start = first.folder / START if self.batch else first.folder
        start.mkdir(parents=True, exist_ok=True)
        log = first.folder / LOG
        with self._named(first):
            command, afterwards = self.start_command(jobs, start)
        timeout = self._program.timeout * len(jobs)
        ended = run_program(
            command,
            clean_environment(self.device, command.argv[0]),
            log=log,
            timeout=timeout,
            locks=[_guard_lock(job.folder) for job in jobs],
            afterwards=afterwards,
        )
        for job in jobs[1:]:
            with contextlib.suppress(OSError):  # on a full disk the first clip's serves for all
                shutil.copyfile(log, job.folder / LOG)
        well = ended.status == 0 and not ended.timed_out
        allowed = f"{timeout:g} s" if len(jobs) == 1 else f"{timeout:g} s for {len(jobs)} clips"
        fault = None if well else explain(ended, log, allowed)
        try:
            self.finish(jobs, start)
        except (UserError, OSError) as error:
            fault = fault or str(error)
        lacking = [(job, lack) for job in jobs if (lack := self._keep(job, trusted=well or job is not jobs[-1]))]
        if lacking:
            job, lack = lacking[0]
            raise MethodError(f"method '{self.id}', clip '{job.case.clip}': {fault or lack}; log: {job.folder / LOG}")

    def _keep(self, job: Job, *, trusted: bool) -> str | None:
        """Mark the frames of a clip as complete; why they are not, if so.

        Args:
            job: the clip.
            trusted: False for the last clip of a program that ended badly: who knows what it would still have done.
        """
        try:
            count = sum(1 for _ in self.collect(job.case, job.folder))
            if count != job.case.frames:
                return f"the program wrote {count} frames, {job.case.frames} were asked for"
            if not trusted:
                return "the program did not end well"
            mark_complete(job.folder, self._stamp(job.case), leave_out=(INPUTS, START, KEPT, LOG))
        except (UserError, OSError, ValueError, EOFError) as error:
            return " ".join(str(error).split())
        return None

    @contextlib.contextmanager
    def _named(self, job: Job) -> Iterator[None]:
        """Faults of an adapter, behind the method and the clip that they are about."""
        try:
            yield
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise MethodError(
                f"method '{self.id}', clip '{job.case.clip}': {place}{error.strerror or error}; free space or mend its"
                " permissions"
            ) from error
        except UserError as error:
            raise MethodError(f"method '{self.id}', clip '{job.case.clip}': {error}") from error

    def _stamp(self, case: Case) -> str:
        """Digest of everything that a clip's frames are made from."""
        settings = self.settings.model_dump(mode="json", exclude=set(self.incidental))
        code = [self.name, self.version, self.commit, self.uncommitted]
        made_from = [self.case_digest(case), code, settings, self.checkpoint_sha256]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _clear(folder: Path, stamp: str) -> None:
    """An empty folder with places for inputs and outputs, once nothing of an earlier start is alive in it.

    What an earlier start has put into `kept` stays if it was made from the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / KEPT / "stamp.txt"
    with FileLock(_guard_lock(folder)):
        stays = owner.is_file() and owner.read_bytes() == stamp.encode()
        for path in folder.iterdir():
            if stays and path.name == KEPT:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name in (INPUTS, OUTPUTS, KEPT):
            (folder / name).mkdir(exist_ok=True)
        owner.write_bytes(stamp.encode())


def _lock(folder: Path) -> FileLock:
    """The lock file of `Case.lock`, also for a folder outside a run."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def _guard_lock(folder: Path) -> Path:
    """Held by the process that guards a start, which may outlive this one by a moment."""
    return folder.with_name(f".{folder.name}.guard")
