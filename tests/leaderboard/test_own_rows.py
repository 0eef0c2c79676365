"""Which results may stand beside the paper's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paper_results import make_result, sha, write_run

from mcbench.datasets.imported import split_folder
from mcbench.datasets.manifest import ClipEntry, make_manifest, write_manifest
from mcbench.datasets.source import SOURCE
from mcbench.errors import ResultError
from mcbench.leaderboard.own import read_own_results
from mcbench.leaderboard.paper import read_paper_table
from mcbench.results import Result


def read(tmp_path: Path, *results: Result, table: str = "tiktok") -> list[Any]:
    paths = [write_run(tmp_path / f"run-{index}", result) for index, result in enumerate(results, start=1)]
    return read_own_results(paths, read_paper_table(table))


def refused(tmp_path: Path, *results: Result, table: str = "tiktok") -> str:
    with pytest.raises(ResultError) as fault:
        read(tmp_path, *results, table=table)
    told = str(fault.value)
    assert "\n" not in told
    assert "run-" in told
    return told


class TestTaken:
    @pytest.mark.parametrize(
        ("table", "dataset"),
        [
            ("tiktok", "tiktok"),
            ("ablation", "tiktok"),
            ("ted-talks", "ted-talks"),
            ("multi-character", "multi-character"),
        ],
    )
    def test_a_whole_result_on_the_tables_data_set(self, tmp_path: Path, table: str, dataset: str) -> None:
        (own,) = read(tmp_path, make_result(dataset), table=table)
        assert (own.label, own.result.dataset.name) == ("my-method", dataset)

    def test_the_file_or_its_folder(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run", make_result())
        (own,) = read_own_results([run / "result.json"], read_paper_table("tiktok"))
        assert own == read_own_results([run], read_paper_table("tiktok"))[0]

    def test_the_hash_is_that_of_the_file(self, tmp_path: Path) -> None:
        (own,) = read(tmp_path, make_result())
        assert own.sha256 == sha((tmp_path / "run-1/result.json").read_text(encoding="utf-8"))

    def test_a_star_for_what_saw_the_truth(self, tmp_path: Path) -> None:
        assert [own.label for own in read(tmp_path, make_result(name="truth", needs_truth=True))] == ["truth*"]

    def test_no_two_rows_have_one_name(self, tmp_path: Path) -> None:
        first, second = make_result(values={"fid": 1.0}), make_result(values={"fid": 2.0})
        labels = [own.label for own in read(tmp_path, first, second, make_result(name="other"))]
        assert labels == ["my-method (run-1)", "my-method (run-2)", "other"]
        assert [own.label for own in read(tmp_path, make_result(name="Ours"))] == ["Ours (run-1)"]

    def test_runs_of_one_name_in_folders_of_one_name(self, tmp_path: Path) -> None:
        paths = [
            write_run(tmp_path / place / "run", make_result(values={"fid": fid}))
            for place, fid in (("a", 1.0), ("b", 2.0))
        ]
        own = read_own_results(paths, read_paper_table("tiktok"))
        assert [item.label for item in own] == ["my-method (run)", "my-method (run, 2)"]

    def test_a_version_without_a_split(self, tmp_path: Path) -> None:
        assert read(tmp_path, make_result(version="1"))


class TestRefused:
    def test_another_data_set(self, tmp_path: Path) -> None:
        told = refused(tmp_path, make_result("ted-talks"))
        assert "measured on 'ted-talks', Table 1 stands on 'tiktok'" in told
        assert "Table 4 (ablation) stands on 'tiktok'" in refused(tmp_path, make_result("ted-talks"), table="ablation")

    def test_another_split(self, tmp_path: Path) -> None:
        assert "split '335-340' of tiktok" in refused(tmp_path, make_result(version="1/335-340"))

    def test_no_numbers_under_the_protocol(self, tmp_path: Path) -> None:
        told = refused(tmp_path, make_result(protocols=("mcbench@1",)))
        assert "--protocol disco-legacy@1" in told

    @pytest.mark.parametrize(
        ("dataset", "clips", "frames", "part"),
        [
            ("tiktok", 3, 60, "3 clips of 10"),
            ("multi-character", 19, 3917, "19 clips of 20"),
            ("multi-character", 20, 3916, "3916 frames of 3917"),
        ],
    )
    def test_a_part_of_the_data_set(self, tmp_path: Path, dataset: str, clips: int, frames: int, part: str) -> None:
        told = refused(tmp_path, make_result(dataset, clips=clips, frames=frames), table=dataset)
        assert f"a part of {dataset} only ({part})" in told

    def test_fewer_scores_than_clips_or_frames(self, tmp_path: Path) -> None:
        whole = make_result()
        for name, value, part in (("clips", 11, "10 clips have scores"), ("frames", 2001, "2000 frames have scores")):
            dataset = whole.dataset.model_copy(update={name: value})
            assert part in refused(tmp_path, whole.model_copy(update={"dataset": dataset}))

    @pytest.mark.parametrize("option", ["--frames 16", "--frames=16", "--clips 10"])
    def test_cut_short_where_nobody_ever_counted_the_frames(self, tmp_path: Path, option: str) -> None:
        told = refused(tmp_path, make_result(command=f"mcbench eval --method my-method {option}"))
        assert f"it was made with {option[:7].strip('= ')}" in told

    def test_what_was_imported_here_tells_more_than_the_command(self, tmp_path: Path) -> None:
        folder = split_folder("tiktok", "new10val")
        folder.mkdir(parents=True)
        entries = [
            ClipEntry(name=f"c{index}", frames=200, fps=30.0, size=(8, 8), reference_frame=0, sha256=sha(str(index)))
            for index in range(10)
        ]
        write_manifest(make_manifest("tiktok", "1", "new10val", entries), folder)
        (folder / SOURCE).write_text("{}", encoding="utf-8")
        assert read(tmp_path, make_result(frames=2000, command="mcbench eval --frames 9999"))
        assert "10 clips and 160 frames, 10 and 2000 were imported here" in refused(tmp_path, make_result(frames=160))

    def test_other_frames_than_the_result_before(self, tmp_path: Path) -> None:
        told = refused(tmp_path, make_result(), make_result(name="other", fingerprint="another copy"))
        assert "not comparable: fingerprints" in told

    def test_one_result_twice(self, tmp_path: Path) -> None:
        assert "the same result as" in refused(tmp_path, make_result(), make_result())

    def test_no_result(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match="no such result"):
            read_own_results([tmp_path / "run-9"], read_paper_table("tiktok"))
