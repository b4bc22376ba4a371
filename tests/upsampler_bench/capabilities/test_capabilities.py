"""Each capability is tried: an operator that lacks it gets a no and the reason, one that has it a yes."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice

import upsamplers
from upsampler_bench import capabilities, device, metrics
from upsampler_bench.capabilities import _compiler
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Request
from upsampler_bench.workloads import workload

PLUGIN = str(Path(__file__).parents[1] / "capability_plugins.py")
QUICK = ("autocast", "upsample_to", "bfloat16", "channels_last", "deterministic", "float16", "odd_sizes", "scales")
SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _plugin(registry_restored):
    upsamplers.load_plugin(PLUGIN)


@pytest.fixture
def _compiled_by_nobody(monkeypatch):
    """Programs are traced, and run as they are."""
    for name in ("compiles", "compiles_dynamic"):
        monkeypatch.setattr(metrics.get(name), "BACKEND", "eager")
    monkeypatch.setattr(_compiler, "_why_not", lambda device: None)


def case(name, **changes):
    return Case(name, **{"mode": PROBE, "batch": 2, "channels": 8, "height": 6, "width": 5, **changes})


def probe(name, *wanted, settings=SETTINGS, done=(), interrupted=lambda: False, **changes):
    """What the measuring process says when it probes this operator."""
    cases = (case(name, **changes),)
    wanted = Settings(metrics=wanted or QUICK)
    messages = []
    request = Request(cases, "cpu", wanted, {cases[0].key: list(done)})
    Group(request, FakeDevice(), messages.append, interrupted).measure()
    return messages


def readings(messages):
    return {one.reading.metric: one.reading for one in messages if one.reading}


def refused(name, *wanted, **changes):
    """The reasons for every no, by capability."""
    found = readings(probe(name, *wanted, **changes))
    assert all(one.notes for one in found.values() if one.samples == (0.0,)), "every no has its reason"
    return {metric: one.notes[0] for metric, one in found.items() if one.samples == (0.0,)}


@pytest.mark.parametrize("name", ["sound", "guided", "bilinear", "dysample"])
def test_an_operator_that_lacks_nothing_gets_a_yes_everywhere(name):
    found = readings(probe(name))
    assert set(found) == set(QUICK)
    assert {metric for metric, one in found.items() if one.samples != (1.0,)} == {"scales"}
    assert found["scales"].samples == (4.0,)
    assert found["scales"].facts["shown"] == "1–4"
    assert not [one.notes for one in found.values() if one.notes]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("refuses-bfloat16", {"bfloat16": "no bfloat16 here"}),
        (
            "widens",
            {
                "float16": "output is float32, expected float16",
                "bfloat16": "output is float32, expected bfloat16",
            },
        ),
        ("product", {"autocast": "output is bfloat16, expected float32"}),
        ("too-large-beside", {"upsample_to": "output has shape (2, 8, 26, 14), expected (2, 8, 25, 13)"}),
        (
            "wants-width",
            {
                "odd_sizes": "not 1×1: x is 1 wide; expected 5 at least",
                "scales": "not ×1, ×2, ×3, ×4: x is 4 wide; ...",
            },
        ),
        ("drifts", {"deterministic": "gradient of x changed from run to run"}),
        ("undetermined", {"deterministic": "max_unpooling2d_forward_out does not have a deterministic implementation"}),
    ],
)
def test_what_an_operator_lacks_is_a_no_with_the_reason(name, expected):
    found = refused(name)
    assert set(found) == set(expected)
    assert all(found[metric].startswith(said.removesuffix("...")) for metric, said in expected.items())


def test_values_far_from_float32s_are_a_no_that_says_how_far():
    found = refused("coarse", "float16", "bfloat16", "autocast")
    assert set(found) == {"float16", "bfloat16"}
    assert "off float32, more than 1e-02" in found["float16"]


def test_a_layout_that_is_refused_is_a_no_and_one_that_is_not_kept_says_in():
    assert "view size is not compatible" in refused("needs-rows", "channels_last")["channels_last"]
    reading = readings(probe("leaves-rows", "channels_last"))["channels_last"]
    assert (reading.samples, reading.facts["shown"]) == ((1.0,), "in")
    assert reading.notes


def test_the_cell_tells_which_scales_work():
    reading = readings(probe("even-only", "scales"))["scales"]
    assert (reading.samples, reading.facts["shown"]) == ((2.0,), "2 4")
    assert reading.notes == ("not ×1, ×3: ValueError: odd scale 1",)
    limited = readings(probe("shuffles", "scales"))["scales"]
    assert limited.facts["shown"] == "1–4", "channels are chosen that s² divides"


def test_at_scale_one_no_level_is_odd():
    reading = readings(probe("sound", "upsample_to", scale=1))["upsample_to"]
    assert (reading.samples, reading.notes) == ((), ("at scale 1 every level has the size of x",))


def test_a_cpu_has_no_graph_to_capture_which_is_neither_yes_nor_no():
    reading = readings(probe("sound", "cuda_graph"))["cuda_graph"]
    assert (reading.samples, reading.notes) == ((), ("needs CUDA",))


@pytest.mark.usefixtures("_compiled_by_nobody")
def test_a_broken_graph_is_a_no_and_has_no_time():
    found = readings(probe("breaks-the-graph", "compiles", "compiles_dynamic"))
    assert found["compiles"].samples == found["compiles_dynamic"].samples == (0.0,)
    assert found["compile_time"].samples == ()
    assert all("graph_break" in one.notes[0] for one in found.values())
    assert "data-dependent" in refused("asks-the-model", "compiles")["compiles"]


@pytest.mark.usefixtures("_compiled_by_nobody")
def test_one_program_for_every_size_or_the_guard_that_forbids_it():
    found = readings(probe("guided", "compiles", "compiles_dynamic"))
    assert found["compiles"].samples == found["compiles_dynamic"].samples == (1.0,)
    assert found["compile_time"].samples[0] > 0
    assert refused("one-size", "compiles_dynamic")["compiles_dynamic"].startswith("compiled anew for a second size: ")


def test_without_a_compiler_the_cell_says_what_it_needs(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx")

    monkeypatch.setattr(torch, "compile", refuse)
    _compiler._why_not.cache_clear()
    found = readings(probe("sound", "compiles"))
    _compiler._why_not.cache_clear()
    assert {one.samples for one in found.values()} == {()}
    assert {one.notes for one in found.values()} == {("needs a C++ compiler, such as g++, which is not here",)}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler here")
def test_inductor_compiles_from_cold_and_leaves_no_setting_behind(monkeypatch):
    monkeypatch.setattr(_compiler, "_why_not", lambda device: None)
    # Worth their time to those who compile more than one operator.
    monkeypatch.setattr(torch._inductor.config, "cpp_cache_precompile_headers", False)
    monkeypatch.setattr(torch._inductor.config.cpp, "vec_isa_ok", True)
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    found = readings(probe("sound", "compiles"))
    assert found["compiles"].samples == (1.0,)
    assert found["compile_time"].samples[0] > 0
    assert os.environ.get("TORCHINDUCTOR_CACHE_DIR") == before


def test_every_capability_has_a_short_title_a_meaning_and_a_way_it_is_tried():
    probes = metrics.for_case(Case("carafe", PROBE), ())
    assert {"onnx_export", "compiles", "cuda_graph", *QUICK} <= set(probes)
    for metric in probes.values():
        assert capabilities.is_probe(metric)
        assert metric.METHOD
        assert metric.SECONDS > 0
        assert metric.INFOS[0].unit in ("bool", "1")
        assert all(info.description for info in metric.INFOS)


def test_the_matrix_has_room_in_80_columns_even_if_every_cell_has_a_mark():
    titles = [info.title for info in metrics.infos() if info.mode == PROBE]
    widths = [max(len("no a"), *map(len, title.split())) for title in titles]
    assert len("dysample-naive") + sum(1 + width for width in widths) <= 80


def test_each_capability_is_read_once_and_told_when_all_are():
    messages = probe("sound", done=["float16"])
    assert "float16" not in readings(messages)
    assert messages[-1].kind == "probed"
    shares = [one.facts["share"] for one in messages if one.kind == "at" and one.facts]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1


def test_an_interrupt_ends_between_two_capabilities():
    heard = []

    def interrupted():
        heard.append(1)
        return len(heard) > 3

    messages = probe("sound", interrupted=interrupted)
    assert len(readings(messages)) == 2
    assert messages[-1].kind != "probed"


def test_an_operator_that_never_runs_loses_its_row():
    messages = probe("raises-always")
    assert [(one.kind, one.text) for one in messages if one.text] == [
        ("failed", "RuntimeError: this operator has a bug")
    ]
    assert not readings(messages)


def test_a_probe_never_changes_what_the_operators_share():
    settings, one = Settings(), case("sound")
    shared = workload.shared_inputs(one, settings)
    before = [value.clone() for value in shared]
    built = workload.build(one, Settings(compile=True), shared)
    assert not built.is_compiled
    for name in QUICK:
        metrics.get(name).measure(built, FakeDevice())
    assert all(torch.equal(*pair) for pair in zip(shared, before, strict=True))
    assert not built.has_written_to_its_inputs()
    assert torch.equal(built.module.factor, torch.ones(8, 1, 1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_forward_that_asks_the_model_cannot_be_captured():
    place = device.create("cuda:0", SETTINGS)
    for name, captured in (("sound", True), ("asks-the-model", False), ("sound", True)):
        one = case(name, device="cuda:0")
        built = workload.build(one, SETTINGS, workload.shared_inputs(one, SETTINGS))
        with contextlib.nullcontext() if captured else pytest.raises(RuntimeError):
            assert metrics.get("cuda_graph").measure(built, place)[0].samples == (1.0,)
        assert place.is_alive()
