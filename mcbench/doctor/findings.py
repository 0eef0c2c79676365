"""What the doctor can find: one table of faults, and the findings of one examination."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FAULTS", "Diagnosis", "Fault", "Finding", "Grade", "finding"]

Grade = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        grade: `error` makes every number of the clip wrong or refused; `warning` may be meant, and a reader of the
            numbers should know; `note` changes nothing.
        title: a few words for people.
        remedy: what to do about it, where the finding does not know better.
    """

    grade: Grade
    title: str
    remedy: str


FAULTS: dict[str, Fault] = {
    "missing-clip": Fault("error", "missing clips", "write the prediction of this clip, under the name of the clip"),
    "misnamed-clip": Fault("error", "misnamed clips", "rename the predictions after the clips that they show"),
    "colliding-names": Fault("error", "two predictions of one name", "keep one of them"),
    "unreadable": Fault("error", "cannot be read", "write the clip again, as 8-bit RGB PNG"),
    "truth-unreadable": Fault("error", "the truth cannot be read", "mend the data set; nothing else can be said"),
    "mixed-sizes": Fault("error", "frames of several sizes", "write every frame of a clip at one size"),
    "aspect": Fault(
        "error", "another aspect ratio", "centre-crop the prediction as the truth is cropped; never stretch it"
    ),
    "frame-count": Fault("error", "another number of frames", "write one frame for each frame of the truth"),
    "frame-expansion": Fault(
        "error",
        "frames repeated by a change of rate",
        "write frames as PNG, or let ffmpeg pass them through (-fps_mode passthrough); read a GIF frame by frame",
    ),
    "frame-order": Fault(
        "error", "frames out of order", "sort the frames as numbers, not as text (2 before 10), and write them again"
    ),
    "time-offset": Fault(
        "error", "a time offset", "line the prediction up: its frame i is compared with frame i of the truth"
    ),
    "dropped-frames": Fault("error", "dropped frames", "write every frame once; do not let an encoder drop frames"),
    "channel-swap": Fault(
        "error", "red and blue swapped", "swap the channels; OpenCV reads and writes BGR, everything else RGB"
    ),
    "value-range": Fault("error", "wrong range of values", "scale the values to 0-255 once, where they are saved"),
    "flip": Fault("error", "mirrored frames", "mirror the frames back"),
    "shift": Fault("error", "shifted frames", "crop at the place where the truth is cropped: the centre"),
    "scale": Fault("error", "scaled frames", "centre-crop to the largest square, then resize; no padding, no stretch"),
    "crop": Fault("error", "cropped frames", "centre-crop to the largest square, and cut nothing else off"),
    "single-frame": Fault("warning", "one frame, repeated", "write all frames, if the method was meant to animate"),
    "frozen-frames": Fault("warning", "frozen stretches", "look at how the frames are written"),
    "duplicated-frames": Fault("warning", "duplicated frames", "write each frame once, at the rate of the truth"),
    "equals-truth": Fault(
        "warning", "equal to the truth", "make sure that the method does not write what it should predict"
    ),
    "equals-reference": Fault(
        "warning", "equal to the reference frame", "make sure that the method animates; copying is only a floor"
    ),
    "compression": Fault("warning", "traces of lossy compression", "write PNG straight from the method's output"),
    "fps": Fault("warning", "another frame rate", "write the prediction at the truth's frame rate"),
    "extra-clip": Fault("note", "clips that the data set does not have", "nothing; they are left out"),
    "lossy-container": Fault("note", "stored in a lossy format", "PNG frames keep what the method made"),
    "converted": Fault("note", "converted without loss", "nothing; 8-bit RGB needs no conversion"),
}
"""Every code, with its grade."""


@dataclass(frozen=True)
class Finding:
    """One fault of one clip, or of the whole set.

    Attributes:
        code: a key of `FAULTS`.
        grade: its grade.
        clip: name of the clip, None for the whole set.
        evidence: what was seen, and what it costs where that can be computed.
        remedy: what to do.
    """

    code: str
    grade: Grade
    clip: str | None
    evidence: str
    remedy: str

    @property
    def title(self) -> str:
        """The fault in a few words."""
        return FAULTS[self.code].title


def finding(code: str, clip: str | None, evidence: str, remedy: str | None = None) -> Finding:
    """A finding with its code's grade and, unless another is given, its code's remedy; all of it printable."""
    fault = FAULTS[code]
    shown = None if clip is None else _printable(clip)
    return Finding(code, fault.grade, shown, _printable(evidence), _printable(remedy or fault.remedy))


def _printable(text: str) -> str:
    """File names may hold line breaks, commands to the terminal, or bytes that are no text at all."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@dataclass(frozen=True)
class Diagnosis:
    """All findings, errors first.

    Attributes:
        findings: sorted by grade, then by the order of `FAULTS`, then by the order of the clips.
        clips: how many predictions were looked into, frame by frame.
        frames: how many of their frames.
    """

    findings: tuple[Finding, ...]
    clips: int
    frames: int

    @classmethod
    def of(cls, findings: Iterable[Finding], clips: int, frames: int) -> Diagnosis:
        """A diagnosis with its findings sorted."""
        grades: tuple[Grade, ...] = ("error", "warning", "note")
        codes = list(FAULTS)
        key = {code: (grades.index(fault.grade), codes.index(code)) for code, fault in FAULTS.items()}
        return cls(tuple(sorted(findings, key=lambda item: key[item.code])), clips, frames)

    @property
    def ok(self) -> bool:
        """Whether there is no finding of grade error."""
        return all(item.grade != "error" for item in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON form: `{"ok": bool, "findings": [{"code", "grade", "clip", "evidence", "remedy"}]}`."""
        return {"ok": self.ok, "findings": [vars(item) for item in self.findings]}
