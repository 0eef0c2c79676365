"""Exact parts against the figures that were drawn: which solid of the synthetic data a pixel shows is known there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from baselines.inputs.dense import _square_joints
from baselines.inputs.exact_parts import Joints, exact_parts
from mcbench.datasets.synthetic.raster import Canvas, Tube, draw
from mcbench.datasets.synthetic.scene import Scene
from mcbench.datasets.synthetic.specs import clip_specs

MINI = clip_specs("synthetic-mini")

# Parts that are right for the solids of a limb. A neck is head or torso; a skirt hides where the thighs end.
RIGHT = {
    "head": {23, 24}, "trunk": {1, 2}, "neck": {1, 2, 23, 24}, "skirt": {1, 2, 7, 8, 9, 10},
    "right thigh": {7, 9}, "left thigh": {8, 10}, "right shin": {11, 13}, "left shin": {12, 14},
    "right foot": {6}, "left foot": {5}, "right upper arm": {16, 18}, "left upper arm": {15, 17},
    "right forearm": {20, 22}, "left forearm": {19, 21}, "right hand": {3}, "left hand": {4},
}  # fmt: skip
LIMBS = list(RIGHT)


def solids(figure: Any, pose: Any) -> Iterator[tuple[str, Any]]:
    """Every solid of a figure with its limb's name; in the order in which `Figure` makes them."""
    yield from (("head", solid) for solid in figure.head.solids(pose))
    trunk: list[Any] = []
    figure._torso(pose, trunk)
    for solid in trunk:
        yield ("neck" if isinstance(solid, Tube) and solid.radius is figure.neck else "trunk"), solid
    for side, sign in (("left", 1.0), ("right", -1.0)):
        leg: list[Any] = []
        figure._leg(pose, side, leg)
        words = ["thigh", "shin", *(["thigh"] if len(leg) == 6 else []), "foot", "foot", "foot"]
        yield from ((f"{side} {word}", solid) for word, solid in zip(words, leg, strict=True))
        arm: list[Any] = []
        figure._arm(pose, side, sign, arm)
        third = {"long": ["forearm"], "hoodie": ["forearm"], "tee": ["upper arm"]}.get(figure.look.top, [])
        words = ["upper arm", "forearm", *third, "hand", "hand", "hand"]
        yield from ((f"{side} {word}", solid) for word, solid in zip(words, arm, strict=True))
    if figure.skirted:
        skirt: list[Any] = []
        figure._skirt(pose, skirt)
        yield from (("skirt", solid) for solid in skirt)


def agreement(scene: Scene, index: int) -> tuple[int, int]:
    """Pixels of people in a frame whose part is one of the limb that is drawn there, and all of them."""
    frame = scene.frame(index)
    at, size = scene.spec.start + index, scene.spec.size
    view = scene.view if scene.shake is None else scene.view.shaken(scene.shake.at(index))
    queue = []
    for k, (figure, body) in enumerate(zip(scene.figures, scene.skeletons, strict=True)):
        pose = {name: tuple(values[at].tolist()) for name, values in body.items()}
        for word, solid in solids(figure, pose):
            far = (
                0.5 * (view.depth(solid.a) + view.depth(solid.b))
                if isinstance(solid, Tube)
                else view.depth(solid.centre)
            )
            queue.append((far, 1 + k * len(LIMBS) + LIMBS.index(word), solid))
    depth = np.full((size, size), 1e9, np.float32)
    canvas = Canvas(np.zeros((size, size, 3), np.float32), depth, np.zeros((size, size), np.uint8))
    for _, owner, solid in sorted(queue, key=lambda item: -item[0]):
        draw(canvas, view, solid, owner)
    drawn = canvas.owner.reshape(size, size)
    places, known = _square_joints(frame.keypoints[None], frame.visibility[None], (size, size), size)
    parts = exact_parts(frame.mask, frame.depth, Joints(places[0], known[0], frame.visibility == 2))[0]
    shown = (frame.mask > 0) & (drawn > 0) & (frame.mask == (drawn.astype(int) - 1) // len(LIMBS) + 1)
    table = np.zeros((len(LIMBS), 25), bool)
    for row, word in enumerate(LIMBS):
        table[row, list(RIGHT[word])] = True
    right = table[(drawn[shown].astype(int) - 1) % len(LIMBS), parts[shown]]
    assert shown.sum() > 0.97 * (frame.mask > 0).sum()
    return int(right.sum()), int(shown.sum())


def test_pixels_get_the_limb_and_side_that_is_drawn_there() -> None:
    right, everything = agreement(Scene(MINI[1]), 8)
    assert right / everything > 0.9


@pytest.mark.slow
def test_so_they_do_in_every_clip() -> None:
    for spec in MINI:
        scene = Scene(spec)
        counts = np.array([agreement(scene, index) for index in range(0, 24, 4)]).sum(0)
        assert counts[0] / counts[1] > 0.9, spec
