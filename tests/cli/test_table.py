"""`mcbench table`: one document on stdout, one line for a fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcbench.cli import table

# The tests are no packages.
sys.path.append(str(Path(__file__).resolve().parents[1] / "leaderboard"))

from paper_results import make_result, write_run

Run = Callable[[str], tuple[int, str, str]]
KEYS = ["method", "fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"]


class TestFormats:
    @pytest.mark.parametrize("name", ["tiktok", "ted-talks", "multi-character", "ablation"])
    def test_json_is_a_list_of_rows(self, mcbench: Run, name: str) -> None:
        code, out, error = mcbench(f"table {name} --format json")
        assert (code, error) == (0, "")
        rows = json.loads(out)
        assert all(list(row) == KEYS for row in rows)
        assert rows[-1]["method"] == "Ours"
        assert mcbench(f"table {name} --json") == (0, out, "")
        assert mcbench(f"table {name} --json --format json") == (0, out, "")

    @pytest.mark.parametrize(
        ("format", "begins"),
        [("markdown", "| Method"), ("latex", "% mcbench"), ("csv", "method,fid,"), ("html", "<!DOCTYPE html>")],
    )
    def test_the_others(self, mcbench: Run, format: str, begins: str) -> None:
        code, out, error = mcbench(f"table tiktok --format {format}")
        assert (code, error) == (0, "")
        assert out.startswith(begins)
        assert "117.81" in out

    def test_markdown_is_the_default(self, mcbench: Run) -> None:
        assert mcbench("table ablation") == mcbench("table ablation --format markdown")

    def test_every_example_of_the_help_works(self, mcbench: Run) -> None:
        examples = [line[2:] for line in table.EXAMPLES.splitlines() if line.startswith("$ ")]
        assert examples
        for example in examples:
            program, _, arguments = example.partition(" ")
            assert program == "mcbench"
            code, out, error = mcbench(arguments)
            assert (code, error) == (0, ""), example
            assert out
        code, out, _ = mcbench("table --help")
        assert code == 0
        assert out.index("Examples:") > out.index("--format")


class TestOwnRows:
    def test_are_added_in_their_order(self, mcbench: Run, tmp_path: Path) -> None:
        write_run(tmp_path / "a", make_result(name="a", values={"fid": 20.5}))
        write_run(tmp_path / "b", make_result(name="b", needs_truth=True))
        code, out, error = mcbench("table tiktok --with a --with b/result.json --format json")
        assert (code, error) == (0, "")
        rows = json.loads(out)
        assert [row["method"] for row in rows[-3:]] == ["Ours", "a", "b*"]
        assert rows[-2]["fid"] == 20.5
        assert list(rows[-2])[:8] == KEYS

    def test_intervals(self, mcbench: Run, tmp_path: Path) -> None:
        write_run(tmp_path / "a", make_result())
        assert "[24.82, 27.43]" in mcbench("table tiktok --with a --intervals --format html")[1]
        assert "[24.82, 27.43]" not in mcbench("table tiktok --with a --format html")[1]

    def test_what_a_paired_test_cannot_tell_from_the_best_is_marked(self, mcbench: Run, tmp_path: Path) -> None:
        """The best is better on each clip, by one amount: ten signs tell, p = 2 / 2^10 in each metric."""
        write_run(tmp_path / "a", make_result(name="a", values={"ssim": 0.9, "lpips": 0.1}))
        write_run(tmp_path / "b", make_result(name="b", values={"ssim": 0.8, "lpips": 0.1000001, "fid": 1.0}))
        code, out, error = mcbench("table tiktok --with a --with b")
        assert (code, error) == (0, "")
        assert "0.800*≈" not in out  # told apart
        assert "**1.00**" in out
        assert "26.12≈" in out  # no measurements at hand, so that nothing can be concluded on FID
        assert "≈ cannot be told from the best" in out

    def test_what_cannot_be_compared_is_said_and_the_table_stands(self, mcbench: Run, tmp_path: Path) -> None:
        torn = make_result(name="b", values={"ssim": 0.8})
        legacy = torn.protocols["disco-legacy@1"]
        metrics = {**legacy.metrics, "ssim": legacy.metrics["ssim"].model_copy(update={"value": 0.7})}
        protocols = {**torn.protocols, "disco-legacy@1": legacy.model_copy(update={"metrics": metrics})}
        write_run(tmp_path / "a", make_result(name="a"))
        write_run(tmp_path / "b", torn.model_copy(update={"protocols": protocols}))
        code, out, error = mcbench("table tiktok --with a --with b")
        assert code == 0
        assert "| b " in out
        assert error.startswith("mcbench: warning: nothing is marked as equal to the best")

    def test_rows_that_are_not_ranked_are_not_compared(self, mcbench: Run, tmp_path: Path) -> None:
        write_run(tmp_path / "a", make_result(name="a"))
        write_run(tmp_path / "b", make_result(name="b", weights="random@1"))
        write_run(tmp_path / "c", make_result(name="c", needs_truth=True))
        code, _, error = mcbench("table tiktok --with a --with b --with c")
        assert (code, error) == (0, "")


class TestFaults:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("table", "TABLE"),
            ("table tik-tok", "did you mean 'tiktok'"),
            ("table tiktok --format text", "--format text: there are markdown, latex, csv, html, json"),
            ("table tiktok --format ltex", "did you mean 'latex'"),
            ("table tiktok --format csv --json", "contradict each other"),
            ("table tiktok --with nowhere", "no such result"),
            ("table tiktok --with ted", "measured on 'ted-talks', Table 1 stands on 'tiktok'"),
            ("table tiktok --with part", "a part of tiktok only (3 clips of 10)"),
            ("table tiktok --with ted part", "part"),
        ],
    )
    def test_one_line_exit_2_and_nothing_on_stdout(
        self, mcbench: Run, tmp_path: Path, arguments: str, message: str
    ) -> None:
        write_run(tmp_path / "ted", make_result("ted-talks"))
        write_run(tmp_path / "part", make_result(clips=3, frames=60))
        code, out, error = mcbench(arguments)
        assert (code, out) == (2, "")
        assert error.startswith("mcbench: error: ")
        assert error.count("\n") == 1
        assert message in error
