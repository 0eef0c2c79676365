"""From clips to samples: which frames, which reference, mirrored or not, and everything that the step needs of them.

A sample is decided by the run's seed and its own number, the noise too. So the order of samples, and all that is drawn
by chance, are the same on any number of processes and after any interruption; the sampler's whole state is one number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fypv2.conditions import ConditionMaps, Poses, build_training_conditions, crop_resize_map
from fypv2.config import ConditionConfig
from fypv2.training.clips import AffineFlow, ClipSource, DenseFlow, Flow, TrainingClip
from fypv2.training.config import TrainConfig
from fypv2.training.errors import TrainingError
from mcbench import KEYPOINT_NAMES

__all__ = ["Choice", "Chooser", "draw", "mirrored", "read_choice", "still_start"]

Frames = npt.NDArray[np.uint8]

_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Choice:
    """What a sample is made of.

    Attributes:
        number: of the sample, from the start of the run.
        clip: index in the source.
        frames: that the network makes, rising in stage 2.
        reference: the frame that serves as the reference image.
        flipped: whether all is mirrored.
    """

    number: int
    clip: int
    frames: tuple[int, ...]
    reference: int
    flipped: bool


class Chooser:
    """Chooses samples; every clip comes once before any comes again.

    Stage 1 takes `config.frames` single frames of a clip, stage 2 a window of that length with a stride between the two
    of the config, where the clip is long enough for it. The reference is another frame: in stage 2 one outside the
    window, where the clip has any.

    Args:
        source: of the clips. Stage 2 leaves those out that are shorter than a window.
        config: of the run.

    Raises:
        TrainingError: if no clip is long enough.
    """

    def __init__(self, source: ClipSource, config: TrainConfig) -> None:
        needed = config.frames if config.stage == 2 else 1
        self.config = config
        self.lengths = np.array([source.info(i).frames for i in range(len(source))], np.int64)
        self.usable = np.flatnonzero(self.lengths >= needed)
        if not len(self.usable):
            longest = int(self.lengths.max(initial=0))
            raise TrainingError(
                f"no clip of {needed} frames in the data, the longest has {longest}; set frames={longest}"
            )

    def choose(self, number: int) -> Choice:
        """The choice of one sample, by its number from the start of the run."""
        config = self.config
        epoch, place = divmod(number, len(self.usable))
        clip = int(self.usable[_order(config.seed, epoch, len(self.usable))[place]])
        random = np.random.default_rng((config.seed, number, 0))
        length = int(self.lengths[clip])
        if config.stage == 2:
            most = max(1, min(config.stride[1], (length - 1) // (config.frames - 1)))
            stride = int(random.integers(min(config.stride[0], most), most + 1))
            start = int(random.integers(0, length - (config.frames - 1) * stride))
            frames = tuple(range(start, start + config.frames * stride, stride))
            others = [i for i in range(length) if not frames[0] <= i <= frames[-1]]
        else:
            # A clip shorter than a sample shows some frames twice, so that samples have one shape.
            frames = tuple(int(i) for i in np.resize(random.permutation(length)[: config.frames], config.frames))
            others = [i for i in range(length) if i not in frames]
        reference = int(random.choice(others or [i for i in range(length) if i != frames[0]] or [0]))
        return Choice(number, clip, frames, reference, bool(random.random() < config.flip))


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, clips: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, epoch, 1)).permutation(clips)


def read_choice(source: ClipSource, choice: Choice, *, consecutive: bool) -> tuple[TrainingClip, TrainingClip]:
    """The chosen frames and the reference, mirrored where that was chosen.

    Args:
        source: of the clips.
        choice: of a `Chooser`.
        consecutive: whether the frames are one window, whose flow runs from each to the next; else each has the flow
            from its true predecessor in the video.

    Returns:
        Clips of as many frames as were chosen, and of one.
    """
    if consecutive:
        target = source.read(choice.clip, choice.frames)
        if target.flow is not None:
            target = replace(target, flow=still_start(target.flow))
    else:
        target = _joined([source.read(choice.clip, [frame]) for frame in choice.frames])
    reference = source.read(choice.clip, [choice.reference])
    return (mirrored(target), mirrored(reference)) if choice.flipped else (target, reference)


def still_start(flow: Flow) -> Flow:
    """A window's flow with none in its first frame (Eq. 3)."""
    if isinstance(flow, AffineFlow):
        motion = flow.motion.copy()
        motion[0] = np.eye(2, 3)
        return replace(flow, motion=motion)
    vectors = flow.vectors.copy()
    vectors[0] = 0
    return replace(flow, vectors=vectors)


def draw(
    target: TrainingClip, reference: Poses, height: int, width: int, how: ConditionConfig
) -> tuple[ConditionMaps, npt.NDArray[np.float32]]:
    """The conditions of a clip, and where its characters are.

    Args:
        target: the frames that the network makes.
        reference: poses of the reference image, T = 1.
        height: of the training frames.
        width: likewise.
        how: of the model.

    Returns:
        The maps, and float32 (T, height, width): the share of each pixel that is a character, by the exact masks where
        there are any, else by the regions around the skeletons.
    """
    flow = None
    if target.flow is not None:
        flow = np.stack([target.flow.dense(i) for i in range(len(target.frames))])
    maps = build_training_conditions(
        target.poses,
        target.nearness,
        reference,
        height,
        width,
        flow=flow,
        dilation=how.dilation,
        flow_scale=how.flow_scale,
        rule=how.depth_rule,
    )
    if target.masks is None:
        regions: npt.NDArray[np.bool_] = np.asarray(maps.depth_order.any(axis=-1))
        return maps, regions.astype(np.float32)
    masks = [crop_resize_map((mask > 0).astype(np.float32), height, width) for mask in target.masks]
    return maps, np.stack(masks)


def mirrored(clip: TrainingClip) -> TrainingClip:
    """The clip in a mirror: pictures and maps, places, and which side of the body a keypoint is on."""
    return replace(
        clip,
        frames=clip.frames[:, :, ::-1],
        poses=_mirrored_poses(clip.poses),
        flow=None if clip.flow is None else _mirrored_flow(clip.flow),
        nearness=clip.nearness[:, :, ::-1],
        masks=None if clip.masks is None else clip.masks[:, :, ::-1],
    )


def _mirrored_poses(poses: Poses) -> Poses:
    sides = [KEYPOINT_NAMES.index(_other_side(name)) for name in KEYPOINT_NAMES]
    last = np.float32(poses.size[1] - 1)
    body = poses.body[:, :, sides].copy()
    body[..., 0] = last - body[..., 0]
    hands = None
    if poses.hands is not None:
        hands = poses.hands[:, :, ::-1].copy()
        hands[..., 0] = last - hands[..., 0]
    return replace(
        poses,
        body=body,
        body_scores=poses.body_scores[:, :, sides],
        hands=hands,
        hand_scores=None if poses.hand_scores is None else poses.hand_scores[:, :, ::-1],
    )


def _other_side(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{_OTHER_SIDE[side]}_{part}" if side in _OTHER_SIDE else name


def _mirrored_flow(flow: Flow) -> Flow:
    if isinstance(flow, DenseFlow):
        return replace(flow, vectors=flow.vectors[:, :, ::-1] * np.array([-1, 1], np.float16))
    mirror = np.array([[-1.0, 0.0, flow.size[1] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    whole = np.concatenate([flow.motion, np.tile([[[0.0, 0.0, 1.0]]], (len(flow.motion), 1, 1))], axis=1)
    return replace(flow, motion=(mirror @ whole @ mirror)[:, :2])


def _joined(clips: list[TrainingClip]) -> TrainingClip:
    """Single frames of one clip, put behind each other."""
    first = clips[0]
    flows = [clip.flow for clip in clips]
    flow: Flow | None = None
    if isinstance(flows[0], AffineFlow):
        flow = AffineFlow(np.concatenate([one.motion for one in flows if isinstance(one, AffineFlow)]), flows[0].size)
    elif isinstance(flows[0], DenseFlow):
        flow = DenseFlow(np.concatenate([one.vectors for one in flows if isinstance(one, DenseFlow)]), flows[0].size)
    hands = [clip.poses.hands for clip in clips if clip.poses.hands is not None]
    hand_scores = [clip.poses.hand_scores for clip in clips if clip.poses.hand_scores is not None]
    return replace(
        first,
        frames=np.concatenate([clip.frames for clip in clips]),
        poses=Poses(
            np.concatenate([clip.poses.body for clip in clips]),
            np.concatenate([clip.poses.body_scores for clip in clips]),
            first.poses.size,
            None if first.poses.hands is None else np.concatenate([one for one in hands if one is not None]),
            None
            if first.poses.hand_scores is None
            else np.concatenate([one for one in hand_scores if one is not None]),
        ),
        flow=flow,
        nearness=np.concatenate([clip.nearness for clip in clips]),
        masks=None if first.masks is None else np.concatenate([clip.masks for clip in clips if clip.masks is not None]),
    )
