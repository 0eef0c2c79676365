"""`mcbench leaderboard`: boards in the terminal, one document, one line for a fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from site_entries import hostile_entries, made_entry, made_result

from mcbench.cli import leaderboard
from mcbench.leaderboard.paper import read_paper_tables
from mcbench.site import Entry
from mcbench.site.collect import entries_of_paper

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """What the leaderboard holds: the paper's rows, and what a test adds."""
    held = [entry for table in read_paper_tables() for entry in entries_of_paper(table)]
    monkeypatch.setattr("mcbench.site.collect", lambda: held)
    return held


def test_a_board_in_the_terminal(mcbench: Run) -> None:
    code, out, error = mcbench("leaderboard --dataset ted-talks")
    assert (code, error) == (0, "")
    [ours] = [line for line in out.splitlines() if line.startswith(" Ours")]
    # Table 2: best but in PSNR.
    assert ours.split() == ["Ours", "paper", "18.21¹", "0.779¹", "30.88", "0.198¹", "0.46E-04¹", "10.24¹", "81.73¹"]
    [starred] = [line for line in out.splitlines() if line.startswith(" MRAA*")]
    assert not re.search("[¹²]", starred)
    assert "was shown the truth" in out
    assert "tiktok" not in out


def test_all_boards_are_whole_in_a_pipe(mcbench: Run) -> None:
    code, out, _ = mcbench("leaderboard")
    assert code == 0
    assert "…" not in out
    assert out.count("disco-legacy@1") == 4
    assert "3.13E-04!" in out
    assert "in another unit" in out


def test_a_narrow_terminal_shows_every_number(
    mcbench: Run, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries[:] = [made_entry(made_result("my-method"))]
    monkeypatch.setattr("mcbench.cli.console.output._force_terminal", True)
    monkeypatch.setattr("mcbench.cli.console.output._width", 44)
    _, out, _ = mcbench("leaderboard --dataset multi-character")
    shown = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert "…" not in shown
    for score in entries[0].scores["mcbench@1"].values():
        assert score.text in shown
    tables = [line for line in shown.splitlines() if line.startswith((" my-method", " ─"))]
    assert max(map(len, tables)) <= 44


def test_notes_and_weights_are_said(mcbench: Run, entries: list[Entry]) -> None:
    result = made_result("mine", dataset="synthetic-mini", weights="random@1", note="was never trained")
    entries.append(made_entry(result))
    _, out, _ = mcbench("leaderboard --dataset synthetic-mini")
    assert "mine [1]" in out
    assert "[1] was never trained" in out
    assert out.count("random@1 weights") == 2


def test_hostile_texts_do_nothing_to_a_terminal(mcbench: Run, entries: list[Entry]) -> None:
    entries[:] = hostile_entries()
    code, out, _ = mcbench("leaderboard")
    assert code == 0
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u200b\u2066]", out)
    assert "[bold red]markup[/bold red] :smile:" in out


def test_json_is_one_document(mcbench: Run) -> None:
    code, out, error = mcbench("leaderboard --dataset tiktok --json")
    assert (code, error) == (0, "")
    boards = json.loads(out)["boards"]
    assert [(board["board"], board["dataset"]) for board in boards] == [("tiktok", "tiktok"), ("ablation", "tiktok")]
    [ours] = [row for row in boards[0]["rows"] if row["name"] == "Ours"]
    assert ours["metrics"]["fvd"] == {
        "value": 117.81,
        "text": "117.81",
        "interval": None,
        "mark": "best",
        "tied": False,
        "remark": None,
    }


def test_a_site(mcbench: Run) -> None:
    code, out, error = mcbench("leaderboard --site pages")
    assert (code, out) == (0, "")
    assert error == "pages/index.html (4 boards)\n"
    assert Path("pages/index.html").is_file()
    code, out, _ = mcbench("leaderboard --site pages --dataset ted-talks --json")
    assert code == 0
    assert [board["board"] for board in json.loads(out)["boards"]] == ["ted-talks"]
    assert len(list(Path("pages/boards").glob("*.html"))) == 1


def test_a_data_set_without_numbers(mcbench: Run) -> None:
    code, out, _ = mcbench("leaderboard --dataset synthetic-mini")
    assert code == 0
    assert "Nothing has been measured on synthetic-mini yet" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("--dataset ted-talk", "did you mean 'ted-talks'"), ("--site .", "precious"), ("--site precious", "a file, not")],
)
def test_faults_are_one_line(mcbench: Run, arguments: str, message: str) -> None:
    Path("precious").write_text("x", encoding="utf-8")
    code, out, error = mcbench(f"leaderboard {arguments}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error
    assert Path("precious").read_text(encoding="utf-8") == "x"


def test_the_examples_of_its_help_work(mcbench: Run) -> None:
    code, out, _ = mcbench("leaderboard --help")
    assert code == 0
    examples = re.findall(r"\$ mcbench (.*)", leaderboard.EXAMPLES)
    assert len(examples) == 3
    for example in examples:
        assert example in out
        assert mcbench(example)[0] == 0
