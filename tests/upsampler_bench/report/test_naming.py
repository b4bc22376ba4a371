"""What tells runs and conditions apart in titles and in the names of files."""

from dataclasses import replace

from report_reading import FEW
from sample_run import ENVIRONMENT, plain_run

from upsampler_bench import report
from upsampler_bench.report.naming import distinguish, file_name


def test_a_single_thing_has_no_name() -> None:
    assert distinguish([("cpu", "float32")], always=1) == [()]


def test_only_parts_that_tell_things_apart_are_chosen_the_first_preferred() -> None:
    things = [("a", "x", "1", "p"), ("a", "y", "2", "p"), ("b", "x", "3", "p")]
    assert distinguish(things) == [("a", "x"), ("a", "y"), ("b", "x")]
    assert distinguish([("", "x"), ("b", "x")], always=2) == [("x",), ("b", "x")]


def test_things_alike_in_all_parts_are_numbered() -> None:
    assert distinguish([("a",), ("b",), ("a",)]) == [("a", "1"), ("b",), ("a", "3")]


def test_a_name_holds_what_a_file_name_may_hold() -> None:
    assert file_name(("stages(64, 32)", "cuda:0", "dysample+")) == "stages-64--32-cuda-0-dysample+"


def test_files_are_named_by_shape_and_device_and_titles_by_the_start_only_if_nothing_else_differs() -> None:
    run = plain_run(FEW)
    other = replace(run, environment=replace(ENVIRONMENT, device_name="Other CPU"))
    made = report.from_runs([run, other])
    assert {one.slug for one in made.pictures} >= {"1x256x120x120-intel-xeon-platinum-8481c", "1x256x120x120-other-cpu"}
    assert any("Other CPU" in one.subtitle for one in made.pictures if one.name == "pareto")
    assert [table.title.partition(":")[0] for table in made.tables] == [ENVIRONMENT.device_name, "Other CPU"]
    later = report.from_runs([run, replace(run, started="2026-11-22T05:00:00+00:00")])
    assert later.tables[1].title.startswith("2026-11-22T05:00:00+00:00: ")
    assert {"1x256x120x120-1", "1x256x120x120-2"} <= {one.slug for one in later.pictures}
