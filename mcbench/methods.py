"""Method: the interface that everything measured implements.

A method registers under the entry-point group `mcbench.methods`; the floors in `baselines`, the reference model in
`fypv2` and anyone's own package do it alike. It is given a Case (a reference image and a driving pose sequence) and
returns frames. It is not given the truth unless it declares `needs_truth`, and is then starred in every table.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from mcbench.cases import Case, case_digest
from mcbench.digests import files_of, files_sha256
from mcbench.errors import MethodError, UsageError, UserError, VideoError, nearest
from mcbench.geometry import check_aspect
from mcbench.results import NativeOutput

__all__ = [
    "Method",
    "Question",
    "available_methods",
    "checked_frames",
    "find_method",
    "load_method",
    "settings_document",
]

ENTRY_POINT_GROUP = "mcbench.methods"


@dataclass(frozen=True)
class Question:
    """One thing that a method must be told before it can run, as `mcbench methods --configure` asks for it.

    Attributes:
        key: what `--set key=value` calls it.
        text: what it is, and where to get it.
        default: the answer known so far, or a sensible one.
        required: whether there is no going without; else an empty answer is one.
        alternatives: keys of which any one answers this question too.
        goes_with: key without whose answer this one means nothing, and is not asked for.
    """

    key: str
    text: str
    default: str | None = None
    required: bool = True
    alternatives: tuple[str, ...] = ()
    goes_with: str | None = None


class Method(ABC):
    """Something that animates a reference image by a pose sequence.

    A subclass names itself, says in `Settings` what `--set key=value` may set, and implements `animate`.

    Attributes:
        name: matches `[a-z0-9-]+`; the id used on the command line and in results.
        version: changes whenever the frames may change.
        summary: one line for `mcbench methods`.
        needs_truth: whether it must see the true frames (a driver by truth video, or an oracle). Starred in tables.
        needs_driving_video: whether what drives it (poses, DensePose) is extracted from the driving video where the
            data set has no exact annotations. Not starred: what animates never sees the video itself.
        takes_checkpoint: whether `--checkpoint` means something to it.
        argument: the setting that stands behind a colon in `--method NAME:VALUE`, None where nothing may.
        incidental: settings that do not decide what the frames are, so that a run is taken up with other ones.
    """

    class Settings(BaseModel):
        """No settings."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    version: ClassVar[str]
    summary: ClassVar[str]
    needs_truth: ClassVar[bool] = False
    needs_driving_video: ClassVar[bool] = False
    takes_checkpoint: ClassVar[bool] = False
    argument: ClassVar[str | None] = None
    incidental: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        self.settings = settings
        self.checkpoint = checkpoint
        self.device = device
        self._checkpoint_sha256: str | None = None

    @property
    def id(self) -> str:
        """The name in results and tables: that of the method, unless a setting gives another."""
        return self.name

    @property
    def checkpoint_sha256(self) -> str | None:
        """SHA-256 of the checkpoint: of its bytes, or of all files of a folder; None for a method without one."""
        if self.checkpoint is None:
            return None
        if self._checkpoint_sha256 is None:
            self._checkpoint_sha256 = _digest_of(self.checkpoint)
        return self._checkpoint_sha256

    @property
    def note(self) -> str | None:
        """What a reader must know before the method's numbers mean anything; stands in the result and its tables."""
        return None

    @property
    def native(self) -> NativeOutput | None:
        """What the frames are before the protocol; None where the method makes them in this process."""
        return None

    @property
    def uncommitted(self) -> str | None:
        """SHA-256 of what was changed in the code that it runs since `native.commit`; None where nothing was."""
        return None

    def files(self, case: Case) -> Sequence[Path]:
        """Files and folders of the user's that are read for a clip, besides the checkpoint: poses of a folder, say."""
        return ()

    def case_digest(self, case: Case) -> str:
        """SHA-256 (hex) of what the frames of a case are made from; only frames of the same digest are taken up again.

        That of the case alone, `mcbench.case_digest`, unless there are `files`: of their names and contents too. A file
        that is missing or cannot be read is told of by who needs it.
        """
        contents = []
        for file in self.files(case):
            with contextlib.suppress(MethodError):
                contents.append([file.name, _digest_of(file)])
        alone = case_digest(case)
        return hashlib.sha256(json.dumps([alone, contents]).encode()).hexdigest() if contents else alone

    def expect(self, cases: Iterable[Case]) -> None:  # noqa: B027 (most methods have no use for it)
        """Told before the first `animate` what this process may be asked for.

        Args:
            cases: every case of this process's share that has no frames yet, in the order in which they will be asked
                for. Made one by one as they are taken, and anew each time that they are gone through.
        """

    @classmethod
    def lacks(cls) -> Sequence[str]:
        """What must be had before it can run, a line each with where to get it; empty where it is ready."""
        return ()

    @classmethod
    def questions(cls) -> Sequence[Question]:
        """What `mcbench methods --configure` asks for; empty for a method that needs no telling."""
        return ()

    @classmethod
    def configure(cls, answers: Mapping[str, str]) -> Path:
        """Check the answers to the questions and write them down.

        Args:
            answers: by key; what is left out stays as it is.

        Returns:
            The file that holds them.

        Raises:
            UserError: if something is missing or is not what it should be; nothing is written then.
        """
        raise UsageError(f"method '{cls.name}' needs no configuring; it is ready")

    @abstractmethod
    def animate(self, case: Case) -> Iterable[npt.NDArray[np.uint8]]:
        """Frames for a case, in order.

        Returns:
            `case.frames` arrays, uint8 RGB, all of one size: that of the clip, or square.

        Raises:
            MethodError: if it cannot, in one line.
        """


def available_methods() -> dict[str, type[Method] | str]:
    """Every registered method by name: its class, or why it does not load."""
    return {name: _load(entries) for name, entries in _registered().items()}


def _registered() -> dict[str, list[metadata.EntryPoint]]:
    """The entry points of each name, in the order of the names; nothing is loaded."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for entry in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, entry.value)):
        found.setdefault(entry.name, []).append(entry)
    return found


def _load(entries: Sequence[metadata.EntryPoint]) -> type[Method] | str:
    """The class behind the entry points of one name, or why there is none."""
    entry, *others = entries
    if any(other.value != entry.value for other in others):
        return f"it is registered by {' and by '.join(entry.value for entry in entries)}; uninstall all but one"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            loaded = entry.load()
    except (Exception, SystemExit) as error:  # a broken plug-in must not take the others with it
        return f"{entry.value} does not load: {_told(error)}"
    if not (isinstance(loaded, type) and issubclass(loaded, Method)):
        return f"{entry.value} is not a subclass of mcbench.Method"
    for attribute in ("name", "version", "summary"):
        if not isinstance(getattr(loaded, attribute, None), str):
            return f"{entry.value} has no {attribute}; give it one, as a string"
    if loaded.name != entry.name or not re.fullmatch(r"[a-z0-9-]+", entry.name):
        return f"{entry.value} must be registered under its own name, of the letters a-z, 0-9 and -"
    return loaded


def find_method(name: str) -> type[Method]:
    """The class of the method of that name.

    Raises:
        UsageError: for an unknown name.
        MethodError: if it does not load.
    """
    methods = _registered()
    if name not in methods:
        raise UsageError(f"no method is called '{name}'{nearest(name, methods)}; `mcbench methods` lists them")
    found = _load(methods[name])
    if isinstance(found, str):
        raise MethodError(f"method '{name}': {found}")
    return found


def load_method(
    name: str, *, settings: Mapping[str, str] | None = None, checkpoint: Path | None = None, device: str = "cpu"
) -> Method:
    """Make the method of that name.

    Args:
        name: as registered; with a colon and a value behind it where the method takes one, as `command:` does.
        settings: `key=value` pairs, checked and converted by the method's `Settings`.
        checkpoint: for methods that take one.
        device: where it computes.

    Raises:
        UsageError: for an unknown name or setting, or a checkpoint where none is taken.
        MethodError: if the method does not load.
    """
    name, colon, argument = name.partition(":")
    found = find_method(name)
    settings = dict(settings or {})
    if colon:
        if found.argument is None:
            raise UsageError(f"method '{name}' takes nothing behind a colon; give --method {name}")
        if settings.setdefault(found.argument, argument) != argument:
            raise UsageError(f"--method {name}:… and --set {found.argument}=… contradict each other; give one")
    if checkpoint is not None and not found.takes_checkpoint:
        raise UsageError(f"method '{name}' takes no checkpoint; leave --checkpoint out")
    try:
        checked = found.Settings.model_validate(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        known = ", ".join(found.Settings.model_fields) or "none"
        meant = "" if key in found.Settings.model_fields else nearest(key, found.Settings.model_fields)
        raise UsageError(
            f"method '{name}', setting '{key}': {fault['msg'].lower()}{meant}; its settings are: {known}"
        ) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            method = found(checked, checkpoint, device)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise MethodError(f"method '{name}' cannot be made: {_told(error)}; --debug shows where") from error
    settings_document(method)
    return method


def settings_document(method: Method) -> dict[str, Any]:
    """The settings of a method as they stand in run folders and results, defaults included.

    Raises:
        UsageError: if one of them is no JSON value, as NaN and infinity are not.
    """
    try:
        settings = method.settings.model_dump(mode="json")
        json.dumps(settings, allow_nan=False)
    except ValueError as error:  # pydantic's own error is one too
        raise UsageError(
            f"method '{method.name}': a setting cannot be written down ({_told(error)}); numbers must be finite"
        ) from error
    return settings


def checked_frames(method: Method, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a method, held against the case as they come.

    Raises:
        MethodError: for a wrong number, type, shape or size of frames, or whatever else the method raises.
    """
    where = f"method '{method.id}', clip '{case.clip}'"
    size: tuple[int, ...] | None = None
    count = 0
    for frame in _guarded(method, case, where):
        if (
            not isinstance(frame, np.ndarray)
            or frame.dtype != np.uint8
            or frame.ndim != 3
            or frame.shape[2] != 3
            or 0 in frame.shape
        ):
            kind = f"{frame.dtype} of {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise MethodError(
                f"{where}: frame {count} is {kind}, not a uint8 array of shape (height, width, 3); return RGB frames"
            )
        if size is None:  # found out now, not once all frames were generated
            try:
                check_aspect((frame.shape[0], frame.shape[1]), case.size, f"{where}: frame {count}")
            except VideoError as error:
                raise MethodError(str(error)) from None
        size = size or frame.shape
        if frame.shape != size:
            raise MethodError(
                f"{where}: frame {count} is {frame.shape[1]} x {frame.shape[0]}, frame 0 {size[1]} x {size[0]}"
            )
        count += 1
        if count > case.frames:
            raise MethodError(f"{where}: more than the {case.frames} frames asked for")
        yield frame
    if count != case.frames:
        raise MethodError(f"{where}: {count} frames, {case.frames} were asked for")


def _guarded(method: Method, case: Case, where: str) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a method, whose faults become one line and whose prints do not reach stdout."""
    frames: Iterator[npt.NDArray[np.uint8]] | None = None
    while True:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                frames = iter(method.animate(case)) if frames is None else frames
                frame = next(frames)
        except StopIteration:
            return
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise MethodError(f"{where}: {_told(error)}; --debug shows where") from error
        yield frame


def _told(error: BaseException) -> str:
    """Kind and message of somebody else's error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _digest_of(checkpoint: Path) -> str:
    try:
        if not any(file.is_file() for file in files_of(checkpoint)):
            raise MethodError(f"{checkpoint}: no checkpoint there; give a file, or a folder that holds some")
        return files_sha256(checkpoint)
    except OSError as error:
        raise MethodError(f"{checkpoint}: cannot be read ({error.strerror or error}); mend its permissions") from error
