"""pytest-benchmark's JSON as a run: ours comes back whole, other people's benchmarks are rows, damage is refused."""

import json
import math
from dataclasses import replace

import pytest
from sample_run import sample_run

from upsampler_bench import report, storage
from upsampler_bench.case import Case
from upsampler_bench.errors import ResultsError
from upsampler_bench.export import pytest_benchmark
from upsampler_bench.results import Measurement, Reading, Run


@pytest.fixture
def stored(tmp_path):
    """Writes a run, or plain data, as pytest-benchmark would."""

    def write(run_or_data):
        files = pytest_benchmark.files(run_or_data) if isinstance(run_or_data, Run) else {}
        target = tmp_path / "benchmarks.json"
        target.write_bytes(files.get(pytest_benchmark.FILE) or json.dumps(run_or_data).encode())
        return target

    return write


@pytest.mark.parametrize("kept", [24, 2, 0])
def test_a_run_comes_back_as_it_was(stored, kept):
    run = sample_run()
    run = replace(run, measurements=run.measurements[24 - kept :])
    assert storage.load(stored(run)) == run


def test_samples_that_are_not_finite_come_back_too(stored):
    broken = Reading("latency", ((math.nan,), (math.inf,)), "broken clock")
    run = replace(sample_run(), measurements=(Measurement(Case("odd"), readings=(broken,)),))
    back = storage.load(stored(run))
    assert str(back.measurements[0].readings[0].rounds) == "((nan,), (inf,))"


def test_benchmarks_that_were_taken_out_or_lost_their_samples_still_read(stored):
    data = json.loads(stored(sample_run()).read_bytes())
    del data["benchmarks"][0]
    del data["benchmarks"][0]["stats"]["data"]
    data["benchmarks"][1]["stats"]["data"].pop()
    run = storage.load(stored(data))
    assert run.measurement(Case("nearest")) is None
    bare = run.measurement(Case("nearest", "train")).reading("train_latency")
    assert len(bare.samples) == 1
    assert "without its samples" in bare.notes[-1]
    assert len(run.measurement(Case("bilinear")).reading("latency").rounds) == 1


FOREIGN = {
    "machine_info": {"cpu": {"brand_raw": "Some CPU"}, "python_version": "3.12.1", "system": "Linux"},
    "commit_info": {"id": "unversioned"},
    "datetime": "2026-11-21T05:00:00+00:00",
    "benchmarks": [
        {"name": "test_sum[10]", "fullname": "a.py::test_sum[10]", "stats": {"data": [1e-6, 2e-6, 3e-6]}},
        {"name": "test_x", "fullname": "a.py::test_x", "group": "g", "stats": {"median": 2e-6}},
        {"name": "test_x", "fullname": "b.py::test_x", "group": "g", "stats": {"data": [1e-6]}},
        {"name": "test_shaped", "extra_info": {"shape": "64x32x32", "dtype": "float16"}, "stats": {"data": [1e-6]}},
    ],
}


def test_foreign_benchmarks_are_rows_of_a_report(stored):
    run = storage.load(stored(FOREIGN))
    names = [one.case.upsampler for one in run.measurements]
    assert names == ["test_sum[10]", "a.py::test_x", "b.py::test_x", "test_shaped"]
    assert run.measurements[0].readings[0].estimate.value == 2e-6
    assert run.measurements[3].case.condition.startswith("1x64x32x32/x2/float16")
    made = report.from_run(run)
    assert [table.title for table in made.tables] == ["pytest-benchmark, cpu", "g, cpu", "1×64×32×32, ×2, float16, cpu"]
    assert "interleaved" not in str(made.facts)


@pytest.mark.parametrize(
    "damage",
    [{"benchmarks": 3}, {"machine_info": 3}, {"benchmarks": [{"name": "x"}]}, {"benchmarks": [{"stats": {}}]}],
)
def test_a_damaged_file_is_refused_in_one_sentence(stored, damage):
    with pytest.raises(ResultsError, match="is not a whole stored run"):
        storage.load(stored({**FOREIGN, **damage}))


def test_a_newer_run_inside_is_refused(stored):
    with pytest.raises(ResultsError, match="has schema 99"):
        storage.load(stored({**FOREIGN, "upsampler_bench": {"schema": 99}}))
