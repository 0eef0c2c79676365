"""Monocular depth by Depth Anything V2 (Yang et al., NeurIPS 2024) through transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fypv2.extractors.base import (
    Array,
    DepthExtractor,
    ExtractorError,
    ExtractorRecord,
    Frame,
    library_versions,
    missing_library,
    sized_frames,
)
from fypv2.extractors.weights import is_offline, weights_used

__all__ = ["DEFAULT_MODEL", "DepthAnything"]

DEFAULT_MODEL = "depth-anything/Depth-Anything-V2-Small-hf"
"""The Small one is under Apache-2.0; Base and Large are not for commercial use."""

_FILES = ["*.json", "*.safetensors"]


class DepthAnything(DepthExtractor):
    """Nearness of each pixel of a picture.

    Any depth network that transformers' `AutoModelForDepthEstimation` loads will do. Relative ones predict inverse
    depth, which is nearness already; of those that their config calls metric the inverse is taken.

    Args:
        model: a folder that `save_pretrained` wrote, or a name on the Hugging Face Hub, found in its cache or
            downloaded. Weights are read from safetensors only, and no code of the model's own is run.
        revision: commit, branch or tag on the Hub.
        device: of torch.
        offline: never touch the network; None: as `HF_HUB_OFFLINE` says.

    Raises:
        ExtractorError: if the model is not there, or cannot be loaded so.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        device: str | torch.device = "cpu",
        offline: bool | None = None,
    ) -> None:
        try:
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
        except ImportError as error:
            raise missing_library("depth estimation", error) from error
        folder = _folder(str(model), revision, offline)
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ExtractorError(f"{folder}: no *.safetensors in it, and nothing else is loaded; convert the weights")
        self.name = folder.name if Path(model).is_dir() else str(model)
        self._used = tuple(weights_used(file, named=not Path(model).is_dir()) for file in files)
        self.device = torch.device(device)
        try:
            processors: Any = AutoImageProcessor
            self.processor = processors.from_pretrained(folder, local_files_only=True)
            self.network = AutoModelForDepthEstimation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        # Configs, weights and processors each fail in ways of their own.
        except Exception as error:
            what = " ".join(str(error).split())[:200]
            raise ExtractorError(f"{folder}: no depth network can be loaded from it ({what})") from error
        self.network.to(self.device).eval()
        self.metric = getattr(self.network.config, "depth_estimation_type", "relative") == "metric"

    @property
    def record(self) -> ExtractorRecord:
        """The model and its weights."""
        return ExtractorRecord(
            self.name, library_versions("torch", "transformers"), self._used, {"metric": self.metric}
        )

    def nearness(self, frame: Frame) -> Array:
        """See `DepthExtractor.nearness`; the network's own size is resized to the frame's, bicubic as it was trained.

        Raises:
            ExtractorError: if that is not a frame, or the network's answer is not finite.
        """
        (checked,) = sized_frames([frame])
        inputs = self.processor(images=checked, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            depth = self.network(pixel_values=inputs["pixel_values"].to(self.device)).predicted_depth
            depth = torch.nn.functional.interpolate(
                depth[:, None].float(), frame.shape[:2], mode="bicubic", align_corners=False
            )[0, 0]
        if self.metric:
            depth = 1 / depth.clamp_min(1e-6)
        if not torch.isfinite(depth).all():
            raise ExtractorError(
                f"{self.name} gives depths that are not finite; its weights are damaged, fetch them again"
            )
        return depth.cpu().numpy().astype(np.float32, copy=False)


def _folder(model: str, revision: str | None, offline: bool | None) -> Path:
    """Where the model lies on this machine."""
    if Path(model).is_dir():
        return Path(model)
    if Path(model).is_absolute() or model.count("/") != 1:
        raise ExtractorError(f"no depth model in {model}; give a folder with config.json, or a name on the Hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=_FILES, local_files_only=is_offline(offline))
        )
    # The hub's client raises a dozen kinds of error, of httpx's and of its own.
    except Exception as error:
        raise ExtractorError(
            f"depth model '{model}' is not in the Hub's cache and cannot be fetched; put its *.json and *.safetensors "
            "into a folder and give that folder"
        ) from error
