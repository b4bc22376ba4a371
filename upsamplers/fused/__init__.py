"""Operators in fused Triton kernels, with the weights and the results of their references in fewer launches.

They are listed everywhere and run where a GPU and triton are; their kernels are imported when the first one is created.
Under TRITON_INTERPRET=1 they run on a CPU too, slowly: that is how they are tested where there is no GPU.
"""
