"""The end of every command: exit codes, and one line for whatever a user can mend."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer

from mcbench.command_line import run_command_line
from mcbench.errors import UsageError


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    before, threshold = signal.getsignal(signal.SIGTERM), gc.get_threshold()
    yield
    signal.signal(signal.SIGTERM, before)
    gc.set_threshold(*threshold)


def ends(
    verb: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *flags: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program with one verb."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

    @app.command()
    def only(debug: bool = False) -> object:
        return verb()

    monkeypatch.setattr(sys, "argv", ["tool", *flags])
    with pytest.raises(SystemExit) as stop:
        run_command_line(app, "tool")
    told = capsys.readouterr()
    return int(stop.value.code or 0), told.out, told.err


def raising(error: BaseException) -> Callable[[], object]:
    def verb() -> object:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("a\nb"), 2, "tool: error: a b\n"),
        (KeyboardInterrupt(), 130, "tool: stopped; the same command takes it up again\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/locked/x"),
            2,
            "tool: error: /locked/x: Permission denied; free space or mend its permissions; --debug shows where\n",
        ),
    ],
)
def test_an_error_is_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert ends(raising(error), monkeypatch, capsys) == (code, "", line)


def test_the_verbs_number_is_the_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(lambda: 1, monkeypatch, capsys) == (1, "", "")
    assert ends(lambda: None, monkeypatch, capsys) == (0, "", "")


def test_a_termination_unwinds_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned = []

    def verb() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 5)  # type: ignore[attr-defined] # a signal comes when the interpreter looks
        finally:
            cleaned.append(True)

    code, out, error = ends(verb, monkeypatch, capsys)
    assert (code, out, cleaned) == (143, "", [True])
    assert error == "tool: stopped; the same command takes it up again\n"


def test_a_worker_ends_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("MCBENCH_PARENT", str(os.getppid()))
    seen = []
    ends(lambda: seen.append(signal.getsignal(signal.SIGTERM)), monkeypatch, capsys)
    assert seen == [before]


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_behind_stdout_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        monkeypatch.setattr(sys, "stdout", FullDisk())

    code, _, error = ends(verb, monkeypatch, capsys)
    assert code == 2
    assert error.startswith("tool: error: No space left on device; ")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PermissionError):
        ends(raising(PermissionError(13, "Permission denied", "x")), monkeypatch, capsys, "--debug")


PROGRAM = """
import atexit, gc, typer
from mcbench.command_line import run_command_line
app = typer.Typer()
@app.command()
def only():
    print(gc.isenabled(), gc.get_threshold()[0] == 10_000, gc.get_freeze_count() == 0)
atexit.register(lambda: print(gc.get_freeze_count() > 0))
run_command_line(app, "tool")
"""


def test_a_process_seldom_looks_for_garbage_and_never_at_its_end() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", "True", "True"]
