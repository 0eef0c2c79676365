"""The ablation: four branches of one budget, their judgement, and the tables."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ablation
import pytest
from ablation import CLAIMS, END, START, VARIANTS, main, markdown, put_into
from training_runs import mini_model

from fypv2.checkpoint import read_settings
from fypv2.training.config import load_train_config
from fypv2.training.loop import train
from fypv2.training.state import last_checkpoint
from mcbench import UserError

STEPS = 2


@pytest.fixture
def arguments(tmp_path: Path, mini_shards: Path, mini_stage1: Path) -> list[str]:
    words = ["--data", str(mini_shards), "--start", str(mini_stage1), "--steps", str(STEPS)]
    words += ["--out", str(tmp_path / "ablation"), "--clips", "2", "--frames", "3", "--size", "64", "--misaligned", "1"]
    settings = {"model": mini_model(tmp_path), "frames": 4, "batch": 1, "workers": 0, "log_with": "[]"}
    settings |= {"sample_every": "null", "stride": "[1, 1]"}
    return [*words, "--step", "1", "--device", "cpu", *(f"--set={key}={value}" for key, value in settings.items())]


def trained_here(command: Sequence[str]) -> int:
    """The training that a command starts, without a new process."""
    words = list(command)[list(command).index("train") + 1 :]
    given = {before.removeprefix("--"): word for before, word in pairwise(words)}
    settings = [word for before, word in pairwise(words) if before == "--set"]
    return 0 if train(load_train_config(words[0], settings, data=given["data"], out=given["out"])) else 143


@pytest.mark.slow
def test_from_one_stage_1_to_the_tables(
    arguments: list[str], tmp_path: Path, fake_networks: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    started: list[str] = []

    def one_fails(command: Sequence[str]) -> int:
        started.append(next(name for name in VARIANTS if f"/{name}/" in " ".join(command)))
        return 143 if started == ["without-flow", "without-reference-pose"] else trained_here(command)

    monkeypatch.setattr(ablation, "run", one_fails)
    record, page = tmp_path / "leaderboard" / "fypv2-tiny.json", tmp_path / "page.md"
    page.write_text(f"# Page\n\n{START}\nold\n{END}\n\nend\n")
    words = [*arguments, "--record", str(record), "--docs", str(page)]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "without-reference-pose ended with 143" in capsys.readouterr().err

    main(words)
    assert started == ["without-flow", "without-reference-pose", *list(VARIANTS)[1:]], "what is done is not done again"
    printed = capsys.readouterr().out
    report = json.loads(record.read_text())
    assert page.read_text() == f"# Page\n\n{START}\n\n{printed.strip()}\n\n{END}\n\nend\n"
    assert report["budget"] == {"config": "tiny-stage2", "steps": STEPS, "batch": 1, "frames": 4}
    digests = set()
    for name, (_, without) in VARIANTS.items():
        model = tmp_path / "ablation" / name / "training" / "model"
        conditions = read_settings(model).conditions
        on = {
            "flow": conditions.use_flow,
            "depth": conditions.use_depth,
            "reference_pose": conditions.use_reference_pose,
        }
        assert {key for key, value in on.items() if not value} == set(without)
        values = report["variants"][name]["values"]
        assert 0 <= values["held-out"]["order_errors"] <= 1
        assert values["held-out"]["l1_characters"] > 0
        assert values["misaligned"]["lpips_characters"] > 0
        digests.add(report["variants"][name]["checkpoint_sha256"])
    assert len(digests) == len(VARIANTS)
    assert [(row["variant"], row["clips"], row["metric"]) for row in report["claims"]] == list(CLAIMS)
    for row in report["claims"]:
        without, full = row["values"]
        assert row["difference"] == pytest.approx(without - full)
    assert "| w/o Optical Flow | 34.35 | 178.48 |" in printed

    saved = last_checkpoint(tmp_path / "ablation" / "full" / "training")
    assert saved is not None
    assert saved.step == STEPS
    with pytest.raises(SystemExit):
        main([*arguments, "--steps", str(STEPS + 1)])
    assert f"was trained with steps={STEPS}, not {STEPS + 1}; give another --out" in capsys.readouterr().err


def test_the_commands_can_be_started_elsewhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main([*arguments, "--commands", "--launch", "accelerate launch --num_processes 2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(VARIANTS)
    assert all(line.startswith("accelerate launch --num_processes 2 -m fypv2.cli train tiny-stage2 ") for line in lines)
    assert "'without=[flow]'" in lines[0]
    assert "'without=[]'" in lines[-1]


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--out", "somewhere"])
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (2, "")
    assert "needs --data, --start, --steps" in printed.err


def document() -> dict[str, Any]:
    """What a record holds, with numbers that are easy to find."""
    values = {"held-out": {"fvd": 1.5, "order_errors": 0.25}, "misaligned": {"l1_characters": 0.125}}
    rows = [
        {"variant": variant, "clips": clips, "metric": metric, "difference": 0.01 * k, "interval": [-0.5, 0.5],
         "p_value": 0.2, "p_holm": 0.8, "wins": [1, 2, 3], "reason": None}
        for k, (variant, clips, metric) in enumerate(CLAIMS)
    ]  # fmt: skip
    rows[1] |= {"interval": None, "p_value": None, "p_holm": None, "wins": None, "reason": "too few clips"}
    return {
        "schema": "mcbench.ablation/1", "model": "tiny", "start_sha256": "f" * 64, "seed": 1, "protocol": "mcbench@1",
        "budget": {"config": "tiny-stage2", "steps": 9, "batch": 2, "frames": 16}, "overlaps": 7,
        "clips": {where: {"name": where, "clips": 8, "frames": 48} for where in ("held-out", "misaligned")},
        "variants": {name: {"paper": paper, "values": values} for name, (paper, _) in VARIANTS.items()},
        "claims": rows,
    }  # fmt: skip


def test_the_tables_stand_beside_the_paper_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = markdown(document())
    assert [line.split(" | ")[0] for line in text.splitlines() if " | " in line][1:5] == [
        *("| w/o Optical Flow", "| w/o Ref. Pose", "| w/o Depth", "| Ours")
    ]
    assert "| w/o Optical Flow | 34.35 | 178.48 | – | 1.5 | – | – | – | 0.25 | 0.125 | – |" in text
    assert "| Ours | 14.30 | 117.81 |" in text
    assert "| w/o Optical Flow | held-out | `background_motion` | 0 | -0.5 to 0.5 | 0.2 | 0.8 | 1, 2, 3 |" in text
    assert "| w/o Depth | held-out | `order_errors` | 0.01 | – | – | – | – |" in text
    assert "too few clips." in text
    (tmp_path / "record.json").write_text(json.dumps(document()))
    main(["--show", str(tmp_path / "record.json")])
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize("content", ["nothing", f"{END} {START}", f"{START} {START} {END}", f"{END} {START} {END}"])
def test_a_page_without_its_marks_stays_as_it_is(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(UserError, match="two marks"):
        put_into(page, "text")
    assert page.read_text() == content


def test_a_signal_reaches_the_training_and_waits_for_its_checkpoint(tmp_path: Path) -> None:
    """A program that takes a moment to leave: it is told, and waited for."""
    ready, left = tmp_path / "ready", tmp_path / "left"
    program = (
        "import pathlib, signal, sys, time\n"
        f"def leave(*_): time.sleep(0.5); pathlib.Path({str(left)!r}).touch(); sys.exit(7)\n"
        f"signal.signal(signal.SIGTERM, leave); pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )

    def tell() -> None:
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    teller = threading.Thread(target=tell)
    teller.start()
    assert ablation.run([sys.executable, "-c", program]) == 7
    teller.join()
    assert left.exists()
    assert signal.getsignal(signal.SIGTERM) is before
