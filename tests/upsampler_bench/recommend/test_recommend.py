"""`upsampler-bench recommend`: limits read from text, the result of every operator, and what is printed."""

import json
import re
from dataclasses import replace

import pytest
from sample_choice import PROBED, measured_run, probed_run
from sample_quality import quality_run
from sample_run import FIGURES, also_on_triton

from upsampler_bench import storage
from upsampler_bench.errors import PlanError
from upsampler_bench.recommend import BORDERLINE, FAILS, PASSES, UNKNOWN, Criteria, judge, limits, recommend, text
from upsampler_bench.recommend.limits import Limit

MIB = 2**20


def recommended(*runs, keep=(), **criteria):
    (made,) = recommend(runs or (measured_run(), probed_run()), Criteria(**criteria), keep)
    return made


def names(made, result):
    return {candidate.name for candidate in made.with_result(result)}


@pytest.mark.parametrize(
    ("low", "high", "result"),
    [(1.0, 1.5, PASSES), (1.5, 1.5, PASSES), (1.5, 1.6, BORDERLINE), (1.4, 1.6, BORDERLINE), (1.6, 1.7, FAILS)],
)
def test_an_interval_passes_within_the_limit_and_fails_beyond_it(low, high, result):
    assert judge(low, high, 1.5) == result


@pytest.mark.parametrize(
    ("option", "text", "limit"),
    [
        ("max-latency", "1.5x", Limit("latency", 1.5, True)),
        ("max-latency", "20ms", Limit("latency", 0.02, False)),
        ("max-train-latency", "2 s", Limit("train_latency", 2.0, False)),
        ("max-memory", "200MiB", Limit("inference_memory", 200 * MIB, False)),
        ("max-memory", "200mb", Limit("inference_memory", 200e6, False)),
        ("max-train-memory", "2×", Limit("train_memory", 2.0, True)),
        ("max-params", "50K", Limit("params_all", 50e3, False)),
        ("max-gflops", "2.5", Limit("flops_mac", 2.5e9, False)),
    ],
)
def test_a_limit_is_read_with_its_unit(option, text, limit):
    assert limits.parse(option.removeprefix("max-"), text, f"--{option}") == limit


@pytest.mark.parametrize(
    ("option", "text"),
    [("max-latency", "20"), ("max-latency", "-1ms"), ("max-memory", "0MiB"), ("max-params", "2x"), ("max-memory", "x")],
)
def test_a_limit_without_number_or_unit_is_refused_with_an_example(option, text):
    with pytest.raises(PlanError, match=f"--{option} is .*; expected a number above 0 with its unit, such as"):
        limits.parse(option.removeprefix("max-"), text, f"--{option}")


def test_memory_is_read_in_binary_and_decimal_units():
    assert limits.memory("24GiB") == 24 * 2**30
    assert limits.memory("1.5 GB") == 1_500_000_000
    with pytest.raises(PlanError):
        limits.memory("2x")


@pytest.mark.parametrize(
    ("word", "name"),
    [("onnx", "onnx_export"), ("cuda-graph", "cuda_graph"), ("bf16", "bfloat16"), ("compiles", "compiles")],
)
def test_a_capability_may_be_named_by_name_title_or_beginning(word, name):
    assert limits.capabilities((word,), probed_run().metrics) == (name,)


def test_an_unknown_capability_is_refused_with_a_list():
    with pytest.raises(PlanError, match=r"no capability 'bfloat6'; did you mean 'bfloat16'\? There are bfloat16, onnx"):
        limits.capabilities(("bfloat6",), probed_run().metrics)


def test_the_best_published_operator_that_passes_is_recommended():
    made = recommended(limits=(Limit("latency", 1.7, True), Limit("inference_memory", 64 * MIB, False)))
    assert made.best.name == "dysample"
    assert names(made, PASSES) == {"nearest", "bilinear", "dysample"}
    broken = {one.name: [check.about for check in one.decisive] for one in made.with_result(FAILS)}
    assert broken["dysample+"] == ["inference_memory"]
    assert broken["carafe"] == ["latency", "inference_memory"]


def test_an_interval_around_the_limit_is_borderline_and_not_recommended():
    run = measured_run(**{"dysample-s+": 15.47})
    made = recommended(run, limits=(Limit("latency", 1.7, True),))
    (one,) = made.with_result(BORDERLINE)
    (check,) = one.decisive
    assert one.name == "dysample-s+"
    assert check.value.low <= 1.7 < check.value.high
    assert made.best.name == "dysample+"
    assert "Borderline, the limit is within the interval:\n  dysample-s+     latency 1.69" in text.text([made])


def test_an_operator_that_failed_in_the_run_is_not_recommended():
    run = measured_run()
    rows = [
        replace(row, status="failed", reason="RuntimeError: no kernel", readings=())
        if row.case.upsampler == "dysample-s+"
        else row
        for row in run.measurements
    ]
    made = recommended(replace(run, measurements=tuple(rows)), no_guide=True)
    assert "dysample-s+" in names(made, FAILS)
    assert made.best.name != "dysample-s+"
    assert "dysample-s+     not measured: RuntimeError: no kernel" in text.text([made])


def test_an_operator_that_failed_after_its_memory_was_read_is_not_recommended_and_one_without_budget_is_unknown():
    run = measured_run()

    def lost(row, status, reason):
        return replace(
            row, status=status, reason=reason, readings=tuple(one for one in row.readings if one.metric != "latency")
        )

    rows = [
        lost(row, "failed", "RuntimeError: late") if row.case.upsampler == "dysample-s+"
        else lost(row, "skipped", run.settings.used_up) if row.case.upsampler == "carafe" else row
        for row in run.measurements
    ]  # fmt: skip
    made = recommended(replace(run, measurements=tuple(rows)), no_guide=True)
    assert "dysample-s+" in names(made, FAILS)
    assert "carafe" in names(made, UNKNOWN)
    assert "--metrics run" not in text.text([made])


def test_operators_with_a_guide_fail_where_none_is_available():
    assert names(recommended(no_guide=True), FAILS) == {"sapa-b"}


def test_a_capability_not_tested_or_not_testable_is_unknown():
    made = recommended(needs=("onnx_export",))
    assert names(made, FAILS) == {"dysample+"}
    assert names(made, UNKNOWN) == {"sapa-b"}
    assert len(names(recommended(needs=("cuda_graph",)), UNKNOWN)) == 8
    printed = text.text([made])
    assert "no onnx_export (no such operator)" in printed
    assert "sapa-b: onnx_export (not tested)" in printed
    assert "upsampler-bench capabilities --metrics onnx_export" in printed


def test_a_limit_on_what_was_not_measured_is_unknown():
    made = recommended(measured_run(), limits=(Limit("nowhere", 1.0, False),))
    assert len(made.with_result(UNKNOWN)) == 8
    assert made.best is None


def test_nothing_passes_names_the_nearest_miss():
    made = recommended(limits=(Limit("latency", 8e-3, False),))
    assert made.best is None
    assert made.nearest_miss.name == "nearest"
    assert "Nothing passes. The nearest miss is nearest: latency 8.5" in text.text([made])


def test_each_backend_is_a_candidate_with_its_operators_quality_and_capabilities():
    run = also_on_triton(measured_run(), {"dysample-s+": FIGURES["nearest"]})
    made = recommended(run, probed_run(), limits=(Limit("latency", 9e-3, False),), needs=("onnx_export",))
    assert made.best.name == "dysample-s+ · triton"
    assert made.best.miou == 43.58
    assert "dysample-s+ · torch" in names(made, FAILS)


def test_only_rows_of_the_backend_asked_for_are_candidates():
    run = also_on_triton(measured_run(), {"carafe": FIGURES["carafe"]})
    made = recommended(run, backend="triton")
    assert [candidate.name for candidate in made.candidates] == ["carafe · triton"]
    with pytest.raises(PlanError, match="nothing was measured on backend openvino; there are: torch, triton"):
        recommended(run, backend="openvino")


def test_the_best_may_be_chosen_by_another_metric():
    made = recommended(by="latency")
    assert made.best.name == "nearest"
    assert "Use nearest: the least latency, the best of 8 that pass." in text.text([made])
    assert "without a published mIoU" not in text.text([made])
    assert recommended(by="memory", limits=(Limit("latency", 12.2e-3, False),)).best.name == "nearest"


def test_every_condition_gets_a_recommendation_unless_one_is_selected():
    run = measured_run()
    small = tuple(replace(one, case=replace(one.case, height=60, width=60)) for one in run.measurements)
    both = replace(run, measurements=(*run.measurements, *small))
    assert len(recommend((both,), Criteria())) == 2
    assert recommended(both, keep=("256x60x60",)).condition.case.height == 60
    with pytest.raises(PlanError, match="nothing was measured under 1x2x3; there are: 1×256×120×120"):
        recommend((both,), Criteria(), ("1x2x3",))


def test_a_run_of_capabilities_alone_is_refused():
    with pytest.raises(PlanError, match="these runs contain no measured operator"):
        recommend((probed_run(),), Criteria())


@pytest.fixture(params=["reports/here/capabilities", "runs/later-capabilities"])
def stored(tmp_path, request):
    storage.save(measured_run(), tmp_path / "reports" / "here")
    storage.save(replace(probed_run(), started="2999"), tmp_path / request.param)


@pytest.mark.usefixtures("stored")
def test_the_command_reads_the_newest_stored_run_with_its_capabilities(invoke):
    criteria = ("--max-latency", "2.2x", "--max-memory", "200MiB", "--no-guide", "--needs", "onnx")
    code, out, err = invoke("recommend", *criteria)
    assert (code, err) == (0, "")
    assert "Use dysample-s+: 43.58 mIoU as published" in out
    costs = "reports/here, Intel Xeon Platinum 8481C, 2026-11-21, 8 operators, 95 % intervals within one process"
    assert f"Costs: {costs} Capabilities: " in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = invoke("recommend", *criteria, "--json")
    (answer,) = json.loads(out)
    assert (code, answer["recommended"]) == (0, "dysample-s+")
    assert answer["sources"][0]["file"] == "reports/here"
    assert {one["name"]: one["verdict"] for one in answer["operators"]}["sapa-b"] == FAILS


@pytest.mark.usefixtures("stored")
def test_exit_code_1_where_nothing_passes_and_2_for_misuse(invoke):
    assert invoke("recommend", "--max-latency", "1ms")[0] == 1
    for arguments, message in (
        (("--max-latency", "fast"), "--max-latency is 'fast'"),
        (("--needs", "onyx"), f"no capability 'onyx'; there are {', '.join(PROBED)}"),
        (("--by", "latencies"), "--by is 'latencies'; did you mean 'latency'?"),
        (("nowhere",), "no stored run at nowhere"),
    ):
        code, _, err = invoke("recommend", *arguments)
        assert (code, err.count("error: ")) == (2, 1)
        assert message in " ".join(err.split())


def test_without_a_stored_run_only_what_is_needed_is_measured(invoke, monkeypatch):
    from upsampler_bench.commands import recommend as command

    measured, folders = [], []

    def measure(ready):
        measured.append((ready.settings.metrics, {case.mode for case in ready.cases}))
        folders.append(ready.writer.folder)
        return probed_run() if "onnx_export" in ready.settings.metrics else measured_run()

    monkeypatch.setattr(command, "measure", measure)
    code, out, err = invoke("recommend", "--max-memory", "100MiB", "--needs", "onnx", "--device", "cpu")
    assert code == 0
    assert "Use dysample-s+" in out
    assert "measuring latency, memory, onnx_export now on cpu, about" in " ".join(err.split())
    assert measured == [(("latency", "memory"), {"inference"}), (("onnx_export",), {"probe"})]
    assert {folder.parent for folder in folders} == {storage.RUNS}
    assert [folder.name.partition("-recommend")[1] for folder in folders] == ["-recommend", ""]
    assert all(f"Stored in {folder}" in err and str(folder) in out for folder in folders)


@pytest.mark.parametrize("tested", [False, True])
def test_a_capability_that_no_stored_run_tested_is_unknown(invoke, tmp_path, tested):
    storage.save(measured_run(), tmp_path / "runs" / "costs")
    if tested:
        storage.save(probed_run(), tmp_path / "runs" / "capabilities")
    code, out, _ = invoke("recommend", "--needs", "cuda_graph")
    assert code == 1
    assert "To test: upsampler-bench capabilities --metrics cuda_graph" in out


def test_a_capability_that_one_of_several_tests_found_missing_is_missing():
    probed = probed_run()
    twice = replace(probed, measurements=(*probed.measurements, *map(without_capabilities, probed.measurements)))
    made = recommended(measured_run(), twice, needs=("onnx_export",))
    assert not made.with_result(PASSES)
    assert made.with_result(FAILS)


def without_capabilities(measurement):
    """The same operator on another backend, on which nothing works."""
    readings = tuple(replace(one, rounds=((0.0,),), notes=("no",)) for one in measurement.readings)
    return replace(measurement, case=measurement.case.on("triton"), readings=readings)


def test_the_newest_complete_run_that_has_what_is_asked_for_is_taken(invoke, tmp_path):
    run = measured_run()
    half = tuple(replace(one, case=replace(one.case, dtype="float16")) for one in run.measurements)
    timed = tuple(
        replace(one, readings=tuple(reading for reading in one.readings if reading.metric == "latency"))
        for one in run.measurements
    )
    for name, stored in {
        "1-whole": run,
        "2-half": replace(run, measurements=half),
        "3-timed": replace(run, measurements=timed),
        "4-broken-off": replace(run, ended="interrupted"),
    }.items():
        storage.save(replace(stored, started=f"2026-11-2{name[0]}T05:00:00"), tmp_path / "runs" / name)
    for options, taken in (((), "3-timed"), (("--max-memory", "1GiB"), "2-half"), (("--dtype", "float32"), "3-timed")):
        assert f"Costs: runs/{taken}, " in invoke("recommend", *options)[1]
    assert "Costs: runs/1-whole, " in invoke("recommend", "--dtype", "float32", "--max-memory", "1GiB")[1]
    assert "Costs: runs/3-timed, " in invoke("recommend", "--shape", "256X120X120", "--device", "auto")[1]


def test_capabilities_of_another_kind_of_device_do_not_count():
    run = measured_run()
    elsewhere = replace(run, environment=replace(run.environment, device_name="H200", device_kind="cuda"))
    made = recommended(elsewhere, probed_run(), needs=("onnx_export",))
    assert len(made.with_result(UNKNOWN)) == 8


def test_capabilities_of_another_device_of_the_kind_count_where_there_are_none_of_the_same(invoke, tmp_path):
    run, probed = measured_run(), probed_run()
    other = replace(probed, environment=replace(run.environment, device_name="Another CPU"), started="2999")
    storage.save(run, tmp_path / "runs" / "costs")
    storage.save(other, tmp_path / "runs" / "other")
    assert "Capabilities: runs/other, Another CPU, 2999" in invoke("recommend", "--needs", "onnx")[1]
    storage.save(replace(probed, environment=run.environment), tmp_path / "runs" / "same")
    assert f"Capabilities: runs/same, {run.environment.device_name}" in invoke("recommend", "--needs", "onnx")[1]


def test_capabilities_of_a_run_that_tested_all_that_is_needed_come_before_newer_ones(invoke, tmp_path):
    run = probed_run()
    fewer = tuple(replace(one, readings=one.readings[:1]) for one in run.measurements)
    storage.save(measured_run(), tmp_path / "runs" / "costs")
    storage.save(replace(run, measurements=fewer, started="2999"), tmp_path / "runs" / "newer")
    assert "Capabilities: runs/newer" in invoke("recommend", "--needs", "onnx")[1]
    storage.save(run, tmp_path / "runs" / "all")
    assert "Capabilities: runs/all" in invoke("recommend", "--needs", "onnx")[1]
    assert "Capabilities: runs/newer" in invoke("recommend", "--needs", "bfloat16")[1]


def test_measured_quality_is_chosen_by_where_there_is_some_and_published_on_request():
    runs = measured_run(), quality_run()
    measured, chosen = recommended(*runs), recommended(*runs, quality="published")
    assert (measured.quality, measured.best.name) == ("shapes", "sapa-b")
    assert "mIoU on shapes as measured, the best of 8 that pass" in text.text([measured])
    assert re.search(r"^sapa-b +yes ", text.text([measured]), re.MULTILINE)
    assert text.GUIDED in " ".join(text.text([measured]).split())
    alike = recommended(*runs, no_guide=True)
    assert alike.best.name == "carafe"
    assert text.GUIDED not in " ".join(text.text([alike]).split())
    assert (chosen.quality, chosen.best.name) == ("published", "dysample-s+")
    assert "mIoU as published (SegFormer-B1 on ADE20K, Table 4)" in text.text([chosen])
    assert recommended().quality == "published"


def test_measured_quality_that_no_run_has_is_refused_with_the_command_that_measures_it():
    with pytest.raises(PlanError, match=r"no stored run has scores on shapes; 'upsampler-bench quality' measures them"):
        recommended(quality="shapes")


def test_the_command_finds_stored_quality_and_says_which_it_used(invoke, tmp_path):
    storage.save(measured_run(), tmp_path / "runs" / "costs")
    storage.save(quality_run(), tmp_path / "runs" / "quality")
    assert "mIoU on shapes as measured" in " ".join(invoke("recommend")[1].split())
    assert "mIoU as published" in " ".join(invoke("recommend", "--quality", "published")[1].split())
    code, _, errors = invoke("recommend", "--quality", "shape")
    assert (code, errors) == (2, "error: --quality is 'shape'; did you mean 'shapes'?\n")
