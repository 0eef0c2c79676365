"""Workers on a real Ray cluster of two nodes on this machine: shared, killed, lost, refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_program import ITEMS

from mcbench.engines import run_on_ray
from mcbench.errors import UsageError, UserError

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ALL = " ".join(ITEMS) + "\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "cluster_process.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = (re.fullmatch(r"[\w.]+:\d+", line.strip()) for line in process.stdout)
    process.address = next(match[0] for match in lines if match)  # type: ignore[attr-defined]
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)


class Run:
    """Runs the program on the cluster, and keeps what was told meanwhile."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.said: list[str] = []
        self.progress: list[tuple[int, int, str]] = []

    def __call__(self, behaviour: str, pause: float = 0.2, **options: Any) -> str:
        return run_on_ray(
            "worker_program",
            [str(self.folder), behaviour, str(pause)],
            workers=2,
            folder=self.folder,
            address=self.address,
            on_progress=lambda *told: self.progress.append(told),
            say=self.said.append,
            **options,
        )

    def starts(self, index: int) -> int:
        return len(list(self.folder.glob(f"started-{index}-*")))

    def warnings(self) -> list[str]:
        return [line for line in self.said if "worker 1" in line]


@pytest.fixture
def program(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.chdir(tmp_path)
    yield Run(cluster.address, tmp_path / "shared")
    assert not list((tmp_path / "shared").glob(".workers-*"))


def test_two_nodes_share_the_work(program: Run) -> None:
    assert program("well", pause=0.5) == ALL
    assert (program.starts(0), program.starts(1)) == (1, 1)
    assert program.said == ["worker_program: warning: 0 of 2"]
    done = [told[0] for told in program.progress]
    assert done == sorted(done)
    assert all(told[1] == 12 for told in program.progress)
    assert len({told[2] for told in program.progress}) > 1


@pytest.mark.parametrize(("behaviour", "how"), [("die", "signal 9 and said last: half way"), ("lose", "was lost")])
def test_a_lost_worker_is_started_again(program: Run, behaviour: str, how: str) -> None:
    assert program(behaviour, pause=1) == ALL
    assert program.starts(0) == 1
    (warning,) = program.warnings()
    assert how in warning
    assert warning.endswith("it is started again")
    assert "\n" not in warning


def test_a_worker_that_always_dies_is_given_up(program: Run) -> None:
    # The first worker holds its items long enough for the other one to die three times.
    assert program("die-always", pause=1.5) == ALL
    assert 2 <= program.starts(1) <= 3
    if program.starts(1) == 3:
        assert program.warnings()[-1].endswith("the others go on without it")


def test_the_fault_of_the_first_worker_is_the_run_s(program: Run) -> None:
    with pytest.raises(UserError, match=r"^no such data; mend it$"):
        program("refuse")
    assert program.said == ["worker_program: warning: 0 of 2"]


def test_a_node_that_cannot_work_leaves_it_to_the_others(program: Run) -> None:
    assert program("refuse-1") == ALL
    assert program.starts(1) == 1
    (warning,) = program.warnings()
    assert "exit code 2 and said last: worker_program: error: not on this node; the others go on" in warning


def test_a_crash_of_the_first_worker_is_told_after_three_starts(program: Run) -> None:
    with pytest.raises(UserError, match=r"^worker 0 on \S+ ended with exit code 1 and said last: RuntimeError: out of"):
        program("fall", pause=0)
    assert program.starts(0) == 3


def test_a_folder_that_is_not_shared(program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # The nodes are this machine; what they would not see elsewhere is taken away before they look.
    monkeypatch.setattr("mcbench.engines.ray_run.Path.cwd", lambda: Path("/nowhere"))
    with pytest.raises(UsageError, match="has no folder /nowhere"):
        program("well")


def test_another_version_on_the_nodes(program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcbench.engines.ray_run.__version__", "9.9")
    with pytest.raises(UsageError, match=r"has mcbench \S+ and not 9\.9"):
        program("well")


def mcbench(arguments: str, folder: Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mcbench", *arguments.split()],
        cwd=folder,
        env={**os.environ, "MCBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def worker_of(run: Path, index: int) -> int | None:
    """The process of a worker, found by its command and its variables."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(run).encode() in command and f"RANK={index}".encode() in variables:
            return int(entry.name)
    return None


def test_the_result_is_that_of_one_process_though_a_worker_is_killed(cluster: Any, tmp_path: Path) -> None:
    arguments = "eval --method copy-reference --clips 4 --frames 3 --protocol mcbench@1 --json --out"
    one = mcbench(f"{arguments} {tmp_path / 'one'}", tmp_path, tmp_path / "home")
    printed, said = one.communicate()
    assert one.returncode == 0, said
    two = mcbench(
        f"{arguments} {tmp_path / 'two'} --engine ray --workers 2 --address {cluster.address}", tmp_path, tmp_path
    )
    while not list((tmp_path / "two").glob("predictions/*")):
        assert two.poll() is None, two.communicate()
        time.sleep(0.1)
    worker = worker_of(tmp_path / "two", 1)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    output, said = two.communicate()
    assert two.returncode == 0, said
    assert re.search(r"worker 1 on \S+ ended with signal 9.*it is started again", said)
    results = [json.loads(text) for text in (printed, output)]
    for result in results:
        for field in ("start", "seconds", "command"):
            result["provenance"].pop(field)
    assert results[0] == results[1]
    assert (tmp_path / "two" / "result.json").read_text() == output


def test_an_interrupted_run_ends_its_workers(cluster: Any, tmp_path: Path) -> None:
    process = mcbench(
        f"eval --method copy-reference --out {tmp_path / 'run'} --engine ray --workers 2 --address {cluster.address}",
        tmp_path,
        tmp_path / "home",
    )
    while not list((tmp_path / "run").glob(".workers-*/1-1.log")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.terminate()
    output, said = process.communicate(timeout=60)
    assert (process.returncode, output) == (143, "")
    assert said.endswith("mcbench: stopped; the same command takes it up again\n")
    assert [worker_of(tmp_path / "run", index) for index in (0, 1)] == [None, None]
    assert not list(tmp_path.glob("run/.workers-*"))


def test_training_data_are_made_on_this_machine_alone(tmp_path: Path) -> None:
    """Without an address; the same bytes as one process makes."""
    data = {}
    for name, more in (("one", []), ("two", ["--engine", "ray", "--workers", "2"])):
        request = "preprocess synthetic --clips 6 --frames 2 --size 64 --per-shard 1 -o"
        words = [*request.split(), name, *more]
        done = subprocess.run([sys.executable, "-m", "fypv2", *words], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{name}: 6 clips, 12 frames, 0.2 MB in 6 shards\n"), done.stderr
        data[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.is_file()}
    assert data["one"] == data["two"]


def test_a_lost_node(cluster: Any, program: Run) -> None:
    """The last test here: the cluster has one node after it."""

    def lose() -> None:
        while not program.starts(1):
            time.sleep(0.1)
        cluster.stdin.write("lose\n")
        cluster.stdin.flush()

    thread = threading.Thread(target=lose)
    thread.start()
    assert program("well", pause=2) == ALL
    thread.join()
    assert [line for line in program.said if re.search(r"worker [01] was lost", line)]
