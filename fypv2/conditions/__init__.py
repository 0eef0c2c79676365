"""The drawings that the model is conditioned on, made from poses, depth and flow.

`poses` holds skeletons over time; `skeletons` draws them, `regions` widens them to where each character may be,
`background` and `depth_order` are the paper's Eq. 3 and Eq. 4 to 8, `matching` says who animates whom, `maps` puts all
of it together for a clip.
"""

from __future__ import annotations

from fypv2.conditions.background import FLOW_SCALE, background_flow, background_map, motion_between
from fypv2.conditions.depth_order import (
    DEPTH_RULE,
    DepthRule,
    depth_ranks,
    nearness_from_depth,
    nearness_from_poses,
    paint_depth_order,
    rank_colour,
)
from fypv2.conditions.maps import (
    ConditionMaps,
    build_conditions,
    build_training_conditions,
    poses_of_annotations,
)
from fypv2.conditions.matching import NOBODY, MatchingError, check_assignment, match_left_to_right
from fypv2.conditions.poses import HAND_KEYPOINTS, SEEN, Poses, crop_box
from fypv2.conditions.regions import DILATION, character_regions
from fypv2.conditions.resample import crop_resize_flow, crop_resize_map
from fypv2.conditions.skeletons import COLOURS, LIMBS, draw_skeleton, draw_skeletons

__all__ = [
    "COLOURS",
    "DEPTH_RULE",
    "DILATION",
    "FLOW_SCALE",
    "HAND_KEYPOINTS",
    "LIMBS",
    "NOBODY",
    "SEEN",
    "ConditionMaps",
    "DepthRule",
    "MatchingError",
    "Poses",
    "background_flow",
    "background_map",
    "build_conditions",
    "build_training_conditions",
    "character_regions",
    "check_assignment",
    "crop_box",
    "crop_resize_flow",
    "crop_resize_map",
    "depth_ranks",
    "draw_skeleton",
    "draw_skeletons",
    "match_left_to_right",
    "motion_between",
    "nearness_from_depth",
    "nearness_from_poses",
    "paint_depth_order",
    "poses_of_annotations",
    "rank_colour",
]
