"""Two processes give what one gives, also where one of them has no video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from metric_fakes import FrameFake, PairFake, WindowFake, clips
from torchmetrics import Metric

from mcbench.metrics import FID, FIDVID, FVD, KID, KVD, L1, LPIPS, PSNR, SSIM


def build() -> list[Metric]:
    made: list[Metric] = []
    for protocol in ("disco-legacy@1", "mcbench@1"):
        made += [metric(protocol) for metric in (L1, PSNR, SSIM)]
        made += [LPIPS(protocol, backbone=PairFake()), FID(protocol, backbone=FrameFake())]
        made += [FIDVID(protocol, backbone=WindowFake()), FVD(protocol, backbone=WindowFake())]
    return [*made, KID(backbone=FrameFake()), KVD(backbone=WindowFake())]


LENGTHS = (33, 12, 50, 40, 17)


def values(videos: list[int]) -> list[float]:
    torch.set_num_threads(1)
    metrics = build()
    for metric in metrics:
        for v in videos:
            prediction, truth = clips(1, LENGTHS[v], v)
            metric.update(prediction[0], truth[0])
    return [float(metric.compute()) for metric in metrics]


def worker(rank: int, folder: str, shares: list[list[int]]) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(shares))
    torch.save(values(shares[rank]), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def run(shares: list[list[int]]) -> list[list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        spawn: Callable[..., object] = torch.multiprocessing.spawn
        spawn(worker, args=(folder, shares), nprocs=len(shares))
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(len(shares))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("shares", [[[0, 1, 2], [3, 4]], [[3], [0, 1, 4, 2]], [[], [0, 1, 2, 3, 4]]])
def test_two_processes_equal_one(shares: list[list[int]]) -> None:
    expected = values([0, 1, 2, 3, 4])
    for found in run(shares):
        assert found == pytest.approx(expected, rel=1e-9)
