"""RAFT: what is given to the network, what is taken from it, and which weights are let in."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from fypv2.extractors import ExtractorError, RaftFlow


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raft_small with weights drawn by lot."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "own.pth"
    torch.save(optical_flow.raft_small(weights=None).state_dict(), path)
    return path


class _Seen(torch.nn.Module):
    """In the network's place: keeps what it was given; its flow is x of the first image's pixel, then y."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, one: torch.Tensor, other: torch.Tensor, num_flow_updates: int) -> list[torch.Tensor]:
        self.pairs.append((one, other))
        y, x = torch.meshgrid(*(torch.arange(side).float() for side in one.shape[2:]), indexing="ij")
        return [torch.zeros(1, 2, *one.shape[2:]), torch.stack([x, y])[None]]


def test_real_network_at_an_odd_size(small: Path) -> None:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (3, 131, 90, 3), np.uint8)
    raft = RaftFlow("raft_small", weights=small, updates=2)
    flow = raft.flow(frames)
    assert flow.shape == (3, 131, 90, 2)
    assert flow.dtype == np.float32
    assert not flow[0].any()
    # The same as torchvision's network when it is asked for the motion from a frame to the one before it.
    network = optical_flow.raft_small(weights=None).eval()
    network.load_state_dict(torch.load(small, weights_only=True))
    images = torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    images = torch.nn.functional.pad(images, (19, 19, 2, 3), mode="replicate")
    with torch.inference_mode():
        expected = network(images[2:3], images[1:2], num_flow_updates=2)[-1][0, :, 2:133, 19:109].permute(1, 2, 0)
    assert np.allclose(flow[2], expected, atol=1e-4)
    assert raft.record.weights[0].sha256 == hashlib.sha256(small.read_bytes()).hexdigest()
    assert raft.record.weights[0].source == "custom"
    assert raft.record.settings == {"updates": 2}


def test_network_is_given_this_frame_and_the_one_before_padded_in_minus_one_to_one(small: Path) -> None:
    raft = RaftFlow("raft_small", weights=small)
    raft.network = seen = _Seen()
    frames = np.stack([np.full((130, 200, 3), value, np.uint8) for value in (0, 255, 51)])
    flow = raft.flow(frames)
    assert [(float(a.unique()), float(b.unique())) for a, b in seen.pairs] == [(1, -1), (pytest.approx(-0.6), 1)]
    assert seen.pairs[0][0].shape == (1, 3, 136, 200)
    # Three rows were added above, none at the left: the padding is cut off again, x before y.
    assert flow[1, 0, 0].tolist() == [0, 3]
    assert flow[1, 129, 199].tolist() == [199, 132]


def test_flows_come_one_by_one(small: Path) -> None:
    raft = RaftFlow("raft_small", weights=small)
    raft.network = _Seen()
    taken = []

    def frames():
        for index in range(4):
            taken.append(index)
            yield np.zeros((128, 128, 3), np.uint8)

    flows = raft.flows(frames())
    next(flows)
    next(flows)
    assert taken == [0, 1]


def test_published_weights_are_those_of_torchvision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path
) -> None:
    monkeypatch.setenv("MCBENCH_WEIGHTS", str(tmp_path))
    asked = []

    def download(url: str, to: str, hash_prefix: str, progress: bool) -> None:
        asked.append((url, hash_prefix))
        Path(to).write_bytes(small.read_bytes())

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ExtractorError, match=r"SHA-256 begins with .* that of the published file with 01064c6d"):
        RaftFlow("raft_small")
    assert asked == [(optical_flow.Raft_Small_Weights.C_T_V2.url, "01064c6d")]


def test_offline_names_the_file_and_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MCBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = tmp_path / "raft_large_C_T_SKHT_V2-ff5fadd5.pth"
    with pytest.raises(ExtractorError, match=re.escape(str(place))):
        RaftFlow()
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def broken(*args: object, **more: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(ExtractorError, match=r"could not be fetched \(no route to host\); fetch https://"):
        RaftFlow()


def test_faults_are_one_line(tmp_path: Path, small: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    # A pickle that would run code is not unpickled.
    torch.save({"weight": Path("x")}, tmp_path / "code.pth")
    for arguments, message in (
        (("raft_tiny",), "raft_large, raft_small"),
        (("raft_large", small), "not the weights of raft_large"),
        (("raft_small", tmp_path / "text.pth"), "no weights can be read"),
        (("raft_small", tmp_path / "code.pth"), "no weights can be read"),
        (("raft_small", tmp_path / "list.pth"), "holds a list"),
        (("raft_small", tmp_path / "none.pth"), "cannot be read"),
    ):
        with pytest.raises(ExtractorError, match=message) as caught:
            RaftFlow(arguments[0], weights=arguments[1] if len(arguments) > 1 else None)
        assert "\n" not in str(caught.value)
    with pytest.raises(ExtractorError, match="0 updates"):
        RaftFlow("raft_small", weights=small, updates=0)
    with pytest.raises(ExtractorError, match="of one size"):
        RaftFlow("raft_small", weights=small).flow(
            [np.zeros((128, 128, 3), np.uint8), np.zeros((128, 136, 3), np.uint8)]
        )
