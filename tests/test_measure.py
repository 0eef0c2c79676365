"""One clip to a measurement: what goes through the networks, in which windows, and what the cache keeps."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mcbench
from mcbench.datasets.base import Clip
from mcbench.errors import PredictionError, ResultError, VideoError, WeightsError
from mcbench.features import FeatureCache, Networks, SideReader
from mcbench.geometry import to_square
from mcbench.measure import BLOCK, measure_clip
from mcbench.measurement import Measurement, Plan, read_measurement
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.protocol import DISCO_LEGACY, MCBENCH
from mcbench.video import open_frames, write_frames

BOTH = Plan.of([DISCO_LEGACY, MCBENCH])
SMALL = replace(BOTH, size=32)
WEIGHTS = dict.fromkeys(("inception", "vgg16", "alexnet", "r3d50", "i3d"), "random@1")


def clip_of(path: Path, **changes: Any) -> Clip:
    source = open_frames(path)
    return replace(Clip(name=path.name, source=source, frames=source.frames, fps=25.0), **changes)


def measure(truth: Path, prediction: Path, cache: Path, plan: Plan = BOTH, **changes: Any) -> Measurement:
    return measure_clip(
        clip_of(truth, **changes), open_frames(prediction), plan, Networks(WEIGHTS), FeatureCache(cache)
    )


class TestPlan:
    def test_both_protocols_from_one_pass(self) -> None:
        assert BOTH.window_stride == 1
        assert set(BOTH.pairwise) == {"absolute_error", "psnr", "psnr_wrapped", "ssim_gaussian", "ssim_uniform"}
        assert BOTH.lpips == (("alexnet", True), ("vgg16", False))

    def test_covers(self) -> None:
        legacy, own = Plan.of([DISCO_LEGACY]), Plan.of([MCBENCH])
        assert BOTH.covers(legacy)
        assert BOTH.covers(own)
        assert not legacy.covers(own)
        assert not own.covers(BOTH)


class TestMeasureClip:
    @pytest.mark.parametrize("frames", [1, 15, 16, 17, 31, 32, 33, 47, 64, 70])
    def test_windows_do_not_depend_on_blocks(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path, frames: int
    ) -> None:
        truth, prediction = clip_folders("truth", 1, frames), clip_folders("prediction", 1, frames, noise=30)
        item = measure(truth / "a", prediction / "a", tmp_path / "cache")
        squares = np.stack([to_square(frame, 512) for frame in open_frames(prediction / "a").read()])
        network = fake_networks.get("i3d")
        assert len(item.windows("i3d", "prediction", 1)) == max(0, frames - 15)
        assert len(item.windows("i3d", "truth", 16)) == frames // 16
        for start in range(max(0, frames - 15)):
            window = network.prepare(squares[start : start + 16])[None]  # type: ignore[union-attr]
            expected = network.features(window)[0].numpy()  # type: ignore[union-attr]
            assert np.allclose(item.windows("i3d", "prediction", 1)[start], expected)

    def test_pairwise_scores_are_those_of_the_pure_functions(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, prediction = clip_folders("truth", 1, 35), clip_folders("prediction", 1, 35, noise=30)
        item = measure(truth / "a", prediction / "a", tmp_path / "cache")
        t = np.stack([to_square(frame, 512) for frame in open_frames(truth / "a").read()])
        p = np.stack([to_square(frame, 512) for frame in open_frames(prediction / "a").read()])
        assert np.array_equal(item.arrays["psnr"], psnr(p, t))
        assert np.array_equal(item.arrays["psnr_wrapped"], psnr_wrapped(p, t))
        assert item.arrays["lpips/alexnet"].shape == (35,)
        assert (item.arrays["lpips/alexnet"] > 0).all()

    def test_equal_frames_go_through_a_network_once(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth = clip_folders("truth", 1, 32)
        first = next(open_frames(truth / "a").read())
        write_frames(tmp_path / "still" / "a", [first] * 32)
        measure(truth / "a", tmp_path / "still" / "a", tmp_path / "cache")
        distinct = len({frame.tobytes() for frame in open_frames(truth / "a").read()})
        assert sum(fake_networks["inception"].calls) == distinct + 1
        assert sum(fake_networks["i3d"].calls) == 17 + 1
        # Each true frame that is not the reference, and the reference once.
        assert sum(fake_networks["vgg16"].calls) <= distinct
        assert sum(fake_networks["i3d"].prepared) == distinct + 1

    def test_the_truth_is_cached_by_content(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, prediction = clip_folders("truth", 1, 20), clip_folders("prediction", 1, 20, noise=9)
        first = measure(truth / "a", prediction / "a", tmp_path / "cache")
        (truth / "a").rename(tmp_path / "elsewhere")
        once = dict(fake_networks)
        second = measure(tmp_path / "elsewhere", prediction / "a", tmp_path / "cache")
        assert sum(fake_networks["i3d"].calls) == sum(once["i3d"].calls) - 5
        for name, values in first.arrays.items():
            assert np.array_equal(values, second.arrays[name])

    def test_the_truth_against_itself_is_exact(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth = clip_folders("truth", 1, 20)
        item = measure(truth / "a", truth / "a", tmp_path / "cache")
        for backbone in ("inception", "r3d50", "i3d"):
            assert np.array_equal(item.arrays[f"{backbone}/prediction"], item.arrays[f"{backbone}/truth"])
        assert not item.arrays["lpips/vgg16"].any()
        assert (item.arrays["psnr"] == 100).all()
        assert not fake_networks.get("vgg16") or not fake_networks["vgg16"].calls

    def test_a_damaged_cache_is_computed_again(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, prediction = clip_folders("truth", 1, 20), clip_folders("prediction", 1, 20, noise=9)
        first = measure(truth / "a", prediction / "a", tmp_path / "cache")
        for file in (tmp_path / "cache").rglob("*.safetensors"):
            file.write_bytes(file.read_bytes()[:40])
        second = measure(truth / "a", prediction / "a", tmp_path / "cache")
        assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)

    def test_counts_that_differ_are_both_named(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, fewer = clip_folders("truth", 1, 20), clip_folders("fewer", 1, 19)
        with pytest.raises(PredictionError, match=r"19 frames, fewer than the 20 of its truth"):
            measure(truth / "a", fewer / "a", tmp_path / "cache")
        with pytest.raises(PredictionError, match=r"20 frames, more than the 19 of its truth"):
            measure(fewer / "a", truth / "a", tmp_path / "cache")

    def test_another_aspect_ratio_is_refused(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, wide = clip_folders("truth", 1, 5), clip_folders("wide", 1, 5, size=(64, 80))
        with pytest.raises(VideoError, match="neither square nor"):
            measure(truth / "a", wide / "a", tmp_path / "cache")
        measure(wide / "a", truth / "a", tmp_path / "cache")  # a square prediction of a wide truth is cropped already

    def test_nan_features_are_an_error(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth = clip_folders("truth", 1, 3)
        networks = Networks(WEIGHTS)
        network = networks.get("inception")
        network.features = lambda frames: torch_nan(len(frames))  # type: ignore[method-assign, assignment]
        with pytest.raises(WeightsError, match="inception features hold NaN"):
            measure_clip(
                clip_of(truth / "a"), open_frames(truth / "a"), BOTH, networks, FeatureCache(tmp_path / "cache")
            )
        # What is wrong is not kept, so that a healthy network starts afresh.
        measure(truth / "a", truth / "a", tmp_path / "cache")


def torch_nan(count: int) -> Any:
    return torch.full((count, 6), float("nan"))


def readers() -> list[threading.Thread]:
    """Threads that read ahead, or that a pool has for reading."""
    return [
        thread for thread in threading.enumerate() if thread.name.startswith(("mcbench-reader", "ThreadPoolExecutor"))
    ]


@pytest.fixture
def three_threads() -> Iterator[None]:
    """For the networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 0], ids=["beside the networks", "between their passes"])
def spare(request: pytest.FixtureRequest, three_threads: None, monkeypatch: pytest.MonkeyPatch) -> int:
    """Processors that the networks leave idle, by which it is decided where clips are read."""
    monkeypatch.setattr("mcbench.measure.spare_processors", lambda threads: request.param)
    return int(request.param)


@dataclass
class Counted:
    """A source of small frames that counts how many of them are held at once, and may end early."""

    frames: int
    given: int
    conversions: set[str] = field(default_factory=set)
    container: str = "png"
    size: tuple[int, int] = (40, 40)
    fps: float | None = 25.0
    alive: int = 0
    most: int = 0

    def read(self) -> Iterator[np.ndarray]:
        for index in range(self.given):
            frame = np.full((*self.size, 3), index % 251, np.uint8)
            frame[0, 0] = self.container == "png", index // 251, 0
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(frame, self._gone)
            yield frame
            del frame

    def digest(self) -> str:
        return f"{self.container} {self.given}"

    def _gone(self) -> None:
        self.alive -= 1


class TestReading:
    def measure(self, truth: Any, prediction: Any, cache: Path, **changes: Any) -> Measurement:
        clip = Clip(name="a", source=truth, frames=truth.frames, fps=25.0)
        return measure_clip(clip, prediction, SMALL, Networks(WEIGHTS), FeatureCache(cache), **changes)

    def test_no_more_than_a_block_of_decoded_frames_is_held(
        self, fake_networks: dict[str, Any], spare: int, tmp_path: Path
    ) -> None:
        truth, prediction = Counted(200, 200), Counted(200, 200, container="jpg")
        item = self.measure(truth, prediction, tmp_path / "cache")
        assert item.frames == 200
        assert len(item.windows("i3d", "truth", 1)) == 185
        for source in (truth, prediction):
            # A thread of a pool holds its frame until it takes the next one.
            assert BLOCK <= source.most <= BLOCK + (1 if spare else 3)
            assert source.alive == 0

    def test_a_frame_that_does_not_decode_is_its_own_line(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], spare: int, tmp_path: Path
    ) -> None:
        truth, torn = clip_folders("truth", 1, 70), clip_folders("torn", 1, 70)
        (torn / "a" / "00050.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
        done: list[int] = []
        with pytest.raises(VideoError, match=r"00050\.png: this frame does not decode") as raised:
            self.measure(open_frames(truth / "a"), open_frames(torn / "a"), tmp_path / "cache", on_frames=done.append)
        assert "\n" not in str(raised.value)
        assert done == [BLOCK]
        assert not readers()

    def test_an_interruption_leaves_no_thread_behind(
        self, fake_networks: dict[str, Any], spare: int, tmp_path: Path
    ) -> None:
        def interrupt(count: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.measure(Counted(100, 100), Counted(100, 100, container="jpg"), tmp_path, on_frames=interrupt)
        assert not readers()

    def test_a_source_that_ends_early_is_named(self, fake_networks: dict[str, Any], spare: int, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="its prediction ends after 40 of 50 frames"):
            self.measure(Counted(50, 50), Counted(50, 40, container="jpg"), tmp_path)
        assert not readers()

    def test_frames_may_be_worked_on_by_several_threads(self, fake_networks: dict[str, Any], tmp_path: Path) -> None:
        """As they are where networks are on a GPU, or leave no processor idle."""
        one, many = (SideReader(SMALL, Networks(WEIGHTS), FeatureCache(tmp_path)) for _ in range(2))
        frames = list(Counted(BLOCK, BLOCK).read())
        one.add(frames)
        with ThreadPoolExecutor(4) as pool:
            many.add(frames, pool.map)
        assert one.digests == many.digests
        assert np.array_equal(one.squares, many.squares)
        assert one.frame_task().key == many.frame_task().key

    def test_it_gives_the_same_wherever_the_networks_are(
        self, fake_networks: dict[str, Any], three_threads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Networks that leave a processor idle, that leave none (a pool of threads between their passes), and on a GPU
        (pinned frames, a pool, frames prepared by the networks' side)."""

        class OnGpu(Networks):
            on_gpu = True

        pinned: list[int] = []

        def pin(count: int, size: int, device: torch.device) -> torch.Tensor:
            pinned.append(count)
            return torch.empty(count, size, size, 3, dtype=torch.uint8)

        monkeypatch.setattr("mcbench.features.pinned_frames", pin)
        monkeypatch.setattr("mcbench.measure.torchrun_share", lambda: 3)
        here, frame_digest = threading.current_thread().name, mcbench.features.frame_digest
        arrays, preparing, hashing = [], [], []

        def digest(frame: np.ndarray) -> bytes:
            hashing[-1].add(threading.current_thread().name.partition("-")[0])
            return frame_digest(frame)

        monkeypatch.setattr("mcbench.features.frame_digest", digest)
        for number, (kind, spare) in enumerate(((Networks, 1), (Networks, 0), (OnGpu, 0))):
            monkeypatch.setattr("mcbench.measure.spare_processors", lambda threads, spare=spare: spare)
            truth, prediction = Counted(40, 40), Counted(40, 40, container="jpg")
            clip = Clip(name="a", source=truth, frames=40, fps=25.0)
            networks = kind(WEIGHTS)
            preparing.append(set())
            hashing.append(set())
            prepare = networks.get("i3d").prepare  # type: ignore[union-attr]
            networks.get("i3d").prepare = lambda *given, prepare=prepare, names=preparing[-1]: (  # type: ignore[union-attr, method-assign]
                names.add(threading.current_thread().name) or prepare(*given)
            )
            cache = FeatureCache(tmp_path / str(number))
            arrays.append(measure_clip(clip, prediction, SMALL, networks, cache).arrays)
        assert preparing == [{"mcbench-reader"}, {here}, {here}]
        assert hashing == [{"mcbench"}, {"ThreadPoolExecutor"}, {"ThreadPoolExecutor"}]
        assert pinned == [BLOCK, BLOCK, 40 - BLOCK, 40 - BLOCK]
        for other in arrays[1:]:
            assert other.keys() == arrays[0].keys()
            for name, values in arrays[0].items():
                np.testing.assert_array_equal(values, other[name], err_msg=name)

    def test_two_threads_load_a_network_once(self, fake_networks: dict[str, Any], monkeypatch: Any) -> None:
        loaded: list[str] = []
        load: Any = attrgetter("features.load_backbone")(mcbench)

        def slowly(name: str, weights: str, device: str) -> Any:
            loaded.append(name)
            time.sleep(0.05)
            return load(name, weights, device)

        monkeypatch.setattr("mcbench.features.load_backbone", slowly)
        networks = Networks(WEIGHTS)
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(networks.get, ["i3d"] * 8))
        assert loaded == ["i3d"]
        assert all(network is got[0] for network in got)


class TestMeasurementFile:
    def test_round_trip(self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path) -> None:
        truth, prediction = clip_folders("truth", 1, 20), clip_folders("prediction", 1, 20, noise=9)
        item = measure(truth / "a", prediction / "a", tmp_path / "cache")
        item.write(tmp_path / "a.safetensors")
        again = read_measurement(tmp_path / "a.safetensors")
        assert again is not None
        assert (again.clip, again.frames, again.plan, again.weights) == ("a", 20, item.plan, item.weights)
        assert (again.prediction, again.truth) == (item.prediction, item.truth)
        assert again.arrays.keys() == item.arrays.keys()
        assert all(np.array_equal(again.arrays[name], values) for name, values in item.arrays.items())

    def test_bytes_are_the_same_each_time(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, prediction = clip_folders("truth", 1, 20), clip_folders("prediction", 1, 20, noise=9)
        for name in ("one", "two"):
            measure(truth / "a", prediction / "a", tmp_path / name).write(tmp_path / f"{name}.safetensors")
        assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()

    def test_serves_only_what_it_was_made_for(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, prediction = clip_folders("truth", 1, 20), clip_folders("prediction", 1, 20, noise=9)
        item = measure(truth / "a", prediction / "a", tmp_path / "cache", Plan.of([MCBENCH]))
        files = open_frames(prediction / "a").digest(), open_frames(truth / "a").digest()
        clip = clip_of(truth / "a")
        assert item.is_of(clip, *files)
        assert not item.is_of(clip, files[1], files[1])
        assert not item.is_of(clip, files[0], files[0])
        assert not item.is_of(replace(clip, reference_frame=7), *files)
        assert not item.is_of(replace(clip, frames=19), *files)
        assert item.serves(Plan.of([MCBENCH]), item.weights)
        assert not item.serves(BOTH, item.weights)
        other = {**item.weights, "i3d": replace(item.weights["i3d"], sha256="0" * 64)}
        assert not item.serves(Plan.of([MCBENCH]), other)

    def test_torn_or_foreign_files_are_no_measurement(self, tmp_path: Path) -> None:
        assert read_measurement(tmp_path / "none") is None
        (tmp_path / "torn").write_bytes(b"\x10\0\0\0\0\0\0\0{")
        assert read_measurement(tmp_path / "torn") is None

    def test_a_damaged_number_is_no_measurement(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth, noisy = clip_folders("truth", 1, 3), clip_folders("noisy", 1, 3, noise=9)
        item = measure(truth / "a", noisy / "a", tmp_path / "cache")
        file = tmp_path / "a.safetensors"
        item.write(file)
        data = file.read_bytes()
        place = data.index(item.arrays["psnr"].tobytes())
        file.write_bytes(data[:place] + bytes(8) + data[place + 8 :])
        assert read_measurement(file) is None

    def test_damaged_features_in_the_cache_are_computed_again(
        self, clip_folders: Callable[..., Path], fake_networks: dict[str, Any], tmp_path: Path
    ) -> None:
        truth = clip_folders("truth", 1, 3)
        first = measure(truth / "a", truth / "a", tmp_path / "cache")
        files = [file for file in (tmp_path / "cache").rglob("*.safetensors") if file.stat().st_size > 200]
        for file in files:
            file.write_bytes(file.read_bytes()[:-4] + b"\0\0\x80?")  # 1.0
        again = measure(truth / "a", truth / "a", tmp_path / "cache")
        np.testing.assert_array_equal(again.arrays["inception/truth"], first.arrays["inception/truth"])

    def test_a_full_disk_is_one_line(
        self,
        clip_folders: Callable[..., Path],
        fake_networks: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        truth = clip_folders("truth", 1, 3)
        item = measure(truth / "a", truth / "a", tmp_path / "cache")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("safetensors.numpy.save_file", full)
        with pytest.raises(ResultError, match="No space left on device"):
            item.write(tmp_path / "out" / "a.safetensors")
        assert list((tmp_path / "out").iterdir()) == []
        # A cache that cannot be written costs time, not the run.
        measure(truth / "a", truth / "a", tmp_path / "another cache")
