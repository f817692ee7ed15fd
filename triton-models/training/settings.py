"""Every setting of a training run, for two kinds of machine; minutes are of training alone."""

import torch

from .tokenizer import VOCABULARY

# On CPUs, PyTorch 1 rejects norms of bfloat16 with float32 weights, which autocast leaves.
MIXED_NORMS = int(torch.__version__.split(".")[0]) > 1

CONTEXT_DIM = 64

ARCHITECTURE = {
    "contextTokens": 32,
    "textEncoder": {
        "vocab_size": len(VOCABULARY), "d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 2,
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "feed_forward_proj": "gated-silu",
        "context_dim": CONTEXT_DIM,
    },
    "keyframes": {
        "model_channels": 64, "init_channels": 64, "num_channels": 4, "out_channels": 4, "time_embed_dim": 128,
        "context_dim": CONTEXT_DIM, "groups": 8, "head_dim": 32, "expansion_ratio": 2, "compression_ratio": 2,
        "dim_mult": [1, 2], "num_blocks": [2, 2], "add_cross_attention": [False, True],
        "add_self_attention": [False, True], "num_frames": 15, "frame_position_in_time_embed": True,
        "spatial_position_embedding": [8, 8],
    },
    "interpolation": {
        "model_channels": 64, "init_channels": 64, "num_channels": 20, "out_channels": 12, "time_embed_dim": 128,
        "context_dim": CONTEXT_DIM, "groups": 8, "head_dim": 32, "expansion_ratio": 2, "compression_ratio": 2,
        "dim_mult": [1], "num_blocks": [3], "add_cross_attention": [False], "add_self_attention": [True],
        "num_frames": None, "interpolation": True,
    },
    "movq": {
        "double_z": False, "z_channels": 4, "resolution": 64, "in_channels": 3, "out_ch": 3, "ch": 16,
        "ch_mult": [1, 2, 4, 4], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0, "groups": 8,
    },
}

# The same on any machine.
KEYFRAMES = {"learning_rate": 1e-3, "high_noise_share": (0.7, 0.4), "high_noise_weight": 4, "sparse_stride": 3, "reading_weight": 0.05}
INTERPOLATION = {"learning_rate": 1.5e-3}

# Two cores share the weights of one network; minutes are of training alone, on both.
CPU = {
    "device": "cpu", "workers": 2, "seed": 1, "frame_size": 64, "world": "small", "architecture": ARCHITECTURE, "encoded_at_once": 8,
    "autoencoder": {"minutes": 18.5, "learning_rate": 1.5e-3, "crops": 24, "frames": 8, "crops_until": 0.6, "noise": 0.03,
                    "batches_at_once": 1},
    "clips": {"count": 2_000, "shards": 4, "stride": 4, "families": True},
    "films": {"count": 320, "shards": 4, "stride": 1},
    "slow_films": {"count": 80, "shards": 2, "stride": 1, "pace": 0.25},
    "keyframes": {**KEYFRAMES, "minutes": 190, "ema_decay": 0.995, "families": 1, "members": 6, "sparse_until": 0.35, "text_until": 0.025},
    "interpolation": {**INTERPOLATION, "minutes": 54, "ema_decay": 0.995, "batch": 2},
}

# Default sampling for the serving side.
SAMPLING = {
    "keyframes": {"sampler": "dpm-solver++", "steps": 20, "guidanceScale": 1.0},
    "interpolation": {"sampler": "dpm-solver++", "steps": 1, "guidanceScale": 0.0},
}

# 128×128 and the whole world, in about 25 minutes of one GPU.
GPU_CONTEXT_DIM = 128
GPU_ARCHITECTURE = {
    "contextTokens": 32,
    "textEncoder": {**ARCHITECTURE["textEncoder"], "d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 3,
                    "context_dim": GPU_CONTEXT_DIM},
    "keyframes": {**ARCHITECTURE["keyframes"], "model_channels": 80, "init_channels": 80, "time_embed_dim": 160, "head_dim": 40,
                  "context_dim": GPU_CONTEXT_DIM, "spatial_position_embedding": [16, 16]},
    "interpolation": {**ARCHITECTURE["interpolation"], "context_dim": GPU_CONTEXT_DIM},
    "movq": {**ARCHITECTURE["movq"], "resolution": 128},
}
GPU = {
    "device": "cuda", "workers": 1, "seed": 1, "frame_size": 128, "world": "nano", "architecture": GPU_ARCHITECTURE,
    "encoded_at_once": 64,
    "autoencoder": {"minutes": 2.5, "learning_rate": 2e-3, "crops": 256, "frames": 96, "crops_until": 0.5, "noise": 0.03,
                    "batches_at_once": 16},
    "clips": {"count": 4_500, "shards": 1, "stride": 4, "families": True},
    "films": {"count": 1_500, "shards": 1, "stride": 1},
    "slow_films": {"count": 500, "shards": 1, "stride": 1, "pace": 0.25},
    "keyframes": {**KEYFRAMES, "minutes": 16, "ema_decay": 0.999, "families": 12, "members": 4, "sparse_until": 0.0, "text_until": 0.02},
    "interpolation": {**INTERPOLATION, "minutes": 3, "ema_decay": 0.998, "batch": 24},
}

# Continues with the keyframes of exported weights on two cores that have instructions for bfloat16, mostly on hard scenes. A
# step takes each of them about 7 seconds; in float32, before PyTorch 2, longer.
REFINE = {
    **GPU, "device": "cpu", "workers": 2, "encoded_at_once": 4, "bfloat16": MIXED_NORMS,
    "clips": {"count": 810, "shards": 27, "stride": 4, "families": True, "members": 4,
              "kinds": {"spinning": 55, "single": 35, "pair": 10}},
    "refine": {"from": "weights/nano", "minutes": 92, "learning_rate": 3e-4, "ema_decay": 0.99, "families": 8, "members": 3, "parts": 2,
               "kinds": {"spinning": 55, "single": 35, "pair": 10}, "high_noise_weight": 2, "first_step": 30,
               "mixed_share": 0.5, "most_mixed": 0.8},
}

PRESETS = {"cpu": CPU, "gpu": GPU, "refine": REFINE}
