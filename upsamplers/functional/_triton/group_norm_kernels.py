"""Kernels of a group norm whose groups are read by many programs each.

One kernel writes the mean of each tile of pixels of a channel and the sum of the squared distances from it; the next
joins those of a group (Chan et al., 1979). No difference of large sums is taken, so a mean far from zero costs no
accuracy.
Pixels are numbered over the image, contiguous or channels_last.
"""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, fits_layout

ROW_BLOCKS = blocks(("BLOCK_C",), (4, 8), (1, 4), (1, 8), (2, 4), (2, 8), (1, 2))
CHANNEL_BLOCKS = blocks(("BLOCK_C",), (32, 4), (32, 8), (64, 4), (64, 8), (16, 4))
SCALE_BLOCKS = blocks(("BLOCK_T",), (64, 1), (128, 2), (256, 2), (512, 4), (1024, 4))
APPLY_BLOCKS = blocks(
    ("BLOCK_C", "BLOCK_P"), (4, 256, 4), (1, 1024, 4), (1, 2048, 4), (1, 512, 4), (32, 64, 4), (64, 32, 4), (128, 16, 4)
)
PRODUCT_BLOCKS = blocks(
    ("BLOCK_C", "BLOCK_P"),
    (8, 64, 4), (16, 64, 4), (32, 64, 8), (16, 128, 8), (8, 128, 4), (32, 32, 4), (64, 32, 8), (64, 8, 4), (128, 8, 8),
)  # fmt: skip
KEYS = ("channels", *AUTOTUNE_KEYS)


@tuned([*ROW_BLOCKS, *CHANNEL_BLOCKS], KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def tile_moments_kernel(
    x, means, squares, channels, pixels, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp,
    TILE: tl.constexpr, IN_ROWS: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The mean of a tile of pixels, for each channel, and the sum of the squared distances from it."""
    batch = tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    is_channel, is_pixel = channel < channels, pixel < pixels
    mask = is_channel[:, None] & is_pixel[None, :]
    offs_x = channel[:, None] * stride_xc + (pixel * stride_xp)[None, :]
    value = tl.load(x + batch * stride_xb + offs_x, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(value, axis=1) / tl.minimum(pixels - tl.program_id(0) * TILE, TILE)
    distance = tl.where(mask, value - mean[:, None], 0.0)
    offs = (batch * tl.num_programs(0) + tl.program_id(0)) * channels + channel
    tl.store(means + offs, mean, mask=is_channel)
    tl.store(squares + offs, tl.sum(distance * distance, axis=1), mask=is_channel)


@triton.jit
def group_tiles(start, tiles, pixels, group_channels, channels, TILE: tl.constexpr, BLOCK_T: tl.constexpr):
    """Some of a group's tiles: where their moments are, whether there are so many, and how many pixels each has."""
    index = start + tl.arange(0, BLOCK_T)
    tile = index // group_channels
    offs = tile * channels + tl.program_id(0) * group_channels + index % group_channels
    is_tile = index < tiles * group_channels
    return offs, is_tile, tl.where(is_tile, tl.minimum(pixels - tile * TILE, TILE), 0).to(tl.float32)


@tuned(SCALE_BLOCKS, ("tune_tiles", "group_channels"))
@triton.jit(do_not_specialize=("tune_tiles",))
def scale_and_shift_kernel(
    means, squares, weight, bias, scale, shift, group_means, reciprocals, eps, tiles, pixels, group_channels, channels,
    tune_tiles, TILE: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """One group of one image: scale = weight / sqrt(variance + eps) and shift = bias - mean · scale."""
    batch = tl.program_id(2).to(tl.int64)
    means += batch * tiles * channels
    squares += batch * tiles * channels
    count = 1.0 * pixels * group_channels
    total = tl.zeros([BLOCK_T], tl.float32)
    for start in range(0, tiles * group_channels, BLOCK_T):
        offs, is_tile, size = group_tiles(start, tiles, pixels, group_channels, channels, TILE, BLOCK_T)
        total += size * tl.load(means + offs, mask=is_tile, other=0.0)
    mean = tl.sum(total) / count
    total = tl.zeros([BLOCK_T], tl.float32)
    for start in range(0, tiles * group_channels, BLOCK_T):
        offs, is_tile, size = group_tiles(start, tiles, pixels, group_channels, channels, TILE, BLOCK_T)
        distance = tl.load(means + offs, mask=is_tile, other=0.0) - mean
        total += tl.load(squares + offs, mask=is_tile, other=0.0) + size * distance * distance
    deviation = tl.sqrt(tl.sum(total) / count + eps)
    group = batch * tl.num_programs(0) + tl.program_id(0)
    tl.store(group_means + group, mean)
    tl.store(reciprocals + group, 1.0 / deviation)
    for start in range(0, group_channels, BLOCK_T):
        index = start + tl.arange(0, BLOCK_T)
        channel, mask = tl.program_id(0) * group_channels + index, index < group_channels
        factor = tl.load(weight + channel, mask=mask, other=0.0).to(tl.float32) / deviation
        offset = tl.load(bias + channel, mask=mask, other=0.0).to(tl.float32) - mean * factor
        tl.store(scale + batch * channels + channel, factor, mask=mask)
        tl.store(shift + batch * channels + channel, offset, mask=mask)


@tuned(APPLY_BLOCKS, KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def scale_channels_kernel(
    x, scale, shift, out, channels, pixels, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp,
    IN_ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out = x · scale + shift."""
    batch = tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    is_channel = channel < channels
    mask = is_channel[:, None] & (pixel < pixels)[None, :]
    offs = batch * stride_xb + (channel[:, None] * stride_xc + (pixel * stride_xp)[None, :])
    factor = tl.load(scale + batch * channels + channel, mask=is_channel, other=0.0)
    offset = tl.load(shift + batch * channels + channel, mask=is_channel, other=0.0)
    value = tl.load(x + offs, mask=mask, other=0.0).to(tl.float32) * factor[:, None] + offset[:, None]
    tl.store(out + offs, value.to(out.dtype.element_ty), mask=mask)


@tuned(PRODUCT_BLOCKS, KEYS)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def normalised_product_kernel(
    u, v, scale_u, shift_u, scale_v, shift_v, out, slope, channels, pixels, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out[p] = Σ_c φ(u · scale_u + shift_u) · φ(v · scale_v + shift_v), φ the leaky ReLU."""
    batch = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    is_pixel = pixel < pixels
    total = tl.zeros([BLOCK_C, BLOCK_P], tl.float32)
    for start in range(0, channels, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        is_channel = channel < channels
        mask = is_channel[:, None] & is_pixel[None, :]
        offs = batch * stride_xb + (channel[:, None] * stride_xc + (pixel * stride_xp)[None, :])
        offs_c = batch * channels + channel
        left = tl.load(u + offs, mask=mask, other=0.0).to(tl.float32)
        right = tl.load(v + offs, mask=mask, other=0.0).to(tl.float32)
        left = left * tl.load(scale_u + offs_c, mask=is_channel, other=0.0)[:, None]
        right = right * tl.load(scale_v + offs_c, mask=is_channel, other=0.0)[:, None]
        left += tl.load(shift_u + offs_c, mask=is_channel, other=0.0)[:, None]
        right += tl.load(shift_v + offs_c, mask=is_channel, other=0.0)[:, None]
        left = tl.where(left > 0, left, left * slope)
        right = tl.where(right > 0, right, right * slope)
        total += left * right  # channels beyond the last have a scale and shift of zero
    value = tl.sum(total, axis=0)
    tl.store(out + batch * pixels + pixel, value.to(out.dtype.element_ty), mask=is_pixel)
