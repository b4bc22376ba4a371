"""What becomes of a single bright pixel: the impulse response of every operator, as an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.pictures import Mosaic, Tile
from upsampler_bench.report.pictures._numbers import painted, quality_slug, subtitle

PLACE, OF = 21, "quality"
METRIC, ZERO, COLUMNS = "response_spread", 128, 8
NOTHING, POSITIVE, NEGATIVE = (238, 238, 238), (178, 24, 43), (33, 102, 172)


def pictures(conditions: Sequence[Condition]) -> Iterator[Mosaic]:
    """One mosaic for each run that measured impulse responses."""
    for condition in conditions:
        tiles = [tile for line in condition.lines if (tile := _tile(line))]
        if tiles:
            empty = [Tile(None)] * (-len(tiles) % COLUMNS)
            filled = [*tiles, *empty]
            rows = [("", tuple(filled[start : start + COLUMNS])) for start in range(0, len(filled), COLUMNS)]
            yield Mosaic(
                name="responses",
                title="Impulse responses",
                subtitle=subtitle(condition),
                rows=tuple(rows),
                caption="What becomes of one pixel of x that is 1 in all channels, 7×7 pixels of x, mean over "
                "channels. Red: positive, blue: negative, each operator scaled to its largest magnitude.",
                slug=quality_slug(condition),
            )


def _tile(line: Line) -> Tile | None:
    reading = line.measurements[0].reading(METRIC)
    picture = reading.picture if reading else None
    return Tile(painted(picture, [_colour(level) for level in picture.bytes]), line.name) if picture else None


def _colour(level: int) -> tuple[int, int, int]:
    """A level around ZERO as red or blue on a light grey."""
    share = min(1.0, abs(level - ZERO) / (255 - ZERO))
    end = POSITIVE if level >= ZERO else NEGATIVE
    red, green, blue = (round(start + (stop - start) * share) for start, stop in zip(NOTHING, end, strict=True))
    return red, green, blue
