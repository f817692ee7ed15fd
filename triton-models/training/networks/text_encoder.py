"""T5 v1.1 encoder (gated-silu) with the projection to the U-Nets' context, under the published parameter names."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def relative_position_buckets(tokens, buckets, max_distance, device):
    """(tokens, tokens) bucket of key position − query position, half of the buckets for each sign."""
    positions = torch.arange(tokens, device=device)
    relative = positions[None, :] - positions[:, None]
    half = buckets // 2
    exact = half // 2
    distance = relative.abs()
    logarithmic = exact + (
        torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (half - exact)
    ).long()
    return (relative > 0).long() * half + torch.where(distance < exact, distance, logarithmic.clamp(max=half - 1))


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_kv, num_heads, buckets):
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v = (nn.Linear(d_model, d_kv * num_heads, bias=False) for _ in range(3))
        self.o = nn.Linear(d_kv * num_heads, d_model, bias=False)
        if buckets:
            self.relative_attention_bias = nn.Embedding(buckets, num_heads)
        nn.init.normal_(self.q.weight, std=(d_model * d_kv) ** -0.5)

    def forward(self, x, bias):
        q, k, v = (linear(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for linear in (self.q, self.k, self.v))
        weights = (q @ k.transpose(-1, -2) + bias).softmax(dim=-1)
        return self.o((weights @ v).transpose(1, 2).flatten(2))


class DenseReluDense(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.wi_0 = nn.Linear(d_model, d_ff, bias=False)
        self.wi_1 = nn.Linear(d_model, d_ff, bias=False)
        self.wo = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x):
        return self.wo(F.silu(self.wi_0(x)) * self.wi_1(x))


def sublayer(name, module, d_model):
    layer = nn.Module()
    layer.add_module(name, module)
    layer.layer_norm = RMSNorm(d_model)
    return layer


class Encoder(nn.Module):
    def __init__(self, d_model, d_kv, num_heads, d_ff, num_layers, buckets, max_distance):
        super().__init__()
        self.buckets, self.max_distance = buckets, max_distance
        self.block = nn.ModuleList()
        for i in range(num_layers):
            block = nn.Module()
            block.layer = nn.ModuleList([
                sublayer("SelfAttention", SelfAttention(d_model, d_kv, num_heads, buckets if i == 0 else None), d_model),
                sublayer("DenseReluDense", DenseReluDense(d_model, d_ff), d_model),
            ])
            self.block.append(block)
        self.final_layer_norm = RMSNorm(d_model)

    def forward(self, x, mask):
        buckets = relative_position_buckets(x.shape[1], self.buckets, self.max_distance, x.device)
        bias = self.block[0].layer[0].SelfAttention.relative_attention_bias(buckets).permute(2, 0, 1)[None]
        bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(x.dtype).min)
        for block in self.block:
            attention, dense = block.layer
            x = x + attention.SelfAttention(attention.layer_norm(x), bias)
            x = x + dense.DenseReluDense(dense.layer_norm(x))
        return self.final_layer_norm(x)


class TextEncoder(nn.Module):
    """token ids (n, tokens) and mask (n, tokens) -> context (n, tokens, context_dim), zero where masked."""

    def __init__(self, vocab_size, d_model, d_kv, num_heads, d_ff, num_layers, context_dim,
                 relative_attention_num_buckets=32, relative_attention_max_distance=128, feed_forward_proj="gated-silu"):
        super().__init__()
        if feed_forward_proj != "gated-silu":
            raise ValueError(f"feed_forward_proj is {feed_forward_proj!r}, only 'gated-silu' is known")
        self.shared = nn.Embedding(vocab_size, d_model)
        self.encoder = Encoder(d_model, d_kv, num_heads, d_ff, num_layers,
                               relative_attention_num_buckets, relative_attention_max_distance)
        self.projections = nn.ModuleDict({
            "t5": nn.Sequential(nn.Linear(d_model, context_dim, bias=False), nn.LayerNorm(context_dim)),
        })

    def forward(self, input_ids, mask):
        context = self.projections["t5"](self.encoder(self.shared(input_ids), mask))
        return context * mask[..., None]
