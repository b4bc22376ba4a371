"""Plans: flags and TOML to cases, and every mistake named."""

import pytest

from upsampler_bench import plan
from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import operators

pytestmark = pytest.mark.usefixtures("registry_restored")
NAMES = ("nearest", "bilinear", "carafe", "dysample", "dysample+")


def test_the_default_plan_is_the_papers_setting():
    cases = plan.cases(plan.parse(plan.read("paper")), NAMES, "cpu")
    conditions = {(case.channels, case.height, case.width, case.scale, case.dtype) for case in cases}
    assert conditions == {(256, 120, 120, 2, "float32")}
    assert [case.upsampler for case in cases] == [*NAMES, *NAMES]


@pytest.mark.parametrize("name", plan.names())
def test_every_plan_of_the_package_is_good(name):
    parsed = plan.parse(plan.read(name))
    operators.add_variants(parsed.upsampler)
    assert plan.cases(parsed, operators.names(), "cpu")


def test_every_combination_is_a_case_with_a_key_of_its_own():
    keys = {"shape": ["8x4x4", "16x4x4"], "scale": [2, 4], "dtype": ["float32", "bfloat16"]}
    keys |= {"upsampler": "carafe", "layout": ["contiguous", "channels_last"]}
    cases = plan.cases(plan.parse(keys), NAMES, "cpu")
    assert len(cases) == len({case.key for case in cases}) == 2 * 2 * 2 * 2 * 2 * 2  # two modes, and the baseline


def test_wildcards_choose_in_the_registrys_order_and_the_baseline_comes_along():
    cases = plan.cases(plan.parse({"upsampler": ["dy*", "carafe"], "mode": "train"}), NAMES, "cuda:1")
    assert [case.upsampler for case in cases] == ["bilinear", "carafe", "dysample", "dysample+"]
    assert cases[0] == Case("bilinear", "train", device="cuda:1", backend="auto")


def on(*names, **keys):
    """The operators and backends of a plan's cases."""
    parsed = plan.parse({"backend": list(names), "mode": "train", **keys} if names else {"mode": "train", **keys})
    return [(case.upsampler, case.backend) for case in plan.cases(parsed, NAMES, keys.get("device", "cpu"))]


def test_without_a_backend_a_cpu_measures_torch_and_a_gpu_auto():
    assert {backend for _, backend in on()} == {"torch"}
    assert {backend for _, backend in on(device="cuda:0")} == {"auto"}


def test_every_operator_is_on_every_backend_torch_first_and_the_baseline_on_torch_alone():
    assert on("triton", "torch", upsampler="carafe") == [
        ("bilinear", "torch"), ("carafe", "torch"), ("carafe", "triton"),
    ]  # fmt: skip
    assert on("triton", "torch", upsampler="bilinear") == [("bilinear", "torch"), ("bilinear", "triton")]


def test_without_torch_the_baseline_is_on_each_backend():
    assert on("compile", "auto", upsampler="carafe") == [
        ("bilinear", "compile"), ("bilinear", "auto"), ("carafe", "compile"), ("carafe", "auto"),
    ]  # fmt: skip


def test_settings_are_keys_too():
    parsed = plan.parse({"min_samples": 5, "warmup_seconds": 1, "cuda_graph": True, "max_time": 1, "metrics": "params"})
    expected = Settings(min_samples=5, warmup_seconds=1.0, cuda_graph=True, max_time=1.0, metrics=("params",))
    assert parsed.settings == expected


@pytest.mark.parametrize(
    ("keys", "processes"),
    [
        ({}, 3), ({"max_time": 3}, 3), ({"max_time": 2.9}, 1), ({"budget": 60}, 1),
        ({"max_time": 1, "processes": 2}, 2), ({"backend": ["torch", "compile"]}, 1),
    ],
)  # fmt: skip
def test_several_processes_share_an_operators_samples_where_there_is_time_for_them(keys, processes):
    assert plan.parse(keys).settings.processes == processes


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shap": "1x1x1"}, "no plan key 'shap'; did you mean 'shape'"),
        ({"shape": "256x120"}, "shape is '256x120'; expected CxHxW"),
        ({"shape": "0x1x1"}, "expected CxHxW in positive integers"),
        ({"shape": []}, "shape is an empty list"),
        ({"dtype": "float8"}, "dtype is 'float8'; expected float32, float16, bfloat16, float64"),
        ({"layout": "nchw"}, "layout is 'nchw'; expected contiguous, channels_last"),
        ({"mode": "eval"}, "mode is 'eval'; expected inference, train"),
        ({"scale": 0}, "scale is 0; expected a positive integer"),
        ({"scale": "²"}, "scale is '²'; expected a positive integer"),
        ({"scale": 1.5}, "scale is 1.5"),
        ({"batch": True}, "batch is True"),
        ({"seed": "a"}, "seed is 'a'; expected an integer from 0"),
        ({"max_time": -1}, "max_time is -1"),
        ({"processes": 0}, "processes is 0; expected an integer above 0"),
        ({"processes": 3, "budget": 60}, "processes is 3 and budget 60 s; within a budget one process"),
        ({"cuda_graph": 1}, "cuda_graph is 1; expected true or false"),
        ({"backend": "tritn"}, "no backend 'tritn'; did you mean 'triton'?"),
        ({"backend": []}, "backend is an empty list"),
        ({"malloc": "jemalloc"}, "malloc is 'jemalloc'; expected keep, default"),
        ({"upsampler": 3}, "upsampler is 3; expected a string"),
        ({"mode": "probe", "model": "fpn-r50"}, "mode probe tests operators alone; leave out model fpn-r50"),
        ({"guide_image": "99999999x99999999"}, "no machine can hold so large an image"),
        ({"image": "64x64"}, "image is the size of a model's input, and no model is named"),
    ],
)
def test_a_mistake_is_named(keys, message):
    with pytest.raises(PlanError) as error:
        plan.parse(keys)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"upsampler": "dysampel"}, "no upsampler 'dysampel'; did you mean 'dysample'?"),
        ({"upsampler": "z*"}, "no upsampler 'z*'"),
        ({"baseline": "bilinaer"}, "no upsampler 'bilinaer' for a baseline; did you mean 'bilinear'?"),
    ],
)
def test_an_unknown_operator_is_named(keys, message):
    with pytest.raises(PlanError) as error:
        plan.cases(plan.parse(keys), NAMES, "cpu")
    assert message in str(error.value)


def test_a_plan_file_that_is_missing_or_no_toml_is_named(tmp_path):
    with pytest.raises(PlanError, match=r"no plan 'papr'; did you mean 'paper'"):
        plan.read("papr")
    with pytest.raises(PlanError, match="no plan"):
        plan.read(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("shape = [")
    with pytest.raises(PlanError, match="cannot read "):
        plan.read(str(tmp_path / "bad.toml"))


def test_a_wildcard_over_what_runs_elsewhere_says_so():
    parsed = plan.parse({"upsampler": "*-triton"})
    with pytest.raises(PlanError, match=r"'\*-triton': none of a-triton, b-triton runs on cpu"):
        plan.cases(parsed, ("bilinear", "a-triton", "b-triton"), "cpu", ("bilinear",))


def test_conditions_are_what_is_measured_together_small_outputs_first():
    parsed = plan.parse({"upsampler": ["a", "b"], "shape": ["8x40x40", "8x20x20"], "baseline": ""})
    conditions = plan.conditions(plan.cases(parsed, ("a", "b"), "cpu"))
    assert [[case.upsampler for case in cases] for cases in conditions] == [["a", "b"]] * 4
    assert [(cases[0].height, cases[0].mode) for cases in conditions] == [
        (20, "inference"), (20, "train"), (40, "inference"), (40, "train"),
    ]  # fmt: skip


def test_a_shard_is_its_number_and_the_number_of_all():
    assert plan.shard("2/8") == (2, 8)


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "1/2/3", "a/b", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(PlanError, match="expected i/n with i from 1 to n"):
        plan.shard(text)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mode": ["quality", "train"], "device": "cpu"}, "mode quality was asked for among quality, train"),
        ({"mode": "quality"}, "on device auto; it is measured alone, and on device cpu"),
        ({"mode": "quality", "device": "cpu", "size": 20}, "size is 20; expected a multiple of 8 from 16 on"),
        ({"tasks": "chess"}, "tasks is 'chess'; expected signature, shapes, reconstruction"),
        ({"seeds": 0}, "seeds is 0; expected an integer above 0"),
    ],
)
def test_a_plan_of_quality_is_refused_with_what_is_accepted(keys, message):
    with pytest.raises(PlanError, match=message):
        plan.parse(keys)


@pytest.mark.parametrize("keys", [{"batch": 10**12}, {"scale": 10**8}, {"shape": "999999x99999x99999"}])
def test_sizes_that_no_machine_can_hold_are_refused_before_anything_is_measured(keys):
    with pytest.raises(PlanError, match="no machine can hold so many elements"):
        plan.cases(plan.parse(keys), ["bilinear"], "cpu")
