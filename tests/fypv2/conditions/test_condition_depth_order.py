"""Depth order: ranks by each rule, what is painted, and the true order of drawn people."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from condition_figures import one_frame, person

from fypv2.conditions import (
    DepthRule,
    character_regions,
    depth_ranks,
    nearness_from_depth,
    nearness_from_poses,
    paint_depth_order,
    poses_of_annotations,
    rank_colour,
)
from mcbench.datasets.synthetic import clip_specs, render_clip

RULES = get_args(DepthRule)
YELLOW, RED, GREEN = (255, 255, 0), (255, 0, 0), (0, 255, 0)


def boxes(*spans: tuple[int, int, int, int]) -> np.ndarray:
    regions = np.zeros((len(spans), 40, 60), np.bool_)
    for k, (top, bottom, left, right) in enumerate(spans):
        regions[k, top:bottom, left:right] = True
    return regions


@pytest.mark.parametrize("rule", RULES)
def test_larger_nearness_comes_first(rule: DepthRule) -> None:
    regions = boxes((0, 40, 0, 15), (0, 40, 20, 35), (0, 40, 40, 55))
    nearness = np.random.default_rng(0).uniform(0, 0.1, (40, 60))
    for k, value in enumerate((0.5, 0.9, 0.2)):
        nearness[regions[k]] += value
    ranks = depth_ranks(regions, nearness, rule)
    assert ranks.dtype == np.int64
    assert ranks.tolist() == [1, 0, 2]
    # A monocular network promises no more than a rising affine map.
    np.testing.assert_array_equal(depth_ranks(regions, (nearness * 37 - 400).astype(np.float32), rule), ranks)


@pytest.mark.parametrize("rule", RULES)
def test_what_two_share_is_left_out(rule: DepthRule) -> None:
    regions = boxes((0, 40, 0, 30), (0, 40, 10, 40))
    nearness = np.zeros((40, 60))
    nearness[:, :10], nearness[:, 30:40] = 1, 2
    # Were the shared part counted, the values of both would be drowned in it.
    nearness[:, 10:30] = 1000 * np.linspace(1, 0, 20)
    assert depth_ranks(regions, nearness, rule).tolist() == [1, 0]


def test_one_who_is_covered_altogether_is_ranked_by_the_whole_region() -> None:
    regions = boxes((10, 20, 10, 20), (0, 40, 0, 30))
    nearness = np.full((40, 60), 1.0)
    nearness[10:20, 10:20] = 3
    assert depth_ranks(regions, nearness).tolist() == [0, 1]
    nearness[10:20, 10:20] = 0.5
    assert depth_ranks(regions, nearness).tolist() == [1, 0]


def test_the_absent_come_last_in_their_order_and_ties_keep_theirs() -> None:
    regions = boxes((0, 0, 0, 0), (0, 10, 0, 10), (0, 0, 0, 0), (20, 30, 0, 10))
    assert depth_ranks(regions, np.full((40, 60), 0.5)).tolist() == [2, 0, 3, 1]
    nearness = np.full((40, 60), 0.5)
    nearness[20:] = 0.6
    assert depth_ranks(regions, nearness).tolist() == [2, 1, 3, 0]
    assert depth_ranks(regions[:0], nearness).tolist() == []


def test_rules_differ_where_a_region_holds_much_background() -> None:
    # The near one fills a third of its region before a far wall; the farther one fills its own.
    regions = boxes((0, 40, 0, 30), (0, 40, 30, 60))
    nearness = np.full((40, 60), 0.1)
    nearness[:, :10], nearness[:, 30:] = 0.30, 0.25
    first = {rule: int(np.argmin(depth_ranks(regions, nearness, rule))) for rule in RULES}
    assert first == {"mean": 1, "median": 1, "trimmed": 1, "quartile": 0, "foreground": 0}
    masks = regions & (nearness > 0.2)
    assert depth_ranks(regions, nearness, "mean", masks).tolist() == [0, 1]
    # A mask of nothing leaves the region.
    masks[0] = False
    assert depth_ranks(regions, nearness, "mean", masks).tolist() == [1, 0]


def test_faulty_arguments_are_named() -> None:
    regions = boxes((0, 10, 0, 10))
    with pytest.raises(ValueError, match="give \\(K, H, W\\) and \\(H, W\\)"):
        depth_ranks(regions, np.zeros((60, 40)))
    with pytest.raises(ValueError, match="'middle'; there are mean, median"):
        depth_ranks(regions, np.zeros((40, 60)), "middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not finite"):
        depth_ranks(regions, np.full((40, 60), np.nan))


def test_the_nearer_is_painted_on_top_and_in_full() -> None:
    regions = boxes((0, 40, 0, 30), (10, 30, 20, 50), (15, 25, 25, 60))
    for ranks in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        picture = paint_depth_order(regions, np.array(ranks))
        for a, b in combinations(range(3), 2):
            shared = regions[a] & regions[b] & ~regions[3 - a - b]
            nearer = min((a, b), key=lambda k: ranks[k])
            assert (picture[shared] == rank_colour(ranks[nearer])).all()
        assert (picture[regions[ranks.index(0)]] == YELLOW).all()
        assert not picture[~regions.any(0)].any()


def test_colours_by_rank() -> None:
    first = [rank_colour(rank) for rank in range(6)]
    assert first == [YELLOW, RED, GREEN, (0, 0, 255), (255, 0, 255), (0, 255, 255)]
    assert rank_colour(6) == (127, 127, 0)
    assert len({rank_colour(rank) for rank in range(48)} - {(0, 0, 0)}) == 48
    assert rank_colour(200) != (0, 0, 0)
    crowd = np.eye(9, dtype=np.bool_)[:, None, :]
    painted = paint_depth_order(crowd, np.arange(9)[::-1])
    assert [tuple(colour) for colour in painted[0].tolist()] == [rank_colour(rank) for rank in range(9)][::-1]


def test_nearness_of_depth() -> None:
    nearness = nearness_from_depth(np.array([[0.5, 4.0, 0.0], [-1.0, np.inf, np.nan]], np.float32))
    assert nearness.dtype == np.float32
    np.testing.assert_array_equal(nearness, [[2.0, 0.25, 0.0], [0.0, 0.0, 0.0]])


def test_without_depth_the_lower_feet_are_nearer() -> None:
    poses = one_frame(person(100, 440, 0.9), None, person(250, 500, 0.8), person(400, 470, 1.1))
    values = nearness_from_poses(poses)
    assert np.argsort(-values, kind="stable").tolist() == [2, 3, 0, 1]
    assert values[1] == -np.inf
    # A raised foot does not take its owner away.
    poses.body[0, 2, 13, 1] = 200
    np.testing.assert_array_equal(nearness_from_poses(poses), values)


def test_without_depth_and_feet_the_larger_is_nearer() -> None:
    poses = one_frame(person(100, 440, 0.9), None, person(250, 500, 0.8), person(400, 470, 1.1))

    def order() -> list[int]:
        return np.argsort(-nearness_from_poses(poses), kind="stable").tolist()

    poses.body_scores[0, 0, [10, 13]] = 0
    assert order() == [3, 0, 2, 1]
    # An arm stretched towards the camera makes nobody larger.
    poses.body[0, 2, 4, 0] -= 400
    assert order() == [3, 0, 2, 1]
    # Without a hip, other limbs must do; the least foreshortened one counts.
    poses.body_scores[0, 0, [8, 11]] = 0
    assert order() == [2, 3, 0, 1]
    poses.body_scores[0, 2, 4] = 0
    poses.body[0, 3, [4, 7]] = poses.body[0, 3, [3, 6]]
    assert order() == [3, 0, 2, 1]
    # A face alone says nothing of its size: it is taken for the farthest.
    poses.body_scores[0, 3, 1:] = 0
    assert order() == [0, 2, 3, 1]


def test_drawn_people_are_ranked_as_they_stand() -> None:
    right = {"mean": 0, "foreground": 0}
    pairs = 0
    for spec in clip_specs("synthetic-mini")[:3]:
        frame = next(render_clip(spec, 1))
        poses = poses_of_annotations(frame.keypoints, frame.visibility, frame.mask.shape)
        regions, nearness = character_regions(poses)[0], nearness_from_depth(frame.depth)
        depths = [float(np.median(frame.depth[frame.mask == k + 1])) for k in range(spec.characters)]
        ranks = {rule: depth_ranks(regions, nearness, rule) for rule in right}
        for a, b in combinations(np.argsort(depths).tolist(), 2):
            if depths[b] / depths[a] > 1.05:
                pairs += 1
                for rule in right:
                    right[rule] += ranks[rule][a] < ranks[rule][b]
    assert pairs >= 4
    assert right["foreground"] == pairs
    assert right["mean"] >= 0.75 * pairs
