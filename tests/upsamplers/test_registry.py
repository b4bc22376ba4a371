"""Names find operators, and misuse is refused with what would be accepted."""

import ast
import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import upsamplers
from upsamplers import DuplicateUpsampler, NotAnUpsampler, UnknownUpsampler, Unsupported, Upsampler

pytestmark = pytest.mark.usefixtures("registry_restored")


class Bare(Upsampler):
    """An operator without options."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=float(self.scale))


class Open(Bare):
    """An operator that takes any option."""

    def __init__(self, channels: int, *, scale: int = 2, **options: Any) -> None:
        super().__init__(channels, scale=scale)
        self.options = options


class Guided(Bare):
    """An operator that remembers the channels of its guide."""

    needs_guide = True

    def __init__(self, channels: int, *, guide_channels: int, scale: int = 2) -> None:
        super().__init__(channels, scale=scale)
        self.guide_channels = guide_channels

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:  # type: ignore[override]
        return x


class Undeclared(Upsampler):
    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        return x


class WithoutScale(Upsampler):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)


class WithoutGuideChannels(Guided):
    def __init__(self, channels: int, *, scale: int = 2) -> None:
        super().__init__(channels, guide_channels=channels, scale=scale)


class Deaf(Upsampler):
    needs_guide = True

    def forward(self, x: Tensor) -> Tensor:
        return x


class WithRequiredOption(Upsampler):
    def __init__(self, channels: int, *, kernel: int, scale: int = 2) -> None:
        super().__init__(channels, scale=scale)


class OfAnImage(Guided):
    guide_is_image = True

    def __init__(self, channels: int, *, scale: int = 2) -> None:
        super().__init__(channels, guide_channels=3, scale=scale)


class Static(Upsampler):
    forward = staticmethod(F.relu)  # type: ignore[assignment]


@pytest.mark.parametrize("cls", [WithRequiredOption, OfAnImage, Static])
def test_a_class_that_may_be_called_as_the_contract_says_is_registered(cls: type[Upsampler]) -> None:
    upsamplers.register("callable")(cls)
    assert upsamplers.get("callable").cls is cls


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Undeclared, r"cannot be called as forward\(x\): missing .* 'guide'; one that takes a guide sets needs_guide"),
        (WithoutScale, r"cannot be called as WithoutScale\(channels, scale=...\): .* unexpected .* 'scale'"),
        (WithoutGuideChannels, r"\(channels, scale=..., guide_channels=...\): .* unexpected .* 'guide_channels'"),
        (Deaf, r"cannot be called as forward\(x, guide\): too many positional arguments"),
    ],
)
def test_a_class_that_cannot_be_called_as_the_contract_says_is_refused(cls: type[Upsampler], message: str) -> None:
    with pytest.raises(NotAnUpsampler, match=message):
        upsamplers.register("not-callable")(cls)


@pytest.mark.parametrize(
    ("name", "near"), [("dysampel", "'dysample'"), ("dysample_s", "'dysample-s'"), ("Bilinear", "'bilinear'")]
)
def test_a_near_miss_is_suggested(name: str, near: str) -> None:
    with pytest.raises(UnknownUpsampler, match=f"no upsampler '{name}'; did you mean .*{near}") as refusal:
        upsamplers.get(name)
    assert isinstance(refusal.value, LookupError)


def test_a_far_miss_gets_all_names() -> None:
    with pytest.raises(UnknownUpsampler) as refusal:
        upsamplers.create("zzz", 8)
    assert [name for name in upsamplers.names() if name not in str(refusal.value)] == []


def test_a_name_that_is_taken_is_refused_with_both_owners() -> None:
    before = upsamplers.get("bilinear")
    with pytest.raises(DuplicateUpsampler) as refusal:
        upsamplers.register("bilinear")(Bare)
    assert "'bilinear'" in str(refusal.value)
    assert "upsamplers.operators.interpolate.Bilinear" in str(refusal.value)
    assert f"{__name__}.Bare" in str(refusal.value)
    assert upsamplers.get("bilinear") is before


def test_a_notebook_cell_may_run_twice() -> None:
    def cell() -> type[Upsampler]:
        @upsamplers.register("mine")
        @upsamplers.register("mine-too")
        class Mine(Bare):
            pass

        return Mine

    cell()
    again = cell()
    assert upsamplers.names()[-2:] == ("mine", "mine-too")
    assert upsamplers.get("mine").cls is again


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    upsamplers.register("bare")(Bare)
    for name, there in (("dysample", "groups, style, dynamic_scope"), ("bare", "none")):
        with pytest.raises(Unsupported, match=f"{name} has no option 'group'; its options: {there}"):
            upsamplers.create(name, 32, group=8)


def test_an_operator_that_takes_any_option_gets_it_and_the_callers_win_over_the_variants() -> None:
    upsamplers.register("open", kernel=3)(Open)
    modules = upsamplers.create("open", 8, anything=1), upsamplers.create("open", 8, kernel=5)
    assert [module.options for module in modules] == [{"kernel": 3, "anything": 1}, {"kernel": 5}]


@pytest.mark.parametrize("what", ["channels", "scale", "guide_channels"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, "2"])
def test_a_size_that_is_not_a_positive_integer_is_refused(what: str, value: object) -> None:
    sizes: dict[str, Any] = {"channels": 8, what: value}
    with pytest.raises(Unsupported) as refusal:
        upsamplers.create("bilinear", **sizes)
    assert str(refusal.value) == f"bilinear: {what} must be a positive integer, not {value!r}"


def test_a_scale_or_a_device_that_is_not_listed_is_a_reason_not_to() -> None:
    upsamplers.register("picky", scales=(2, 4), devices=("cuda",))(Bare)
    spec = upsamplers.get("picky")
    assert spec.why_not(scale=4, device="cuda") is None
    assert spec.why_not(scale=3) == "picky upsamples by 2 or 4 only, not by 3"
    assert spec.why_not(scale=2, device="cpu") == "picky needs cuda, not cpu"
    with pytest.raises(Unsupported, match="by 2 or 4 only, not by 3"):
        upsamplers.create("picky", 8, scale=3)


def test_guide_channels_are_those_of_x_unless_given() -> None:
    upsamplers.register("guided")(Guided)
    made = [upsamplers.create("guided", 8), upsamplers.create("guided", 8, guide_channels=3)]
    assert [one.guide_channels for one in made] == [8, 3]
    assert isinstance(upsamplers.create("bilinear", 8, guide_channels=3), Upsampler)


def test_names_come_oldest_first_and_variants_in_reading_order() -> None:
    names = upsamplers.names()
    years = [upsamplers.get(name).year for name in names]
    assert years == sorted(years, key=lambda year: float("inf") if year is None else year)
    assert names[:2] == ("nearest", "bilinear")
    first = names.index("dysample")
    assert names[first : first + 5] == ("dysample", "dysample+", "dysample-s", "dysample-s+", "dysample-naive")


def test_names_without_a_year_come_last_as_they_were_registered() -> None:
    upsamplers.register("z")(Bare)
    upsamplers.register("a")(Open)
    upsamplers.register("ancient", year=1)(Guided)
    names = upsamplers.names()
    assert names[-2:] == ("z", "a")
    assert names.index("ancient") < names.index("deconv")


def test_any_module_can_be_registered_by_a_name_that_is_free() -> None:
    upsamplers.register_module("theirs", lambda channels, scale: nn.Upsample(scale_factor=scale), paper="Them, 2030")
    module, x = upsamplers.create("theirs", 4, scale=3), torch.randn(2, 4, 3, 5)
    assert torch.equal(module(x), F.interpolate(x, scale_factor=3))
    assert module.upsample_to(x, torch.randn(2, 7, 8, 13)).shape == (2, 4, 8, 13)
    assert upsamplers.get("theirs").paper == "Them, 2030"
    assert not upsamplers.get("theirs").needs_guide
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))
    assert torch.equal(cloudpickle.loads(cloudpickle.dumps(module))(x), module(x))
    assert type(copy.deepcopy(module)) is type(module)
    with pytest.raises(DuplicateUpsampler, match="'bilinear'"):
        upsamplers.register_module("bilinear", lambda channels, scale: nn.Identity())


def test_the_callers_step_is_taken_before_that_of_a_variant() -> None:
    upsamplers.register("stepwise", step=2)(Bare)
    assert [len([*upsamplers.create("stepwise", 4, scale=16, step=step).children()]) for step in (None, 4)] == [4, 2]


def in_a_new_process(code: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(upsamplers.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_operators_are_imported_when_first_asked_for() -> None:
    seen = "print('upsamplers.operators.dysample' in sys.modules)"
    code = f"import sys, upsamplers; {seen}; upsamplers.create('bilinear', 8); {seen}"
    assert in_a_new_process(code) == "False\nTrue"


@pytest.mark.slow
def test_an_operator_may_be_imported_before_it_is_asked_for() -> None:
    printed = in_a_new_process("import upsamplers.operators.dysample; print(upsamplers.names())")
    plain = [name for name in upsamplers.names() if "[" not in name]
    ours = [name for name in plain if upsamplers.get(name).cls.__module__.startswith("upsamplers.")]
    assert list(ast.literal_eval(printed)) == ours


@pytest.mark.parametrize("name", [None, 3, ["dysample"]])
def test_a_name_that_is_no_string_is_refused(name: Any) -> None:
    with pytest.raises(UnknownUpsampler, match="expected a name, such as 'dysample'"):
        upsamplers.create(name, 8)


@pytest.mark.parametrize(
    ("name", "channels", "options"),
    [("deconv", 10**7, {}), ("deconv", 10**12, {}), ("dysample", 2**70, {}), ("sierra", 64, {"scale": 10**9})],
)
def test_more_weights_than_memory_are_refused(name: str, channels: int, options: dict[str, int]) -> None:
    with pytest.raises(Unsupported, match=f"{name}: {channels} channels at scale .* take more memory than there is"):
        upsamplers.create(name, channels, **options)


def test_an_error_of_the_operator_itself_is_not_touched() -> None:
    def build(channels: int, scale: int) -> torch.nn.Module:
        raise RuntimeError("no such weights")

    upsamplers.register_module("broken_inside", build)
    with pytest.raises(RuntimeError, match="no such weights"):
        upsamplers.create("broken_inside", 8)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"year": "2020"}, "year is '2020'; expected an integer"),
        ({"year": True}, "year is True; expected an integer"),
        ({"scales": 2}, "scales is 2; expected a tuple of integers"),
        ({"devices": "cpu"}, "devices is 'cpu'; expected a tuple of strings"),
        ({"paper": None}, "paper is None; expected a string"),
    ],
)
def test_a_fact_of_a_wrong_type_is_refused_when_it_is_registered(registry_restored, facts, message):
    with pytest.raises(upsamplers.Unsupported, match=re.escape(message)):
        upsamplers.register("mine", **facts)(type("Mine", (upsamplers.Upsampler,), {}))
    assert "mine" not in upsamplers.names()


@pytest.mark.parametrize("name", ["", "lab/mine", "two\nlines"])
def test_a_name_that_cannot_be_a_key_of_results_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="printable letters without /"):
        upsamplers.register_module(name, lambda channels, scale: torch.nn.Upsample(scale_factor=scale))


@pytest.mark.parametrize("name", ["A*", "a[b]", "a,b", "a?"])
def test_a_name_that_commands_would_take_for_another_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="expected one without"):
        upsamplers.register_module(name, lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
    with pytest.raises(Unsupported, match="expected one without"):
        upsamplers.register(name)


@pytest.mark.usefixtures("registry_restored")
def test_a_module_that_takes_a_guide_is_refused_when_it_is_built() -> None:
    upsamplers.register_module("guided", lambda channels, scale: torch.nn.Bilinear(channels, channels, channels))
    with pytest.raises(Unsupported, match="guided: forward of Bilinear takes input1, input2; register_module takes"):
        upsamplers.create("guided", 8)


@pytest.mark.slow
def test_several_threads_may_ask_for_the_first_operator() -> None:
    program = """
import threading, upsamplers
made = []
threads = [threading.Thread(target=lambda: made.append(upsamplers.create("uplift", 8))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(made))
"""
    assert in_a_new_process(program).strip() == "4"
