"""What only a GPU can show: `make test-cuda`."""

from statistics import median

import pytest
import torch

import upsampler_bench
import upsamplers
from upsampler_bench import device
from upsampler_bench.case import TRAIN, Case, Settings
from upsampler_bench.device.doctor import examine
from upsampler_bench.workloads import workload

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")]
NAMES = upsamplers.names()


def on(name, place, dtype=torch.float32, rounded=torch.float32):
    """An operator and its inputs, these rounded to a dtype first: what depends on ties must see the same ones."""
    torch.manual_seed(0)
    module = upsamplers.create(name, 64)
    for one in module.parameters():
        torch.nn.init.normal_(one, std=0.05)
    module = module.to(place, dtype).eval()  # nothing is dropped at random
    x = torch.randn(2, 64, 13, 10, generator=torch.Generator().manual_seed(1)).to(rounded)
    x = x.to(place, dtype).requires_grad_()
    feature = torch.randn(2, 64, 26, 20, generator=torch.Generator().manual_seed(2)).to(rounded).to(place, dtype)
    inputs = (x, module.make_guide(feature[:, : module.guide_channels])) if module.needs_guide else (x,)
    return module, inputs


@pytest.fixture(autouse=True)
def _float32_is_float32():
    backends = torch.backends
    before = backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark
    device.create("cuda:0", Settings(cache="warm"))
    yield
    backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark = before


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_equal_those_of_the_cpu(name):
    found = []
    for place in ("cpu", "cuda"):
        module, inputs = on(name, place)
        out = module(*inputs)
        out.backward(torch.ones_like(out) * torch.linspace(-1, 1, out.shape[-1], device=place))
        gradients = [one.grad for one in module.parameters() if one.grad is not None]
        found.append([one.detach().cpu() for one in (out, inputs[0].grad, *gradients)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_close_to_float32(name, dtype):
    module, inputs = on(name, "cuda", dtype)
    out = module(*inputs)
    full, full_inputs = on(name, "cuda", rounded=dtype)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), full(*full_inputs), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_forward_never_waits_for_the_device(name):
    module, inputs = on(name, "cuda")
    with torch.inference_mode():
        module(*inputs)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            module(*inputs)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", NAMES)
def test_a_forward_is_captured_in_a_graph_and_replays_the_same(name):
    place = device.create("cuda:0", Settings(cuda_graph=True, cache="warm"))
    module, inputs = on(name, "cuda")
    with torch.inference_mode():
        wanted, kept = module(*inputs), []

        def call():
            kept[:] = [module(*inputs)]

        place.captured(call)()
        place.synchronize()
        torch.testing.assert_close(kept[0], wanted)


@pytest.mark.parametrize("mode", ["inference", "train"])
def test_memory_of_bilinear_equals_the_hand_count(mode):
    settings = Settings()
    place, case = device.create("cuda:0", settings), Case("bilinear", mode, device="cuda:0")
    built = workload.build(case, settings, workload.shared_inputs(case, settings))
    out = 256 * 240 * 240 * 4
    expected = out if mode != TRAIN else 2 * out + out // 4
    assert place.peak(built.step_for_memory).peak == pytest.approx(expected, abs=2**20)


def test_device_time_is_sampled_as_often_as_asked_and_wall_and_launch_time_once():
    place, x = device.create("cuda:0", Settings()), torch.randn(4096, 4096, device="cuda")
    taken = place.time(lambda: x @ x, 5)
    assert (len(taken.device), len(taken.wall), len(taken.launch)) == (5, 1, 1)
    assert min(taken.device) > 0
    assert taken.launch < taken.wall


def test_hidden_launches_take_bilinear_as_long_as_a_replay_of_its_graph():
    settings, case = Settings(), Case("bilinear", device="cuda:0")
    built = workload.build(case, settings, workload.shared_inputs(case, settings))
    eager, graph = device.create("cuda:0", settings), device.create("cuda:0", Settings(cuda_graph=True))
    timings = []
    for place, call in ((eager, built.forward), (graph, graph.captured(built.forward))):
        place.time(call, 30)
        timings.append(place.time(call, 30))
    assert [one.exposed for one in timings] == [0, 0]
    hidden, replayed = (median(one.device) for one in timings)
    assert hidden == pytest.approx(replayed, rel=0.25)


@pytest.mark.usefixtures("registry_restored")
def test_an_operator_that_waits_for_the_device_is_marked():
    @upsamplers.register("waits")
    class Waits(upsamplers.Upsampler):
        def forward(self, x):
            x = x + x.sum().item()
            return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)

    run = upsampler_bench.run(["bilinear", "waits"], shape=(64, 60, 60), device="cuda", mode="inference", max_time=0.5)
    notes = {
        one.case.upsampler: " ".join(reading.notes) for one, reading in run.readings() if reading.metric == "latency"
    }
    assert "launches not hidden" in notes["waits"]
    assert "launches not hidden" not in notes["bilinear"]


def test_a_run_reports_wall_and_launch_time_and_the_gpus_conditions(tmp_path):
    run = upsampler_bench.run(
        ["bilinear", "dysample"], shape=(64, 60, 60), device="cuda", max_time=0.5, output_dir=tmp_path
    )
    assert not [one.reason for one in run.measurements if one.reason]
    timed = {"latency", "wall", "launch", "train_latency", "train_wall", "train_launch"}
    assert timed | {"reserved_memory"} <= {reading.metric for _, reading in run.readings()}
    assert run.environment.device_kind == "cuda"
    assert any("sm_clock_mhz_max" in one for one in run.environment.conditions)
    assert upsampler_bench.write_report(run, tmp_path)


@pytest.mark.usefixtures("registry_restored")
def test_an_operator_that_runs_out_of_gpu_memory_loses_its_own_row():
    @upsamplers.register("hoards")
    class Hoards(upsamplers.Upsampler):
        def forward(self, x):
            hoard = []
            while True:
                hoard.append(torch.empty(2**30, device=x.device))

    run = upsampler_bench.run(["nearest", "hoards"], shape=(8, 8, 8), device="cuda", mode="inference", max_time=0.2)
    lost = {one.case.upsampler: one.reason for one in run.measurements if one.reason}
    assert set(lost) == {"hoards"}
    assert lost["hoards"].startswith("out of memory")


def test_the_doctor_knows_the_gpu():
    assert {"driver", "temperature", "GPU processes", "throttling"} <= {finding.check for finding in examine("cuda")}
