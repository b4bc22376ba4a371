"""What a report shows of quality: tables, facts, pictures, and the page."""

from dataclasses import replace

import pytest
from sample_quality import OPERATORS, quality_run
from sample_run import FIGURES, plain_run

from upsampler_bench import formats, report
from upsampler_bench.figures import draw
from upsampler_bench.report.pictures import Heat, Mosaic, Plane

RUN = quality_run()
LATENCY = plain_run({name: FIGURES[name] for name in ("nearest", "bilinear", "carafe", "dysample")})


def tables(*runs):
    return {table.title.partition(":")[0].partition(" at ")[0]: table for table in report.from_runs(runs).tables}


def column(table, name):
    place = [one.name for one in table.columns].index(name)
    return {row.name: row.cells[place] for row in table.rows}


def pictures(*runs, stored=()):
    return {draw.stem(picture): picture for picture in report.from_runs(runs, stored=stored).pictures}


def test_operators_are_ranked_apart_by_guide_best_first_and_failures_last():
    found = tables(RUN)
    unguided = found["Shapes, operators without a guide"]
    assert [row.name for row in unguided.rows] == ["carafe", "dysample", "nearest", "bilinear", "deconv"]
    assert [row.name for row in found["Shapes, operators with a guide"].rows] == ["sapa-b", "fade", "max-unpool"]
    last = unguided.rows[-1]
    assert (last.status, last.reason.partition(";")[0]) == ("failed", "seed 0: diverged at step 2")
    assert last.cells[0].text == "failed"


def test_differences_to_the_baseline_are_paired_with_an_interval_from_two_seeds_on():
    found = tables(RUN)
    cell = column(found["Shapes, operators without a guide"], "shapes_miou_difference")["dysample"]
    # The seeds themselves are ten times further apart than the noise that is left after pairing.
    assert cell.low < 3.4 < cell.high
    assert cell.high - cell.low < 1
    assert cell.text.startswith("+3.")
    assert " ± 0." in cell.text
    single = column(found["Reconstruction, operators with a guide"], "reconstruction_psnr_difference")["sapa-b"]
    assert (single.text, single.low) == ("+1.42", None)
    assert column(found["Shapes, operators without a guide"], "shapes_miou_difference")["bilinear"].value is None


def test_the_signature_has_signs_and_calls_rounding_zero():
    table = tables(RUN)["Signature"]
    assert column(table, "ramp_shift")["nearest"].text == "−0.50"
    assert column(table, "constant_error")["nearest"].text == "0"


def test_each_kind_of_picture_is_there_once_for_each_task():
    found = pictures(RUN)
    kinds = {"signature": Heat, "responses": Mosaic}
    for task in ("shapes", "reconstruction"):
        kinds |= {f"scenes-{task}": Mosaic, f"learning-{task}": Plane}
    assert {name: type(picture) for name, picture in found.items()} == kinds
    names = [name.partition("\n")[0] for name, _ in found["scenes-shapes"].rows]
    assert names == ["input and label", "sapa-b", "fade", "max-unpool", "carafe", "dysample", "nearest", "bilinear"]


def test_quality_is_drawn_against_a_latency_of_the_report_or_of_a_stored_run():
    together, apart = pictures(RUN, LATENCY)["quality-shapes"], pictures(RUN, stored=[LATENCY])["quality-shapes"]
    assert together == apart
    measured = {point.name: point for point in together.points if not point.small}
    assert set(measured) == {"nearest", "bilinear", "carafe", "dysample"}
    assert measured["bilinear"].y == 0
    assert measured["dysample"].y_interval[0] < measured["dysample"].y < measured["dysample"].y_interval[1]
    # carafe is better than dysample but takes ten times as long, and nearest is faster than bilinear and better.
    assert {name for name, point in measured.items() if point.bold} == {"nearest", "dysample", "carafe"}
    published = {point.name: point.y for point in together.points if point.small}
    assert published["dysample"] == pytest.approx(43.21 - 41.68)
    assert "quality-shapes" not in pictures(RUN)
    assert set(pictures(LATENCY, stored=[RUN])) >= {"panel", "quality-shapes"}


def test_of_one_seed_no_front_is_drawn():
    first = [replace(row, trainings=row.trainings[:1]) for row in RUN.measurements]
    picture = pictures(replace(RUN, measurements=tuple(first)), LATENCY)["quality-shapes"]
    assert picture.lines == ()
    assert not any(point.bold for point in picture.points)
    assert picture.caption.startswith("One seed: quality has no interval, and no Pareto front is drawn.")


def test_every_format_renders_quality(tmp_path):
    content = report.from_runs([RUN, LATENCY])
    written = {path.name for path in formats.write(content, tmp_path, ["csv", "markdown", "html", "png", "terminal"])}
    assert {"signature.png", "responses.png", "scenes-shapes.png", "quality-shapes.png"} <= written
    assert "data:image/png;base64," in (tmp_path / "report.html").read_text(encoding="utf-8")
    header, *rows = (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()
    assert {"shapes_miou_percent", "shapes_miou_difference_percent", "ramp_shift_px"} <= set(header.split(","))
    assert len(rows) == len(LATENCY.upsamplers) + 3 * (len(OPERATORS) + 1) - 1  # deconv was not reconstructed


def test_the_page_ranks_by_measured_miou_where_there_is_some():
    assert report.from_runs([LATENCY]).miou[1] == "published"
    content = report.from_runs([LATENCY, RUN])
    assert content.miou[1] == "measured"
    assert {one.name: one.miou for one in content.operators}["dysample"] == pytest.approx(82.5, abs=0.3)
