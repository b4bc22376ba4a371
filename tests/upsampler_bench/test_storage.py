"""Stored runs: round trip, old and new files, what is no run at all, and finding the newest."""

import json
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_probe import probed_run
from sample_quality import PICTURE, quality_run
from sample_run import FIGURES, plain_run, sample_run

from upsampler_bench import report, storage
from upsampler_bench.case import Case
from upsampler_bench.errors import OutputError, ResultsError
from upsampler_bench.results import MetricInfo, Reading


@pytest.mark.parametrize("run", [sample_run(), probed_run(), quality_run()], ids=["timed", "probed", "quality"])
def test_a_run_survives_its_file(tmp_path, run):
    assert storage.load(storage.save(run, tmp_path)) == run
    assert storage.load(storage.save(run, tmp_path / "other.json")) == run


def put(record, keys, value):
    """Sets the value at a path, and returns the one that was there."""
    *parents, last = keys
    for key in parents:
        record = record[key]
    earlier, record[last] = record[last], value
    return earlier


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("picture", "packed"), ["AAAA"], "ramp_shift: expected compressed bytes, found"),
        (("picture", "packed"), [], "ramp_shift: expected 2x2x1 bytes, found other than that"),
        (("picture", "height"), 10**9, "ramp_shift: expected an image of 1 to 4096 pixels a side"),
        (("picture", "channels"), 2, "with 1 or 3 channels, found 2x2x2"),
        (("task",), "chess", "seed 0, task: expected signature, shapes, reconstruction, found 'chess'"),
        (("losses",), [1.0, float("inf")], "seed 0: expected losses and scores that are finite"),
    ],
)
def test_a_damaged_image_or_training_is_refused_with_its_path(tmp_path, keys, value, message):
    data = json.loads(storage.save(quality_run(), tmp_path).read_text())
    first = data["measurements"][0]
    first["readings"][1]["picture"] = asdict(PICTURE)
    put(first["readings"][1] if keys[0] == "picture" else first["trainings"][0], keys, value)
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(ResultsError, match=re.escape(message)):
        storage.load(tmp_path)


def test_host_gaps_of_earlier_releases_may_be_negative_and_are_reported(tmp_path):
    run, gap = plain_run({"bilinear": FIGURES["bilinear"]}), MetricInfo("latency_gap", "Host gap", "s", "inference")
    first = run.measurements[0]
    measured = replace(first, readings=(*first.readings, Reading("latency_gap", ((-1e-6,),) * 8, "host clock")))
    earlier = replace(run, metrics=(*run.metrics, gap), measurements=(measured, *run.measurements[1:]))
    assert storage.load(storage.save(earlier, tmp_path)) == earlier
    assert "latency_gap" in [column.name for column in report.from_run(earlier).tables[0].columns]


def test_what_a_later_release_added_is_left_aside(tmp_path):
    data = json.loads(storage.save(sample_run(), tmp_path).read_text())
    data["weather"] = "fine"
    data["settings"]["telepathy"] = True
    data["measurements"][0]["case"]["colour"] = "red"
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert storage.load(tmp_path) == sample_run()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((text, "cannot read") for text in ("", "{", "[" * 100_000, "\x00\x01", '{"schema": ' + "9" * 5000 + "}")),
        *((text, "has no schema version") for text in ("[]", '{"schema": "x"}', '{"schema": 0}', '{"schema": true}')),
        ('{"schema": 99}', "has schema 99; this version reads up to 3"),
        ('{"schema": 1}', "is incomplete or corrupt: 'settings' is missing"),
        ('{"schema": 2}', "is incomplete or corrupt: 'settings' is missing"),
        ('{"schema": 3}', "is incomplete or corrupt: 'environment' is missing"),
    ],
)
def test_what_is_no_run_is_refused_in_one_sentence(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ResultsError) as error:
        storage.load(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("measurements", 3, "case", "batch"), "1", "measurements[3].case.batch: expected int, found str"),
        (("measurements", 3, "case", "height"), 0, "measurements[3].case.height: expected a positive integer, found 0"),
        (("measurements", 3, "case", "width"), 10**300, "measurements[3].case: expected sizes that a machine can hold"),
        (("measurements", 0, "case", "dtype"), "float8", "measurements[0].case.dtype: expected float32, float16"),
        (("measurements", 0, "readings", 0, "rounds"), [[-1.0]], "expected samples that are finite and not negative"),
        (("measurements", 0, "readings", 0, "rounds"), [[float("nan")]], "expected samples that are finite"),
        (("plan",), [], "plan: expected object, found array"),
        (("settings", "max_time"), None, "settings.max_time: expected float, found null"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(tmp_path, keys, value, message):
    data = json.loads(storage.save(sample_run(), tmp_path).read_text())
    put(data, keys, value)
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(ResultsError) as error:
        storage.load(tmp_path)
    assert message in str(error.value)


def paths(value, keys=()):
    """The paths of all values, but for mappings whose keys and values are free."""
    yield keys
    if isinstance(value, dict) and not (keys and keys[-1] in ("plan", "facts", "versions", "machine")):
        for key in value:
            yield from paths(value[key], (*keys, key))
    elif isinstance(value, list) and not (keys and keys[-1] == "conditions"):
        for number, item in enumerate(value):
            yield from paths(item, (*keys, number))


RUN = json.loads(json.dumps(asdict(plain_run({name: FIGURES[name] for name in ("bilinear", "carafe")}))))
PATHS = [path for path in paths(RUN) if path]
VALUES = [None, True, "x", "1", -1, 1.5, 10**400, [], {}, [None], {"x": 1}, float("inf")]
ALIKE = {int: "number", float: "number"}


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(PATHS), st.sampled_from(VALUES))
def test_no_value_of_a_wrong_type_is_accepted_and_none_is_a_traceback(keys, value):
    data = json.loads(json.dumps(RUN))
    earlier = put(data, keys, value)
    is_other_type = ALIKE.get(type(value), type(value)) is not ALIKE.get(type(earlier), type(earlier))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "results.json").write_text(json.dumps(data))
        try:
            storage.load(folder)
        except ResultsError:
            return
    assert not is_other_type, f"{keys} took {value!r}"


def schema_2(run, **settings):
    """A run as schema 2 stored it: without backends in its cases."""
    data = json.loads(json.dumps(asdict(run)))
    for measurement in data["measurements"]:
        del measurement["case"]["backend"]
    return {**data, "schema": 2, "settings": {**data["settings"], **settings}}


def test_a_run_of_schema_1_is_read_with_the_names_of_today(tmp_path):
    run = sample_run()
    data = schema_2(run, compile=False)
    for name, key in (("max_time", "cap"), ("target_ci", "precision"), ("timeout", "step_limit")):
        data["settings"][key] = data["settings"].pop(name)
    for measurement in data["measurements"]:
        measurement["case"]["host"] = measurement["case"].pop("model")
        for reading in measurement["readings"]:
            reading["metric"] = reading["metric"].replace("memory_traffic", "traffic")
    data["metrics"].append({**data["metrics"][0], "name": "floor", "bounds": "latency"})
    (tmp_path / "results.json").write_text(json.dumps({**data, "schema": 1}))
    read = storage.load(tmp_path)
    assert read.measurements == run.measurements
    assert read.settings == run.settings
    assert read.metrics[-1].name == "roofline_time"


@pytest.mark.parametrize(
    ("old", "compiled", "operator", "backend"),
    [
        ("carafe", False, "carafe", "torch"),
        ("carafe", True, "carafe", "compile"),
        ("carafe-triton", False, "carafe", "triton"),
        ("dysample-s+-triton", False, "dysample-s+", "triton"),
        ("dysample-triton-1x1", False, "dysample-1x1", "triton"),
    ],
)
def test_a_run_of_schema_2_has_its_backends_in_names_and_a_setting(tmp_path, old, compiled, operator, backend):
    data = schema_2(plain_run({"bilinear": FIGURES["bilinear"], old: FIGURES["carafe"]}), compile=compiled)
    (tmp_path / "results.json").write_text(json.dumps(data))
    run = storage.load(tmp_path)
    assert {(row.case.upsampler, row.case.backend) for row in run.measurements} == {
        ("bilinear", "compile" if compiled else "torch"),
        (operator, backend),
    }
    assert [info.name for info in run.upsamplers] == ["bilinear", operator]
    assert run.plan["backend"] == ["compile" if compiled else "torch"]


def test_both_forms_of_an_operator_of_schema_2_are_one_operator(tmp_path):
    data = schema_2(plain_run(dict.fromkeys(("bilinear", "carafe", "carafe-triton"), FIGURES["carafe"])))
    (tmp_path / "results.json").write_text(json.dumps(data))
    run = storage.load(tmp_path)
    assert run.backends == ("torch", "triton")
    assert [info.name for info in run.upsamplers] == ["bilinear", "carafe"]
    assert run.ratio(Case("carafe", backend="triton"), "latency").value == pytest.approx(1.0, rel=0.02)


def test_a_missing_run_says_what_writes_one(tmp_path):
    with pytest.raises(ResultsError, match=r"no stored run at .*upsampler-bench run"):
        storage.load(tmp_path)


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = storage.save(sample_run(), tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        storage.save(sample_run(), tmp_path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        storage.save(sample_run(), tmp_path / "file" / "below")


def test_the_frame_is_tidy_and_in_base_units():
    frame = storage.to_frame(sample_run())
    assert not frame.duplicated(["upsampler", "mode", "batch", "channels", "height", "width", "dtype", "metric"]).any()
    row = frame[(frame.upsampler == "bilinear") & (frame.metric == "latency")].iloc[0]
    assert row.unit == "s"
    assert row.ratio == 1.0
    assert set(frame[frame.status == "failed"].reason) - {""}


def test_every_run_gets_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [storage.new_folder("paper") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == storage.RUNS and "-paper" in folder.name for folder in folders)
    (tmp_path / "elsewhere").write_text("")
    monkeypatch.setattr(storage, "RUNS", tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write into"):
        storage.new_folder("paper")


def test_the_newest_run_is_found_by_its_date(tmp_path):
    run, runs = sample_run(), tmp_path / "runs"
    storage.save(replace(run, started="2026-02"), runs / "a")
    storage.save(replace(run, started="2026-03", ended="partial"), runs / "b" / storage.PARTIAL_FILE)
    storage.save(replace(run, started="2026-04"), runs / "a" / "nested")
    storage.save(run, runs / "corrupt").write_text("{")
    folder, newest = storage.newest_run(runs)
    assert (folder, newest.started) == (runs / "b", "2026-03")
    assert storage.newest_run(runs, nested=True)[0] == runs / "a" / "nested"
    assert storage.newest_run(runs, suits=lambda run: run.ended == "complete")[0] == runs / "a"
    assert storage.newest_run(tmp_path / "nowhere") is None


def test_a_partial_file_counts_before_a_whole_one_that_is_not_complete(tmp_path):
    complete, interrupted = sample_run(), replace(sample_run(), ended="interrupted")
    resumed = replace(interrupted, started="2026-05")
    storage.save(interrupted, tmp_path)
    storage.save(resumed, tmp_path / storage.PARTIAL_FILE)
    assert storage.load(tmp_path) == resumed
    storage.save(complete, tmp_path)
    assert storage.load(tmp_path) == complete
