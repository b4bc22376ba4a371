"""The instrument's own errors, each also the builtin that it resembles."""


class BenchError(Exception):
    """A mistake that its user can correct: one clear sentence, exit code 2, no traceback."""


class PlanError(BenchError, ValueError):
    """A plan asks for something that does not exist."""


class DeviceError(BenchError, RuntimeError):
    """The requested device does not exist, or has not what was asked of it."""


class ResultsError(BenchError, ValueError):
    """A stored run is missing, corrupt, or written by a newer version."""


class OutputError(BenchError, OSError):
    """A folder or file cannot be written."""


class NothingMeasured(BenchError, RuntimeError):
    """A run ended without a single reading of what was asked for."""


class MissingPackage(BenchError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""
