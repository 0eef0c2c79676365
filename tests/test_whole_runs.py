"""Whole runs of the command line with the real networks: killed, shared, many clips. They take minutes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcbench.video import write_frames

pytestmark = pytest.mark.slow

EVAL = [
    "eval",
    "--method",
    "copy-reference",
    "--clips",
    "3",
    "--frames",
    "17",
    "--protocol",
    "mcbench@1",
    "--out",
    "run",
]


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "MCBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", **more}


def run(
    arguments: list[str], folder: Path, home: Path, launcher: tuple[str, ...] = ("-m", "mcbench"), **more: str
) -> str:
    """What it wrote to stderr."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *launcher, *arguments],
        cwd=folder,
        env=environment(home, **more),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.stderr


def result_of(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "run" / "result.json").read_text())
    for field in ("start", "seconds"):
        document["provenance"].pop(field)
    return document  # type: ignore[no-any-return]


def alike(one: Any, other: Any, where: str = "") -> None:
    """Equal but for how the run was started: the command and the number of threads."""
    for document in (one, other):
        document["provenance"].pop("command")
        document["provenance"].pop("device")
    assert one == other, where


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    start = time.monotonic()
    run(EVAL, folder, folder / "home")
    return result_of(folder), time.monotonic() - start


def test_killed_at_any_moment_and_started_again(undisturbed: tuple[dict[str, Any], float], tmp_path: Path) -> None:
    expected, seconds = undisturbed
    moments = random.Random(7)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "mcbench", *EVAL],
            cwd=tmp_path,
            env=environment(tmp_path / "home"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.2, 0.9) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(EVAL, tmp_path, tmp_path / "home")
    assert result_of(tmp_path) == expected
    assert not [file for file in (tmp_path / "run").rglob("*") if file.name.startswith(".") and file.is_file()]


@pytest.mark.parametrize(
    ("launcher", "more"),
    [
        (("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "mcbench"), []),
        (("-m", "mcbench"), ["--workers", "2"]),
    ],
    ids=["torchrun", "workers"],
)
def test_two_processes_give_what_one_gives(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path, launcher: tuple[str, ...], more: list[str]
) -> None:
    told = tmp_path / "told"
    said = run([*EVAL, *more], tmp_path, tmp_path / "home", launcher, MCBENCH_PROGRESS=str(told))
    # A second process that never came to work would leave the result what it is.
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert len([line for line in lines if "total" in line]) == 2
    assert "warning: worker" not in said
    alike(result_of(tmp_path), json.loads(json.dumps(undisturbed[0])))


def test_two_nodes_of_torchrun_give_what_one_process_gives(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    """Two agents as on two machines that share the folder: they meet over TCP, with one process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *meeting, "--node-rank", rank, "-m", "mcbench", *EVAL],
            cwd=tmp_path,
            env=environment(tmp_path / "home"),
            stdout=subprocess.DEVNULL,
        )
        for rank in ("1", "0")
    ]
    try:
        assert [agent.wait(timeout=300) for agent in agents] == [0, 0]
    finally:
        for agent in agents:
            agent.kill()
    alike(result_of(tmp_path), json.loads(json.dumps(undisturbed[0])))


def test_independent_processes_share_a_run_folder(undisturbed: tuple[dict[str, Any], float], tmp_path: Path) -> None:
    """As a Slurm array would: no process knows of the other, and one of them is killed on the way."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "mcbench", *EVAL],
            cwd=tmp_path,
            env=environment(tmp_path / "home"),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    time.sleep(0.5 * undisturbed[1])
    processes[0].send_signal(signal.SIGKILL)
    assert processes[1].wait() == 0
    assert result_of(tmp_path) == undisturbed[0]


def test_memory_does_not_grow_with_the_number_of_clips(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for index in range(40):
        truth = noise.integers(0, 200, (16, 64, 64, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        for folder in ("ten", "forty") if index < 10 else ("forty",):
            write_frames(tmp_path / folder / "truth" / f"{index:02d}", truth)
            write_frames(tmp_path / folder / "predictions" / f"{index:02d}", truth + np.uint8(9))
    peaks = {}
    for folder in ("ten", "forty"):
        code = (
            "import resource, subprocess, sys;"
            "subprocess.run([sys.executable, '-m', 'mcbench', *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        arguments = ["score", "predictions", "--truth", "truth", "--weights", "random@1", "--protocol", "mcbench@1"]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path / folder,
            env=environment(tmp_path / "home" / folder, OMP_NUM_THREADS="2"),
            check=True,
            capture_output=True,
            text=True,
        )
        peaks[folder] = int(done.stdout) / 1024
    assert peaks["forty"] < 1.1 * peaks["ten"], peaks
    assert peaks["forty"] < 4096, peaks
