"""`fypv2 preprocess`: what it prints, and how it ends."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from footage_files import figure, make_footage
from test_footage import Ramp, Shift, Told

from fypv2.cli import preprocess
from fypv2.extractors import write_openpose_json
from fypv2.preprocess import footage
from fypv2.preprocess.estimating import EstimatedPoses, Estimators, load_estimators
from fypv2.training.clips import DenseFlow
from fypv2.training.shards import open_shards
from mcbench import run_command_line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command(preprocess.NAME)(preprocess.run)
        app.callback()(lambda: None)
        monkeypatch.setattr(sys, "argv", ["fypv2", "preprocess", *words])
        with pytest.raises(SystemExit) as ended:
            run_command_line(app, "fypv2")
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def fake_estimators(poses: Path | None, *_: Any) -> Estimators:
    """DWPose, RAFT and Depth Anything without their weights."""
    if poses is not None:
        return load_estimators(poses, None, None)
    return Estimators(EstimatedPoses(Told(2)), Shift(), Ramp())


def test_the_examples_of_the_help_run(verb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_footage(tmp_path / "videos", tmp_path / "unused", {"a": 20})
    write_openpose_json(figure(20), tmp_path / "openpose" / "a")
    monkeypatch.setattr(footage, "load_estimators", fake_estimators)
    examples = [line.removeprefix("$ fypv2 preprocess ") for line in preprocess.EXAMPLES.splitlines() if "$" in line]
    assert len(examples) == 4
    for example in examples:
        # The paper's size is more than twice that of these videos.
        code, out, err = verb(
            *shlex.split(example.replace("640x896", "160x96").replace("openpose", "openpose --size 96"))
        )
        assert (code, err) == (0, ""), example
        assert out
    assert isinstance(open_shards(Path("data/own")).read(0).flow, DenseFlow)
    assert open_shards(Path("data/poses-only")).read(0).flow is None


def test_what_it_prints(verb: Run, tmp_path: Path) -> None:
    make_footage(tmp_path / "in", tmp_path / "poses", {"a": 20, "b": 5})
    words = ["in", "--poses", "poses", "--flow", "none", "--depth", "none", "--size", "96", "-o", "out"]
    code, out, err = verb(*words)
    assert code == 0
    assert out.startswith("out: 1 clips, 20 frames")
    assert "left out: 5 frames, shorter than 16 frames" in out
    assert err.strip() == "fypv2: warning: b.mp4: too short: 5 frames in 1 scene, each shorter than 16 frames"
    code, out, err = verb(*words, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["clips"], told["frames"], told["bad_videos"][0]["video"]) == (1, 20, "b.mp4")


def test_verify_finds_a_changed_byte(verb: Run) -> None:
    assert verb("synthetic", "--clips", "1", "--frames", "2", "--size", "64", "-o", "data")[0] == 0
    assert verb("-o", "data", "--verify")[0] == 0
    shard = Path("data/shard-000000.tar")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    code, out, err = verb("-o", "data", "--verify", "--json")
    assert (code, err) == (1, "")
    assert json.loads(out)["ok"] is False
    assert "shard-000000.tar" in json.loads(out)["faults"][0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-o out", "name folders of videos"),
        ("nowhere -o out", "no such file or folder"),
        ("void -o out", "holds no video"),
        ("in -o out --size 100", "multiples of 8"),
        ("in -o out --size 640x", "give pixels"),
        ("in -o out --size 640x896 --keep-aspect", "one number"),
        ("in -o out --min-frames 20 --max-frames 10", "--max-frames 10"),
        ("in -o out --min-people 3 --max-people 2", "--max-people 2"),
        ("in -o out --map-scale 3", "1, 2 or 4"),
        ("in -o out --fps 0", "more than 0"),
        ("in -o out --fps nan", "more than 0"),
        ("in -o out --flow fast", "raft_large"),
        ("in -o out --poses nowhere", "is no folder"),
        ("in -o out --clips 3", "only synthetic clips take --clips"),
        ("in -o out --poses poses --flow none --depth none --size 512", "no clip came out of it (a.mp4: too small"),
        ("synthetic -o out --poses poses", "synthetic clips take no --poses"),
        ("synthetic -o out --keep-aspect", "synthetic clips take no --keep-aspect"),
        ("synthetic -o out --size 64x128", "square"),
        ("synthetic -o out --size 2048", "64 to 1024"),
        ("synthetic -o out --seed -1", "out of range"),
        ("-o nowhere --verify", "no finished training data"),
    ],
)
def test_faults_are_one_line(verb: Run, tmp_path: Path, words: str, told: str) -> None:
    make_footage(tmp_path / "in", tmp_path / "poses", {"a": 20})
    (tmp_path / "void").mkdir()
    code, out, err = verb(*shlex.split(words))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err
