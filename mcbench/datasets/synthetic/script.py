"""What a script is: who is where on which beat, doing what, and whose arms reach whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcbench.datasets.synthetic.moves import Move

__all__ = ["Contact", "Script", "Track", "Waypoint", "stage_slots"]


@dataclass(frozen=True)
class Waypoint:
    """Where a character is at that beat, metres and turns; it is passed at speed if `through`, else it rests there."""

    beat: float
    x: float
    z: float
    yaw: float
    through: bool = False


@dataclass(frozen=True)
class Contact:
    """Arms that reach for another character: `hug`, `hands` (both hands held) or `shoulders` (arms laid on them).

    The reach grows from beat `start` to `full` and fades from `release` to `end`.
    """

    kind: str
    a: int
    b: int
    start: float
    full: float
    release: float
    end: float


@dataclass
class Track:
    """One character's part: waypoints in order, and a move with its mirror flag for every beat."""

    way: list[Waypoint] = field(default_factory=list)
    moves: list[tuple[Move, int, bool]] = field(default_factory=list)

    @property
    def last(self) -> Waypoint:
        """The waypoint that was set last."""
        return self.way[-1]

    def go(self, beat: float, x: float, z: float, yaw: float, through: bool = False) -> None:
        """Be there at that beat."""
        self.way.append(Waypoint(beat, x, z, yaw, through))

    def stay(self, beat: float) -> None:
        """Be where the last waypoint is, at that beat."""
        last = self.last
        if beat > last.beat:
            self.go(beat, last.x, last.z, last.yaw)

    def dance(self, move: Move, beats: int, mirrored: bool = False) -> None:
        """Do that move for so many beats."""
        self.moves.extend((move, i, mirrored) for i in range(beats))


@dataclass
class Script:
    """All parts of a scene.

    Attributes:
        beat: frames in a beat.
        tracks: one for each character.
        contacts: whose arms reach whom.
        sections: (first beat, name).
    """

    beat: int
    tracks: list[Track]
    contacts: list[Contact]
    sections: list[tuple[int, str]]


def stage_slots(characters: int) -> list[tuple[float, float]]:
    """Where the dancers of a formation stand: (x, z) in metres, from left to right."""
    xs = {
        1: (0.0,),
        2: (-0.46, 0.46),
        3: (-0.74, 0.0, 0.74),
        4: (-1.02, -0.35, 0.35, 1.02),
        5: (-1.16, -0.60, 0.0, 0.60, 1.16),
    }[characters]
    zs = {1: (0.0,), 2: (0.0, 0.1), 3: (0.1, -0.3, 0.15), 4: (0.0, -0.4, 0.25, -0.15), 5: (0.05, -0.5, 0.3, -0.45, 0.1)}
    return list(zip(xs, zs[characters], strict=True))
