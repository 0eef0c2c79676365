"""Predictions that are only imperfect, and faults put into predictions, for the doctor's tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from mcbench.datasets.base import Clip, Dataset
from mcbench.video import write_video

Frames = list[np.ndarray]
Random = np.random.Generator


@dataclass
class Memory:
    """Frames that were never on disk, as a source."""

    video: Sequence[np.ndarray]
    fps: float | None = None
    container: str = "png"
    conversions: set[str] = field(default_factory=set)

    @property
    def frames(self) -> int:
        return len(self.video)

    @property
    def size(self) -> tuple[int, int]:
        return self.video[0].shape[:2]

    def read(self) -> Iterator[np.ndarray]:
        return iter(self.video)

    def digest(self) -> str:
        return "memory"


@dataclass
class Case:
    """A clip in memory: its truth, and the masks of its characters."""

    clip: Clip
    truth: Frames
    masks: np.ndarray

    @classmethod
    def of(cls, clip: Clip, start: int = 0, stop: int | None = None) -> Case:
        truth = list(clip.source.read())[start : stop or clip.frames]
        masks = clip.annotations.masks(start, start + len(truth))
        return cls(Clip(clip.name, Memory(truth, clip.fps), len(truth), clip.fps), truth, masks)


def cases_of(dataset: Dataset, frames: int) -> list[Case]:
    """Every clip cut into cases of so many frames."""
    return [
        Case.of(clip, start, start + frames)
        for clip in dataset.clips
        for start in range(0, clip.frames - frames + 1, frames)
    ]


# ------------------------------------------------------------------------------------------------ merely imperfect


def noise(case: Case, video: Frames, random: Random) -> Frames:
    sigma = random.uniform(2, 14)
    return [_grainy(frame, sigma, random) for frame in video]


def blur(case: Case, video: Frames, random: Random) -> Frames:
    sigma = random.uniform(0.7, 3.5)
    return [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in video]


def coarse_latents(case: Case, video: Frames, random: Random) -> Frames:
    """What a decoder makes of latents that are too small: detail gone, a little ringing."""
    factor = int(random.choice([2, 3, 4]))
    side = 512 // factor
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in video]
    return [cv2.resize(frame, (512, 512), interpolation=cv2.INTER_CUBIC) for frame in small]


def colour_cast(case: Case, video: Frames, random: Random) -> Frames:
    gain, bias = random.uniform(0.8, 1.2, 3), random.uniform(-15, 15, 3)
    return [_u8(frame * gain + bias) for frame in video]


def contrast(case: Case, video: Frames, random: Random) -> Frames:
    gain, bias, gamma = random.uniform(0.75, 1.25), random.uniform(-20, 20), random.uniform(0.8, 1.25)
    return [_u8(255 * np.clip((frame * gain + bias) / 255, 0, 1) ** gamma) for frame in video]


def flicker(case: Case, video: Frames, random: Random) -> Frames:
    depth = random.uniform(2, 12)
    return [_u8(frame.astype(float) + random.normal(0, depth)) for frame in video]


def warp(case: Case, video: Frames, random: Random) -> Frames:
    """A smooth warp, the same in all frames or drifting."""
    wave, size, drift = random.uniform(25, 70), random.uniform(0.8, 4), random.choice([0.0, 0.15, 1.0])
    fields = [_smooth(random, wave) * size for _ in range(2)]
    out = []
    for frame in video:
        if drift:
            fields = [one * np.sqrt(1 - drift**2) + _smooth(random, wave) * size * drift for one in fields]
        out.append(_remap(frame, *fields))
    return out


def wobble(case: Case, video: Frames, random: Random) -> Frames:
    size = random.uniform(0.3, 2)
    return [_affine(frame, 1, 1, *random.normal(0, size, 2)) for frame in video]


def misplaced_character(case: Case, video: Frames, random: Random) -> Frames:
    """One character stands somewhere else, before the right background."""
    ids = [k for k in np.unique(case.masks) if k]
    if not ids:
        return video
    mine, (x, y) = case.masks == random.choice(ids), random.uniform(-25, 25, 2)
    background = np.median(np.stack(video[:: max(1, len(video) // 8)]), axis=0).astype(np.uint8)
    out = []
    for frame, mask in zip(video, mine, strict=True):
        picture = np.where(mask[..., None], background, frame)
        there = _affine(mask.astype(np.uint8), 1, 1, x, y) > 0
        out.append(np.where(there[..., None], _affine(frame, 1, 1, x, y), picture))
    return out


def wrong_limbs(case: Case, video: Frames, random: Random) -> Frames:
    """Strong local warps on the characters alone, other ones in each frame."""
    out = []
    for frame, mask in zip(video, case.masks, strict=True):
        soft = cv2.GaussianBlur((mask > 0).astype(np.float32), (0, 0), 6)
        out.append(_remap(frame, *(_smooth(random, 15) * 9 * soft for _ in range(2))))
    return out


def softened_motion(case: Case, video: Frames, random: Random) -> Frames:
    """Every frame mixed with its neighbours."""
    padded = [video[0], *video, video[-1]]
    return [_u8((padded[i].astype(float) + 2.0 * padded[i + 1] + padded[i + 2]) / 4) for i in range(len(video))]


def wrong_background(case: Case, video: Frames, random: Random) -> Frames:
    """The characters are right; behind them are blobs of the method's own."""
    blobs = np.stack([_smooth(random, 30) * 40 + 128 for _ in range(3)], axis=-1)
    mixed = random.uniform(0.3, 0.8)
    return [
        np.where(mask[..., None] > 0, frame, _u8(frame * (1 - mixed) + blobs * mixed))
        for frame, mask in zip(video, case.masks, strict=True)
    ]


def still(case: Case, video: Frames, random: Random) -> Frames:
    """The reference frame, over and over, with a little noise: no two frames are equal."""
    return noise(case, [video[0]] * len(video), random)


IMPERFECT = (
    noise, blur, coarse_latents, colour_cast, contrast, flicker, warp, wobble, misplaced_character, wrong_limbs,
    softened_motion, wrong_background, still,
)  # fmt: skip


def honest(case: Case, random: Random) -> tuple[str, Frames]:
    """One to three imperfections, and always a little noise: no method repeats the truth's bytes."""
    chosen = random.choice(len(IMPERFECT), int(random.integers(1, 4)), replace=False)
    video = list(case.truth)
    # What works on the characters comes first, while the masks still fit.
    for k in sorted(chosen, key=lambda k: IMPERFECT[k] not in (misplaced_character, wrong_limbs, wrong_background)):
        video = IMPERFECT[k](case, video, random)
    return "+".join(IMPERFECT[k].__name__ for k in chosen), [_grainy(f, 1.5, random) for f in video]


def good(case: Case, random: Random) -> Frames:
    """A good prediction to put a fault into: slightly soft, slightly warped, slightly noisy."""
    fields = [_smooth(random, 40) * 0.6 for _ in range(2)]
    video = [_remap(cv2.GaussianBlur(frame, (0, 0), 0.6), *fields) for frame in case.truth]
    return [_grainy(frame, 2.0, random) for frame in video]


# ------------------------------------------------------------------------------------------------------ the faults

Change = Callable[[Frames], Frames]
STRENGTHS = ("weak", "medium", "strong")
PLACE = frozenset({"shift", "scale", "crop"})


def shifted(x: float, y: float) -> Change:
    return lambda video: [_affine(frame, 1, 1, x, y) for frame in video]


def scaled(across: float, down: float) -> Change:
    """About the centre; below 1 with black borders."""
    return lambda video: [_affine(frame, across, down, 0, 0, cv2.BORDER_CONSTANT) for frame in video]


def cropped(left: int, top: int, side: int) -> Change:
    return lambda video: [
        cv2.resize(frame[top : top + side, left : left + side], (512, 512), interpolation=cv2.INTER_LINEAR)
        for frame in video
    ]


def mirrored(*axes: int) -> Change:
    return lambda video: [np.ascontiguousarray(np.flip(frame, axes)) for frame in video]


def late(frames: int) -> Change:
    """Negative: early. The end that is missing repeats."""
    return lambda video: [video[min(max(i - frames, 0), len(video) - 1)] for i in range(len(video))]


def swapped(share: float) -> Change:
    """A share of the saturation is lost as well."""

    def change(video: Frames) -> Frames:
        grey = [frame.mean(axis=2, keepdims=True) for frame in video]
        return [_u8(g + (f - g) * share)[..., ::-1].copy() for f, g in zip(video, grey, strict=True)]

    return change


def toned(curve: Callable[[np.ndarray], np.ndarray]) -> Change:
    table = _u8(curve(np.arange(256, dtype=float)))
    return lambda video: [table[frame] for frame in video]


def jpeg(quality: int) -> Change:
    def change(video: Frames) -> Frames:
        out = []
        for frame in video:
            stream = io.BytesIO()
            Image.fromarray(frame).save(stream, "JPEG", quality=quality)
            out.append(np.asarray(Image.open(stream)))
        return out

    return change


def h264(folder: Path, crf: int) -> Change:
    def change(video: Frames) -> Frames:
        path = folder / f"{crf}.mp4"
        write_video(path, video, 25, crf=crf)
        with av.open(str(path)) as container:
            return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]

    return change


def text_sorted(first: int) -> Change:
    return lambda video: [video[i] for i in sorted(range(len(video)), key=lambda i: str(i + first))]


def backwards(video: Frames) -> Frames:
    return video[::-1]


def expanded(times: int, keep_count: bool) -> Change:
    return lambda video: [frame for frame in video for _ in range(times)][: len(video) if keep_count else None]


def frozen(start: float) -> Change:
    """The last part of the clip stands still, from that fraction on."""
    return lambda video: [video[min(i, round(len(video) * start))] for i in range(len(video))]


def duplicated(every: int) -> Change:
    """Each so many frames the one before is there again, without a shift of the rest."""
    return lambda video: [video[i - 1] if i and i % every == 0 else frame for i, frame in enumerate(video)]


def dropped(at: float, count: int, keep_count: bool) -> Change:
    def change(video: Frames) -> Frames:
        gone = round(len(video) * at)
        rest = video[:gone] + video[gone + count :]
        return rest + [rest[-1]] * count if keep_count else rest

    return change


def cut(count: int) -> Change:
    """Negative: frames too many."""
    return lambda video: video[:-count] if count > 0 else video + video[count:]


@dataclass(frozen=True)
class FaultCase:
    """A fault at one strength, and the codes any of which is its detection."""

    name: str
    change: Change
    codes: frozenset[str]


def faults(folder: Path) -> list[FaultCase]:
    """Every fault of content at three strengths."""
    rows: list[tuple[str, Sequence[Change], set[str]]] = [
        ("shift", [shifted(2, -1), shifted(-5, 4), shifted(20, 12)], set(PLACE)),
        ("scale down", [scaled(0.994, 0.994), scaled(0.97, 0.97), scaled(0.8, 0.8)], set(PLACE)),
        ("scale up", [scaled(1.006, 1.006), scaled(1.03, 1.03), scaled(1.25, 1.25)], set(PLACE)),
        ("stretch", [scaled(1, 0.99), scaled(0.95, 1), scaled(0.75, 1)], set(PLACE)),
        ("crop", [cropped(0, 0, 508), cropped(10, 4, 490), cropped(60, 20, 400)], set(PLACE)),
        ("flip", [mirrored(1), mirrored(0), mirrored(0, 1)], {"flip"}),
        ("late", [late(1), late(3), late(8)], {"time-offset"}),
        ("early", [late(-1), late(-4), late(-8)], {"time-offset"}),
        ("red-blue", [swapped(0.5), swapped(0.8), swapped(1)], {"channel-swap"}),
        ("range", [
            toned(lambda x: 16 + x * 219 / 255), toned(lambda x: (x - 16) * 255 / 219), toned(lambda x: 127.5 + x / 2),
        ], {"value-range"}),
        ("gamma", [
            toned(lambda x: 255 * (x / 255) ** (1 / 2.2)), toned(lambda x: 255 * (x / 255) ** 2.2),
            toned(lambda x: 2 * x - 255),
        ], {"value-range"}),
        ("black", [toned(lambda x: x / 255), toned(lambda x: x // 255), toned(lambda x: x * 0)], {"value-range"}),
        ("jpeg", [jpeg(92), jpeg(80), jpeg(50)], {"compression"}),
        ("h264", [h264(folder, 18), h264(folder, 27), h264(folder, 36)], {"compression"}),
        ("text order", [text_sorted(0), text_sorted(1), backwards], {"frame-order"}),
        ("expansion", [expanded(2, False), expanded(4, False), expanded(8, False)], {"frame-expansion"}),
        ("cut expansion", [expanded(2, True), expanded(3, True), expanded(4, True)], {"frame-expansion"}),
        ("frozen", [frozen(0.75), frozen(0.5), frozen(0.25)], {"frozen-frames"}),
        ("single", [frozen(0), lambda video: [video[-1]] * len(video), lambda video: video[:1]],
         {"single-frame", "frame-count"}),
        ("duplicated", [duplicated(8), duplicated(5), duplicated(2)], {"duplicated-frames", "frame-expansion"}),
        ("dropped", [dropped(0.5, 3, True), dropped(0.4, 5, True), dropped(0.25, 8, True)],
         {"dropped-frames", "time-offset"}),
        ("count", [cut(1), cut(4), cut(-2)], {"frame-count"}),
    ]  # fmt: skip
    return [
        FaultCase(f"{name} {STRENGTHS[k]}", change, frozenset(codes))
        for name, changes, codes in rows
        for k, change in enumerate(changes)
    ]


def combinations(folder: Path) -> list[tuple[tuple[str, ...], Change, list[frozenset[str]]]]:
    """Faults that come together, each named by its kind, at three strengths: names, the change, the codes of each."""
    by_name = {fault.name: fault for fault in faults(folder)}
    together = [
        ("red-blue", "late"), ("flip", "red-blue"), ("shift", "early"), ("crop", "range"), ("scale up", "jpeg"),
        ("stretch", "red-blue"), ("text order", "red-blue"), ("shift", "text order"), ("expansion", "flip"),
        ("late", "h264"), ("scale down", "dropped"), ("shift", "red-blue", "late"), ("crop", "flip", "red-blue"),
        ("range", "cut expansion"), ("frozen", "jpeg"), ("duplicated", "shift"),
    ]  # fmt: skip
    rows = []
    for names in together:
        for strength in STRENGTHS:
            chosen = [by_name[f"{name} {strength}"] for name in names]

            def change(video: Frames, chosen: list[FaultCase] = chosen) -> Frames:
                for fault in chosen:
                    video = fault.change(video)
                return video

            rows.append((tuple(fault.name for fault in chosen), change, [fault.codes for fault in chosen]))
    return rows


# ------------------------------------------------------------------------------------------------------- the tools


def _u8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _grainy(frame: np.ndarray, sigma: float, random: Random) -> np.ndarray:
    return _u8(frame + random.standard_normal(frame.shape, np.float32) * np.float32(sigma))


def _smooth(random: Random, wave: float) -> np.ndarray:
    """(512, 512) of smooth noise with a standard deviation of 1."""
    side = max(8, round(512 / wave * 3))
    small = cv2.GaussianBlur(random.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 3)
    return cv2.resize(small / small.std(), (512, 512), interpolation=cv2.INTER_CUBIC)


def _remap(frame: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    return cv2.remap(
        frame,
        x + across.astype(np.float32),
        y + down.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def _affine(
    frame: np.ndarray, across: float, down: float, x: float, y: float, border: int = cv2.BORDER_REFLECT
) -> np.ndarray:
    centre = (512 - 1) / 2
    matrix = np.array([[across, 0, centre * (1 - across) + x], [0, down, centre * (1 - down) + y]])
    return cv2.warpAffine(frame, matrix, (512, 512), flags=cv2.INTER_LINEAR, borderMode=border)
