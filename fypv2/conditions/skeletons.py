"""Skeleton drawings: poses as OpenPose's coloured limbs, joints and hands, without the face.

Limbs, colours and the order of drawing are those that the field's pose-guided models were trained on (OpenPose, Cao et
al. 2019, as ControlNet draws it). What differs is the edge: shapes are placed and smoothed to a fraction of a pixel, so
that a drawing of 128 pixels is a small drawing of 512 pixels, and slow motion does not jump from pixel to pixel.
"""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import HAND_KEYPOINTS, SEEN, Poses

__all__ = ["COLOURS", "LIMBS", "draw_skeleton", "draw_skeletons"]

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of keypoints, counted from 0, in the order in which they are drawn; limb i has colour i."""

COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""RGB of limb i and of joint i."""

LIMB_SHADE = 0.6
"""Limbs are drawn at this brightness, joints at full."""

# Lengths in pixels of a picture whose shorter side is 512.
DESIGN_SIDE = 512
LIMB_HALF_WIDTH = 4.0
JOINT_RADIUS = 4.0
HAND_LINE_WIDTH = 2.0
HAND_RADIUS = 4.0

HAND_EDGES = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, HAND_KEYPOINTS))
"""From the wrist along each finger; coloured once around the hue circle."""
HAND_COLOURS = tuple(
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(i / len(HAND_EDGES), 1.0, 1.0))
    for i in range(len(HAND_EDGES))
)
HAND_POINT_COLOUR = (0, 0, 255)

Picture = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]
_Point = tuple[float, float]


def draw_skeletons(poses: Poses) -> Picture:
    """Draws all characters of every frame.

    All limbs come before all joints, and limb i of every character before limb i + 1 of any: the drawing does not say
    who is in front, as in the paper (that is what the depth order is for). Hands come last. Keypoints whose score is
    below `SEEN` are left out, with the limbs that end in them; what lies outside the picture is cut at its border.

    Args:
        poses: of T frames and K characters; K may be 0.

    Returns:
        uint8 (T, H, W, 3), RGB on black, in the picture size of the poses.
    """
    everyone = range(poses.characters)
    pictures = np.zeros((poses.frames, *poses.size, 3), np.uint8)
    for frame in range(poses.frames):
        _draw(pictures[frame], poses, frame, everyone)
    return pictures


def draw_skeleton(poses: Poses, frame: int, character: int) -> Picture:
    """Draws one character of one frame alone, as `draw_skeletons` does.

    Args:
        poses: of several frames and characters.
        frame: which frame, from 0.
        character: which character, from 0.

    Returns:
        uint8 (H, W, 3), RGB on black; all black where the character is absent.
    """
    picture = np.zeros((*poses.size, 3), np.uint8)
    _draw(picture, poses, frame, (character,))
    return picture


def _draw(picture: Picture, poses: Poses, frame: int, characters: range | tuple[int, ...]) -> None:
    scale = min(poses.size) / DESIGN_SIDE
    bodies = [_points(poses.body[frame, k], poses.body_scores[frame, k]) for k in characters]
    half_width = max(LIMB_HALF_WIDTH * scale, 1.0)
    for i, (start, end) in enumerate(LIMBS):
        shade = np.array(COLOURS[i], np.float32) * np.float32(LIMB_SHADE)
        for body in bodies:
            a, b = body[start], body[end]
            if a is not None and b is not None:
                _ellipse(picture, a, b, half_width, shade)
    radius = max(JOINT_RADIUS * scale, 1.0)
    for i, colour in enumerate(COLOURS):
        for body in bodies:
            point = body[i]
            if point is not None:
                _stroke(picture, point, point, radius, np.array(colour, np.float32))
    if poses.hands is None or poses.hand_scores is None:
        return
    half_line = max(HAND_LINE_WIDTH * scale / 2, 0.5)
    radius = max(HAND_RADIUS * scale, 1.0)
    for k in characters:
        for side in range(2):
            hand = _points(poses.hands[frame, k, side], poses.hand_scores[frame, k, side])
            for (start, end), hue in zip(HAND_EDGES, HAND_COLOURS, strict=True):
                a, b = hand[start], hand[end]
                if a is not None and b is not None:
                    _stroke(picture, a, b, half_line, np.array(hue, np.float32))
            for point in hand:
                if point is not None:
                    _stroke(picture, point, point, radius, np.array(HAND_POINT_COLOUR, np.float32))


def _points(places: _Floats, scores: _Floats) -> list[_Point | None]:
    """Keypoints as numbers, None for those that are not seen. A place that is not finite is not seen."""
    seen = (scores >= SEEN) & np.isfinite(places).all(axis=-1)
    return [(float(x), float(y)) if there else None for (x, y), there in zip(places.tolist(), seen, strict=True)]


def _ellipse(picture: Picture, a: _Point, b: _Point, half_width: float, colour: _Floats) -> None:
    """Paints the ellipse whose long axis runs from a to b."""
    centre_x, centre_y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    along_x, along_y = (b[0] - a[0]) / 2, (b[1] - a[1]) / 2
    length = float(np.hypot(along_x, along_y))
    cosine, sine = (along_x / length, along_y / length) if length > 0 else (1.0, 0.0)
    # Two keypoints in one place still make a mark, of one pixel.
    length = max(length, 0.5)
    grid = _grid(
        picture,
        (centre_x, centre_y),
        float(np.hypot(length * cosine, half_width * sine)),
        float(np.hypot(length * sine, half_width * cosine)),
    )
    if grid is None:
        return
    window, x, y = grid
    p = (x * cosine + y * sine) / np.float32(length)
    q = (y * cosine - x * sine) / np.float32(half_width)
    # Distance from the curve p^2 + q^2 = 1 in pixels, to first order: the function's value over its gradient's length.
    gradient = 2 * np.hypot(p / np.float32(length), q / np.float32(half_width))
    distance = (p * p + q * q - 1) / np.maximum(gradient, np.float32(1e-6))
    _blend(window, distance, colour)


def _stroke(picture: Picture, a: _Point, b: _Point, radius: float, colour: _Floats) -> None:
    """Paints all that is at most `radius` from the straight line between a and b: a disc where they are one point."""
    centre = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    along_x, along_y = (b[0] - a[0]) / 2, (b[1] - a[1]) / 2
    grid = _grid(picture, centre, abs(along_x) + radius, abs(along_y) + radius)
    if grid is None:
        return
    window, x, y = grid
    square = along_x * along_x + along_y * along_y
    if square > 0:
        nearest = np.clip((x * along_x + y * along_y) / np.float32(square), -1, 1)
        distance = np.hypot(x - nearest * np.float32(along_x), y - nearest * np.float32(along_y))
    else:
        distance = np.hypot(x, y)
    _blend(window, distance - np.float32(radius), colour)


def _grid(
    picture: Picture, centre: _Point, half_width: float, half_height: float
) -> tuple[Picture, _Floats, _Floats] | None:
    """The part of the picture that a shape of that extent touches, with x (1, w) and y (h, 1) from its centre.

    None where it lies outside the picture altogether.
    """
    height, width = picture.shape[:2]
    # The smoothed edge reaches half a pixel beyond the shape.
    left, right = centre[0] - half_width - 0.5, centre[0] + half_width + 0.5
    top, bottom = centre[1] - half_height - 0.5, centre[1] + half_height + 0.5
    if right < 0 or bottom < 0 or left > width - 1 or top > height - 1:
        return None
    first_x, last_x = int(max(left, 0)), int(min(right + 1, width - 1))
    first_y, last_y = int(max(top, 0)), int(min(bottom + 1, height - 1))
    x = (np.arange(first_x, last_x + 1) - centre[0]).astype(np.float32)[None, :]
    y = (np.arange(first_y, last_y + 1) - centre[1]).astype(np.float32)[:, None]
    return picture[first_y : last_y + 1, first_x : last_x + 1], x, y


def _blend(window: Picture, distance: _Floats, colour: _Floats) -> None:
    """Paints the colour where the distance from the shape is negative; its edge is one pixel wide."""
    cover = np.clip(np.float32(0.5) - distance, 0, 1)[..., None]
    window[...] = np.rint(window + (colour - window) * cover)
