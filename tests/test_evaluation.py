"""All clips: resume, sharing, and what bad predictions get, with networks that take no time."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from pydantic import BaseModel, ConfigDict

from mcbench.datasets import open_truth
from mcbench.errors import DatasetError, MethodError, PredictionError, ResultError, UsageError, VideoError
from mcbench.evaluation import evaluate, resolve_device, resolve_weights, score
from mcbench.measure import measure_clip
from mcbench.methods import Case, Method
from mcbench.protocol import DISCO_LEGACY, MCBENCH
from mcbench.results import Result, read_result
from mcbench.video import open_frames, write_frames
from mcbench.workers import this_worker

pytestmark = pytest.mark.usefixtures("fake_networks")


def without_times(result: Result | None) -> dict[str, Any]:
    assert result is not None
    document = json.loads(result.to_json())
    for field in ("start", "seconds"):
        document["provenance"].pop(field)
    return document  # type: ignore[no-any-return]


class Dimmer(Method):
    """Returns the reference, darker and darker; counts the clips that it was asked for."""

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        step: int = 2

    name: ClassVar[str] = "dimmer"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "for tests"
    asked: ClassVar[list[str]] = []

    def animate(self, case: Case) -> Iterator[np.ndarray]:
        assert case.truth is None
        self.asked.append(case.clip)
        for index in range(case.frames):
            yield np.clip(case.reference.astype(int) - index * self.settings.step, 0, 255).astype(np.uint8)  # type: ignore[attr-defined]


@pytest.fixture
def dimmer() -> Dimmer:
    Dimmer.asked = []
    return Dimmer(Dimmer.Settings())


class TestScore:
    def test_every_number_is_there_and_finite(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth", 3), clip_folders("predictions", 3, noise=20)
        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert set(result.protocols) == {"disco-legacy@1", "mcbench@1"}
        for protocol in result.protocols.values():
            for name, metric in protocol.metrics.items():
                assert metric.value is not None, name
                assert metric.videos == 3
                assert (metric.interval is None) == (name not in ("psnr", "ssim", "lpips", "l1"))
                assert (metric.interval is None) == (metric.interval_reason is not None)
        legacy, own = result.protocols["disco-legacy@1"], result.protocols["mcbench@1"]
        assert (legacy.metrics["l1"].frames, own.metrics["l1"].frames) == (54, 51)
        assert (legacy.metrics["fvd"].windows, own.metrics["fvd"].windows) == (9, 3)
        assert (own.metrics["fid"].frames, own.metrics["kid"].frames) == (54, 54)
        assert result.predictions.container == "png"
        assert result.predictions.size == (64, 64)
        assert result == read_result(tmp_path / "run")

    def test_pooling_follows_the_protocol(self, tmp_path: Path) -> None:
        # Two clips of unequal length and constant errors 10 and 40: frames pool to 20, videos to 25.
        for name, frames, error in (("long", 20, 10), ("short", 10, 40)):
            write_frames(tmp_path / "truth" / name, [np.full((512, 512, 3), 100, np.uint8)] * frames)
            write_frames(tmp_path / "predictions" / name, [np.full((512, 512, 3), 100 + error, np.uint8)] * frames)
        result = score(
            tmp_path / "predictions", open_truth(tmp_path / "truth"), out=tmp_path / "run", weights="random@1"
        )
        assert result is not None
        legacy, own = result.protocols["disco-legacy@1"].metrics["l1"], result.protocols["mcbench@1"].metrics["l1"]
        assert legacy.value == pytest.approx(20 / 512**2, rel=1e-12)
        assert own.value == pytest.approx(25 / 255, rel=1e-12)

    def test_short_clips_have_pairwise_metrics_and_say_why_windows_are_null(
        self, clip_folders: Callable[..., Path], tmp_path: Path
    ) -> None:
        truth, predictions = clip_folders("truth", 2, 15), clip_folders("predictions", 2, 15, noise=9)
        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert result is not None
        for protocol in result.protocols.values():
            assert protocol.metrics["psnr"].value is not None
            for name in ("fid_vid", "fvd"):
                metric = protocol.metrics[name]
                assert (metric.value, metric.windows, metric.reason) == (
                    None,
                    0,
                    "no clip has the 16 frames of a window",
                )

    def test_a_second_run_measures_nothing_again(
        self, clip_folders: Callable[..., Path], tmp_path: Path, fake_networks: dict[str, Any]
    ) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        first = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        fake_networks.clear()
        second = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert without_times(first) == without_times(second)
        assert not fake_networks

    def test_a_changed_prediction_is_measured_again(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        first = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        other = predictions / "b" / "00004.png"
        Image.new("RGB", (64, 64)).save(other)
        second = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert first is not None
        assert second is not None
        before, after = (item.protocols["mcbench@1"].clips for item in (first, second))
        assert before["a"] == after["a"]
        assert before["b"] != after["b"]
        assert first.predictions.digest != second.predictions.digest

    def test_other_weights_are_measured_again(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        first = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        second = score(predictions, open_truth(truth), out=tmp_path / "run", weights="published")
        assert first is not None
        assert second is not None
        hashes = [item.protocols["mcbench@1"].metrics["fid"].weights_sha256 for item in (first, second)]
        assert hashes[0] != hashes[1]

    def test_one_protocol_then_both(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        own = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1", protocols=[MCBENCH])
        both = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        legacy = score(
            predictions, open_truth(truth), out=tmp_path / "run", weights="random@1", protocols=[DISCO_LEGACY]
        )
        assert own is not None
        assert both is not None
        assert legacy is not None
        assert own.protocols["mcbench@1"].clips == both.protocols["mcbench@1"].clips
        assert legacy.protocols["disco-legacy@1"] == both.protocols["disco-legacy@1"]

    def test_missing_clips_are_named_before_anything_is_measured(
        self, clip_folders: Callable[..., Path], tmp_path: Path
    ) -> None:
        truth, predictions = clip_folders("truth", 3), clip_folders("predictions", 3)
        shutil.move(predictions / "b", predictions / "bb")
        with pytest.raises(PredictionError, match="1 of 3 clips are missing: b"):
            score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert not (tmp_path / "run").exists()

    def test_extra_clips_are_a_warning(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth", 2), clip_folders("predictions", 3)
        said: list[str] = []

        class Listener:
            def start(self, total: int) -> None: ...
            def advance(self, frames: int, what: str) -> None: ...
            def warn(self, text: str) -> None:
                said.append(text)

        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1", reporter=Listener())
        assert result is not None
        assert result.dataset.clips == 2
        assert len(said) == 1
        assert said[0].endswith("not in the data set, left out: c")

    def test_a_frame_that_does_not_decode_keeps_the_other_clips(
        self, clip_folders: Callable[..., Path], tmp_path: Path, fake_networks: dict[str, Any]
    ) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        good = (predictions / "b" / "00003.png").read_bytes()
        (predictions / "b" / "00003.png").write_bytes(good[:99])
        with pytest.raises(VideoError, match=r"b/00003\.png: this frame does not decode"):
            score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert not (tmp_path / "run" / "result.json").exists()
        (predictions / "b" / "00003.png").write_bytes(good)
        fake_networks.clear()
        assert score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1") is not None
        assert sum(fake_networks["vgg16"].calls) == 36  # clip b alone

    def test_a_folder_of_another_run_is_refused(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, one, two = clip_folders("truth"), clip_folders("one", noise=3), clip_folders("two", noise=9)
        first = score(one, open_truth(truth), out=tmp_path / "run", weights="random@1")
        with pytest.raises(ResultError, match="holds a run with predictions"):
            score(two, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert read_result(tmp_path / "run") == first

    def test_another_truth_in_the_same_folder_is_refused(
        self, clip_folders: Callable[..., Path], tmp_path: Path
    ) -> None:
        predictions = clip_folders("predictions", noise=3)
        first = score(predictions, open_truth(clip_folders("one")), out=tmp_path / "run", weights="random@1")
        with pytest.raises(ResultError, match="holds a run with truth"):
            score(predictions, open_truth(clip_folders("two", noise=9)), out=tmp_path / "run", weights="random@1")
        assert read_result(tmp_path / "run") == first

    def test_protocols_one_after_the_other_measure_nothing_twice(
        self, clip_folders: Callable[..., Path], tmp_path: Path, fake_networks: dict[str, Any]
    ) -> None:
        truth, predictions = clip_folders("truth", 1), clip_folders("predictions", 1, noise=9)
        for protocol in (DISCO_LEGACY, MCBENCH):
            score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1", protocols=[protocol])
        fake_networks.clear()
        score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1", protocols=[DISCO_LEGACY])
        assert not fake_networks

    def test_clip_names_stay_in_the_folder(self, clip_folders: Callable[..., Path]) -> None:
        clip = open_truth(clip_folders("truth", 1)).clips[0]
        for name in ("../../evil", "a/b", "", ".hidden", "..", "nul\0"):
            with pytest.raises(DatasetError, match="must be a file name"):
                replace(clip, name=name)
        with pytest.raises(DatasetError, match="counted from 0"):
            replace(clip, reference_frame=-1)
        with pytest.raises(DatasetError, match="either a reference frame or a reference image"):
            replace(clip, reference_frame=None)

    def test_videos_and_folders_mix(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        from mcbench.video import write_video

        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=2)
        frames = list(open_frames(predictions / "b").read())
        shutil.rmtree(predictions / "b")
        write_video(predictions / "b.mp4", frames, 25, crf=10)
        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert (result.predictions.container, result.predictions.fps) == ("mp4/png", None)


class TestEvaluate:
    def test_resumes_clip_by_clip(self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer) -> None:
        data = open_truth(clip_folders("truth", 3))
        first = evaluate(dimmer, data, out=tmp_path / "run", weights="random@1")
        assert dimmer.asked == ["a", "b", "c"]
        # As after a crash: one clip has neither frames nor measurement, one has frames only, and there is no result.
        shutil.rmtree(tmp_path / "run" / "predictions" / "b")
        for name in ("b", "c"):
            (tmp_path / "run" / "measurements" / f"{name}.safetensors").unlink()
        (tmp_path / "run" / "result.json").unlink()
        second = evaluate(dimmer, data, out=tmp_path / "run", weights="random@1")
        assert dimmer.asked == ["a", "b", "c", "b"]
        assert without_times(first) == without_times(second)

    def test_a_quick_look_destroys_nothing(
        self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer
    ) -> None:
        data = open_truth(clip_folders("truth", 2))
        whole = evaluate(dimmer, data, out=tmp_path / "run", weights="random@1")
        quick = replace(data, clips=tuple(replace(clip, frames=3) for clip in data.clips[:1]))
        look = evaluate(dimmer, quick, out=tmp_path / "run", weights="random@1")
        assert look is not None
        assert (look.dataset.clips, look.dataset.frames) == (1, 3)
        assert len(list((tmp_path / "run" / "predictions" / "a").iterdir())) == 18
        again = evaluate(dimmer, data, out=tmp_path / "run", weights="random@1")
        assert without_times(again) == without_times(whole)
        assert dimmer.asked == ["a", "b", "a"]

    def test_another_truth_of_the_same_name_is_generated_anew(
        self, clip_folders: Callable[..., Path], tmp_path: Path
    ) -> None:
        for name, noise in (("one", 0), ("two", 40)):
            result = evaluate("truth", open_truth(clip_folders(name, 2, noise=noise)), out=tmp_path / "run")
            assert result is not None
            assert result.protocols["mcbench@1"].metrics["psnr"].value == 100

    @pytest.mark.parametrize("fault", [OSError("no network"), ValueError("bad"), SystemExit(3)])
    def test_a_method_that_fails_is_one_line_that_names_it(
        self, clip_folders: Callable[..., Path], tmp_path: Path, fault: BaseException
    ) -> None:
        class Failing(Dimmer):
            name: ClassVar[str] = "failing"

            def animate(self, case: Case) -> Iterator[np.ndarray]:
                yield case.reference
                raise fault

        data = open_truth(clip_folders("truth", 1))
        with pytest.raises(MethodError, match=rf"method 'failing', clip 'a': {type(fault).__name__}: {fault}"):
            evaluate(Failing(Failing.Settings()), data, out=tmp_path / "run", weights="random@1")

    def test_settings_stand_in_the_result_and_guard_the_folder(
        self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer
    ) -> None:
        data = open_truth(clip_folders("truth", 2))
        result = evaluate(dimmer, data, out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert result.method.settings == {"step": 2}
        with pytest.raises(ResultError, match="holds a run with settings"):
            evaluate(Dimmer(Dimmer.Settings(step=5)), data, out=tmp_path / "run", weights="random@1")

    @pytest.mark.parametrize(
        ("frames", "message"),
        [
            (lambda case: [case.reference] * (case.frames - 1), "17 frames, 18 were asked for"),
            (lambda case: [case.reference] * (case.frames + 1), "more than the 18 frames"),
            (lambda case: [case.reference.astype(float)] * case.frames, "not a uint8 array"),
            (lambda case: [case.reference, case.reference[:-1]], "frame 1 is 64 x 63"),
        ],
    )
    def test_a_method_that_returns_something_else(
        self, clip_folders: Callable[..., Path], tmp_path: Path, frames: Any, message: str
    ) -> None:
        class Wrong(Dimmer):
            name: ClassVar[str] = "wrong"

            def animate(self, case: Case) -> Any:
                return iter(frames(case))

        with pytest.raises(MethodError, match=message):
            evaluate(
                Wrong(Wrong.Settings()), open_truth(clip_folders("truth", 1)), out=tmp_path / "run", weights="random@1"
            )
        assert not (tmp_path / "run" / "predictions" / "a").exists()

    def test_only_who_declares_it_sees_the_truth(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        data = open_truth(clip_folders("truth", 2))
        result = evaluate("truth", data, out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert result.method.needs_truth
        own = result.protocols["mcbench@1"].metrics
        assert own["psnr"].value == 100
        assert own["ssim"].value == pytest.approx(1, abs=1e-12)
        for name in ("lpips", "l1", "fid", "fid_vid", "fvd", "kid", "kvd"):
            assert own[name].value == 0, name

    def test_only_the_first_process_keeps_measurements(
        self,
        clip_folders: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fake_networks: dict[str, Any],
    ) -> None:
        kept: dict[int, list[bool]] = {}
        measured: list[Any] = []
        measure: Any = measure_clip

        def watched(*arguments: Any) -> Any:
            kept.setdefault(this_worker().index, []).extend(item() is not None for item in measured[-1:])
            made = measure(*arguments)
            measured.append(weakref.ref(made))
            return made

        monkeypatch.setattr("mcbench.evaluation.measure_clip", watched)
        truth, predictions = clip_folders("truth", 3, 2), clip_folders("predictions", 3, 2, noise=9)
        for index in (0, 1):
            measured.clear()
            monkeypatch.setenv("RANK", str(index))
            monkeypatch.setenv("WORLD_SIZE", "2")
            score(predictions, open_truth(truth), out=tmp_path / str(index), weights="random@1")
        assert kept == {0: [True, True], 1: [False, False]}

    def test_two_processes_give_what_one_gives(
        self, clip_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dimmer: Dimmer
    ) -> None:
        truth = clip_folders("truth", 5)
        alone = evaluate(dimmer, open_truth(truth), out=tmp_path / "alone", weights="random@1")

        def worker(rank: int) -> None:
            os.environ.update(RANK=str(rank), WORLD_SIZE="2")
            result = evaluate(Dimmer(Dimmer.Settings()), open_truth(truth), out=tmp_path / "shared", weights="random@1")
            os._exit(0 if (result is not None) == (rank == 0) else 1)

        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=worker, args=(rank,)) for rank in (1, 0)]
        for process in workers:
            process.start()
        for process in workers:
            process.join(120)
        assert [process.exitcode for process in workers] == [0, 0]
        assert without_times(read_result(tmp_path / "shared")) == without_times(alone)

    def test_a_method_that_changes_the_working_directory(
        self, clip_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Wanders(Dimmer):
            def animate(self, case: Case) -> Iterator[np.ndarray]:
                os.chdir("/")
                yield from super().animate(case)

        monkeypatch.chdir(tmp_path)
        evaluate(Wanders(Wanders.Settings()), open_truth(clip_folders("truth", 2, 3)), out=Path("here"), weights="x")
        assert read_result(tmp_path / "here").dataset.clips == 2

    def test_a_name_too_long_for_its_files_is_told_before_work_begins(
        self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer
    ) -> None:
        truth = clip_folders("truth", 1, 3)
        (truth / "a").rename(truth / ("ü" * 101))
        with pytest.raises(UsageError, match="a name of 202 bytes; rename it, 200 at most"):
            evaluate(dimmer, open_truth(truth), out=tmp_path / "run", weights="random@1")
        (truth / ("ü" * 101)).rename(truth / ("ü" * 100))
        assert evaluate(dimmer, open_truth(truth), out=tmp_path / "run", weights="random@1") is not None

    def test_a_split_half_that_is_missing_says_why(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth", 2), clip_folders("predictions", 2, noise=9)
        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert result is not None
        for id, protocol in result.protocols.items():
            for name, metric in protocol.metrics.items():
                is_missing = (id, name) in {("mcbench@1", "fid_vid"), ("mcbench@1", "fvd")}
                assert (metric.split_half_reason is not None) == is_missing, (id, name)
                assert (metric.split_half is not None) == (name in ("fid", "fid_vid", "fvd") and not is_missing)


class TestChoices:
    def test_weights(self, clip_folders: Callable[..., Path]) -> None:
        custom = open_truth(clip_folders("truth", 1))
        assert set(resolve_weights(None, custom).values()) == {"published"}
        assert resolve_weights({"i3d": "random@1"}, custom)["i3d"] == "random@1"
        with pytest.raises(UsageError, match="did you mean 'i3d'"):
            resolve_weights({"i3": "random@1"}, custom)

    def test_device(self) -> None:
        assert resolve_device("cpu") == "cpu"
        with pytest.raises(UsageError, match="no device is called"):
            resolve_device("gpu")


class TestCasesTogether:
    """What a method that makes several clips at once is told, and how it shares them with other processes."""

    def test_it_is_told_what_has_no_frames_yet(
        self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        truth = open_truth(clip_folders("truth", 3, 2))
        told: list[list[tuple[str, str]]] = []

        def expect(cases: Any) -> None:
            self.cases = cases

        def animate(case: Case) -> Iterator[np.ndarray]:
            told.append([(other.clip, other.folder.relative_to(tmp_path).as_posix()) for other in self.cases])  # type: ignore[union-attr]
            yield from [case.reference] * case.frames

        monkeypatch.setattr(dimmer, "expect", expect)
        monkeypatch.setattr(dimmer, "animate", animate)
        evaluate(dimmer, truth, out=tmp_path / "run", weights="random@1")
        # The clip that is being asked for is claimed, and so not among those that are expected.
        assert told == [[("b", "run/work/b"), ("c", "run/work/c")], [("c", "run/work/c")], []]

    def test_a_clip_that_another_process_makes_along_with_its_own_comes_later(
        self, clip_folders: Callable[..., Path], tmp_path: Path, dimmer: Dimmer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        truth = open_truth(clip_folders("truth", 3, 2))
        (tmp_path / "run" / "work").mkdir(parents=True)
        other = FileLock(tmp_path / "run" / "work" / ".a.lock")
        other.acquire()
        plain = dimmer.animate

        def animate(case: Case) -> Iterator[np.ndarray]:
            other.release()
            yield from plain(case)

        monkeypatch.setattr(dimmer, "animate", animate)
        evaluate(dimmer, truth, out=tmp_path / "run", weights="random@1")
        assert dimmer.asked == ["b", "c", "a"]

    def test_settings_that_do_not_decide_the_frames_may_change(
        self, clip_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        truth = open_truth(clip_folders("truth", 1, 2))
        evaluate(Dimmer(Dimmer.Settings(step=1)), truth, out=tmp_path / "run", weights="random@1")
        with pytest.raises(ResultError, match="holds a run with settings"):
            evaluate(Dimmer(Dimmer.Settings(step=2)), truth, out=tmp_path / "run", weights="random@1")
        monkeypatch.setattr(Dimmer, "incidental", frozenset({"step"}))
        for step in (1, 2):
            run = tmp_path / "other"
            result = evaluate(Dimmer(Dimmer.Settings(step=step)), truth, out=run, weights="random@1")
            assert result is not None
            assert result.method.settings == {"step": step}
