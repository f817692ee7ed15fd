"""Conditional group norm and SiLU in one pass each way over channels-last tensors, for GPUs.

What a U-Net of this size does on a GPU is mostly to read and write activations for its norms, so this halves a step's time.
"""

import torch
import triton
import triton.language as tl

TILE = 4096


@triton.jit
def sigmoid(z):
    return 1 / (1 + tl.exp(-z))


@triton.jit
def over_groups(sums, channel, group_size: tl.constexpr, groups: tl.constexpr):
    """Each channel's sum over all channels of its group."""
    totals = tl.zeros_like(sums)
    for group in range(groups):
        inside = channel // group_size == group
        totals = tl.where(inside, tl.sum(tl.where(inside, sums, 0.0), axis=0), totals)
    return totals


@triton.jit
def forward_kernel(x, scale, shift, y, mean_out, rstd_out, points: tl.constexpr, channels: tl.constexpr,
                   groups: tl.constexpr, activate: tl.constexpr, tile_p: tl.constexpr, tile_c: tl.constexpr):
    """One frame a program: x and y (frames, points, channels), scale, shift, mean and rstd (frames, channels)."""
    frame = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, tile_c)
    inside = channel < channels
    first = tl.zeros([tile_c], tl.float32)
    second = tl.zeros([tile_c], tl.float32)
    base = frame * points * channels
    for start in range(0, points, tile_p):
        place = (start + tl.arange(0, tile_p))[:, None] * channels + channel[None, :]
        values = tl.load(x + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        first += tl.sum(values, axis=0)
        second += tl.sum(values * values, axis=0)
    count = points * (channels // groups)
    mean = over_groups(first, channel, channels // groups, groups) / count
    variance = over_groups(second, channel, channels // groups, groups) / count - mean * mean
    rstd = 1 / tl.sqrt(tl.maximum(variance, 0.0) + 1e-5)
    row = frame * channels + channel
    tl.store(mean_out + row, mean, mask=inside)
    tl.store(rstd_out + row, rstd, mask=inside)
    factor = rstd * (1 + tl.load(scale + row, mask=inside, other=0.0).to(tl.float32))
    offset = tl.load(shift + row, mask=inside, other=0.0).to(tl.float32) - mean * factor
    for start in range(0, points, tile_p):
        place = (start + tl.arange(0, tile_p))[:, None] * channels + channel[None, :]
        values = tl.load(x + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        values = values * factor[None, :] + offset[None, :]
        if activate:
            values = values * sigmoid(values)
        tl.store(y + base + place, values.to(y.dtype.element_ty), mask=inside[None, :])


@triton.jit
def before_activation(slope, z, activate: tl.constexpr):
    """The slope of z from that of SiLU(z), if there is one."""
    if activate:
        gate = sigmoid(z)
        slope = slope * gate * (1 + z * (1 - gate))
    return slope


@triton.jit
def backward_kernel(x, dy, scale, shift, mean_in, rstd_in, dx, dscale, dshift, points: tl.constexpr, channels: tl.constexpr,
                    groups: tl.constexpr, activate: tl.constexpr, tile_p: tl.constexpr, tile_c: tl.constexpr):
    frame = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, tile_c)
    inside = channel < channels
    row = frame * channels + channel
    base = frame * points * channels
    mean = tl.load(mean_in + row, mask=inside, other=0.0)[None, :]
    rstd = tl.load(rstd_in + row, mask=inside, other=0.0)
    factor = 1 + tl.load(scale + row, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(shift + row, mask=inside, other=0.0).to(tl.float32)[None, :]
    to_scale = tl.zeros([tile_c], tl.float32)
    to_shift = tl.zeros([tile_c], tl.float32)
    for start in range(0, points, tile_p):
        place = (start + tl.arange(0, tile_p))[:, None] * channels + channel[None, :]
        values = tl.load(x + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        normed = (values - mean) * rstd[None, :]
        slope = tl.load(dy + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        slope = before_activation(slope, normed * factor[None, :] + offset, activate)
        to_scale += tl.sum(slope * normed, axis=0)
        to_shift += tl.sum(slope, axis=0)
    tl.store(dscale + row, to_scale, mask=inside)
    tl.store(dshift + row, to_shift, mask=inside)
    count = points * (channels // groups)
    along = over_groups(factor * to_scale, channel, channels // groups, groups)[None, :] / count
    level = over_groups(factor * to_shift, channel, channels // groups, groups)[None, :] / count
    for start in range(0, points, tile_p):
        place = (start + tl.arange(0, tile_p))[:, None] * channels + channel[None, :]
        values = tl.load(x + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        normed = (values - mean) * rstd[None, :]
        slope = tl.load(dy + base + place, mask=inside[None, :], other=0.0).to(tl.float32)
        slope = before_activation(slope, normed * factor[None, :] + offset, activate)
        result = rstd[None, :] * (slope * factor[None, :] - level - normed * along)
        tl.store(dx + base + place, result.to(dx.dtype.element_ty), mask=inside[None, :])


def launch(kernel, x, *tensors, groups, activate):
    frames, channels, height, width = x.shape
    tile_c = triton.next_power_of_2(channels)
    points = height * width
    kernel[(frames,)](*tensors, points=points, channels=channels, groups=groups, activate=activate,
                      tile_p=max(1, min(points, TILE // tile_c)), tile_c=tile_c)


class FusedNorm(torch.autograd.Function):
    """x (frames, channels, h, w) with h·w a power of two, scale and shift (frames, channels)."""

    @staticmethod
    def forward(ctx, x, scale, shift, groups, activate):
        x = x.contiguous(memory_format=torch.channels_last)
        scale, shift = scale.contiguous(), shift.contiguous()
        y = torch.empty_like(x)
        mean, rstd = (torch.empty(scale.shape, device=x.device, dtype=torch.float32) for _ in range(2))
        launch(forward_kernel, x, x, scale, shift, y, mean, rstd, groups=groups, activate=activate)
        ctx.save_for_backward(x, scale, shift, mean, rstd)
        ctx.groups, ctx.activate = groups, activate
        return y

    @staticmethod
    def backward(ctx, dy):
        x, scale, shift, mean, rstd = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx, dscale, dshift = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
        launch(backward_kernel, x, x, dy, scale, shift, mean, rstd, dx, dscale, dshift, groups=ctx.groups, activate=ctx.activate)
        return dx, dscale.to(scale.dtype), dshift.to(shift.dtype), None, None
