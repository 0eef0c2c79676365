"""ExternalMethod: somebody else's model, run from the user's own checkout with the user's own interpreter.

Nothing of it is vendored: an adapter writes the inputs that its program reads (`prepare`), says how it is started
(`command`), and reads the frames that it wrote (`collect`). All else is here and in `baselines.external`: one start for
many clips, timeouts, logs, taking up a run that stopped, and what goes into the result.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel

from baselines.external.checkout import Checkout
from baselines.external.configuring import configure, lacks, questions
from baselines.external.container import wrapped
from baselines.external.digests import sha256_of
from baselines.external.installation import Installation, Needs, Weights
from baselines.external.process import Command
from baselines.external.starts import Job, OutputError, ProgramMethod, ProgramSettings, file_name
from mcbench import MethodError, NativeOutput, Question

__all__ = ["Command", "ExternalMethod", "Job", "OutputError", "ProgramSettings", "Weights", "file_name"]


class ExternalMethod(ProgramMethod):
    """A model in a checkout of its own.

    Attributes:
        repository: `owner/name` on GitHub, told to the user.
        landmark: a file that the checkout must hold.
        weights: what the program loads.
        licence: under which its code is given.
        section: of the TOML file; the method's name by default.
        shares: another section, which gives what this one does not: repository, interpreter or container, environment,
            and those weights that are declared `shared`.
        place: where everything is on this machine.
    """

    class Settings(ProgramSettings):
        """What `--set` may set for every external method."""

    repository: ClassVar[str]
    landmark: ClassVar[str]
    weights: ClassVar[tuple[Weights, ...]] = ()
    licence: ClassVar[str]
    section: ClassVar[str | None] = None
    shares: ClassVar[str | None] = None

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        super().__init__(settings, checkpoint, device)
        self.place = Installation.of(self.needs())
        self._checkout = Checkout(self.place.repository)

    @classmethod
    def needs(cls) -> Needs:
        """What must be had before it can run."""
        return Needs(
            method=cls.name,
            section=cls.section or cls.name,
            shares=cls.shares,
            repository=cls.repository,
            landmark=cls.landmark,
            weights=cls.weights,
            licence=cls.licence,
        )

    @classmethod
    def lacks(cls) -> Sequence[str]:
        """What is not there yet, a line each with where to get it."""
        return lacks(cls.needs())

    @classmethod
    def questions(cls) -> Sequence[Question]:
        """Repository, interpreter or container, and weights."""
        return questions(cls.needs())

    @classmethod
    def configure(cls, answers: Mapping[str, str]) -> Path:
        """Check the answers, hashes of weights included, and write them into the TOML file."""
        return configure(cls.needs(), answers)

    @property
    def weights_in_use(self) -> Collection[str]:
        """Keys of the weights that these settings load; all that are configured unless an adapter has a choice."""
        return self.place.weights.keys()

    @property
    def checkpoint_sha256(self) -> str | None:
        """One digest over the keys and digests of all weights in use; None for a method without weights.

        Raises:
            MethodError: if one of them is not the file that it should be.
        """
        return self._weights_sha256

    @cached_property
    def _weights_sha256(self) -> str | None:
        known = {weights.key: weights.sha256 for weights in self.weights}
        found = {}
        for key in sorted(self.weights_in_use):
            path = self.place.weights.get(key)
            if path is None:
                raise MethodError(
                    f"method '{self.name}' has no '{key}', which these settings load; say where it is with"
                    f" `mcbench methods --configure {self.name} --set {key}=PATH`"
                )
            found[key] = sha256_of(path)
            wanted = known.get(key) or self.place.digests.get(key)
            if wanted is not None and found[key] != wanted:
                raise MethodError(
                    f"method '{self.name}', {key}: {path} is not the file that it should be (sha256 {found[key][:12]}…,"
                    f" not {wanted[:12]}…); get the right one, or run `mcbench methods --configure {self.name}` again"
                )
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest() if found else None

    @property
    def commit(self) -> str | None:
        """Git commit of the checkout; None where it is none."""
        return self._checkout.commit

    @property
    def uncommitted(self) -> str | None:
        """SHA-256 of the uncommitted changes of the checkout."""
        return self._checkout.changes

    @property
    def dirty(self) -> bool | None:
        """Whether the checkout has uncommitted changes; None where it cannot be told."""
        return self._checkout.dirty

    def native_output(
        self,
        *,
        size: tuple[int, int] | None,
        container: Literal["png", "jpeg", "mp4"],
        driver: str,
        fps: float | None = None,
    ) -> NativeOutput:
        """What `native` returns, with the state of the checkout; arguments as the fields of `mcbench.NativeOutput`."""
        return NativeOutput(
            size=size, container=container, fps=fps, driver=driver, commit=self.commit, dirty=self.dirty
        )

    def module_path(self) -> str:
        """PYTHONPATH under which a program finds its own modules when it is started outside its checkout."""
        return os.pathsep.join([str(self.place.repository), *filter(None, [self.place.environment.get("PYTHONPATH")])])

    def start_command(self, jobs: Sequence[Job], folder: Path) -> tuple[Command, tuple[str, ...]]:
        """The command as it is run: with the installation's environment, inside the container where there is one."""
        command = self.command(jobs, folder)
        command = Command(command.argv, {**self.place.environment, **command.env}, command.cwd)
        if self.place.container is None:
            return command, ()
        writable = [folder, *(job.folder for job in jobs)]
        return wrapped(self.place.container, command, self.place, writable, device=self.device)
