"""The errors of the registry and the operators, each also the builtin that it resembles."""


class UpsamplerError(Exception):
    """Everything that this package raises on purpose."""


class UnknownUpsampler(UpsamplerError, LookupError):
    """No operator is registered under the given name."""


class DuplicateUpsampler(UpsamplerError, ValueError):
    """The name is already taken by another class."""


class NotAnUpsampler(UpsamplerError, TypeError):
    """What was registered is not a subclass of Upsampler."""


class Unsupported(UpsamplerError, ValueError):
    """An operator refuses a shape, a scale or an option, and says which it would accept."""


class PluginError(UpsamplerError, ImportError):
    """A plug-in could not be found or could not be loaded."""


class UnknownModule(UpsamplerError, LookupError):
    """A model has no module at the given path."""


class ReplacementError(UpsamplerError, ValueError):
    """Nothing in a model could be replaced, or something needed for it is missing."""


class CheckpointError(UpsamplerError, ValueError):
    """A checkpoint cannot be read without running code, or does not hold what an operator needs."""
