"""From a run folder to a submission: complete, checked, and never over somebody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from submission_runs import MINI, measurement, write_run

from mcbench.datasets.synthetic import clip_specs
from mcbench.errors import ResultError
from mcbench.measurement import read_measurement
from mcbench.metrics.frechet import frechet_distance
from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix
from mcbench.results import read_result
from mcbench.submissions import load_submission, make_submission, verify, write_submission
from mcbench.submissions.schema import Reproduction


def make(run: Path, tmp_path: Path, **more: Any) -> Any:
    return make_submission(run, tmp_path / "submissions", authors=["Jane Doe"], license="none", **more)


def edit(run: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    document = json.loads((run / "result.json").read_text())
    change(document)
    (run / "result.json").write_text(json.dumps(document))
    return run


class TestWhole:
    def test_the_result_is_embedded_whole(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run")
        submission = make(run, tmp_path)
        path = write_submission(submission, tmp_path / "submissions")
        assert path == tmp_path / "submissions" / "synthetic-mini" / "my-method.json"
        assert load_submission(path) == submission
        assert submission.result == read_result(run)
        assert verify(path).findings == ()
        assert make(run / "result.json", tmp_path).content_sha256 == submission.content_sha256

    def test_values_without_one_clip_are_those_of_the_others(self, tmp_path: Path) -> None:
        """Against the plain definition: the distance of the data set without that clip."""
        run = write_run(tmp_path / "run")
        left_out = make(run, tmp_path).left_out["mcbench@1"]
        items = [read_measurement(run / "measurements" / f"{name}.safetensors") for name in MINI]
        for clip in MINI:
            others = [item for item in items if item is not None and item.clip != clip]
            assert len(others) == 3
            pairs = [(item.arrays["inception/prediction"], item.arrays["inception/truth"]) for item in others]
            x, y = [x for x, _ in pairs], [y for _, y in pairs]
            assert left_out["fid"].values[clip] == pytest.approx(
                frechet_distance(np.concatenate(x), np.concatenate(y)), rel=1e-6
            )
            sides = [(item.windows("i3d", "prediction", 16), item.windows("i3d", "truth", 16)) for item in others]
            h = pair_matrix([x for x, _ in sides], [y for _, y in sides])
            assert left_out["kvd"].values[clip] == pytest.approx(kernel_distance(h), rel=1e-9)

    def test_a_quick_look_in_the_same_folder_is_told_apart(self, tmp_path: Path) -> None:
        """A shorter case of a clip lies beside it under a longer name; or the other way round."""
        run = write_run(tmp_path / "run")
        expected = make(run, tmp_path)
        measurements = run / "measurements"
        (measurements / "mini-00.safetensors").rename(measurements / "mini-00.0123abcd.safetensors")
        measurement("mini-00", 5, "0" * 64, "random@1", 1.0).write(measurements / "mini-00.safetensors")
        assert make(run, tmp_path) == expected

    def test_the_lengths_that_are_checked_are_those_of_the_card(self) -> None:
        assert {spec.name: spec.frames for spec in clip_specs("synthetic-mini")} == dict.fromkeys(MINI, 24)


class TestRefusals:
    @pytest.mark.parametrize(
        ("made", "message"),
        [
            ({"clips": 3}, "1 of 4 clips are missing: mini-03"),
            ({"frames": 17}, "clip 'mini-00' has 17 of 24 frames"),
            ({"about": {"git_dirty": True}}, "the checkout had changes that are in no commit"),
            ({"about": {"git_dirty": None}}, "not known whether the checkout had changes"),
            ({"kind": "custom"}, "custom weights are on no board"),
            ({"dataset": "tiktok"}, "random@1 weights have no board on tiktok"),
            ({"method": "My_Method"}, "'My_Method'"),
            ({"about": {"device": "<b>GPU</b>"}}, "holds markup"),
            ({"about": {"command": "mcbench eval --out 'a\nb'"}}, "control or invisible character U+000A"),
        ],
    )
    def test_what_no_board_takes(self, tmp_path: Path, made: dict[str, Any], message: str) -> None:
        run = write_run(tmp_path / "run", **made)
        with pytest.raises(ResultError) as caught:
            make(run, tmp_path)
        assert message in str(caught.value)
        assert str(caught.value).isprintable()
        assert not (tmp_path / "submissions").exists()

    @pytest.mark.parametrize("kind", ["published"])
    def test_published_weights_have_a_board_on_drawn_sets(self, tmp_path: Path, kind: str) -> None:
        submission = make(write_run(tmp_path / "run", kind=kind), tmp_path)
        assert verify(write_submission(submission, tmp_path / "submissions")).ok

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d["dataset"].update(fingerprint="0" * 64), "not the data set's frames"),
            (lambda d: d["protocols"]["mcbench@1"]["metrics"]["fvd"].update(value=1.0), "by its measurements"),
            (lambda d: d["protocols"]["mcbench@1"]["metrics"]["kvd"].update(value=1e-3), "by its measurements"),
            (lambda d: d["protocols"]["mcbench@1"]["metrics"]["psnr"].update(value=20.0), "not the mean of its clips"),
            (lambda d: d["protocols"]["mcbench@1"]["clips"]["mini-01"].update(psnr=99.0), "are another run's"),
            (lambda d: d["predictions"].update(digest="0" * 64), "its predictions are not those in"),
        ],
    )
    def test_an_edited_result(self, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
        run = edit(write_run(tmp_path / "run"), change)
        with pytest.raises(ResultError, match=message):
            make(run, tmp_path)

    def test_a_result_without_its_measurements(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run")
        (run / "measurements" / "mini-02.safetensors").unlink()
        with pytest.raises(ResultError, match="'mini-02' are missing; run the same command again"):
            make(run, tmp_path)
        (run / "measurements" / "mini-02.safetensors").write_bytes(b"of an older format")
        with pytest.raises(ResultError, match="'mini-02' are damaged or of another version of mcbench; run the same"):
            make(run, tmp_path)

    def test_the_first_fault_is_told_and_the_others_counted(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run", clips=3, about={"git_dirty": True})
        with pytest.raises(ResultError, match=r"git_dirty: measured by changed code: .* \([1-9] more such faults?\)"):
            make(run, tmp_path)


class TestWriting:
    def test_another_submission_is_never_written_over(self, tmp_path: Path) -> None:
        folder = tmp_path / "submissions"
        first = make(write_run(tmp_path / "one"), tmp_path)
        path = write_submission(first, folder)
        before = path.read_bytes()
        assert write_submission(first, folder) == path
        second = make(write_run(tmp_path / "two", seed=1), tmp_path)
        with pytest.raises(ResultError, match="holds another submission by Jane Doe; --replace it if it is yours"):
            write_submission(second, folder)
        assert path.read_bytes() == before
        write_submission(second, folder, overwrite=True)
        assert load_submission(path) == second

    def test_who_reproduced_it_survives_that_it_is_submitted_again(self, tmp_path: Path) -> None:
        folder = tmp_path / "submissions"
        submission = make(write_run(tmp_path / "run"), tmp_path)
        path = write_submission(submission, folder)
        record = Reproduction(
            by="Mary Major",
            date="2026-01-01",
            mcbench="0.1.0",
            device="cpu",
            largest_difference=0.0,
            content_sha256=submission.content_sha256,
        )
        path.write_text(submission.model_copy(update={"reproduced": (record,)}).to_json())
        for overwrite in (False, True):
            write_submission(submission, folder, overwrite=overwrite)
            assert load_submission(path).reproduced == (record,)

    def test_a_file_that_was_changed_by_hand_is_not_taken_for_the_same(self, tmp_path: Path) -> None:
        folder = tmp_path / "submissions"
        submission = make(write_run(tmp_path / "run"), tmp_path)
        path = write_submission(submission, folder)
        path.write_text(submission.to_json().replace("Jane Doe", "Jane Roe"))
        with pytest.raises(ResultError, match="holds another submission by Jane Roe"):
            write_submission(submission, folder)
        write_submission(submission, folder, overwrite=True)
        assert load_submission(path) == submission

    def test_nothing_is_written_through_a_link(self, tmp_path: Path) -> None:
        submission = make(write_run(tmp_path / "run"), tmp_path)
        target = tmp_path / "precious"
        target.write_text("precious")
        (tmp_path / "submissions" / "synthetic-mini").mkdir(parents=True)
        (tmp_path / "submissions" / "synthetic-mini" / "my-method.json").symlink_to(target)
        with pytest.raises(ResultError, match="symbolic link"):
            write_submission(submission, tmp_path / "submissions", overwrite=True)
        assert target.read_text() == "precious"

    def test_the_same_predictions_under_another_name(self, tmp_path: Path) -> None:
        write_submission(make(write_run(tmp_path / "one"), tmp_path), tmp_path / "submissions")
        with pytest.raises(ResultError, match=r"my-method\.json has the same predictions"):
            make(write_run(tmp_path / "two", "another"), tmp_path)
