"""Depth Anything through transformers, with a tiny network of its kind."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from fypv2.extractors import DepthAnything, ExtractorError


def tiny(folder: Path, kind: str = "relative") -> Path:
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, depth_estimation_type=kind, max_depth=10,
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.DepthAnythingForDepthEstimation(config)
    network.save_pretrained(folder)
    transformers.DPTImageProcessor(
        size={"height": 28, "width": 28}, keep_aspect_ratio=True, ensure_multiple_of=14
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("depth") / "tiny")


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8)


def test_nearness_is_the_network_s_answer_at_the_frame_s_size(model: Path, frame: np.ndarray) -> None:
    depth = DepthAnything(model)
    nearness = depth.nearness(frame)
    assert nearness.shape == (45, 61)
    assert nearness.dtype == np.float32
    # The image transformers documents for it: what its pipeline gives.
    pipe = transformers.pipeline(
        "depth-estimation",
        model=transformers.AutoModelForDepthEstimation.from_pretrained(model),
        image_processor=transformers.AutoImageProcessor.from_pretrained(model),
    )
    from PIL import Image

    expected = pipe(Image.fromarray(frame))["predicted_depth"]
    assert np.allclose(nearness, expected, atol=1e-5)
    (used,) = depth.record.weights
    assert used.sha256 == hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert used.source == "custom"
    assert "transformers" in depth.record.libraries


def test_of_metric_depth_the_inverse_is_taken(tmp_path: Path, frame: np.ndarray) -> None:
    depth = DepthAnything(tiny(tmp_path, "metric"))
    nearness = depth.nearness(frame)
    assert depth.record.settings == {"metric": True}
    assert (nearness > 0.1 - 1e-3).all(), "metric depth lies under 10 m here, so nearness over 0.1"


def test_damaged_weights_are_told(model: Path, frame: np.ndarray) -> None:
    depth = DepthAnything(model)
    with torch.no_grad():
        next(depth.network.parameters()).fill_(float("nan"))
    with pytest.raises(ExtractorError, match="not finite"):
        depth.nearness(frame)


def test_faults_are_one_line(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((model / "config.json").read_bytes())
    torch.save({}, pickled / "pytorch_model.bin")
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in model.iterdir():
        (torn / file.name).write_bytes(file.read_bytes())
    (torn / "model.safetensors").write_bytes(b"torn")
    for where, message in (
        (tmp_path / "none", "no depth model in"),
        (pickled, "no \\*.safetensors"),
        (torn, "no depth network can be loaded"),
        ("depth-anything/no-such-model", "not in the Hub's cache"),
    ):
        with pytest.raises(ExtractorError, match=message) as caught:
            DepthAnything(where, offline=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(ExtractorError, match="uint8"):
        DepthAnything(model).nearness(np.zeros((9, 9, 3), np.float32))
