"""A clip's scene: cast, room, camera and script, and the renderer of its frames with their exact annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import KEYPOINT_NAMES
from mcbench.datasets.synthetic.arithmetic import Random, sine
from mcbench.datasets.synthetic.body import Build, Skeleton, make_build, solve
from mcbench.datasets.synthetic.camera import IDENTITY, Affine, Camera, Shake, compose_affine, invert_affine
from mcbench.datasets.synthetic.choreography import compose
from mcbench.datasets.synthetic.figure import Figure, Joints
from mcbench.datasets.synthetic.raster import Canvas, Ellipsoid, Floats, Tube, View, draw
from mcbench.datasets.synthetic.room import Backdrop, make_room, paint_room
from mcbench.datasets.synthetic.script import stage_slots
from mcbench.datasets.synthetic.shadows import cast_shadows
from mcbench.datasets.synthetic.specs import ClipSpec
from mcbench.datasets.synthetic.wardrobe import dress_cast
from mcbench.datasets.synthetic.warp import Warper

__all__ = ["Frame", "Scene", "render_clip", "render_reference"]

# How far, in metres, a surface may lie in front of a joint that counts as visible: the flesh and cloth around it, and a
# little more. Points of the face lie on the surface.
_FLESH = {
    "nose": 0.03, "neck": 0.13, "shoulder": 0.12, "elbow": 0.085, "wrist": 0.075, "hip": 0.17, "knee": 0.12,
    "ankle": 0.095, "eye": 0.03, "ear": 0.045,
}  # fmt: skip
TOLERANCE = np.array([_FLESH[name.split("_")[-1]] for name in KEYPOINT_NAMES], np.float64)


@dataclass(frozen=True)
class Frame:
    """One frame with all that is known of it; K characters, N pixels a side.

    Attributes:
        image: (N, N, 3) uint8 RGB.
        mask: (N, N) uint8: 0 background, k + 1 character k.
        depth: (N, N) float32, metres along the optical axis.
        keypoints: (K, 18, 2) float32, visibility: (K, 18) uint8, as in `mcbench.datasets.base.Annotations`.
        background_motion: (2, 3) float64, from the frame before to this one.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    keypoints: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]
    background_motion: npt.NDArray[np.float64]


class Scene:
    """Everything that the frames of a clip share. Making one composes the script and paints the room."""

    def __init__(self, spec: ClipSpec) -> None:
        self.spec = spec
        random = Random(spec.seed)
        women = [random.chance(0.5) for _ in range(spec.characters)]
        if len(set(women)) == 1:
            women[random.below(spec.characters)] ^= True
        self.builds: list[Build] = [make_build(random, woman) for woman in women]
        looks = dress_cast(random, women)
        self.figures = [Figure(look, build) for look, build in zip(looks, self.builds, strict=True)]
        size = spec.size
        focal = 900.0 * size / 512.0
        # As near as the whole formation and some room at its sides allow.
        half = abs(stage_slots(spec.characters)[-1][0]) + random.uniform(0.56, 0.66)
        distance = max(4.35, half * 900.0 / 256.0)
        pitch = random.uniform(0.010, 0.018)
        height = 0.98 + distance * float(sine(pitch)) * 0.96
        self.camera = Camera(focal, (size - 1) / 2, height, distance, pitch)
        self.room = room = make_room(random)
        light = (-0.42 * room.light_side * -1.0, 0.62, 0.66)
        self.cast = (-0.30 * light[0] / 0.42, -0.34)
        self.view = View(self.camera, light, (0.66, 0.60, 0.68), (1.06, 1.04, 1.00))
        self.shake = Shake(random, size) if spec.shaken else None
        margin = int(size * Shake.MARGIN) if spec.shaken else 0
        self.backdrop: Backdrop = paint_room(room, self.camera, self.view, size, margin)
        self._warper = Warper(self.backdrop, size, margin) if spec.shaken else None
        total = spec.start + spec.frames
        self.script = compose(random.below(1 << 30), spec.characters, total, spec.opening)
        self.skeletons = solve(self.script, self.builds, total)

    def frames(self, stop: int | None = None) -> Iterator[Frame]:
        """The first `stop` frames, or all."""
        for i in range(self.spec.frames if stop is None else min(stop, self.spec.frames)):
            yield self.frame(i)

    def frame(self, index: int) -> Frame:
        """One frame of the clip."""
        if self.shake is None:
            return self._render(self.skeletons, self.spec.start + index, IDENTITY, IDENTITY)
        warp = self.shake.at(index)
        motion = compose_affine(warp, invert_affine(self.shake.at(index - 1))) if index else IDENTITY
        return self._render(self.skeletons, self.spec.start + index, warp, motion)

    def _render(self, skeletons: list[Skeleton], at: int, warp: Affine, motion: Affine) -> Frame:
        size = self.spec.size
        if self._warper:
            colour, depth, floor = self._warper.at(warp)
        else:
            colour, depth, floor = self.backdrop.colour.copy(), self.backdrop.depth.copy(), self.backdrop.floor
        view = self.view.shaken(warp)
        poses: list[Joints] = [
            {name: (row[0], row[1], row[2]) for name, row in ((n, a[at].tolist()) for n, a in body.items())}
            for body in skeletons
        ]
        cast_shadows(colour, floor, view, poses, self.builds, self.cast)
        canvas = Canvas(colour, depth, np.zeros((size, size), np.uint8))
        queue: list[tuple[float, int, Tube | Ellipsoid]] = []
        for k, (figure, pose) in enumerate(zip(self.figures, poses, strict=True)):
            for solid in figure.solids(pose):
                if isinstance(solid, Tube):
                    far = 0.5 * (view.depth(solid.a) + view.depth(solid.b))
                else:
                    far = view.depth(solid.centre)
                queue.append((far, k + 1, solid))
        queue.sort(key=lambda item: -item[0])
        for _, owner, solid in queue:
            draw(canvas, view, solid, owner)
        image = np.clip(colour + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
        mask = canvas.owner.reshape(size, size)
        keypoints, visibility = self._keypoints(skeletons, at, view.camera, depth, mask)
        return Frame(image, mask, depth, keypoints, visibility, np.array(motion, np.float64).reshape(2, 3))

    def _keypoints(
        self, skeletons: list[Skeleton], at: int, camera: Camera, depth: Floats, mask: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        size = self.spec.size
        points = np.stack([np.stack([body[name][at] for name in KEYPOINT_NAMES]) for body in skeletons])
        pixels, far = camera.project(points)
        column, row = np.rint(pixels[..., 0]).astype(np.int64), np.rint(pixels[..., 1]).astype(np.int64)
        inside = (column >= 0) & (row >= 0) & (column < size) & (row < size)
        column, row = np.clip(column, 0, size - 1), np.clip(row, 0, size - 1)
        scale = np.array([build.scale for build in self.builds])[:, None]
        own = mask[row, column] == np.arange(1, len(skeletons) + 1)[:, None]
        seen = own & (depth[row, column] > far - TOLERANCE * scale)
        visibility = np.where(inside, np.where(seen, 2, 1), 0).astype(np.uint8)
        return pixels.astype(np.float32), visibility


def render_clip(spec: ClipSpec, frames: int | None = None) -> Iterator[Frame]:
    """Renders a clip in memory, frame by frame.

    Args:
        spec: the clip.
        frames: only so many of the first frames; all of the clip's if None.
    """
    yield from Scene(spec).frames(frames)


def render_reference(spec: ClipSpec, scene: Scene | None = None) -> Frame:
    """A picture of a clip's people in its room, in other places and other poses than in the clip.

    Args:
        spec: the clip.
        scene: the clip's scene, if it has been made already.
    """
    scene = scene or Scene(spec)
    count = spec.characters
    random = Random(spec.seed + 1)
    # The same people take another script, in an order of which nobody keeps the place.
    shift = 1 + random.below(count - 1)
    order = [(k + shift) % count for k in range(count)]
    frames = 40
    script = compose(random.below(1 << 30), count, frames, None)
    script.tracks = [script.tracks[i] for i in order]
    skeletons = solve(script, scene.builds, frames)
    return scene._render(skeletons, 18 + random.below(frames - 18), IDENTITY, IDENTITY)
