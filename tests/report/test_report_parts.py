"""Stick figures, curves, worst frames, the video's tiles, and colours that can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcbench.report.curves import APART, HEIGHT, MARGIN, WIDTH, make_chart, worst_frames
from mcbench.report.film import STRIP, Layout, Tile, difference, make_film
from mcbench.report.skeleton import LIMBS, draw_skeletons
from mcbench.video import open_frames
from mcbench.web import SHARED_FOLDER


class TestSkeletons:
    def keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full((1, 18, 2), np.nan, np.float32), np.zeros((1, 18), np.uint8)

    def test_limbs_join_every_keypoint_into_one_body(self) -> None:
        assert len(LIMBS) == 17
        assert {joint for limb in LIMBS for joint in limb} == set(range(18))

    def test_a_keypoint_lies_where_the_crop_puts_it(self) -> None:
        """200 x 100 pixels: the square begins at x = 50, and at half its size (x - 50 + 0.5) / 2 - 0.5 is the place."""
        points, seen = self.keypoints()
        points[0, 0], seen[0, 0] = (100, 50), 2
        picture = draw_skeletons(points, seen, (100, 200), 50)
        ys, xs = np.nonzero(picture.any(axis=-1))
        weights = picture[ys, xs].sum(axis=-1)
        assert np.average(xs, weights=weights) == pytest.approx(24.75, abs=0.15)
        assert np.average(ys, weights=weights) == pytest.approx(24.75, abs=0.15)

    def test_absent_is_not_drawn_and_hidden_is_darker(self) -> None:
        points, seen = self.keypoints()
        points[0, 1], points[0, 2] = (20, 50), (80, 50)
        assert not draw_skeletons(points, seen, (100, 100), 100).any()
        seen[0, 1:3] = 2
        visible = draw_skeletons(points, seen, (100, 100), 100)
        seen[0, 1:3] = 1
        hidden = draw_skeletons(points, seen, (100, 100), 100)
        assert visible[50, 50].any()
        assert 0 < hidden[50, 50].sum() < 0.5 * visible[50, 50].sum()

    def test_characters_and_sides_have_colours_of_their_own(self) -> None:
        points = np.zeros((2, 18, 2), np.float32)
        seen = np.zeros((2, 18), np.uint8)
        for character in range(2):
            for joint, x in ((2, 20), (5, 80)):
                points[character, joint], seen[character, joint] = (x, 25 + 50 * character), 2
        picture = draw_skeletons(points, seen, (100, 100), 100)
        colours = {tuple(picture[y, x]) for y in (25, 75) for x in (20, 80)}
        assert len(colours) == 4

    def test_far_outside_is_no_fault(self) -> None:
        points, seen = self.keypoints()
        points[0, :2], seen[0, :2] = ((-1e9, 1e9), (1e30, -1e30)), 2
        assert draw_skeletons(points, seen, (64, 64), 64).shape == (64, 64, 3)


class TestCurves:
    def test_ends_of_the_scale(self) -> None:
        chart = make_chart([(0, [1.0, 3.0]), (4, [2.0, None])])
        assert chart is not None
        assert (chart.low, chart.high) == (1.0, 3.0)
        assert chart.lines[0].path == f"M{WIDTH / 4:.1f} {HEIGHT - MARGIN:.1f}L{WIDTH * 3 / 4:.1f} {MARGIN:.1f}"
        assert chart.lines[1].path == f"M{WIDTH / 4:.1f} {HEIGHT / 2:.1f}h0.1"
        assert (chart.lines[1].run, chart.lines[1].values) == (4, [2.0, None])

    def test_a_frame_that_does_not_count_breaks_the_line(self) -> None:
        chart = make_chart([(0, [1.0, 2.0, None, 3.0, 4.0])])
        assert chart is not None
        assert chart.lines[0].path.count("M") == 2

    def test_nothing_to_draw(self) -> None:
        assert make_chart([]) is None
        assert make_chart([(0, [None, None])]) is None

    def test_worst_frames_are_apart_and_in_order(self) -> None:
        values: list[float | None] = [10.0] * 60
        values[5], values[6], values[40], values[59] = 1.0, 2.0, 3.0, None
        assert worst_frames(values, 2, higher_is_better=True) == [5, 40]
        assert all(abs(a - b) >= APART for a in worst_frames(values, 9, higher_is_better=True)
                   for b in worst_frames(values, 9, higher_is_better=True) if a != b)  # fmt: skip
        assert worst_frames([0.1, 0.9, 0.2], 1, higher_is_better=False) == [1]

    def test_where_all_are_alike_none_is_worst(self) -> None:
        assert worst_frames([1.0] * 30, 3, higher_is_better=True) == []
        assert worst_frames([None, None], 3, higher_is_better=True) == []


class TestFilm:
    @pytest.mark.parametrize("tiles", range(1, 11))
    def test_tiles_do_not_overlap_and_no_block_lies_in_two(self, tiles: int) -> None:
        layout = Layout.of(tiles)
        height, width = layout.size
        taken = np.zeros((height, width), int)
        for tile in range(tiles):
            left, top = layout.place(tile)
            taken[top : top + layout.side, left : left + layout.side] += 1
            assert (left % 16, top % 16, layout.side % 16, STRIP % 16) == (0, 0, 0, 0)
        assert taken.max() == 1
        assert taken.sum() == tiles * layout.side**2
        assert width <= 4096
        assert height <= 2304  # what decoders in hardware take of H.264, level 5.1

    def noise(self, frames: int) -> Iterator[np.ndarray]:
        random = np.random.default_rng(5)
        for _ in range(frames):
            yield random.integers(0, 256, (64, 64, 3), np.uint8)

    def flat(self, level: int, frames: int) -> Iterator[np.ndarray]:
        for index in range(frames):
            yield np.full((48, 64, 3), level + 10 * index, np.uint8)

    def test_every_tile_is_in_its_place_in_every_frame(self, tmp_path: Path) -> None:
        told: list[dict[str, np.ndarray]] = []
        tiles = [Tile(str(level), f"at {level}", lambda level=level: self.flat(level, 5)) for level in (30, 90, 150)]
        film = make_film(tmp_path / "a.mp4", tiles, 5, 12.5, largest=10**7, on_tiles=told.append)
        assert (film.frames, film.tiles, float(film.rate)) == (5, ("30", "90", "150"), 12.5)
        source = open_frames(tmp_path / "a.mp4")
        assert (source.frames, source.fps) == (5, 12.5)
        for index, picture in enumerate(source.read()):
            for number, level in enumerate((30, 90, 150)):
                left, top = film.layout.place(number)
                middle = picture[top + 8 : top + 500, left + 8 : left + 500]
                assert abs(middle.astype(int) - (level + 10 * index)).max() <= 3
        assert [shown["90"][0, 0, 0] for shown in told] == [90, 100, 110, 120, 130]
        assert told[0]["30"].shape == (512, 512, 3)

    def test_a_name_stands_above_its_tile(self, tmp_path: Path) -> None:
        make_film(tmp_path / "a.mp4", [Tile("0", "Ж method", lambda: self.flat(60, 1))], 1, 25, largest=10**7)
        (picture,) = open_frames(tmp_path / "a.mp4").read()
        assert picture[:STRIP].max() > 200
        assert picture[STRIP + 4 :].max() < 70

    def test_it_is_made_coarser_until_it_fits_and_tells_of_frames_once(self, tmp_path: Path) -> None:
        told: list[dict[str, np.ndarray]] = []
        tiles = [Tile("0", "noise", lambda: self.noise(6))]
        fine = make_film(tmp_path / "fine.mp4", tiles, 6, 25, largest=10**9)
        film = make_film(tmp_path / "small.mp4", tiles, 6, 25, largest=fine.size // 2, on_tiles=told.append)
        assert film.size == (tmp_path / "small.mp4").stat().st_size <= fine.size // 2
        assert film.crf > fine.crf
        assert len(told) == 6

    def test_difference(self) -> None:
        a, b = np.full((1, 1, 3), 10, np.uint8), np.array([[[13, 5, 200]]], np.uint8)
        assert difference(a, b).tolist() == difference(b, a).tolist() == [[[12, 20, 255]]]


class TestColours:
    """WCAG 2.2: 4.5 to 1 for text (1.4.3), 3 to 1 for what is drawn (1.4.11), on either ground of either scheme."""

    def schemes(self) -> list[dict[str, str]]:
        text = (SHARED_FOLDER / "style.css").read_text(encoding="utf-8")
        blocks = re.findall(r":root[^{]*\{([^}]*)\}", text)
        return [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]

    def luminance(self, colour: str) -> float:
        levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(self, a: str, b: str) -> float:
        low, high = sorted((self.luminance(a), self.luminance(b)))
        return (high + 0.05) / (low + 0.05)

    def test_contrast(self) -> None:
        schemes = self.schemes()
        assert len(schemes) == 3
        for scheme in schemes:
            for ground in ("--ground", "--surface", "--surface-2"):
                for ink in ("--ink", "--ink-soft", "--accent"):
                    assert self.contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)
            assert self.contrast(scheme["--warn"], scheme["--warn-soft"]) >= 4.5
            assert self.contrast(scheme["--ink"], scheme["--warn-soft"]) >= 4.5
            assert self.contrast(scheme["--on-accent"], scheme["--accent"]) >= 4.5
            for series in range(1, 9):
                assert self.contrast(scheme[f"--series-{series}"], scheme["--surface"]) >= 3

    def test_both_dark_blocks_say_the_same(self) -> None:
        _, by_system, by_choice = self.schemes()
        assert by_system == by_choice
