"""`mcbench methods`: what is ready, what is lacking, and saying where it is."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from mcbench.cli import main
from mcbench.errors import MethodError
from mcbench.methods import Case, Method, Question

Run = Callable[..., tuple[int, str, str]]


class Distant(Method):
    """Which must be told where it is, and forgets it when the test ends."""

    name: ClassVar[str] = "distant"
    version: ClassVar[str] = "3"
    summary: ClassVar[str] = "a model [far] away"
    needs_truth: ClassVar[bool] = True
    known: ClassVar[dict[str, str]] = {}

    def animate(self, case: Case) -> Iterator[np.ndarray]:
        yield from ()

    @classmethod
    def lacks(cls) -> Sequence[str]:
        return [f"{key}: get it from [{key}].example" for key in ("place", "model") if key not in cls.known]

    @classmethod
    def questions(cls) -> Sequence[Question]:
        return (
            Question("place", "where it is", cls.known.get("place"), alternatives=("image",)),
            Question("image", "or its image", cls.known.get("image"), alternatives=("place",)),
            Question("size", "of the image", cls.known.get("size"), required=False, goes_with="image"),
            Question("model", "its weights", cls.known.get("model")),
            Question("more", "what it can do without", cls.known.get("more"), required=False),
        )

    @classmethod
    def configure(cls, answers: Mapping[str, str]) -> Path:
        if answers.get("model") == "wrong":
            raise MethodError("model: wrong is not it; get the right one")
        if answers.get("model") == "broken":
            raise RuntimeError("no\nidea")
        cls.known.update(answers)
        return Path("/the/file")


class Rude(Distant):
    name: ClassVar[str] = "rude"

    @classmethod
    def lacks(cls) -> Sequence[str]:
        raise RuntimeError("it will\nnot say")


@pytest.fixture
def mcbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command line with these methods alone: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Distant, "known", {})
    entries = [
        metadata.EntryPoint("broken", "no_such_package:Thing", "mcbench.methods"),
        metadata.EntryPoint("copy-reference", "baselines.floors:CopyReference", "mcbench.methods"),
        metadata.EntryPoint("distant", f"{__name__}:Distant", "mcbench.methods"),
        metadata.EntryPoint("rude", f"{__name__}:Rude", "mcbench.methods"),
    ]
    monkeypatch.setattr("mcbench.methods.metadata.entry_points", lambda group: entries)
    for stream in ("output", "errors"):
        monkeypatch.setattr(f"mcbench.cli.console.{stream}._file", None)

    def run(arguments: str, typed: str | None = None, width: int = 80) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        terminal = io.StringIO(typed or "")
        monkeypatch.setattr(terminal, "isatty", lambda: typed is not None, raising=False)
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, "argv", ["mcbench", *shlex.split(arguments)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.mark.parametrize("width", [80, 120])
def test_each_is_ready_or_says_what_it_lacks(mcbench: Run, width: int) -> None:
    code, out, error = mcbench("methods", width=width)
    assert (code, error) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= width
    rows = {line.split()[0]: line for line in lines if line}
    assert " ready " in rows["copy-reference"]
    assert " to set up  a model [far] away" in rows["distant*"]
    assert " broken " in rows["broken"]
    assert lines[lines.index(rows["distant*"]) + 1].strip() == "lacks place, model"
    assert "* is shown the truth" in lines


def test_all_about_one(mcbench: Run) -> None:
    code, out, _ = mcbench("methods distant")
    assert code == 0
    assert "distant 3  to set up" in out
    assert "place    get it from [place].example" in out
    assert "mcbench methods --configure distant" in out
    code, out, _ = mcbench("methods copy-reference")
    assert (code, "ready" in out, "no settings" in out) == (0, True, True)
    code, out, error = mcbench("methods distnat")
    assert (code, out) == (2, "")
    assert "did you mean 'distant'" in error


def test_json(mcbench: Run) -> None:
    rows = {row["name"]: row for row in json.loads(mcbench("methods --json")[1])}
    assert rows["copy-reference"]["ready"] is True
    assert rows["copy-reference"]["lacks"] == []
    assert rows["distant"]["ready"] is False
    assert rows["distant"]["lacks"] == ["place: get it from [place].example", "model: get it from [model].example"]
    assert rows["rude"]["lacks"] == ["RuntimeError: it will not say"]
    assert "does not load" in rows["broken"]["problem"]
    assert json.loads(mcbench("methods distant --json")[1]) == rows["distant"]


class TestConfigure:
    def test_answers_on_the_command_line(self, mcbench: Run) -> None:
        code, out, error = mcbench("methods --configure distant --set place=/x --set model=/y")
        assert code == 0
        assert "distant is ready" in out
        assert error.strip() == "/the/file"
        assert Distant.known == {"place": "/x", "model": "/y"}
        assert mcbench("methods --configure distant --set more=z")[0] == 0
        assert Distant.known == {"place": "/x", "model": "/y", "more": "z"}

    def test_json(self, mcbench: Run) -> None:
        code, out, error = mcbench("methods --configure distant --set place=/x --set model=/y --json", typed="")
        assert (code, error) == (0, "")
        assert json.loads(out) == {
            "name": "distant",
            "ready": True,
            "file": "/the/file",
            "answers": {"place": "/x", "model": "/y"},
            "lacks": [],
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "must be told more: --set place=… (where it is); --set model=… (its weights)"),
            ("--set place=/x", "must be told more: --set model=… (its weights)"),
            ("--set image=/x", "must be told more: --set model=… (its weights)"),
            ("--set place=/x --set model=wrong", "model: wrong is not it; get the right one"),
            ("--set place=/x --set model=broken", "cannot be configured: RuntimeError: no idea; --debug shows where"),
            ("--set place", "give it as key=value"),
        ],
    )
    def test_what_is_missing_is_one_line_where_nobody_can_be_asked(
        self, mcbench: Run, arguments: str, message: str
    ) -> None:
        code, out, error = mcbench(f"methods --configure distant {arguments}")
        assert (code, out) == (2, "")
        assert message in error
        assert error.count("\n") == 1
        assert Distant.known == {}

    def test_a_terminal_is_asked(self, mcbench: Run) -> None:
        code, out, error = mcbench("methods --configure distant --set more=z", typed="/x\n/y\n")
        assert code == 0
        assert Distant.known == {"place": "/x", "model": "/y", "more": "z"}
        assert "place: where it is" in error
        assert "image" not in error  # another way of saying what was said
        assert "distant is ready" in out

    def test_what_goes_with_an_answer_that_was_not_given_is_not_asked_for(self, mcbench: Run) -> None:
        _, _, error = mcbench("methods --configure distant", typed="/x\n/y\n\n")
        assert "size: of the image" not in error
        Distant.known.clear()
        _, _, error = mcbench("methods --configure distant", typed="\nan-image\n7\n/y\n\n")
        assert "size: of the image" in error
        assert Distant.known == {"image": "an-image", "size": "7", "model": "/y"}

    def test_enter_keeps_what_is_known(self, mcbench: Run) -> None:
        Distant.known.update(place="/x", model="/y")
        assert mcbench("methods --configure distant", typed="\n/new\n\n")[0] == 0
        assert Distant.known == {"place": "/x", "model": "/new"}

    def test_questions_that_are_not_answered(self, mcbench: Run) -> None:
        code, out, error = mcbench("methods --configure distant", typed="\n\n\n\n")
        assert (code, out) == (2, "")
        assert "must be told more" in error
        assert mcbench("methods --configure distant", typed="/x\n")[0] == 130  # the input ends
        assert Distant.known == {}

    def test_a_method_that_needs_none(self, mcbench: Run) -> None:
        assert "'copy-reference' needs no configuring" in mcbench("methods --configure copy-reference")[2]
        assert "--set goes with --configure" in mcbench("methods --set a=b")[2]
        assert "give one" in mcbench("methods distant --configure rude")[2]


def test_the_real_ones_say_what_they_lack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MCBENCH_METHODS", os.fspath(tmp_path / "methods.toml"))
    monkeypatch.setattr(sys, "argv", ["mcbench", "methods", "--json"])
    monkeypatch.setattr("mcbench.cli.console.output._file", None)
    with pytest.raises(SystemExit):
        main.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    ready = {name for name, row in rows.items() if row["ready"]}
    assert {"command", "copy-reference", "fypv2", "truth"} <= ready
    external = rows.keys() - ready
    assert {"animateanyone", "disco", "disco-plus", "dreampose", "magicanimate", "magicpose", "mraa"} <= external
    for name in external:
        assert [line.partition(": ")[0] for line in rows[name]["lacks"]][:2] == ["repository", "interpreter"], name
