"""Checkouts of stand-in programs, cases of flat blocks, and what comes back of these through a lossy video."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from baselines.base import ExternalMethod
from baselines.inputs import DensePoseFrame
from mcbench import Case

STAND_INS = Path(__file__).with_name("stand_ins")
BLOCK = 64

Frames = npt.NDArray[np.uint8]


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    programs: Mapping[str, str],
    files: Sequence[str],
    weights: Mapping[str, Sequence[str]],
) -> Path:
    """A checkout with its weights, written into a file of methods.

    Args:
        folder: where all of it goes.
        monkeypatch: of the test.
        name: of the method.
        programs: path in the checkout to file of `stand_ins`.
        files: further files of the checkout: path, `=`, text.
        weights: key to files in its folder, or to nothing where it is a file itself.

    Returns:
        The checkout.
    """
    checkout = folder / "checkout"
    for program, source in programs.items():
        target = checkout / program
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((STAND_INS / source).read_bytes())
    for further in files:
        name_of_it, _, text = further.partition("=")
        (checkout / name_of_it).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name_of_it).write_text(text)
    lines = [f"[{name}]", f"repository = {json.dumps(str(checkout))}", f"interpreter = {json.dumps(sys.executable)}"]
    for key, parts in weights.items():
        place = folder / "weights" / key
        if parts:
            for part in parts:
                (place / part).parent.mkdir(parents=True, exist_ok=True)
                (place / part).write_text("{}")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"is": key, "value": 7}))
        lines += [f"[{name}.weights.{key}]", f"path = {json.dumps(str(place))}"]
    file = folder / "methods.toml"
    file.write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("MCBENCH_METHODS", str(file))
    return checkout


def block_case(clip: str, frames: int, folder: Path | None = None, *, seed: int = 0) -> Case:
    """A case whose reference is 512 x 640 of flat blocks; its centred square holds 0 and 255."""
    random = np.random.default_rng(sum(clip.encode()))
    colours = random.integers(30, 226, (8, 10, 3)).astype(np.uint8)
    colours[0, 1], colours[0, 2] = 0, 255
    reference = colours.repeat(BLOCK, 0).repeat(BLOCK, 1)
    return Case(
        clip=clip, frames=frames, fps=30.0, size=(512, 640), seed=seed, reference=reference,
        folder=None if folder is None else folder / "work" / clip.replace("/", "-"),
    )  # fmt: skip


def square(case: Case) -> Frames:
    """The centred square of the reference, (512, 512, 3)."""
    return case.reference[:, 64:576]


def block_parts(frame: int) -> DensePoseFrame:
    """Parts of a body that moves one block to the right with every frame, (512, 512)."""
    part = np.zeros((8, 8), np.uint8)
    column = 1 + frame % 5
    part[1:6, column] = [23, 1, 2, 9, 13]
    part[2, column + 1] = 21
    part = part.repeat(BLOCK, 0).repeat(BLOCK, 1)
    u = np.where(part > 0, np.float32(51 * (1 + frame % 5)) / np.float32(255), np.float32(0)).astype(np.float32)
    v = np.where(part > 0, part.astype(np.float32) * 10 / np.float32(255), np.float32(0)).astype(np.float32)
    return DensePoseFrame(part, u, v)


def fake_densepose(case: Case, size: int, **_: object) -> Iterator[DensePoseFrame]:
    """In place of `baselines.inputs.densepose`."""
    assert size == 512
    return (block_parts(frame) for frame in range(case.frames))


def flat(frames: Sequence[Frames]) -> npt.NDArray[np.float64]:
    """The mean colour of each block, away from its borders, where the codec smears: (T, rows, columns, 3)."""
    stacked = np.stack(frames)
    count, height, width = stacked.shape[:3]
    blocks = stacked.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
    return np.asarray(blocks[:, :, 16:-16:4, :, 16:-16:4].mean((2, 4)))


def make(kind: type[ExternalMethod], **settings: object) -> ExternalMethod:
    """A method as the command line makes it."""
    return kind(kind.Settings.model_validate(settings))


def animate(kind: type[ExternalMethod], *cases: Case, **settings: object) -> list[list[Frames]]:
    """Frames of a method for cases, asked for as a run does it."""
    method = make(kind, **settings)
    method.expect(cases)
    return [list(method.animate(case)) for case in cases]


def tree(folder: Path) -> set[str]:
    """All paths below a folder, without what Python itself leaves there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if "__pycache__" not in path.parts} - {
        "starts",
        "fault",
    }
