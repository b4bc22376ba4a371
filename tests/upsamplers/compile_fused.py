"""Compiles every fused kernel for a GPU, with none here; prints each one's name. Run without TRITON_INTERPRET."""

import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from upsamplers.fused import _affinity_kernels as affinity
from upsamplers.fused import _point_kernels as points
from upsamplers.fused import _window_kernels as windows

WINDOW = {"K": 5, "S": 2, "MODE": 0, "HAS_OWN": True, "BLOCK_P": 32}
POINT = {"S": 2, "HAS_SCOPES": True, "BLOCK_C": 16, "BLOCK_P": 128}
KERNELS = {
    windows.window_sum: {**WINDOW, "SUBS": 4, "STORE_LSE": True, "BLOCK_C": 32},
    windows.window_sum_features_backward: {**WINDOW, "BLOCK_C": 32},
    windows.window_sum_logits_backward: {**WINDOW, "TAPS": 32, "SUBS": 4, "BLOCK_P": 16},
    affinity.affinity_sum: {"K": 5, "S": 2, "SUBS": 4, "DIM": 32, "STORE_LSE": True, "BLOCK_C": 32, "BLOCK_P": 32},
    points.sample_points: {**POINT, "HAS_OFFSETS": True},
    points.sample_points_offsets_backward: POINT,
    points.sample_points_features_backward: {**POINT, "EXACT": True},
    points.bilinear_backward: {"S": 2, "BLOCK_C": 16, "BLOCK_P": 128},
}
# Pointers are named for what they point to, and nothing else has one of these names.
POINTERS = (
    "x", "logits", "own", "out", "lse", "grad", "grad_x", "grad_logits", "grad_own", "query", "key", "offsets",
    "initial", "grad_offsets", "steps",
)  # fmt: skip


def main(wide: bool, element: str) -> None:
    """Compiles all of them for compute capability 9.0."""
    for kernel, constants in KERNELS.items():
        constants = {**constants, "WIDE": wide}
        kinds = dict.fromkeys(POINTERS, f"*{element}")
        kinds |= {"factor": "fp32", "lse": "*fp32", "steps": "*fp32"}
        kinds |= {"grad_x": "*i64"} if constants.get("EXACT") else {}
        function = kernel.fn
        signature = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in function.arg_names}
        made = triton.compile(
            ASTSource(function, signature, constants), target=GPUTarget("cuda", 90, 32), options={"num_warps": 4}
        )
        assert "ptx" in made.asm
        print(function.__name__, flush=True)


if __name__ == "__main__":
    main(sys.argv[1] == "wide", sys.argv[2])
