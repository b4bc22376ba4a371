"""A sweep, from flags or TOML, to cases: the same keys in both, every mistake named."""

from __future__ import annotations

import fnmatch
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from upsampler_bench import discovery
from upsampler_bench.case import (
    DTYPES,
    IMAGE_CHANNELS,
    INFERENCE,
    LAYOUTS,
    MODES,
    MOST_ELEMENTS,
    PROBE,
    QUALITY,
    TASKS,
    TORCH,
    TRAIN,
    Case,
    Settings,
    default_backend,
)
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError

PLANS = Path(__file__).parent / "plans"
BACKENDS = "upsampler_bench.backends"
MOST_THREADS = 4096
MODEL_SCALE = 2
MODEL_BATCHES = (4, 16)
NO_MODEL = "none"
# The network that is trained to measure quality has three stages of scale 2.
SIZE_MULTIPLE = 8
# Fresh processes that share an operator's samples unless the plan says how many, if it may take so many seconds (s).
PROCESSES, SHARED_FROM = 3, 3.0
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep: every combination of its values is a case.

    Attributes:
        name: of a file its own name.
        upsampler: names, or shell wildcards over the registered ones.
        backend: empty: torch on a CPU, auto on a GPU.
        shape: (C, H, W) of the low-resolution feature; ignored in a model.
        batch: empty: 1, in models on a GPU 4 and 16.
        model: models to measure the operators in; "" (given as "none") is the bare operator.
        image: (H, W) of a model's image.
        guide_image: HxW of the image that operators guided by one take; "" (given as "output"): the output's size.
        device: "auto", "cpu", "cuda" or "cuda:i".
        plugin: modules or files to load first.
        settings: how to measure.
    """

    name: str = ""
    upsampler: tuple[str, ...] = ("*",)
    backend: tuple[str, ...] = ()
    shape: tuple[tuple[int, int, int], ...] = ((256, 120, 120),)
    scale: tuple[int, ...] = (2,)
    batch: tuple[int, ...] = ()
    dtype: tuple[str, ...] = ("float32",)
    layout: tuple[str, ...] = ("contiguous",)
    mode: tuple[str, ...] = (INFERENCE, TRAIN)
    model: tuple[str, ...] = ("",)
    image: tuple[tuple[int, int], ...] = ((512, 512),)
    guide_image: tuple[str, ...] = ("",)
    device: str = "auto"
    plugin: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)


def names() -> tuple[str, ...]:
    """The plans that come with the package."""
    return tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


def read(source: str) -> dict[str, Any]:
    """The keys of a plan: one that comes with the package, by its name, or a TOML file.

    Raises:
        PlanError: there is none, or it is not TOML.
    """
    path = Path(source) if source.endswith(".toml") else PLANS / f"{source}.toml"
    if not path.exists():
        known = "" if source.endswith(".toml") else f"; {nearest(source, names())}, or give a .toml file"
        raise PlanError(f"no plan {source!r}{known}")
    return {"name": path.stem, **toml(path)}


def toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        PlanError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise PlanError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem


def parse(keys: Mapping[str, Any]) -> Plan:
    """A plan from its keys, each a value or a list of values.

    Raises:
        PlanError: naming the key, what was found and what is accepted.
    """
    plan: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for key, value in keys.items():
        if key in _LISTS:
            plan[key] = tuple(dict.fromkeys(_LISTS[key](item, key) for item in _as_list(value, key)))
        elif key in ("name", "device"):
            plan[key] = _text(value, key)
        elif key in _SETTINGS:
            settings[key] = _setting(key, value)
        else:
            known = (*_LISTS, "name", "device", *_SETTINGS)
            raise PlanError(f"no plan key {key!r}; {nearest(key, known)}")
    parsed = Plan(**plan)
    parsed = replace(parsed, settings=_with_processes(Settings(**settings), settings, parsed.backend))
    if parsed.settings.budget and parsed.settings.processes > 1:
        raise PlanError(
            f"processes is {parsed.settings.processes} and budget {parsed.settings.budget:g} s; within a budget one "
            "process times each operator"
        )
    _check_mode(parsed)
    if "image" in plan and not any(parsed.model):
        raise PlanError("image is the size of a model's input, and no model is named; --guide-image is that of a guide")
    return parsed


def _with_processes(parsed: Settings, given: Mapping[str, Any], backend: Sequence[str]) -> Settings:
    """Several processes where there is time for them, unless their number was given; compilers would run in each."""
    builds = any(hasattr(discovery.load(BACKENDS, name), "prepare") for name in backend)
    has_time = not parsed.budget and parsed.max_time >= SHARED_FROM and not builds
    return replace(parsed, processes=PROCESSES) if has_time and "processes" not in given else parsed


def _check_mode(plan: Plan) -> None:
    """Refuses what a plan of mode "probe" or "quality" cannot have."""
    if PROBE in plan.mode and any(plan.model):
        raise PlanError(f"mode {PROBE} tests operators alone; leave out model {', '.join(filter(None, plan.model))}")
    if QUALITY not in plan.mode:
        return
    if len(plan.mode) > 1 or plan.device != "cpu":
        raise PlanError(
            f"mode {QUALITY} was asked for among {', '.join(plan.mode)} on device {plan.device}; it is measured alone, "
            "and on device cpu"
        )
    size = plan.settings.size
    if size % SIZE_MULTIPLE or size < 2 * SIZE_MULTIPLE:
        raise PlanError(f"size is {size}; expected a multiple of {SIZE_MULTIPLE} from {2 * SIZE_MULTIPLE} on")


def cases(plan: Plan, names: Sequence[str], device: str, wild: Sequence[str] | None = None) -> tuple[Case, ...]:
    """Every combination, operator by operator; the baseline is always measured too, on torch if that is a backend.

    Args:
        plan: the sweep.
        names: the registered operators, in order.
        device: resolved, e.g. "cuda:0".
        wild: those of the names that a wildcard may choose, such as those that run on the device; all by default.

    Raises:
        PlanError: a name or wildcard matches nothing.
    """
    named, on = requested(plan, names, device, wild), backends(plan, device)
    baseline = plan.settings.baseline
    if baseline and baseline not in names:
        raise PlanError(f"no upsampler {baseline!r} for a baseline; {nearest(baseline, tuple(names))}")
    # A baseline that the plan does not name is measured on each backend only if torch, which serves all, is not there.
    chosen = [
        (name, backend)
        for name in names
        for backend in on
        if name in named or (name == baseline and (backend == TORCH or TORCH not in on))
    ]
    inputs = [case for model in plan.model for case in _inputs(plan, model, device)]
    for case in inputs:
        if case.elements >= MOST_ELEMENTS:
            raise PlanError(f"{case.condition}: no machine can hold so many elements")
    return tuple(
        replace(case, upsampler=name, backend=backend, dtype=dtype, layout=layout, mode=mode)
        for case, dtype, layout, mode in product(inputs, plan.dtype, plan.layout, plan.mode)
        for name, backend in chosen
    )


def conditions(cases: Iterable[Case]) -> tuple[tuple[Case, ...], ...]:
    """What is measured together, so that its ratios are paired: the cases of each group, small outputs first."""
    groups: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.elements):
        groups.setdefault(case.group, []).append(case)
    return tuple(map(tuple, groups.values()))


def shard(text: str) -> tuple[int, int]:
    """The number of a shard and the number of all, of "2/8".

    Raises:
        PlanError: it is written otherwise, or out of range.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise PlanError(f"shard is {text!r}; expected i/n with i from 1 to n, such as 2/8")
    return int(parts[0]), int(parts[1])


def backends(plan: Plan, device: str) -> tuple[str, ...]:
    """The plan's backends, or the device's default; torch first, which the others are compared with."""
    return tuple(sorted(plan.backend or (default_backend(device),), key=lambda name: name != TORCH))


def requested(plan: Plan, names: Sequence[str], device: str, wild: Sequence[str] | None = None) -> tuple[str, ...]:
    """The operators that the plan names, in the registry's order; arguments and errors are those of `cases`."""
    chosen: set[str] = set()
    for pattern in plan.upsampler:
        # A name may hold brackets, which are wildcards elsewhere.
        matching = [pattern] if pattern in names else fnmatch.filter(names if wild is None else wild, pattern)
        if not matching and (others := fnmatch.filter(names, pattern)):
            raise PlanError(f"{pattern!r}: none of {', '.join(others)} runs on {device}")
        if not matching:
            raise PlanError(f"no upsampler {pattern!r}; {nearest(pattern, tuple(names))}")
        chosen.update(matching)
    return tuple(name for name in names if name in chosen)


def _inputs(plan: Plan, model: str, device: str) -> Iterable[Case]:
    """The inputs that an operator, or a model with it in, gets; every other part of a case is still the default's."""
    if not model:
        for shape, scale, batch, image in product(plan.shape, plan.scale, plan.batch or (1,), plan.guide_image):
            yield Case("", "", batch, *shape, scale=scale, device=device, guide_image=image)
        return
    if plan.scale != (MODEL_SCALE,):
        raise PlanError(f"scale is {', '.join(map(str, plan.scale))} in model {model}, whose stages are x{MODEL_SCALE}")
    batches = plan.batch or ((1,) if device == "cpu" else MODEL_BATCHES)
    for (height, width), batch in product(plan.image, batches):
        yield Case("", "", batch, IMAGE_CHANNELS, height, width, scale=MODEL_SCALE, device=device, model=model)


def _as_list(value: object, key: str) -> Iterable[object]:
    if not isinstance(value, (list, tuple)):
        return [value]
    if not value:
        raise PlanError(f"{key} is an empty list; expected at least one value")
    return value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise PlanError(f"{key} is {value!r}; expected a string")
    return value


def _positive(value: object, key: str) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise PlanError(f"{key} is {value!r}; expected a positive integer")
    return number


def _sizes(form: str, example: str) -> Callable[[object, str], tuple[int, ...]]:
    """Reads sizes such as "256x120x120" or [256, 120, 120], as many as the form "CxHxW" has."""

    def read(value: object, key: str) -> tuple[int, ...]:
        text = "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).lower()
        parts = text.split("x")
        if len(parts) != len(form.split("x")) or not all(part.isdecimal() and int(part) for part in parts):
            raise PlanError(f"{key} is {value!r}; expected {form} in positive integers, such as {example}")
        return tuple(map(int, parts))

    return read


def _backend(value: object, key: str) -> str:
    name, known = _text(value, key), discovery.modules(BACKENDS)
    if name not in known:
        raise PlanError(f"no backend {name!r}; {nearest(name, known)}")
    return name


def _model(value: object, key: str) -> str:
    name = _text(value, key)
    return "" if name == NO_MODEL else name


def _guide_image(value: object, key: str) -> str:
    if value == OUTPUT:
        return ""
    sides = IMAGE_SIZE(value, key)
    if math.prod(sides) >= MOST_ELEMENTS:
        raise PlanError(f"{key} is {value!r}: no machine can hold so large an image")
    return "x".join(map(str, sides))


def _choice(choices: tuple[str, ...]) -> Callable[[object, str], str]:
    def read(value: object, key: str) -> str:
        if value not in choices:
            raise PlanError(f"{key} is {value!r}; expected {', '.join(choices)}")
        return str(value)

    return read


def _setting(key: str, value: object) -> object:
    if key in _NAMES:
        return tuple(dict.fromkeys(_NAMES[key](name, key) for name in _as_list(value, key)))
    if key in _CHOICES:
        return _choice(_CHOICES[key])(value, key)
    default = getattr(Settings(), key)
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool) != isinstance(value, bool):
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise PlanError(f"{key} is {value!r}; expected {expected}")
    accepted = (int, float) if isinstance(default, float) else int
    if not isinstance(value, accepted) or not 0 <= value < math.inf or (key in _POSITIVE and not value):
        kind = "a number" if isinstance(default, float) else "an integer"
        raise PlanError(f"{key} is {value!r}; expected {kind} {'above 0' if key in _POSITIVE else 'from 0'}")
    if value >= 2**63 or (key == "threads" and value > MOST_THREADS):
        raise PlanError(f"{key} is {value!r}, which is too large")
    return type(default)(value)


IMAGE_SIZE = _sizes("HxW", "512x512")
_LISTS: dict[str, Callable[[object, str], Any]] = {
    "upsampler": _text,
    "backend": _backend,
    "shape": _sizes("CxHxW", "256x120x120"),
    "scale": _positive,
    "batch": _positive,
    "dtype": _choice(DTYPES),
    "layout": _choice(LAYOUTS),
    "mode": _choice(MODES),
    "plugin": _text,
    "model": _model,
    "image": IMAGE_SIZE,
    "guide_image": _guide_image,
}
_NAMES: dict[str, Callable[[object, str], str]] = {"metrics": _text, "tasks": _choice(TASKS)}
_CHOICES = {"malloc": ("keep", "default"), "cache": ("cold", "warm")}
_POSITIVE = ("processes", "max_time", "timeout", "min_samples", "seeds", "steps", "size", "learning_rate")
_SETTINGS = tuple(setting.name for setting in fields(Settings))
