"""Time and memory against size: what is measured of a process and its children, and what is made of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from scaling import Cost, draw, judge, main, run_measured, table

from mcbench import UserError, open_frames

MEGABYTE = 1 << 20
HOLD = "import time; held = bytearray({megabytes} << 20); time.sleep({seconds})"
CHILD = (
    "import subprocess, sys; held = bytearray(40 << 20); subprocess.run([sys.executable, '-c', {code!r}], check=True)"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_memory_of_a_child_counts_with_its_parents() -> None:
    bare = run_measured(python("import time; time.sleep(0.3)"), {})
    child = python(CHILD.format(code=HOLD.format(megabytes=120, seconds=1.2)))
    both = run_measured(child, {})
    # A bare interpreter of each is in both.
    assert 160 * MEGABYTE < both.peak - bare.peak < 200 * MEGABYTE
    assert 1.2 < both.seconds < 20


def test_memory_that_was_given_back_counts() -> None:
    """It is gone long before the end, and may have come and gone between two looks."""
    bare = run_measured(python("import time; time.sleep(0.3)"), {})
    freed = run_measured(python("import time; held = bytearray(100 << 20); del held; time.sleep(0.3)"), {})
    assert freed.peak - bare.peak > 90 * MEGABYTE


def test_the_environment_is_passed_on_and_a_failure_is_one_line() -> None:
    check = "import os, sys; print('first', file=sys.stderr); sys.exit('said ' + os.environ['SCALING_WORD'])"
    with pytest.raises(UserError, match=r"failed: said hello$"):
        run_measured(python(check), {"SCALING_WORD": "hello"})
    assert "SCALING_WORD" not in os.environ


def row(part: str, seconds: float, peak_gb: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"part": part, "clips": 10, "workers": 1, "method": 1, "seconds": seconds, "peak_gb": peak_gb, **more}


def test_known_times_and_memory_are_judged() -> None:
    rows = [
        row("clips", 20, 2.0, clips=10),
        row("clips", 80, 2.1, clips=40),
        row("clips", 320, 2.15, clips=160),
        row("frames", 9, 3.9, clips=1),
        row("workers", 100, clips=40),
        row("workers", 54, 5.0, clips=40, workers=2),
        row("workers", 40, 9.0, clips=40, workers=3),
        row("methods", 30),
        row("methods", 20, method=2),
        row("methods", 15, method=3),
    ]
    found = judge(rows)
    assert [(one["value"], one["reached"]) for one in found] == [
        (1.075, True),
        (2.0, None),
        (3.9, True),
        (1.852, True),
        (2.5, None),
        (1.5, None),
        (2.0, None),
    ]
    # Memory that grows, a process beyond the limit, and workers that do not pay.
    rows[2]["peak_gb"], rows[3]["peak_gb"], rows[5]["seconds"] = 2.3, 4.1, 60
    assert [one["reached"] for one in judge(rows)][:4] == [False, None, False, False]
    assert [one["name"] for one in judge(rows[:1])] == ["most memory of one process, GB"]


def test_no_two_drawn_frames_are_equal() -> None:
    frames = [frame.tobytes() for side in ("truth", "method-0") for clip in range(2) for frame in draw(side, clip, 128)]
    assert len(set(frames)) == len(frames)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The runs that would be made; each takes a second."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], environment: dict[str, str]) -> Cost:
        folders = [Path(command[4]), Path(command[6])]
        assert [len(list(folder.glob("*.mp4"))) for folder in folders] == [len(list(folders[0].iterdir()))] * 2
        assert len(list(open_frames(next(folders[0].iterdir())).read())) >= 1
        calls.append((command, environment))
        return Cost(1.0, 10**9)

    monkeypatch.setattr("scaling.run_measured", run)
    return calls


def test_every_part_runs_what_it_says(counted: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [
        "--clips",
        "1",
        "3",
        "--clip-frames",
        "2",
        "--frames",
        "1",
        "2",
        "--worker-clips",
        "2",
        "--method-clips",
        "1",
    ]
    main([*words, "--repeat", "2", "--threads", "5", "--json", "--out", str(tmp_path / "report.json")])
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    shapes = [(row["part"], row["clips"], row["frames"], row["workers"], row["method"]) for row in report["rows"]]
    assert shapes == [
        ("clips", 1, 2, 1, 1),
        ("clips", 3, 2, 1, 1),
        ("frames", 1, 1, 1, 1),
        ("frames", 1, 2, 1, 1),
        ("workers", 2, 2, 1, 1),
        ("workers", 2, 2, 2, 1),
        ("methods", 1, 2, 1, 1),
        ("methods", 1, 2, 1, 2),
        ("methods", 1, 2, 1, 3),
    ]
    assert report["rows"][1]["frames_per_second"] == 6.0
    assert len(counted) == 2 * len(shapes)
    homes = [environment["MCBENCH_HOME"] for _, environment in counted]
    # Only the methods of one turn share a home.
    assert len(set(homes)) == 2 * (6 + 1)
    assert len(set(homes[6:9])) == 1
    threads = [environment["OMP_NUM_THREADS"] for _, environment in counted[: len(shapes)]]
    # One thread for each of one and of two processes, which share what is given.
    assert threads == ["5"] * 4 + ["1", "2"] + ["5"] * 3
    assert len({command[-1] for command, _ in counted}) == len(counted), "every run has a folder of its own"
    assert "2 workers against one" in table(report)


@pytest.mark.parametrize("words", [["--clips", "0"], ["--repeat", "0"], ["--part", "workers", "--workers", "0"]])
def test_counts_below_one_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (2, "")
    assert printed.err.count("\n") == 1


@pytest.mark.slow
def test_a_real_run_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One clip of 16 frames by two methods: the second finds the truth's features, and both stay below the limit."""
    kept: list[dict[str, int]] = []

    def run(command: list[str], environment: dict[str, str]) -> Cost:
        cost = run_measured(command, environment)
        files = Path(environment["MCBENCH_HOME"], "cache", "features").rglob("*.safetensors")
        kept.append({file.name: file.stat().st_mtime_ns for file in files})
        return cost

    monkeypatch.setattr("scaling.run_measured", run)
    main(["--part", "methods", "--methods", "2", "--method-clips", "1", "--threads", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    first, second = report["rows"]
    assert min(first["seconds"], second["seconds"]) > 0
    # Only truths are kept: what the first run wrote was enough for the second, which wrote nothing new or again.
    assert kept[0]
    assert kept[0] == kept[1]
    assert 0.3 < first["peak_gb"] < 4
    (limit,) = [one for one in report["targets"] if one["reached"] is not None]
    assert limit["reached"]
