"""Who is who over time: people detected frame by frame become characters with a constant index.

Three passes over a whole clip. First, detections are joined to tracks frame by frame: the assignment of least cost
(`scipy.optimize.linear_sum_assignment`) between where each track should be by now and where people are, the cost being
the distance of the joints in units of what a joint may stray, as in COCO's object keypoint similarity, and the overlap
of the boxes. Where a track should be follows from the constant velocity of its body, so that people may cross. A track
that finds nobody goes on for a few frames. Second, what is too short to be a person is dropped. Third, a track that
ended is joined to one that begins later where that person could have gone: those who vanish behind somebody, or leave
the picture and come back, keep their index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fypv2.conditions.poses import HAND_KEYPOINTS, SEEN, Poses
from fypv2.extractors.base import ExtractorError

__all__ = ["People", "TrackSettings", "track_people"]

Floats = npt.NDArray[np.float64]

# A joint's standard deviation from where it is expected, over the diagonal of the person's box: the order of COCO's
# keypoint sigmas (wrists and ankles stray more than shoulders), widened for the motion of one frame.
_FACE, _TORSO, _MIDDLE = 0.035, 0.03, 0.05
_HIP, _WRIST, _ANKLE = 0.035, 0.08, 0.07
STRAY = np.array(
    [_FACE, _TORSO, *(_TORSO, _MIDDLE, _WRIST) * 2, *(_HIP, _MIDDLE, _ANKLE) * 2, *(_FACE,) * 4], np.float64
)
_TRUNK = np.array([1, 2, 5, 8, 11])

_CAP = 8.0
"""One joint counts for no more than four standard deviations: a swapped arm must not outweigh the rest."""
_OVERLAP = 3.0
"""Weight of the boxes' lacking overlap beside the joints' mean."""


@dataclass(frozen=True)
class People:
    """Those who were detected in one frame, in any order; N people.

    Attributes:
        body: float32 (N, 18, 2), pixels, in the order of `mcbench.KEYPOINT_NAMES`.
        scores: float32 (N, 18) in [0, 1]; a keypoint below `SEEN` counts as not found.
        hands: float32 (N, 2, 21, 2), the right one first, or None.
        hand_scores: float32 (N, 2, 21), or None.
    """

    body: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    hands: npt.NDArray[np.float32] | None = None
    hand_scores: npt.NDArray[np.float32] | None = None

    @staticmethod
    def none() -> People:
        """Nobody."""
        return People(np.zeros((0, 18, 2), np.float32), np.zeros((0, 18), np.float32))

    def __len__(self) -> int:
        return len(self.body)


@dataclass(frozen=True)
class TrackSettings:
    """How far a person may go, and how long be away.

    Attributes:
        gate: highest cost of joining a detection to a track; 8 is four standard deviations of every joint.
        coast: frames for which a track is expected to go on unseen.
        memory: frames after which somebody who comes is somebody new.
        shortest: a track of fewer frames is a phantom; no more than a tenth of the clip is asked for.
        reach: standard deviation of somebody's place after a gap, over the diagonal of the box: at once, and more
            for each frame.
        duplicate: two detections of one frame whose joints differ by less, over the diagonal, are one person.
    """

    gate: float = 7.5
    coast: int = 8
    memory: int = 75
    shortest: int = 3
    reach: tuple[float, float] = (0.12, 0.02)
    duplicate: float = 0.025


@dataclass
class _Track:
    """One person for as long as they were followed without a longer gap."""

    frames: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    joints: Floats = field(default_factory=lambda: np.zeros((18, 2)))
    known: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(18, bool))
    limbs: Floats = field(default_factory=lambda: np.zeros((18, 2)))
    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    size: float = 0.0

    def expected(self, frame: int) -> Floats:
        """Joints in a later frame: the body goes on, what the limbs did besides dies away."""
        gap = frame - self.frames[-1]
        return self.joints + self.velocity * _damped(0.95, gap) + self.limbs * _damped(0.5, gap)

    def add(self, frame: int, place: int, joints: Floats, seen: npt.NDArray[np.bool_]) -> None:
        """Takes up a detection."""
        size = _diagonal(joints[seen])
        if not self.frames:
            self.joints, self.known, self.size = np.where(seen[:, None], joints, 0.0), seen.copy(), size
        else:
            gap = frame - self.frames[-1]
            both = seen & self.known
            step = (joints - self.joints) / gap
            root = _root(step, both)
            # The first step is all that is known of a velocity; later ones are smoothed against jitter.
            share = 1.0 if len(self.frames) == 1 else 0.4
            self.velocity = self.velocity + share * (root - self.velocity)
            own = np.where(both[:, None], step - root, 0.0)
            self.limbs = self.limbs + share * (own - self.limbs)
            self.joints = np.where(seen[:, None], joints, self.joints + root * gap)
            self.known = self.known | seen
            # A person half hidden has not become smaller.
            self.size = max(size, self.size + 0.05 * (size - self.size))
        self.frames.append(frame)
        self.places.append(place)


def track_people(
    clip: Iterable[People],
    size: tuple[int, int],
    *,
    characters: int | None = None,
    settings: TrackSettings | None = None,
) -> Poses:
    """Follows people through a clip.

    Args:
        clip: who was detected, frame by frame.
        size: height and width of the picture in pixels.
        characters: how many people there are, where it is known: gaps are then bridged however far somebody went, and
            those who were seen in the fewest frames are left out.
        settings: limits of what is plausible.

    Returns:
        T frames and K characters, numbered from left to right in the frame in which each appears first. Hands where any
        frame has them.

    Raises:
        ExtractorError: if there are no frames, or nobody stays long enough to be a person.
    """
    settings = settings or TrackSettings()
    frames = [_without_duplicates(people, settings.duplicate) for people in clip]
    if not frames:
        raise ExtractorError("no frames to find poses in; give at least one")
    shortest = min(settings.shortest, max(1, len(frames) // 10))
    tracks = [track for track in _join(frames, settings) if len(track.frames) >= shortest]
    chains = _bridge(tracks, frames, settings, characters)
    if characters is not None:
        chains = sorted(chains, key=lambda chain: -sum(len(track.frames) for track in chain))[:characters]
    if not chains:
        raise ExtractorError(f"nobody is found in {len(frames)} frames; give a clip in which people can be seen")
    chains.sort(key=lambda chain: (chain[0].frames[0], _column(frames, chain[0])))
    return _poses(chains, frames, size)


def _join(frames: Sequence[People], settings: TrackSettings) -> list[_Track]:
    done: list[_Track] = []
    live: list[_Track] = []
    for index, people in enumerate(frames):
        joints, seen = people.body.astype(np.float64), people.scores >= SEEN
        cost = np.array([[_cost(track, index, joints[n], seen[n]) for n in range(len(people))] for track in live])
        taken = set()
        if cost.size:
            for row, column in zip(*linear_sum_assignment(np.minimum(cost, 2 * settings.gate)), strict=True):
                if cost[row, column] < settings.gate:
                    live[row].add(index, int(column), joints[column], seen[column])
                    taken.add(int(column))
        for n in range(len(people)):
            if n not in taken and seen[n].any():
                live.append(_Track())
                live[-1].add(index, n, joints[n], seen[n])
        done += [track for track in live if index - track.frames[-1] > settings.coast]
        live = [track for track in live if index - track.frames[-1] <= settings.coast]
    return done + live


def _cost(track: _Track, frame: int, joints: Floats, seen: npt.NDArray[np.bool_]) -> float:
    """How unlikely a detection is as the track's next one: about a negative logarithm of its likelihood."""
    wider = 1.0 + 0.25 * (frame - track.frames[-1] - 1)
    expected = track.expected(frame)
    both = seen & track.known
    overlap = _overlap(_box(expected[track.known]), _box(joints[seen]))
    if not both.any():
        return _CAP * (1 - overlap)
    stray = STRAY[both] * max(track.size, 1.0) * wider
    square = ((joints[both] - expected[both]) ** 2).sum(-1) / (2 * stray**2)
    return float(np.minimum(square, _CAP).mean()) + 2 * float(np.log(wider)) + _OVERLAP * (1 - overlap)


def _bridge(
    tracks: list[_Track], frames: Sequence[People], settings: TrackSettings, characters: int | None
) -> list[list[_Track]]:
    """Chains of tracks, each one person: every end is joined to the beginning that it most likely leads to."""
    beginnings = [_backwards(track, frames) for track in tracks]
    cost = np.full((len(tracks), len(tracks)), np.inf)
    for i, ended in enumerate(tracks):
        for j, begun in enumerate(beginnings):
            gap = begun.frames[-1] - ended.frames[-1]
            if gap > 0 and (characters is not None or gap <= settings.memory):
                cost[i, j] = _bridge_cost(ended, begun, gap, settings, bounded=characters is None)
    following: dict[int, int] = {}
    if len(tracks):
        for i, j in zip(*linear_sum_assignment(np.minimum(cost, 1e6)), strict=True):
            if np.isfinite(cost[i, j]):
                following[int(i)] = int(j)
    chains = []
    for first in set(range(len(tracks))) - set(following.values()):
        chain, place = [tracks[first]], first
        while place in following:
            place = following[place]
            chain.append(tracks[place])
        chains.append(chain)
    return chains


def _backwards(track: _Track, frames: Sequence[People]) -> _Track:
    """The beginning of a track, as the end of one that runs back in time."""
    back = _Track()
    for frame, place in list(zip(track.frames, track.places, strict=True))[5::-1]:
        people = frames[frame]
        back.add(-frame, place, people.body[place].astype(np.float64), people.scores[place] >= SEEN)
    back.frames = [-frame for frame in back.frames]
    back.size = track.size
    return back


def _bridge_cost(ended: _Track, begun: _Track, gap: int, settings: TrackSettings, bounded: bool) -> float:
    both = ended.known & begun.known
    if not both.any():
        both = ended.known | begun.known
    went = _root(begun.joints - ended.joints, both)
    # Seen from both sides: where the one was going, and where the other came from.
    expected = (ended.velocity - begun.velocity) / 2 * _damped(0.9, gap)
    near, further = settings.reach
    reach = near + further * gap
    diagonal = max(ended.size, begun.size, 1.0)
    away = float(np.linalg.norm(went - expected)) / diagonal / reach
    grown = float(np.log(max(ended.size, 1.0) / max(begun.size, 1.0))) / 0.3
    if bounded and (away > 3 or abs(grown) > 3):
        return np.inf
    return away**2 / 2 + grown**2 / 2 + 2 * float(np.log(reach / near))


def _poses(chains: list[list[_Track]], frames: Sequence[People], size: tuple[int, int]) -> Poses:
    count = (len(frames), len(chains))
    body, scores = np.zeros((*count, 18, 2), np.float32), np.zeros((*count, 18), np.float32)
    hands = np.zeros((*count, 2, HAND_KEYPOINTS, 2), np.float32)
    hand_scores = np.zeros((*count, 2, HAND_KEYPOINTS), np.float32)
    with_hands = False
    for k, chain in enumerate(chains):
        for track in chain:
            for frame, place in zip(track.frames, track.places, strict=True):
                people = frames[frame]
                body[frame, k], scores[frame, k] = people.body[place], people.scores[place]
                if people.hands is not None and people.hand_scores is not None:
                    with_hands = True
                    hands[frame, k], hand_scores[frame, k] = people.hands[place], people.hand_scores[place]
    if not with_hands:
        return Poses(body, scores, size)
    return Poses(body, scores, size, hands, hand_scores)


def _without_duplicates(people: People, limit: float) -> People:
    """Of two detections of one person the better one; those without any keypoint are dropped too."""
    seen = people.scores >= SEEN
    kept: list[int] = []
    for n in np.argsort(-people.scores.sum(-1), kind="stable"):
        if not seen[n].any():
            continue
        for other in kept:
            both = seen[n] & seen[other]
            apart = np.linalg.norm(people.body[n] - people.body[other], axis=-1)[both]
            if both.sum() >= min(6, seen[n].sum()) and apart.mean() < limit * _diagonal(
                people.body[other][seen[other]]
            ):
                break
        else:
            kept.append(int(n))
    kept.sort()
    if len(kept) == len(people):
        return people
    return People(
        people.body[kept],
        people.scores[kept],
        None if people.hands is None else people.hands[kept],
        None if people.hand_scores is None else people.hand_scores[kept],
    )


def _column(frames: Sequence[People], track: _Track) -> float:
    people, place = frames[track.frames[0]], track.places[0]
    return float(people.body[place, people.scores[place] >= SEEN, 0].mean())


def _damped(share: float, steps: int) -> float:
    """Sum of share^0 … share^(steps - 1)."""
    return (1 - share**steps) / (1 - share)


def _root(values: Floats, use: npt.NDArray[np.bool_]) -> Floats:
    """Mean over the trunk's joints, or over all where none of them is of use; 0 without any."""
    trunk = _TRUNK[use[_TRUNK]]
    chosen = values[trunk] if len(trunk) else values[use]
    return np.asarray(chosen.mean(0) if len(chosen) else np.zeros(2))


def _box(points: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def _diagonal(points: npt.NDArray[np.floating]) -> float:
    left, top, right, bottom = _box(points)
    return float(np.hypot(right - left, bottom - top))


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes, each a pixel wider than its points."""
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return wide * high / (areas[0] + areas[1] - wide * high)
