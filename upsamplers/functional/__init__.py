"""What operators compute, as functions: like torch.nn.functional, for operators of your own.

Each runs a form that keeps memory low in eager mode, and one of plain operations on images while a program is compiled,
exported or traced.
"""

from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional.attended_points import attended_points
from upsamplers.functional.cross_attention import cross_attention
from upsamplers.functional.filter_per_image import filter_per_image
from upsamplers.functional.filter_responses import filter_responses
from upsamplers.functional.interpolate_bilinear import interpolate_bilinear
from upsamplers.functional.local_affinity import local_affinity
from upsamplers.functional.neighbourhood_attention import neighbourhood_attention
from upsamplers.functional.reassemble import reassemble
from upsamplers.functional.sample_points import normalised_points, sample_points
from upsamplers.functional.selected_points import selected_points

__all__ = [
    "Neighbourhood",
    "attended_points",
    "cross_attention",
    "filter_per_image",
    "filter_responses",
    "interpolate_bilinear",
    "local_affinity",
    "neighbourhood_attention",
    "normalised_points",
    "reassemble",
    "sample_points",
    "selected_points",
]
