"""What is measured (Case) and how (Settings): strings and numbers only, shared by both halves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

INFERENCE = "inference"
TRAIN = "train"
PROBE = "probe"
QUALITY = "quality"
MODES = (INFERENCE, TRAIN, PROBE, QUALITY)
DTYPES = ("float32", "float16", "bfloat16", "float64")
# The metric of a case that is its time, by mode.
TIMED = {INFERENCE: "latency", TRAIN: "train_latency"}
# What mode "quality" measures: without training, and by training small networks.
SIGNATURE, SHAPES, RECONSTRUCTION = "signature", "shapes", "reconstruction"
TASKS = (SIGNATURE, SHAPES, RECONSTRUCTION)
# Of an input or output, more than any machine can hold.
MOST_ELEMENTS = 2**48
LAYOUTS = ("contiguous", "channels_last")
# The backends with a role of their own: the reference of all others, and what a user gets from `upsamplers.create`.
TORCH, AUTO = "torch", "auto"
IMAGE_CHANNELS = 3


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One operator at one shape on one device: the row that a reading belongs to.

    Attributes:
        upsampler: the operator's registered name.
        mode: "inference" (forward), "train" (forward and backward), "probe" (tests what works), or "quality" (what the
            outputs are worth).
        batch, channels, height, width: the low-resolution input (B, C, H, W), in elements.
        scale: the factor s; the output is (B, C, sH, sW).
        dtype: a torch dtype's name, such as "float32".
        layout: "contiguous" (NCHW) or "channels_last" (NHWC in memory).
        device: "cpu", or "cuda:0" and so on.
        model: the model the operator is measured in; empty: the bare operator.
        backend: how the operator is executed: a file's name in `backends`, such as "torch" or "triton".
        guide_image: the size of the image that operators guided by one take, such as "448x448"; empty: the output's.
    """

    upsampler: str
    mode: str = INFERENCE
    batch: int = 1
    channels: int = 256
    height: int = 120
    width: int = 120
    scale: int = 2
    dtype: str = "float32"
    layout: str = "contiguous"
    device: str = "cpu"
    model: str = ""
    backend: str = TORCH
    guide_image: str = ""

    @property
    def key(self) -> str:
        """A stable name, the same in every run: what readings and stored runs are matched by."""
        return f"{self.upsampler}/{self.backend}/{self.condition}/{self.mode}"

    @property
    def condition(self) -> str:
        """All but operator, backend and mode, e.g. '1x256x120x120/x2/float32/contiguous/cpu'."""
        shape = f"{self.batch}x{self.channels}x{self.height}x{self.width}"
        image = f"image {self.guide_image}" if self.guide_image else ""
        parts = [shape, f"x{self.scale}", image, self.dtype, self.layout, self.device, self.model]
        return "/".join(part for part in parts if part)

    @property
    def group(self) -> str:
        """Cases of one group are built together and timed interleaved."""
        return f"{self.condition}/{self.mode}"

    @property
    def elements(self) -> int:
        """Of the output, in the bare operator."""
        return self.batch * self.channels * self.height * self.width * self.scale**2

    def of(self, upsampler: str) -> Case:
        """The same case for another operator."""
        return replace(self, upsampler=upsampler)

    def on(self, backend: str) -> Case:
        """The same case on another backend."""
        return replace(self, backend=backend)

    def label(self, backends: Collection[str]) -> str:
        """What its row is called among cases on these backends: the operator, with its backend if there are several."""
        return f"{self.upsampler} · {self.backend}" if len(backends) > 1 else self.upsampler


def default_backend(device: str) -> str:
    """What is measured where no backend is named: plain PyTorch on a CPU, on a GPU what `upsamplers.create` gives."""
    return TORCH if device == "cpu" else AUTO


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run measures; stored with it, so that two runs can be compared.

    Attributes:
        baseline: the operator that latency ratios are relative to.
        metrics: the metrics asked for, by name; empty: all.
        threads: CPU threads; 0: as many as the process may use. One gives the most repeatable ratios.
        seed: of the inputs, the weights and the order of the rounds.
        budget: seconds that the command may take, the report included; 0: no limit. What does not fit is skipped.
        max_time: seconds of timed calls that one operator may take; in a single process twice as long to reach eight
            rounds, in several those of their warm-ups included.
        target_ci: half width of the 95 % interval of the median, relative, at which sampling stops; of several
            processes, that of their mean, if they did not differ.
        min_samples: samples that an operator needs at least.
        processes: that share an operator's samples, each a fresh one: intervals contain the spread between them.
        warmup_seconds, warmup_calls: both are reached before the first sample, or a sixth of the time limit is used up.
        malloc: "keep" holds the heap between calls (CPU, glibc); "default" leaves it.
        cache: "cold" flushes the L2 cache before each call (CUDA); "warm" leaves it.
        cuda_graph: time the replay of a captured graph (CUDA).
        timeout: seconds that one step of one operator may take before it is stopped.
        rounds: of every operator; 0: until the estimate is precise enough.
        turn: calls of an operator per round; 0: as many as fit 50 ms, up to eight.
        tasks: of mode "quality", what is measured: see TASKS.
        seeds: how many networks are trained per operator and task: from `seed` on.
        steps: of the optimiser, in one training.
        size: the side in pixels of the scenes that are trained on, a multiple of 8.
        learning_rate: the highest of its cycle.
        data: the folder of the Fashion-MNIST files; empty: where the system's package has them.
        weights: a checkpoint of the operator whose signature is measured; empty: its initial weights.
        memory_limit: bytes the measuring process may hold; 0: nine tenths of what is free.
    """

    baseline: str = "bilinear"
    metrics: tuple[str, ...] = ()
    threads: int = 1
    seed: int = 0
    budget: float = 0.0
    max_time: float = 15.0
    target_ci: float = 0.01
    min_samples: int = 30
    processes: int = 1
    warmup_seconds: float = 0.1
    warmup_calls: int = 10
    malloc: str = "keep"
    cache: str = "cold"
    cuda_graph: bool = False
    timeout: float = 120.0
    memory_limit: int = 0
    rounds: int = 0
    turn: int = 0
    tasks: tuple[str, ...] = TASKS
    seeds: int = 3
    steps: int = 400
    size: int = 72
    learning_rate: float = 0.004
    data: str = ""
    weights: str = ""

    @property
    def used_up(self) -> str:
        """Why something is not measured after the budget."""
        return f"the budget of {self.budget:g} s is used up"
