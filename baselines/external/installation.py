"""Where other people's models are on this machine: said once, in a TOML file.

    [magicanimate]
    repository = "/home/me/magic-animate"
    interpreter = "/home/me/envs/magicanimate/bin/python"   # or the folder of a venv or a conda environment
    # or: container = "image" and runner = "docker", "podman" or "apptainer"

    [magicanimate.weights.checkpoint]
    path = "/home/me/weights/magicanimate"
    sha256 = "…"                                            # as it was when it was configured

    [magicanimate.environment]
    HF_HOME = "/home/me/huggingface"

The file is `methods.toml` in mcbench's home; `$MCBENCH_METHODS` overrides it. Weights must have the SHA-256 that their
adapter knows, or else the one written here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tomlkit.exceptions import TOMLKitError

from mcbench import MethodError, home_folder

__all__ = ["Container", "Installation", "Needs", "Section", "Weights", "methods_file", "read_document", "read_section"]


@dataclass(frozen=True)
class Weights:
    """One file or folder that a program loads.

    Attributes:
        key: its name in the TOML file and of `--set`.
        what: what it is, and where to get it.
        sha256: where it is known; checked once, and remembered by size and time of change.
        size: in bytes, where it is known.
        is_folder: whether it is a folder.
        required: whether there is no going without.
        shared: whether the section that the method shares gives it too.
    """

    key: str
    what: str
    sha256: str | None = None
    size: int | None = None
    is_folder: bool = False
    required: bool = True
    shared: bool = False


@dataclass(frozen=True)
class Needs:
    """What a method must have before it can run; fields as in `baselines.base.ExternalMethod`."""

    method: str
    section: str
    shares: str | None
    repository: str
    landmark: str
    weights: tuple[Weights, ...]
    licence: str


@dataclass(frozen=True)
class Container:
    """An image that holds a program's interpreter and libraries."""

    image: str
    runner: str


class _WeightsEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Section(BaseModel):
    """A section of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: Path | None = None
    interpreter: Path | None = None
    container: str | None = None
    runner: Literal["docker", "podman", "apptainer"] | None = None
    environment: dict[str, str] = {}
    weights: dict[str, _WeightsEntry] = {}


@dataclass(frozen=True)
class Installation:
    """Where a method's program is.

    Attributes:
        repository: the checkout.
        interpreter: what begins the command line: the Python of an environment, or `python` inside a container.
        weights: place of each that is configured.
        environment: variables that the user wants it to have.
        digests: SHA-256 of weights as they were when they were configured.
        container: where the program runs in one.
    """

    repository: Path
    interpreter: tuple[str, ...]
    weights: Mapping[str, Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    container: Container | None = None

    @classmethod
    def of(cls, needs: Needs) -> Installation:
        """What the TOML file says.

        Raises:
            MethodError: if something is missing, in one line that says how to mend it.
        """
        from baselines.external.configuring import missing  # which itself asks what is installed

        section = read_section(needs)
        if lacking := missing(needs, section):
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise MethodError(
                f"method '{needs.method}' is not ready: {lacking[0]}{more};"
                f" `mcbench methods --configure {needs.method}` asks for what it needs"
            )
        assert section.repository is not None
        if section.container is not None:
            container = Container(section.container, section.runner or "docker")
            interpreter = "python"
        else:
            assert section.interpreter is not None
            container = None
            interpreter = str(section.interpreter)
        return cls(
            repository=section.repository,
            interpreter=(interpreter,),
            weights={key: entry.path for key, entry in section.weights.items()},
            environment=section.environment,
            digests={key: entry.sha256 for key, entry in section.weights.items() if entry.sha256},
            container=container,
        )


def methods_file() -> Path:
    """The TOML file: `$MCBENCH_METHODS`, else `methods.toml` in mcbench's home."""
    if file := os.environ.get("MCBENCH_METHODS"):
        return Path(file).expanduser().absolute()
    return home_folder().absolute() / "methods.toml"


def read_document() -> tomlkit.TOMLDocument:
    """The TOML file, comments included; empty where there is none.

    Raises:
        MethodError: if it cannot be read.
    """
    file = methods_file()
    try:
        return tomlkit.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise MethodError(f"{file}: cannot be read ({error}); mend it, or give another with MCBENCH_METHODS") from None


def read_section(needs: Needs, document: tomlkit.TOMLDocument | None = None) -> Section:
    """What the TOML file says of a method, with what it shares with another.

    Args:
        needs: of the method.
        document: the file's content; read by default.

    Raises:
        MethodError: if it cannot be read, or says something that nobody asked for.
    """
    document = read_document() if document is None else document
    own = section_of(document, needs.section)
    if needs.shares is None:
        return own
    other = section_of(document, needs.shares)
    kept = {weights.key for weights in needs.weights if weights.shared}
    runs = own if own.interpreter or own.container else other
    return Section(
        repository=own.repository or other.repository,
        interpreter=runs.interpreter,
        container=runs.container,
        runner=runs.runner,
        environment={**other.environment, **own.environment},
        weights={**{key: entry for key, entry in other.weights.items() if key in kept}, **own.weights},
    )


def section_of(document: tomlkit.TOMLDocument, name: str) -> Section:
    """One section, checked; empty where there is none. Paths are taken from the file's folder, `~` is the user's."""
    file = methods_file()
    raw: Any = document.unwrap().get(name, {})
    if isinstance(raw, dict) and isinstance(raw.get("weights"), dict):
        entries = raw["weights"].items()
        raw = {**raw, "weights": {key: {"path": it} if isinstance(it, str) else it for key, it in entries}}
    try:
        section = Section.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, (name, *fault["loc"])))
        raise MethodError(f"{file}: {place}: {fault['msg'].lower()}; mend it there") from None
    if section.interpreter and section.container:
        raise MethodError(f"{file}: {name}: has both an interpreter and a container; keep one")

    def placed(path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.normpath(file.parent / path.expanduser()))

    interpreter = placed(section.interpreter)
    return section.model_copy(
        update={
            "repository": placed(section.repository),
            "interpreter": None if interpreter is None else python_of(interpreter),
            "weights": {
                key: entry.model_copy(update={"path": placed(entry.path)}) for key, entry in section.weights.items()
            },
        }
    )


def python_of(interpreter: Path) -> Path:
    """The Python of an environment's folder; a file is taken as it is: a venv's Python knows itself by its link."""
    if interpreter.is_dir():
        for name in ("bin/python", "bin/python3", "python.exe", "Scripts/python.exe"):
            if (interpreter / name).exists():
                return interpreter / name
    return interpreter
