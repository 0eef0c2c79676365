"""LPIPS of clips: how frames are put to the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_fakes import PairFake

from mcbench.backbones import load_backbone
from mcbench.metrics import LPIPS, lpips


def test_every_frame_is_scored_in_its_order() -> None:
    prediction, truth = np.random.default_rng(1).integers(0, 256, (2, 11, 8, 9, 3), dtype=np.uint8)
    expected = ((prediction / 255 - truth / 255) ** 2).reshape(11, -1).mean(axis=1)
    unsigned = lpips(prediction, truth, PairFake(), signed=False)
    np.testing.assert_allclose(unsigned, expected, rtol=1e-5)
    np.testing.assert_allclose(lpips(prediction, truth, PairFake(), signed=True), 4 * expected, rtol=1e-5)
    assert unsigned.dtype == np.float64


def test_protocols_choose_the_range() -> None:
    prediction, truth = torch.randint(0, 256, (2, 3, 8, 8, 3), dtype=torch.uint8)
    values = {}
    for protocol in ("disco-legacy@1", "mcbench@1"):
        metric = LPIPS(protocol, reference_frame=None, backbone=PairFake())
        metric.update(prediction, truth)
        values[protocol] = float(metric.compute())
    assert values["mcbench@1"] == pytest.approx(4 * values["disco-legacy@1"], rel=1e-5)


def test_other_frames_are_refused() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="must be uint8"):
        lpips(frames / 255, frames, PairFake(), signed=True)
    with pytest.raises(ValueError, match="one shape"):
        lpips(frames[:1], frames, PairFake(), signed=True)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "network"), [("disco-legacy@1", "vgg16"), ("mcbench@1", "alexnet")])
def test_networks_of_the_protocols(protocol: str, network: str) -> None:
    torch.set_num_threads(1)
    prediction, truth = torch.randint(0, 256, (2, 2, 64, 64, 3), dtype=torch.uint8)
    metric = LPIPS(protocol, reference_frame=None, weights="random@1")
    assert metric.backbone.name == network
    metric.update(prediction, truth)
    backbone = load_backbone(network, "random@1")
    expected = lpips(prediction.numpy(), truth.numpy(), backbone, signed=protocol == "mcbench@1")
    assert float(metric.compute()) == pytest.approx(expected.mean(), rel=1e-6)
    metric.reset()
    metric.update(truth, truth)
    assert float(metric.compute()) == 0
