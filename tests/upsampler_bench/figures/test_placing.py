import random

import pytest

from upsampler_bench.figures.placing import Box, Spot, place

ROOM = Box(0, 0, 210, 160)


def crowd(seed: int) -> list[Spot]:
    """Twelve circles with long labels, half of them in a heap as the DySample variants are."""
    drawn = random.Random(seed)
    heap = [Spot(drawn.uniform(40, 80), drawn.uniform(100, 130), 2, 38, 8) for _ in range(6)]
    return heap + [Spot(drawn.uniform(20, 190), drawn.uniform(20, 140), drawn.uniform(2, 9), 32, 8) for _ in range(6)]


@pytest.mark.parametrize("seed", range(5))
def test_labels_never_lie_on_each_other_nor_outside(seed: int) -> None:
    boxes = place(crowd(seed), ROOM)
    assert all(ROOM.holds(box) for box in boxes)
    assert all(one.overlap(other) == 0 for at, one in enumerate(boxes) for other in boxes[:at])


def test_a_lonely_label_stays_beside_its_circle() -> None:
    (box,) = place([Spot(100, 80, 5, 30, 8)], ROOM)
    x, y = box.nearest(100, 80)
    assert 5 < ((x - 100) ** 2 + (y - 80) ** 2) ** 0.5 < 8


def test_labels_go_to_the_same_places_each_time() -> None:
    assert place(crowd(0), ROOM) == place(crowd(0), ROOM)


def test_no_circle_wants_no_label() -> None:
    assert place([], ROOM) == []
