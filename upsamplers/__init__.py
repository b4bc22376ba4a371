"""Feature upsamplers for dense prediction: every published operator behind one contract, with torch alone.

`upsamplers.create("dysample+", 256)` is an nn.Module that takes (B, 256, H, W) to (B, 256, 2H, 2W).
"""

from upsamplers.base import Upsampler
from upsamplers.checkpoints import Loaded, load_published
from upsamplers.errors import (
    CheckpointError,
    DuplicateUpsampler,
    NotAnUpsampler,
    PluginError,
    ReplacementError,
    UnknownModule,
    UnknownUpsampler,
    Unsupported,
    UpsamplerError,
)
from upsamplers.exportable import exportable
from upsamplers.functional.backend import use_backend
from upsamplers.registry import create, get, load_plugin, names, register, register_module
from upsamplers.spec import Spec
from upsamplers.surgery.replace import replace
from upsamplers.surgery.report import Left, Replaced, Replacement

__all__ = [
    "CheckpointError",
    "DuplicateUpsampler",
    "Left",
    "Loaded",
    "NotAnUpsampler",
    "PluginError",
    "Replaced",
    "Replacement",
    "ReplacementError",
    "Spec",
    "UnknownModule",
    "UnknownUpsampler",
    "Unsupported",
    "Upsampler",
    "UpsamplerError",
    "create",
    "exportable",
    "get",
    "load_plugin",
    "load_published",
    "names",
    "register",
    "register_module",
    "replace",
    "use_backend",
]
