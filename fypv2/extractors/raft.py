"""Optical flow by RAFT (Teed and Deng, ECCV 2020), the network and weights of torchvision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from fypv2.extractors.base import (
    Array,
    ExtractorError,
    ExtractorRecord,
    FlowExtractor,
    Frame,
    library_versions,
    sized_frames,
)
from fypv2.extractors.weights import find_weights, weights_folder, weights_used

__all__ = ["RaftFlow"]

_STEP = 8
"""The network works on an eighth of the size."""
_LEAST = 128
"""Pixels a side: its coarsest correlation volume, a 64th of the size, needs two."""


class RaftFlow(FlowExtractor):
    """Flow from each frame to the one before it.

    Args:
        model: `raft_large` or `raft_small`.
        weights: a state dict on disk; torchvision's own (C_T_SKHT_V2 of `raft_large`, C_T_V2 of `raft_small`) if None,
            looked for in the weights folder and else downloaded there. A file with the name of a published one must
            have its hash.
        device: of torch.
        updates: refinements of the flow; 12 in training.
        offline: never touch the network; None: as `HF_HUB_OFFLINE` says.

    Raises:
        ExtractorError: if the model is unknown, or its weights are missing or not what they should be.
    """

    def __init__(
        self,
        model: str = "raft_large",
        *,
        weights: Path | str | None = None,
        device: str | torch.device = "cpu",
        updates: int = 12,
        offline: bool | None = None,
    ) -> None:
        from torchvision.models import optical_flow

        kinds = {
            "raft_large": (optical_flow.raft_large, optical_flow.Raft_Large_Weights),
            "raft_small": (optical_flow.raft_small, optical_flow.Raft_Small_Weights),
        }
        if model not in kinds:
            raise ExtractorError(f"no flow network is called '{model}'; there are {', '.join(kinds)}")
        if updates < 1:
            raise ExtractorError(f"{updates} updates of the flow; give 1 or more")
        make, published = kinds[model]
        address = published.DEFAULT.url
        path = Path(weights) if weights is not None else weights_folder() / _file_name(address)
        if weights is None:
            find_weights(path, address, _download, offline=offline)
        prefixes = {_file_name(entry.url): _hash_prefix(entry.url) for entry in published}
        self._used = weights_used(path, prefixes.get(path.name))
        self.model, self.updates, self.device = model, updates, torch.device(device)
        # On the meta device no tensor is made before the weights come.
        with torch.device("meta"):
            self.network: torch.nn.Module = make(weights=None, progress=False)
        try:
            self.network.load_state_dict(_state(path), assign=True)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ExtractorError(f"{path}: not the weights of {model}; give the file that belongs to it") from error
        self.network.to(self.device).eval()

    @property
    def record(self) -> ExtractorRecord:
        """The network, its weights and the number of updates."""
        versions = library_versions("torch", "torchvision")
        return ExtractorRecord(self.model, versions, (self._used,), {"updates": self.updates})

    def flows(self, frames: Iterable[Frame]) -> Iterator[Array]:
        """See `FlowExtractor.flows`. Frames are padded by their edges to multiples of 8 and at least 128 pixels."""
        before: torch.Tensor | None = None
        for frame in sized_frames(frames):
            height, width = frame.shape[:2]
            now = self._prepared(frame)
            if before is None:
                flow = torch.zeros(2, height, width)
            else:
                with torch.inference_mode():
                    flow = self.network(now, before, num_flow_updates=self.updates)[-1][0]
                top, left = _margins(height)[0], _margins(width)[0]
                flow = flow[:, top : top + height, left : left + width]
            before = now
            yield flow.permute(1, 2, 0).float().cpu().numpy()

    def _prepared(self, frame: Frame) -> torch.Tensor:
        """(1, 3, H', W') in [-1, 1]."""
        image = torch.tensor(frame, device=self.device).permute(2, 0, 1)[None].float() / 127.5 - 1
        (top, bottom), (left, right) = _margins(frame.shape[0]), _margins(frame.shape[1])
        return torch.nn.functional.pad(image, (left, right, top, bottom), mode="replicate")


def _margins(side: int) -> tuple[int, int]:
    """Pixels added on both ends of a side."""
    more = max(-(-side // _STEP) * _STEP, _LEAST) - side
    return more // 2, more - more // 2


def _file_name(address: str) -> str:
    return address.rsplit("/", 1)[1]


def _hash_prefix(address: str) -> str:
    """torchvision's file names end in the first eight digits of the file's SHA-256."""
    found = re.search(r"-([0-9a-f]{8})\.pth$", address)
    if found is None:
        raise ExtractorError(f"torchvision names {address} without a hash; give a weights file of your own")
    return found[1]


def _download(address: str, path: Path) -> None:
    torch.hub.download_url_to_file(address, str(path), hash_prefix=_hash_prefix(address), progress=False)


def _state(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load lets the errors of zipfile, pickle and struct through.
    except Exception as error:
        raise ExtractorError(f"{path}: no weights can be read from it; give a state dict saved by torch") from error
    if not isinstance(state, dict):
        raise ExtractorError(f"{path}: holds a {type(state).__name__}; give a state dict saved by torch")
    return state
