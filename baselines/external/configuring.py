"""Asking for, checking and writing down where a model is: what `mcbench methods` and its `--configure` show and do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomlkit

from baselines.external.container import RUNNERS
from baselines.external.digests import sha256_of
from baselines.external.installation import (
    Needs,
    Section,
    Weights,
    methods_file,
    read_document,
    read_section,
    section_of,
)
from mcbench import MethodError, Question

__all__ = ["configure", "lacks", "missing", "questions"]

ENVIRONMENT = "environment."
PLACES = ("repository", "interpreter", "container", "runner")


def missing(needs: Needs, section: Section) -> list[str]:
    """What a section lacks, or has that is not there, a line each; files are looked for and not read."""
    lines = []
    address = f"https://github.com/{needs.repository}"
    if section.repository is None:
        lines.append(f"repository: a checkout of {address} ({needs.licence})")
    elif not (section.repository / needs.landmark).is_file():
        lines.append(f"repository: {section.repository} holds no {needs.landmark}; it must be a checkout of {address}")
    if section.container is not None:
        if shutil.which(section.runner or "docker") is None:
            lines.append(f"runner: {section.runner or 'docker'} is not installed here")
    elif section.interpreter is None:
        lines.append("interpreter: the Python of an environment made as the repository's README says, or a container")
    elif not (section.interpreter.is_file() and os.access(section.interpreter, os.X_OK)):
        lines.append(f"interpreter: {section.interpreter} is no Python and no folder of an environment")
    for weights in needs.weights:
        entry = section.weights.get(weights.key)
        if entry is None:
            if weights.required:
                lines.append(f"{weights.key}: {weights.what}")
        elif fault := _fault(weights, entry.path):
            lines.append(f"{weights.key}: {fault}")
    return lines


def lacks(needs: Needs) -> Sequence[str]:
    """What must still be had, a line each; a TOML file that cannot be read is one of them."""
    try:
        return missing(needs, read_section(needs))
    except MethodError as error:
        return (str(error),)


def questions(needs: Needs) -> Sequence[Question]:
    """What must be told, with what is known so far."""
    section = read_section(needs)

    def known(value: object) -> str | None:
        return None if value is None else str(value)

    asked = [
        Question(
            "repository",
            f"checkout of https://github.com/{needs.repository} ({needs.licence})",
            known(section.repository),
        ),
        Question(
            "interpreter",
            "Python of its environment, or the environment's folder (venv, conda); empty for a container",
            known(section.interpreter),
            required=section.container is None,
            alternatives=("container",),
        ),
        Question(
            "container",
            "container image that holds its environment",
            known(section.container),
            required=section.interpreter is None,
            alternatives=("interpreter",),
        ),
        Question(
            "runner",
            "what runs the container: docker, podman or apptainer; docker if empty",
            known(section.runner),
            required=False,
            goes_with="container",
        ),
    ]
    for weights in needs.weights:
        entry = section.weights.get(weights.key)
        asked.append(Question(weights.key, weights.what, known(entry.path if entry else None), weights.required))
    return asked


def configure(needs: Needs, answers: Mapping[str, str]) -> Path:
    """Check answers and write them down, with the SHA-256 of all weights; comments in the file stay.

    Args:
        needs: of the method.
        answers: by key of the question, or `environment.NAME`. What is left out stays as it is, an empty one is taken
            out.

    Returns:
        The TOML file.

    Raises:
        MethodError: if something is missing or is not what it should be; nothing is written then.
    """
    keys = [*PLACES, *(weights.key for weights in needs.weights)]
    for key in answers:
        if key not in keys and not (key.startswith(ENVIRONMENT) and len(key) > len(ENVIRONMENT)):
            close = get_close_matches(key, keys, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise MethodError(
                f"method '{needs.method}' has nothing called '{key}' to configure{meant}; there are {', '.join(keys)},"
                f" {ENVIRONMENT}NAME"
            )
    if answers.get("interpreter") and answers.get("container"):
        raise MethodError(f"method '{needs.method}': give an interpreter or a container, not both")
    document = read_document()
    section_of(document, needs.section)  # what is there must be sound before it is added to
    if not isinstance(document.get(needs.section), dict):
        document[needs.section] = tomlkit.table()
    table: Any = document[needs.section]
    for key, answer in answers.items():
        _set(table, key, answer.strip())
    file = methods_file()
    section = read_section(needs, document)
    if lacking := missing(needs, section):
        raise MethodError(f"method '{needs.method}' is not ready, nothing was written: {'; '.join(lacking)}")
    if section.interpreter is not None:
        _check_python(needs, section.interpreter)
    for weights in needs.weights:
        entry = section.weights.get(weights.key)
        if entry is None:
            continue
        found = sha256_of(entry.path)
        if weights.sha256 not in (None, found):
            raise MethodError(
                f"method '{needs.method}', {weights.key}: {entry.path} has sha256 {found}, not {weights.sha256};"
                f" get the right file: {weights.what}"
            )
        if "weights" in table and weights.key in table["weights"]:
            table["weights"][weights.key]["sha256"] = found
    _write(file, tomlkit.dumps(document))
    return file


def _set(table: Any, key: str, answer: str) -> None:
    """Put an answer into a section; an empty one takes out what was there."""
    if key.startswith(ENVIRONMENT):
        table, key = _subtable(table, "environment"), key.removeprefix(ENVIRONMENT)
    elif key not in PLACES:
        table = _subtable(table, "weights")
        if answer:
            entry = tomlkit.table()
            entry["path"] = str(Path(answer).expanduser().absolute())
            table[key] = entry
            return
    elif key in ("repository", "interpreter") and answer:
        found = shutil.which(answer) if key == "interpreter" and os.sep not in answer else None
        answer = found or str(Path(answer).expanduser().absolute())
    if not answer:
        table.pop(key, None)
        return
    if other := {"interpreter": "container", "container": "interpreter"}.get(key):
        table.pop(other, None)
    if key == "runner" and answer not in RUNNERS:
        raise MethodError(f"runner '{answer}': there are {', '.join(RUNNERS)}")
    table[key] = answer


def _subtable(table: Any, name: str) -> Any:
    if name not in table:
        table[name] = tomlkit.table(is_super_table=name == "weights")
    return table[name]


def _fault(weights: Weights, path: Path) -> str | None:
    """Why a path cannot be these weights, as far as can be told without reading them."""
    if not path.exists():
        return f"{path} is not there; {weights.what}"
    if path.is_dir() != weights.is_folder:
        return f"{path} must be a {'folder' if weights.is_folder else 'file'}; {weights.what}"
    if weights.is_folder and not any(path.iterdir()):
        return f"{path} is empty; {weights.what}"
    if weights.size is not None and path.stat().st_size != weights.size:
        return f"{path} has {path.stat().st_size:,} bytes, not {weights.size:,}; {weights.what}"
    return None


def _check_python(needs: Needs, interpreter: Path) -> None:
    """Refuse what is no Python that starts."""
    from baselines.external.process import clean_environment

    try:
        said = subprocess.run(
            [str(interpreter), "-c", "import sys; print('python', *sys.version_info[:2])"],
            env=clean_environment("cpu", str(interpreter)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
        why = "it says nothing of its version" if said.returncode == 0 else f"exit status {said.returncode}"
        if said.returncode == 0 and said.stdout.startswith("python "):
            return
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise MethodError(f"method '{needs.method}', interpreter: {interpreter} is no Python that starts ({why})")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A link stays one: what it points to is replaced.
        target = file.resolve()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise MethodError(f"{file}: cannot be written ({error.strerror or error}); mend its permissions") from error
