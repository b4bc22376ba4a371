"""The older ONNX exporter, which traces: operators that it takes for a fixed size."""

import io
import warnings

import pytest
import torch

import upsamplers

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["a2u", "dysample", "dysample-s+", "dlu"])
def test_the_older_exporter_takes_sizes_that_are_no_multiples_of_the_bins(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    up, file = upsamplers.create(name, 32, backend="torch").eval(), io.BytesIO()
    inputs = up.example_inputs(1, 9, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(up, inputs, file, dynamo=False, opset_version=18)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    (out,) = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(out), up(*inputs), rtol=0, atol=1e-5)
