"""How a prediction's picture lies over its truth's: mirrored, shifted, scaled, cropped.

A coarse search over mirrorings, scales and shifts (cross-correlation of the locally normalised luma at 96 pixels,
Fourier shift theorem) finds the neighbourhood; corners of the truth, tracked into the prediction (pyramidal
Lucas-Kanade, Bouguet 2001, kept where the way back ends within half a pixel), give an affine map to a small fraction
of a pixel. Corners are spread over the whole picture, so the map is the background's: a character that stands in the
wrong place moves some corners, a wrong crop moves them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.stats

from mcbench.doctor.look import SIZE

__all__ = ["IDENTITY", "Registration", "register"]

Frame = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

IDENTITY: Values = np.eye(2, 3)

COARSE = 96
CELLS = 8
"""Displacements are pooled over CELLS x CELLS parts of the picture, so that no busy corner outvotes the rest."""
CORNERS = 24
"""One corner is taken from each of CORNERS x CORNERS parts of the truth, where it has texture."""
COARSE_SCALES = [float(np.exp(k * 0.05)) for k in range(-13, 11)]
"""0.52 to 1.65; a finer grid about the best, and the tracking that follows, take up what lies between."""
MIRRORS = ("", "horizontal", "vertical", "both")
_WINDOW = np.outer(np.hanning(COARSE), np.hanning(COARSE)).astype(np.float32)

WINDOW = (21, 21)
MIN_CELLS = 14
MIN_SPAN = 0.55
"""Fraction of the picture's height and width over which the cells with corners must spread."""
LEAST_MOVE = 0.45
"""Pixels (root mean square over the picture, at 512) below which nothing is a fault: 0.25% of scale moves 0.5."""
EXPLAINED = 0.6
"""Fraction of the displacements' size that the affine map must take away; of a random smooth warp it takes a fifth."""
AGREEING = 0.7
"""Share of the cells that must follow the map, and of the frames that must agree on it."""
CHANCE = 2e-3
"""Or else the map must be this unlikely for a random smooth warp; of 9000 simulated ones 2 passed at 1e-3."""
LEAST_CORRELATION = 0.3
"""Of the normalised luma under the map that was found; unrelated pictures have less."""
SURE_CORRELATION = 0.6
"""Under a map found without a search; a lower one may be chance, and the search may find better."""
LEAST_GAIN = 0.002
"""By which the map must raise the correlation: a move of half a pixel raises it by little."""
MIRROR_MOVE = 8.0
"""Pixels that a mirroring counts as, when what is left is held against what was taken away."""


@dataclass(frozen=True)
class Registration:
    """A map that was found and passed the tests.

    Attributes:
        matrix: (2, 3) affine map from a pixel of the truth to its place in the prediction, mirroring included.
        mirror: `` (none), `horizontal`, `vertical` or `both`.
        move: root mean square displacement over the picture in pixels at 512, mirroring undone.
        cells: how many of the CELLS x CELLS parts were compared.
        explained: fraction of the displacement that the map takes away.
        displaced: whether there is a shift or a scale, beside a mirroring or alone.
    """

    matrix: Values
    mirror: str
    move: float
    cells: int
    explained: float
    displaced: bool

    @property
    def scale(self) -> tuple[float, float]:
        """Horizontal and vertical magnification of the prediction, without sign."""
        return float(np.hypot(*self.matrix[:, 0])), float(np.hypot(*self.matrix[:, 1]))

    @property
    def mirror_matrix(self) -> Values:
        """The mirroring alone."""
        return _mirror_matrix(self.mirror)

    @property
    def unmirrored(self) -> Values:
        """The map with the mirroring taken out: what is left is shift and scale."""
        return _compose(self.matrix, _mirror_matrix(self.mirror))


def register(
    predictions: Sequence[Frame], truths: Sequence[Frame], shapes: Sequence[tuple[float, float]] = ()
) -> Registration | None:
    """Find out whether predictions lie over their truths.

    Args:
        predictions: (SIZE, SIZE, 3) uint8 RGB each.
        truths: the same shape and number; need not be of quite the same moments.
        shapes: further (horizontal, vertical) magnifications worth a try, such as that of a stretched picture.

    Returns:
        The map, or None where they lie over each other or nothing can be said.
    """
    p = [_normalise(frame) for frame in predictions]
    t = [_normalise(frame) for frame in truths]
    corners = [_corners(frame) for frame in t]
    still = _track(p, t, corners, IDENTITY)
    if still is not None and still.in_place:
        return None
    best = _judge(still, IDENTITY, "") if still is not None else None
    fit = _fit_of(p, t, best)
    if best is not None and best.explained > 0.8 and fit > SURE_CORRELATION:
        return best
    start, mirror = _search(p, t, shapes)
    tracks = still if np.allclose(start, IDENTITY) else _track(p, t, corners, start)
    found = _judge(tracks, start, mirror) if tracks is not None else None
    other = _fit_of(p, t, found)
    if max(fit, other) < 0:
        return None
    return found if other > fit else best


@dataclass(frozen=True)
class _Tracks:
    """Where corners went. `field` (frames, cells) of displacements, NaN where a frame has none in a cell."""

    centres: Values
    places: Values
    moves: Values
    frames: list[Values]

    @property
    def in_place(self) -> bool:
        """Whether most of the picture does not move at all."""
        length = np.hypot(*self.moves.T)
        return bool(np.median(length) < LEAST_MOVE * 0.6 and np.mean(length < LEAST_MOVE) > 0.75)


def _normalise(frame: Frame) -> Frame:
    """Luma with its local mean and contrast taken out, so that brightness, range and colour do not matter."""
    grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    mean = cv2.blur(grey, (41, 41))
    spread = np.sqrt(np.maximum(cv2.blur(grey * grey, (41, 41)) - mean * mean, 0))
    return np.asarray(np.clip((grey - mean) / (spread + 3) * 45 + 128, 0, 255), np.uint8)


def _corners(frame: Frame) -> npt.NDArray[np.float32]:
    strength = cv2.cornerMinEigenVal(frame, 7)
    edges = np.linspace(0, SIZE, CORNERS + 1).astype(int)
    part = np.repeat(np.arange(CORNERS), np.diff(edges))
    best = np.maximum.reduceat(np.maximum.reduceat(strength, edges[:-1], axis=0), edges[:-1], axis=1)
    y, x = np.nonzero(strength == np.repeat(np.repeat(best, np.diff(edges), axis=0), np.diff(edges), axis=1))
    # Where a part has its maximum twice, the first counts.
    _, first = np.unique(part[y] * CORNERS + part[x], return_index=True)
    points, peak = np.stack([x, y], axis=1)[first].astype(np.float32), strength[y, x][first]
    return np.asarray(points[peak > 0.1 * np.quantile(peak, 0.9)])


def _track(
    predictions: Sequence[Frame], truths: Sequence[Frame], corners: Sequence[npt.NDArray[np.float32]], start: Values
) -> _Tracks | None:
    """Displacements by cell, after the start map is taken out; None if too little of the picture has any."""
    moves: list[list[Values]] = [[] for _ in range(CELLS * CELLS)]
    places: list[list[Values]] = [[] for _ in range(CELLS * CELLS)]
    frames = []
    nothing: Any = None  # OpenCV's stubs leave out that the places need no first guess
    for p, t, points in zip(predictions, truths, corners, strict=True):
        if len(points) < MIN_CELLS:
            continue
        lying = p if start is IDENTITY else _warp(p, start)
        there, found, _ = cv2.calcOpticalFlowPyrLK(t, lying, points[:, None], nothing, winSize=WINDOW, maxLevel=3)
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(lying, t, there, nothing, winSize=WINDOW, maxLevel=3)
        returned = np.hypot(*(back[:, 0] - points).T) < 0.5
        good = returned & (found[:, 0] == 1) & (found_back[:, 0] == 1)
        if good.sum() < MIN_CELLS:
            continue
        here, moved = points[good].astype(float), (there[:, 0] - points)[good].astype(float)
        cell = (here // (SIZE / CELLS)).astype(int)
        index = cell[:, 1] * CELLS + cell[:, 0]
        for k in np.unique(index):
            moves[k].append(moved[index == k])
            places[k].append(here[index == k])
        frames.append(_fit(here, moved))
    used = [k for k in range(CELLS * CELLS) if sum(map(len, moves[k])) >= max(3, len(frames) // 2)]
    if len(used) < MIN_CELLS or len(frames) < max(1, len(predictions) // 2):
        return None
    centres = np.array([(k % CELLS, k // CELLS) for k in used]) / (CELLS - 1)
    if min(np.ptp(centres, axis=0)) < MIN_SPAN:
        return None
    return _Tracks(
        centres=centres,
        places=np.array([np.mean(np.concatenate(places[k]), axis=0) for k in used]),
        moves=np.array([np.median(np.concatenate(moves[k]), axis=0) for k in used]),
        frames=frames,
    )


def _fit(places: Values, moves: Values) -> Values:
    """Affine displacement (2, 3) by least squares, reweighted after Cauchy: what moved by itself counts little."""
    rows = np.column_stack([places, np.ones(len(places))])
    weights = np.ones(len(places))
    fitted = np.zeros((3, 2))
    fitted[2] = np.median(moves, axis=0)
    for _ in range(12):
        residual = np.hypot(*(moves - rows @ fitted).T)
        weights = 1 / (1 + (residual / max(float(np.median(residual)) * 1.5, 0.1)) ** 2)
        root = np.sqrt(weights)[:, None]
        fitted = np.linalg.lstsq(rows * root, moves * root, rcond=None)[0]
    return np.asarray(fitted.T)


def _judge(tracks: _Tracks, start: Values, mirror: str) -> Registration | None:
    """Whether one affine map explains what moved, the same in all frames."""
    fitted = _fit(tracks.places, tracks.moves)
    matrix = _compose(IDENTITY + fitted, start)
    plain = _compose(matrix, _mirror_matrix(mirror))
    grid = np.stack(np.meshgrid(*[np.linspace(0, SIZE - 1, CELLS)] * 2), axis=-1).reshape(-1, 2)
    move = float(np.sqrt(np.mean(np.sum((_apply(plain, grid) - grid) ** 2, axis=1))))
    if move < LEAST_MOVE and not mirror:
        return None
    # The start map counts as movement: what the whole map takes away is held against what it leaves.
    total = _apply(plain, tracks.places) - tracks.places
    rest = tracks.moves - _apply(fitted, tracks.places)
    left = np.hypot(*rest.T)
    moved = np.hypot(*total.T)
    plainly = _takes_away(moved, left) and move >= LEAST_MOVE
    displaced = plainly or (move >= LEAST_MOVE and _by_chance(tracks.centres, moved, rest) < CHANCE)
    fields = [_apply(one, grid) for one in tracks.frames]
    mean = _apply(fitted, grid)
    spread = np.array([np.sqrt(np.mean(np.sum((field - mean) ** 2, axis=1))) for field in fields])
    steady = float(np.mean(spread < 0.5 * move + (1.0 if mirror else 0.0)))
    if steady < AGREEING or not (displaced or (mirror and _takes_away(moved + MIRROR_MOVE, left))):
        return None
    explained = 1 - float(np.median(left)) / max(float(np.median(np.hypot(moved, left))), 1e-6)
    return Registration(matrix, mirror, move, len(tracks.places), explained, displaced)


def _takes_away(moved: Values, left: Values) -> bool:
    """Whether next to nothing is left of what moved, in most cells."""
    explained = 1 - float(np.median(left)) / max(float(np.median(np.hypot(moved, left))), 1e-6)
    follows = float(np.mean(left < np.clip(0.3 * moved, 0.35, 1.5)))
    return explained >= EXPLAINED and follows >= AGREEING


def _by_chance(centres: Values, size: Values, rest: Values) -> float:
    """How likely a random smooth warp looks as much like an affine map: an F test on independent cells.

    Neighbouring cells of a warp move alike. With a correlation of exp(-d^2 / 4 w^2) at distance d, a field of N cells
    has as many independent ones as areas of 4 pi w^2: N (-ln r) / pi, with r the correlation of neighbours.
    """
    limit = 3 * np.median(np.hypot(*rest.T))
    rest = np.clip(rest, -limit, limit)
    step = 1 / (CELLS - 1)
    gaps = np.abs(centres[:, None] - centres[None])
    near = np.isclose(gaps.sum(axis=-1), step)
    one, other = np.nonzero(near)
    if not len(one):
        return 1.0
    variance = float(np.mean(np.sum(rest**2, axis=1)))
    alike = float(np.mean(np.sum(rest[one] * rest[other], axis=1))) / max(variance, 1e-9)
    # What the fit took away was alike in neighbours too.
    alike = min(max(alike + 0.1, 0.2), 0.95)
    independent = min(len(rest) * -np.log(alike) / np.pi, len(rest) / 2)
    freedom = 2 * independent - 6
    if freedom < 4:
        return 1.0
    power = float(np.mean(size**2))
    noise = variance * 2 * independent / freedom
    return float(scipy.stats.f.sf(power / noise * 2 * independent / 6, 6, freedom))


def _search(
    predictions: Sequence[Frame], truths: Sequence[Frame], shapes: Sequence[tuple[float, float]]
) -> tuple[Values, str]:
    """The mirroring, scale and shift under which the two correlate best."""
    few = sorted({0, len(truths) // 2, len(truths) - 1})
    pictures = np.stack([_small(predictions[i]) for i in few])
    wanted = np.conj(_spectra(np.stack([_small(truths[i]) for i in few])))

    def best_of(
        mirrors: Sequence[str], scales: Iterable[tuple[float, float]]
    ) -> tuple[float, Values, str, tuple[float, float]]:
        best = (-1.0, IDENTITY, "", (1.0, 1.0))
        for across, down in scales:
            for mirror in mirrors:
                matrix = _about_centre(across, down, mirror)
                surface = _correlation(pictures, matrix, wanted)
                y, x = np.unravel_index(np.argmax(surface), surface.shape)
                if surface[y, x] > best[0]:
                    shift = [(int(v) + COARSE // 2) % COARSE - COARSE // 2 for v in (x, y)]
                    best = float(surface[y, x]), _compose(_translation(*shift), matrix), mirror, (across, down)
        return best

    found = best_of(MIRRORS, [(scale, scale) for scale in COARSE_SCALES] + list(shapes))
    across, down = found[3]
    wider = np.exp(np.arange(-5, 6) * 0.06)
    found = max(
        found, best_of((found[2],), [(across * a, down * b) for a in wider for b in wider]), key=lambda one: one[0]
    )
    across, down = found[3]
    finer = np.exp(np.arange(-2, 3) * 0.02)
    found = max(
        found, best_of((found[2],), [(across * a, down * b) for a in finer for b in finer]), key=lambda one: one[0]
    )
    return _to_size(found[1]), found[2]


def _small(frame: Frame) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(frame, (COARSE, COARSE), interpolation=cv2.INTER_AREA), np.float32) - 128


def _about_centre(across: float, down: float, mirror: str) -> Values:
    centre = (COARSE - 1) / 2
    matrix = np.array([[across, 0, centre * (1 - across)], [0, down, centre * (1 - down)]])
    return _compose(matrix, _mirror_matrix(mirror, COARSE))


def _correlation(pictures: npt.NDArray[np.float32], matrix: Values, wanted: npt.NDArray[np.complex64]) -> Values:
    """Correlation of pictures, laid under a map, with their truths at every shift, summed over them.

    Args:
        pictures: (n, COARSE, COARSE).
        matrix: the map.
        wanted: the complex conjugate of the truths' `_spectra`.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    lying = [
        cv2.warpAffine(one, matrix, (COARSE, COARSE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        for one in pictures
    ]
    # The inverse transform is linear: once over the sum will do.
    summed = (_spectra(np.asarray(lying, np.float32)) * wanted).sum(axis=0)
    return np.asarray(scipy.fft.irfft2(summed, (COARSE, COARSE)))


def _spectra(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
    """(n, COARSE, COARSE // 2 + 1) spectra of pictures (n, COARSE, COARSE), windowed, each with mean 0 and norm 1."""
    windowed = (pictures - pictures.mean(axis=(1, 2), keepdims=True)) * _WINDOW
    norm = np.sqrt((windowed * windowed).sum(axis=(1, 2), keepdims=True))
    return np.asarray(scipy.fft.rfft2(windowed / (norm + 1e-6)))


def _fit_of(predictions: Sequence[Frame], truths: Sequence[Frame], found: Registration | None) -> float:
    """Correlation of the pictures under a map; -1 where there is no map, or where it does not raise it."""
    if found is None:
        return -1.0
    inside = _warp(np.full((SIZE, SIZE), 255, np.uint8), found.matrix, cv2.BORDER_CONSTANT) == 255
    if inside.mean() < 1 / CELLS:
        return -1.0
    fits, gains = [], []
    for p, t in zip(predictions, truths, strict=True):
        as_is, mapped = (float(np.corrcoef(q[inside], t[inside])[0, 1]) for q in (p, _warp(p, found.matrix)))
        fits.append(mapped)
        gains.append(mapped > LEAST_CORRELATION and mapped > as_is + LEAST_GAIN)
    return float(np.mean(fits)) if np.mean(gains) >= AGREEING else -1.0


def _to_size(matrix: Values) -> Values:
    """A map between pictures of COARSE pixels as one between pictures of SIZE pixels."""
    ratio = SIZE / COARSE
    up = np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]])
    down = np.array([[1 / ratio, 0, (1 / ratio - 1) / 2], [0, 1 / ratio, (1 / ratio - 1) / 2]])
    return _compose(down, _compose(matrix, up))


def _translation(x: float, y: float) -> Values:
    return np.array([[1.0, 0, x], [0, 1, y]])


def _mirror_matrix(mirror: str, size: int = SIZE) -> Values:
    matrix = np.eye(2, 3)
    if mirror in ("horizontal", "both"):
        matrix[0] = (-1, 0, size - 1)
    if mirror in ("vertical", "both"):
        matrix[1] = (0, -1, size - 1)
    return matrix


def _compose(first: Values, then: Values) -> Values:
    """The map that does `first`, then `then`."""
    return np.asarray((np.vstack([then, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]]))[:2])


def _apply(matrix: Values, points: Values) -> Values:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _warp(frame: Frame, matrix: Values, border: int = cv2.BORDER_REPLICATE) -> Frame:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=border))
