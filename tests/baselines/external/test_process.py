"""Programs end when they must, with all that they started, and it is said why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from external_samples import is_alive
from filelock import FileLock, Timeout

from baselines.external.process import Command, Ended, clean_environment, explain, run_program, visible_gpus

FAMILY = """
import os, subprocess, sys, time
open(str(os.getpid()) + ".pid", "w").close()
if len(sys.argv) > 1:
    for more in ({}, {"start_new_session": True}):
        subprocess.Popen([sys.executable, __file__], **more)
    while len([name for name in os.listdir() if name.endswith(".pid")]) < 3:
        time.sleep(0.01)
    open("ready", "w").close()
    if sys.argv[1] == "ends":
        sys.exit(5)
time.sleep(600)
"""
"""A program with two children, one of them in a session of its own."""

RUN = """
import sys
from pathlib import Path
from baselines.external.process import Command, clean_environment, run_program
here = Path(sys.argv[1])
command = Command((sys.executable, str(here / "family.py"), "stays"), {}, here)
run_program(command, clean_environment("cpu", sys.executable), log=here / "log.txt", timeout=600,
            locks=[here / "lock"], afterwards=(sys.executable, "-c", "open('afterwards', 'w')"))
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    (tmp_path / "family.py").write_text(FAMILY)
    return tmp_path


def python(code: str, folder: Path, timeout: float = 30, **env: str) -> Ended:
    command = Command((sys.executable, "-c", code), env, folder)
    return run_program(command, clean_environment("cpu", sys.executable), log=folder / "log.txt", timeout=timeout)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def members(folder: Path) -> list[int]:
    found = [int(file.stem) for file in folder.glob("*.pid")]
    assert len(found) == 3
    return found


class TestNothingLivesOn:
    def test_when_the_program_ends(self, family: Path) -> None:
        command = Command((sys.executable, str(family / "family.py"), "ends"), {}, family)
        ended = run_program(command, clean_environment("cpu", sys.executable), log=family / "log.txt", timeout=60)
        assert (ended.status, ended.timed_out, ended.fault) == (5, False, None)
        assert not any(map(is_alive, members(family)))

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_when_mcbench_is_ended(self, family: Path, number: signal.Signals) -> None:
        (family / "run.py").write_text(RUN)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
        argv = [sys.executable, str(family / "run.py"), str(family)]
        mcbench = subprocess.Popen(argv, env=environment, cwd=family, stderr=subprocess.DEVNULL)
        try:
            wait_for((family / "ready").exists)
            with pytest.raises(Timeout):
                FileLock(family / "lock", timeout=0).acquire()
            mcbench.send_signal(number)
            mcbench.wait(timeout=20)
            with FileLock(family / "lock", timeout=20):  # whoever has the lock next finds nobody in the folder
                assert not any(map(is_alive, members(family)))
            assert (family / "afterwards").exists()
        finally:
            mcbench.kill()
            mcbench.wait()

    def test_when_its_worker_has_lost_its_parent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MCBENCH_PARENT", "1" if os.getppid() != 1 else "2")
        with pytest.raises(Exception, match="the process that started this worker is gone"):
            python(f"import os, time; open('{os.getpid()}', 'w').write(str(os.getpid())); time.sleep(600)", tmp_path)
        assert not is_alive(int((tmp_path / str(os.getpid())).read_text()))

    def test_one_that_does_not_listen(self, tmp_path: Path) -> None:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        started = time.monotonic()
        ended = python(code, tmp_path, timeout=0.5)
        assert ended.timed_out
        assert ended.status == -signal.SIGKILL
        assert time.monotonic() - started < 15


class TestWhatItGets:
    def test_no_shell_no_input_and_one_log(self, tmp_path: Path) -> None:
        ended = python("import sys; print(sys.stdin.read() + '$HOME;'); sys.stderr.write('second')", tmp_path)
        assert ended.status == 0
        assert (tmp_path / "log.txt").read_text() == "$HOME;\nsecond"

    def test_signals_reach_it_as_usual(self, tmp_path: Path) -> None:
        code = "from signal import *; print([getsignal(number) == SIG_DFL for number in (SIGTERM, SIGHUP, SIGCHLD)])"
        python(code, tmp_path)
        assert (tmp_path / "log.txt").read_text() == "[True, True, True]\n"

    def test_an_environment_without_this_ones_python(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "RANK", "MASTER_PORT", "MCBENCH_HOME", "MINE"):
            monkeypatch.setenv(name, "value")
        (tmp_path / "conda-meta").mkdir()
        found = clean_environment("cpu", str(tmp_path / "bin" / "python"))
        assert not {"PYTHONPATH", "VIRTUAL_ENV", "RANK", "MASTER_PORT", "MCBENCH_HOME"} & found.keys()
        assert (found["MINE"], found["CONDA_PREFIX"]) == ("value", str(tmp_path))
        assert found["PATH"] == f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def test_its_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", " 3, MIG-x ")
        assert [visible_gpus(device) for device in ("cpu", "cuda", "cuda:0", "cuda:1")] == [None, "3", "3", "MIG-x"]
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        assert visible_gpus("cuda:2") == "2"

    def test_variables_of_its_own(self, tmp_path: Path) -> None:
        python("import os; print(os.environ['MINE'])", tmp_path, MINE="ü")
        assert (tmp_path / "log.txt").read_text() == "ü\n"


class TestWords:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("raise SystemExit(3)", "the program ended with exit status 3"),
            ("print('\\n'.join('abcde')); raise SystemExit(1)", "the program ended with exit status 1: c | d | e"),
            ("print('10%\\r20%\\r30%\\r\\x1b[0m'); 1 / 0", "ZeroDivisionError: division by zero"),
            ("print('x' * 10**6); raise SystemExit(1)", f"exit status 1: …{'x' * 300}"),
            ("import os; os.kill(os.getpid(), 9)", "the program was killed (SIGKILL), most often by the system"),
            ("raise SystemExit(137)", "the program was killed (SIGKILL), most often by the system"),
            ("import os; os.abort()", "the program was ended by SIGABRT"),
            ("print('torch.OutOfMemoryError: CUDA out of memory.\\n'); raise SystemExit(1)", "needs more memory than"),
            ("bytearray(1 << 62)", "the program needs more memory than there is: MemoryError"),
        ],
    )
    def test_how_it_ended(self, tmp_path: Path, code: str, words: str) -> None:
        told = explain(python(code, tmp_path), tmp_path / "log.txt", "30 s")
        assert words in told
        assert told.isprintable()

    def test_one_that_cannot_be_started(self, tmp_path: Path) -> None:
        ended = run_program(Command(("/no/such",), {}, tmp_path), {}, log=tmp_path / "log.txt", timeout=5)
        assert "cannot be started ([Errno 2] No such file or directory: '/no/such')" in explain(
            ended, tmp_path / "log.txt", "5 s"
        )

    def test_time_that_was_up(self, tmp_path: Path) -> None:
        ended = python("import time; print('step 1', flush=True); time.sleep(600)", tmp_path, timeout=1)
        assert explain(ended, tmp_path / "log.txt", "1 s") == (
            "the program was stopped after 1 s; raise --set timeout=SECONDS: step 1"
        )


def test_the_guard_uses_the_standard_library_alone() -> None:
    """It is run without site packages, by whatever Python runs mcbench."""
    guard = Path(__file__).resolve().parents[3] / "baselines" / "external" / "guard.py"
    task = {"argv": ["true"], "cwd": "/", "env": {"PATH": os.environ["PATH"]}, "locks": [], "afterwards": []}
    argv = [sys.executable, "-I", "-S", str(guard)]
    done = subprocess.run(argv, input=json.dumps(task) + "\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["status"] in (0, -signal.SIGTERM)  # its input ends at once
