"""`mcbench compare` as it is typed: its table, its document, its faults."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from compare_samples import world
from rich.console import Console

from mcbench.cli import compare
from mcbench.protocol import PROTOCOLS

Run = Callable[[str], tuple[int, str, str]]


def test_json_is_one_document(mcbench: Run) -> None:
    drawn = world(1, videos=8)
    for name in ("a", "b", "c"):
        drawn.run(Path(name), drawn.measure())
    code, out, error = mcbench("compare a b/result.json c --json")
    assert (code, error) == (0, "")
    document = json.loads(out)
    assert list(document) == ["pairs"]
    assert len(document["pairs"]) == 3 * (7 + 9)
    assert {(pair["a"], pair["b"]) for pair in document["pairs"]} == {("a", "b"), ("a", "c"), ("b", "c")}


def test_the_table_fits_80_columns_and_says_what_a_reader_must_know(mcbench: Run) -> None:
    drawn = world(2, videos=15, masked=True)
    drawn.run(Path("mine"), drawn.measure(3.0, 0.2), needs_truth=True)
    drawn.run(Path("theirs"), drawn.measure(), note="never trained")
    code, out, error = mcbench("compare mine theirs")
    assert (code, error) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in re.sub(r"\d … [+-]\d", "", out)  # nothing is cut off
    told = " ".join(out.split())
    for part in (
        "custom: 15 videos",
        "a mine* b theirs",
        "theirs: never trained",
        "* was shown the truth",
        "disco-legacy@1 as the field prints it",
        "mine is better than theirs in",
        "(7 under disco-legacy@1 and 12 under mcbench@1)",
        "random@1 weights under alexnet, i3d, inception, r3d50, vgg16",
        "FID, FID-VID, FVD: the difference at this number of videos",
        "LPIPS chars ↓",
        "15:0:0",
    ):
        assert part in told, part


def test_few_videos_are_told_not_to_say_anything(mcbench: Run) -> None:
    drawn = world(3, videos=5)
    for name in ("a", "b"):
        drawn.run(Path(name), drawn.measure())
    code, out, _ = mcbench("compare a b")
    told = " ".join(out.split())
    assert code == 0
    assert "SSIM, PSNR, LPIPS and L1: nothing can be concluded from 5 videos, a comparison needs 6." in told
    assert "better than" not in told


def test_a_result_without_measurements_says_why_distances_have_no_interval(mcbench: Run) -> None:
    drawn = world(4, videos=8)
    drawn.run(Path("a"), drawn.measure())
    drawn.run(Path("b"), drawn.measure())
    Path("b/result.json").rename("b.json")
    code, out, _ = mcbench("compare a b.json")
    assert code == 0
    reason = "FID, FID-VID, FVD, KID and KVD: b has no measurements beside its result; give its run folder."
    assert " ".join(out.split()).count(reason) == 1


def test_three_results_have_a_standing(mcbench: Run) -> None:
    drawn = world(5, videos=9)
    for name, better in (("good", 3.0), ("other", 2.9), ("bad", 0.0)):
        drawn.run(Path(name), drawn.measure(better))
    code, out, _ = mcbench("compare good other bad")
    assert code == 0
    assert out.count("cannot be told from it") == 2  # once a protocol


def test_hostile_names_do_not_reach_the_terminal(mcbench: Run) -> None:
    drawn = world(6, videos=6)
    drawn.run(Path("a"), drawn.measure(), "[red]\x1b[2Jmethod\r\n", note="\x1b]0;title\x07")
    drawn.run(Path("b"), drawn.measure())
    code, out, _ = mcbench("compare a b")
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[red][U+001B][2Jmethod" in out


def test_a_name_is_no_markup_while_it_is_being_compared(mcbench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = world(6, videos=6)
    drawn.run(Path("a"), drawn.measure(), "broken[/red]")
    drawn.run(Path("b"), drawn.measure())
    terminal = io.StringIO()
    monkeypatch.setattr("mcbench.cli.compare.errors", Console(stderr=True, force_terminal=True, file=terminal))
    assert mcbench("compare a b")[0] == 0


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal_cuts_no_number(mcbench: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    drawn = world(2, videos=15, masked=True)
    drawn.run(Path("mine"), drawn.measure(3.0, 0.2))
    drawn.run(Path("theirs"), drawn.measure())
    wide = mcbench("compare mine theirs")[1]
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = mcbench("compare mine theirs")
    assert code == 0
    assert "…" not in re.sub(r"\d … [+-]\d", "", out)
    interval = r"[+-][0-9.]+ … [+-][0-9.]+"
    assert re.findall(interval, out) == re.findall(interval, wide)
    assert out.count("15:0:0") == wide.count("15:0:0") > 0
    assert max(map(len, out.splitlines())) <= columns


def test_a_hundred_lost_videos_are_a_number(mcbench: Run) -> None:
    drawn = world(6, videos=100, frames=(2, 3))
    drawn.run(Path("a"), drawn.measure(-20.0))
    drawn.run(Path("b"), drawn.measure())
    assert "0:100:0" in mcbench("compare a b")[1]


def test_who_was_shown_the_truth_is_never_the_best(mcbench: Run) -> None:
    drawn = world(5, videos=9)
    drawn.run(Path("shown"), drawn.measure(9.0), needs_truth=True)
    for name, better in (("good", 3.0), ("bad", 0.0)):
        drawn.run(Path(name), drawn.measure(better))
    out = mcbench("compare shown good bad")[1]
    standing = [part.split("\n\n")[0] for part in out.split("cannot be told from it")[1:]]
    assert len(standing) == 2
    assert all("good" in part and "shown" not in part for part in standing)
    assert "* was shown the truth, and has no place among the best" in out
    drawn.run(Path("too"), drawn.measure(9.0), needs_truth=True)
    assert "cannot be told from it" not in mcbench("compare shown good too")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare", "Missing argument 'RESULT"),
        ("compare a", "a alone cannot be compared; give two results or more"),
        ("compare a a/result.json", "is given twice"),
        ("compare a nowhere", "nowhere: no such result"),
        ("compare a b --jsn", "--json"),
        ("compare a other", "a and other: not comparable: fingerprints"),
        ("compare a weights", "measure both with the same"),
        ("compare a torn", "not a result of schema"),
        ("compare a stopped", "this run has no result yet"),
    ],
)
def test_faults_are_one_line_exit_2_and_nothing_on_stdout(mcbench: Run, arguments: str, message: str) -> None:
    drawn, other, custom = world(7, videos=3), world(8, videos=4), world(7, videos=3, weights="custom")
    drawn.run(Path("a"), drawn.measure())
    other.run(Path("other"), other.measure())
    custom.run(Path("weights"), custom.measure())
    for name in ("torn", "stopped"):
        Path(name).mkdir()
    Path("torn/result.json").write_text("{}")
    Path("stopped/run.json").write_text("{}")
    code, out, error = mcbench(arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("mcbench: error: ")
    assert message in error


def test_the_examples_of_the_help_run(mcbench: Run) -> None:
    drawn = world(9, videos=6)
    for name in ("copy-reference", "truth"):
        drawn.run(Path("runs") / f"{name}-synthetic-mini", drawn.measure(), name)
    code, shown, _ = mcbench("compare --help")
    examples = re.findall(r"^\s*\$ mcbench (.*?)\s*$", shown, re.MULTILINE)
    assert (code, bool(examples)) == (0, True)
    assert examples == re.findall(r"^\$ mcbench (.*)$", compare.EXAMPLES, re.MULTILINE)
    for line in examples:
        assert mcbench(line)[0] == 0


def test_the_page_about_it_shows_what_runs(mcbench: Run, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = world(10, videos=8)
    for name in ("a", "b"):
        drawn.run(Path("runs") / name, drawn.measure())
    page = (Path(compare.__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, {})
    assert len(capsys.readouterr().out.splitlines()) == len(PROTOCOLS["mcbench@1"].metrics) + 1


@pytest.mark.usefixtures("fake_networks")
def test_runs_of_the_real_pipeline_are_compared(mcbench: Run, clip_folders: Callable[..., Path]) -> None:
    clip_folders("truth", 6, 3), clip_folders("near", 6, 3, noise=5), clip_folders("far", 6, 3, noise=60)
    for name in ("near", "far"):
        assert mcbench(f"score {name} --truth truth --weights random@1 --out runs/{name}")[0] == 0
    code, out, _ = mcbench("compare runs/near runs/far --json")
    assert code == 0
    pairs = {(pair["protocol"], pair["metric"]): pair for pair in json.loads(out)["pairs"]}
    assert pairs["mcbench@1", "psnr"]["wins"] == [6, 0, 0]
    assert pairs["mcbench@1", "psnr"]["p_value"] == 2 / 2**6
    assert "measurement" not in pairs["mcbench@1", "fid"]["reason"]  # they are there; there are too few videos
    assert pairs["mcbench@1", "fvd"]["reason"] == "no clip has the 16 frames of a window"
