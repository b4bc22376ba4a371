"""FreqFusion and ReSFU on Triton's window and point kernels, compared with torch in float64."""

import pytest
import torch
from triton_pairs import check, marks

pytest.importorskip("triton")
pytestmark = marks
RESAMPLED = {"compressed_channels": 8, "hamming_window": False, "feature_resample": True}
CASES = [("freqfusion", RESAMPLED), ("resfu", {"scale": 3, "guide_channels": 8})]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_values_and_all_gradients_are_those_of_torch(name, options, layout):
    check(name, 16, 3, 4, batch=1, layout=layout, **options)


@pytest.mark.parametrize(("name", "options"), [("freqfusion", {"compressed_channels": 8}), ("resfu", {})])
def test_an_odd_map_of_one_row_is_computed(name, options):
    check(name, 16, 1, 5, batch=2, **options)
