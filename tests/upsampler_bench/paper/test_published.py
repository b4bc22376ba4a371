import math

import pytest

from upsampler_bench.errors import PlanError
from upsampler_bench.paper import published


def test_every_published_table_reads_with_as_many_fields_as_its_header() -> None:
    assert len(published.names()) == 12
    for name in published.names():
        assert published.rows(name)
        assert all(None not in row and None not in row.values() for row in published.rows(name)), name


def test_the_papers_latency_is_read_in_milliseconds() -> None:
    assert published.latency_rtx3090()["dysample"] == published.Latency(6.2, "text")
    assert "a2u" not in published.latency_rtx3090()


def test_table_4_is_read_with_parameters_as_a_count() -> None:
    table = published.segformer_b1_ade20k()
    assert len(table) == 12
    assert (table["dysample+"].miou, table["dysample+"].gflops) == (43.28, 0.4)
    assert math.isclose(table["dysample-s"].params, 6100)


def test_an_unknown_table_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PlanError, match="did you mean 'ablation'"):
        published.rows("ablations")
