"""The clock of `stages.py`: which functions of mcbench belong to which stage, and the seconds of each."""

from __future__ import annotations

import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcbench.backbones import BACKBONES

__all__ = ["SEAMS", "WHOLE", "Clock"]

SEAMS = (
    ("mcbench.video.frame_folder:FrameFolder.read", "decode"),
    ("mcbench.video.video_file:VideoFile.read", "decode"),
    ("mcbench.evaluation:open_frames", "decode"),
    ("mcbench.evaluation:check_prediction", "decode"),
    ("mcbench.features:frame_digest", "hash"),
    ("mcbench.video.frame_folder:FrameFolder.digest", "hash"),
    ("mcbench.video.video_file:VideoFile.digest", "hash"),
    ("mcbench.features:to_square", "crop and resize to 512"),
    ("mcbench.features:record_of", "weights"),
    ("mcbench.features:load_backbone", "weights"),
    ("mcbench.backbones.inception:Inception.preprocess", "prepare inception"),
    ("mcbench.backbones.inception:Inception.forward", "inception"),
    ("mcbench.backbones.resnet3d:ResNet3D50.prepare", "prepare r3d50"),
    ("mcbench.backbones.resnet3d:ResNet3D50.features", "r3d50"),
    ("mcbench.backbones.i3d:I3D.prepare", "prepare i3d"),
    ("mcbench.backbones.i3d:I3D.features", "i3d"),
    ("mcbench.backbones.lpips:VGG16.activations", "vgg16"),
    ("mcbench.backbones.lpips:VGG16.distance", "vgg16"),
    ("mcbench.backbones.lpips:AlexNet.activations", "alexnet"),
    ("mcbench.backbones.lpips:AlexNet.distance", "alexnet"),
    ("mcbench.measure:PAIRWISE", "pairwise metrics"),
    ("mcbench.measure:to_square_labels", "masks"),
    ("mcbench.measure:l1_characters", "masks"),
    ("mcbench.measure:background_motion", "masks"),
    ("mcbench.features:lpips_characters", "masks"),
    ("mcbench.backbones.lpips:AlexNet.distance_map", "masks"),
    ("mcbench.ahead:Ahead._take", "waiting for the reader"),
    ("mcbench.measure:_ClipReader.__iter__", "reading, the rest"),
    ("mcbench.features:FeatureCache.get", "cache"),
    ("mcbench.features:FeatureCache.put", "cache"),
    ("mcbench.statistics:frechet_distance", "Fréchet distances"),
    ("mcbench.aggregate:pair_matrix", "kernel distances"),
    ("mcbench.aggregate:kernel_estimate", "kernel distances"),
    ("mcbench.statistics:frechet_leave_one_out", "jackknife"),
    ("mcbench.aggregate:split_half", "split-half"),
    ("mcbench.evaluation:apply_protocols", "averages and intervals"),
    ("mcbench.measurement:Measurement.write", "writing"),
    ("mcbench.evaluation:write_result", "writing"),
    ("mcbench.cli.score:show_result", "writing"),
)
"""Functions (a dictionary stands for all of its own), and the stage that each belongs to."""

WHOLE = frozenset({"split-half"})
"""Stages that keep what is called within them for themselves."""


PREPARE = "prepare "
"""What stands before a network's name in the stage that prepares its input."""


class Clock:
    """Seconds by stage, each counted once: a stage within another one stops the outer one.

    Args:
        wait: called at the end of a network's stage, and of what prepares its input, before the time is taken.
    """

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self._wait = wait
        self._open = threading.local()
        # The other threads share one dictionary, and adding to a number in it takes two steps.
        self._lock = threading.Lock()
        self.main: dict[str, float] = defaultdict(float)
        self.others: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the body as this stage."""
        stack: list[tuple[str, float]] = self._open.__dict__.setdefault("stack", [])
        if stack and stack[-1][0] in WHOLE:
            yield
            return
        seconds = self.main if threading.current_thread() is threading.main_thread() else self.others
        if stack:
            outer, since = stack[-1]
            self._add(seconds, outer, time.perf_counter() - since)
        stack.append((name, time.perf_counter()))
        try:
            yield
            if name.removeprefix(PREPARE) in BACKBONES:
                self._wait()
        finally:
            name, since = stack.pop()
            now = time.perf_counter()
            self._add(seconds, name, now - since)
            if stack:
                stack[-1] = (stack[-1][0], now)

    def _add(self, seconds: dict[str, float], name: str, more: float) -> None:
        with self._lock:
            seconds[name] += more

    def watch(self, seam: str, name: str) -> None:
        """Put the clock around a function, `module:name` or `module:Class.name`, or each one of a dictionary."""
        module, _, path = seam.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, last = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        found = getattr(owner, last)
        if isinstance(found, dict):
            found.update({key: self._watched(function, name) for key, function in found.items()})
        else:
            setattr(owner, last, self._watched(found, name))

    def _watched(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with self.stage(name):
                result = function(*arguments, **named)
            return self._steps(result, name) if isinstance(result, Iterator) else result

        return call

    def _steps(self, items: Iterator[Any], name: str) -> Iterator[Any]:
        while True:
            with self.stage(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
