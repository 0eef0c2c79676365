"""Who dances what, where and with whom: a script of sections drawn from a seed.

A script is made from the front, section by section, so that what happens first does not depend on how long it lasts.
"""

from __future__ import annotations

from collections.abc import Callable

from mcbench.datasets.synthetic.arithmetic import Random, cosine, sine, turns_of
from mcbench.datasets.synthetic.moves import GESTURES, MOVES
from mcbench.datasets.synthetic.script import Contact, Script, Track, stage_slots

__all__ = ["compose"]

BEAT_RANGE = (12, 15)
"""Frames in a beat: 100 to 125 beats a minute at 25 frames a second."""


class _Director:
    def __init__(self, random: Random, characters: int) -> None:
        self.random = random
        self.count = characters
        self.beat = 0
        self.slots = stage_slots(characters)
        self.script = Script(random.below(BEAT_RANGE[1] - BEAT_RANGE[0]) + BEAT_RANGE[0], [], [], [])
        for k in range(characters):
            x, z = self.slots[k]
            track = Track()
            track.go(0, x + self._jitter(), z + self._jitter(), self._jitter())
            self.script.tracks.append(track)
        # Which character stands in which slot.
        self.order = list(range(characters))
        self._bag: list[str] = []

    def _jitter(self) -> float:
        return self.random.uniform(-0.05, 0.05)

    def _others_dance(self, busy: set[int], beats: int, unison: bool) -> None:
        """All but the busy ones dance on the spot and turn a little."""
        shared, flip = self.random.choice(list(MOVES.values())), self.random.chance(0.5)
        for k, track in enumerate(self.script.tracks):
            own, own_flip = self.random.choice(list(MOVES.values())), self.random.chance(0.5)
            turn = round(track.last.yaw) + self.random.uniform(-0.09, 0.09)
            if k in busy:
                continue
            track.stay(self.beat)
            track.go(self.beat + beats, track.last.x, track.last.z, turn)
            track.dance(*((shared, beats, flip) if unison else (own, beats, own_flip)))

    def _spot(self, slot: int) -> tuple[float, float]:
        x, z = self.slots[slot]
        return x + self._jitter(), z + self._jitter()

    def _neighbours(self) -> tuple[int, int, int]:
        """A slot and the characters in it and in the next one."""
        slot = self.random.below(self.count - 1)
        return slot, self.order[slot], self.order[slot + 1]

    # Each section adds its beats to every track and returns how many they are.

    def groove(self) -> int:
        beats = 4
        self._others_dance(set(), beats, self.random.chance(0.6))
        return beats

    def spin(self) -> int:
        """A canon of full turns on the spot."""
        beats, way = 4, self.random.choice((-1.0, 1.0))
        for place, k in enumerate(self.order):
            track, late = self.script.tracks[k], (place % 2) * 1.0
            front = round(track.last.yaw)
            track.stay(self.beat + late)
            track.go(self.beat + late + 2.8, track.last.x, track.last.z, front + way + self._jitter())
            move, flip = self.random.choice(list(MOVES.values())), self.random.chance(0.5)
            if late:
                track.dance(move, 1, flip)
            track.dance(GESTURES["twirl"], 3, way < 0)
            if not late:
                track.dance(move, 1, flip)
        return beats

    def cross(self) -> int:
        """Neighbours change places, one in front of the other; with four and more, two pairs at once."""
        beats = 4
        slots = [self.random.below(self.count - 1)]
        if self.count >= 4:
            slots = [0, self.count - 2]
        busy = set()
        for slot in slots:
            left, right = self.order[slot], self.order[slot + 1]
            self.order[slot], self.order[slot + 1] = right, left
            busy |= {left, right}
            front = self.random.choice((left, right))
            for k, goal, side in ((left, slot + 1, 1.0), (right, slot, -1.0)):
                track = self.script.tracks[k]
                track.stay(self.beat + 0.2)
                x0, z0, yaw0 = track.last.x, track.last.z, round(track.last.yaw)
                x1, z1 = self._spot(goal)
                toward = 0.34 if k == front else -0.30
                turning = self.random.chance(0.5)
                full = side if turning else 0.0
                middle = yaw0 + (0.5 * full if turning else 0.17 * side)
                track.go(self.beat + 1.9, (x0 + x1) / 2, (z0 + z1) / 2 + toward, middle, through=True)
                track.go(self.beat + 3.5, x1, z1, yaw0 + full + self._jitter())
                gesture = GESTURES["twirl_low"] if turning else GESTURES["strut"]
                track.dance(gesture, 3, side < 0)
                track.dance(self.random.choice(list(MOVES.values())), 1)
        self._others_dance(busy, beats, True)
        return beats

    def weave(self) -> int:
        """The one at an end passes in front of all to the other end; the rest move up."""
        beats = 5
        first = self.random.chance(0.5)
        runner = self.order[0] if first else self.order[-1]
        self.order = [*self.order[1:], runner] if first else [runner, *self.order[:-1]]
        side = 1.0 if first else -1.0
        for slot, k in enumerate(self.order):
            track = self.script.tracks[k]
            track.stay(self.beat + 0.2)
            x1, z1 = self._spot(slot)
            yaw0 = round(track.last.yaw)
            if k == runner:
                nearest = max(z for _, z in self.slots) + 0.50
                track.go(self.beat + 1.4, track.last.x * 0.55, nearest, yaw0 + 0.20 * side, through=True)
                track.go(self.beat + 3.0, x1 * 0.45, nearest, yaw0 + 0.16 * side, through=True)
                track.go(self.beat + 4.6, x1, z1, yaw0 + self._jitter())
                track.dance(GESTURES["strut"], beats, side < 0)
            else:
                track.go(self.beat + 3.4, x1, z1, yaw0 + self._jitter())
                track.dance(MOVES["step_clap"], beats, slot % 2 == 1)
        return beats

    def ring(self) -> int:
        """All go round a ring, facing its middle, so that half of them show their backs."""
        if self.count < 3:
            return self.swing()
        beats, way = 7, self.random.choice((-1, 1))
        shift = way * (self.count // 2)
        # The place at angle 0 is the one nearest to the camera.
        wide, deep = {3: (0.62, 0.46), 4: (0.78, 0.55), 5: (0.92, 0.66)}[self.count]
        angles = [i / self.count for i in range(self.count)]
        by_x = sorted(angles, key=lambda a: float(sine(a)) + 1e-3 * a)
        seats = dict(zip(self.order, by_x, strict=True))
        new_order = [0] * self.count
        for k in self.order:
            track, start = self.script.tracks[k], seats[k]
            base = round(track.last.yaw)
            track.stay(self.beat)
            inward = base + (start + 0.5 if start < 0.5 else start - 0.5)
            for step in range(9):
                angle = start + shift / self.count * step / 8
                x, z = wide * float(sine(angle)), deep * float(cosine(angle)) - 0.08
                yaw = inward + shift / self.count * step / 8
                track.go(self.beat + 1.2 + step * 0.5, x, z, yaw, through=0 < step < 8)
            place = (start * self.count + shift) % self.count
            slot = min(range(self.count), key=lambda s, p=place: abs(by_x[s] * self.count - p))  # type: ignore[misc]
            new_order[slot] = k
            x1, z1 = self._spot(slot)
            track.go(self.beat + beats - 0.3, x1, z1, round(track.last.yaw) + self._jitter())
            track.dance(MOVES["crowd"], beats)
        self.order = new_order
        return beats

    def swing(self) -> int:
        """Two neighbours take each other's hands, turn round their middle and come out with places changed."""
        beats = 7
        slot, a, b = self._neighbours()
        turns = self.random.choice((-1.5, 1.5))
        self._hold(a, b)
        ta, tb = self.script.tracks[a], self.script.tracks[b]
        mx, mz = (ta.last.x + tb.last.x) / 2, (ta.last.z + tb.last.z) / 2 + 0.1
        angle0 = float(turns_of(tb.last.x - ta.last.x, tb.last.z - ta.last.z))
        for k, track, side in ((a, ta, -1.0), (b, tb, 1.0)):
            base = round(track.last.yaw)
            # Facing the partner: a looks along the angle, b against it.
            yaw0 = base + (angle0 if side < 0 else angle0 - 0.5)
            track.stay(self.beat)
            for step in range(13):
                angle = angle0 + turns * step / 12
                x, z = mx + side * 0.40 * float(sine(angle)), mz + side * 0.40 * float(cosine(angle))
                track.go(self.beat + 1.2 + step * 4.2 / 12, x, z, yaw0 + turns * step / 12, through=0 < step < 12)
            goal = slot + 1 if k == a else slot
            x1, z1 = self._spot(goal)
            track.go(self.beat + beats - 0.3, x1, z1, round(track.last.yaw) + self._jitter())
            track.dance(GESTURES["swing"], beats, side > 0)
        self.order[slot], self.order[slot + 1] = b, a
        beat = self.beat
        self.script.contacts.append(Contact("hands", a, b, beat + 0.4, beat + 1.2, beat + 5.4, beat + 6.2))
        self._others_dance({a, b}, beats, True)
        return beats

    def _hold(self, a: int, b: int) -> None:
        for k in (a, b):
            self.script.tracks[k].stay(self.beat)

    def hug(self) -> int:
        """Two neighbours walk to each other, hug, sway, and walk back."""
        beats = 7
        _, a, b = self._neighbours()
        self._hold(a, b)
        ta, tb = self.script.tracks[a], self.script.tracks[b]
        mx, mz = (ta.last.x + tb.last.x) / 2, (ta.last.z + tb.last.z) / 2 + 0.15
        angle = 0.25 + self.random.uniform(-0.10, 0.10)
        turn = self.random.uniform(0.04, 0.14) * self.random.choice((-1.0, 1.0))
        for track, side in ((ta, -1.0), (tb, 1.0)):
            home = track.last
            base = round(home.yaw)
            for beat, spin in ((2.0, 0.0), (5.0, turn)):
                s, c = float(sine(angle + spin)), float(cosine(angle + spin))
                # Chest to chest, each a little to the own left, so that the heads lie side by side.
                x = mx + side * 0.130 * s - side * 0.060 * c
                z = mz + side * 0.130 * c + side * 0.060 * s
                track.go(self.beat + beat, x, z, base + (angle if side < 0 else angle - 0.5) + spin)
            track.go(self.beat + 6.8, home.x, home.z, base + self._jitter())
            track.dance(GESTURES["open_arms"], 2)
            track.dance(GESTURES["embrace"], 3)
            track.dance(GESTURES["walk"], 1)
            track.dance(MOVES["wave_hello"], 1, side > 0)
        beat = self.beat
        self.script.contacts.append(Contact("hug", a, b, beat + 1.1, beat + 2.1, beat + 4.7, beat + 5.6))
        self._others_dance({a, b}, beats, self.random.chance(0.5))
        return beats

    def leave(self) -> int:
        """The one at an end walks out of the picture and comes back."""
        beats = 8
        end = self.random.choice((0, self.count - 1))
        k, side = self.order[end], -1.0 if end == 0 else 1.0
        track = self.script.tracks[k]
        track.stay(self.beat)
        home = track.last
        base = round(home.yaw)
        out = abs(self.slots[-1][0]) + 1.45
        track.go(self.beat + 0.9, home.x, home.z + 0.1, base + 0.24 * side)
        track.go(self.beat + 3.4, side * out, home.z + 0.15, base + 0.25 * side)
        track.go(self.beat + 4.4, side * out, home.z + 0.1, base - 0.25 * side)
        x1, z1 = self._spot(end)
        track.go(self.beat + 7.4, x1, z1, base + self._jitter())
        track.dance(GESTURES["walk"], 7)
        track.dance(MOVES["wave_hello"], 1, side > 0)
        self._others_dance({k}, beats, True)
        return beats

    def line(self) -> int:
        """A line, arms on one another's shoulders, legs kicking."""
        beats, gap = 7, 0.50
        middle = (self.count - 1) / 2
        for slot, k in enumerate(self.order):
            track = self.script.tracks[k]
            track.stay(self.beat)
            home, base = track.last, round(track.last.yaw)
            for beat in (1.4, 5.3):
                track.go(self.beat + beat, (slot - middle) * gap, 0.02 * (slot % 2), base)
            track.go(self.beat + 6.7, home.x, home.z, base + self._jitter())
            track.dance(GESTURES["shoulders"], 6, False)
            track.dance(MOVES["star"], 1)
        for left, right in zip(self.order, self.order[1:], strict=False):
            beat = self.beat
            self.script.contacts.append(
                Contact("shoulders", left, right, beat + 0.7, beat + 1.6, beat + 5.2, beat + 6.2)
            )
        return beats

    def next_section(self) -> None:
        """Adds a section; each kind comes up once before any comes again."""
        table: dict[str, Callable[[], int]] = {
            "groove": self.groove, "spin": self.spin, "cross": self.cross, "weave": self.weave, "ring": self.ring,
            "swing": self.swing, "hug": self.hug, "leave": self.leave, "line": self.line,
        }  # fmt: skip
        if not self.script.sections:
            name = "groove"
        else:
            if not self._bag:
                # Someone crosses early, whatever else the clip has time for.
                first = self.script.sections[-1][1]
                early = self.random.shuffled(("cross", "weave", "hug", "swing"))
                late = self.random.shuffled([*early[1:], "spin", "ring", "leave", "line", "groove"])
                self._bag = [name for name in (early[0], *late) if name != first]
            name = self._bag.pop(0)
        self.script.sections.append((self.beat, name))
        self.beat += table[name]()


def compose(seed: int, characters: int, frames: int, opening: str | None = None) -> Script:
    """A script that lasts at least so many frames.

    Args:
        seed: of the random choices.
        characters: 2 to 5.
        frames: the least length; a longer script begins with the same frames.
        opening: the section that follows the first one, where the clip is to show a certain thing early.
    """
    director = _Director(Random(seed), characters)
    if opening is not None:
        director._bag = [opening]
    # Feet look ahead by up to two beats.
    while director.beat * director.script.beat < frames + 4 * director.script.beat:
        director.next_section()
    for track in director.script.tracks:
        track.stay(director.beat)
    return director.script
