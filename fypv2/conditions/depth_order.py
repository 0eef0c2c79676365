"""The depth order map: who is in front of whom, painted over the characters' regions (the paper's Eq. 4 to 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import SEEN, Poses

__all__ = [
    "DEPTH_RULE",
    "DepthRule",
    "depth_ranks",
    "nearness_from_depth",
    "nearness_from_poses",
    "paint_depth_order",
    "rank_colour",
]

DepthRule = Literal["mean", "median", "trimmed", "quartile", "foreground"]
"""How a region's nearness becomes one number; see `depth_ranks`."""

DEPTH_RULE: DepthRule = "mean"
"""The paper's own."""

PALETTE = ((255, 255, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255))
"""RGB by rank, nearest first. The paper names yellow and red and leaves the others open."""

_Floats = npt.NDArray[np.floating]
_Bools = npt.NDArray[np.bool_]

# Keypoints counted from 0, in OpenPose's order.
_TRUNK = {(1, 8): 1.0, (1, 11): 1.0}
# Lengths as shares of the body's height (Drillis and Contini 1966): shoulders, upper arms, forearms, thighs, shins.
_LIMB_SHARES = {
    (2, 5): 0.259, (2, 3): 0.186, (5, 6): 0.186, (3, 4): 0.146, (6, 7): 0.146, (8, 9): 0.245, (11, 12): 0.245,
    (9, 10): 0.246, (12, 13): 0.246,
}  # fmt: skip
_ANKLES = [10, 13]


def depth_ranks(
    regions: _Bools,
    nearness: _Floats,
    rule: DepthRule = DEPTH_RULE,
    masks: _Bools | None = None,
) -> npt.NDArray[np.int64]:
    """Ranks the characters of one picture from near to far.

    A character's nearness is taken over N_k, the part of its region that no other region covers (Eq. 5 and 6), or over
    the whole region where nothing of it is left. A region is much wider than the figure, so that all that lies behind
    weighs in; the rules differ in how they bear that. All give the same ranks for any rising affine map of the
    nearness, which is as much as a monocular network promises.

    - `mean`: the paper's average (Eq. 7).
    - `median`: the middle value.
    - `trimmed`: the mean of the middle half.
    - `quartile`: the value that a quarter of the region exceeds.
    - `foreground`: the mean of the nearer of two classes, parted where the variance between them is largest (Otsu
      1979): the figure without its background, wherever the region holds both.

    Args:
        regions: bool (K, H, W), of `character_regions`.
        nearness: float (H, W), larger is nearer, finite; in any unit.
        rule: as above.
        masks: bool (K, H, W), where each character really is, if that is known: the rule then sees only what of N_k
            lies inside the mask, or all of it where that is nothing.

    Returns:
        int64 (K,): a permutation of 0 to K - 1, nearest 0. Characters whose region is empty come last; among them, and
        between characters of the same nearness, the lower index comes first.

    Raises:
        ValueError: for shapes that do not fit, a nearness that is not finite, or an unknown rule.
    """
    if regions.ndim != 3 or nearness.shape != regions.shape[1:] or (masks is not None and masks.shape != regions.shape):
        raise ValueError(f"regions of shape {regions.shape}, nearness of {nearness.shape}: give (K, H, W) and (H, W)")
    if rule not in _RULES:
        raise ValueError(f"no depth rule is called '{rule}'; there are {', '.join(_RULES)}")
    if not np.isfinite(nearness).all():
        raise ValueError("the nearness map has values that are not finite")
    alone = np.count_nonzero(regions, axis=0) == 1
    values = np.full(len(regions), -np.inf)
    for k, region in enumerate(regions):
        if region.any():
            area = _narrowed(region, alone)
            values[k] = _RULES[rule](nearness[area if masks is None else _narrowed(area, masks[k])].astype(np.float64))
    ranks = np.empty(len(regions), np.int64)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(regions))
    return ranks


def paint_depth_order(regions: _Bools, ranks: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Paints whole regions from far to near, so that the nearer character is on top (Eq. 8).

    Args:
        regions: bool (K, H, W).
        ranks: (K,), nearest 0.

    Returns:
        uint8 (H, W, 3), RGB; black where there is nobody.
    """
    picture = np.zeros((*regions.shape[1:], 3), np.uint8)
    for k in np.argsort(-ranks, kind="stable"):
        picture[regions[k]] = rank_colour(int(ranks[k]))
    return picture


def rank_colour(rank: int) -> tuple[int, int, int]:
    """RGB of a rank: yellow, red, green, blue, magenta, cyan; then the same six at half the brightness, and so on.

    Forty-eight ranks have colours of their own; all further ones share the darkest.
    """
    round_, hue = divmod(rank, len(PALETTE))
    red, green, blue = PALETTE[hue]
    darker = min(round_, 7)
    return red >> darker, green >> darker, blue >> darker


def nearness_from_depth(metres: _Floats) -> npt.NDArray[np.float32]:
    """1 / depth: what monocular networks such as MiDaS and Depth Anything predict, up to an unknown affine map.

    The rules of `depth_ranks` that average are averages of this, never of metres.

    Args:
        metres: float, any shape; distance along the optical axis.

    Returns:
        float32 of that shape, 1 / m. 0, which is infinitely far, where the depth is not a positive finite number.
    """
    known = np.isfinite(metres) & (metres > 0)
    return np.divide(1.0, metres, out=np.zeros(metres.shape, np.float32), where=known, casting="same_kind")


def nearness_from_poses(poses: Poses) -> npt.NDArray[np.float32]:
    """A guess at each character's nearness from its skeleton, for when there is no depth map.

    People stand on one floor and cameras look at it from above, so that whoever's feet are lower in the picture is
    nearer: the value is y of the lower ankle. Where somebody shows no ankle, as in half-length pictures, larger figures
    are nearer: the value is the length of the trunk, from the neck to the farther hip, which turns and gestures shorten
    least. Where somebody shows no hip either, it is the body height that the longest of the other limbs stands for.

    Args:
        poses: of one picture, T = 1, K characters.

    Returns:
        float32 (K,), larger is nearer; in pixels, which compare only within the picture. -inf for an absent character.
    """
    body, seen = poses.body[0], poses.body_scores[0] >= SEEN
    values = np.full(poses.characters, -np.inf, np.float32)
    present = np.flatnonzero(poses.present[0])
    if all(seen[k, _ANKLES].any() for k in present):
        for k in present:
            values[k] = max(body[k, j, 1] for j in _ANKLES if seen[k, j])
        return values
    trunks = [_longest(body[k], seen[k], _TRUNK) for k in present]
    values[present] = trunks if all(trunks) else [_longest(body[k], seen[k], _LIMB_SHARES) for k in present]
    return values


def _longest(body: _Floats, seen: _Bools, shares: dict[tuple[int, int], float]) -> float:
    """The longest of the limbs that are seen, each over its share; 0 if none is."""
    lengths = [float(np.hypot(*(body[a] - body[b]))) / share for (a, b), share in shares.items() if seen[a] and seen[b]]
    return max(lengths, default=0.0)


def _narrowed(area: _Bools, to: _Bools) -> _Bools:
    """The part of the area inside another one, or all of it if there is none."""
    part = area & to
    return part if part.any() else area


def _trimmed(values: npt.NDArray[np.float64]) -> float:
    quarter = len(values) // 4
    return float(np.sort(values)[quarter : len(values) - quarter].mean())


def _foreground(values: npt.NDArray[np.float64]) -> float:
    low, high = values.min(), values.max()
    if high == low:
        return float(high)
    grey = np.rint((values - low) / (high - low) * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(grey.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(values[grey > threshold].mean())


_RULES: dict[str, Callable[[npt.NDArray[np.float64]], float]] = {
    "mean": lambda values: float(values.mean()),
    "median": lambda values: float(np.median(values)),
    "trimmed": _trimmed,
    "quartile": lambda values: float(np.quantile(values, 0.75)),
    "foreground": _foreground,
}
