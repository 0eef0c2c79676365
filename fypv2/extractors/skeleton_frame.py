"""The people in one skeleton drawing: joints from discs, limbs between them, people from limbs.

A joint is looked for as a disc of its colour; what is drawn over a disc neither speaks for it nor against it. Two
joints belong together where the line between them runs in the limb's colour. A joint that is hidden altogether, as a
wrist is under a hand, is put at the end of the ellipse that its limb is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fypv2.conditions.skeletons import COLOURS, LIMBS
from fypv2.extractors.base import Frame
from fypv2.extractors.skeleton_colours import Drawing, read_colours
from fypv2.extractors.tracking import People

__all__ = ["find_people"]

HIDDEN_SCORE = 0.5
"""Score of a joint that was not seen, but follows from its limb."""

FEWEST_JOINTS = 3
"""A group of fewer joints is a stray spot, not a person."""
LINKED = 0.2
"""Evidence of a limb above which two joints are joined."""
NEAR = 0.3
"""Two parts of a body lie apart by no more than this for each missing limb, over the diagonal of the larger one."""
LEFT_KNEE = 12
"""Points of hands have the colour of this joint."""

Floats = npt.NDArray[np.float32]
Point = tuple[float, float]
Points = npt.NDArray[np.intp]


@dataclass
class _Joint:
    """A place where a joint may be; in pixels of the drawing's cut."""

    kind: int
    x: float
    y: float
    score: float
    limbs: dict[int, _Joint] = field(default_factory=dict)

    def distance(self, other: _Joint) -> float:
        return float(np.hypot(self.x - other.x, self.y - other.y))


def find_people(frame: Frame, radius: float) -> People:
    """Joints of everyone in one drawing.

    Args:
        frame: uint8 RGB (H, W, 3), an OpenPose drawing on black.
        radius: of the joints' discs in pixels.

    Returns:
        People of at least three joints each, in no order: scores are the share of the disc that is seen, from 0.5 to 1,
        0.5 for a joint that follows from its limb alone, 0 for what is not there. No hands: their points are wider
        than the fingers are apart.
    """
    drawing = read_colours(frame)
    joints: list[list[_Joint]] = [_find_joints(drawing, kind, radius) for kind in range(len(COLOURS))]
    for limb in range(len(LIMBS)):
        _link(drawing, joints, limb, radius)
    for _ in range(2):
        for limb in range(len(LIMBS)):
            _follow(drawing, joints, limb, radius)
        for limb in range(len(LIMBS)):
            _link(drawing, joints, limb, radius)
    groups = [group for group in _gather(_groups(joints)) if len(group) >= FEWEST_JOINTS]
    body, scores = np.zeros((len(groups), 18, 2), np.float32), np.zeros((len(groups), 18), np.float32)
    for n, group in enumerate(groups):
        for joint in group:
            body[n, joint.kind] = joint.x + drawing.left, joint.y + drawing.top
            scores[n, joint.kind] = joint.score
    return People(body, scores)


def _disc(radius: float) -> Floats:
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(np.hypot(rows, columns) <= radius, np.float32)


def _find_joints(drawing: Drawing, kind: int, radius: float) -> list[_Joint]:
    """Discs of one colour, best first; each is taken out of the picture before the next is looked for."""
    mask = drawing.joint(kind)
    if not mask.any():
        return []
    disc, wide = _disc(radius), _disc(radius + 2)
    ring = wide - np.pad(_disc(radius + 1), (wide.shape[0] - _disc(radius + 1).shape[0]) // 2)
    found = []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)), connectivity=8
    )
    pad = int(np.ceil(radius)) + 3
    for label in range(1, count):
        left, top, width, height, _ = stats[label]
        rows = slice(max(0, top - pad), top + height + pad)
        columns = slice(max(0, left - pad), left + width + pad)
        own = (mask & (labels == label))[rows, columns]
        if own.sum() < 0.25 * disc.sum():
            continue
        near = drawing.kind[rows, columns]
        against = np.where(near == Drawing.BACKGROUND, 1.0, 0.0)
        against[(near >= len(COLOURS)) & (near < Drawing.OTHER)] = 0.5
        against[own] = 0
        found += _peel(own, against.astype(np.float32), kind, disc, ring, radius, (columns.start, rows.start))
    return found


def _peel(
    own: npt.NDArray[np.bool_],
    against: Floats,
    kind: int,
    disc: Floats,
    ring: Floats,
    radius: float,
    corner: tuple[int, int],
) -> list[_Joint]:
    found = []
    rows, columns = np.mgrid[: own.shape[0], : own.shape[1]]
    own = own.copy()
    # Outside the picture nothing is known.
    missing = cv2.filter2D(against, -1, disc, borderType=cv2.BORDER_CONSTANT)
    while own.any():
        here = own.astype(np.float32)
        covered = cv2.filter2D(here, -1, disc, borderType=cv2.BORDER_CONSTANT)
        outside = cv2.filter2D(here, -1, ring, borderType=cv2.BORDER_CONSTANT)
        value = covered - missing - outside
        best = float(value.max())
        if best < 0.25 * disc.sum():
            break
        # Where half of a disc is covered, many centres explain the rest equally well.
        equal = value >= best - 0.75
        y, x = float(rows[equal].mean()), float(columns[equal].mean())
        inside = own & (np.hypot(rows - y, columns - x) <= radius + 1.2)
        share = float(inside.sum() / disc.sum())
        if share > 0.85:
            y, x = float(rows[inside].mean()), float(columns[inside].mean())
        found.append(_Joint(kind, x + corner[0], y + corner[1], float(np.clip(0.5 + 0.5 * share, 0.5, 1.0))))
        # The best centre's own disc goes too, so that each round takes something away.
        top = np.unravel_index(int(value.argmax()), value.shape)
        own &= (np.hypot(rows - y, columns - x) > radius + 1.2) & (np.hypot(rows - top[0], columns - top[1]) > radius)
    return found


def _link(drawing: Drawing, joints: list[list[_Joint]], limb: int, radius: float) -> None:
    """Joins the ends of one limb's kind that have no partner yet."""
    first, second = LIMBS[limb]
    ones = [joint for joint in joints[first] if limb not in joint.limbs]
    others = [joint for joint in joints[second] if limb not in joint.limbs]
    if not ones or not others:
        return
    value = np.array([[_evidence(drawing, a, b, limb, radius) for b in others] for a in ones])
    for row, column in zip(*linear_sum_assignment(-value), strict=True):
        if value[row, column] > LINKED:
            ones[row].limbs[limb] = others[column]
            others[column].limbs[limb] = ones[row]


def _evidence(drawing: Drawing, a: _Joint, b: _Joint, limb: int, radius: float) -> float:
    """From -1, nothing but background between two joints, to 1, nothing but the limb."""
    length = a.distance(b)
    steps = np.arange(radius, length - radius, 1.0) / max(length, 1e-6)
    columns = np.rint(a.x + (b.x - a.x) * steps).astype(int)
    rows = np.rint(a.y + (b.y - a.y) * steps).astype(int)
    height, width = drawing.kind.shape
    kinds = drawing.kind[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    limbs = int((kinds == len(COLOURS) + limb).sum())
    empty = int((kinds == Drawing.BACKGROUND).sum())
    if limbs + empty >= 3:
        share = (limbs - 2 * empty) / (limbs + empty)
        # Where other things cover most of the line, little is known.
        return share * (0.4 + 0.6 * (limbs + empty) / len(kinds))
    # The discs hide the limb between them: the nearer, the likelier.
    return 0.6 * float(np.exp(-length / (6 * radius)))


def _follow(drawing: Drawing, joints: list[list[_Joint]], limb: int, radius: float) -> None:
    """Follows a limb from a joint at one end, whose other end is hidden, and puts a joint there."""
    parts = _parts(drawing.limb(limb))
    wide = radius + 1.5
    for joint in joints[LIMBS[limb][0]]:
        if limb in joint.limbs:
            parts = _without(parts, joint, joint.limbs[limb], wide)
    # A smaller rest is the edge of a limb that is explained.
    parts = [part for part in parts if len(part) >= 2 * radius**2]
    for near, far in (LIMBS[limb], LIMBS[limb][::-1]):
        for joint in joints[near]:
            # A spot without any limb may be anything, and hands are made of such spots.
            if limb in joint.limbs or not joint.limbs or not parts:
                continue
            end = _far_end(drawing, parts, joint, radius)
            if end is None:
                continue
            there = [other for other in joints[far] if limb not in other.limbs and other.distance(end) < 2 * radius]
            if there:
                end = min(there, key=end.distance)
            else:
                end.kind = far
                joints[far].append(end)
            joint.limbs[limb], end.limbs[limb] = end, joint
            parts = [part for part in _without(parts, joint, end, wide) if len(part) >= 2 * radius**2]


def _parts(mask: npt.NDArray[np.bool_]) -> list[Points]:
    """Connected parts of a mask, each as (N, 2): x and y of its pixels."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    ys, xs = np.nonzero(mask)
    owner = labels[ys, xs]
    return [np.stack([xs[owner == label], ys[owner == label]], axis=-1) for label in range(1, count)]


def _without(parts: list[Points], a: _Joint, b: _Joint, half_width: float) -> list[Points]:
    """What is left of the parts outside a limb."""
    kept = [part[~_in_ellipse(part[:, 0], part[:, 1], (a.x, a.y), (b.x, b.y), half_width)] for part in parts]
    return [part for part in kept if len(part)]


def _far_end(drawing: Drawing, parts: list[Points], joint: _Joint, radius: float) -> _Joint | None:
    """The other end of the ellipse that begins at a joint, None where none is seen or it leaves the picture."""
    best: tuple[float, Point] | None = None
    for part in parts:
        if np.hypot(part[:, 0] - joint.x, part[:, 1] - joint.y).min() > 2.5 * radius:
            continue
        fitted = _fit(drawing, joint, part, radius)
        if fitted is not None and (best is None or fitted[0] > best[0]):
            best = fitted
    if best is None:
        return None
    x, y = best[1]
    height, width = drawing.size
    inside = 0 <= x + drawing.left <= width - 1 and 0 <= y + drawing.top <= height - 1
    return _Joint(-1, x, y, HIDDEN_SCORE) if inside else None


def _fit(drawing: Drawing, joint: _Joint, part: Points, radius: float) -> tuple[float, Point] | None:
    """Best far end of an ellipse that explains a part: (pixels explained less pixels amiss, end)."""
    xs, ys = part[:, 0], part[:, 1]
    towards = np.arctan2(ys.mean() - joint.y, xs.mean() - joint.x)
    reach = float((np.hypot(xs - joint.x, ys - joint.y)).max())
    height, width = drawing.kind.shape
    best: tuple[float, tuple[float, float]] | None = None
    for length in np.arange(max(reach - radius, 2 * radius), reach + 2.5 * radius, 1.0):
        for turn in np.arange(-6, 7, 3) * (np.pi / 180):
            end = joint.x + length * np.cos(towards + turn), joint.y + length * np.sin(towards + turn)
            own = int(_in_ellipse(xs, ys, (joint.x, joint.y), end, radius).sum())
            if own < 0.5 * len(xs):
                continue
            middle = (joint.x + end[0]) / 2, (joint.y + end[1]) / 2
            window = int(length / 2 + radius) + 1
            x, y = np.meshgrid(
                np.arange(max(0, int(middle[0]) - window), min(width, int(middle[0]) + window + 1)),
                np.arange(max(0, int(middle[1]) - window), min(height, int(middle[1]) + window + 1)),
            )
            inside = _in_ellipse(x, y, (joint.x, joint.y), end, radius)
            empty = int((inside & (drawing.kind[y, x] == Drawing.BACKGROUND)).sum())
            value = own - empty - (len(xs) - own)
            # Among equals the shorter one, which came first: nothing speaks for more.
            if value > 0.3 * inside.sum() and (best is None or value > best[0]):
                best = float(value), (float(end[0]), float(end[1]))
    return best


def _in_ellipse(x: Points, y: Points, a: Point, b: Point, half_width: float) -> npt.NDArray[np.bool_]:
    """Which points lie in the ellipse whose long axis runs from a to b."""
    length = max(float(np.hypot(b[0] - a[0], b[1] - a[1])), 1e-6)
    cosine, sine = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    dx, dy = x - (a[0] + b[0]) / 2, y - (a[1] + b[1]) / 2
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    return np.asarray((along / (length / 2)) ** 2 + (across / half_width) ** 2 <= 1)


def _groups(joints: list[list[_Joint]]) -> list[list[_Joint]]:
    """Joints that limbs connect. The limbs make a tree and each has two ends, so no group has a joint twice."""
    groups, done = [], set()
    for joint in (joint for kind in joints for joint in kind):
        if id(joint) in done:
            continue
        group, stack = [], [joint]
        while stack:
            member = stack.pop()
            if id(member) in done:
                continue
            done.add(id(member))
            group.append(member)
            stack += member.limbs.values()
        groups.append(group)
    return groups


def _gather(groups: list[list[_Joint]]) -> list[list[_Joint]]:
    """Puts the parts of a body together that a joint left out of the drawing keeps apart: the nearest first."""
    groups = [group for group in groups if len(group) > 1 or group[0].kind != LEFT_KNEE]
    while True:
        best: tuple[float, int, int] | None = None
        for i in range(len(groups)):
            for j in range(i):
                apart = _apart(groups[i], groups[j])
                if apart < NEAR and (best is None or apart < best[0]):
                    best = apart, i, j
        if best is None:
            return groups
        _, i, j = best
        groups[j] = groups[j] + groups.pop(i)


def _apart(one: list[_Joint], other: list[_Joint]) -> float:
    """Distance of two groups for each limb between them, over the larger one's diagonal; infinite if they overlap."""
    if {joint.kind for joint in one} & {joint.kind for joint in other}:
        return np.inf
    places = [np.array([(joint.x, joint.y) for joint in group]) for group in (one, other)]
    diagonal = max(float(np.hypot(*np.ptp(place, axis=0))) for place in places)
    distance = np.hypot(*(places[0][:, None] - places[1][None]).transpose(2, 0, 1))
    steps = LIMBS_BETWEEN[np.ix_([joint.kind for joint in one], [joint.kind for joint in other])]
    nearest = steps == steps.min()
    return float((distance / steps)[nearest].min() / max(diagonal, 1e-6))


def _limbs_between() -> npt.NDArray[np.int64]:
    """(18, 18): limbs on the way from one joint to another."""
    steps = np.full((len(COLOURS), len(COLOURS)), len(COLOURS))
    np.fill_diagonal(steps, 0)
    for a, b in LIMBS:
        steps[a, b] = steps[b, a] = 1
    for middle in range(len(COLOURS)):
        steps = np.minimum(steps, steps[:, middle, None] + steps[None, middle])
    return steps


LIMBS_BETWEEN = _limbs_between()
