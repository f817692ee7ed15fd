"""Every setting of a training run, for two kinds of machine."""

from .tokenizer import VOCABULARY

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

# Two cores share the weights of one network; minutes are of training alone, on both.
CPU = {
    "device": "cpu", "workers": 2, "seed": 1, "frame_size": 64, "world": "small", "architecture": ARCHITECTURE,
    "autoencoder": {"minutes": 18.5, "learning_rate": 1.5e-3, "crops": 24, "frames": 8, "crops_until": 0.6, "noise": 0.03},
    "clips": {"count": 2_000, "shards": 4, "stride": 4, "families": True},
    "films": {"count": 320, "shards": 4, "stride": 1},
    "slow_films": {"count": 80, "shards": 2, "stride": 1, "pace": 0.25},
    "keyframes": {
        "minutes": 190, "learning_rate": 1e-3, "ema_decay": 0.995, "families": 1, "high_noise_share": (0.7, 0.4), "high_noise_weight": 4,
        "sparse_stride": 3, "sparse_until": 0.35, "text_until": 0.025, "reading_weight": 0.05,
    },
    "interpolation": {
        "minutes": 54, "learning_rate": 1e-3, "ema_decay": 0.995, "batch": 2, "high_noise_share": 0.8, "high_noise_weight": 4,
    },
}

# What the serving side should use unless told otherwise.
SAMPLING = {
    "keyframes": {"sampler": "dpm-solver++", "steps": 20, "guidanceScale": 1.0},
    "interpolation": {"sampler": "dpm-solver++", "steps": 2, "guidanceScale": 0.0},
}

# Untried so far: 128×128 and the whole world, in about 25 minutes of one GPU.
GPU_ARCHITECTURE = {
    **ARCHITECTURE,
    "keyframes": {**ARCHITECTURE["keyframes"], "model_channels": 96, "init_channels": 96, "time_embed_dim": 192,
                  "spatial_position_embedding": [16, 16]},
    "movq": {**ARCHITECTURE["movq"], "resolution": 128, "ch": 32, "ch_mult": [1, 2, 2, 4]},
}
GPU = {
    **CPU, "device": "cuda", "workers": 1, "frame_size": 128, "world": "full", "architecture": GPU_ARCHITECTURE,
    "autoencoder": {**CPU["autoencoder"], "minutes": 5, "crops": 256, "frames": 96},
    "clips": {"count": 12_000, "shards": 8, "stride": 4, "families": True},
    "films": {"count": 3_000, "shards": 4, "stride": 1},
    "slow_films": {"count": 1_000, "shards": 2, "stride": 1, "pace": 0.25},
    "keyframes": {**CPU["keyframes"], "minutes": 12, "families": 16, "ema_decay": 0.999},
    "interpolation": {**CPU["interpolation"], "minutes": 4, "batch": 32, "ema_decay": 0.998},
}

PRESETS = {"cpu": CPU, "gpu": GPU}
