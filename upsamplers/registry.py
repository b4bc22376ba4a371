"""Names to operators: a decorator registers, `create` builds, and plug-ins come in from outside the package."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import math
import pkgutil
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from upsamplers.base import Upsampler
from upsamplers.errors import DuplicateUpsampler, NotAnUpsampler, PluginError, UnknownUpsampler, Unsupported
from upsamplers.spec import Spec

ENTRY_POINTS = "upsamplers"
FILE_PLUGIN = "upsampler_plugin_"
U = TypeVar("U", bound=type[Upsampler])


_specs: dict[str, Spec] = {}
_progress = {"builtin": False, "fused": False, "installed": False}


def register(
    name: str,
    *,
    scales: tuple[int, ...] = (),
    devices: tuple[str, ...] = ("cpu", "cuda"),
    reference: str = "",
    paper: str = "",
    year: int | None = None,
    **options: Any,
) -> Callable[[U], U]:
    """Registers a class under a name; stack it to register variants with other options.

    Args:
        name: what `create` and every report call it.
        scales, devices, reference, paper, year: see Spec.
        options: constructor options of this variant.

    Raises:
        DuplicateUpsampler: the name belongs to another class already.
    """

    def decorate(cls: U) -> U:
        add(Spec(name, cls, options, scales, devices, reference, paper, year))
        return cls

    return decorate


def register_module(name: str, build: Callable[[int, int], nn.Module], *, paper: str = "") -> None:
    """Registers any nn.Module whose forward takes x (B, C, H, W) to (B, C, sH, sW).

    Args:
        name: what `create` and every report call it.
        build: called with the channels and the scale.
        paper: where it was published.

    Raises:
        DuplicateUpsampler: the name belongs to another operator already.
    """

    class Adapted(Upsampler):
        """A module of the user's, behind the operator contract."""

        def __init__(self, channels: int, *, scale: int = 2) -> None:
            super().__init__(channels, scale=scale)
            self.module = build(channels, scale)

        def forward(self, x: Any) -> Any:
            return self.module(x)

    Adapted.__qualname__ = f"Adapted[{name}]"
    Adapted.__module__ = build.__module__
    add(Spec(name, Adapted, paper=paper))


def add(spec: Spec) -> None:
    """Adds a spec; the same class registered again (a notebook cell run twice) takes its own place.

    Raises:
        DuplicateUpsampler: the name belongs to another class already.
        NotAnUpsampler: the class does not keep the contract.
    """
    if not spec.name or not isinstance(spec.name, str):
        raise Unsupported(f"{spec.name!r} is no name for an upsampler; expected a text")
    if not (isinstance(spec.cls, type) and issubclass(spec.cls, Upsampler)):
        raise NotAnUpsampler(
            f"{spec.name!r}: {spec.cls!r} is no subclass of upsamplers.Upsampler; any nn.Module comes in by "
            f"upsamplers.register_module({spec.name!r}, lambda channels, scale: ...)"
        )
    _discover_builtin()
    known = _specs.get(spec.name)
    if known is not None and _origin(known) != _origin(spec):
        raise DuplicateUpsampler(
            f"an upsampler {spec.name!r} is already registered by {_origin(known)}; {_origin(spec)} needs another name"
        )
    _specs[spec.name] = spec


def names() -> tuple[str, ...]:
    """Every registered name, oldest first, those of a year by their files; without a year last, as registered."""
    _discover()
    # Stacked decorators apply from the bottom up: reversed within a class, the variants come in reading order.
    turned = {spec.cls: [one.name for one in _specs.values() if one.cls is spec.cls][::-1] for spec in _specs.values()}
    ordered = [name for variants in turned.values() for name in variants]
    return tuple(sorted(ordered, key=_place))


def get(name: str) -> Spec:
    """The spec of a name.

    Raises:
        UnknownUpsampler: there is none; the message suggests near misses.
    """
    _discover()
    if name not in _specs:
        raise UnknownUpsampler(f"no upsampler {name!r}; {suggestion(name, names())}")
    return _specs[name]


def create(name: str, channels: int, *, scale: int = 2, guide_channels: int | None = None, **options: Any) -> Upsampler:
    """Builds an operator.

    Args:
        name: a registered name, e.g. "dysample+".
        channels: C of x (B, C, H, W).
        scale: s; the output is (B, C, sH, sW).
        guide_channels: G of the guide (B, G, sH, sW); C by default; of no account where no guide is taken.
        options: the operator's own, see its class.

    Raises:
        UnknownUpsampler: the name is not registered.
        Unsupported: the operator refuses the channels, the scale or an option.
    """
    spec = get(name)
    for what, value in (("channels", channels), ("scale", scale), ("guide_channels", guide_channels)):
        if (value is not None or what != "guide_channels") and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise Unsupported(f"{name}: {what} must be a whole number from 1, not {value!r}")
    if reason := spec.why_not(scale=scale):
        raise Unsupported(reason)
    arguments = {**spec.options, **options}
    _refuse_unknown_options(spec, arguments)
    if spec.needs_guide:
        arguments["guide_channels"] = guide_channels or channels
    return spec.cls(channels, scale=scale, **arguments)


def load_plugin(where: str) -> tuple[str, ...]:
    """Imports a module by its dotted name, or a file by its path (ending in .py), so that it registers its operators.

    Returns:
        The names that it added.

    Raises:
        PluginError: it is not there, fails to import, or registers nothing.
        DuplicateUpsampler: it registers a name that is taken.
    """
    names()
    before = dict(_specs)
    loaded_before = _plugin_module(where) in sys.modules
    try:
        _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as problem:
        _take_back(before)
        if isinstance(problem, DuplicateUpsampler):
            raise
        raise PluginError(f"cannot load plug-in {where!r}: {type(problem).__name__}: {problem}") from problem
    added = tuple(name for name in _specs if name not in before)
    if not added and not loaded_before:
        raise PluginError(f"plug-in {where!r} registers no upsampler; it should use @upsamplers.register(name)")
    return added


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the near misses, or all there is."""
    choices = list(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are {', '.join(choices)}"


def _place(name: str) -> tuple[float, str, bool]:
    # A twin stands where its reference does, after it.
    spec = _specs.get(_specs[name].reference, _specs[name])
    # Not in the order of their registration, which depends on which is imported first.
    is_twin = spec.name != name
    return (math.inf, "", is_twin) if spec.year is None else (spec.year, spec.cls.__module__, is_twin)


def _origin(spec: Spec) -> str:
    return f"{spec.cls.__module__}.{spec.cls.__qualname__}"


def _refuse_unknown_options(spec: Spec, arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(spec.cls.__init__).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    accepted = [name for name in parameters if name not in ("self", "channels", "scale", "guide_channels")]
    for option in arguments:
        if option not in accepted:
            choices = ", ".join(accepted) or "none"
            raise Unsupported(f"{spec.name} has no option {option!r}; its options: {choices}")


def _plugin_module(where: str) -> str:
    """The module's name under which a plug-in is imported; files of one name in two folders are two modules."""
    if not where.endswith(".py"):
        return where
    path = Path(where).resolve()
    return f"{FILE_PLUGIN}{path.stem}_{zlib.crc32(bytes(path)):08x}"


def _take_back(before: Mapping[str, Spec]) -> None:
    """Forgets what a plug-in registered before it failed."""
    _specs.clear()
    _specs.update(before)


def _import_file(path: Path) -> None:
    name = _plugin_module(str(path))
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))


def _discover() -> None:
    _discover_builtin()
    _discover_fused()
    if not _progress["installed"]:
        _progress["installed"] = True
        for entry in entry_points(group=ENTRY_POINTS):
            _load_installed(entry)


def _load_installed(entry: EntryPoint) -> None:
    before = dict(_specs)
    try:
        entry.load()
    except Exception as problem:
        _take_back(before)
        reason = f"{type(problem).__name__}: {problem}"
        warnings.warn(f"plug-in {entry.name!r} ({entry.value}) skipped: {reason}", stacklevel=3)


def _discover_builtin() -> None:
    if not _progress["builtin"]:
        _progress["builtin"] = True
        _import_operators("operators")


def _discover_fused() -> None:
    """Apart from the others: a reference may be the very module that is being imported."""
    if not _progress["fused"]:
        _progress["fused"] = True
        _import_operators("fused")


def _import_operators(folder: str) -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)]):
        if not module.name.startswith("_"):
            importlib.import_module(f"upsamplers.{folder}.{module.name}")
