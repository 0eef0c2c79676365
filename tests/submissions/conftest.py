"""Submissions to spoil: good ones, made once, and a place to put them."""

from __future__ import annotations

import copy
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from submission_runs import write_run

from mcbench.cli import console, submit, verify
from mcbench.command_line import run_command_line
from mcbench.submissions import make_submission
from mcbench.submissions.schema import content_digest

Document = dict[str, Any]


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    root = tmp_path_factory.mktemp("made")
    runs = {
        "mini": write_run(root / "mini"),
        "tiktok": write_run(root / "tiktok", dataset="tiktok", kind="published"),
    }
    return {
        name: make_submission(
            run,
            root / "submissions",
            authors=["Jane Doe", "Jürgen Groß", "李伟"],
            links=["https://example.org/paper"],
            license="Apache-2.0",
        ).document()
        for name, run in runs.items()
    }


@pytest.fixture
def mini(_made: dict[str, Document]) -> Document:
    """A submission to synthetic-mini: four clips, no intervals of feature metrics."""
    return copy.deepcopy(_made["mini"])


@pytest.fixture
def tiktok(_made: dict[str, Document]) -> Document:
    """A submission to tiktok: ten clips, all intervals."""
    return copy.deepcopy(_made["tiktok"])


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Seals a document anew, as a liar would, and puts it to its place."""

    def write(document: Document, place: str | None = None, *, seal: bool = True) -> Path:
        if seal:
            document["content_sha256"] = content_digest(document)
        result = document["result"]
        path = tmp_path / "submissions" / f"{place or result['dataset']['name'] + '/' + result['method']['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
        return path

    return write


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[str], tuple[int, str, str]]:
    """Runs `submit` or `verify` in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    # The consoles hold on to the streams that they were made with.
    for name in ("output", "errors"):
        monkeypatch.setattr(getattr(console, name), "_file", None)
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
    for verb in (submit, verify):
        app.command(verb.NAME, epilog=verb.EXAMPLES)(verb.run)

    def run(arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mcbench", *shlex.split(arguments)])
        with pytest.raises(SystemExit) as stop:
            run_command_line(app, "mcbench")
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run
