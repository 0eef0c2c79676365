"""The judgement on held-out clips, with networks that take no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_out import ROWS, compare_runs, held_out_set, main
from PIL import Image

from mcbench import training_clips

CLIPS, FRAMES = 2, 5


@pytest.fixture
def arguments(tmp_path: Path, mini_stage1: Path) -> list[str]:
    words = ["--out", str(tmp_path / "judged"), "--checkpoint", str(mini_stage1), "--set", "steps=1", "--size", "64"]
    return [*words, "--clips", str(CLIPS), "--frames", str(FRAMES), "--step", "1", "--device", "cpu"]


@pytest.mark.slow
def test_a_model_is_judged_beside_the_truth(
    arguments: list[str], tmp_path: Path, fake_networks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The truth has no error in any row, the order's among them, and the table says so."""
    main([*arguments, "--against", "truth", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "judged" / "held_out.json").read_text())
    assert report["methods"] == ["fypv2", "truth"]
    assert report["note"] is None
    assert report["overlaps"] > 0
    rows = {row["metric"]: row for row in report["rows"]}
    pairwise = ("l1_characters", "lpips_characters", "background_motion", "order_errors")
    assert set(pairwise) <= set(rows) <= set(ROWS)
    for name in pairwise:
        assert rows[name]["values"][1] == 0
        assert rows[name]["difference"] >= 0
        assert rows[name]["p_value"] is None  # two clips are too few to conclude anything
    assert rows["l1_characters"]["wins"] == [0, CLIPS, 0]
    text = (tmp_path / "judged" / "held_out.md").read_text()
    assert "`order_errors`" in text
    assert "nothing can be concluded from 2 videos" in text
    sheet = np.asarray(Image.open(tmp_path / "judged" / "contact_sheet.png"))
    assert sheet.shape[0] > CLIPS * 64
    assert sheet.shape[1] > 10 * 64

    made = sorted((tmp_path / "judged" / "fypv2" / "predictions").rglob("*.png"))
    before = [file.stat().st_mtime_ns for file in made]
    main([*arguments, "--against", "truth"])
    assert "| `order_errors` |" in capsys.readouterr().out
    assert [file.stat().st_mtime_ns for file in made] == before, "a clip that was made is not made again"


def test_held_out_clips_are_new_and_the_camera_is_still(tmp_path: Path) -> None:
    dataset, specs = held_out_set(tmp_path, 1, CLIPS, 3, 64)
    assert not {spec.seed for spec in specs.values()} & {spec.seed for spec in training_clips(0, 2000)}
    for clip in dataset.clips:
        assert clip.annotations is not None
        assert np.array_equal(clip.annotations.background_motion, np.tile(np.eye(2, 3), (3, 1, 1)))
        assert clip.source.size == (64, 64)
    again, _ = held_out_set(tmp_path, 1, CLIPS, 3, 64)
    assert [clip.source.digest() for clip in again.clips] == [clip.source.digest() for clip in dataset.clips]


@pytest.mark.parametrize(
    ("words", "said"), [(["--seed", "0"], "stream of the training"), (["--dataset", "tiktok"], "is not drawn here")]
)
def test_what_cannot_be_held_out_is_refused(
    arguments: list[str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, *words])
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (2, "")
    assert said in printed.err


def test_orders_are_compared_clip_by_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight clips with ten overlaps each: three wrong against one, everywhere; and one clip without any."""

    class Nothing:
        pairs = ()

    monkeypatch.setattr("held_out.compare_results", lambda runs, protocols: Nothing)
    shares = {"a": 3, "b": 1}
    monkeypatch.setattr("held_out.values_of", lambda run, orders: {"order_errors": shares[run.name] / 10})
    orders = [{**{f"clip-{k}": (wrong, 10) for k in range(8)}, "clip-8": (0, 0)} for wrong in shares.values()]
    (row,) = compare_runs(Path("a"), Path("b"), *orders)
    assert row["metric"] == "order_errors"
    assert row["difference"] == pytest.approx(0.2)
    assert row["interval"] == pytest.approx([0.2, 0.2])
    assert row["wins"] == [0, 8, 0]
    assert row["p_value"] == row["p_holm"] == pytest.approx(2 / 2**8)
