"""Capabilities in a report: a table of their own, every no with its reason, and nothing else changed."""

import csv
import io
from dataclasses import replace

import pytest
from report_reading import cell
from sample_probe import LEFT, NO_CUDA, TITLES, mixed_run, probed_run
from sample_run import sample_run

from upsampler_bench import formats, report, storage
from upsampler_bench.formats import terminal


@pytest.fixture(scope="module")
def made():
    return report.from_run(probed_run())


@pytest.mark.parametrize(
    ("operator", "metric", "text", "value", "expected"),
    [
        ("bilinear", "float16", "yes", 1.0, []),
        ("carafe", "float16", "no", 0.0, ["output is float32, expected float16"]),
        ("carafe", "compile_time", "–", None, ["crashed the process: SIGSEGV"]),
        ("bilinear", "compile_time", "12.3", 12.34, []),
        ("bilinear", "scales", "1–4", 4.0, []),
        ("carafe", "scales", "2 4", 2.0, ["not ×1, ×3: refused"]),
        ("bicubic", "scales", "no", 0.0, ["not ×1, ×2, ×3, ×4: refused"]),
        ("carafe", "channels_last", "in", 1.0, [LEFT]),
        ("bilinear", "cuda_graph", "–", None, [NO_CUDA]),
        ("bicubic", "onnx_export", "–", None, []),
        ("mine", "float16", "–", None, []),
    ],
)
def test_a_cell_is_yes_or_no_with_its_reasons(made, operator, metric, text, value, expected):
    found = cell(made, operator, metric)
    assert (found.text, found.value) == (text, value)
    assert [dict(made.footnotes)[mark] for mark in found.marks] == expected


def test_a_run_of_probes_alone_has_no_pictures_and_no_timing(made):
    assert made.pictures == ()
    stated = dict(made.facts)
    assert "Protocol" not in stated
    assert "tested" in stated["Probing"]
    assert not {"Timed numbers", "Units"} & {title for title, _ in made.legend}
    assert [title for title, _ in made.legend] == list(TITLES.values())
    assert (made.tables[0].incomplete[0].name, len(made.tables)) == ("mine", 1)


def test_probing_changes_nothing_of_what_was_timed():
    plain, mixed = report.from_run(sample_run()), report.from_run(mixed_run())
    assert mixed.tables[0] == plain.tables[0]
    assert mixed.pictures == plain.pictures
    assert [table.compact for table in mixed.tables] == [False, True]
    assert dict(mixed.facts)["Protocol"] == dict(plain.facts)["Protocol"]
    assert dict(mixed.facts)["Input (B×C×H×W)"] == dict(plain.facts)["Input (B×C×H×W)"]


def test_the_matrix_fits_80_columns_with_the_reasons_below(made, golden):
    text = terminal.files(made)["report.txt"].decode()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("dysample-naive") == 1, "all columns are in one table"
    golden("capabilities.txt", text)


def test_markdown_and_latex_show_every_column(made):
    head = next(line for line in formats.render("markdown", made).splitlines() if line.startswith("| Upsampler"))
    assert head.count("|") == len(TITLES) + 2
    latex = formats.render("latex", made)
    assert rf"\begin{{tabular}}{{@{{}}l{'r' * len(TITLES)}@{{}}}}" in latex
    assert r"no\textsuperscript{" in latex


def test_the_csv_has_each_reason_in_its_row(made):
    rows = {row["upsampler"]: row for row in csv.DictReader(io.StringIO(formats.render("csv", made)))}
    assert (rows["carafe"]["float16"], rows["bilinear"]["float16"], rows["mine"]["float16"]) == ("0", "1", "")
    assert (rows["bilinear"]["compile_time_s"], rows["bilinear"]["mode"]) == ("12.34", "probe")
    assert "fp16: output is float32, expected float16; " in rows["carafe"]["notes"]
    assert rows["mine"]["reason"] == "RuntimeError: this operator has a bug"


def test_the_frame_has_a_row_for_what_could_not_be_tested():
    frame = storage.to_frame(mixed_run()).set_index(["upsampler", "mode", "metric"])
    row = frame.loc[("bilinear", "probe", "cuda_graph")]
    assert row.notes == NO_CUDA
    assert row.isna().value
    assert frame.loc[("carafe", "probe", "float16")].value == 0.0


def test_an_interrupted_run_shows_what_was_tested(made):
    run = probed_run()
    few = replace(run, ended="interrupted", measurements=run.measurements[:2])
    drawn = report.from_run(few)
    assert drawn.warning
    assert [row.name for row in drawn.tables[0].rows] == ["nearest", "bilinear"]
