"""Frames through the networks: each frame and window that is new goes through once, block by block.

Features of the truth are kept on disk by content (digest of the frames, backbone, hash of its weights), so that the
next method on the same clips pays only for its own side.

What a network is to do for a block (`Task`) is found out by `SideReader`, maybe in a thread that reads ahead: digests,
what the cache knows, frames as the video networks take them. `SideFeatures` and `PairDistances` do it.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mcbench.atomic import read_tensors, write_tensors
from mcbench.backbones import FrameBackbone, PairBackbone, WindowBackbone, load_backbone
from mcbench.backbones.base import batch_size
from mcbench.backbones.weights import WeightsRecord, record_of
from mcbench.datasets.manifest import frame_digest
from mcbench.errors import ResultError, WeightsError
from mcbench.geometry import to_square
from mcbench.measurement import Plan
from mcbench.metrics.masked import lpips_characters

__all__ = ["FeatureCache", "Networks", "PairDistances", "SideFeatures", "SideReader", "Task"]

Array = npt.NDArray[Any]
Frames = npt.NDArray[np.uint8]


FEATURES = 2
"""Version of the arithmetic from decoded frames to features; a change that moves them must not meet older ones."""

FRAME_NETWORK = "inception"
WINDOW_NETWORKS = ("r3d50", "i3d")


class Networks:
    """The backbones of a run, each loaded when it is first used, by whichever thread.

    Args:
        weights: backbone name to `published`, `random@1` or a path.
        device: where they run.
    """

    def __init__(self, weights: Mapping[str, str], device: str = "cpu") -> None:
        self.weights = dict(weights)
        self.device = device
        self._loaded: dict[str, Any] = {}
        self._records: dict[str, WeightsRecord] = {}
        # One for all: modules that import each other must not be loaded by two threads at once.
        self._loading = threading.RLock()

    def record(self, name: str) -> WeightsRecord:
        """Identity of a backbone's weights; checks that they are there without building the network."""
        if name not in self._records:
            with self._loading:
                self._records.setdefault(name, record_of(name, self.weights[name]))
        return self._records[name]

    def get(self, name: str) -> FrameBackbone | PairBackbone | WindowBackbone:
        """The network itself."""
        if name not in self._loaded:
            with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = self._load(name)
        return self._loaded[name]  # type: ignore[no-any-return]

    def _load(self, name: str) -> Any:
        network = load_backbone(name, self.weights[name], self.device)
        if network.record != self.record(name):
            raise WeightsError(f"the {name} weights changed while this run was going on; start it again")
        return network

    def hold(self, weights: Mapping[str, WeightsRecord]) -> bool:
        """Whether this run would measure with just these weights."""
        try:
            return all(self.record(name) == record for name, record in weights.items())
        except WeightsError:
            return False

    @property
    def on_gpu(self) -> bool:
        """Whether they run beside the processor and not on it."""
        return torch.device(self.device).type == "cuda"

    def batch(self, name: str) -> int:
        """Frames, windows or frame pairs of a network to run at a time."""
        return batch_size(name, torch.device(self.device))


class FeatureCache:
    """Features by content, on disk.

    A key is a hash over the digests of a block's frames, the frames before it that its windows reach back to, the
    geometry, the backbone and the hash of its weights. Files appear whole; a damaged or missing one is computed again.

    Args:
        folder: where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writable = True

    def get(self, key: str) -> Array | None:
        """Features of that key; None where there are none, or something else lies in their place."""
        known = read_tensors(self._path(key))
        features = known[0].get("features") if known else None
        if features is None or features.ndim != 2 or features.dtype != np.float32 or not np.isfinite(features).all():
            return None
        return features

    def put(self, key: str, features: Array) -> None:
        """Keep features. A cache that cannot be written to costs time, not a run."""
        if not self._writable:
            return
        try:
            write_tensors({"features": features}, {}, self._path(key))
        except ResultError:
            self._writable = False

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


@dataclass(frozen=True)
class Task:
    """What one network has to do for a block of one side.

    Attributes:
        backbone: the network.
        key: of the features in the cache.
        known: the features, where the cache has them; then there is nothing to do.
        rows: what each feature is of: the digest of a frame, or of each frame of a window.
        frames: by digest, what is new: uint8 (size, size, 3) on the networks' device; for a video network on the CPU,
            as it takes them.
    """

    backbone: str
    key: str
    known: Array | None
    rows: Sequence[Any]
    frames: Mapping[bytes, torch.Tensor]


def pinned_frames(count: int, size: int, device: torch.device) -> torch.Tensor:
    """Room for frames, uint8 (count, size, size, 3), from which they are sent to a GPU while the processor goes on."""
    # Pinning opens the current GPU; a process on another one must not take memory on the first.
    with torch.cuda.device(device):
        return torch.empty(count, size, size, 3, dtype=torch.uint8, pin_memory=True)


def _empty_frames(count: int, size: int, _: torch.device) -> torch.Tensor:
    return torch.empty(count, size, size, 3, dtype=torch.uint8)


class SideReader:
    """One side of a clip, block by block: the frames as squares, and the tasks that they make.

    Windows that began in earlier blocks need the frames before this one, so the last `window_length - 1` are carried.
    For each block come `add`, `frame_task`, a `window_task` for each video network, and `close_block`.

    Attributes:
        digests: of the decoded frames of this block.
        squares: the block's frames, uint8 (n, size, size, 3).
        inputs: the same on the networks' device, where they are sent once for all networks.
    """

    digests: list[bytes]
    squares: Frames
    inputs: torch.Tensor

    def __init__(self, plan: Plan, networks: Networks, cache: FeatureCache) -> None:
        self._plan = plan
        self._networks = networks
        self._cache = cache
        self._context: deque[tuple[bytes, torch.Tensor]] = deque(maxlen=plan.window_length - 1)
        self._prepared = {backbone: PreparedFrames(networks, backbone) for backbone in WINDOW_NETWORKS}
        self._seen = 0
        self._decoded = hashlib.sha256()

    def add(self, frames: Sequence[Frames], each: Callable[..., Iterable[Any]] = map) -> None:
        """Take a block of decoded frames.

        Args:
            frames: uint8 (height, width, 3) each.
            each: as `map`; that of a pool of threads works on several frames at once.
        """
        # The geometry is fixed, so the digest of a decoded frame names the square one too.
        self.digests = list(each(frame_digest, frames))
        for digest in self.digests:
            self._decoded.update(digest)
        size = self._plan.size
        empty = pinned_frames if self._networks.on_gpu else _empty_frames
        squares = empty(len(frames), size, torch.device(self._networks.device))
        self.squares = squares.numpy()
        for place, square in enumerate(each(to_square, frames, itertools.repeat(size, len(frames)))):
            self.squares[place] = square
        self.inputs = squares.to(self._networks.device, non_blocking=True)

    def frame_task(self) -> Task:
        """Of the frame network."""
        key = self._key(FRAME_NETWORK, self.digests)
        first = _first_places(self.digests)
        frames = {digest: self.inputs[place] for digest, place in first.items()}
        return Task(FRAME_NETWORK, key, self._cache.get(key), self.digests, frames)

    def window_task(self, backbone: str, each: Callable[..., Iterable[Any]] = map) -> Task:
        """Of a video network: the windows that end in this block; `each` as in `add`."""
        plan = self._plan
        pixels = dict([*self._context, *zip(self.digests, self.inputs, strict=True)])
        sequence = [*(digest for digest, _ in self._context), *self.digests]
        starts = self._starts()
        kind = [str(plan.window_length), str(plan.window_stride), str(starts)]
        key = self._key(backbone, sequence, kind)
        known = self._cache.get(key)
        rows = [tuple(sequence[start : start + plan.window_length]) for start in starts]
        if known is not None or not rows:
            return Task(backbone, key, known, rows, {})
        # A GPU resizes faster than it could be sent the results.
        frames = pixels if self._networks.on_gpu else self._prepared[backbone].take(pixels, each)
        return Task(backbone, key, None, rows, frames)

    def close_block(self) -> None:
        """Carry the last frames over to the next block."""
        self._context.extend(zip(self.digests, self.inputs, strict=True))
        self._seen += len(self.digests)

    @property
    def decoded_digest(self) -> str:
        """SHA-256 over the digests of the decoded frames."""
        return self._decoded.hexdigest()

    def _key(self, backbone: str, frames: Sequence[bytes], kind: Sequence[str] = ()) -> str:
        record = self._networks.record(backbone)
        # A GPU's features differ from a processor's in their last bits, and must not pass for them.
        device = torch.device(self._networks.device).type
        parts = [f"features/{FEATURES}", device, backbone, record.sha256, str(self._plan.size), *kind]
        return hashlib.sha256("\n".join(parts).encode() + b"".join(frames)).hexdigest()

    def _starts(self) -> list[int]:
        """Where the windows that end in this block start, counted from the first carried frame."""
        length, stride = self._plan.window_length, self._plan.window_stride
        first = self._seen - len(self._context)
        last = self._seen + len(self.digests) - length
        earliest = max(0, self._seen - length + 1)
        return [start - first for start in range(-(-earliest // stride) * stride, last + 1, stride)]


class PreparedFrames:
    """Frames as one video network takes them, each prepared once for all the windows that it is in."""

    def __init__(self, networks: Networks, backbone: str) -> None:
        self._networks = networks
        self._backbone = backbone
        self._ready: dict[bytes, torch.Tensor] = {}

    def take(
        self, pixels: Mapping[bytes, torch.Tensor], each: Callable[..., Iterable[Any]] = map
    ) -> dict[bytes, torch.Tensor]:
        """The frames of a block and of its context, prepared; what was prepared before and is not among them goes."""
        network = self._networks.get(self._backbone)
        assert isinstance(network, WindowBackbone)
        ready = {digest: frame for digest, frame in self._ready.items() if digest in pixels}
        missing = [digest for digest in pixels if digest not in ready]
        if missing:
            frames = network.prepare(torch.stack([pixels[digest] for digest in missing]), each)
            ready |= dict(zip(missing, frames, strict=True))
        self._ready = ready
        return ready


class SideFeatures:
    """The features of one side of a clip, task by task.

    Args:
        keep: whether new ones are kept in the cache.
    """

    def __init__(self, networks: Networks, cache: FeatureCache, *, keep: bool) -> None:
        self._networks = networks
        self._cache = cache
        self._keep = keep
        self._prepared = {backbone: PreparedFrames(networks, backbone) for backbone in WINDOW_NETWORKS}
        self._features: dict[str, list[Array]] = {backbone: [] for backbone in (FRAME_NETWORK, *WINDOW_NETWORKS)}

    def do(self, task: Task) -> None:
        """Run the network on what is new in a task.

        Raises:
            WeightsError: if it gives something that is not a number.
        """
        # Where the prediction is the truth, its features have come into the cache since.
        features = task.known if task.known is not None else self._cache.get(task.key)
        if features is None:
            features = self._of_frames(task) if task.backbone == FRAME_NETWORK else self._of_windows(task)
            if not np.isfinite(features).all():
                raise WeightsError(
                    f"{task.backbone} features hold NaN or infinity; its weights are damaged or the device"
                    " miscalculates"
                )
            if self._keep:
                self._cache.put(task.key, features)
        self._features[task.backbone].append(features)

    def arrays(self, side: str) -> dict[str, Array]:
        """All features so far, under the names that Measurement documents."""
        return {f"{name}/{side}": np.concatenate(blocks) for name, blocks in self._features.items()}

    def _of_frames(self, task: Task) -> Array:
        network = self._networks.get(task.backbone)
        assert isinstance(network, FrameBackbone)
        features = network.features(torch.stack(list(task.frames.values()))).cpu().numpy()
        return _spread(features, task.frames, task.rows)

    def _of_windows(self, task: Task) -> Array:
        network = self._networks.get(task.backbone)
        assert isinstance(network, WindowBackbone)
        if not task.rows:
            return np.zeros((0, network.dimension), np.float32)
        prepared = self._prepared[task.backbone].take(task.frames) if self._networks.on_gpu else task.frames
        unique = _first_places(task.rows)
        batches = [
            network.features(torch.stack([torch.stack([prepared[digest] for digest in window]) for window in batch]))
            for batch in _batched(unique, self._networks.batch(task.backbone))
        ]
        return _spread(torch.cat(batches).cpu().numpy(), unique, task.rows)


class PairDistances:
    """LPIPS of a clip's frame pairs, keeping the last activations: a frame that stays is not run again."""

    def __init__(self, name: str, signed: bool, plan: Plan, networks: Networks) -> None:
        self._name = name
        self._signed = signed
        self._size = plan.size
        self._networks = networks
        self._recent: OrderedDict[bytes, tuple[torch.Tensor, ...]] = OrderedDict()

    def add(
        self,
        p: torch.Tensor,
        t: torch.Tensor,
        p_digests: Sequence[bytes],
        t_digests: Sequence[bytes],
        labels: Frames | None,
    ) -> tuple[Array, tuple[Array, Array] | None]:
        """Distances (n,), and on the characters values and validity where there are masks and this is AlexNet.

        Args:
            p: the prediction's frames, uint8 (n, size, size, 3), on the network's device.
            t: the truth's.
            p_digests: of the prediction's frames.
            t_digests: of the truth's.
            labels: instance masks, uint8 (n, size, size), where there are any.
        """
        network = self._networks.get(self._name)
        assert isinstance(network, PairBackbone)
        on_masks = labels is not None and self._name == "alexnet"
        values = np.zeros(len(p))
        characters: list[tuple[Array, Array]] = []
        step = self._networks.batch(self._name)
        for places in _batched(range(len(p)), step):
            # Equal frames are at distance 0 whatever the network says, and need no pass.
            unlike = [place for place in places if p_digests[place] != t_digests[place]]
            wanted: dict[bytes, torch.Tensor] = {}
            for place in unlike:
                wanted[p_digests[place]] = p[place]
                wanted[t_digests[place]] = t[place]
            self._activate(network, wanted, step)
            pairs = {place: (self._recent[p_digests[place]], self._recent[t_digests[place]]) for place in unlike}
            if pairs:
                # All are under way before the first is waited for, so that a GPU does not stand still between them.
                values[unlike] = torch.cat([network.distance(a, b) for a, b in pairs.values()]).cpu().numpy()
            if on_masks and labels is not None:
                for place in places:
                    heat = np.zeros((1, self._size, self._size), np.float32)
                    if place in pairs:
                        heat = network.distance_map(*pairs[place], (self._size, self._size)).cpu().numpy()
                    characters.append(lpips_characters(heat, labels[place : place + 1]))
        if not on_masks:
            return values, None
        return values, (np.concatenate([c[0] for c in characters]), np.concatenate([c[1] for c in characters]))

    def _activate(self, network: PairBackbone, wanted: Mapping[bytes, torch.Tensor], step: int) -> None:
        missing = [digest for digest in wanted if digest not in self._recent]
        for digest in wanted:
            if digest in self._recent:
                self._recent.move_to_end(digest)
        while self._recent and len(self._recent) + len(missing) > max(2 * step, len(wanted)):
            self._recent.popitem(last=False)
        for batch in _batched(missing, step):
            layers = network.activations(torch.stack([wanted[digest] for digest in batch]), self._signed)
            for place, digest in enumerate(batch):
                self._recent[digest] = tuple(
                    layer[place : place + 1].clone() if len(batch) > 1 else layer for layer in layers
                )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _first_places(keys: Sequence[Any]) -> dict[Any, int]:
    """Each distinct key and where it first stands."""
    places: dict[Any, int] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, place)
    return places


def _spread(features: Array, unique: Iterable[Any], keys: Sequence[Any]) -> Array:
    """Features of distinct keys, laid out for every key."""
    row = {key: place for place, key in enumerate(unique)}
    return features[[row[key] for key in keys]]
