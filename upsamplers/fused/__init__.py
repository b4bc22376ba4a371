"""Fused twins in Triton: an operator each, with the weights and the results of its reference in fewer kernels.

A twin is listed everywhere and runs where a GPU and triton are; its kernels are imported when the first one is built.
Under TRITON_INTERPRET=1 it runs on a CPU too, slowly: that is how it is tested where no GPU is.
"""
