from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sample_pictures import TWELVE, bounded_run, model_run, swept_run
from sample_run import FIGURES, plain_run, sample_run

from upsampler_bench import report, storage
from upsampler_bench.figures.draw import draw
from upsampler_bench.figures.palette import Colours
from upsampler_bench.report.pictures import Heat, Mosaic, Picture, Plane
from upsampler_bench.results import Run

RUNS: dict[str, Callable[[], Run]] = {
    "bare": lambda: plain_run(FIGURES),
    "some failed": sample_run,
    "few": lambda: plain_run({name: FIGURES[name] for name in ("bilinear", "carafe", "dysample")}),
    "in a model": model_run,
    "sizes": lambda: swept_run((30, 60, 120)),
    "with a roofline": bounded_run,
}
NASTY = "my|o_p&{$^}~\\%#<b>[red]"
REPORTS = Path(__file__).parents[3] / "reports" / "amd-epyc"


def drawn(*runs: Run) -> Iterator[tuple[Picture, Figure]]:
    """One picture of each kind."""
    for picture in {(one.name, one.slug[:4]): one for one in report.from_runs(runs).pictures}.values():
        figure = draw(picture, Colours())
        figure.draw_without_rendering()
        yield picture, figure


def texts(figure: Figure) -> list[Text]:
    """All text; of an axis' ticks those within its view."""
    hidden = [text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in _hidden(axis)]
    hidden += [text for axes in figure.axes if not axes.get_visible() for text in axes.findobj(Text)]
    found = (one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible())
    return [one for one in found if not any(one is other for other in hidden)]


def _hidden(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
    shown = [one.label1 for one in ticks if low <= one.get_loc() <= high] if axis.axes.axison else []
    return [one for one in axis.findobj(Text) if one is not axis.label and not any(one is other for other in shown)]


def overlapping(found: Sequence[Text]) -> list[tuple[str, str]]:
    """Texts that lie on each other by more than 2 square points."""
    boxes = [(one.get_text(), one.get_window_extent()) for one in found]
    pixels = (found[0].figure.dpi / 72) ** 2
    pairs = [(a, b) for place, a in enumerate(boxes) for b in boxes[:place]]
    shared = [(a[0], b[0], Bbox.intersection(a[1], b[1])) for a, b in pairs]
    return [(one, other) for one, other, box in shared if box is not None and box.width * box.height > 2 * pixels]


def check_texts(picture: Picture, figure: Figure) -> None:
    found = texts(figure)
    room = figure.bbox.padded(figure.dpi / 72)
    outside = [one.get_text() for one in found if Bbox.union([room, one.get_window_extent()]).bounds != room.bounds]
    assert not outside, picture.name
    assert not overlapping(found), picture.name


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_no_text_leaves_the_figure_nor_lies_on_another(name: str) -> None:
    for picture, figure in drawn(RUNS[name]()):
        assert figure.get_figwidth() in (3.5, 5.25, 7.0)
        check_texts(picture, figure)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "paper"])
def test_labels_of_the_committed_results_keep_apart_and_inside_the_axes(folder: str) -> None:
    runs = [storage.load(path.parent) for path in sorted((REPORTS / folder).glob("*results.json"))]
    runs = runs or [storage.load(path.parent) for path in sorted((REPORTS / folder).glob("*/results.json"))]
    for picture, figure in drawn(*runs):
        check_texts(picture, figure)
        if isinstance(picture, Plane):
            (axes,) = figure.axes
            inside = axes.get_window_extent().padded(1)
            labels = [one for one in axes.texts if one.get_text()]
            assert {one.get_text() for one in labels} == {point.label for point in picture.points if point.label}
            boxes = [one.get_window_extent() for one in labels]
            assert all(Bbox.union([inside, box]).bounds == inside.bounds for box in boxes), picture.name


@pytest.mark.slow
def test_very_long_names_of_operators_do_not_lie_on_each_other() -> None:
    run = storage.load(REPORTS / "quality")
    options = "[groups=8,style=pl,dynamic_scope=True]"
    cases = [replace(row.case, upsampler=row.case.upsampler + options) for row in run.measurements]
    renamed = [replace(row, case=case) for row, case in zip(run.measurements, cases, strict=True)]
    long = replace(run, measurements=tuple(renamed), settings=replace(run.settings, baseline="bilinear" + options))
    pictures = [pair for pair in drawn(long) if isinstance(pair[0], Heat | Mosaic)]
    assert len(pictures) > 2
    for picture, figure in pictures:
        assert not overlapping(texts(figure)), picture.name


def test_every_operator_is_named_in_every_picture_or_its_caption() -> None:
    for picture, figure in drawn(bounded_run()):
        written = " ".join(one.get_text() for one in texts(figure))
        assert all(name in written for name in TWELVE), picture.name


def test_a_name_that_looks_like_mathematics_is_written_as_it_is() -> None:
    run = plain_run({"bilinear": FIGURES["bilinear"], NASTY: FIGURES["carafe"], "dysample": FIGURES["dysample"]})
    written = [one for _, figure in drawn(run) for one in texts(figure) if "{$" in one.get_text()]
    assert written
    assert not any(one.get_parse_math() for one in written)


def test_error_bars_are_the_intervals() -> None:
    (picture, figure), *_ = [pair for pair in drawn(bounded_run()) if pair[0].name == "bubble"]
    bars = [segment for lines in figure.axes[0].collections for segment in lines.get_segments()]
    ends = sorted(end for segment in bars for end in (segment[0][0], segment[1][0]))
    assert ends == pytest.approx(sorted(end for point in picture.points for end in point.x_interval or ()))
    assert len(ends) > 20
