"""Layers that both U-Nets are made of. Activations are (frames, channels, h, w), video-major."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from . import cpu_norm


class SinusoidalEmbedding(nn.Module):
    """(n,) numbers -> (n, dim): all sines, then all cosines."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        half = self.dim // 2
        frequencies = torch.exp(torch.arange(half, device=x.device) * (-math.log(10000) / (half - 1)))
        angles = x.float()[:, None] * frequencies[None]
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def time_mlp(init_channels, time_embed_dim):
    mlp = nn.Sequential(
        SinusoidalEmbedding(init_channels),
        nn.Linear(init_channels, time_embed_dim),
        nn.SiLU(),
        nn.Linear(time_embed_dim, time_embed_dim),
    )
    # Outputs of about unit size: sums of embeddings then lie where SiLU bends, so that norms can combine them.
    nn.init.normal_(mlp[1].weight, std=1.5 * init_channels**-0.5)
    nn.init.normal_(mlp[3].weight, std=2 * time_embed_dim**-0.5)
    return mlp


class ConditionalGroupNorm(nn.Module):
    """Group norm without affine, then scale and shift from SiLU(embedding); embedding is (frames, time_embed_dim)."""

    def __init__(self, groups, channels, time_embed_dim):
        super().__init__()
        self.groups = groups
        self.context_mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_embed_dim, 2 * channels))
        # Small but not zero: position and text reach every block from the first step on.
        nn.init.normal_(self.context_mlp[1].weight, std=0.3 * time_embed_dim**-0.5)
        nn.init.zeros_(self.context_mlp[1].bias)

    def forward(self, x, embedding, activate=False):
        """With `activate`, includes the SiLU that follows."""
        scale, shift = self.context_mlp(embedding).chunk(2, dim=1)
        if x.is_cuda:
            # Without a GPU, Triton cannot be imported.
            from .fused_norm import FusedNorm

            return FusedNorm.apply(x, scale, shift, self.groups, activate)
        if x.dtype == torch.bfloat16 and cpu_norm.library():
            return cpu_norm.CpuNorm.apply(x, scale, shift, self.groups, activate)
        x = torch.addcmul(shift[:, :, None, None], F.group_norm(x, self.groups), scale[:, :, None, None] + 1)
        return F.silu(x) if activate else x


class Attention(nn.Module):
    """Multi-head attention without biases. x (b, n, in), context (b, m, context_dim), mask (b, m) true where usable.

    A context of fewer items than x belongs to b / items neighbouring ones each: keys are made once for all of them.
    """

    def __init__(self, in_channels, out_channels, context_dim, head_dim):
        super().__init__()
        self.heads = out_channels // head_dim
        self.scale = head_dim**-0.5
        self.to_query = nn.Linear(in_channels, out_channels, bias=False)
        self.to_key = nn.Linear(context_dim, out_channels, bias=False)
        self.to_value = nn.Linear(context_dim, out_channels, bias=False)
        self.output_layer = nn.Linear(out_channels, out_channels, bias=False)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context, mask=None):
        query, key, value = self.split(self.to_query(x)), self.split(self.to_key(context)), self.split(self.to_value(context))
        shared_by = x.shape[0] // context.shape[0]
        if shared_by > 1:
            key, value = (y.repeat_interleave(shared_by, dim=0) for y in (key, value))
            mask = mask.repeat_interleave(shared_by, dim=0)
        scores = (query * self.scale) @ key.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.output_layer((scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2))


def merge(x, other, weight):
    """Linear interpolation by a parameter; autocast would leave the parameter in float32, which lerp rejects."""
    return torch.lerp(x, other.to(x.dtype), weight.to(x.dtype))


def temporal_conv(x, weight, bias, frames):
    """Convolution over time, weight (out, in, k, 1, 1), of (videos·frames, in, h, w), zeros beyond the ends.

    Written as a 2D convolution over (frames, h·w): 3D convolutions take a slow path on CPUs.
    """
    _, channels, height, width = x.shape
    if weight.shape[2] == 1:
        return F.conv2d(x, weight[:, :, 0], bias)
    x = x.permute(0, 2, 3, 1).reshape(-1, frames, height * width, channels).permute(0, 3, 1, 2)
    x = F.conv2d(x, weight[..., 0], bias, padding=(weight.shape[2] // 2, 0))
    return x.permute(0, 2, 3, 1).reshape(-1, height, width, weight.shape[0]).permute(0, 3, 1, 2)


class CubeConv(nn.Conv3d):
    """Convolution over three frames and their 3×3 neighbourhoods."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x, frames):
        volume = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return super().forward(volume).transpose(1, 2).flatten(0, 1)


class TemporalConv(nn.Conv3d):
    """Conv3d's parameters, run by `temporal_conv`."""

    def __init__(self, in_channels, out_channels, kernel):
        super().__init__(in_channels, out_channels, (kernel, 1, 1))

    def forward(self, x, frames):
        return temporal_conv(x, self.weight, self.bias, frames)
