"""What an exported ONNX file says of itself: its opset, its operators, how its GridSample nodes sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import onnx.inliner

STANDARD = ("", "ai.onnx")
SAMPLING = "bilinear"


def why_not_portable(model: Any, opset: int) -> str | None:
    """Why another runtime may read this model otherwise than it is meant, or None.

    Args:
        model: an onnx.ModelProto.
        opset: it should be of.
    """
    versions = {one.domain: one.version for one in model.opset_import}
    found = next((versions[domain] for domain in STANDARD if domain in versions), None)
    if found != opset:
        return f"the file is of opset {found}, asked for was {opset}"
    flat = list(nodes(onnx.inliner.inline_local_functions(model).graph))
    foreign = sorted({f"{node.domain}::{node.op_type}" for node in flat if node.domain not in STANDARD})
    if foreign:
        return f"operators of no standard domain: {', '.join(foreign)}"
    modes = {sampling(node) for node in flat if node.op_type == "GridSample"}
    if modes - {SAMPLING}:
        return f"GridSample has mode {', '.join(sorted(modes))}, expected {SAMPLING}"
    return None


def nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph, those of its subgraphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                yield from nodes(inside)


def sampling(node: Any) -> str:
    """The mode of a GridSample node; the standard's own default where it names none."""
    said = (one.s.decode() for one in node.attribute if one.name == "mode")
    return next(said, SAMPLING)
