"""One clip: frames in, a Measurement out.

A clip is decoded once, in blocks. Each block's frames are cropped and resized once, as uint8, and the same arrays go
to every metric of every protocol asked for. Where the networks leave a processor idle, all that needs no network is
done on it meanwhile, in a thread that is at most two items of their work ahead, within the clip. Where they fill all
processors it is done between their passes, by as many threads as they have: beside them it would take turns with one of
their threads, for which the others wait.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mcbench.ahead import Ahead
from mcbench.datasets.base import Clip, FrameSource
from mcbench.errors import PredictionError, VideoError, WeightsError
from mcbench.features import WINDOW_NETWORKS, FeatureCache, Networks, PairDistances, SideFeatures, SideReader, Task
from mcbench.geometry import check_aspect, to_square_labels
from mcbench.measurement import Measurement, Plan
from mcbench.metrics.l1 import absolute_error
from mcbench.metrics.masked import background_motion, l1_characters
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.metrics.ssim import ssim_gaussian, ssim_uniform
from mcbench.workers import spare_processors, torchrun_share

__all__ = ["check_prediction", "measure_clip"]

Array = npt.NDArray[Any]
Frames = npt.NDArray[np.uint8]

BLOCK = 32
"""Frames in flight from each side. A multiple of 16, so that windows at stride 16 lie within one block."""

PAIRWISE: dict[str, Callable[[Frames, Frames], npt.NDArray[np.float64]]] = {
    "absolute_error": absolute_error,
    "psnr": psnr,
    "psnr_wrapped": psnr_wrapped,
    "ssim_uniform": ssim_uniform,
    "ssim_gaussian": ssim_gaussian,
}


def check_prediction(clip: Clip, prediction: FrameSource, where: str) -> None:
    """Hold what can be known of a prediction without decoding it against its truth.

    Raises:
        PredictionError: if the counts differ; both stand in the message.
        VideoError: if the aspect ratio is another.
    """
    if prediction.frames != clip.frames:
        more = "more" if prediction.frames > clip.frames else "fewer"
        raise PredictionError(
            f"{where}: {prediction.frames} frames, {more} than the {clip.frames} of its truth;"
            " every frame needs its counterpart"
        )
    check_aspect(prediction.size, clip.source.size, where)


def measure_clip(
    clip: Clip,
    prediction: FrameSource,
    plan: Plan,
    networks: Networks,
    cache: FeatureCache,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Measurement:
    """Measure a prediction against its truth.

    Args:
        clip: the truth; its first `clip.frames` frames count.
        prediction: as many frames.
        plan: what to measure.
        networks: the backbones.
        cache: features of the truth, kept by content. The prediction looks there too, but leaves nothing behind.
        on_frames: called with the number of frame pairs done since the last call.

    Raises:
        PredictionError, VideoError: if the two do not go together or do not decode.
        WeightsError: if a network gives something that is not a number.
    """
    check_prediction(clip, prediction, f"clip '{clip.name}'")
    reader = _ClipReader(clip, prediction, plan, networks, cache)
    features = {name: SideFeatures(networks, cache, keep=name == "truth") for name in reader.sides}
    distances = {network: PairDistances(network, signed, plan, networks) for network, signed in plan.lpips}
    scores: dict[str, list[Array]] = {}

    def keep(name: str, values: Array) -> None:
        scores.setdefault(name, []).append(np.asarray(values))

    with reader.items() as items:
        for item in items:
            if isinstance(item, tuple):
                name, task = item
                features[name].do(task)
                continue
            for name, values in item.scores.items():
                keep(name, values)
            for network, pair in distances.items():
                values, on_characters = pair.add(*item.inputs, *item.digests, item.labels)
                keep(f"lpips/{network}", values)
                if on_characters is not None:
                    keep("lpips_characters", on_characters[0])
                    keep("lpips_characters/valid", on_characters[1])
            on_frames(len(item.inputs[0]))

    arrays = {name: np.concatenate(blocks) for name, blocks in scores.items()}
    for name, side in features.items():
        arrays |= side.arrays(name)
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise WeightsError(f"clip '{clip.name}': {name} holds NaN or infinity; the weights are damaged")
    return Measurement(
        clip=clip.name,
        frames=clip.frames,
        plan=plan,
        prediction=_about(prediction, reader.files["prediction"], reader.sides["prediction"]),
        truth=_about(clip.source, reader.files["truth"], reader.sides["truth"]),
        reference_frame=clip.reference_frame,
        weights={name: networks.record(name) for name in plan.backbones},
        arrays=arrays,
    )


@dataclass(frozen=True)
class _Pairs:
    """The frame pairs of a block, and what is measured of them without a network.

    Attributes:
        inputs: the prediction's and the truth's frames, uint8 (n, size, size, 3) on the networks' device.
        digests: of both.
        labels: instance masks, uint8 (n, size, size), where there are any.
        scores: values (n,) by name; of `background_motion`, (n,) too.
    """

    inputs: tuple[torch.Tensor, torch.Tensor]
    digests: tuple[list[bytes], list[bytes]]
    labels: Frames | None
    scores: dict[str, Array]


class _ClipReader:
    """All that is done of a clip without a network, block by block.

    Gone through, it gives for each block the tasks of both sides, in the order in which the networks are wanted, and
    then the pairs.

    Attributes:
        sides: the truth and the prediction.
        files: digest of each one's files.
    """

    def __init__(
        self, clip: Clip, prediction: FrameSource, plan: Plan, networks: Networks, cache: FeatureCache
    ) -> None:
        self._clip = clip
        self._sources = {"truth": clip.source, "prediction": prediction}
        self._plan = plan
        self._networks = networks
        networks_threads = torch.get_num_threads()
        if networks.on_gpu:
            self._beside, self._threads = True, torchrun_share() or networks_threads
        else:
            self._beside = spare_processors(networks_threads) > 0
            self._threads = 1 if self._beside else networks_threads
        self._last: tuple[Frames, Frames, Frames] | None = None
        self.sides = {name: SideReader(plan, networks, cache) for name in self._sources}
        self.files: dict[str, str] = {}

    def items(self) -> AbstractContextManager[Iterator[tuple[str, Task] | _Pairs]]:
        """Goes through it, ahead of whoever takes the items where there is a processor for that."""
        return Ahead(iter(self)) if self._beside else closing(iter(self))

    def __iter__(self) -> Generator[tuple[str, Task] | _Pairs]:
        # Before the frames are read: files that change meanwhile are then measured again next time.
        self.files = {name: source.digest() for name, source in self._sources.items()}
        frames = self._clip.frames
        readers = {name: itertools.islice(source.read(), frames) for name, source in self._sources.items()}
        with ThreadPoolExecutor(self._threads) if self._threads > 1 else nullcontext() as pool:
            each = pool.map if pool is not None else map
            for start in range(0, frames, BLOCK):
                for name, side in self.sides.items():
                    side.add(self._block(name, readers[name], start), each)
                    yield name, side.frame_task()
                for backbone in WINDOW_NETWORKS:
                    for name, side in self.sides.items():
                        yield name, side.window_task(backbone, each)
                yield self._pairs(start, each)
                for side in self.sides.values():
                    side.close_block()

    def _block(self, name: str, reader: Iterator[Frames], start: int) -> list[Frames]:
        block = list(itertools.islice(reader, BLOCK))
        if len(block) < min(BLOCK, self._clip.frames - start):
            raise VideoError(
                f"clip '{self._clip.name}': its {name} ends after {start + len(block)} of {self._clip.frames} frames;"
                " write it again"
            )
        return block

    def _pairs(self, start: int, each: Callable[..., Iterable[Any]]) -> _Pairs:
        t, p = self.sides["truth"], self.sides["prediction"]
        if t.digests != p.digests:
            for network, _ in self._plan.lpips:
                self._networks.get(network)
        names = self._plan.pairwise
        rows = list(each(lambda a, b: [PAIRWISE[name](a[None], b[None]) for name in names], p.squares, t.squares))
        scores: dict[str, Array] = {
            name: np.concatenate(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        labels: Frames | None = None
        if self._plan.masked and self._clip.annotations is not None:
            raw = self._clip.annotations.masks(start, start + len(t.squares))
            labels = np.stack([to_square_labels(mask, self._plan.size) for mask in raw])
            scores |= self._on_masks(p.squares, t.squares, labels)
        return _Pairs((p.inputs, t.inputs), (p.digests, t.digests), labels, scores)

    def _on_masks(self, p: Frames, t: Frames, labels: Frames) -> dict[str, Array]:
        on_characters = l1_characters(p, t, labels)
        if self._last is None:
            # The first frame has none before it.
            motion: tuple[Array, Array] = np.zeros(1), np.zeros(1, bool)
            if len(p) > 1:
                motion = _joined(motion, background_motion(p, t, labels))
        else:
            motion = background_motion(*_joined(self._last, (p, t, labels)))
        self._last = p[-1:], t[-1:], labels[-1:]
        return {
            "l1_characters": on_characters[0],
            "l1_characters/valid": on_characters[1],
            "background_motion": motion[0],
            "background_motion/valid": motion[1],
        }


def _joined(first: Sequence[Array], second: Sequence[Array]) -> Any:
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))


def _about(source: FrameSource, files: str, side: SideReader) -> dict[str, Any]:
    return {
        "frames": side.decoded_digest,
        "files": files,
        "container": source.container,
        "size": list(source.size),
        "fps": source.fps,
        "conversions": sorted(source.conversions),
    }
