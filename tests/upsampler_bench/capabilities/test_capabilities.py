"""Each capability is tested: an operator gets a yes, or a no with the reason."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice

import upsamplers
from upsampler_bench import capabilities, device, discovery, metrics
from upsampler_bench.capabilities import _compiler
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Request
from upsampler_bench.workloads import workload

PLUGIN = str(Path(__file__).parents[1] / "capability_plugins.py")
QUICK = ("autocast", "upsample_to", "bfloat16", "channels_last", "deterministic", "float16", "odd_sizes", "scales")
SETTINGS = Settings()


@pytest.fixture(autouse=True)
def plugin(registry_restored):
    upsamplers.load_plugin(PLUGIN)


@pytest.fixture
def traced_only(monkeypatch):
    """torch.compile traces, and runs what it traced as it is."""
    for name in ("compiles", "compiles_dynamic"):
        monkeypatch.setattr(metrics.get(name), "BACKEND", "eager")
    monkeypatch.setattr(_compiler, "_why_not", lambda device: None)


def case(name, **changes):
    return Case(name, **{"mode": PROBE, "batch": 2, "channels": 8, "height": 6, "width": 5, **changes})


def probe(name, *capabilities, done=(), interrupted=lambda: False, **changes):
    """The messages of the measuring process when it probes this operator."""
    cases, messages = (case(name, **changes),), []
    settings = Settings(metrics=capabilities or QUICK)
    request = Request(cases, "cpu", settings, {cases[0].key: list(done)})
    Group(request, FakeDevice(), messages.append, interrupted).measure()
    return messages


def readings(messages):
    return {message.reading.metric: message.reading for message in messages if message.reading}


def refused(name, *capabilities, **changes):
    """The reason for each no, by capability."""
    probed = readings(probe(name, *capabilities, **changes))
    return {metric: reading.notes[0] for metric, reading in probed.items() if reading.samples == (0.0,)}


@pytest.mark.parametrize("name", ["sound", "guided", "bilinear", "dysample"])
def test_an_operator_that_lacks_nothing_gets_a_yes_everywhere(name):
    probed = readings(probe(name))
    assert {metric: reading.samples for metric, reading in probed.items()} == {
        metric: (4.0,) if metric == "scales" else (1.0,) for metric in QUICK
    }
    assert probed["scales"].facts["shown"] == "1–4"
    assert not [reading.notes for reading in probed.values() if reading.notes]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("refuses-bfloat16", {"bfloat16": "no bfloat16 here"}),
        ("widens", {name: f"output is float32, expected {name}" for name in ("float16", "bfloat16")}),
        ("product", {"autocast": "output is bfloat16, expected float32"}),
        ("too-large", {"upsample_to": "output has shape (2, 8, 26, 18), expected (2, 8, 25, 17)"}),
        ("wants-width", {"odd_sizes": "not 1×1: x is 1 wide; expected 5", "scales": "not ×1, ×2, ×3, ×4: x is 4 wide"}),
        ("drifts", {"deterministic": "gradient of x changed from run to run"}),
        ("undetermined", {"deterministic": "max_unpooling2d_forward_out does not have a deterministic implementation"}),
    ],
)
def test_what_an_operator_lacks_is_a_no_with_the_reason(name, expected):
    reasons = refused(name)
    assert set(reasons) == set(expected)
    assert all(reasons[metric].startswith(reason) for metric, reason in expected.items())


def test_values_far_from_float32_are_a_no_that_gives_the_error():
    reasons = refused("coarse", "float16", "bfloat16", "autocast")
    assert set(reasons) == {"float16", "bfloat16"}
    assert re.match(r"output differs from float32 by \S+, more than 1e-02", reasons["float16"])


def test_a_layout_that_is_refused_is_a_no_and_one_that_is_not_kept_shows_in():
    assert "view size is not compatible" in refused("needs-rows", "channels_last")["channels_last"]
    reading = readings(probe("leaves-rows", "channels_last"))["channels_last"]
    assert (reading.samples, reading.facts["shown"]) == ((1.0,), "in")
    assert reading.notes


def test_the_cell_shows_which_scales_work():
    reading = readings(probe("even-only", "scales"))["scales"]
    assert (reading.samples, reading.facts["shown"]) == ((2.0,), "2 4")
    assert reading.notes == ("not ×1, ×3: ValueError: odd scale 1",)
    divisible = readings(probe("shuffles", "scales"))["scales"]
    assert divisible.facts["shown"] == "1–4", "with channels divisible by s²"


def test_at_scale_one_no_level_is_odd():
    reading = readings(probe("sound", "upsample_to", scale=1))["upsample_to"]
    assert (reading.samples, reading.notes) == ((), ("at scale 1 every level has the size of x",))


def test_a_cuda_graph_on_a_cpu_is_neither_yes_nor_no():
    reading = readings(probe("sound", "cuda_graph"))["cuda_graph"]
    assert (reading.samples, reading.notes) == ((), ("needs CUDA",))


@pytest.mark.usefixtures("traced_only")
def test_a_broken_graph_is_a_no_and_has_no_time():
    probed = readings(probe("breaks-the-graph", "compiles", "compiles_dynamic"))
    assert probed["compiles"].samples == probed["compiles_dynamic"].samples == (0.0,)
    assert probed["compile_time"].samples == ()
    assert all("graph_break" in reading.notes[0] for reading in probed.values())
    assert "data-dependent" in refused("reads-a-value", "compiles")["compiles"]


@pytest.mark.usefixtures("traced_only")
def test_one_program_works_for_every_size_or_the_reason_is_the_guard():
    probed = readings(probe("guided", "compiles", "compiles_dynamic"))
    assert probed["compiles"].samples == probed["compiles_dynamic"].samples == (1.0,)
    assert probed["compile_time"].samples[0] > 0
    assert refused("one-size", "compiles_dynamic")["compiles_dynamic"].startswith("compiled again for a second size: ")


def test_without_a_compiler_the_reason_is_what_is_needed(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx")

    monkeypatch.setattr(torch, "compile", refuse)
    _compiler._why_not.cache_clear()
    probed = readings(probe("sound", "compiles"))
    _compiler._why_not.cache_clear()
    assert {reading.samples for reading in probed.values()} == {()}
    reason = "needs a C++ compiler such as g++, and none is installed"
    assert {reading.notes for reading in probed.values()} == {(reason,)}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler here")
def test_inductor_compiles_from_cold_and_leaves_no_setting_behind(monkeypatch):
    monkeypatch.setattr(_compiler, "_why_not", lambda device: None)
    # These save time only if more than one operator is compiled.
    monkeypatch.setattr(torch._inductor.config, "cpp_cache_precompile_headers", False)
    monkeypatch.setattr(torch._inductor.config.cpp, "vec_isa_ok", True)
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    probed = readings(probe("sound", "compiles"))
    assert probed["compiles"].samples == (1.0,)
    assert probed["compile_time"].samples[0] > 0
    assert os.environ.get("TORCHINDUCTOR_CACHE_DIR") == before


def test_every_capability_has_a_title_a_description_and_a_method():
    probes = metrics.for_case(Case("carafe", PROBE), ())
    assert set(probes) == set(discovery.modules("upsampler_bench.capabilities"))
    for metric in probes.values():
        assert capabilities.is_probe(metric)
        assert metric.METHOD
        assert metric.SECONDS > 0
        assert metric.INFOS[0].unit in ("bool", "1")
        assert all(info.description for info in metric.INFOS)


def test_titles_have_words_of_at_most_5_letters_so_that_columns_are_narrow():
    titles = [info.title for info in metrics.infos() if info.mode == PROBE]
    assert max(len(word) for title in titles for word in title.split()) <= 5


def test_each_capability_is_read_once_and_a_message_ends_them():
    messages = probe("sound", done=["float16"])
    assert "float16" not in readings(messages)
    assert messages[-1].kind == "probed"
    shares = [message.facts["share"] for message in messages if message.kind == "at" and message.facts]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1


def test_an_interrupt_ends_between_two_capabilities():
    calls = iter([False] * 3)
    messages = probe("sound", interrupted=lambda: next(calls, True))
    assert len(readings(messages)) == 2
    assert messages[-1].kind != "probed"


def test_an_operator_that_never_runs_loses_its_row():
    messages = probe("raises-always")
    reasons = [(message.kind, message.text) for message in messages if message.text]
    assert reasons == [("failed", "RuntimeError: this operator has a bug (capability_plugins.py:180)")]
    assert not readings(messages)


def test_a_probe_never_changes_what_the_operators_share():
    shared = workload.shared_inputs(case("sound"), SETTINGS)
    before = [value.clone() for value in shared]
    built = workload.build(case("sound"), SETTINGS, shared)
    for name in QUICK:
        metrics.get(name).measure(built, FakeDevice())
    assert all(torch.equal(*pair) for pair in zip(shared, before, strict=True))
    assert not built.has_written_to_its_inputs()
    assert torch.equal(built.module.factor, torch.ones(8, 1, 1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_forward_that_reads_a_value_cannot_be_captured():
    cuda = device.create("cuda:0", SETTINGS)
    for name, captured in (("sound", True), ("reads-a-value", False), ("sound", True)):
        on_gpu = case(name, device="cuda:0")
        built = workload.build(on_gpu, SETTINGS, workload.shared_inputs(on_gpu, SETTINGS))
        with contextlib.nullcontext() if captured else pytest.raises(RuntimeError):
            assert metrics.get("cuda_graph").measure(built, cuda)[0].samples == (1.0,)
        assert cuda.is_alive()
