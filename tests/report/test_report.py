"""What a report holds, what it says is missing, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from mcbench.cli import main
from mcbench.errors import ResultError, UsageError
from mcbench.report import Report, write_report
from mcbench.report.sources import find_predictions, find_truth, open_runs
from mcbench.report.tables import clip_table, rank_metric, summary_table
from mcbench.results import read_result

Maker = Callable[..., list[Path]]


@pytest.fixture
def runs(make_runs: Maker) -> list[Path]:
    return make_runs({"slight": 10.0, "strong": 50.0}, frames=4)


def edit(run: Path, **changes: Any) -> None:
    """Change parts of a result file, by their path with `__` between the names."""
    file = run / "result.json"
    document = json.loads(file.read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    file.write_text(json.dumps(document))


def text_of(page: Path) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8"))).split())


class TestWhole:
    def test_pages_files_and_links(self, runs: list[Path], tmp_path: Path) -> None:
        report = write_report(runs, tmp_path / "report")
        folder = report.index.parent
        assert report == Report(folder / "index.html", ("slight", "strong"), 2, report.size, ())
        assert report.size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for page in (folder / "index.html", folder / "clips" / "001.html", folder / "clips" / "002.html"):
            text = page.read_text(encoding="utf-8")
            links = re.findall(r'(?:href|src)="([^"#]+)', text)
            assert len(links) > 5
            for link in links:
                assert link == "data:," or (page.parent / link).resolve().is_file(), link
            assert not re.search(r"https?://", re.sub(r'xmlns="[^"]*"', "", text))

    def test_the_numbers_are_the_results(self, runs: list[Path], tmp_path: Path) -> None:
        text = (write_report(runs, tmp_path / "report").index).read_text(encoding="utf-8")
        for run in runs:
            result = read_result(run)
            for protocol in result.protocols.values():
                for metric in protocol.metrics.values():
                    assert f'data-value="{metric.value if metric.value is not None else ""}"' in text

    def test_the_results_go_with_it(self, runs: list[Path], tmp_path: Path) -> None:
        folder = write_report(runs, tmp_path / "report").index.parent
        for index, run in enumerate(runs, 1):
            assert read_result(folder / "results" / f"{index}.json") == read_result(run)

    def test_notes_stand_wherever_the_numbers_are(self, runs: list[Path], tmp_path: Path) -> None:
        edit(runs[0], method__note="it was never trained", method__needs_truth=True)
        folder = write_report(runs, tmp_path / "report").index.parent
        for page in (folder / "index.html", folder / "clips" / "001.html"):
            text = text_of(page)
            assert "it was never trained" in text
            assert "slight*" in text
            assert "* was shown the truth" in text

    def test_an_older_report_is_replaced_and_nothing_else(self, runs: list[Path], tmp_path: Path) -> None:
        write_report(runs, tmp_path / "report")
        (tmp_path / "report" / "clips" / "009.html").write_text("of a longer report")
        write_report(runs[:1], tmp_path / "report")
        assert not (tmp_path / "report" / "clips" / "009.html").exists()
        for place in (tmp_path / "truth", runs[0], runs[0] / "result.json"):
            with pytest.raises(ResultError, match="is there and is no report"):
                write_report(runs, place)
        assert read_result(runs[0])
        assert [entry.name for entry in tmp_path.iterdir() if ".report-" in entry.name] == []

    @pytest.mark.parametrize("name", ["notes.txt", ".git/config", "clips/mine/001.html", "results/mine.json"])
    def test_what_others_put_beside_a_report_is_kept(self, runs: list[Path], tmp_path: Path, name: str) -> None:
        file = write_report(runs, tmp_path / "report").index.parent / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("work of a week")
        with pytest.raises(ResultError, match=f"holds '{name}', which is no part of a report and would be lost"):
            write_report(runs, tmp_path / "report")
        assert file.read_text() == "work of a week"

    def test_a_protocol_is_never_named_for_the_frames_of_another(self, runs: list[Path], tmp_path: Path) -> None:
        for run, gone in zip(runs, ("disco-legacy@1", "mcbench@1"), strict=True):
            document = json.loads((run / "result.json").read_text())
            del document["protocols"][gone]
            (run / "result.json").write_text(json.dumps(document))
        text = text_of(write_report(runs, tmp_path / "report").index)
        assert "slight by SSIM under mcbench@1" in text
        assert "strong by SSIM under disco-legacy@1" in text

    def test_bold_is_explained_only_where_something_is_bold(self, runs: list[Path], tmp_path: Path) -> None:
        assert "Bold: best" in text_of(write_report(runs, tmp_path / "report").index)
        edit(runs[0], method__needs_truth=True)
        assert "Bold: best" not in text_of(write_report(runs, tmp_path / "report").index)

    def test_a_video_keeps_below_its_limit(self, runs: list[Path], tmp_path: Path) -> None:
        folder = write_report(runs, tmp_path / "report", megabytes=0.05).index.parent
        assert all(file.stat().st_size <= 50_000 for file in (folder / "videos").iterdir())


class TestMissing:
    def test_frames_that_are_gone(self, runs: list[Path], tmp_path: Path) -> None:
        shutil.rmtree(tmp_path / "made" / "slight")
        report = write_report(runs, tmp_path / "report")
        assert len(report.missing) == 1
        assert report.missing[0].startswith("slight: The frames are not at hand")
        page = report.index.parent / "clips" / "001.html"
        assert "The frames are not at hand" in text_of(page)
        assert re.findall(r'data-tile="(\w+)"', page.read_text()) == ["truth", "1"]
        assert page.read_text().count("<path") == 16

    def test_truth_that_is_gone_and_where_it_is_now(self, runs: list[Path], tmp_path: Path) -> None:
        (tmp_path / "truth").rename(tmp_path / "moved")
        report = write_report(runs, tmp_path / "report")
        assert "give the folder of the truths with --truth DIR" in report.missing[0]
        page = (report.index.parent / "clips" / "001.html").read_text()
        assert re.findall(r'data-tile="(\w+)"', page) == ["0", "1"]
        assert 'id="difference"' not in page
        assert write_report(runs, tmp_path / "report", truth=tmp_path / "moved").missing == ()

    def test_only_the_result_is_left(self, runs: list[Path], tmp_path: Path) -> None:
        alone = tmp_path / "elsewhere" / "result.json"
        alone.parent.mkdir()
        shutil.copy(runs[0] / "result.json", alone)
        report = write_report([alone, runs[1]], tmp_path / "report")
        assert len(report.missing) == 1
        assert "no measurement" in report.missing[0]
        report = write_report([alone], tmp_path / "report")
        text = text_of(report.index.parent / "clips" / "001.html")
        assert "no frame of this clip is at hand" in text
        assert f"{read_result(alone).protocols['mcbench@1'].clips['one'].ssim:.3f}" in text

    def test_frames_that_changed_are_not_shown_as_if_they_were_measured(self, runs: list[Path], tmp_path: Path) -> None:
        first, second = (tmp_path / "made" / "slight" / "two" / f"{index:05d}.png" for index in (1, 2))
        shutil.copy(second, first)
        opened = open_runs(runs)
        assert sorted(find_predictions(opened[0])) == ["one"]
        assert "'two': other frames now than were measured" in opened[0].missing[0]

    def test_the_same_frames_written_anew_are_shown(self, runs: list[Path], tmp_path: Path) -> None:
        """Other bytes, the same pixels: told by the digest of the decoded frames."""
        from PIL import Image

        for file in (tmp_path / "made" / "slight" / "one").iterdir():
            Image.open(file).save(file, compress_level=9)
        assert sorted(find_predictions(open_runs(runs)[0])) == ["one", "two"]

    def test_a_measurement_of_another_run_gives_no_curve(self, runs: list[Path]) -> None:
        shutil.copytree(runs[1] / "measurements", runs[0] / "measurements", dirs_exist_ok=True)
        opened = open_runs(runs)
        assert opened[0].traces == {}
        assert "measurements of another run" in opened[0].missing[0]

    def test_measurements_that_cannot_be_read_are_not_called_missing(self, runs: list[Path]) -> None:
        for file in (runs[0] / "measurements").iterdir():
            file.write_bytes(file.read_bytes()[:-1])
        opened = open_runs(runs)
        assert "measurements that are damaged or of another version of mcbench" in opened[0].missing[0]

    def test_a_measurement_under_other_weights_gives_no_curve(self, runs: list[Path]) -> None:
        edit(runs[0], **{"protocols__mcbench@1__metrics__lpips__weights_sha256": "a" * 64})
        opened = open_runs(runs)
        assert opened[0].traces == {}
        assert sorted(opened[1].traces) == ["one", "two"]
        assert "measurements of another run" in opened[0].missing[0]

    @pytest.mark.parametrize(
        "about",
        ['{"kind": "score", "truth": "a\\u0000b", "predictions": "c\\u0000d"}', '{"truth": ["a"]}', "[" * 100_000],
    )
    def test_a_run_file_that_means_nothing_is_no_fault(self, runs: list[Path], tmp_path: Path, about: str) -> None:
        for run in runs:
            (run / "run.json").write_text(about)
        assert "Where the truths lie is not written down" in write_report(runs, tmp_path / "report").missing[0]

    def test_another_truth_is_refused_clip_by_clip(self, runs: list[Path], tmp_path: Path) -> None:
        shutil.copytree(tmp_path / "truth", tmp_path / "other")
        shutil.copy(tmp_path / "other" / "two" / "00002.png", tmp_path / "other" / "two" / "00001.png")
        clips, missing = find_truth(open_runs(runs), tmp_path / "other")
        assert sorted(clips) == ["one"]
        assert missing is not None
        assert "'two': other frames in the truth than were measured" in missing


class TestRefused:
    def test_other_data_sets(self, runs: list[Path], tmp_path: Path) -> None:
        edit(runs[1], dataset__fingerprint="0" * 64)
        with pytest.raises(ResultError, match=f"^{runs[0]} and {runs[1]}: not comparable"):
            write_report(runs, tmp_path / "report")
        assert not (tmp_path / "report").exists()

    def test_too_many(self, runs: list[Path], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="9 results; a report holds 1 to 8"):
            write_report([runs[0]] * 9, tmp_path / "report")

    def test_no_size(self, runs: list[Path], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="more than 0"):
            write_report(runs, tmp_path / "report", megabytes=0)


class TestTables:
    def test_weights_are_never_mixed_in_a_column(self, runs: list[Path]) -> None:
        edit(runs[1], **{
            f"protocols__mcbench@1__metrics__lpips__{key}": value
            for key, value in (("weights", "published"), ("weights_sha256", "a" * 64))
        })  # fmt: skip
        opened = open_runs(runs)
        table = summary_table(opened, "mcbench@1")
        places = [place for place, column in enumerate(table.columns) if column.metric == "lpips"]
        assert sorted(str(table.columns[place].kind) for place in places) == ["published", "random@1"]
        for row in table.rows:
            assert sum(row.cells[place].value is not None for place in places) == 1
            assert not any(row.cells[place].best for place in places)
        assert rank_metric(opened, "mcbench@1") == "ssim"

    def test_best_leaves_out_who_was_shown_the_truth(self, make_runs: Maker) -> None:
        runs = make_runs({"a": 0.0, "b": 20.0, "c": 50.0}, clips=("one",), frames=3)
        edit(runs[0], method__needs_truth=True)
        table = summary_table(open_runs(runs), "mcbench@1")
        psnr = next(place for place, column in enumerate(table.columns) if column.metric == "psnr")
        assert [row.cells[psnr].best for row in table.rows] == [False, True, False]

    def test_the_worst_clip_comes_first(self, runs: list[Path]) -> None:
        opened = open_runs(runs)
        table = clip_table(opened, "mcbench@1")
        place = next(index for index, column in enumerate(table.columns) if column.metric == "ssim")
        values = [row.cells[place].value for row in table.rows]
        assert values == sorted(values, key=lambda value: value or 0.0)
        assert len(values) == 4

    def test_one_name_twice_is_two_methods(self, runs: list[Path]) -> None:
        assert [run.label for run in open_runs([runs[0], runs[0], runs[1]])] == ["slight (1)", "slight (2)", "strong"]


class TestCommand:
    @pytest.fixture
    def command(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str, str]]:
        """Runs `mcbench report`: exit code, stdout, stderr."""
        for console in ("output", "errors"):
            monkeypatch.setattr(f"mcbench.cli.console.{console}._file", None)

        def run(*arguments: object) -> tuple[int, str, str]:
            monkeypatch.setattr(sys, "argv", ["mcbench", "report", *map(str, arguments)])
            with pytest.raises(SystemExit) as stop:
                main.main()
            captured = capsys.readouterr()
            return int(stop.value.code or 0), captured.out, captured.err

        return run

    def test_it_says_where_the_report_lies(
        self, command: Callable[..., tuple[int, str, str]], runs: list[Path], tmp_path: Path
    ) -> None:
        shutil.rmtree(tmp_path / "made" / "strong")
        code, out, error = command(*runs, "--out", tmp_path / "report")
        assert (code, out) == (0, f"{tmp_path / 'report' / 'index.html'}\n")
        assert "warning: strong: The frames are not at hand" in error
        code, out, error = command(*runs, "--out", tmp_path / "report", "--json")
        assert (code, error) == (0, "")
        document = json.loads(out)
        assert (document["methods"], document["clips"], len(document["missing"])) == (["slight", "strong"], 2, 1)
        assert document["bytes"] == sum(
            file.stat().st_size for file in (tmp_path / "report").rglob("*") if file.is_file()
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["{run}"], "--out"),
            (["--out", "{report}"], "RESULT"),
            (["nowhere", "--out", "{report}"], "nowhere: no such result"),
            (["{run}", "--out", "{truth}"], "is there and is no report; give another folder with --out"),
            (["{run}", "--out", "{report}", "--megabytes", "nan"], "must be more than 0"),
        ],
    )
    def test_faults_are_one_line(
        self,
        command: Callable[..., tuple[int, str, str]],
        make_runs: Maker,
        tmp_path: Path,
        arguments: list[str],
        message: str,
    ) -> None:
        (run,) = make_runs({"one": 5.0}, clips=("a",), frames=2)
        places = {"run": run, "report": tmp_path / "report", "truth": tmp_path / "truth"}
        code, out, error = command(*(argument.format(**places) for argument in arguments))
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert message in error
        assert not (tmp_path / "report").exists()
