"""Published weights: what is read from a checkpoint, that nothing in it is run, and where in it an operator fits."""

import contextlib
import importlib
import io
import os
import pickle
import random
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import upsamplers
from upsamplers import CheckpointError, checkpoints

DETECTOR = {"backbone.conv1.weight": torch.zeros(8, 3, 7, 7), "bbox_head.fc.bias": torch.zeros(4)}


def published(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """The weights of a trained operator, under a model's names."""
    torch.manual_seed(1)
    return {
        f"{prefix}{name}": torch.randn_like(one) if name in dict(module.named_parameters()) else one.clone()
        for name, one in module.state_dict().items()
    }


def dysample(**options: Any) -> upsamplers.Upsampler:
    return upsamplers.create("dysample+", 16, **options)


def unchanged(module: nn.Module, checkpoint: Any, **arguments: Any) -> str:
    """What loading is refused with; the module keeps its weights."""
    before = {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(CheckpointError) as refusal:
        upsamplers.load_published(module, checkpoint, **arguments)
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    return str(refusal.value)


def loaded(module: nn.Module, weights: dict[str, Tensor], prefix: str = "") -> bool:
    return all(torch.equal(one, weights[f"{prefix}{name}"]) for name, one in module.named_parameters())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: OrderedDict(weights),
        lambda weights: {"state_dict": weights, "meta": {"epoch": 12}, "optimizer": {"state": {}}},
        lambda weights: {"model": weights, "iteration": torch.tensor(3)},
        lambda weights: {"model": {"state_dict": weights}},
        lambda weights: {f"module.{name}": one for name, one in weights.items()},
        lambda weights: {"state_dict": {f"module.{name}": one for name, one in weights.items()}},
    ],
    ids=["plain", "ordered", "mmcv", "model", "nested", "parallel", "parallel mmcv"],
)
@pytest.mark.parametrize("prefix", [None, "neck.upsample_modules.1", "neck.upsample_modules.1."])
def test_the_usual_wrappings_are_opened(wrap: Any, prefix: str | None) -> None:
    module = dysample()
    where = "neck.upsample_modules.1."
    weights = {**DETECTOR, **published(module, where)}
    report = upsamplers.load_published(module, wrap(weights), prefix=prefix)
    assert loaded(module, weights, where)
    assert report.prefix == where
    assert report.names == ("init_pos", "offset.weight", "offset.bias", "scope.weight")
    assert str(report) == "init_pos, offset.weight, offset.bias, scope.weight from 'neck.upsample_modules.1.'"


def test_a_prefix_may_be_that_of_dataparallel() -> None:
    module = dysample()
    weights = published(module, "module.neck.")
    assert upsamplers.load_published(module, weights, prefix="module.neck").prefix == "neck."


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("carafe", {"compressed_channels": 8}, {}),
        ("deconv", {}, {}),
        ("pixel-shuffle", {}, {"0.weight": "upsample_conv.weight", "0.bias": "upsample_conv.bias"}),
        ("pixel-shuffle", {}, {}),
        ("dysample-s", {}, {}),
    ],
)
def test_operators_of_detectors_are_found(name: str, options: dict[str, Any], names: dict[str, str]) -> None:
    module = upsamplers.create(name, 32, **options)
    own = published(module)
    weights = {**DETECTOR, **{f"roi_head.mask_head.upsample.{names.get(name, name)}": one for name, one in own.items()}}
    assert upsamplers.load_published(module, {"state_dict": weights}).prefix == "roi_head.mask_head.upsample."
    assert loaded(module, own)


def test_several_places_are_listed() -> None:
    module = dysample()
    weights = {**published(module, "neck.upsample_modules.0."), **published(module, "neck.upsample_modules.1.")}
    assert unchanged(module, weights) == (
        "DySample(16, scale=2) fits 2 places of the checkpoint; choose one by prefix=: "
        "'neck.upsample_modules.0.', 'neck.upsample_modules.1.'"
    )
    upsamplers.load_published(module, weights, prefix="neck.upsample_modules.1")
    assert loaded(module, weights, "neck.upsample_modules.1.")


def test_places_of_other_sizes_do_not_count() -> None:
    module = dysample()
    others = published(upsamplers.create("dysample+", 32), "neck.up.0.")
    assert upsamplers.load_published(module, {**others, **published(module, "neck.up.1.")}).prefix == "neck.up.1."


def test_a_prefix_that_is_not_there_gets_those_that_are() -> None:
    module = dysample()
    weights = {**DETECTOR, **published(module, "neck.upsample_modules.0.")}
    assert unchanged(module, weights, prefix="neck.upsample_module.0") == (
        "the checkpoint has nothing at 'neck.upsample_module.0.'; did you mean 'neck.upsample_modules.0.'?"
    )
    assert "there are 'backbone.conv1.', 'bbox_head.fc.'" in unchanged(module, DETECTOR, prefix="neck")


def test_everything_that_does_not_fit_is_listed() -> None:
    module = dysample()
    weights = published(upsamplers.create("dysample+", 32), "up.")
    del weights["up.offset.bias"]
    weights["up.extra"] = torch.zeros(1)
    misfits = (
        "'up.': missing offset.bias; unexpected extra; "
        "offset.weight is (32, 32, 1, 1), expected (32, 16, 1, 1); scope.weight is (32, 32, 1, 1), "
        "expected (32, 16, 1, 1)"
    )
    assert unchanged(module, weights, prefix="up") == f"DySample(16, scale=2) does not fit {misfits}"
    assert unchanged(module, weights) == (
        f"DySample(16, scale=2) does not fit the checkpoint; the nearest of 1:\n  {misfits}"
    )


def test_a_checkpoint_of_something_else_says_what_it_has() -> None:
    assert unchanged(dysample(), DETECTOR) == (
        "DySample(16, scale=2) does not fit the checkpoint: it has none of init_pos, offset.weight, offset.bias, "
        "scope.weight; its names begin with backbone, bbox_head"
    )


@pytest.mark.parametrize("has", [True, False])
def test_a_bias_of_the_scope_too_many_or_too_few_names_the_option(has: bool) -> None:
    weights = published(dysample(scope_bias=has), "neck.")
    message = unchanged(dysample(scope_bias=not has), weights)
    assert f"{'unexpected' if has else 'missing'} scope.bias (create the operator with scope_bias={has})" in message
    module = dysample(scope_bias=has)
    upsamplers.load_published(module, weights)
    assert loaded(module, weights, "neck.")


def test_initial_positions_may_be_missing() -> None:
    module = dysample()
    weights = published(module)
    del weights["init_pos"]
    assert "init_pos" not in upsamplers.load_published(module, weights).names
    assert torch.equal(module.init_pos, dysample().init_pos)


def test_initial_positions_of_another_kind_are_refused() -> None:
    weights = published(dysample(initial_position="nearest"))
    assert "init_pos has other values than this operator's" in unchanged(dysample(), weights)


def test_what_a_norm_has_seen_is_needed_but_for_its_count() -> None:
    module = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    weights = published(module)
    del weights["1.num_batches_tracked"]
    upsamplers.load_published(module, weights)
    del weights["1.running_mean"]
    assert "missing 1.running_mean" in unchanged(module, weights)


def test_weights_are_cast_to_the_operators_dtype() -> None:
    module = dysample().double()
    weights = {name: one.half() for name, one in published(module).items()}
    upsamplers.load_published(module, weights)
    assert {one.dtype for one in module.parameters()} == {torch.float64}
    assert torch.equal(module.offset.weight, weights["offset.weight"].double())


def test_a_checkpoint_without_weights_or_that_holds_itself_says_what_it_contains() -> None:
    endless: dict[str, Any] = {}
    endless["state_dict"] = endless
    assert "no tensors by name" in unchanged(dysample(), endless)
    assert "contains nothing" in unchanged(dysample(), {})
    assert "contains 'epoch', 'cfg'" in unchanged(dysample(), {"epoch": 3, "cfg": {}})
    assert "'state_dict'" in unchanged(dysample(), {"state_dict": {}})


def test_an_operator_without_weights_has_nothing_to_load() -> None:
    assert "has no weights to load" in unchanged(upsamplers.create("bilinear", 8), DETECTOR)


def test_an_operator_without_memory_is_refused() -> None:
    module = dysample().to("meta")
    with pytest.raises(CheckpointError, match="is on the meta device"):
        upsamplers.load_published(module, published(dysample()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one: one.to_sparse(), "is sparse"),
        (lambda one: one.to("meta"), "is on the meta device"),
        (lambda one: one.to(torch.complex64), "is torch.complex64, expected torch.float32"),
        (lambda one: one.long(), "is torch.int64, expected torch.float32"),
        (lambda one: one.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn, expected torch.float32"),
    ],
)
def test_a_tensor_of_another_kind_leaves_the_module_as_it_was(spoil, message):
    weights = upsamplers.create("carafe", 8).state_dict()
    weights["content_encoder.weight"] = spoil(weights["content_encoder.weight"])
    assert message in unchanged(upsamplers.create("carafe", 8), weights)


def test_an_operator_of_constants_alone_finds_its_own():
    sierra = upsamplers.create("sierra", 8)
    assert upsamplers.load_published(sierra, {"neck.up.kernel": sierra.kernel.clone()}).prefix == "neck.up."


def test_no_hint_at_an_option_is_given_where_it_would_not_help() -> None:
    weights = dysample(scope_bias=True).state_dict()
    assert "scope_bias" not in unchanged(upsamplers.create("dysample", 16), weights, prefix="")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_are_read(tmp_path: Path, zipped: bool) -> None:
    module = dysample()
    weights = published(module, "neck.")
    torch.save({"state_dict": weights}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    upsamplers.load_published(module, tmp_path / "a.pth")
    assert loaded(module, weights, "neck.")
    upsamplers.load_published(module, str(tmp_path / "a.pth"))


def test_files_of_safetensors_are_read(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    module = dysample()
    weights = published(module, "neck.")
    safetensors.save_file(weights, tmp_path / "a.safetensors")
    upsamplers.load_published(module, tmp_path / "a.safetensors")
    assert loaded(module, weights, "neck.")


def test_without_safetensors_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "a.safetensors").touch()
    assert "pip install safetensors" in unchanged(dysample(), tmp_path / "a.safetensors")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "none.pth", tmp_path / "loop", "/dev/zero", "a\0b"):
        assert unchanged(dysample(), path) == f"{path} is not there, or no file; expected a file"
    assert unchanged(dysample(), tmp_path) == f"{tmp_path} is a folder; expected a file"
    assert "download it" in unchanged(dysample(), "https://example.org/a.pth")
    for nothing in (None, 3, [1]):
        assert f"the checkpoint is {nothing!r}; expected the path of a file" in unchanged(dysample(), nothing)


@pytest.mark.parametrize("library", ["timm", "BasicSR", "RT-DETR", "torchvision", "mmengine"])
def test_averaged_weights_are_taken_unless_raw_ones_are_asked_for(library: str) -> None:
    module = dysample()
    raw = published(module, "neck.")
    ema = {name: tensor + tensor.is_floating_point() * (name != "neck.init_pos") for name, tensor in raw.items()}
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{key}": ema[key] for key in ema}}
    counted = {"steps": torch.tensor(3), **{f"module.{key}": raw[key] for key in raw}}
    checkpoint, *paths = {
        "timm": ({"state_dict": raw, "state_dict_ema": ema}, "state_dict", "state_dict_ema"),
        "BasicSR": ({"params": raw, "params_ema": ema}, "params", "params_ema"),
        "RT-DETR": ({"model": raw, "ema": {"module": ema, "updates": 9}}, "model", "ema.module"),
        "torchvision": ({"model": raw, "model_ema": averaged}, "model", "model_ema"),
        "mmengine": ({"message_hub": {}, "state_dict": ema, "ema_state_dict": counted}, "ema_state_dict", "state_dict"),
    }[library]
    names = "init_pos, offset.weight, offset.bias, scope.weight from 'neck.'"
    for wanted in (None, "ema"):
        report = upsamplers.load_published(module, checkpoint, weights=wanted)
        assert loaded(module, ema, "neck.")
        assert str(report) == f"{names} (ema weights; raw ones, not loaded, are at {paths[0]!r})"
    report = upsamplers.load_published(module, checkpoint, weights="raw")
    assert loaded(module, raw, "neck.")
    assert str(report) == f"{names} (raw weights; ema ones, not loaded, are at {paths[1]!r})"


def test_a_checkpoint_of_averaged_weights_alone_is_loaded() -> None:
    module = dysample()
    weights = published(module)
    report = upsamplers.load_published(module, {"params_ema": weights})
    assert loaded(module, weights)
    assert str(report).endswith("from its top (ema weights)")
    assert "has no raw weights; it has ema weights" in unchanged(module, {"params_ema": weights}, weights="raw")
    assert "has no ema weights; it has raw weights" in unchanged(module, {"params": weights}, weights="ema")
    assert "weights='best'; expected 'raw' or 'ema'" in unchanged(module, weights, weights="best")


def test_values_that_are_not_finite_are_refused_by_name() -> None:
    weights = published(dysample(), "up.")
    weights["up.offset.bias"][3] = float("nan")
    weights["up.scope.weight"][0, 0] = float("inf")
    assert unchanged(dysample(), weights) == (
        "the checkpoint has values that are not finite in offset.bias, scope.weight; nothing was loaded"
    )


@pytest.mark.parametrize("is_of_inference", [True, False])
def test_a_parameter_that_cannot_be_written_to_leaves_the_others_as_they_were(is_of_inference: bool) -> None:
    module = dysample()
    with torch.inference_mode(is_of_inference):
        one_number = torch.ones(1).expand(module.scope.weight.shape)
        module.scope.weight = nn.Parameter(one_number.clone() if is_of_inference else one_number)
    message = unchanged(module, published(dysample()))
    assert message == "scope.weight of DySample(16, scale=2) cannot be written to; nothing was loaded"


def write_code(path: Path, call: Any, zipped: bool) -> None:
    """A checkpoint that runs something when it is unpickled."""
    runs = type("Runs", (), {"__reduce__": lambda self: call})()
    torch.save({"state_dict": published(dysample()), "meta": runs}, path, _use_new_zipfile_serialization=zipped)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, importlib.import_module, __import__], ids=lambda one: one.__name__
)
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, function: Any, zipped: bool) -> None:
    mark = tmp_path / "it-ran"
    code = f"touch {mark}" if function is os.system else f"open({str(mark)!r}, 'w')"
    write_code(tmp_path / "bad.pth", (function, (code,)), zipped)
    message = unchanged(dysample(), tmp_path / "bad.pth")
    assert ".pth cannot be read as data alone: it needs " in message
    assert function.__name__ in message
    assert "Nothing in it was run" in message
    assert not mark.exists()


def test_a_getter_in_a_checkpoint_gets_nothing(tmp_path: Path) -> None:
    write_code(tmp_path / "a.pth", (getattr, ("text", "upper")), True)
    upsamplers.load_published(dysample(), tmp_path / "a.pth")
    got = checkpoints._read(tmp_path / "a.pth")["meta"]
    assert isinstance(got, checkpoints._Record)
    assert not vars(got)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_records_of_mmengine_are_passed_over(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    history = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.values = numpy.array([0.5, 0.25])
            self.statistics = {"mean": self.mean}

        def mean(self) -> Any:
            return self.values.mean()

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = history.__name__, "HistoryBuffer"
    history.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    module = dysample()
    weights = published(module, "neck.")
    records = {"loss": HistoryBuffer(), "best": numpy.float64(0.5), "counts": defaultdict(int, {"iter": 3})}
    with monkeypatch.context() as there:
        for name in ("mmengine", "mmengine.logging"):
            there.setitem(sys.modules, name, types.ModuleType(name))
        there.setitem(sys.modules, history.__name__, history)
        torch.save(
            {"meta": {"cfg": "model = dict()"}, "message_hub": records, "state_dict": weights},
            tmp_path / "mm.pth",
            _use_new_zipfile_serialization=zipped,
        )
    allowed = torch.serialization.get_safe_globals()
    assert history.__name__ not in sys.modules
    upsamplers.load_published(module, tmp_path / "mm.pth")
    assert loaded(module, weights, "neck.")
    assert set(torch.serialization.get_safe_globals()) == set(allowed)
    assert history.__name__ not in sys.modules


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"a": 1}), pickle.dumps(io.BytesIO())])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    message = unchanged(dysample(), tmp_path / "a.pth")
    assert "a.pth is not a checkpoint of torch.save" in message
    assert "weights_only=False" not in message


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model,
        lambda model: {"model": model, "ema": None, "epoch": -1},
        lambda model: {"model": None, "ema": model, "updates": 3},
    ],
)
def test_a_whole_model_in_a_file_is_refused_with_advice_that_works(wrap: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    model = nn.Sequential(dysample())
    weights = published(model)
    model.load_state_dict(weights)
    torch.save(wrap(model), path)
    message = unchanged(dysample(), path)
    assert "it needs torch.nn.modules.container.Sequential" in message
    advice = "load_published(operator, torch.load(path, weights_only=False))"
    assert message.endswith(f"If you trust where it comes from: {advice}")
    operator = dysample()
    eval(advice, {"load_published": upsamplers.load_published, "operator": operator, "torch": torch, "path": path})
    assert loaded(operator, weights, "0.")


def test_every_damaged_file_is_refused_or_read(tmp_path: Path) -> None:
    torch.save({"state_dict": published(dysample())}, tmp_path / "good.pth")
    content, draw = (tmp_path / "good.pth").read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 3, 30))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        (tmp_path / "bad.pth").write_bytes(damaged[: draw.choice((len(damaged), draw.randrange(len(damaged))))])
        with contextlib.suppress(CheckpointError):
            upsamplers.load_published(dysample(), tmp_path / "bad.pth")


@pytest.mark.parametrize("signature", [b"PK\1\2", b"PK\3\4"])
def test_a_damaged_file_is_refused_without_advice_to_run_it(tmp_path: Path, signature: bytes) -> None:
    path = tmp_path / "damaged.pth"
    torch.save(dysample().state_dict(), path)
    path.write_bytes(path.read_bytes().replace(signature, b"\0\0\0\0"))
    assert "weights_only=False" not in unchanged(dysample(), path)
