"""Names to operators: a decorator registers, `create` builds, and plug-ins come in from outside the package."""

from __future__ import annotations

import copyreg
import difflib
import importlib
import importlib.util
import inspect
import math
import os
import pkgutil
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from upsamplers.base import Upsampler
from upsamplers.chain import Chain, GuidedChain
from upsamplers.checks import require_option
from upsamplers.errors import DuplicateUpsampler, NotAnUpsampler, PluginError, UnknownUpsampler, Unsupported
from upsamplers.functional.backend import require_backend
from upsamplers.spec import Spec

ENTRY_POINTS = "upsamplers"
LONGEST_NAME = 200
RESERVED = "*?[],"
FILE_PLUGIN = "upsampler_plugin_"
# What torch says of a tensor that no memory holds.
TOO_LARGE = ("can't allocate memory", "Storage size calculation overflowed", "Overflow when unpacking long")
U = TypeVar("U", bound=type[Upsampler])

_specs: dict[str, Spec] = {}
# What has been imported already: "operators", "installed".
_discovered: set[str] = set()


def register(
    name: str,
    *,
    scales: tuple[int, ...] = (),
    devices: tuple[str, ...] = ("cpu", "cuda"),
    paper: str = "",
    year: int | None = None,
    **options: Any,
) -> Callable[[U], U]:
    """Registers a class under a name; stack it to register variants with other options.

    Args:
        name: what `create` and every report call it.
        scales, devices, paper, year: see Spec.
        options: constructor options of this variant.

    Raises:
        DuplicateUpsampler: the name belongs to another class already.
    """

    _refuse_signs(name)

    def decorate(cls: U) -> U:
        add(Spec(name, cls, options, scales, devices, paper, year))
        return cls

    return decorate


class _ByName(type):
    """Of classes that no module has under their name: they are pickled by the name that they are registered under."""


def _class_of(name: str) -> Any:
    return get(name).cls


copyreg.pickle(_ByName, lambda cls: (_class_of, (vars(cls)["registered"],)))


def register_module(name: str, build: Callable[[int, int], nn.Module], *, paper: str = "") -> None:
    """Registers any nn.Module whose forward takes x (B, C, H, W) to (B, C, sH, sW).

    Args:
        name: what `create` and every report call it.
        build: called with the channels and the scale.
        paper: where it was published.

    Raises:
        DuplicateUpsampler: the name belongs to another operator already.
    """

    class Adapted(Upsampler, metaclass=_ByName):
        """A module of the user's, behind the operator contract."""

        registered = name

        def __init__(self, channels: int, *, scale: int = 2) -> None:
            super().__init__(channels, scale=scale)
            self.module = build(channels, scale)
            _require_one_input(name, self.module)

        def forward(self, x: Any) -> Any:
            return self.module(x)

    _refuse_signs(name)
    Adapted.__name__ = Adapted.__qualname__ = f"Adapted[{name}]"
    Adapted.__module__ = build.__module__
    add(Spec(name, Adapted, paper=paper))


def _refuse_signs(name: str) -> None:
    """Refuses a name that commands would take for a wildcard, for several names or for one with options."""
    if any(sign in str(name) for sign in RESERVED):
        raise Unsupported(f"the name of an upsampler is {name!r}; expected one without {' '.join(RESERVED)}")


def _require_one_input(name: str, module: nn.Module) -> None:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # it has none, as some built-in and scripted ones
        return
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    required = [one.name for one in parameters if one.default is one.empty and one.kind in kinds]
    if len(required) > 1:
        raise Unsupported(
            f"{name}: forward of {type(module).__name__} takes {', '.join(required)}; register_module takes modules of "
            "x alone: for a guide write a subclass of upsamplers.Upsampler with needs_guide = True, and register it"
        )


def add(spec: Spec) -> None:
    """Adds a spec; the same class registered again (a notebook cell run twice) replaces itself.

    Raises:
        DuplicateUpsampler: the name belongs to another class already.
        NotAnUpsampler: the class does not keep the contract.
        Unsupported: the name is not a string, or empty, or another fact is of a wrong type.
    """
    is_name = isinstance(spec.name, str) and 0 < len(spec.name) <= LONGEST_NAME and spec.name.isprintable()
    if not is_name or "/" in spec.name:
        raise Unsupported(
            f"the name of an upsampler is {spec.name!r:.{LONGEST_NAME}}; expected a string of 1 to {LONGEST_NAME} "
            f"printable letters without /"
        )
    _check_facts(spec)
    if not (isinstance(spec.cls, type) and issubclass(spec.cls, Upsampler)):
        raise NotAnUpsampler(
            f"{spec.name!r}: {spec.cls!r} is not a subclass of upsamplers.Upsampler; register any nn.Module by "
            f"upsamplers.register_module({spec.name!r}, lambda channels, scale: ...)"
        )
    _require_signatures(spec)
    if not spec.cls.__module__.startswith("upsamplers.operators."):
        _discover("operators")
    known = _specs.get(spec.name)
    if known is not None and _origin(known) != _origin(spec):
        raise DuplicateUpsampler(
            f"an upsampler {spec.name!r} is already registered by {_origin(known)}; {_origin(spec)} needs another name"
        )
    _specs[spec.name] = spec


def _require_signatures(spec: Spec) -> None:
    """Refuses a class whose forward or constructor cannot be called as the contract says."""
    cls, guided = spec.cls, spec.needs_guide
    forward, constructor = inspect.getattr_static(cls, "forward"), cls.__init__
    inputs = ("x", "guide") if guided else ("x",)
    keywords = ("scale", "guide_channels") if guided and not cls.guide_is_image else ("scale",)
    call = f"forward({', '.join(inputs)})"
    try:
        if inspect.isfunction(forward):
            inspect.signature(forward, follow_wrapped=False).bind("self", *inputs)
        call = f"{cls.__name__}(channels, {', '.join(f'{keyword}=...' for keyword in keywords)})"
        if inspect.isfunction(constructor):
            signature = inspect.signature(constructor, follow_wrapped=False)
            signature.bind_partial("self", "channels", **dict.fromkeys(keywords))
    except TypeError as problem:
        hint = "" if guided or not call.startswith("forward") else "; one that takes a guide sets needs_guide = True"
        raise NotAnUpsampler(f"{spec.name!r}: {cls.__name__} cannot be called as {call}: {problem}{hint}") from None


def _check_facts(spec: Spec) -> None:
    expected = {
        "year": (spec.year is None or type(spec.year) is int, "an integer"),
        "scales": (_all_of(int, spec.scales), "a tuple of integers"),
        "devices": (_all_of(str, spec.devices), "a tuple of strings"),
        "paper": (isinstance(spec.paper, str) and spec.paper.isprintable(), "a string of printable letters"),
    }
    for name, (is_right, kind) in expected.items():
        if not is_right:
            raise Unsupported(f"{spec.name}: {name} is {getattr(spec, name)!r}; expected {kind}")


def _all_of(kind: type, values: object) -> bool:
    return isinstance(values, (tuple, list)) and all(type(value) is kind for value in values)


def _origin(spec: Spec) -> str:
    # Not the qualified name: a class that was pickled by value has lost the functions around it.
    return f"{spec.cls.__module__}.{spec.cls.__name__}"


def names() -> tuple[str, ...]:
    """Every registered name, by year, then by file; names without a year last, in the order of registration."""
    _discover_all()
    # Stacked decorators apply from the bottom up: reversed within a class, the variants come in reading order.
    variants: dict[type[Upsampler], list[str]] = {}
    for spec in _specs.values():
        variants.setdefault(spec.cls, []).insert(0, spec.name)
    return tuple(sorted((name for series in variants.values() for name in series), key=_age))


def _age(name: str) -> tuple[float, str]:
    spec = _specs[name]
    # By file, not by registration, which depends on which operator is imported first.
    return (math.inf, "") if spec.year is None else (spec.year, spec.cls.__module__)


def get(name: str) -> Spec:
    """The spec of a name.

    Raises:
        UnknownUpsampler: it is not registered; the message suggests near misses.
    """
    if not isinstance(name, str):
        raise UnknownUpsampler(f"no upsampler {name!r}; expected a name, such as 'dysample'")
    _discover_all()
    if name not in _specs:
        raise UnknownUpsampler(f"no upsampler {name!r}; {suggestion(name, names())}")
    return _specs[name]


def create(
    name: str,
    channels: int,
    *,
    scale: int = 2,
    guide_channels: int | None = None,
    step: int | None = None,
    backend: str = "auto",
    **options: Any,
) -> Upsampler:
    """Builds an operator.

    Args:
        name: a registered name, e.g. "dysample+".
        channels: C of x (B, C, H, W).
        scale: s; the output is (B, C, sH, sW).
        guide_channels: G of the guide; by default C, of an image 3; ignored where no guide is taken.
        step: reaches the scale by a chain of operators of this one: with 2, scale 8 by three, as papers do. A guided
            chain takes a guide (B, G, sH, sW), which is averaged to the size of each.
        backend: "torch", "triton", or "auto": Triton where it can, else PyTorch. Also `module.backend`, later.
        options: the operator's own, see its class.

    Raises:
        UnknownUpsampler: the name is not registered.
        Unsupported: the operator refuses the channels, the scale, the backend or an option, or has too many weights.
    """
    spec = get(name)
    require_option(f"{name}: channels", channels)
    require_option(f"{name}: scale", scale)
    if guide_channels is not None:
        require_option(f"{name}: guide_channels", guide_channels)
    require_backend(backend)
    arguments = {**spec.options, **options}
    own_step = arguments.pop("step", None)
    step = own_step if step is None else step
    if reason := spec.why_not(scale=scale, step=step, backend=backend):
        raise Unsupported(reason)
    own_channels = arguments.pop("guide_channels", None)
    guide_channels = guide_channels or own_channels
    require_options(spec, arguments)
    if spec.needs_guide and (guide_channels or not spec.cls.guide_is_image):
        arguments["guide_channels"] = guide_channels or channels
    if step is None or step == scale:
        return _built(spec, channels, scale, arguments, backend)
    length = round(math.log(scale, step))
    links = [_built(spec, channels, step, arguments, backend) for _ in range(length)]
    return GuidedChain(links) if spec.needs_guide else Chain(links)


def require_options(spec: Spec, options: Iterable[str]) -> None:
    """Refuses an option that the constructor of an operator does not take.

    Raises:
        Unsupported: naming the option, and those that there are.
    """
    parameters = inspect.signature(spec.cls.__init__).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    accepted = [option for option in parameters if option not in ("self", "channels", "scale", "guide_channels")]
    for option in options:
        if option not in accepted:
            near = difflib.get_close_matches(option, accepted, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise Unsupported(
                f"{spec.name} has no option {option!r}; its options: {', '.join(accepted) or 'none'}{hint}"
            )


def _built(spec: Spec, channels: int, scale: int, arguments: Mapping[str, Any], backend: str) -> Upsampler:
    try:
        module = spec.cls(channels, scale=scale, **arguments)
    except (RuntimeError, TypeError) as problem:
        if not any(sign in str(problem) for sign in TOO_LARGE):
            raise
        size = f"{channels} channels at scale {scale}"
        raise Unsupported(f"{spec.name}: {size} take more memory than there is") from problem
    if backend != "auto":
        module.backend = backend
    return module


def load_plugin(path: str | Path) -> tuple[str, ...]:
    """Imports a module by its dotted name, or a file by its path (ending in .py), so that it registers its operators.

    A module may also be in the current folder, if nothing that is installed has its name.

    Returns:
        The names that it added.

    Raises:
        PluginError: it does not exist, fails to import, or registers nothing.
        DuplicateUpsampler: it registers a name that is taken.
    """
    names()
    before, path = _state(), str(path)
    is_file = path.endswith(".py")
    module = file_module(Path(path)) if is_file else path
    loaded_before = module in sys.modules
    try:
        import_file(Path(path), module) if is_file else _import_module(module)
    except (Exception, SystemExit) as problem:
        _restore(before)
        if isinstance(problem, DuplicateUpsampler):
            raise
        raise PluginError(f"cannot load plug-in {path!r}: {type(problem).__name__}: {problem}") from problem
    added = tuple(name for name in _specs if name not in before[0])
    if not added and not loaded_before:
        raise PluginError(f"plug-in {path!r} registers no upsampler; it should use @upsamplers.register(name)")
    return added


def file_module(path: Path) -> str:
    """The module's name under which a file is imported; files of one name in two folders are two modules."""
    return f"{FILE_PLUGIN}{path.stem}_{zlib.crc32(bytes(path.resolve())):08x}"


def import_file(path: Path, name: str) -> None:
    """Imports a file as the module of that name; those beside it can be imported by it."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.modules[name] = module
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)


def _import_module(name: str) -> None:
    folder = os.getcwd()
    is_known = folder in sys.path
    if not is_known:
        sys.path.append(folder)
    try:
        importlib.import_module(name)
    finally:
        if not is_known:
            sys.path.remove(folder)


def _state() -> tuple[dict[str, Spec], set[str]]:
    """What is registered, and which modules are loaded."""
    return dict(_specs), {*sys.modules}


def _restore(before: tuple[dict[str, Spec], set[str]]) -> None:
    """Removes what a failed plug-in registered, and those of its modules that did, so that they can be loaded again."""
    specs, modules = before
    for module in {spec.cls.__module__ for name, spec in _specs.items() if specs.get(name) is not spec} - modules:
        sys.modules.pop(module, None)
    _specs.clear()
    _specs.update(specs)


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the near misses, or all names."""
    choices = list(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are {', '.join(choices)}"


def _discover_all() -> None:
    _discover("operators")
    if "installed" not in _discovered:
        for entry in entry_points(group=ENTRY_POINTS):
            before = _state()
            try:
                entry.load()
            except (Exception, SystemExit) as problem:
                _restore(before)
                reason = f"{type(problem).__name__}: {problem}"
                warnings.warn(f"plug-in {entry.name!r} ({entry.value}) skipped: {reason}", stacklevel=3)
        _discovered.add("installed")


def _discover(folder: str) -> None:
    if folder not in _discovered:
        for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)]):
            if not module.name.startswith("_"):
                importlib.import_module(f"upsamplers.{folder}.{module.name}")
        _discovered.add(folder)  # last, so that a second thread does not look before all are there
