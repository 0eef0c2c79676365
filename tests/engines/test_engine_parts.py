"""What an engine does without a cluster: refusals, room, adding up, and the look at a shared folder."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from mcbench.engines.cluster import placement
from mcbench.engines.node import Order, serve, shared_folder
from mcbench.engines.progress import Progress
from mcbench.errors import UsageError

CommandLine = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def port() -> Iterator[int]:
    """Of a program that answers, but not as Ray does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--engine rya", "no engine is called 'rya'; did you mean 'ray'?; there are local and ray"),
        ("--address 10.0.0.1:6379", "--address 10.0.0.1:6379: the address of a Ray cluster; give --engine ray too"),
        ("--engine ray --address head", "--address head: give HOST:PORT of the cluster's head node, or auto"),
        ("--engine ray --address ray://head:10001", "give HOST:PORT of the cluster's head node, or auto"),
        ("--engine ray --address head:99999", "give HOST:PORT of the cluster's head node, or auto"),
        ("--engine ray --address 127.0.0.1:FREE", "no Ray cluster there (Connection refused); `ray status`"),
        ("--engine ray --address 127.0.0.1:OTHER", "no Ray cluster there (another program answers); give its port"),
    ],
)
@pytest.mark.parametrize("verb", ["eval --method copy-reference", "score predictions --truth truth"])
def test_one_line_for_a_wrong_engine_or_address(
    mcbench: CommandLine, port: int, verb: str, more: str, message: str
) -> None:
    more = more.replace("OTHER", str(port)).replace("FREE", str(free_port()))
    code, out, error = mcbench(f"{verb} {more}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("mcbench: error: ")
    assert message in error
    assert not Path("runs").exists()


def test_ray_that_is_not_installed(mcbench: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, error = mcbench("eval --method copy-reference --engine ray")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "pip install 'mcbench[ray]'" in error


def test_ray_within_torchrun(mcbench: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, out, error = mcbench("eval --method copy-reference --engine ray")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "run it once" in error


def test_local_is_what_there_is_without_the_option(monkeypatch: pytest.MonkeyPatch, mcbench: CommandLine) -> None:
    """A worker that Ray started has the same command line, and is to do the work."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("MCBENCH_PARENT", "1")
    answers = {mcbench(f"eval --method no-such-method{more}") for more in ("", " --engine local", " --engine ray")}
    ((code, out, error),) = answers
    assert (code, out) == (2, "")
    assert "no-such-method" in error


def fypv2(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "fypv2", *words], capture_output=True, text=True, check=False)


def test_preprocess_refuses_a_wrong_address(tmp_path: Path) -> None:
    start = ("preprocess", "synthetic", "-o", str(tmp_path / "data"), "--address", f"127.0.0.1:{free_port()}")
    for words, message in ((start, "give --engine ray too"), ((*start, "--engine", "ray"), "no Ray cluster there")):
        done = fypv2(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert message in done.stderr
    assert not (tmp_path / "data").exists()


def nodes(*resources: dict[str, float]) -> Any:
    alive = [{"Alive": True, "Resources": each} for each in resources]
    return SimpleNamespace(nodes=lambda: [*alive, {"Alive": False, "Resources": {"CPU": 512.0, "GPU": 8.0}}])


@pytest.mark.parametrize(
    ("resources", "workers", "device", "expected"),
    [
        ([{"CPU": 8.0}], 2, "auto", ({"num_cpus": 4}, 4)),
        ([{"CPU": 8.0}], 3, "auto", ({"num_cpus": 2}, 2)),
        # Two shares of eight would not fit on any node but in pairs: each node takes as many as it has room for.
        ([{"CPU": 4.0}, {"CPU": 4.0}], 1, "auto", ({"num_cpus": 4}, 4)),
        ([{"CPU": 4.0}, {"CPU": 12.0}], 3, "auto", ({"num_cpus": 4}, 4)),
        ([{"CPU": 2.0}], 9, "auto", ({"num_cpus": 1}, 1)),
        ([{"CPU": 32.0, "GPU": 4.0}, {"CPU": 8.0}], 5, "auto", ({"num_gpus": 1, "num_cpus": 8}, 8)),
        ([{"CPU": 32.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 8.0}], 5, "cuda", ({"num_gpus": 1, "num_cpus": 1}, 1)),
        ([{"CPU": 32.0, "GPU": 4.0}], 4, "cpu", ({"num_cpus": 8}, 8)),
        ([{"CPU": 1.0, "GPU": 4.0}], 4, "auto", ({"num_gpus": 1, "num_cpus": 0}, 1)),
    ],
)
def test_workers_get_a_gpu_or_a_share_of_the_processors(
    resources: list[dict[str, float]], workers: int, device: str, expected: tuple[dict[str, int], int]
) -> None:
    assert placement(nodes(*resources), workers, device) == expected


def test_progress_counts_each_item_once(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    progress = Progress(tmp_path, lambda *new: told.append(new))

    def tell(file: str, *messages: Any) -> None:
        with (tmp_path / file).open("a") as stream:
            stream.writelines(json.dumps(message) + "\n" for message in messages)

    tell("0-1.progress", {"total": 20}, {"amount": 4, "item": "a"})
    tell("1-1.progress", {"total": 20}, {"amount": 6, "item": "b"})
    progress.look()
    # The second worker died in the midst of b; its successor begins b again, and goes over a, which is done.
    tell("1-2.progress", {"total": 20}, {"amount": 5, "item": "b"})
    progress.look()
    tell("1-2.progress", {"amount": 5, "item": "b"}, {"amount": 10, "item": "a"})
    with (tmp_path / "0-1.progress").open("a") as stream:
        stream.write('{"amount": 6, "it')
    progress.look()
    with (tmp_path / "0-1.progress").open("a") as stream:
        stream.write('em": "a"}\n')
    progress.look()
    progress.look()
    assert told == [(10, 20, "b"), (10, 20, "b"), (20, 20, "a"), (20, 20, "a")]


class TestNode:
    def order(self, shared: Path, here: Path) -> Order:
        return Order("worker_program", (), here, shared, {"OMP_NUM_THREADS": "1"}, 2, version=self.version)

    @property
    def version(self) -> str:
        from mcbench import __version__

        return __version__

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=f"does not see {tmp_path / 'elsewhere'}; give a folder that all nodes"):
            serve(self.order(tmp_path / "elsewhere" / ".workers-0", tmp_path))

    def test_locks_that_are_not_seen(self, tmp_path: Path) -> None:
        with shared_folder(tmp_path / "run") as shared:
            # As on a network file system without locking: the file is there, and nobody holds its lock.
            copy = shutil.copytree(shared, tmp_path / "mounted" / shared.name)
            with pytest.raises(UsageError, match=r"does not see the locks in .*mounted; mount it with locking"):
                serve(self.order(copy, tmp_path))

    def test_another_version(self, tmp_path: Path) -> None:
        order = Order("worker_program", (), tmp_path, tmp_path, {"OMP_NUM_THREADS": "1"}, 2, version="0.0")
        with pytest.raises(UsageError, match=r"and not 0\.0; install the same on all nodes"):
            serve(order)

    @pytest.mark.parametrize(("threads", "sharers"), [("2", "4"), ("3", "2"), ("16", "1")])
    def test_a_worker_knows_how_many_have_room_beside_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str, sharers: str
    ) -> None:
        started: list[dict[str, str]] = []

        class Ended:
            returncode = 0

            def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
                started.append(env)

            def poll(self) -> int:
                return 0

        monkeypatch.setenv("MCBENCH_SHARERS", "7")  # of the machine that started the cluster's workers
        monkeypatch.setattr("mcbench.engines.node.processors", lambda: 8)
        monkeypatch.setattr("mcbench.engines.node.subprocess.Popen", Ended)
        with shared_folder(tmp_path / "run") as shared:
            order = self.order(shared, tmp_path)
            order.environment["OMP_NUM_THREADS"] = threads
            serve(order)
        assert [env["MCBENCH_SHARERS"] for env in started] == [sharers]

    def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_stays(self, tmp_path: Path) -> None:
        dead = tmp_path / ".workers-dead"
        dead.mkdir()
        (dead / "shared.lock").touch()
        living = tmp_path / ".workers-living"
        living.mkdir()
        with FileLock(living / "shared.lock"), shared_folder(tmp_path) as shared:
            assert sorted(tmp_path.iterdir()) == sorted([living, shared])
        assert list(tmp_path.iterdir()) == [living]

    def test_a_new_folder_in_which_nothing_came_about_goes_again(self, tmp_path: Path) -> None:
        with shared_folder(tmp_path / "empty"), shared_folder(tmp_path / "full"):
            (tmp_path / "full" / "run.json").touch()
        assert [path.name for path in tmp_path.iterdir()] == ["full"]

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="cannot be written"), shared_folder(tmp_path / "file"):
            pass
