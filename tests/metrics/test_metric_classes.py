"""The torchmetrics classes: each against its function, under every way in which torchmetrics is used."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from metric_fakes import FrameFake, PairFake, WindowFake, clips
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from mcbench import metrics
from mcbench.errors import UsageError
from mcbench.metrics import FID, FIDVID, FVD, KID, KVD, L1, LPIPS, PSNR, SSIM
from mcbench.protocol import DISCO_LEGACY, MCBENCH

PAIR = {"l1": L1, "psnr": PSNR, "ssim": SSIM, "lpips": lambda *a, **k: LPIPS(*a, backbone=PairFake(), **k)}
FEATURE = {
    "fid": lambda *a, **k: FID(*a, backbone=FrameFake(), **k),
    "fid_vid": lambda *a, **k: FIDVID(*a, backbone=WindowFake(), **k),
    "fvd": lambda *a, **k: FVD(*a, backbone=WindowFake(), **k),
    "kid": lambda *a, **k: KID(*a, backbone=FrameFake(), **k),
    "kvd": lambda *a, **k: KVD(*a, backbone=WindowFake(), **k),
}
ALL: dict[str, Callable[..., Metric]] = {**PAIR, **FEATURE}
CASES = [(name, protocol.id) for protocol in (DISCO_LEGACY, MCBENCH) for name in protocol.metrics]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def frame_scores(name: str, protocol: str, prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    legacy = protocol == "disco-legacy@1"
    if name == "l1":
        error = metrics.absolute_error(prediction, truth)
        return metrics.l1_per_area(error, *truth.shape[1:3]) if legacy else metrics.l1_unit(error)
    if name == "lpips":
        return metrics.lpips(prediction, truth, PairFake(), signed=not legacy)
    functions = {"psnr": (metrics.psnr_wrapped, metrics.psnr), "ssim": (metrics.ssim_uniform, metrics.ssim_gaussian)}
    return functions[name][0 if legacy else 1](prediction, truth)


def expected_pair(name: str, protocol: str, videos: list[tuple[Tensor, Tensor]]) -> float:
    """By the protocol's words: all frames pooled, or frames but the reference a video, then videos."""
    scores = [frame_scores(name, protocol, p.numpy(), t.numpy()) for p, t in videos]
    if protocol == "disco-legacy@1":
        return float(np.concatenate(scores).mean())
    return float(np.mean([values[1:].mean() for values in scores]))


def expected_feature(name: str, protocol: str, videos: list[tuple[Tensor, Tensor]]) -> float:
    stride = 1 if protocol == "disco-legacy@1" else 16
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for pair in videos:
        for side, frames in zip(sides, pair, strict=True):
            if name in ("fid", "kid"):
                side.append(FrameFake().eval().features(frames).numpy())
                continue
            prepared = WindowFake().prepare(frames)
            starts = metrics.window_starts(len(frames), stride)
            if starts:
                side.append(WindowFake().features(torch.stack([prepared[s : s + 16] for s in starts])).numpy())
    return float(getattr(metrics, name)(*sides))


def some_videos() -> list[tuple[Tensor, Tensor]]:
    """Videos of unequal length, one of them shorter than a window."""
    return [tuple(side[0] for side in clips(1, n, n)) for n in (33, 12, 50, 40, 17)]


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_equals_the_function(name: str, protocol: str) -> None:
    metric = ALL[name](protocol)
    for prediction, truth in some_videos():
        metric.update(prediction, truth)
    expected = (expected_pair if name in PAIR else expected_feature)(name, protocol, some_videos())
    value = metric.compute()
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_a_batch_is_its_videos(name: str, protocol: str) -> None:
    predictions, truth = clips(3, 34, 1)
    batched, single = ALL[name](protocol), ALL[name](protocol)
    batched.update(predictions, truth)
    for p, t in zip(predictions, truth, strict=True):
        single.update(p, t)
    assert batched.compute() == single.compute()


@pytest.mark.parametrize("name", ALL)
def test_reset_forgets(name: str) -> None:
    metric = ALL[name]()
    metric.update(*clips(2, 40, 1))
    metric.reset()
    metric.update(*clips(2, 40, 2))
    fresh = ALL[name]()
    fresh.update(*clips(2, 40, 2))
    assert metric.compute() == fresh.compute()


@pytest.mark.parametrize("name", ALL)
def test_forward_scores_the_batch_and_keeps_all(name: str) -> None:
    metric, batch, both = ALL[name](), ALL[name](), ALL[name]()
    first, second = clips(2, 40, 1), clips(2, 40, 2)
    metric(*first)
    value = metric(*second)
    batch.update(*second)
    assert value == batch.compute()
    both.update(*first)
    both.update(*second)
    assert metric.compute() == both.compute()


@pytest.mark.parametrize("name", ALL)
def test_survives_pickling_copying_and_moving(name: str) -> None:
    metric = ALL[name]()
    metric.update(*clips(2, 40, 1))
    twin = pickle.loads(pickle.dumps(metric))
    copied = copy.deepcopy(metric).to("cpu")
    for other in (metric, twin, copied):
        other.update(*clips(1, 40, 2))
    assert metric.compute() == twin.compute() == copied.compute()


@pytest.mark.parametrize("name", ALL)
def test_a_model_around_it_may_train(name: str) -> None:
    metric, alone = ALL[name](), ALL[name]()
    nn.Sequential(metric).train()
    for other in (metric, alone):
        other.update(*clips(2, 40, 1))
    assert metric.compute() == alone.compute()
    assert metric.compute().dtype == torch.float64


@pytest.mark.parametrize("name", PAIR)
def test_a_model_around_it_may_be_of_half_precision(name: str) -> None:
    metric, alone = ALL[name](), ALL[name]()
    model = nn.Sequential(metric)
    metric.update(*clips(1, 40, 1))
    model.half()
    metric.update(*clips(1, 40, 2))
    alone.update(*clips(1, 40, 1))
    alone.update(*clips(1, 40, 2))
    assert metric.compute() == alone.compute()


def test_a_collection_takes_them_together() -> None:
    collection = MetricCollection({name: ALL[name]() for name in ALL})
    collection.update(*clips(3, 40, 1))
    assert set(collection.compute()) == set(ALL)
    fid = ALL["fid"]()
    fid.update(*clips(3, 40, 1))
    assert collection.compute()["fid"] == fid.compute()


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_the_truth_scores_perfectly(name: str, protocol: str) -> None:
    _, truth = clips(2, 40, 1)
    metric = ALL[name](protocol)
    metric.update(truth, truth)
    assert float(metric.compute()) == pytest.approx({"psnr": 100, "ssim": 1}.get(name, 0), abs=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_knows_which_way_is_better(name: str) -> None:
    metric = ALL[name]()
    prediction, truth = clips(4, 40, 3)
    metric.update(prediction, truth)
    worse = ALL[name]()
    worse.update((prediction.int() + 40).to(torch.uint8), truth)
    assert (worse.compute() < metric.compute()) == metric.higher_is_better


@pytest.mark.parametrize("name", PAIR)
def test_reference_frame(name: str) -> None:
    prediction, truth = (side[0] for side in clips(1, 6, 1))
    without = {}
    for reference in (0, 4, None):
        metric = ALL[name](reference_frame=reference)
        metric.update(prediction, truth)
        scores = frame_scores(name, "mcbench@1", prediction.numpy(), truth.numpy())
        kept = scores if reference is None else np.delete(scores, reference)
        without[reference] = float(metric.compute())
        assert without[reference] == pytest.approx(kept.mean(), rel=1e-6)
    assert len(set(without.values())) == 3
    # The published evaluator counts the reference frame, whatever it was.
    values = []
    for reference in (0, 4, None):
        metric = ALL[name]("disco-legacy@1", reference_frame=reference)
        metric.update(prediction, truth)
        values.append(float(metric.compute()))
    assert len(set(values)) == 1


def test_reference_frames_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        PSNR(reference_frame=-1)
    prediction, truth = clips(1, 3, 1)
    with pytest.raises(ValueError, match="a video of 3 frames has no frame 3, its reference"):
        PSNR(reference_frame=3).update(prediction, truth)
    with pytest.raises(ValueError, match="nothing but its reference frame has no psnr"):
        PSNR().update(prediction[:, :1], truth[:, :1])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("predictions", "truth", "message"),
    [
        (torch.zeros(2, 8, 8, 3), torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "predictions must be a uint8 tensor"),
        (np.zeros((2, 8, 8, 3), np.uint8), torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "not ndarray"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(8, 8, 3, dtype=torch.uint8), "must have the shape"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "have the shape"),
        (torch.zeros(0, 8, 8, 3, dtype=torch.uint8), torch.zeros(0, 8, 8, 3, dtype=torch.uint8), "have the shape"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(3, 8, 8, 3, dtype=torch.uint8), "one shape"),
        (torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8), torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "one shape"),
    ],
)
def test_other_inputs_are_refused(name: str, predictions: Tensor, truth: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ALL[name]().update(predictions, truth)


def test_an_update_that_fails_adds_nothing() -> None:
    metric = SSIM()
    metric.update(*clips(1, 4, 1))
    value = metric.compute()
    predictions, truth = clips(2, 4, 2, side=8)
    with pytest.raises(ValueError, match="smaller than the 11 x 11 window"):
        metric.update(predictions, truth)
    assert len(metric._gather("counts")) == 1
    assert metric.compute() == value


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("name", ALL)
def test_no_video_has_no_value(name: str) -> None:
    metric = ALL[name]()
    with pytest.raises(ValueError, match=f"{name} has no value"):
        metric.compute()


@pytest.mark.parametrize("name", ["fid_vid", "fvd", "kvd"])
def test_videos_without_a_window_say_so(name: str) -> None:
    metric = ALL[name]()
    metric.update(*clips(3, 15, 1))
    with pytest.raises(ValueError, match="3 videos have no window of 16 frames"):
        metric.compute()
    metric.update(*clips(1, 16, 2))
    with pytest.raises(ValueError, match="needs two"):
        metric.compute()


def test_kernel_distances_belong_to_one_protocol() -> None:
    for name in ("kid", "kvd"):
        with pytest.raises(UsageError, match=f"disco-legacy@1 has no {name}; it is a metric of mcbench@1"):
            ALL[name]("disco-legacy@1")


def test_unknown_protocols_are_refused() -> None:
    with pytest.raises(UsageError, match="no protocol is called"):
        L1("disco@1")


def test_a_protocol_may_be_given_as_itself() -> None:
    assert PSNR(DISCO_LEGACY).protocol is DISCO_LEGACY
    assert PSNR().protocol is MCBENCH


def test_every_public_name_is_there() -> None:
    assert sorted(metrics.__all__) == metrics.__all__
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("metric_class", [FID, KID, FIDVID, FVD, KVD])
def test_real_networks(metric_class: type[Metric]) -> None:
    metric = metric_class(weights="random@1")
    predictions, truth = clips(3, 16, 1, side=48)
    metric.update(predictions, truth)
    value = metric.compute()
    assert torch.isfinite(value)
    dimension = {"i3d": 400}.get(metric.backbone_name, 2048)
    per_video = 16 if metric_class in (FID, KID) else 1
    assert len(metric._gather("truth_features")) == 3 * per_video * dimension
    metric.reset()
    metric.update(truth, truth)
    assert metric.compute() == 0


def test_a_collection_keeps_apart_what_looks_alike_at_first() -> None:
    # torchmetrics merges metrics whose states have the same names and values after the first update.
    from torchmetrics import MetricCollection

    random = torch.Generator().manual_seed(3)
    truth, wrong = torch.randint(0, 256, (2, 2, 18, 16, 16, 3), dtype=torch.uint8, generator=random)
    perfect = truth.clone()
    alone = {"l1": L1(), "legacy": L1("disco-legacy@1"), "lpips": LPIPS(backbone=PairFake())}
    together = MetricCollection({"l1": L1(), "legacy": L1("disco-legacy@1"), "lpips": LPIPS(backbone=PairFake())})
    for prediction in (perfect, wrong):
        together.update(prediction, truth)
        for metric in alone.values():
            metric.update(prediction, truth)
    for name, value in together.compute().items():
        assert value == alone[name].compute(), name


def test_the_network_is_no_part_of_the_model_around_it() -> None:
    model = torch.nn.Sequential(FID(backbone=FrameFake()))
    assert not list(model.parameters())
    assert not model.state_dict()
    model.half()
