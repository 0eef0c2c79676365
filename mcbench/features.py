"""Frames through the networks: each frame and window that is new goes through once, block by block.

Features of the truth are kept on disk by content (digest of the frames, backbone, hash of its weights), so that the
next method on the same clips pays only for its own side.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mcbench.atomic import read_tensors, write_tensors
from mcbench.backbones import FrameBackbone, PairBackbone, WindowBackbone, load_backbone
from mcbench.backbones.weights import WeightsRecord, record_of
from mcbench.datasets.manifest import frame_digest
from mcbench.errors import ResultError, WeightsError
from mcbench.geometry import to_square
from mcbench.measurement import Plan
from mcbench.metrics.masked import lpips_characters

__all__ = ["FeatureCache", "Networks", "PairDistances", "Side"]

Array = npt.NDArray[Any]
Frames = npt.NDArray[np.uint8]


FEATURES = 1
"""Version of the arithmetic from decoded frames to features; a change that moves them must not meet older ones."""


class Networks:
    """The backbones of a run, each loaded when it is first used.

    Args:
        weights: backbone name to `published`, `random@1` or a path.
        device: where they run.
    """

    def __init__(self, weights: Mapping[str, str], device: str = "cpu") -> None:
        self.weights = dict(weights)
        self.device = device
        self._loaded: dict[str, Any] = {}
        self._records: dict[str, WeightsRecord] = {}

    def record(self, name: str) -> WeightsRecord:
        """Identity of a backbone's weights; checks that they are there without building the network."""
        if name not in self._records:
            self._records[name] = record_of(name, self.weights[name])
        return self._records[name]

    def get(self, name: str) -> FrameBackbone | PairBackbone | WindowBackbone:
        """The network itself."""
        if name not in self._loaded:
            network = load_backbone(name, self.weights[name], self.device)
            if network.record != self.record(name):
                raise WeightsError(f"the {name} weights changed while this run was going on; start it again")
            self._loaded[name] = network
        return self._loaded[name]  # type: ignore[no-any-return]

    def hold(self, weights: Mapping[str, WeightsRecord]) -> bool:
        """Whether this run would measure with just these weights."""
        try:
            return all(self.record(name) == record for name, record in weights.items())
        except WeightsError:
            return False

    @property
    def batch(self) -> dict[str, int]:
        """Windows and frame pairs in memory at once: few on a CPU, where more gains nothing."""
        if torch.device(self.device).type == "cuda":
            return {"windows": 16, "pairs": 8}
        return {"windows": 4, "pairs": 1}


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


class Side:
    """The features of one side of a clip, block by block.

    Windows that began in earlier blocks need the frames before this one, so the last `window_length - 1` are carried.
    """

    def __init__(self, plan: Plan, networks: Networks, cache: FeatureCache, *, keep: bool) -> None:
        self._plan = plan
        self._networks = networks
        self._cache = cache
        self._keep = keep
        self._context: deque[tuple[bytes, Frames]] = deque(maxlen=plan.window_length - 1)
        self._prepared: dict[str, dict[bytes, torch.Tensor]] = {"r3d50": {}, "i3d": {}}
        self._features: dict[str, list[Array]] = {"inception": [], "r3d50": [], "i3d": []}
        self._seen = 0
        self._decoded = hashlib.sha256()
        self.digests: list[bytes] = []

    def add(self, frames: Sequence[Frames]) -> Frames:
        """Take a block of decoded frames; returns them as (n, size, size, 3)."""
        # The geometry is fixed, so the digest of a decoded frame names the square one too.
        self.digests = [frame_digest(frame) for frame in frames]
        for digest in self.digests:
            self._decoded.update(digest)
        squares = np.stack([to_square(frame, self._plan.size) for frame in frames])
        self._extract("inception", partial(self._frame_features, squares))
        for backbone in ("r3d50", "i3d"):
            self._extract(backbone, partial(self._window_features, backbone, squares))
        self._context.extend(zip(self.digests, squares, strict=True))
        self._seen += len(frames)
        return squares

    def features(self, side: str) -> dict[str, Array]:
        """All features so far, under the names that Measurement documents."""
        return {f"{name}/{side}": np.concatenate(blocks) for name, blocks in self._features.items()}

    @property
    def decoded_digest(self) -> str:
        """SHA-256 over the digests of the decoded frames."""
        return self._decoded.hexdigest()

    def _extract(self, backbone: str, compute: Callable[[], Array]) -> None:
        key = self._key(backbone)
        features = self._cache.get(key)
        if features is None:
            features = compute()
            if not np.isfinite(features).all():
                raise WeightsError(
                    f"{backbone} features hold NaN or infinity; its weights are damaged or the device miscalculates"
                )
            if self._keep:
                self._cache.put(key, features)
        self._features[backbone].append(features)

    def _key(self, backbone: str) -> str:
        record = self._networks.record(backbone)
        # A GPU's features differ from a processor's in their last bits, and must not pass for them.
        kind = torch.device(self._networks.device).type
        parts = [f"features/{FEATURES}", kind, backbone, record.sha256, str(self._plan.size)]
        frames = self.digests
        if backbone != "inception":
            parts += [str(self._plan.window_length), str(self._plan.window_stride), str(self._starts())]
            frames = [digest for digest, _ in self._context] + frames
        return hashlib.sha256("\n".join(parts).encode() + b"".join(frames)).hexdigest()

    def _starts(self) -> list[int]:
        """Where the windows that end in this block start, counted from the first carried frame."""
        length, stride = self._plan.window_length, self._plan.window_stride
        first = self._seen - len(self._context)
        last = self._seen + len(self.digests) - length
        earliest = max(0, self._seen - length + 1)
        return [start - first for start in range(-(-earliest // stride) * stride, last + 1, stride)]

    def _frame_features(self, squares: Frames) -> Array:
        network = self._networks.get("inception")
        assert isinstance(network, FrameBackbone)
        unique = _first_places(self.digests)
        features = network.features(squares[list(unique.values())]).cpu().numpy()
        return _spread(features, unique, self.digests)

    def _window_features(self, backbone: str, squares: Frames) -> Array:
        network = self._networks.get(backbone)
        assert isinstance(network, WindowBackbone)
        sequence = [*self._context, *zip(self.digests, squares, strict=True)]
        windows = [
            tuple(digest for digest, _ in sequence[start : start + self._plan.window_length])
            for start in self._starts()
        ]
        if not windows:
            return np.zeros((0, network.dimension), np.float32)
        pixels = dict(sequence)
        prepared = {digest: frame for digest, frame in self._prepared[backbone].items() if digest in pixels}
        missing = [digest for digest in pixels if digest not in prepared]
        if missing:
            ready = network.prepare(np.stack([pixels[digest] for digest in missing]))
            prepared |= dict(zip(missing, ready, strict=True))
        self._prepared[backbone] = prepared
        unique = _first_places(windows)
        batches = [
            network.features(
                torch.stack([torch.stack([prepared[digest] for digest in window]) for window in batch])
            ).cpu()
            for batch in _batched(unique, self._networks.batch["windows"])
        ]
        return _spread(torch.cat(batches).numpy(), unique, windows)


class PairDistances:
    """LPIPS of a clip's frame pairs, keeping the last activations: a frame that stays is not run again."""

    def __init__(self, name: str, signed: bool, plan: Plan, networks: Networks) -> None:
        self._name = name
        self._signed = signed
        self._size = plan.size
        self._networks = networks
        self._recent: OrderedDict[bytes, tuple[torch.Tensor, ...]] = OrderedDict()

    def add(
        self, p: Frames, t: Frames, p_digests: Sequence[bytes], t_digests: Sequence[bytes], labels: Frames | None
    ) -> tuple[Array, tuple[Array, Array] | None]:
        """Distances (n,), and on the characters values and validity where there are masks and this is AlexNet."""
        network = self._networks.get(self._name)
        assert isinstance(network, PairBackbone)
        on_masks = labels is not None and self._name == "alexnet"
        values = np.zeros(len(p))
        characters: list[tuple[Array, Array]] = []
        step = self._networks.batch["pairs"]
        for places in _batched(range(len(p)), step):
            wanted: dict[bytes, Frames] = {}
            for place in places:
                # Equal frames are at distance 0 whatever the network says, and need no pass.
                if p_digests[place] != t_digests[place]:
                    wanted[p_digests[place]] = p[place]
                    wanted[t_digests[place]] = t[place]
            self._activate(network, wanted, capacity=2 * step)
            for place in places:
                if p_digests[place] == t_digests[place]:
                    heat = np.zeros((1, self._size, self._size), np.float32)
                else:
                    a, b = self._recent[p_digests[place]], self._recent[t_digests[place]]
                    values[place] = float(network.distance(a, b)[0])
                    if on_masks:
                        heat = network.distance_map(a, b, (self._size, self._size)).cpu().numpy()
                if on_masks and labels is not None:
                    characters.append(lpips_characters(heat, labels[place : place + 1]))
        if not on_masks:
            return values, None
        return values, (np.concatenate([c[0] for c in characters]), np.concatenate([c[1] for c in characters]))

    def _activate(self, network: PairBackbone, wanted: Mapping[bytes, Frames], capacity: int) -> None:
        missing = [digest for digest in wanted if digest not in self._recent]
        for digest in wanted:
            if digest in self._recent:
                self._recent.move_to_end(digest)
        while self._recent and len(self._recent) + len(missing) > max(capacity, len(wanted)):
            self._recent.popitem(last=False)
        for batch in _batched(missing, self._networks.batch["pairs"]):
            layers = network.activations(np.stack([wanted[digest] for digest in batch]), self._signed)
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


def _spread(features: Array, unique: Mapping[Any, int], keys: Sequence[Any]) -> Array:
    """Features of distinct keys, laid out for every key."""
    row = {key: place for place, key in enumerate(unique)}
    return features[[row[key] for key in keys]]
