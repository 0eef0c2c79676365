"""The tidy frame, the boards and the ranks."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from paper_results import VALUES, make_result, sha

from mcbench.errors import ResultError, UsageError
from mcbench.leaderboard import COLUMNS, load, rank, wide
from mcbench.leaderboard.frame import frame_of, paper_records, result_records
from mcbench.leaderboard.paper import read_paper_tables

LEGACY, RIGHT = "disco-legacy@1", "mcbench@1"


@pytest.fixture
def paper() -> pd.DataFrame:
    return frame_of(record for table in read_paper_tables() for record in paper_records(table))


def of(*results: tuple[str, object]) -> pd.DataFrame:
    """Results as submissions, each under the label that stands for its file's hash."""
    return frame_of(
        record
        for label, result in results
        for record in result_records(result, source="submission", claim="claimed", sha256=sha(label))  # type: ignore[arg-type]
    )


def marks(frame: pd.DataFrame, board: str, metric: str) -> dict[str, str]:
    rows = frame[(frame["board"] == board) & (frame["metric"] == metric) & (frame["mark"] != "")]
    return dict(zip(rows["name"], rows["mark"], strict=True))


class TestTheFrame:
    def test_has_every_cell_of_the_paper(self, paper: pd.DataFrame) -> None:
        assert len(paper) == 9 * 7 + 9 * 7 + 5 * 5 + 4 * 5
        assert tuple(paper.columns) == COLUMNS
        assert paper["value"].isna().sum() == 3  # FID, L1 and FID-VID of AnimateAnyone
        assert set(paper["protocol"]) == {LEGACY}
        assert set(paper["source"]) == {"paper"}
        assert paper[["low", "high", "sha256", "fingerprint"]].isna().all(axis=None)

    def test_empty_text_is_missing_and_not_a_word(self, paper: pd.DataFrame) -> None:
        frame = pd.concat([paper, of(("a", make_result()))])
        for column in ("note", "remark", "weights", "sha256"):
            assert not frame[column].isin(["None", "nan", "<NA>", ""]).any()

    def test_types_are_the_same_with_and_without_results(self, paper: pd.DataFrame) -> None:
        assert (of(("a", make_result())).dtypes == paper.dtypes).all()
        assert (frame_of([]).dtypes == paper.dtypes).all()

    def test_a_result_has_all_its_protocols_apart(self) -> None:
        frame = of(("a", make_result(note="never trained", needs_truth=True)))
        assert dict(frame.groupby("protocol").size()) == {LEGACY: 7, RIGHT: 9}
        assert set(frame["name"]) == {"my-method*"}
        assert frame["starred"].all()
        assert set(frame["note"]) == {"never trained"}
        fvd = frame[(frame["metric"] == "fvd") & (frame["protocol"] == LEGACY)].iloc[0]
        assert (fvd["value"], fvd["low"], fvd["high"]) == (118.345, 118.345 * 0.95, 118.345 * 1.05)
        assert (fvd["text"], fvd["weights"]) == ("118.34", "published")

    def test_a_missing_number_has_its_reason(self) -> None:
        frame = of(("a", make_result(values={"fvd": None})))
        row = frame[frame["metric"] == "fvd"].iloc[0]
        assert pd.isna(row["value"])
        assert (row["text"], row["remark"]) == ("-", "no clip has the 16 frames of a window")

    def test_mixed_weights_are_custom(self) -> None:
        assert set(of(("a", make_result(weights="random@1")))["weights_set"]) == {"random@1"}
        result = make_result()
        metrics = dict(result.protocols[LEGACY].metrics)
        metrics["fvd"] = metrics["fvd"].model_copy(update={"weights": "random@1"})
        content = result.protocols[LEGACY].model_copy(update={"metrics": metrics})
        mixed = result.model_copy(update={"protocols": {LEGACY: content}})
        assert set(of(("a", mixed))["weights_set"]) == {"custom"}


class TestBoards:
    def test_wide_is_the_table(self, paper: pd.DataFrame) -> None:
        board = wide(paper, "ted-talks", LEGACY)
        assert list(board.columns) == ["fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"]
        assert list(board.index.get_level_values("name"))[:2] == ["MRAA*", "TPSMM*"]
        assert board.loc["TPSMM*"]["fid_vid"].item() == 9.04
        assert list(wide(paper, "ablation", LEGACY).columns) == ["fid", "ssim", "psnr", "fid_vid", "fvd"]

    def test_protocols_and_weights_never_meet(self, paper: pd.DataFrame) -> None:
        frame = pd.concat([paper, of(("a", make_result()), ("b", make_result(name="other", weights="random@1")))])
        assert list(wide(frame, "tiktok", LEGACY).index.get_level_values("name"))[-2:] == ["Ours", "my-method"]
        assert list(wide(frame, "tiktok", RIGHT).index.get_level_values("name")) == ["my-method"]
        assert list(wide(frame, "tiktok", LEGACY, weights="random@1").index.get_level_values("name")) == ["other"]
        assert wide(frame, "tiktok", RIGHT)["kid"].tolist() == [VALUES["kid"]]

    def test_two_results_of_one_name_are_two_rows(self) -> None:
        frame = of(("a", make_result(values={"fid": 1.0})), ("b", make_result(values={"fid": 2.0})))
        assert wide(frame, "tiktok", LEGACY)["fid"].tolist() == [1.0, 2.0]

    def test_faults(self, paper: pd.DataFrame) -> None:
        with pytest.raises(UsageError, match="no protocol is called 'mcbench'"):
            wide(paper, "tiktok", "mcbench")
        with pytest.raises(UsageError, match="no board 'tiktok' under mcbench@1"):
            wide(paper, "tiktok", RIGHT)


class TestRanks:
    def test_best_and_second_of_the_paper(self, paper: pd.DataFrame) -> None:
        """As the paper's text has it: best on SSIM, L1, FID-VID and FVD of TikTok, second best on FID and LPIPS."""
        ranked = rank(paper)
        for metric in ("ssim", "l1", "fid_vid", "fvd"):
            assert marks(ranked, "tiktok", metric)["Ours"] == "best"
        assert marks(ranked, "tiktok", "fid") == {"MagicPose": "best", "Ours": "second"}
        assert marks(ranked, "tiktok", "lpips") == {"MagicAnimate": "best", "Ours": "second"}
        assert marks(ranked, "tiktok", "fid_vid")["MagicAnimate"] == "second"
        assert marks(ranked, "tiktok", "fvd")["AnimateAnyone"] == "second"
        for metric in ("fid", "ssim", "lpips", "l1", "fid_vid", "fvd"):
            assert marks(ranked, "ted-talks", metric)["Ours"] == "best"
        assert "Ours" not in marks(ranked, "ted-talks", "psnr")
        for metric in ("fid", "ssim", "psnr", "fid_vid", "fvd"):
            assert marks(ranked, "multi-character", metric)["Ours"] == "best"
        assert marks(ranked, "ablation", "fid") == {"w/o Depth": "best", "Ours": "second"}

    def test_what_saw_the_truth_or_has_another_unit_has_no_rank(self, paper: pd.DataFrame) -> None:
        ranked = rank(paper)
        assert ranked.loc[ranked["starred"], "rank"].isna().all()
        assert ranked.loc[~ranked["comparable"], "rank"].isna().all()
        assert (~ranked["comparable"]).sum() == 4

    def test_equal_values_share_a_rank(self) -> None:
        results = [
            (label, make_result(name=label, values={"fid": fid}))
            for label, fid in zip("abcd", (2, 1, 1, 3), strict=True)
        ]
        ranked = rank(of(*results))
        fid = ranked[(ranked["metric"] == "fid") & (ranked["protocol"] == LEGACY)]
        assert fid["rank"].tolist() == [3, 1, 1, 4]
        assert fid["mark"].tolist() == ["", "best", "best", ""]

    def test_weights_compete_among_themselves_and_custom_ones_with_nobody(self) -> None:
        frame = of(
            ("a", make_result(name="a", values={"fvd": 5.0, "psnr": 20.0})),
            ("b", make_result(name="b", values={"fvd": 1.0, "psnr": 30.0}, weights="random@1")),
            ("c", make_result(name="c", values={"fvd": 0.1, "psnr": 25.0}, weights="custom")),
        )
        ranked = rank(frame)
        fvd = ranked[(ranked["metric"] == "fvd") & (ranked["protocol"] == LEGACY)]
        assert fvd["rank"].tolist()[:2] == [1, 1]
        assert pd.isna(fvd["rank"].iloc[2])
        psnr = ranked[(ranked["metric"] == "psnr") & (ranked["protocol"] == LEGACY)]
        assert psnr["rank"].tolist() == [3, 1, 2]

    def test_the_frame_that_was_given_stays_as_it_was(self, paper: pd.DataFrame) -> None:
        before = paper.copy()
        rank(paper)
        pd.testing.assert_frame_equal(paper, before)

    def test_what_cannot_be_told_from_the_best(self, paper: pd.DataFrame) -> None:
        asked: list[tuple[str, str, str, str]] = []

        def alike(protocol: str, claims: Sequence[tuple[Hashable, Hashable, str]]) -> list[bool]:
            asked.extend((str(best), str(other), protocol, metric) for best, other, metric in claims)
            return [other == sha("b") for _, other, _ in claims]

        good = {"fid": 10.0, "psnr": 20.0}
        frame = pd.concat(
            [
                paper,
                of(
                    ("a", make_result(name="a", values=good)),
                    ("b", make_result(name="b", values={"fid": 11.0, "psnr": 19.0})),
                    ("c", make_result(name="c", values={"fid": 12.0, "psnr": 18.0})),
                ),
            ],
            ignore_index=True,
        )
        ranked = rank(frame, alike)
        tied = ranked[ranked["tied"]]
        assert set(tied["name"]) == {"b"}
        assert (LEGACY, "fid") in set(zip(tied["protocol"], tied["metric"], strict=True))
        assert {best for best, _, _, _ in asked} == {sha("a")}
        # The paper's Ours is best in PSNR under the old protocol, and nothing can be tested against it.
        assert not [one for one in asked if one[2:] == (LEGACY, "psnr")]
        assert [one for one in asked if one[2:] == (RIGHT, "psnr")]


class TestLoading:
    def test_the_paper_and_what_ships(self) -> None:
        frame = load()
        assert list(dict.fromkeys(frame["board"]))[:4] == ["tiktok", "ted-talks", "multi-character", "ablation"]
        assert set(frame["source"]) <= {"paper", "submission"}

    def test_a_damaged_submission_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "tiktok").mkdir()
        (tmp_path / "tiktok" / "mine.json").write_text(json.dumps({"schema": "mcbench.submission/1"}), "utf-8")
        with pytest.raises(ResultError, match=r"mine\.json"):
            load(tmp_path)

    def test_no_submissions_are_the_paper_alone(self, tmp_path: Path, paper: pd.DataFrame) -> None:
        pd.testing.assert_frame_equal(load(tmp_path), paper)
