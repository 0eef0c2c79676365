"""Red and blue swapped, and values on another range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.doctor.look import THUMB

__all__ = ["TONES", "Tone", "find_tone", "histogram", "lost_range", "quantiles", "swapped"]

Frame = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

LEAST_CHROMA = 3.0
"""Root mean square of R - B in grey levels: in a grey scene nobody can tell."""
SWAPPED = -0.35
"""Correlation of R - B in prediction and truth; honest colours stay above 0, a swap turns the sign."""
SHARE = 0.75
"""Share of the frames that must agree."""
CLOSE = 1.6
"""Grey levels, the mean over quantiles, to which a tone curve must fit; or 8% of what it takes away."""
PERCENTILES = np.linspace(4, 96, 24)


@dataclass(frozen=True)
class Tone:
    """A curve that some wrong conversion applies.

    Attributes:
        name: the conversion.
        remedy: how to mend it.
        curve: (256,) float64, the value that it makes of each value.
    """

    name: str
    remedy: str
    curve: Values

    def undone(self) -> npt.NDArray[np.uint8]:
        """(256,) table from a value of the prediction back to what was meant."""
        return np.asarray(np.clip(np.rint(np.interp(np.arange(256), self.curve, np.arange(256))), 0, 255), np.uint8)


_X = np.arange(256, dtype=np.float64)


def _srgb_encode(linear: Values) -> Values:
    """IEC 61966-2-1, both sides in 0 to 1."""
    return np.asarray(
        np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    )


def _srgb_decode(encoded: Values) -> Values:
    return np.asarray(np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4))


TONES = (
    Tone(
        "limited range: 0-255 lies on 16-235",
        "write full-range RGB (ffmpeg: -vf scale=out_range=full), or mark the video as limited",
        16 + _X * 219 / 255,
    ),
    Tone(
        "stretched range: 16-235 was taken for 0-255 once too often",
        "expand the range once only (ffmpeg: -vf scale=in_range=full)",
        np.clip((_X - 16) * 255 / 219, 0, 255),
    ),
    Tone("washed out: 0-255 lies on 128-255", "map [-1, 1] to [0, 1] once only", 127.5 + _X / 2),
    Tone(
        "dark half lost: [-1, 1] was saved without (x + 1) / 2", "map [-1, 1] to [0, 1]", np.clip(2 * _X - 255, 0, 255)
    ),
    Tone("half range: 0-255 lies on 0-127", "scale by 255, not by 127.5", _X / 2),
    Tone("gamma applied twice (too bright)", "leave sRGB values as they are", 255 * _srgb_encode(_X / 255)),
    Tone("gamma missing (too dark)", "convert linear light to sRGB before saving", 255 * _srgb_decode(_X / 255)),
)


def lost_range(values: npt.NDArray[np.int64], truths: Sequence[Frame]) -> tuple[str, str] | None:
    """Values that were never scaled to 0-255, in words, and what to do; None where all is well.

    Args:
        values: (256,) how often each value occurs in the prediction.
        truths: frames of the truth.
    """
    total = int(values.sum())
    bright = float(np.mean([quantiles(histogram(frame), np.array([0.9]))[0] for frame in truths]))
    if bright < 16:
        return None
    if values[:3].sum() == total:
        return "no value above 2: values of 0 to 1 were saved as they are", "multiply by 255 before saving"
    if values[[0, 1, 255]].sum() >= 0.999 * total:
        return "hardly a value but 0, 1 and 255: values of -1 to 1 were saved as they are", "map [-1, 1] to 0-255"
    if values.max() >= 0.999 * total:
        flat = f"hardly a value but {int(values.argmax())}: the frames are one flat colour"
        return flat, "look at what the method makes, and at how it is saved"
    return None


def swapped(predictions: Sequence[Frame], truths: Sequence[Frame]) -> float | None:
    """The median correlation of R - B where it says that red and blue are swapped in most frames; else None."""
    correlations, better = [], []
    for p, t in zip(predictions, truths, strict=True):
        small_p, small_t = _small(p), _small(t)
        a, b = small_p[..., 0] - small_p[..., 2], small_t[..., 0] - small_t[..., 2]
        if min(np.sqrt(np.mean(a * a)), np.sqrt(np.mean(b * b))) < LEAST_CHROMA:
            continue
        correlations.append(float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))))
        better.append(np.mean((small_p[..., ::-1] - small_t) ** 2) < 0.9 * np.mean((small_p - small_t) ** 2))
    if len(correlations) < max(1, len(predictions) / 2):
        return None
    agree = np.mean([c < SWAPPED and better for c, better in zip(correlations, better, strict=True)])
    return float(np.median(correlations)) if agree >= SHARE else None


def find_tone(predictions: Sequence[Frame], truths: Sequence[Frame]) -> Tone | None:
    """The wrong curve that fits every channel of most frames closely, where the identity does not.

    Quantiles are compared, not pixels, and those of means of 4 x 4 pixels: blur, noise and a limb in the wrong place
    hardly move them.
    """
    fits: dict[str, list[float]] = {}
    plain = []
    for p, t in zip(predictions, truths, strict=True):
        seen, meant = (_percentiles(frame) for frame in (p, t))
        plain.append(float(np.abs(seen - meant).mean(axis=0).max()))
        for tone in TONES:
            expected = np.interp(meant, _X, tone.curve)
            fits.setdefault(tone.name, []).append(float(np.abs(seen - expected).mean(axis=0).max()))
    best = min(TONES, key=lambda tone: float(np.median(fits[tone.name])))
    fit = np.array(fits[best.name])
    good = (fit < np.maximum(CLOSE, 0.08 * np.array(plain))) & (np.array(plain) > 3 * fit)
    return best if good.mean() >= SHARE else None


def _percentiles(frame: Frame) -> Values:
    """(24, 3) percentiles of each channel, over means of 4 x 4 pixels: a blur brings the ends of the range nearer."""
    few = np.asarray(cv2.resize(frame, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)
    return np.stack([quantiles(histogram(few[..., channel]), PERCENTILES / 100) for channel in range(3)], axis=1)


def histogram(values: Frame) -> npt.NDArray[np.int64]:
    """(256,) how often each value occurs."""
    row = np.ascontiguousarray(values).reshape(1, -1)
    return np.asarray(cv2.calcHist([row], [0], None, [256], [0, 256]), np.int64).ravel()


def quantiles(counts: npt.NDArray[np.int64], parts: Values) -> Values:
    """As `numpy.quantile` of the values themselves, which would have to be sorted."""
    place = parts * (counts.sum() - 1)
    below, total = np.floor(place), np.cumsum(counts)
    low, high = (np.searchsorted(total, rank, side="right") for rank in (below, np.ceil(place)))
    return np.asarray(low + (high - low) * (place - below), np.float64)


def _small(frame: Frame) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(frame, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.float32)
