"""`upsamplers.replace`: finds every upsampling, decides, and only then changes the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_option
from upsamplers.errors import ReplacementError
from upsamplers.registry import get, names, require_options
from upsamplers.surgery.change import change
from upsamplers.surgery.decide import Plan, decide
from upsamplers.surgery.find import Trace, modules_named, paths_within, watch
from upsamplers.surgery.report import Replacement


def replace(
    model: nn.Module,
    operator: str,
    /,
    *,
    example: Any = None,
    modules: str | Iterable[str] | None = None,
    calls: bool | str | Iterable[str] = False,
    channels: int | None = None,
    step: int | None = None,
    **options: Any,
) -> Replacement:
    """Replaces a model's own upsampling by an operator, in place, and reports what it replaced and what it left.

    An example is run (in eval mode, without gradients; the model and the random states stay as they were) to see every
    upsampling's channels and scale, and again after replacing: if the model fails then, its output has other shapes, or
    it does not call an operator, it is put back. What a model keeps on a module as plain attributes goes over to the
    operator. Build the optimizer, compile and distribute after replacing: the weights are new.

    Args:
        model: is changed.
        operator: a registered name that needs no guide, e.g. "dysample".
        example: what the model's forward takes: one argument as it is, several as a tuple, keyword arguments as a
            dict. The sides of an image should divide by all of the model's strides.
        modules: the paths of the modules to replace, e.g. `["neck.up", "head.*.deconv"]` (`*`: any part of one name,
            `**`: any number); any that takes one (B, C, H, W) to (B, C, sH, sW) will do. By default every nn.Upsample
            that is not part of an operator.
        calls: True also replaces the calls of F.interpolate in all forwards; one path or several: those in these
            modules and within them. Name the paths where a model also interpolates what is no feature (position
            embeddings, masks, logits). The operators are the submodule `upsamplers`, by the call's ordinal; a forward
            with more calls than the example's raises Unsupported. Not for calls that torch.utils.checkpoint recomputes.
        channels: C of the nn.Upsample modules that no example shows.
        step: reaches a larger scale by a chain of operators of this one: with 2, scale 8 by three, as papers do.
        options: the operator's own, see its class.

    Returns:
        What was replaced and what was left, and why; print it.

    Raises:
        UnknownUpsampler: the operator is not registered.
        UnknownModule: a path is no module's.
        Unsupported: step is no integer of at least 2, or the operator has no such option.
        ReplacementError: the operator needs a guide, an example is needed, nothing at all could be replaced, or the
            model no longer runs.
    """
    _refuse_unusable(model, operator, calls, example, step, options)
    chosen: list[nn.Module]
    if modules is None:
        own = {part for module in model.modules() if isinstance(module, Upsampler) for part in module.modules()}
        chosen = [module for module in model.modules() if isinstance(module, nn.Upsample) and module not in own]
    else:
        chosen = modules_named(model, _listed(modules))
    trace = Trace() if example is None else watch(model, example, chosen)
    plan = Plan(model, operator, options, step, trace, {module: name for name, module in model.named_modules()})
    # "" is the path of the model itself.
    calling = paths_within(model, None if calls is True else _listed(calls if calls or calls == "" else ()))
    decide(plan, chosen, channels, calling)
    report = Replacement(operator, tuple(plan.replaced), tuple(plan.left))
    if not plan.replaced:
        raise ReplacementError(f"nothing was replaced{_why_nothing(report, modules, example)}")
    undo = change(plan)
    if example is not None:
        with undo:
            _require_as_before(plan, example)
            undo.pop_all()
    return report


def _require_as_before(plan: Plan, example: Any) -> None:
    """Refuses a model that no longer runs as before on the example, or goes on calling what was replaced."""
    operator, before = plan.operator, plan.trace
    try:
        after = watch(plan.model, example, ())
    except Exception as problem:
        reason = f"it fails on the example: {type(problem).__name__}: {problem}"
        raise ReplacementError(f"the model is put back: with {operator} {reason}") from problem
    # The first size of an output may be the number of what a detector finds.
    if [shape[1:] for shape in after.out_shapes] != [shape[1:] for shape in before.out_shapes]:
        raise ReplacementError(
            f"the model is put back: with {operator} its outputs on the example have shapes {after.out_shapes}, before "
            f"{before.out_shapes}"
        )
    for module, replacement in plan.modules.items():
        if module in before.called and replacement not in after.called:
            raise ReplacementError(
                f"the model is put back: it does not call the {operator} in the place of {plan.names[module]!r}; it "
                "keeps what it calls elsewhere too, such as in a list or a dict"
            )


def _listed(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _refuse_unusable(
    model: nn.Module, operator: str, calls: Any, example: Any, step: Any, options: Iterable[str]
) -> None:
    if step is not None:
        require_option("step", step, least=2)
    require_options(get(operator), options)
    if get(operator).needs_guide:
        others = ", ".join(name for name in names() if not get(name).needs_guide)
        raise ReplacementError(
            f"{operator} needs a guide, and what is replaced takes x alone; operators without a guide: {others}"
        )
    if isinstance(model, nn.Upsample):
        raise ReplacementError(
            f"the model itself is an nn.Upsample; use upsamplers.create({operator!r}, channels) instead"
        )
    if "_orig_mod" in model._modules:
        raise ReplacementError("the model is compiled; call replace before torch.compile")
    if (calls or calls == "") and example is None:
        raise ReplacementError("calls= needs example=, what the model's forward takes: calls are found by running it")


def _why_nothing(report: Replacement, modules: Any, example: Any) -> str:
    if report.left:
        return f"\n{report}"
    if modules is not None:
        return ": modules= is empty"
    hint = "" if example is not None else "; with example= and calls=True its calls of F.interpolate are replaced"
    return f": the model has no nn.Upsample; modules= names other modules{hint}"
