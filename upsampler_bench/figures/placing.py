"""Where labels go so that none lies on another, on a circle, or outside: a search of the places around each circle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ANGLES = 24
GAPS = (1.5, 5.0, 10.0, 16.0, 24.0, 34.0, 46.0)
SWEEPS = 6
OUTSIDE, ON_LABEL, ON_CIRCLE, STRUCK, CROSSED, DOUBTFUL = 1e6, 1e4, 4e3, 3e3, 300.0, 8.0
# A label is this much nearer to its own circle than to any other, or else its reader may doubt whose it is.
CLEARLY = 6.0


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return self.left <= other.left and other.right <= self.right and self._holds_upright(other)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)

    def _holds_upright(self, other: Box) -> bool:
        return self.bottom <= other.bottom and other.top <= self.top


@dataclass(frozen=True, slots=True)
class Spot:
    """A circle and the size of the label that it wants."""

    x: float
    y: float
    radius: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Room:
    """What a label meets: all circles, the other labels by their circle's number, and what is taken already."""

    spots: Sequence[Spot]
    others: Mapping[int, Box]
    inside: Box
    taken: Sequence[Box]


def place(spots: Sequence[Spot], inside: Box, unnamed: Sequence[Spot] = (), taken: Sequence[Box] = ()) -> list[Box]:
    """A place for each label: near its circle, free of all others where that is possible.

    The most crowded are placed first; then each in turn looks for a better place, given where the others are.

    Args:
        spots: the circles that want a label.
        inside: where the labels must stay.
        unnamed: circles that want none; no label lies on them.
        taken: where words and lines stand already; a leader may cross them.
    """
    count, spots = len(spots), (*spots, *unnamed)
    crowded = sorted(range(count), key=lambda one: _distance_to_others(spots, one))
    chosen: dict[int, Box] = {}
    for _ in range(SWEEPS):
        before = dict(chosen)
        for one in crowded:
            others = {other: box for other, box in chosen.items() if other != one}
            room = Room(spots, others, inside, taken)
            chosen[one] = min(_candidates(spots[one]), key=lambda box: _cost(box, one, room))
        if chosen == before:
            break
    return [chosen[one] for one in range(count)]


def _distance_to_others(spots: Sequence[Spot], one: int) -> float:
    mine = spots[one]
    found = (math.dist((mine.x, mine.y), (other.x, other.y)) for place, other in enumerate(spots) if place != one)
    return min(found, default=math.inf)


def _candidates(spot: Spot) -> list[Box]:
    return [_box(spot, 2 * math.pi * turn / ANGLES, gap) for gap in GAPS for turn in range(ANGLES)]


def _box(spot: Spot, angle: float, gap: float) -> Box:
    """The label in that direction, the side that faces the circle `gap` away from it."""
    reach = spot.radius + gap
    x = spot.x + reach * math.cos(angle) + spot.width / 2 * _towards(math.cos(angle))
    y = spot.y + reach * math.sin(angle) + spot.height / 2 * _towards(math.sin(angle))
    return Box(x - spot.width / 2, y - spot.height / 2, x + spot.width / 2, y + spot.height / 2)


def _towards(part: float) -> float:
    return max(-1.0, min(1.0, 1.6 * part))


def _cost(box: Box, one: int, room: Room) -> float:
    mine = room.spots[one]
    start, end = (mine.x, mine.y), box.nearest(mine.x, mine.y)
    away = math.dist(start, end) - mine.radius
    cost = away + (0.0 if room.inside.holds(box) else OUTSIDE)
    for place, spot in enumerate(room.spots):
        gap = _gap(box, spot)
        cost += ON_CIRCLE * max(1.0 - gap, 0.0)
        if place != one:
            cost += CROSSED * _meets(start, end, spot) + DOUBTFUL * max(away + CLEARLY - gap, 0.0)
    for place, label in room.others.items():
        theirs = (room.spots[place].x, room.spots[place].y)
        cost += ON_LABEL * box.overlap(_grown(label)) + STRUCK * _passes(start, end, label)
        cost += STRUCK * _passes(theirs, label.nearest(*theirs), box)
    return cost + sum(ON_LABEL * box.overlap(one) for one in room.taken)


def _gap(box: Box, spot: Spot) -> float:
    """The distance between a rectangle and a circle; negative where they overlap."""
    return math.dist(box.nearest(spot.x, spot.y), (spot.x, spot.y)) - spot.radius


def _grown(box: Box) -> Box:
    return Box(box.left - 1.5, box.bottom - 0.5, box.right + 1.5, box.top + 0.5)


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    steps = [step / 12 for step in range(1, 12)]
    return [(start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part) for part in steps]


def _passes(start: tuple[float, float], end: tuple[float, float], box: Box) -> bool:
    """Whether the leader from start to end runs through the rectangle."""
    if _apart(start, end, box):
        return False
    return any(box.nearest(x, y) == (x, y) for x, y in _along(start, end))


def _meets(start: tuple[float, float], end: tuple[float, float], spot: Spot) -> bool:
    """Whether the leader from start to end runs through the circle."""
    reach = Box(spot.x - spot.radius, spot.y - spot.radius, spot.x + spot.radius, spot.y + spot.radius)
    if _apart(start, end, reach):
        return False
    return any(math.dist(one, (spot.x, spot.y)) < spot.radius for one in _along(start, end))


def _apart(start: tuple[float, float], end: tuple[float, float], box: Box) -> bool:
    """Whether a look at the sides alone tells that the leader and the rectangle are apart."""
    beside = max(start[0], end[0]) < box.left or min(start[0], end[0]) > box.right
    return beside or max(start[1], end[1]) < box.bottom or min(start[1], end[1]) > box.top
