"""Feature upsamplers for dense prediction: every published operator behind one contract, with torch alone.

`upsamplers.create("dysample+", 256)` is an nn.Module that takes (B, 256, H, W) to (B, 256, 2H, 2W).
"""

from upsamplers.base import Upsampler
from upsamplers.errors import (
    DuplicateUpsampler,
    NotAnUpsampler,
    PluginError,
    UnknownUpsampler,
    Unsupported,
    UpsamplerError,
)
from upsamplers.registry import create, get, load_plugin, names, register, register_module
from upsamplers.spec import Spec

__all__ = [
    "DuplicateUpsampler",
    "NotAnUpsampler",
    "PluginError",
    "Spec",
    "UnknownUpsampler",
    "Unsupported",
    "Upsampler",
    "UpsamplerError",
    "create",
    "get",
    "load_plugin",
    "names",
    "register",
    "register_module",
]
