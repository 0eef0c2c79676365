"""What makes a video worse must make its numbers worse: whole measurements, with the real networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.aggregate import apply_protocols
from mcbench.datasets import load_dataset
from mcbench.datasets.base import Clip
from mcbench.features import FeatureCache, Networks
from mcbench.measure import measure_clip
from mcbench.measurement import Measurement, Plan
from mcbench.protocol import MCBENCH

pytestmark = pytest.mark.slow

Video = np.ndarray
FRAMES = 17
LOWER = ("lpips", "l1", "fid", "fid_vid", "fvd", "kid", "kvd")
HIGHER = ("psnr", "ssim")


@dataclass
class Made:
    """Frames in memory, as a source."""

    video: Video
    name: str
    fps: float = 25.0
    container: str = "memory"
    conversions: set[str] = field(default_factory=set)

    @property
    def frames(self) -> int:
        return len(self.video)

    @property
    def size(self) -> tuple[int, int]:
        return self.video.shape[1], self.video.shape[2]

    def read(self) -> Iterator[np.ndarray]:
        return iter(self.video)

    def digest(self) -> str:
        return self.name


class Bench:
    """Three clips, and one set of networks for all measurements."""

    def __init__(self, folder: Path) -> None:
        self.clips = load_dataset("synthetic-mini", clips=3, frames=FRAMES, root=folder / "datasets").clips
        self.networks = Networks(dict.fromkeys(("inception", "alexnet", "r3d50", "i3d"), "random@1"))
        self.cache = FeatureCache(folder / "cache")

    def measure(self, spoil: Callable[[Video, Clip], Video]) -> list[Measurement]:
        measured = []
        for clip in self.clips:
            video = spoil(np.stack(list(clip.source.read())), clip)
            source = Made(video, clip.name)
            measured.append(measure_clip(clip, source, Plan.of([MCBENCH]), self.networks, self.cache))
        return measured

    def values(self, spoil: Callable[[Video, Clip], Video]) -> dict[str, float]:
        metrics = apply_protocols([MCBENCH], self.measure(spoil))["mcbench@1"].metrics
        return {name: float(metric.value) for name, metric in metrics.items() if metric.value is not None}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("meaning"))


def noise(strength: float) -> Callable[[Video, Clip], Video]:
    def spoil(video: Video, clip: Clip) -> Video:
        return np.clip(video + np.random.default_rng(1).normal(0, strength, video.shape), 0, 255).astype(np.uint8)

    return spoil


def blur(strength: float) -> Callable[[Video, Clip], Video]:
    return lambda video, clip: np.stack([cv2.GaussianBlur(frame, (0, 0), strength) for frame in video])


def shift(pixels: int) -> Callable[[Video, Clip], Video]:
    return lambda video, clip: np.roll(video, pixels, axis=2)


def freeze(share: float) -> Callable[[Video, Clip], Video]:
    """The video stands still from some frame on."""

    def spoil(video: Video, clip: Clip) -> Video:
        last = round((1 - share) * (len(video) - 1))
        return np.concatenate([video[: last + 1], np.repeat(video[last : last + 1], len(video) - last - 1, axis=0)])

    return spoil


@pytest.mark.parametrize(
    ("kind", "strengths"),
    [(noise, (4, 12, 36)), (blur, (1, 3, 9)), (shift, (2, 8, 32)), (freeze, (0.25, 0.5, 1.0))],
    ids=["noise", "blur", "shift", "frozen"],
)
def test_stronger_is_worse(bench: Bench, kind: Callable[[float], Callable], strengths: tuple[float, ...]) -> None:
    # Kernel distances see only what is wrong in the same way over videos; at one window a video they are noisy.
    expected = (
        (*HIGHER, "lpips", "l1", "fid_vid", "fvd", "fid") if kind is not freeze else (*HIGHER, "lpips", "l1", "fvd")
    )
    rows = [bench.values(kind(strength)) for strength in strengths]
    for name in expected:
        column = [row[name] for row in rows]
        assert column == sorted(column, reverse=name in HIGHER), (name, column)
        assert len(set(column)) == len(column), (name, column)


def test_swapped_characters_cost_most_where_the_characters_are(bench: Bench) -> None:
    def swap(video: Video, clip: Clip) -> Video:
        assert clip.annotations is not None
        swapped = video.copy()
        for frame, source, mask in zip(swapped, video, clip.annotations.masks(0, len(video)), strict=True):
            one, other = (cv2.boundingRect((mask == k).astype(np.uint8)) for k in np.unique(mask[mask > 0])[:2])
            for (x, y, w, h), (a, b, c, d) in ((one, other), (other, one)):
                frame[y : y + h, x : x + w] = cv2.resize(source[b : b + d, a : a + c], (w, h))
        return swapped

    for item in bench.measure(swap):
        arrays = item.arrays
        everywhere = arrays["absolute_error"].mean() / 255
        assert arrays["l1_characters"].mean() > 1.5 * everywhere > 0
        assert arrays["lpips_characters"].mean() > arrays["lpips/alexnet"].mean() > 0


def test_a_flickering_background_has_motion_and_moving_people_have_none(bench: Bench) -> None:
    def flicker(video: Video, clip: Clip) -> Video:
        brighter = np.arange(len(video)) % 2 * 8
        return np.clip(video.astype(int) + brighter[:, None, None, None], 0, 255).astype(np.uint8)

    for still, flickering in zip(bench.measure(freeze(1.0)), bench.measure(flicker), strict=True):
        assert abs(still.arrays["background_motion"]).max() < 0.005
        assert flickering.arrays["background_motion"][1:].mean() > 0.02


def test_the_truth_is_perfect(bench: Bench) -> None:
    values = bench.values(lambda video, clip: video)
    assert values["psnr"] == 100
    assert values["ssim"] == pytest.approx(1, abs=1e-12)
    assert {name: values[name] for name in LOWER} == dict.fromkeys(LOWER, 0.0)
