"""Each check by itself, on pictures whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from doctor_cases import Case, Frames, cropped, dropped, jpeg, mirrored, shifted, text_sorted

from mcbench.doctor.colour import TONES, find_tone, histogram, lost_range, quantiles, swapped
from mcbench.doctor.compression import blockiness, chroma_pairing, comb
from mcbench.doctor.cost import Correction
from mcbench.doctor.findings import Diagnosis, finding
from mcbench.doctor.look import pick
from mcbench.doctor.registration import register
from mcbench.doctor.timing import find_timing, moving_parts, text_order


@pytest.fixture(scope="module")
def frames(few_cases: list[Case]) -> Frames:
    return few_cases[0].truth[::6]


class TestRegistration:
    def test_a_picture_lies_over_itself(self, frames: Frames) -> None:
        assert register(frames, frames) is None

    @pytest.mark.parametrize(("x", "y"), [(2.0, 0.0), (-7.5, 3.25), (40.0, -60.0)])
    def test_a_shift_is_measured_to_a_tenth_of_a_pixel(self, frames: Frames, x: float, y: float) -> None:
        found = register(shifted(x, y)(frames), frames)
        assert found is not None
        assert found.matrix[:, 2] == pytest.approx([x, y], abs=0.3)
        assert found.matrix @ (255.5, 255.5, 1) - 255.5 == pytest.approx([x, y], abs=0.1)

    def test_a_crop_is_measured_to_a_thousandth(self, frames: Frames) -> None:
        found = register(cropped(30, 10, 460)(frames), frames)
        assert found is not None
        assert found.scale == pytest.approx((512 / 460, 512 / 460), abs=1e-3)

    def test_undoing_it_brings_the_truth_back(self, frames: Frames) -> None:
        crooked = mirrored(1)(shifted(12, -5)(frames))
        found = register(crooked, frames)
        assert found is not None
        assert (found.mirror, found.displaced) == ("horizontal", True)
        inside = slice(20, -20)
        back = Correction(geometry=found).lay(crooked[0])[inside, inside].astype(int)
        assert np.abs(back - frames[0][inside, inside]).mean() < 2

    def test_a_thumbnail_is_laid_as_its_frame_is(self, frames: Frames) -> None:
        """The map is of pixels at 512; a picture of an eighth of the size moves by an eighth as much."""
        found = register(shifted(16, -8)(frames), frames)
        spot = np.zeros((64, 64), np.uint8)
        spot[30, 40] = 255
        laid = Correction(geometry=found).lay(spot)
        assert np.unravel_index(laid.argmax(), laid.shape) == (31, 38)

    def test_without_texture_nothing_is_said(self, frames: Frames) -> None:
        flat = [np.full((512, 512, 3), 90, np.uint8)] * len(frames)
        assert register(flat, flat) is None
        assert register(flat, frames) is None


class TestTiming:
    def test_text_order(self) -> None:
        assert text_order(12, 0).tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
        assert text_order(12, 1).tolist() == [0, 9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8]

    def test_the_map_names_the_frame_that_is_shown(self, few_cases: list[Case]) -> None:
        truth = few_cases[0].truth
        found = find_timing(_thumbs(text_sorted(0)(truth)), _thumbs(truth))
        assert found is not None
        assert found.code == "frame-order"
        assert found.frames.tolist() == text_order(len(truth), 0).tolist()

    @pytest.mark.parametrize("keep_count", [True, False])
    def test_where_frames_are_missing(self, few_cases: list[Case], keep_count: bool) -> None:
        truth = few_cases[0].truth
        found = find_timing(_thumbs(dropped(0.5, 3, keep_count)(truth)), _thumbs(truth))
        assert found is not None
        assert found.code == "dropped-frames"
        assert "3 before frame 8" in found.what

    def test_frames_that_are_missing_before_a_frozen_end(self, few_cases: list[Case]) -> None:
        """Four frames gone and the last one four times more: five changes of the offset, of which one is a gap."""
        truth = few_cases[0].truth
        found = find_timing(_thumbs(dropped(0.5, 4, True)(truth)), _thumbs(truth))
        assert found is not None
        assert found.code == "dropped-frames"
        assert found.what.startswith("4 frames are missing: 4 before frame 8")

    def test_a_still_video_has_no_time(self, few_cases: list[Case]) -> None:
        truth = few_cases[0].truth
        assert find_timing(_thumbs([truth[3]] * len(truth)), _thumbs(truth)) is None
        assert find_timing(_thumbs(truth), _thumbs([truth[3]] * len(truth))) is None


class TestColour:
    def test_quantiles_are_those_of_the_values(self, frames: Frames) -> None:
        parts = np.array([0.0, 0.1, 0.5, 0.901, 1.0])
        for values in (frames[0], np.array([[3]], np.uint8), np.array([[0, 255]], np.uint8)):
            assert quantiles(histogram(values), parts) == pytest.approx(np.quantile(values, parts))

    def test_a_blur_does_not_hide_a_wrong_range(self, frames: Frames) -> None:
        """It brings dark and bright pixels nearer to each other, as a narrower range does."""
        limited = TONES[0]
        soft = [cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in frames]
        assert find_tone(soft, frames) is None
        assert find_tone([np.rint(limited.curve).astype(np.uint8)[frame] for frame in soft], frames) is limited

    def test_a_grey_scene_has_no_channels_to_swap(self, frames: Frames) -> None:
        grey = [np.repeat(frame[..., 1:2], 3, axis=2) for frame in frames]
        assert swapped(grey, grey) is None
        assert swapped([frame[..., ::-1] for frame in frames], frames) == pytest.approx(-1)

    @pytest.mark.parametrize("tone", TONES, ids=lambda tone: tone.name.partition(":")[0])
    def test_every_wrong_curve_is_named(self, tone: object, frames: Frames) -> None:
        table = np.rint(tone.curve).astype(np.uint8)  # type: ignore[attr-defined]
        assert find_tone([table[frame] for frame in frames], frames) is tone

    def test_the_curve_is_undone_where_it_kept_its_values(self) -> None:
        limited = TONES[0]
        values = np.arange(256)
        assert np.abs(limited.undone()[np.rint(limited.curve).astype(int)] - values).max() <= 1

    def test_a_black_truth_may_be_predicted_black(self) -> None:
        black = [np.zeros((8, 8, 3), np.uint8)]
        count = np.bincount(black[0].ravel(), minlength=256)
        assert lost_range(count, black) is None
        assert lost_range(count, [np.full((8, 8, 3), 200, np.uint8)]) is not None


class TestCompression:
    def test_only_jpeg_stands_on_a_comb(self, frames: Frames) -> None:
        random = np.random.default_rng(0)
        noisy = np.clip(frames[0] + random.normal(0, 3, frames[0].shape), 0, 255).astype(np.uint8)
        assert comb(frames[0]) == comb(noisy) == 0
        assert comb(jpeg(85)([noisy])[0]) >= 5

    def test_chroma_in_pairs(self) -> None:
        random = np.random.default_rng(0)
        fine = random.integers(60, 190, (128, 128, 3), np.uint8)
        assert chroma_pairing(fine) == pytest.approx(1, abs=0.05)
        coarse = fine.astype(int).mean(axis=2, keepdims=True) * 0.2 + 60
        tint = np.kron(random.integers(0, 80, (64, 64, 3)), np.ones((2, 2, 1), int))
        assert chroma_pairing((coarse + tint).astype(np.uint8)) < 0.6

    def test_blocks(self) -> None:
        random = np.random.default_rng(0)
        noise = random.normal(0, 2, (128, 128, 1))
        steps = np.kron(random.normal(0, 6, (16, 16, 1)), np.ones((8, 8, 1)))
        plain, blocked = (
            np.clip(values + 128, 0, 255).astype(np.uint8).repeat(3, 2) for values in (noise, noise + steps)
        )
        assert blockiness(plain) == pytest.approx(1, abs=0.1)
        assert blockiness(blocked) > 1.5


class TestSmall:
    def test_the_reference_frame_is_not_picked(self) -> None:
        assert pick(200)[0] == 1
        assert pick(200)[-1] == 199
        assert len(pick(200)) == 8
        assert pick(1) == [0]
        assert pick(3) == [1, 2]

    def test_errors_come_first(self) -> None:
        codes = ["extra-clip", "equals-truth", "flip", "missing-clip"]
        diagnosis = Diagnosis.of([finding(code, "a", "seen") for code in codes], 1, 1)
        assert [item.code for item in diagnosis.findings] == ["missing-clip", "flip", "equals-truth", "extra-clip"]
        assert not diagnosis.ok
        assert Diagnosis.of(diagnosis.findings[2:], 1, 1).ok


def _thumbs(video: Frames) -> np.ndarray:
    return moving_parts(np.stack([cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in video]))
