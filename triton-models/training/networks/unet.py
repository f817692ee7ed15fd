"""The keyframe and interpolation U-Nets under the published parameter names.

Constructor arguments are the published ones and this project's own: see `UNet`.
"""

import torch
from torch import nn

from .layers import Attention, ConditionalGroupNorm, CubeConv, TemporalConv, merge, time_mlp

# The paper's names; the second is the published network.
TEMPORAL_CONDITIONINGS = ("Conv1dAttn1dLayers", "Conv1dAttn1dBlocks", "Conv1dAttn3dBlocks", "Conv3dAttn1dBlocks")
# Height and width of the windows of Attn3d.
WINDOW = 2


class Block(nn.Module):
    """Norm, SiLU, [upsample], convolution, [temporal layer], [downsample]."""

    def __init__(self, in_channels, out_channels, time_embed_dim, groups, kernel, temporal, up=False, down=False):
        super().__init__()
        self.group_norm = ConditionalGroupNorm(groups, in_channels, time_embed_dim)
        self.up_sample = nn.ConvTranspose2d(in_channels, in_channels, 2, stride=2) if up else None
        self.projection = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.temporal = temporal
        if temporal:
            self.temporal_projection = TemporalConv(out_channels, out_channels, 3)
            self.temporal_merge = nn.Parameter(torch.full((1,), 0.1))
        self.down_sample = nn.Conv2d(out_channels, out_channels, 2, stride=2) if down else None

    def forward(self, x, embedding, frames):
        x = self.group_norm(x, embedding, activate=True)
        if self.up_sample:
            x = self.up_sample(x)
        x = self.projection(x)
        if self.temporal:
            x = merge(x, self.temporal_projection(x, frames), self.temporal_merge)
        return self.down_sample(x) if self.down_sample else x


class ResNetBlock(nn.Module):
    def __init__(self, in_channels, out_channels, time_embed_dim, groups, compression_ratio, temporal, up=False, down=False):
        super().__init__()
        hidden = max(in_channels, out_channels) // compression_ratio
        channels = [in_channels, hidden, hidden, hidden, out_channels]
        self.resnet_blocks = nn.ModuleList(
            Block(channels[i], channels[i + 1], time_embed_dim, groups, kernel, temporal, up and i == 1, down and i == 2)
            for i, kernel in enumerate((1, 3, 3, 1))
        )
        self.shortcut_up_sample = nn.ConvTranspose2d(in_channels, in_channels, 2, stride=2) if up else None
        self.shortcut_projection = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        self.shortcut_down_sample = nn.Conv2d(out_channels, out_channels, 2, stride=2) if down else None
        nn.init.zeros_(self.resnet_blocks[3].projection.weight)
        nn.init.zeros_(self.resnet_blocks[3].projection.bias)

    def forward(self, x, embedding, frames):
        residual = x
        for block in self.resnet_blocks:
            x = block(x, embedding, frames)
        for shortcut in (self.shortcut_up_sample, self.shortcut_projection, self.shortcut_down_sample):
            residual = shortcut(residual) if shortcut else residual
        return residual + x


class TemporalResNetBlock(nn.Module):
    """Two convolutions over time, or one 3×3×3 (`cube`), between two linear projections."""

    def __init__(self, channels, time_embed_dim, groups, compression_ratio, cube=False):
        super().__init__()
        hidden = channels // compression_ratio
        inner = [CubeConv(hidden, hidden)] if cube else [TemporalConv(hidden, hidden, 3), TemporalConv(hidden, hidden, 3)]
        convolutions = [TemporalConv(channels, hidden, 1), *inner, TemporalConv(hidden, channels, 1)]
        self.temporal_resnet_blocks = nn.ModuleList(
            nn.ModuleList([ConditionalGroupNorm(groups, convolution.in_channels, time_embed_dim), nn.SiLU(), convolution])
            for convolution in convolutions
        )
        nn.init.zeros_(convolutions[-1].weight)
        nn.init.zeros_(convolutions[-1].bias)

    def forward(self, x, embedding, frames):
        residual = x
        for norm, _, conv in self.temporal_resnet_blocks:
            x = conv(norm(x, embedding, activate=True), frames)
        return residual + x


def feed_forward(channels, expansion_ratio):
    last = nn.Conv2d(expansion_ratio * channels, channels, 1, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Conv2d(channels, expansion_ratio * channels, 1, bias=False), nn.SiLU(), last)


def attend_over_time(attention, y, frames, window):
    """y (videos·frames, c, h, w), normalised: attention over the frames of each window of positions -> the same shape."""
    items, channels, height, width = y.shape
    y = y.reshape(-1, frames, channels, height // window, window, width // window, window)
    y = y.permute(0, 3, 5, 1, 4, 6, 2)
    tokens = y.reshape(-1, frames * window**2, channels)
    y = attention(tokens, tokens).reshape(y.shape).permute(0, 3, 6, 1, 4, 2, 5)
    return y.reshape(items, channels, height, width)


class AttentionBlock(nn.Module):
    """Attention over the positions of a frame: among themselves, or to the text context. With `temporal` it has a layer
    that attends over the frames at each position, mixed in by `temporal_merge`."""

    def __init__(self, channels, time_embed_dim, context_dim, groups, head_dim, expansion_ratio, temporal=False):
        super().__init__()
        self.in_norm = ConditionalGroupNorm(groups, channels, time_embed_dim)
        self.attention = Attention(channels, channels, context_dim or channels, head_dim)
        self.temporal = temporal
        if temporal:
            self.temporal_norm = ConditionalGroupNorm(groups, channels, time_embed_dim)
            self.temporal_attention = Attention(channels, channels, channels, head_dim)
            self.temporal_merge = nn.Parameter(torch.full((1,), 0.1))
        self.out_norm = ConditionalGroupNorm(groups, channels, time_embed_dim)
        self.feed_forward = feed_forward(channels, expansion_ratio)

    def forward(self, x, embedding, context=None, mask=None, temporal_embedding=None, frames=None):
        height, width = x.shape[-2:]
        tokens = self.in_norm(x, embedding).flatten(2).transpose(1, 2)
        attended = self.attention(tokens, tokens if context is None else context, mask)
        x = x + attended.transpose(1, 2).unflatten(2, (height, width))
        if self.temporal:
            y = self.temporal_norm(x, temporal_embedding)
            x = merge(x, attend_over_time(self.temporal_attention, y, frames, 1), self.temporal_merge)
        return x + self.feed_forward(self.out_norm(x, embedding))


class TemporalAttentionBlock(nn.Module):
    """Attention over the frames of each window of positions; `in_norm` sees the frame's position, `out_norm` the time."""

    def __init__(self, channels, time_embed_dim, groups, head_dim, expansion_ratio, window=1):
        super().__init__()
        self.window = window
        self.in_norm = ConditionalGroupNorm(groups, channels, time_embed_dim)
        self.temporal_attention = Attention(channels, channels, channels, head_dim)
        self.out_norm = ConditionalGroupNorm(groups, channels, time_embed_dim)
        self.feed_forward = feed_forward(channels, expansion_ratio)

    def forward(self, x, embedding, temporal_embedding, frames):
        y = self.in_norm(x, temporal_embedding)
        x = x + attend_over_time(self.temporal_attention, y, frames, self.window)
        return x + self.feed_forward(self.out_norm(x, embedding))


class Level(nn.Module):
    """One level of the down or the up path; `plan` holds (in, middle, out) channels of each of its blocks."""

    def __init__(self, plan, attention_channels, options, up, cross_attention, self_attention, resample):
        super().__init__()
        self.up = up
        time, groups, ratio = options["time_embed_dim"], options["groups"], options["compression_ratio"]
        conditioning = options["temporal_conditioning"]
        separate = conditioning not in (None, "Conv1dAttn1dLayers")
        layers, cube = not separate, conditioning == "Conv3dAttn1dBlocks"
        window = WINDOW if conditioning == "Conv1dAttn3dBlocks" else 1
        attention = (options["head_dim"], options["expansion_ratio"])
        self.self_attention_block = self.temporal_attention_block = None
        if self_attention:
            self.self_attention_block = AttentionBlock(attention_channels, time, None, groups, *attention,
                                                       temporal=conditioning == "Conv1dAttn1dLayers")
            if separate:
                self.temporal_attention_block = TemporalAttentionBlock(attention_channels, time, groups, *attention, window)
        self.resnet_attn_blocks = nn.ModuleList()
        for index, (first, middle, last) in enumerate(plan):
            rises = up and resample and index == 0
            falls = not up and resample and index == len(plan) - 1
            inner = middle if not up else first
            self.resnet_attn_blocks.append(nn.ModuleList([
                ResNetBlock(first, middle, time, groups, ratio, layers, up=rises),
                AttentionBlock(middle, time, options["context_dim"], groups, *attention) if cross_attention else nn.Identity(),
                ResNetBlock(middle, last, time, groups, ratio, layers, down=falls),
                TemporalResNetBlock(inner, time, groups, ratio, cube) if separate else nn.Identity(),
                TemporalResNetBlock(middle if up else last, time, groups, ratio, cube) if separate else nn.Identity(),
            ]))

    def attend(self, x, c):
        blocks = [
            self.self_attention_block and (lambda y: self.self_attention_block(
                y, c.embedding, temporal_embedding=c.temporal_embedding, frames=c.frames)),
            self.temporal_attention_block
            and (lambda y: self.temporal_attention_block(y, c.embedding, c.temporal_embedding, c.frames)),
        ]
        for block in reversed(blocks) if self.up else blocks:
            x = block(x) if block else x
        return x

    def forward(self, x, c):
        x = x if self.up else self.attend(x, c)
        for blocks in self.resnet_attn_blocks:
            for index in (3, 0, 1, 4, 2) if self.up else (0, 3, 1, 2, 4):
                block = blocks[index]
                if isinstance(block, AttentionBlock):
                    x = block(x, c.embedding, c.context, c.mask)
                elif not isinstance(block, nn.Identity):
                    x = block(x, c.embedding, c.frames)
        return self.attend(x, c) if self.up else x


def cosine_basis(channels, height, width):
    """(1, channels, height, width): the two-dimensional cosine transform's functions, slow ones first, RMS 0.5."""
    def waves(size):
        angles = (torch.arange(size) + 0.5)[None] * torch.arange(size)[:, None] * (torch.pi / size)
        return angles.cos() * (0.5 * 2**0.5)

    order = sorted(((i + j, i, j) for i in range(height) for j in range(width) if i + j > 0))
    rows, columns = waves(height), waves(width)
    chosen = [order[channel % len(order)] for channel in range(channels)]
    return torch.stack([rows[i][:, None] * columns[j][None] * 2**0.5 for _, i, j in chosen])[None]


class FeaturePooling(nn.Module):
    def __init__(self, time_embed_dim, context_dim, head_dim):
        super().__init__()
        self.attention = Attention(context_dim, time_embed_dim, context_dim, head_dim)

        nn.init.normal_(self.attention.output_layer.weight, std=2 * time_embed_dim**-0.5)

    def forward(self, context, mask, items):
        """The term added to the time embedding: (items, time_embed_dim)."""
        pooled = self.attention(context.mean(dim=1, keepdim=True), context, mask)[:, 0]
        return pooled.repeat_interleave(items // pooled.shape[0], dim=0)


class Conditions:
    """Inputs shared by all blocks: embeddings and context per frame, frames (or groups) of a video."""

    def __init__(self, embedding, temporal_embedding, context, mask, frames):
        self.embedding = embedding
        self.temporal_embedding = temporal_embedding
        self.context = context
        self.mask = mask
        self.frames = frames


class UNet(nn.Module):
    """Predicts noise, velocity or x₀.

    x (videos·frames, num_channels, h, w); time, temporal_embed (positions) and skip_frames (videos·frames,);
    context (videos·frames or videos, tokens, context_dim); context_mask likewise, true where a token counts.
    With `interpolation` the items are temporal groups, `num_temporal_groups` of each video; without, the same argument
    stands in for `num_frames` where training takes fewer frames.

    `frame_position_in_time_embed` (not in the published networks): every norm that is conditioned on the time
    embedding (time + pooled text) is conditioned on time + pooled + temporal + pooled·temporal instead, so that each
    frame's position, and what the text makes of it, reaches every block. The norms conditioned on the temporal
    embedding alone stay as they are; no parameter is added.
    `temporal_conditioning`: how the keyframe network sees other frames, one of TEMPORAL_CONDITIONINGS.
    `sequence_frames`, `perturbation_input`: how the served interpolation network is called; they change no parameter.
    `spatial_position_embedding` (nor this), [h, w] of the latents: a parameter (1, init_channels, h, w) of that name is
    added to `in_layer`'s output, so that norms can turn words and positions in time into places.
    """

    def __init__(self, model_channels, init_channels, num_channels, out_channels, time_embed_dim, context_dim, groups,
                 head_dim, expansion_ratio, compression_ratio, dim_mult, num_blocks, add_cross_attention,
                 add_self_attention, num_frames=None, interpolation=False, frame_position_in_time_embed=False,
                 spatial_position_embedding=None, temporal_conditioning=None, sequence_frames=None, perturbation_input=False):
        super().__init__()
        if interpolation and temporal_conditioning:
            raise ValueError(f"temporal_conditioning {temporal_conditioning}: the interpolation network has none")
        if not interpolation:
            temporal_conditioning = temporal_conditioning or "Conv1dAttn1dBlocks"
        if temporal_conditioning not in (None, *TEMPORAL_CONDITIONINGS):
            raise ValueError(f"temporal_conditioning {temporal_conditioning}: known are {', '.join(TEMPORAL_CONDITIONINGS)}")
        options = dict(time_embed_dim=time_embed_dim, context_dim=context_dim, groups=groups, head_dim=head_dim,
                       expansion_ratio=expansion_ratio, compression_ratio=compression_ratio,
                       temporal_conditioning=temporal_conditioning)
        self.num_frames = num_frames
        self.interpolation = interpolation
        self.frame_position_in_time_embed = frame_position_in_time_embed
        self.to_time_embed = time_mlp(init_channels, time_embed_dim)
        self.feature_pooling = FeaturePooling(time_embed_dim, context_dim, head_dim)
        if interpolation:
            self.perturbation_to_time_embed = time_mlp(init_channels, time_embed_dim)
            self.time_embed_merge = nn.Parameter(torch.full((1,), 0.1))
            self.skip_embeddings = nn.Embedding(20, time_embed_dim)
            self.skip_merge = nn.Parameter(torch.full((1,), 0.1))
        else:
            self.to_temporal_embed = time_mlp(init_channels, time_embed_dim)
        self.in_layer = nn.Conv2d(num_channels, init_channels, 3, padding=1)
        self.register_parameter("spatial_position_embedding", None)
        if spatial_position_embedding:
            self.spatial_position_embedding = nn.Parameter(cosine_basis(init_channels, *spatial_position_embedding))

        hidden = [init_channels, *(model_channels * factor for factor in dim_mult)]
        levels = len(dim_mult)
        self.down_samples = nn.ModuleList()
        for i in range(levels):
            last = hidden[i + 1]
            plan = [(hidden[i], last, last)] + [(last, last, last)] * (num_blocks[i] - 1)
            self.down_samples.append(Level(plan, hidden[i], options, False, add_cross_attention[i], add_self_attention[i], i < levels - 1))
        self.up_samples = nn.ModuleList()
        for i in reversed(range(levels)):
            deepest = i == levels - 1
            wide, last = hidden[i + 1], hidden[i]
            first = wide if deepest else 2 * wide
            count = num_blocks[i]
            plan = [(first, first, wide)] + [(wide, wide, wide)] * (count - 2) + [(wide, wide, last)]
            self.up_samples.append(Level(plan, last, options, True, add_cross_attention[i], add_self_attention[i], not deepest))
        self.out_layer = nn.Sequential(nn.GroupNorm(groups, init_channels), nn.SiLU(), nn.Conv2d(init_channels, out_channels, 3, padding=1))

    def forward(self, x, time, context, context_mask, temporal_embed=None, skip_frames=None, num_temporal_groups=None,
                perturbation=None):
        pooled = self.feature_pooling(context, context_mask, len(x))
        embedding = self.to_time_embed(time) + pooled
        temporal_embedding = None
        frames = num_temporal_groups or self.num_frames
        if self.interpolation:
            level = torch.zeros_like(time) if perturbation is None else perturbation
            embedding = merge(embedding, self.perturbation_to_time_embed(level), self.time_embed_merge)
            embedding = embedding + self.skip_merge * self.skip_embeddings(skip_frames)
        else:
            temporal_embedding = self.to_temporal_embed(temporal_embed)
            if self.frame_position_in_time_embed:
                embedding = embedding + temporal_embedding + pooled * temporal_embedding
        conditions = Conditions(embedding, temporal_embedding, context, context_mask, frames)
        x = self.in_layer(x)
        if self.spatial_position_embedding is not None:
            x = x + self.spatial_position_embedding.to(x.dtype)
        skips = []
        for level in self.down_samples:
            x = level(x, conditions)
            skips.append(x)
        skips.pop()
        for index, level in enumerate(self.up_samples):
            x = level(x if index == 0 else torch.cat([x, skips.pop()], dim=1), conditions)
        return self.out_layer(x)
