from collections.abc import Iterator

import pytest
from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from sample_pictures import TWELVE, bounded_run, model_run, swept_run
from sample_run import FIGURES, plain_run, sample_run

from upsampler_bench import report
from upsampler_bench.figures import curves, plots
from upsampler_bench.figures.labels import box
from upsampler_bench.figures.placing import Box
from upsampler_bench.report.pictures import Picture
from upsampler_bench.results import Run

RUNS = {
    "bare": lambda: plain_run(FIGURES),
    "some failed": sample_run,
    "few": lambda: plain_run({name: FIGURES[name] for name in ("bilinear", "carafe", "dysample")}),
    "in a model": model_run,
    "sizes": lambda: swept_run((30, 60, 120)),
    "with a floor": bounded_run,
}
NASTY = "my|o_p&{$^}~\\%#<b>[red]"


def drawn(run: Run) -> Iterator[tuple[Picture, Figure]]:
    made = {(one.name, one.slug[:4]): one for one in report.from_run(run).pictures}
    with rc_context(plots.SETTINGS):
        for one in made.values():
            figure = plots.DRAWN[type(one)](one)
            figure.draw_without_rendering()
            yield one, figure


def words(figure: Figure) -> list[Text]:
    """All that is written; of an axis' ticks those within its view."""
    hidden = [text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in _hidden(axis)]
    hidden += [text for axes in figure.axes if not axes.get_visible() for text in axes.findobj(Text)]
    found = (one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible())
    return [one for one in found if not any(one is other for other in hidden)]


def _hidden(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
    shown = [one.label1 for one in ticks if low <= one.get_loc() <= high] if axis.axes.axison else []
    return [one for one in axis.findobj(Text) if one is not axis.label and not any(one is other for other in shown)]


@pytest.mark.parametrize("name", RUNS)
def test_no_word_leaves_the_figure_nor_lies_on_another(name: str) -> None:
    for picture, figure in drawn(RUNS[name]()):
        width, height = (72 * side for side in figure.get_size_inches())
        assert width in (pytest.approx(252), pytest.approx(378), pytest.approx(504))
        found = [(one.get_text(), box(one)) for one in words(figure)]
        outside = [text for text, at in found if not Box(-1, -1, width + 1, height + 1).holds(at)]
        assert not outside, picture.name
        lying = [(a, b) for place, (a, at) in enumerate(found) for b, other in found[:place] if at.overlap(other) > 2]
        assert not lying, picture.name


def test_every_operator_is_named_in_every_picture_or_its_caption() -> None:
    for picture, figure in drawn(bounded_run()):
        said = " ".join(one.get_text() for one in words(figure))
        assert all(name in said for name in TWELVE), picture.name


def test_a_name_that_looks_like_mathematics_is_written_as_it_is() -> None:
    run = plain_run({"bilinear": FIGURES["bilinear"], NASTY: FIGURES["carafe"], "dysample": FIGURES["dysample"]})
    for _, figure in drawn(run):
        assert all(not one.get_parse_math() for one in words(figure) if "{$" in one.get_text())


def test_names_at_the_ends_of_curves_keep_apart_and_in_order() -> None:
    assert curves.spread([10, 10, 10], 8, 0, 100) == [2, 10, 18]
    assert curves.spread([1, 50, 2], 8, 0, 100) == pytest.approx([0, 50, 8])
    assert curves.spread([99, 98], 8, 0, 100) == [100, 92]
    assert curves.spread([], 8, 0, 100) == []
