"""MoVQ's encoder and its decoders, of images and with convolutions over time, under the published parameter names."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .layers import CubeConv, TemporalConv, merge


class Norm(nn.Module):
    """Group norm; in the decoder scaled and shifted by 1×1 convolutions of the latent z (nearest neighbour)."""

    def __init__(self, channels, groups, z_channels=None):
        super().__init__()
        self.norm_layer = nn.GroupNorm(groups, channels, eps=1e-6)
        if z_channels:
            self.conv_y = nn.Conv2d(z_channels, channels, 1)
            self.conv_b = nn.Conv2d(z_channels, channels, 1)

    def forward(self, x, z=None):
        x = self.norm_layer(x)
        if z is None:
            return x
        # 1×1 convolutions and nearest neighbour commute: convolve the small tensor.
        scale, shift = (F.interpolate(conv(z), size=x.shape[-2:], mode="nearest") for conv in (self.conv_y, self.conv_b))
        return torch.addcmul(shift, x, scale)


class Time(NamedTuple):
    """How a decoder sees the other frames of a window; it may have attention with either of the other two."""

    # Of convolutions that follow those of the residual blocks: (3, 1, 1) or (3, 3, 3).
    kernel: tuple | None = None
    # The residual blocks' own convolutions are 3×3×3.
    cube: bool = False
    # After every attention within a frame.
    attention: bool = False


class ResNetBlock(nn.Module):
    """With a kernel in `time`, each convolution is followed by one over time, mixed in by `temporal_merge`. It starts as the
    identity: the block then does what it does without."""

    def __init__(self, in_channels, out_channels, groups, z_channels=None, time=Time()):
        super().__init__()
        kernel, self.is_cube = time.kernel, time.cube

        def convolution(inputs):
            return CubeConv(inputs, out_channels) if self.is_cube else nn.Conv2d(inputs, out_channels, 3, padding=1)

        self.norm1 = Norm(in_channels, groups, z_channels)
        self.conv1 = convolution(in_channels)
        self.norm2 = Norm(out_channels, groups, z_channels)
        self.conv2 = convolution(out_channels)
        self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        self.is_temporal = kernel is not None
        for index in (1, 2) if self.is_temporal else ():
            layer = CubeConv(out_channels, out_channels) if kernel[1] == 3 else TemporalConv(out_channels, out_channels, 3)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            centre = tuple(size // 2 for size in layer.weight.shape[2:])
            layer.weight.data[(slice(None), slice(None), *centre)] = torch.eye(out_channels)
            setattr(self, f"temporal_projection{index}", layer)
            setattr(self, f"temporal_merge{index}", nn.Parameter(torch.full((1,), 0.5)))

    def over_time(self, y, index, frames):
        if not self.is_temporal:
            return y
        projected = getattr(self, f"temporal_projection{index}")(y, frames)
        return merge(y, projected, getattr(self, f"temporal_merge{index}"))

    def forward(self, x, z=None, frames=None):
        window = (frames,) if self.is_cube else ()
        y = self.over_time(self.conv1(F.silu(self.norm1(x, z)), *window), 1, frames)
        y = self.over_time(self.conv2(F.silu(self.norm2(y, z)), *window), 2, frames)
        return (self.nin_shortcut(x) if self.nin_shortcut else x) + y


class AttentionBlock(nn.Module):
    def __init__(self, channels, groups, z_channels=None):
        super().__init__()
        self.norm = Norm(channels, groups, z_channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x, z=None):
        y = self.norm(x, z)
        q, k, v = (conv(y).flatten(2).transpose(1, 2) for conv in (self.q, self.k, self.v))
        weights = (q @ k.transpose(1, 2) * x.shape[1] ** -0.5).softmax(dim=-1)
        return x + self.proj_out((weights @ v).transpose(1, 2).unflatten(2, tuple(x.shape[-2:])))


class TemporalAttentionBlock(AttentionBlock):
    """Attention over the frames of a window at each position. As in the published code its norm does not see z."""

    def forward(self, x, frames):
        y = self.norm(x)
        q, k, v = (conv(y).unflatten(0, (-1, frames)).flatten(3).permute(0, 3, 1, 2) for conv in (self.q, self.k, self.v))
        weights = (q @ k.transpose(2, 3) * x.shape[1] ** -0.5).softmax(dim=-1)
        attended = (weights @ v).permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, tuple(x.shape[-2:]))
        return x + self.proj_out(attended)


class Resample(nn.Module):
    def __init__(self, channels, up):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(channels, channels, 3, stride=1 if up else 2, padding=1 if up else 0)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else F.pad(x, (0, 1, 0, 1)))


def middle(channels, groups, z_channels=None, time=Time()):
    module = nn.Module()
    module.block_1 = ResNetBlock(channels, channels, groups, z_channels, time)
    module.attn_1 = AttentionBlock(channels, groups, z_channels)
    if time.attention:
        module.temporal_attn_1 = TemporalAttentionBlock(channels, groups, z_channels)
    module.block_2 = ResNetBlock(channels, channels, groups, z_channels, time)
    return module


def level(channels, has_attention, groups, z_channels=None, time=Time()):
    """`channels` = [in, out of block 0, out of block 1, …]."""
    module = nn.Module()
    module.block = nn.ModuleList(ResNetBlock(a, b, groups, z_channels, time) for a, b in zip(channels, channels[1:]))
    module.attn = nn.ModuleList(AttentionBlock(b, groups, z_channels) for b in channels[1:] if has_attention)
    if has_attention and time.attention:
        module.temporal_attn = nn.ModuleList(TemporalAttentionBlock(b, groups, z_channels) for b in channels[1:])
    return module


def run_level(module, x, z=None, frames=None, attention_z=None):
    for index, block in enumerate(module.block):
        x = block(x, z, frames)
        if len(module.attn):
            x = module.attn[index](x, z if attention_z is None else attention_z)
        if hasattr(module, "temporal_attn"):
            x = module.temporal_attn[index](x, frames)
    return x


class Encoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, attn_resolutions, resolution, in_channels, z_channels, groups):
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, ch, 3, padding=1)
        self.down = nn.ModuleList()
        channels = ch
        for i, factor in enumerate(ch_mult):
            plan = [channels] + [ch * factor] * num_res_blocks
            module = level(plan, resolution >> i in attn_resolutions, groups)
            channels = ch * factor
            if i < len(ch_mult) - 1:
                module.downsample = Resample(channels, up=False)
            self.down.append(module)
        self.mid = middle(channels, groups)
        self.norm_out = Norm(channels, groups)
        self.conv_out = nn.Conv2d(channels, z_channels, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for module in self.down:
            x = run_level(module, x)
            if hasattr(module, "downsample"):
                x = module.downsample(x)
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x)))
        return self.conv_out(F.silu(self.norm_out(x)))


class Decoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, attn_resolutions, resolution, out_ch, z_channels, groups, time):
        super().__init__()
        channels = ch * ch_mult[-1]
        self.is_temporal = time != Time()
        self.conv_in = nn.Conv2d(z_channels, channels, 3, padding=1)
        self.mid = middle(channels, groups, z_channels, time)
        levels = []
        for i in reversed(range(len(ch_mult))):
            plan = [channels] + [ch * ch_mult[i]] * (num_res_blocks + 1)
            module = level(plan, resolution >> i in attn_resolutions, groups, z_channels, time)
            channels = ch * ch_mult[i]
            if i > 0:
                module.upsample = Resample(channels, up=True)
            levels.insert(0, module)
        self.up = nn.ModuleList(levels)
        self.norm_out = Norm(channels, groups, z_channels)
        self.conv_out = nn.Conv2d(channels, out_ch, 3, padding=1)

    def forward(self, x, z, frames):
        # As in the published code, attention in a temporal decoder is conditioned on the window's first frame.
        attention_z = z[::frames].repeat_interleave(frames, dim=0) if self.is_temporal else z
        x = self.conv_in(x)
        x = self.mid.attn_1(self.mid.block_1(x, z, frames), attention_z)
        if hasattr(self.mid, "temporal_attn_1"):
            x = self.mid.temporal_attn_1(x, frames)
        x = self.mid.block_2(x, z, frames)
        for module in reversed(self.up):
            x = run_level(module, x, z, frames, attention_z)
            if hasattr(module, "upsample"):
                x = module.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x, z)))


class MoVQ(nn.Module):
    """encode: (n, 3, 8h, 8w) in [-1, 1] -> (n, 4, h, w); decode: back, with a decoder that sees time, windows of so many frames.

    `groups` (32 in the published network) is this project's own argument: 32 groups over 32 channels would be
    instance norm, which erases flat colour.
    """

    def __init__(self, z_channels, resolution, in_channels, out_ch, ch, ch_mult, num_res_blocks, attn_resolutions,
                 double_z=False, dropout=0.0, groups=32, temporal=False, temporal_kernel_size=(3, 3, 3),
                 temporal_conv_padding=None, temporal_attention_block=False, build_3D_decoder=False):
        super().__init__()
        if double_z or dropout:
            raise ValueError(f"double_z {double_z} and dropout {dropout}: only False and 0.0 are known")
        shared = (ch, ch_mult, num_res_blocks, attn_resolutions, resolution)
        self.encoder = Encoder(*shared, in_channels, z_channels, groups)
        time = Time(tuple(temporal_kernel_size) if temporal else None, build_3D_decoder, temporal_attention_block)
        self.decoder = Decoder(*shared, out_ch, z_channels, groups, time)
        self.quant_conv = nn.Conv2d(z_channels, z_channels, 1)
        self.post_quant_conv = nn.Conv2d(z_channels, z_channels, 1)

    def encode(self, images):
        return self.quant_conv(self.encoder(images))

    def decode(self, latents, frames=None):
        return self.decoder(self.post_quant_conv(latents), latents, frames)
