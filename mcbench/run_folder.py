"""The folder of a run: predictions, measurements, result, and who works on which clip.

    <run>/run.json                          what is measured here; a run of something else is refused
    <run>/predictions/<clip>/00000.png      lossless, made by `mcbench eval`
    <run>/work/<clip>/                      inputs, outputs and logs of a method's own programs, where it has any
    <run>/measurements/<clip>.safetensors   one file a clip; it is there whole or not at all
    <run>/result.json
    <run>/.cases/<clip>, .locks/            which case of a clip has the clip's name; who works on it

Any number of processes may work in one folder, on one machine or several that share it: each clip is claimed by a
lock that the operating system lets go when its holder dies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcbench.atomic import write_text
from mcbench.cases import lock_of
from mcbench.errors import ResultError, UsageError

__all__ = ["RunFolder"]

LONGEST_NAME = 200
"""Bytes of a clip's name: with what is put around it, it must fit into the 255 of a file name."""


class RunFolder:
    """Paths and locks of a run.

    Args:
        path: the folder; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # a method may change the working directory

    def check_names(self, clips: Iterable[str]) -> None:
        """Refuse names of clips that are too long for the files here, before anything is measured.

        Raises:
            UsageError: naming the first one.
        """
        for clip in clips:
            if len(os.fsencode(clip)) > LONGEST_NAME:
                raise UsageError(
                    f"clip '{clip}': a name of {len(os.fsencode(clip))} bytes; rename it, {LONGEST_NAME} at most"
                )

    def slot(self, clip: str, case: str) -> str:
        """The name under which a case of a clip is kept, so that another case of that clip is never written over.

        The first case of a clip has the clip's name. A second one (fewer frames, a changed reference image) has the
        beginning of its digest behind it. To be called while the clip is claimed.

        Args:
            clip: name of the clip.
            case: digest of everything that decides what a method returns for it.
        """
        file = self.path / ".cases" / clip
        try:
            owner = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            write_text(case, file)
            owner = case
        except OSError as error:
            raise ResultError(f"{file}: cannot be read ({error.strerror or error}); mend its permissions") from error
        return clip if owner == case else f"{clip}.{case[:8]}"

    def prediction(self, slot: str) -> Path:
        """Folder of the frames of a case."""
        return self.path / "predictions" / slot

    def work(self, slot: str) -> Path:
        """Folder in which a method may keep what belongs to a case; only the method makes it."""
        return self.path / "work" / slot

    def is_worked_on(self, slot: str) -> bool:
        """Whether another process works on a case along with others, as `Case.folder` says."""
        file = lock_of(self.work(slot))
        if not file.exists():
            return False
        lock = FileLock(file)
        if not self._acquire(lock, timeout=0):
            return True
        lock.release()
        return False

    def measurement(self, slot: str) -> Path:
        """Measurement file of a case."""
        return self.path / "measurements" / f"{slot}.safetensors"

    def sweep(self, slot: str) -> None:
        """Remove what a killed process left half-written; to be called while the clip is claimed."""
        for stale in self.measurement(slot).parent.glob(f".{escape(slot)}.safetensors.*"):
            stale.unlink(missing_ok=True)

    @property
    def result(self) -> Path:
        """The result file."""
        return self.path / "result.json"

    def identify(self, identity: dict[str, Any]) -> None:
        """Write down what is measured here, or hold it against what was written down before.

        Raises:
            ResultError: if the folder belongs to another run, or cannot be written to. Nothing is written over.
        """
        file = self.path / "run.json"
        lock = self._lock("run")
        self._acquire(lock, timeout=-1)
        try:
            if not file.exists():
                write_text(json.dumps(identity, indent=2) + "\n", file)
                return
            known = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(known, dict):
                raise ValueError("it is no object")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ResultError(f"{file}: cannot be read ({why}); give another folder with --out") from error
        finally:
            lock.release()
        for key in sorted(identity.keys() | known.keys()):
            if identity.get(key) != known.get(key):
                raise ResultError(
                    f"{self.path}: holds a run with {key} {_short(known.get(key))}, not {_short(identity.get(key))};"
                    " give another folder with --out"
                )

    @contextmanager
    def claim(self, clip: str, *, wait: bool) -> Iterator[bool]:
        """Hold a clip while working on it.

        Args:
            clip: its name.
            wait: until another process lets it go; otherwise yields False if another holds it.
        """
        lock = self._lock(f"clips/{clip}")
        mine = self._acquire(lock, timeout=-1 if wait else 0)
        try:
            yield mine
        finally:
            if mine:
                lock.release()

    def _lock(self, name: str) -> FileLock:
        file = self.path / ".locks" / f"{name}.lock"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return FileLock(file)

    def _acquire(self, lock: FileLock, timeout: float) -> bool:
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            return False
        except OSError as error:
            raise self._unwritable(error) from error
        return True

    def _unwritable(self, error: OSError) -> ResultError:
        return ResultError(
            f"{self.path}: cannot be written ({error.strerror or error}); give another folder with --out"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
