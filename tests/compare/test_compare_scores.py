"""What a comparison reads of one result: video by video, and only what the result was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_samples import world

from mcbench.compare.scores import FeatureScores, PairwiseScores, leave_one_out, read_source, scores_of
from mcbench.errors import ResultError
from mcbench.metrics import frechet_distance, kernel_distance, pair_matrix
from mcbench.protocol import DISCO_LEGACY, MCBENCH, PROTOCOLS
from mcbench.results import read_result

BOTH = tuple(PROTOCOLS)
NETWORKS = {"fid": "inception", "kid": "inception", "fid_vid": "r3d50", "fvd": "i3d", "kvd": "i3d"}


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    file = folder / "result.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    return folder


def test_pairwise_scores_are_the_means_of_the_frames_that_count(tmp_path: Path) -> None:
    drawn = world(1, videos=5)
    measured = drawn.measure()
    found = scores_of(read_source(drawn.run(tmp_path / "a", measured)), BOTH)
    psnr, legacy = found["mcbench@1"]["psnr"], found["disco-legacy@1"]["psnr"]
    assert isinstance(psnr, PairwiseScores)
    assert isinstance(legacy, PairwiseScores)
    assert psnr.videos == legacy.videos == tuple(sorted(item.clip for item in measured))
    for index, item in enumerate(measured):
        # Frame 0 was given to the method: `mcbench@1` leaves it out.
        assert psnr.means[index] == pytest.approx(item.arrays["psnr"][1:].mean(), rel=1e-14)
        assert legacy.means[index] == pytest.approx(item.arrays["psnr_wrapped"].mean(), rel=1e-14)
        assert (psnr.frames[index], legacy.frames[index]) == (item.frames - 1, item.frames)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_leave_one_out_leaves_one_out(name: str) -> None:
    drawn = world(2, videos=9, frames=(17, 50))
    measured = drawn.measure()
    found = leave_one_out(name, MCBENCH, NETWORKS[name], measured[::-1])
    assert found.videos == tuple(item.clip for item in measured)
    # By hand: pooled features of all but one clip; windows at stride 16, where all are kept at stride 1.
    stride = 1 if NETWORKS[name] == "inception" else 16
    sides = [
        [item.arrays[f"{NETWORKS[name]}/{side}"][::stride] for item in measured] for side in ("prediction", "truth")
    ]
    expected = []
    for v in range(10):  # the last time nothing is left out
        x, y = ([features for u, features in enumerate(side) if u != v] for side in sides)
        if name in ("kid", "kvd"):
            expected.append(kernel_distance(pair_matrix(x, y)))
        else:
            expected.append(frechet_distance(np.concatenate(x), np.concatenate(y)))
    assert found.left_out is not None
    np.testing.assert_allclose(found.left_out, expected[:9], rtol=1e-6)
    assert found.value == pytest.approx(expected[9], rel=1e-9)


def test_feature_scores_give_the_results_own_standard_error(tmp_path: Path) -> None:
    drawn = world(3, videos=10)
    folder = drawn.run(tmp_path / "a", drawn.measure())
    stated = read_result(folder).protocols
    for id, scores in scores_of(read_source(folder), BOTH).items():
        for name in set(NETWORKS) & set(scores):
            found = scores[name]
            assert isinstance(found, FeatureScores)
            assert found.left_out is not None
            error = np.sqrt(9 / 10 * np.sum((found.left_out - found.left_out.mean()) ** 2))
            assert error == pytest.approx(stated[id].metrics[name].std_error, rel=1e-6), name
            assert found.value == pytest.approx(stated[id].metrics[name].value, rel=1e-9)


def test_short_clips_and_few_clips_say_why_there_is_nothing_to_leave_out() -> None:
    measured = world(4, videos=9, frames=(10, 20)).measure()
    windows = sum(item.frames >= 16 for item in measured)
    assert 1 < windows < 8
    found = leave_one_out("fvd", MCBENCH, "i3d", measured)
    assert (found.left_out, len(found.videos)) == (None, windows)
    assert found.reason == f"nothing can be concluded from {windows} videos, a comparison needs 8"
    none = leave_one_out("fvd", MCBENCH, "i3d", [item for item in measured if item.frames < 16])
    assert none.value is None
    assert none.reason
    single = leave_one_out("kid", DISCO_LEGACY, "inception", measured[:1])
    assert single.value is None
    assert "two of them" in str(single.reason)


def test_variants_on_masks_leave_out_the_reference_and_frames_without_a_value(tmp_path: Path) -> None:
    drawn = world(5, videos=4, masked=True)
    measured = drawn.measure()
    measured[1].arrays["l1_characters/valid"][3:7] = False
    measured[2].arrays["background_motion"][:] *= -1
    measured[3].arrays["l1_characters/valid"][:] = False
    scores = scores_of(read_source(drawn.run(tmp_path / "a", measured)), BOTH)
    assert not {"l1_characters", "lpips_characters", "background_motion"} & set(scores["disco-legacy@1"])
    characters, motion = scores["mcbench@1"]["l1_characters"], scores["mcbench@1"]["background_motion"]
    assert isinstance(characters, PairwiseScores)
    assert isinstance(motion, PairwiseScores)
    assert characters.videos == ("clip-00", "clip-01", "clip-02")
    kept = np.r_[1:3, 7 : measured[1].frames]
    assert characters.means[1] == pytest.approx(measured[1].arrays["l1_characters"][kept].mean(), rel=1e-14)
    assert characters.frames[1] == len(kept)
    # A background that moves too little is as far from the truth as one that moves too much.
    assert motion.means[2] == pytest.approx(-measured[2].arrays["background_motion"][1:].mean(), rel=1e-14)
    assert (motion.means > 0).all()


def test_another_case_of_a_clip_does_not_stand_in_for_the_measured_one(tmp_path: Path) -> None:
    drawn = world(6, videos=8)
    measured, other = drawn.measure(), drawn.measure()
    folder = drawn.run(tmp_path / "a", measured)
    expected = scores_of(read_source(folder), BOTH)["mcbench@1"]["fid"]
    # As `--frames` leaves it: the clip's name belongs to another case, this one has its digest behind it.
    (folder / "measurements" / "clip-03.safetensors").rename(folder / "measurements" / "clip-03.0a1b2c3d.safetensors")
    other[3].write(folder / "measurements" / "clip-03.safetensors")
    found = scores_of(read_source(folder), BOTH)["mcbench@1"]["fid"]
    assert isinstance(found, FeatureScores)
    assert isinstance(expected, FeatureScores)
    assert found.left_out is not None
    assert np.array_equal(found.left_out, expected.left_out)  # type: ignore[arg-type]


def spoil_missing(folder: Path, measured: list) -> None:
    (folder / "measurements" / "clip-02.safetensors").unlink()


def spoil_torn(folder: Path, measured: list) -> None:
    file = folder / "measurements" / "clip-02.safetensors"
    file.write_bytes(file.read_bytes()[:-9])


def spoil_other(folder: Path, measured: list) -> None:
    item = measured[2]
    arrays = {**item.arrays, "psnr": item.arrays["psnr"] + 1e-3}
    replace(item, arrays=arrays).write(folder / "measurements" / "clip-02.safetensors")


def spoil_weights(folder: Path, measured: list) -> None:
    item = measured[2]
    weights = {**item.weights, "i3d": replace(item.weights["i3d"], sha256="f" * 64)}
    replace(item, weights=weights).write(folder / "measurements" / "clip-02.safetensors")


def spoil_truth(folder: Path, measured: list) -> None:
    item = measured[2]
    replace(item, truth={**item.truth, "frames": "e" * 64}).write(folder / "measurements" / "clip-02.safetensors")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_missing, "the measurement of clip 'clip-02' is missing"),
        (spoil_torn, "'clip-02' is damaged or is not the one that its result was made from"),
        (spoil_other, "'clip-02' is damaged or is not the one that its result was made from"),
        (spoil_weights, "'clip-02' is damaged or is not the one that its result was made from"),
        (spoil_truth, "its measurements are of other truths than its result"),
        (lambda folder, _: shutil.rmtree(folder / "measurements"), "has no measurements beside its result"),
    ],
)
def test_measurements_that_are_not_the_results_own_are_not_used(
    tmp_path: Path, spoil: Callable[[Path, list], object], reason: str
) -> None:
    drawn = world(7, videos=8)
    measured = drawn.measure()
    folder = drawn.run(tmp_path / "a", measured)
    spoil(folder, measured)
    scores = scores_of(read_source(folder), BOTH)["mcbench@1"]
    for name in ("fid", "kvd"):
        found = scores[name]
        assert isinstance(found, FeatureScores)
        assert (found.value is None, found.left_out) == (False, None)
        assert reason in str(found.reason)
    assert isinstance(scores["psnr"], PairwiseScores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["protocols"]["mcbench@1"]["clips"].pop("clip-01"), "a partial run, 7 of 8 clips under mcbench@1"),
        (lambda d: d["protocols"]["mcbench@1"]["clips"]["clip-01"].update(psnr=1e200), "beyond 1e"),
        (lambda d: d["protocols"]["mcbench@1"]["clips"]["clip-01"].update(frames=0), "do not go with its scores"),
        (lambda d: d["protocols"]["mcbench@1"]["clips"]["clip-01"].update(l1=None), "do not go with its scores"),
        (lambda d: d["protocols"]["mcbench@1"]["clips"]["clip-01"].update(frames=-3), "do not go with its scores"),
        (lambda d: d["protocols"]["mcbench@1"]["clips"]["clip-01"].update(psnr=99.0), "psnr is .* but its clips give"),
        (
            lambda d: d["protocols"]["mcbench@1"]["metrics"]["ssim"].update(value=0.99),
            "ssim is 0.99 but its clips give",
        ),
        (lambda d: d["protocols"]["mcbench@1"]["metrics"]["fvd"].update(value=1.0), "fvd is 1.0 but its measurements"),
    ],
)
def test_a_result_that_does_not_hold_together_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    drawn = world(8, videos=8)
    folder = edit(drawn.run(tmp_path / "a", drawn.measure()), change)
    with pytest.raises(ResultError, match=message) as caught:
        scores_of(read_source(folder), BOTH)
    assert "\n" not in str(caught.value)


def test_a_run_that_was_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ResultError, match="no result yet; the command that began it takes it up again"):
        read_source(tmp_path)


def test_clip_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    drawn = world(9, videos=8)
    measured = drawn.measure()
    folder = drawn.run(tmp_path / "a", measured)
    outside = replace(measured[0], clip="../clip-00")
    outside.write(folder / "clip-00.safetensors")
    measured = [outside, *measured[1:]]
    source = replace(read_source(folder), result=drawn.result(measured))
    scores = scores_of(source, BOTH)["mcbench@1"]["fid"]
    assert isinstance(scores, FeatureScores)
    assert "clip '../clip-00' is missing" in str(scores.reason)
