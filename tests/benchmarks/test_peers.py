"""The comparison with separate passes: what they compute, how speed-ups and equal numbers are told."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peers import EXTRA, SEQUENCE, Bench, distance_of, frechet_counts, main, make_videos, reason_for, write_weights
from peers_report import compare_values, exact_distance, frechet_rows, relative_difference, speed_rows, table
from PIL import Image
from separate_passes import PASSES, average, clips_of, drawn_features, frechet_by_scipy, pairwise
from separate_passes import lpips as lpips_script

from mcbench import UserError, open_frames, write_frames, write_video
from mcbench.backbones import load_backbone
from mcbench.backbones.base import WindowBackbone
from mcbench.backbones.resize import resize_pillow
from mcbench.backbones.weights import REGISTRY
from mcbench.metrics.frechet import frechet_distance
from mcbench.metrics.l1 import absolute_error
from mcbench.metrics.lpips import lpips
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.metrics.ssim import ssim_gaussian, ssim_uniform
from mcbench.protocol import DISCO_LEGACY, MCBENCH

SIZE = 48


@pytest.fixture
def videos() -> tuple[np.ndarray, np.ndarray]:
    """Two clips of prediction and of truth: (2, 6, SIZE, SIZE, 3)."""
    random = np.random.default_rng(0)
    truth = np.repeat(random.integers(0, 256, (2, 6, SIZE // 8, SIZE // 8, 3), np.uint8), 8, axis=2).repeat(8, axis=3)
    prediction = np.clip(truth * 0.9 + random.integers(-20, 21, truth.shape), 0, 255).astype(np.uint8)
    return prediction, truth


@pytest.fixture
def options(videos: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Namespace:
    """What a pass is called with, its PNG files written by the first pass."""
    sides = {}
    for side, clips in zip(("predictions", "truth"), videos, strict=True):
        for name, clip in zip(("b", "a-1"), clips, strict=True):
            write_frames(tmp_path / f"{side}-folders" / name, clip)
        sides[side] = tmp_path / side
        PASSES["decode"](Namespace(predictions=tmp_path / f"{side}-folders", truth=sides[side]), MCBENCH)
    return Namespace(**sides, device="cpu", weights=tmp_path, out=tmp_path / "found.json", windows=2, loaders=0)


def test_a_video_is_decoded_to_the_frames_that_mcbench_reads(videos: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "one.mp4", videos[1][0], 25)
    found = PASSES["decode"](Namespace(predictions=tmp_path / "in", truth=tmp_path / "out"), MCBENCH)
    assert found == {"frames": 6}
    (clip,) = clips_of(tmp_path / "out").values()
    frames = np.stack(list(open_frames(tmp_path / "in" / "one.mp4").read()))
    assert np.array_equal(np.stack([np.array(Image.open(file)) for file in clip]), frames)


@pytest.mark.parametrize("links", [True, False])
def test_frames_that_are_png_files_are_not_written_again(
    links: bool, videos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("another file system")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    write_frames(tmp_path / "in" / "one", videos[1][0])
    assert PASSES["decode"](Namespace(predictions=tmp_path / "in", truth=tmp_path / "out"), MCBENCH) == {"frames": 6}
    sources, (clip,) = sorted((tmp_path / "in" / "one").iterdir()), clips_of(tmp_path / "out").values()
    assert [file.read_bytes() for file in clip] == [file.read_bytes() for file in sources]
    assert all(one.samefile(other) == links for one, other in zip(clip, sources, strict=True))


@pytest.mark.parametrize("container", ["mp4", "png"])
def test_no_two_frames_of_the_videos_are_equal(container: str, tmp_path: Path) -> None:
    make_videos(tmp_path / "videos", 1, 8, container)
    frames = [frame.tobytes() for video in sorted(tmp_path.glob("videos/*/*")) for frame in open_frames(video).read()]
    assert len(frames) == len(set(frames)) == 3 * 8


def test_the_pairwise_script_gives_the_protocols_numbers(options: Namespace, videos: Any) -> None:
    """Both protocols: the wrapped and the true PSNR, both windows of SSIM, with and without the first frame."""
    # Clips come in the order of their names: "a-1", which was written second, then "b".
    p, t = (np.concatenate([side[1], side[0]]) for side in videos)
    found = pairwise(options, DISCO_LEGACY)
    assert found["l1"] == pytest.approx(absolute_error(p, t).mean() / SIZE**2, rel=1e-12)
    assert found["psnr"] == pytest.approx(psnr_wrapped(p, t).mean(), rel=1e-12)
    assert found["ssim"] == pytest.approx(ssim_uniform(p, t).mean(), rel=1e-9)
    p, t = (np.concatenate([side[1][1:], side[0][1:]]) for side in videos)
    found = pairwise(options, MCBENCH)
    assert found["l1"] == pytest.approx(absolute_error(p, t).mean() / 255, rel=1e-12)
    assert found["psnr"] == pytest.approx(psnr(p, t).mean(), rel=1e-12)
    assert found["ssim"] == pytest.approx(ssim_gaussian(p, t).mean(), rel=1e-9)


def test_every_frame_of_every_window_is_resized(
    options: Namespace, videos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of 4 at stride 1 of 6 frames: 3 a clip, and 12 resizes a channel, by the filter that mcbench has."""

    class Network(WindowBackbone):
        name, dimension, input_size = "i3d", 2, 16

        def scale(self, frames):  # type: ignore[no-untyped-def]
            return frames / 255

        def forward(self, x):  # type: ignore[no-untyped-def]
            return x[:, :2].mean((2, 3, 4))

    resizes = []
    resize = Image.Image.resize

    def counted(image: Any, *arguments: Any) -> Any:
        resizes.append(image.mode)
        return resize(image, *arguments)

    monkeypatch.setattr(Image.Image, "resize", counted)
    monkeypatch.setattr("separate_passes._plain_network", lambda name, folder: Network())
    found = PASSES["videos"](options, replace(DISCO_LEGACY, window_length=4))
    assert set(found) == {"fid_vid", "fvd", "seconds"}
    assert set(found["seconds"]) == {"fid_vid", "fvd"}
    # By each of the two networks.
    assert resizes == ["F"] * (2 * 2 * 2 * 3 * 4 * 3)
    features = np.load(options.out.with_name("found-fvd.npz"))
    assert features["truth"].shape == (6, 2)
    assert found["fvd"] == pytest.approx(frechet_distance(features["prediction"], features["truth"]), rel=1e-4)
    window = resize_pillow(torch.from_numpy(videos[1][1][:4]), 16)[:, :2].mean((0, 2, 3)) / 255
    assert features["truth"][0] == pytest.approx(window.numpy(), rel=1e-5)


def test_clips_weigh_by_their_frames_or_alike() -> None:
    clips = [[1.0, 2.0, 3.0], [10.0]]
    assert average(clips, DISCO_LEGACY) == 4
    assert average(clips, MCBENCH) == 6


@pytest.mark.parametrize(("vectors", "dimensions"), [(20, 64), (200, 32)])
def test_the_distance_without_a_root_is_the_distance(vectors: int, dimensions: int) -> None:
    sets = drawn_features(vectors, dimensions)
    expected = frechet_distance(*sets)
    assert expected > 0.01
    assert exact_distance(*sets) == pytest.approx(expected, rel=1e-6)
    assert exact_distance(sets[0], sets[1][:-3]) == pytest.approx(frechet_distance(sets[0], sets[1][:-3]), rel=1e-6)
    assert frechet_by_scipy(*sets) == pytest.approx(expected, rel=1e-4)


def test_a_planted_difference_is_found() -> None:
    ours = {"l1": 0.25, "ssim": 0.5, "psnr": 20.0, "kid": None, "lpips": 0.1}
    rows = compare_values(ours, {"l1": 0.25, "ssim": 0.5 * (1 + 2e-5), "psnr": 20.0 * (1 + 5e-6), "kid": 1.0}, {})
    assert {row["metric"]: row["equal"] for row in rows} == {"l1": True, "ssim": False, "psnr": True}
    assert rows[1]["difference"] == pytest.approx(2e-5, rel=1e-3)
    assert relative_difference(0, 0) == 0
    assert relative_difference(0, 1e-30) == 1


def test_a_bad_root_is_told_from_other_features() -> None:
    """A distance that only scipy's root moved is equal by the peer's features; other features are not."""
    x, y = drawn_features(20, 64)
    true = frechet_distance(x, y)
    (row,) = compare_values({"fid": true}, {"fid": true * 1.01}, {"fid": (x, y)})
    assert row["equal"]
    assert "rank 19 in 64" in row["note"]
    (row,) = compare_values({"fid": true}, {"fid": None}, {"fid": (x, y)})
    assert row["equal"]
    assert row["difference"] is None
    assert "gave up" in row["note"]
    (row,) = compare_values({"fid": true}, {"fid": true * 1.01}, {"fid": (x * np.float32(1.001), y)})
    assert row["equal"] is False
    assert row["note"].startswith("other by its features")
    assert row["exact_difference"] > 1e-5
    assert compare_values({"l1": 0.5}, {"l1": None}, {})[0]["equal"] is None


def test_what_pytorch_fid_prints_is_read() -> None:
    assert distance_of("some progress\nFID:  12.5\n") == 12.5
    assert distance_of("FID:  nan\n") is None
    assert distance_of("") is None


def test_a_root_that_comes_out_complex_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(*statistics: Any) -> float:
        raise ValueError("Imaginary component 12548.4")

    sets = drawn_features(3, 8)
    monkeypatch.setattr("pytorch_fid.fid_score.calculate_frechet_distance", gives_up)
    assert frechet_by_scipy(*sets) is None
    monkeypatch.setattr("pytorch_fid.fid_score.calculate_frechet_distance", lambda *statistics: float("nan"))
    assert frechet_by_scipy(*sets) is None
    seconds = {"scipy_seconds": 6.0, "mcbench_seconds": 0.1}
    (row,) = frechet_rows([{"vectors": 3, "dimensions": 8, **seconds, "scipy": None, "mcbench": 2.0}])
    assert (row["speedup"], row["equal"], row["difference"]) == (60.0, None, None)


def test_speed_ups_of_known_times() -> None:
    """Without the truth's decoding where it is cached; `mcbench@1` against both sequences; medians over turns."""

    def turn(slow: float) -> dict[str, Any]:
        legacy = {"decode truth": 2.0, "decode method": 2.0, "lpips": 36.0 * slow}
        own = {"decode truth": 2.0, "decode method": 2.0, "lpips": 6.0}
        return {
            DISCO_LEGACY.id: {"passes": legacy, "mcbench": {"cold": 20.0, "truth cached": 19.0}},
            MCBENCH.id: {"passes": own, "mcbench": {"cold": 4.0, "truth cached": 2.0}},
        }

    turns = [turn(1), turn(2), turn(1)]
    rows = speed_rows(turns, [DISCO_LEGACY, MCBENCH])
    assert [row["speedup"] for row in rows] == [2.0, 2.0, 10.0, 2.5, 4.0]
    assert [row["peers_seconds"] for row in rows] == [40.0, 38.0, 40.0, 10.0, 8.0]
    # 36, 72 and 36 seconds, and 6 for its own numbers, over mcbench's.
    assert [row["speedup_without_decoding"] for row in rows] == [1.8, 1.89, 9.0, 1.5, 3.0]
    assert [row["target"] for row in rows] == [1.3, 1.8, 10.0, None, None]
    assert [row["reached"] for row in rows] == [True, True, True, None, None]
    slower = [turn(0.5)]
    assert [row["reached"] for row in speed_rows(slower, [DISCO_LEGACY, MCBENCH])] == [False, False, False, None, None]
    assert [row["target"] for row in speed_rows(turns, [DISCO_LEGACY], "cuda:0")] == [8.0, None]
    assert [row["row"] for row in speed_rows(turns, [MCBENCH])] == ["cold", "truth cached"]


def test_distances_have_another_target_where_vectors_are_few() -> None:
    found = {"scipy_seconds": 6.0, "mcbench_seconds": 0.1, "scipy": 2.0, "mcbench": 2.0}
    rows = frechet_rows([{"vectors": 20, "dimensions": 64, **found}, {"vectors": 64, "dimensions": 64, **found}])
    assert [(row["target"], row["reached"]) for row in rows] == [(100.0, False), (5.0, True)]
    assert frechet_counts(5, 40).startswith("200x2048,125x2048,125x400,")
    assert frechet_counts(2, 8).startswith("16x2048,3917x2048,")


def test_a_pass_that_fails_is_one_line(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Namespace(threads=1, device="cpu", windows=1))
    bench.png = {"truth": tmp_path / "none", "method-0": tmp_path / "none"}
    with pytest.raises(UserError, match=r"separate_passes.py videos none` failed: .*No such file") as caught:
        bench.run_pass("videos", MCBENCH, "videos")
    assert REGISTRY["r3d50"].file in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "sequences"), [("cpu", [None]), ("cuda:0", [None, "0"])])
def test_only_values_on_a_gpu_are_computed_without_tf32(
    device: str, sequences: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passes are timed with torch's defaults, whatever this process was started with."""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    runs: list[tuple[str, str | None]] = []

    def run(command: list[str], *, env: dict[str, str], **more: Any) -> Namespace:
        name = command[2]
        runs.append((name, env.get("NVIDIA_TF32_OVERRIDE")))
        if "--out" in command:
            out = Path(command[command.index("--out") + 1])
            out.write_text('{"l1": 0.5, "seconds": {"pairwise": 1.0}}', encoding="utf-8")
            names = {"videos": ["-fid_vid", "-fvd"], "fid_features": [""]}.get(name, [])
            for more_name in names:
                np.savez(out.with_name(f"{out.stem}{more_name}.npz"), prediction=np.eye(3), truth=np.eye(3))
        return Namespace(returncode=0, stdout="FID:  12.5", stderr="")

    monkeypatch.setattr("peers.subprocess.run", run)
    monkeypatch.setattr(Bench, "_values", lambda self, protocol: {"l1": 0.5, "fid": 12.5})
    bench = Bench(tmp_path, Namespace(threads=1, device=device, windows=1))
    seconds = bench._passes(0, MCBENCH)
    assert list(seconds) == ["decode truth", "decode method", *SEQUENCE]
    rows = bench.equality(MCBENCH)
    assert [(row["metric"], row["equal"]) for row in rows] == [("l1", True), ("fid", True)]
    assert [tf32 for name, tf32 in runs if name == "videos"] == sequences
    assert [tf32 for name, tf32 in runs if name == "pytorch_fid"] == sequences
    assert [tf32 for name, tf32 in runs if name == "fid_features"] == sequences[-1:]


def test_a_difference_beyond_its_reason_has_no_note() -> None:
    reasons = EXTRA["torchmetrics"]
    for metric, (limit, reason) in reasons.items():
        for factor, note in ((0.9, reason), (1.1, "")):
            row = {"metric": metric, "equal": False, "difference": limit * factor}
            assert reason_for(row, reasons) == note
    assert reason_for({"metric": "ssim", "equal": True, "difference": 0.0}, reasons) == ""
    assert reason_for({"metric": "psnr", "equal": False, "difference": 1e-4}, reasons) == ""
    assert reason_for({"metric": "fid", "equal": None, "difference": None}, reasons) == ""


@pytest.mark.parametrize("words", [["--clips", "1", "--frames", "1"], ["--repeat", "0"]])
def test_too_little_to_compare_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (2, "")
    assert printed.err.count("\n") == 1


@pytest.mark.slow
def test_the_packages_read_the_weights_files(
    options: Namespace, videos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LPIPS of the package `lpips` through torch's own folder, against mcbench on `random@1`, in both protocols."""
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    write_weights(checkpoints)
    assert {file.name for file in checkpoints.iterdir()} == {entry.file for entry in REGISTRY.values()}
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for protocol in (DISCO_LEGACY, MCBENCH):
        first, name = int(protocol.drop_reference), protocol.lpips_network
        p, t = (np.concatenate([side[1][first:], side[0][first:]]) for side in videos)
        network = load_backbone(name, "random@1")
        expected = lpips(p, t, network, signed=protocol.lpips_range == "signed").mean()
        assert expected > 1e-3
        assert lpips_script(options, protocol) == {"lpips": pytest.approx(expected, rel=1e-5)}
        # mcbench reads the same file, and finds the same tensors in it.
        read = load_backbone(name, str(checkpoints / REGISTRY[name].file))
        assert all(torch.equal(a, b) for a, b in zip(read.parameters(), network.parameters(), strict=True))


@pytest.mark.slow
def test_mcbench_and_the_separate_passes_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real networks on two clips of 16 frames: every number of `mcbench@1` that both compute is equal."""
    words = ["--clips", "2", "--frames", "16", "--protocol", MCBENCH.id, "--threads", "1", "--frechet", "24x64,200x64"]
    main([*words, "--out", str(tmp_path / "report.json"), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    rows = report["equal"][MCBENCH.id]
    assert [row["metric"] for row in rows] == ["l1", "psnr", "ssim", "lpips", "fid_vid", "fvd", "fid"]
    assert all(row["equal"] for row in rows), rows
    assert all(row["mcbench"] > 0 for row in rows)
    assert [row["row"] for row in report["speed"]] == ["cold", "truth cached"]
    assert all(row["speedup_without_decoding"] < row["speedup"] for row in report["speed"])
    assert all(row["speedup"] > 0.5 for row in report["speed"])
    assert set(report["passes"][MCBENCH.id]) == {"decode truth", "decode method", *SEQUENCE}
    within = report["within"][MCBENCH.id]
    assert set(within) == {"pairwise", "lpips", "fid_vid", "fvd"}
    assert within["fid_vid"] + within["fvd"] <= report["passes"][MCBENCH.id]["videos"]
    assert [row["equal"] for row in report["frechet"] if row["scipy"] is not None][-1:] == [True]
    (peer,) = [peer for peer in report["further_peers"] if peer["peer"] == "torchmetrics"]
    assert {row["metric"] for row in peer["equal"]} == {"fid", "ssim", "psnr", "lpips"}
    # A note stands only where the difference is within what its reason explains.
    assert all(row["equal"] or row["note"] for row in peer["equal"]), peer
    differences = {row["metric"]: row["difference"] for row in peer["equal"]}
    assert differences["ssim"] < 0.05
    assert differences["fid"] < 1e-3
    assert {row["metric"] for row in peer["equal"] if row["equal"]} >= {"psnr", "lpips"}
    assert "cd-fvd" in report["not_measured"]
    assert "pytorch_fid" in table(report)
