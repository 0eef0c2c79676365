"""Boards: what shares a column, who is best, and who has no place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from site_entries import made_entry, made_result

from mcbench.leaderboard.paper import read_paper_table, read_paper_tables
from mcbench.protocol import PROTOCOLS
from mcbench.site import Entry, Score, boards_of
from mcbench.site.collect import entries_of_paper
from mcbench.site.downloads import board_document


def entry_with(name: str, value: float | None, *, metric: str = "fvd", **changes: object) -> Entry:
    entry = made_entry(made_result(name))
    scores = {"mcbench@1": {metric: Score(value, "-" if value is None else f"{value:.2f}")}}
    return replace(entry, scores=scores, weights={"mcbench@1": "published"}, **changes)  # type: ignore[arg-type]


def marks_of(*entries: Entry) -> dict[str, str]:
    [board] = boards_of(entries)
    return {row.entry.name: mark for row in board.rows for mark in row.marks.values()}


def test_protocols_data_sets_and_weights_never_share_a_board() -> None:
    entries = [
        made_entry(made_result("a")),
        made_entry(made_result("a", dataset="tiktok")),
        made_entry(made_result("a", dataset="synthetic-mini", weights="random@1")),
        made_entry(made_result("b", dataset="synthetic-mini", weights="published")),
    ]
    boards = boards_of(entries)
    keys = [(board.name, board.protocol, board.weights) for board in boards]
    assert len(keys) == len(set(keys)) == 8
    assert all(len(board.rows) == 1 for board in boards)
    assert [board.metrics for board in boards if board.protocol == "mcbench@1"] == [PROTOCOLS["mcbench@1"].metrics] * 4
    assert not {"kid", "kvd"} & {metric for b in boards if b.protocol == "disco-legacy@1" for metric in b.metrics}


@pytest.mark.parametrize(
    ("dataset", "weights"),
    [("multi-character", "random@1"), ("synthetic-looking", "random@1"), ("synthetic-mini", "custom")],
)
def test_weights_that_compare_with_nobody_stand_on_no_board(dataset: str, weights: str) -> None:
    assert boards_of([made_entry(made_result("a", dataset=dataset, weights=weights))]) == []


@pytest.mark.parametrize(("metric", "best"), [("fvd", "low"), ("kvd", "low"), ("ssim", "high"), ("psnr", "high")])
def test_best_and_second_follow_the_metric(metric: str, best: str) -> None:
    values = {"low": 0.1, "middle": 0.5, "high": 0.9}
    marks = marks_of(*(entry_with(name, value, metric=metric) for name, value in values.items()))
    assert marks == {best: "best", "middle": "second"}


def test_whoever_saw_the_truth_has_no_place() -> None:
    marks = marks_of(entry_with("oracle", 1.0, starred=True), entry_with("a", 2.0), entry_with("b", 3.0))
    assert marks == {"a": "best", "b": "second"}


def test_other_frames_are_other_data() -> None:
    entries = [made_entry(made_result(name, seed=seed)) for seed, name in enumerate("ab")]
    lucky = made_entry(made_result("c", seed=2, fingerprint="00" * 32))
    for board in boards_of([lucky, *entries]):
        rows = {row.entry.name: row for row in board.rows}
        assert rows["c"].other_copy
        assert not rows["c"].competes
        assert rows["c"].marks == {}
        assert board.fingerprint == "ab" * 32
        assert set(rows["a"].marks) | set(rows["b"].marks) == set(board.metrics)


def test_what_cannot_be_told_from_the_best_is_marked() -> None:
    """Scores by clip from a generator: one method a little behind the best, one far."""
    noise = np.random.default_rng(0).normal(size=(3, 20))
    entries = []
    for name, mean, own in zip(("best", "near", "far"), (20.0, 19.95, 15.0), noise, strict=True):
        result = made_result(name)
        protocol = result.protocols["mcbench@1"]
        values = mean + 0.3 * (own - own.mean())
        clips = {
            clip: scores.model_copy(update={"psnr": float(value)})
            for (clip, scores), value in zip(protocol.clips.items(), values, strict=True)
        }
        others = {
            name: metric.model_copy(update={"value": {"ssim": 0.75, "lpips": 0.28, "l1": 0.09}[name]})
            for name, metric in protocol.metrics.items()
            if name in ("ssim", "lpips", "l1")
        }
        psnr = protocol.metrics["psnr"].model_copy(update={"value": float(values.mean())})
        changed = protocol.model_copy(update={"metrics": {**protocol.metrics, **others, "psnr": psnr}, "clips": clips})
        entries.append(made_entry(result.model_copy(update={"protocols": {"mcbench@1": changed}})))
    [board] = boards_of(entries)
    tied = {row.entry.name: "psnr" in row.tied for row in board.rows}
    marks = {row.entry.name: row.marks.get("psnr", "") for row in board.rows}
    assert marks == {"best": "best", "near": "second", "far": ""}
    assert tied == {"best": False, "near": True, "far": False}
    document = {row["name"]: row["metrics"]["psnr"]["tied"] for row in board_document(board)["rows"]}
    assert document == tied


def test_rows_are_sorted_by_fvd_and_those_without_come_last() -> None:
    entries = [entry_with("none", None), entry_with("worse", 9.0), entry_with("better", 2.0), entry_with("also", 2.0)]
    [board] = boards_of(entries)
    assert board.headline == "fvd"
    assert [row.entry.name for row in board.rows] == ["also", "better", "worse", "none"]


def test_the_papers_boards_have_its_own_best() -> None:
    """Table 3, typed from the paper: Ours is best in every metric; the second best as printed."""
    boards = boards_of([entry for table in read_paper_tables() for entry in entries_of_paper(table)])
    assert [board.name for board in boards] == ["tiktok", "ted-talks", "multi-character", "ablation"]
    assert {board.dataset for board in boards} == {"tiktok", "ted-talks", "multi-character"}
    table_3 = boards[2]
    rows = {row.entry.name: row for row in table_3.rows}
    assert {metric: score.text for metric, score in rows["Ours"].scores.items()} == {
        "fid": "26.95",
        "ssim": "0.830",
        "psnr": "31.86",
        "fid_vid": "14.56",
        "fvd": "142.76",
    }
    assert set(rows["Ours"].marks.values()) == {"best"}
    assert rows["MagicAnime"].marks["fvd"] == "second"
    starred = {row.entry.name for row in boards[1].rows if row.entry.starred}
    assert starred == {"MRAA*", "TPSMM*"}
    assert not [row for row in boards[1].rows if row.entry.starred and row.marks]


def test_a_number_in_another_unit_is_shown_without_a_place() -> None:
    """Table 1 prints four values of L1 that fit frames of 256 x 256."""
    [board] = boards_of(entries_of_paper(read_paper_table("tiktok")))
    odd = [row for row in board.rows if "l1" in row.scores and not row.scores["l1"].comparable]
    assert {row.entry.name for row in odd} == {"MRAA", "TPSMM", "DreamPose", "MagicAnimate"}
    assert not [row for row in odd if "l1" in row.marks]
    assert all(row.scores["l1"].text != "-" and row.scores["l1"].remark for row in odd)
