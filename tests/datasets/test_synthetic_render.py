"""Pixels and annotations of the synthetic clips say the same thing."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mcbench.datasets.base import KEYPOINT_NAMES
from mcbench.datasets.synthetic import Frame, clip_specs, render_clip, render_reference, training_clips
from mcbench.datasets.synthetic.arithmetic import Random
from mcbench.datasets.synthetic.camera import Shake, compose_affine, invert_affine
from mcbench.datasets.synthetic.room import Backdrop
from mcbench.datasets.synthetic.scene import TOLERANCE, Scene
from mcbench.datasets.synthetic.warp import Warper

NOSE, NECK = KEYPOINT_NAMES.index("nose"), KEYPOINT_NAMES.index("neck")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@cache
def mini(index: int) -> list[Frame]:
    return list(render_clip(clip_specs("synthetic-mini")[index]))


@cache
def small(index: int, every: int = 12) -> tuple[Scene, list[Frame]]:
    """Frames of a benchmark clip at 128 pixels, drawn at that size."""
    scene = Scene(replace(clip_specs("synthetic")[index], size=128))
    return scene, [scene.frame(i) for i in range(0, scene.spec.frames, every)]


def digest(frame: Frame) -> str:
    sha = hashlib.sha256()
    for array in (frame.image, frame.mask, frame.depth, frame.keypoints, frame.visibility, frame.background_motion):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


# Over image, mask, depth, keypoints, visibility and motion: first frames, and one of the shaken camera in motion. They
# hold for SYNTHETIC_VERSION 1 on every machine; whoever changes them changes the version.
DIGESTS = {
    "synthetic 0": "371b08d598f434b422a89a05b593790853975baf65ac1c282b6f3317f10c2eae",
    "synthetic 14": "878baffd241f3a78cff974626bcb9b76d3af89f7c66893c77c5ca0e85b0a8cd1",
    "synthetic-mini 0": "c59e17fed824b6e858715dfc08577835fe7837aaf9e1d9171d81fdd73ac10d01",
    "synthetic-mini 1": "39e4d52287c7a805238141e79200d6b78f5a729738b82bf293002a65ab039c30",
    "synthetic-mini 2": "1303664c2852dc2e8d8642bbb78e3d1280eec1d3ea9b13deeb53b45187dbb440",
    "synthetic-mini 3": "b4101f0910d3030327200e7123355d8149bf59296fd5173c45d197bac67fbf0b",
    "reference": "fb925d34e01131cb1b330da73fb87499cd68656a3dbf832e36f5ee5c4c90b8b4",
    "training": "e6b1ebc02cc2ad7d339d0fc231c86abe2dde99a8d73219bda0bdb2371576fac8",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_pixels_are_the_same_on_every_machine(name: str) -> None:
    if name == "training":
        frame = list(render_clip(next(training_clips(0, frames=8, size=256))))[-1]
    elif name == "reference":
        frame = render_reference(clip_specs("synthetic-misaligned")[0])
    else:
        set_name, index = name.rsplit(" ", 1)
        frame = next(render_clip(clip_specs(set_name)[int(index)]))
    assert digest(frame) == DIGESTS[name]


def test_shapes_and_types() -> None:
    frame = mini(3)[0]
    assert (frame.image.shape, frame.image.dtype) == ((512, 512, 3), np.uint8)
    assert (frame.mask.shape, frame.mask.dtype) == ((512, 512), np.uint8)
    assert (frame.depth.shape, frame.depth.dtype) == ((512, 512), np.float32)
    assert (frame.keypoints.shape, frame.keypoints.dtype) == ((5, 18, 2), np.float32)
    assert (frame.visibility.shape, frame.visibility.dtype) == ((5, 18), np.uint8)
    assert frame.background_motion.shape == (2, 3)
    assert set(np.unique(frame.mask)) <= set(range(6))


def test_first_frames_do_not_depend_on_how_many_follow() -> None:
    spec = replace(clip_specs("synthetic")[4], size=128)
    long = [digest(frame) for frame in render_clip(spec, 5)]
    assert [digest(frame) for frame in render_clip(spec, 3)] == long[:3]
    assert [digest(frame) for frame in render_clip(replace(spec, frames=40), 3)] == long[:3]
    assert len({*long}) == 5
    training = next(training_clips(1, frames=6, size=128))
    assert [digest(f) for f in render_clip(training, 4)] == [
        digest(f) for f in render_clip(replace(training, frames=90), 4)
    ]


@pytest.mark.parametrize("index", range(4))
def test_visible_keypoints_lie_on_their_character(index: int) -> None:
    seen = hidden = on_other = 0
    for frame in mini(index)[::6]:
        for k, (points, states) in enumerate(zip(frame.keypoints, frame.visibility, strict=True)):
            for (x, y), state in zip(points, states, strict=True):
                if state == 0:
                    assert not (0 <= round(float(x)) < 512 and 0 <= round(float(y)) < 512)
                    continue
                owner = frame.mask[round(float(y)), round(float(x))]
                if state == 2:
                    assert owner == k + 1
                    seen += 1
                else:
                    hidden += 1
                    on_other += owner not in (0, k + 1)
    assert seen > 60
    assert hidden > 20
    assert on_other > 0


@pytest.mark.parametrize("index", range(4))
def test_depth_at_visible_keypoints_is_the_joints_own(index: int) -> None:
    spec = clip_specs("synthetic-mini")[index]
    scene = Scene(spec)
    frame = scene.frame(5)
    for k, body in enumerate(scene.skeletons):
        joints = np.stack([body[name][spec.start + 5] for name in KEYPOINT_NAMES])
        far = scene.camera.project(joints)[1]
        for i, state in enumerate(frame.visibility[k]):
            if state:
                x, y = np.rint(frame.keypoints[k, i]).astype(int)
                gap = far[i] - frame.depth[y, x]
                if state == 2:
                    assert -0.12 < gap < TOLERANCE[i] * scene.builds[k].scale
                else:
                    # Something stands clearly before the joint, or the pixel beside a limb's edge is not its own.
                    assert gap > 0.02 or frame.mask[y, x] != k + 1


def test_nearer_characters_cover_farther_ones() -> None:
    compared = 0
    for index in range(4):
        for frame in mini(index)[::4]:
            inside = frame.mask > 0
            depths = {k: float(np.median(frame.depth[frame.mask == k])) for k in np.unique(frame.mask[inside])}
            assert frame.depth[~inside].max() < 12
            for a, b in ((a, b) for a in depths for b in depths if depths[a] + 0.35 < depths[b]):
                edge = (frame.mask[:, :-1] == a) & (frame.mask[:, 1:] == b)
                if edge.sum() > 20:
                    # Where masks touch, the picture's nearer character is the one in front.
                    assert np.median(frame.depth[:, :-1][edge]) < np.median(frame.depth[:, 1:][edge])
                    compared += 1
    assert compared > 3


@pytest.mark.parametrize("index", range(20))
def test_every_benchmark_clip_overlaps_moves_and_shows_all_at_first(index: int) -> None:
    scene, frames = small(index)
    first = frames[0]
    # The reference frame shows every face.
    assert (first.visibility[:, NOSE] == 2).all()
    assert ((first.visibility == 2).sum(1) >= 10).all()
    assert set(np.unique(first.mask)) == set(range(scene.spec.characters + 1))
    hidden_by_another = 0
    for frame in frames:
        x, y = (np.clip(np.rint(frame.keypoints[..., i]).astype(int), 0, 127) for i in (0, 1))
        owner = frame.mask[y, x]
        own = np.arange(1, scene.spec.characters + 1)[:, None]
        hidden_by_another += int(((frame.visibility == 1) & (owner != own) & (owner > 0)).sum())
    assert hidden_by_another >= 8
    points = np.stack([frame.keypoints for frame in frames])
    assert (np.ptp(points[:, :, KEYPOINT_NAMES.index("left_wrist")], axis=0).max(-1) > 15).all()


def test_left_and_right_change_sides_when_a_back_is_turned() -> None:
    left, right = KEYPOINT_NAMES.index("left_shoulder"), KEYPOINT_NAMES.index("right_shoulder")
    fronts = backs = 0
    for index in (7, 14, 18):  # rings
        scene, frames = small(index, 6)
        for number, frame in enumerate(frames):
            for k, body in enumerate(scene.skeletons):
                facing, looking = body["chest_z"][number * 6, 2], body["head_z"][number * 6, 2]
                order = frame.keypoints[k, left, 0] - frame.keypoints[k, right, 0]
                if facing > 0.5:
                    assert order > 0
                    fronts += 1
                elif facing < -0.5:
                    assert order < 0
                    assert looking > -0.75 or frame.visibility[k, NOSE] != 2
                    backs += 1
    assert fronts > 50
    assert backs > 20


def test_who_leaves_the_picture_has_no_visible_point() -> None:
    found = 0
    for index in range(20):
        scene, frames = small(index)
        if "leave" not in {name for _, name in scene.script.sections}:
            continue
        for frame in frames:
            for k in range(scene.spec.characters):
                outside = (frame.keypoints[k, :, 0] < -1) | (frame.keypoints[k, :, 0] > 128)
                if outside.all():
                    found += 1
                    assert (frame.visibility[k] == 0).all()
    assert found > 0


def test_the_benchmark_background_stands_still() -> None:
    frames = mini(0)
    backdrop = Scene(clip_specs("synthetic-mini")[0]).backdrop
    for frame in frames:
        np.testing.assert_array_equal(frame.background_motion, [[1, 0, 0], [0, 1, 0]])
    # Pixels off the floor that no figure ever comes near are one picture throughout.
    grown = np.zeros((512, 512), bool)
    for frame in frames:
        grown |= frame.mask > 0
    for _ in range(3):
        grown[1:] |= grown[:-1]
        grown[:-1] |= grown[1:]
        grown[:, 1:] |= grown[:, :-1]
        grown[:, :-1] |= grown[:, 1:]
    quiet = ~grown & ~backdrop.floor
    assert quiet.mean() > 0.3
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame.image[quiet], frames[0].image[quiet])
        np.testing.assert_array_equal(frame.depth[quiet], frames[0].depth[quiet])
    # On the floor only shadows change it: they make it darker, never brighter.
    shadowed = ~grown & backdrop.floor
    clean = np.floor(backdrop.colour[shadowed] + 0.5)
    assert all((frame.image[shadowed] <= clean).all() for frame in frames)
    assert any((frame.image[shadowed] < clean - 10).any() for frame in frames)


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    return top * (1 - fy) + (image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx) * fy


def test_background_motion_carries_one_background_to_the_next() -> None:
    scene = Scene(next(training_clips(2, frames=24, size=256)))
    assert scene.shake is not None
    assert scene._warper is not None
    for body in scene.skeletons:  # far below the floor: the room alone
        for name in ("pelvis", "waist", "neck", "head", *(n for n in body if n.split("_")[-1] in LIMBS)):
            body[name] = body[name] - np.array((0.0, 50.0, 0.0))
    frames = list(scene.frames())
    assert not any(frame.mask.any() for frame in frames)
    np.testing.assert_array_equal(frames[0].background_motion, [[1, 0, 0], [0, 1, 0]])
    yy, xx = np.mgrid[20:236, 20:236].astype(float)
    motions = []
    for before, after in itertools.pairwise(frames):
        matrix = np.vstack([after.background_motion, [0, 0, 1]])
        source = np.einsum("ij,jhw->ihw", np.linalg.inv(matrix), np.stack([xx, yy, np.ones_like(xx)]))
        truth = after.image[20:236, 20:236].astype(float)
        carried = bilinear(before.image.astype(float), source[0], source[1])
        ignored = before.image[20:236, 20:236].astype(float)
        # Sampled twice and rounded to 1/32 pixel, edges blur a little; the motion itself must explain the change.
        assert np.median(np.abs(carried - truth)) < 1
        assert np.abs(carried - truth).mean() < 3
        motions.append((np.abs(ignored - truth).mean(), np.abs(carried - truth).mean()))
    still, explained = np.mean(motions, axis=0)
    assert explained < 0.55 * still


def test_background_motion_is_exact() -> None:
    """On a ramp, whose grey values are its coordinates, sampling adds nothing but rounding."""
    size, margin = 128, 16
    y, x = np.mgrid[: size + 2 * margin, : size + 2 * margin].astype(np.float32)
    warper = Warper(Backdrop(np.stack([x, y, 0 * x], -1), x, x > 80), size, margin)
    shake = Shake(Random(4), size)
    points = np.stack(
        [axis.ravel() for axis in np.meshgrid(np.arange(20, 108.0), np.arange(20, 108.0))] + [np.ones(88 * 88)]
    )
    for number in range(1, 60):
        before, after = shake.at(number - 1), shake.at(number)
        motion = np.array(compose_affine(after, invert_affine(before))).reshape(2, 3)
        old, _, _ = warper.at(before)
        new, depth, floor = warper.at(after)
        moved = motion @ points
        carried = bilinear(new[..., :2].astype(float), moved[0], moved[1])
        here = old[points[1].astype(int), points[0].astype(int), :2]
        # Half a grey level from rounding on either side, and 1/32 pixel of the sampling grid.
        assert np.abs(carried - here).max() < 1.1
        assert np.abs(carried - here).mean() < 0.6
        # Depth and floor are those of the nearest pixel, and stay with the colours.
        assert np.abs(depth - new[..., 0]).max() <= 1
        assert ((new[..., 0] > 81.5) <= floor).all()
        assert ((new[..., 0] < 79.5) <= ~floor).all()
    assert shake.at(0) == (1, 0, 0, 0, 1, 0)


def test_the_camera_never_looks_past_the_painted_room() -> None:
    corners = np.array([(0, 0, 1), (511, 0, 1), (0, 511, 1), (511, 511, 1)], float)
    most = 0.0
    for seed in range(40):
        shake = Shake(Random(seed), 512)
        for frame in range(0, 1000, 13):
            seen = corners @ np.array(invert_affine(shake.at(frame))).reshape(2, 3).T
            most = max(most, -seen.min(), seen.max() - 511)
    assert 20 < most < 512 * Shake.MARGIN - 1


def test_motions_add_up_to_the_way_of_the_camera() -> None:
    scene = Scene(next(training_clips(3, frames=12, size=64)))
    assert scene.shake is not None
    total = np.eye(3)
    for frame in scene.frames():
        total = np.vstack([frame.background_motion, [0, 0, 1]]) @ total
    np.testing.assert_allclose(total[:2].ravel(), scene.shake.at(11), atol=1e-9)


def test_figures_move_with_the_shaken_camera() -> None:
    """Where a joint is drawn is where the camera at rest would draw it, carried by the shake."""
    scene = Scene(next(training_clips(2, frames=20, size=256)))
    assert scene.shake is not None
    frame = scene.frame(19)
    a, b, c, d, e, f = scene.shake.at(19)
    points = np.stack([[body[name][scene.spec.start + 19] for name in KEYPOINT_NAMES] for body in scene.skeletons])
    rest, _ = scene.camera.project(points)
    moved = np.stack([a * rest[..., 0] + b * rest[..., 1] + c, d * rest[..., 0] + e * rest[..., 1] + f], -1)
    np.testing.assert_allclose(frame.keypoints, moved, atol=1e-3)
    assert np.abs(moved - rest).max() > 1
    assert (frame.visibility == 2).sum() > 0.3 * frame.visibility.size


def test_sizes_show_the_same_scene() -> None:
    spec = clip_specs("synthetic")[1]
    large, little = (next(render_clip(replace(spec, size=size))) for size in (512, 128))
    reduced = large.image.reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(reduced - little.image).mean() < 6
    np.testing.assert_allclose((large.keypoints + 0.5) / 4, little.keypoints + 0.5, atol=1e-3)


@pytest.mark.parametrize("index", [0, 4, 7, 12])
def test_a_misaligned_reference_has_the_same_people_elsewhere(index: int) -> None:
    spec = replace(clip_specs("synthetic-misaligned")[index], size=256)
    scene = Scene(spec)
    first, reference = scene.frame(0), render_reference(spec, scene)
    assert digest(reference) == digest(render_reference(spec))
    assert (reference.visibility[:, NOSE] == 2).all()
    # Nobody stands in the place that he or she has in the first frame.
    moved = np.abs(first.keypoints[:, NECK, 0] - reference.keypoints[:, NECK, 0])
    assert (moved > 15).all()
    # The room is the same where nobody is.
    empty = (first.mask == 0) & (reference.mask == 0) & ~scene.backdrop.floor
    same = (first.image[empty] == reference.image[empty]).all(-1)
    assert same.mean() > 0.93
    for k in range(spec.characters):
        colours = [frame.image[frame.mask == k + 1].mean(0) for frame in (first, reference)]
        assert np.abs(colours[0] - colours[1]).max() < 22


def test_characters_of_a_clip_look_different() -> None:
    for index in range(4):
        frame = mini(index)[0]
        assert (frame.visibility[:, NOSE] == 2).all()
        colours = [frame.image[frame.mask == k].mean(0) for k in np.unique(frame.mask) if k]
        for i, a in enumerate(colours):
            assert all(np.abs(a - b).max() > 8 for b in colours[i + 1 :])
