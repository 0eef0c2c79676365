"""The command line that runs a command inside a container image, with everything at the same paths as outside."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.external.process import Command, visible_gpus
from baselines.launchers import LAUNCHERS
from mcbench import MethodError

if TYPE_CHECKING:
    from baselines.external.installation import Container, Installation

__all__ = ["RUNNERS", "wrapped"]

RUNNERS = ("docker", "podman", "apptainer")

GPU_DEVICE = Path("/dev/nvidiactl")
"""There wherever NVIDIA's driver is loaded."""


def wrapped(
    container: Container, command: Command, place: Installation, writable: Sequence[Path], *, device: str
) -> tuple[Command, tuple[str, ...]]:
    """A command inside a container, and what stops it: a container outlives the client that started it.

    The repository and the folders of the clips can be written to, weights and the mcbench launchers only be read. The
    user is the one outside, or the files would belong to root.

    Args:
        container: image and runner.
        command: as it would be run outside; its first argument is a program of the image.
        place: gives repository and weights.
        writable: folders of the clips and of the start.
        device: of the method; its GPU is passed on, or all where the method's device is the CPU and there are any.

    Raises:
        MethodError: for paths that cannot be mounted.
    """
    mounts = dict.fromkeys([str(place.repository), *map(str, writable), str(command.cwd)], True)
    for read in (*place.weights.values(), LAUNCHERS):
        mounts.setdefault(str(read), False)
    for path in mounts:
        if set(path) & set(",:\"'\n"):
            raise MethodError(f"{path}: cannot be mounted into a container; rename it: no commas, colons, quotes")
    variables = {"HOME": str(writable[0]), "PYTHONUNBUFFERED": "1", **command.env}
    has_gpu = device.startswith("cuda") or GPU_DEVICE.exists()
    if (gpus := visible_gpus(device)) is not None:
        variables["CUDA_VISIBLE_DEVICES"] = gpus
    if container.runner == "apptainer":
        argv = ["apptainer", "exec", "--cleanenv", "--no-home", *(["--nv"] if has_gpu else [])]
        argv += [word for key, value in variables.items() if key != "HOME" for word in ("--env", f"{key}={value}")]
        argv += [f"--bind={path}:{path}{'' if writes else ':ro'}" for path, writes in mounts.items()]
        argv += [f"--pwd={command.cwd}", container.image, *command.argv]
        return Command(tuple(argv), {}, command.cwd), ()
    name = f"mcbench-{uuid.uuid4().hex}"
    argv = [container.runner, "run", "--rm", "--init", f"--name={name}", "--ipc=host", f"--workdir={command.cwd}"]
    if container.runner == "docker":
        argv += [f"--user={os.getuid()}:{os.getgid()}", *(["--gpus=all"] if has_gpu else [])]
    else:
        argv += ["--userns=keep-id", *(["--device=nvidia.com/gpu=all"] if has_gpu else [])]
    argv += [f"--env={key}={value}" for key, value in variables.items()]
    for path, writes in mounts.items():
        argv.append(f"--mount=type=bind,source={path},target={path}{'' if writes else ',readonly'}")
    argv += ["--entrypoint=", container.image, *command.argv]
    return Command(tuple(argv), {}, command.cwd), (container.runner, "kill", name)
