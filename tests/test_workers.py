"""Who a process is among those of a run: by torchrun, Slurm, or as a worker that another one started."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcbench.datasets import open_truth
from mcbench.errors import UsageError
from mcbench.evaluation import score
from mcbench.results import read_result
from mcbench.workers import (
    Worker,
    allowed_threads,
    share_threads,
    spare_processors,
    this_worker,
    torchrun_share,
    with_workers,
)

SBATCH = Path(__file__).resolve().parent.parent / "docs" / "slurm.sbatch"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets `NAME=value NAME=value` and nothing else of Slurm or torchrun."""
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)

    def set_them(pairs: str) -> None:
        for pair in pairs.split():
            monkeypatch.setenv(*pair.split("="))

    return set_them


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("", (0, 1, 0)),
        ("RANK=5 WORLD_SIZE=8 LOCAL_RANK=1", (5, 8, 1)),
        ("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=1", (3, 4, 0)),
        ("SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_STEP=2", (2, 3, 0)),
        # `--array=7` starts one task of an array again: it is the whole of it.
        ("SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=7", (0, 1, 0)),
        ("SLURM_PROCID=6 SLURM_STEP_NUM_TASKS=8 SLURM_NTASKS=8 SLURM_LOCALID=2", (6, 8, 2)),
        # A batch script that asked for eight tasks is one process until it calls srun.
        ("SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0", (0, 1, 0)),
        ("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=1",
         (9, 12, 1)),
        # What torchrun says within a Slurm job is more exact.
        ("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2", (1, 2, 1)),
    ],
)  # fmt: skip
def test_who_this_process_is(variables: Callable[[str], None], pairs: str, expected: tuple[int, int, int]) -> None:
    variables(pairs)
    assert this_worker() == Worker(*expected)


def test_an_array_with_gaps_has_one_first_task(variables: Callable[[str], None]) -> None:
    found = []
    for task in (1, 5, 9, 40):
        variables(f"SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=1")
        found.append(this_worker().index)
    assert found[0] == 0
    assert all(1 <= index < 4 for index in found[1:])


@pytest.mark.parametrize("pairs", ["RANK=one WORLD_SIZE=2", "SLURM_ARRAY_TASK_ID=x"])
def test_variables_that_are_no_numbers(variables: Callable[[str], None], pairs: str) -> None:
    variables(pairs)
    with pytest.raises(UsageError, match=r"(RANK|SLURM_).*must be numbers .*; unset them"):
        this_worker()


@pytest.mark.parametrize("count", [1, 3, 8])
def test_each_begins_elsewhere(count: int) -> None:
    turns = [Worker(index, count).turn(24) for index in range(count)]
    assert turns == list(range(0, 24, 24 // count))


def test_what_is_told_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    worker = Worker(progress=tmp_path / "told")
    worker.tell_total(30)
    worker.tell(8, "a\nb")
    lines = (tmp_path / "told").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"total": 30}, {"amount": 8, "item": "a\nb"}]
    Worker().tell(8, "a")  # nobody asked
    Worker(progress=tmp_path / "gone" / "told").tell(8, "a")  # whoever asked is gone


def test_one_task_of_an_array_writes_the_result(
    clip_folders: Callable[..., Path], tmp_path: Path, variables: Callable[[str], None], fake_networks: dict[str, Any]
) -> None:
    truth, predictions = clip_folders("truth", 3), clip_folders("predictions", 3, noise=9)
    alone = score(predictions, open_truth(truth), out=tmp_path / "alone", weights="random@1")
    for task in (6, 5, 4):
        variables(f"SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=4")
        result = score(predictions, open_truth(truth), out=tmp_path / "array", weights="random@1")
        assert (result is None) == (task != 4)
        assert (tmp_path / "array" / "result.json").exists() == (task == 4)
    assert alone is not None
    shared = read_result(tmp_path / "array")
    assert without_provenance(shared) == without_provenance(alone)


def without_provenance(result: Any) -> dict[str, Any]:
    document = json.loads(result.to_json())
    document.pop("provenance")
    return document  # type: ignore[no-any-return]


class Started:
    """In place of processes: what they were started with."""

    def __init__(self, environments: list[dict[str, str]]) -> None:
        self.environments, self.ended = environments, []  # type: ignore[var-annotated]

    def __call__(self, command: list[str], env: dict[str, str], **_: Any) -> Started:
        assert command[1:4] == ["-m", "mcbench", "score"]
        self.environments.append(env)
        return self

    def wait(self) -> None:
        self.ended.append("waited")

    def poll(self) -> None:
        """It has not ended."""

    def terminate(self) -> None:
        self.ended.append("terminated")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("", [("1", "3", "1"), ("2", "3", "2")]),
        ("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=4", [("7", "12", "1"), ("8", "12", "2")]),
        ("RANK=0 WORLD_SIZE=2", []),  # torchrun starts them itself
        ("RANK=1 WORLD_SIZE=3 MCBENCH_PARENT=1", []),  # this is one of them
    ],
)
def test_workers_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, variables: Callable[[str], None], pairs: str, expected: list[tuple[str, ...]]
) -> None:
    variables(pairs)
    started = Started([])
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with with_workers(3, ["score"]):
        assert ("OMP_NUM_THREADS" in os.environ) == bool(expected)
    assert "OMP_NUM_THREADS" not in os.environ
    found = [tuple(env[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")) for env in started.environments]
    assert found == expected
    # The first process has waited for every clip; another one lets its workers finish theirs.
    if expected:
        assert started.ended[0] == ("waited" if "SLURM" in pairs else "terminated")


@pytest.mark.parametrize(
    ("threads", "count", "expected"),
    [("4", 2, "2"), ("1", 2, "1"), (None, 2, "8"), (None, 32, "1"), ("", 2, "8"), ("0", 2, "8"), ("4,2", 2, "8")],
)
def test_threads_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, threads: str | None, count: int, expected: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    if threads is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.delenv("MCBENCH_SHARERS", raising=False)
    with share_threads(count):
        assert os.environ["OMP_NUM_THREADS"] == expected
        assert os.environ["MCBENCH_SHARERS"] == str(count)
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert "MCBENCH_SHARERS" not in os.environ


@pytest.mark.parametrize(
    ("processes", "expected"), [("4", 4), ("1", 16), ("64", 1), (None, None), ("0", None), ("many", None)]
)
def test_torchruns_processes_share_the_processors(
    monkeypatch: pytest.MonkeyPatch, processes: str | None, expected: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert torchrun_share() == expected


@pytest.mark.parametrize(
    ("variables", "allowed", "spare"),
    [
        ({}, 16, {1: 15, 4: 12, 16: 0, 32: 0}),
        ({"OMP_NUM_THREADS": "4"}, 4, {4: 12}),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "4"}, 4, {1: 3, 4: 0}),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "16"}, 1, {1: 0}),
        ({"OMP_NUM_THREADS": "4", "MCBENCH_SHARERS": "4"}, 4, {4: 0, 1: 3}),
        ({"OMP_NUM_THREADS": "2", "MCBENCH_SHARERS": "4"}, 2, {2: 2}),
    ],
)
def test_what_a_process_may_fill_and_what_it_leaves_idle(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], allowed: int, spare: dict[int, int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", "MCBENCH_SHARERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert allowed_threads() == allowed
    assert {threads: spare_processors(threads) for threads in spare} == spare


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (
            "sys.stderr.write('first\\nTrouble: no disk\\n\\n'); sys.exit(3)",
            "exit code 3 and said last: Trouble: no disk",
        ),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("sys.exit(0)", None),
        ("sys.stderr.write('at work'); sys.stderr.flush(); time.sleep(60)", None),  # ended at the end, as it should be
    ],
)
def test_a_worker_that_fails_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, how: str | None
) -> None:
    script = tmp_path / "worker"
    script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    children: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: children.append(popen(*a, **k)) or children[-1])
    said: list[str] = []
    with with_workers(2, ["score"], said.append):
        if "sleep" not in code:
            children[0].wait()
    assert said == ([f"mcbench: warning: worker 1 ended with {how}; the others took its clips"] if how else [])
    assert children[0].returncode is not None


def test_of_workers_that_meet_the_bodys_fault_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started([])
    monkeypatch.setattr(started, "poll", lambda: 2, raising=False)
    monkeypatch.setattr(subprocess, "Popen", started)
    said: list[str] = []
    with pytest.raises(UsageError), with_workers(2, ["score"], said.append):
        raise UsageError("no such data set")
    assert not said


def test_the_batch_script_is_sound() -> None:
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    text = SBATCH.read_text()
    options = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    assert {"array", "requeue", "open-mode", "output"} <= set(options)
    # Options after the first command are ignored by sbatch.
    assert text.rindex("#SBATCH") < text.index("set -euo pipefail")


@pytest.mark.slow
def test_the_batch_script_runs_as_an_array(tmp_path: Path) -> None:
    arguments = ["eval", "--method", "copy-reference", "--clips", "2", "--frames", "2", "--protocol", "mcbench@1"]
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for task in (2, 1):
        done = subprocess.run(
            ["bash", str(SBATCH), *arguments, "--out", "run", "--json"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": paths,
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": "2",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_CPUS_PER_TASK": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(list((tmp_path / "run" / "measurements").glob("*.safetensors"))) == 2
        assert (tmp_path / "run" / "result.json").exists() == (task == 1)
        assert bool(done.stdout) == (task == 1)
    document = json.loads(done.stdout)
    assert document["dataset"]["clips"] == 2
    assert document["provenance"]["device"].endswith("1 threads")
