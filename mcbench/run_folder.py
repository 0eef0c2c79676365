"""The folder of a run: predictions, measurements, result, and who works on which clip.

    <run>/run.json                          what is measured here; a run of something else is refused
    <run>/predictions/<clip>/00000.png      lossless, made by `mcbench eval`
    <run>/measurements/<clip>.safetensors   one file a clip; it is there whole or not at all
    <run>/result.json

Any number of processes may work in one folder, on one machine or several that share it: each clip is claimed by a
lock that the operating system lets go when its holder dies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcbench.errors import ResultError
from mcbench.text_files import write_text

__all__ = ["RunFolder"]


class RunFolder:
    """Paths and locks of a run.

    Args:
        path: the folder; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prediction(self, clip: str) -> Path:
        """Folder of the frames of a clip."""
        return self.path / "predictions" / clip

    def measurement(self, clip: str) -> Path:
        """Measurement file of a clip."""
        return self.path / "measurements" / f"{clip}.safetensors"

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
        with self._lock("run").acquire():
            if not file.exists():
                write_text(json.dumps(identity, indent=2) + "\n", file)
                return
            try:
                known = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ResultError(f"{file}: cannot be read ({error}); give another folder with --out") from error
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
        try:
            with self._lock(clip).acquire(timeout=-1 if wait else 0):
                yield True
        except Timeout:
            yield False

    def _lock(self, name: str) -> FileLock:
        folder = self.path / ".locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultError(f"{self.path}: cannot be written ({error.strerror or error}); give --out") from error
        return FileLock(folder / f"{name}.lock")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
