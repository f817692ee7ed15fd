"""python3 -m training.record_c3d FOLDER: records C3D as PyTorch computes it, as a reference case of the graph.

The network is that of TGANv2's Inception Score (pfnet-research/tgan2, models/c3d/c3d_ucf101.py), narrow and with weights by a
formula. Its published weights could not be had.
"""

import json
import math
import os
import sys

import torch
import torch.nn.functional as F

from .safetensors_io import save

WIDTH, CLASSES, FRAMES, SIDE, SMALL = 1 / 16, 101, 16, 112, 14
CONVOLUTIONS = {"1a": 64, "2a": 128, "3a": 256, "3b": 256, "4a": 512, "4b": 512, "5a": 512, "5b": 512}
FORMULA = (
    "value(i) of tensor NAME, row-major: state_0 = FNV-1a-32(NAME); state_(i+1) = (1664525*state_i + 1013904223) mod 2^32; "
    "u = state_(i+1)/2^32*2 - 1 (double); tensors of 2 or more axes: u*sqrt(6/(elements of one output row)); one axis: 0.1u; "
    "then rounded to float32")


def formula(name, *shape):
    """A tensor whose values are a function of its name."""
    state = 0x811C9DC5
    for byte in name.encode():
        state = (state ^ byte) * 0x01000193 % 2**32
    values = []
    for _ in range(math.prod(shape)):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state / 2**32 * 2 - 1)
    scale = 0.1 if len(shape) == 1 else math.sqrt(6 / math.prod(shape[1:]))
    return (torch.tensor(values, dtype=torch.float64) * scale).float().view(shape).double()


def c3d(video):
    """video (1, 3, 16, 112, 112), colours in [-1, 1] -> logits, features."""
    x = (video[:, [2, 1, 0]] * 128 + 128) - formula("mean", 3, FRAMES, SIDE, SIDE)
    for name, channels in CONVOLUTIONS.items():
        to = round(WIDTH * channels)
        x = F.relu(F.conv3d(x, formula(f"conv{name}.weight", to, x.shape[1], 3, 3, 3), formula(f"conv{name}.bias", to), padding=1))
        if name not in ("3a", "4a", "5a"):
            window = (1, 2, 2) if name == "1a" else 2
            x = F.max_pool3d(x, window, window, ceil_mode=True)
    x = x.flatten(1)
    for name in ("fc6", "fc7"):
        to = round(WIDTH * 4096)
        x = F.relu(F.linear(x, formula(f"{name}.weight", to, x.shape[1]), formula(f"{name}.bias", to)))
    return F.linear(x, formula("fc8.weight", CLASSES, x.shape[1]), formula("fc8.bias", CLASSES)), x


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = os.path.join(sys.argv[1], "metrics-c3d")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(1)
    small = torch.rand(1, 3, FRAMES, SMALL, SMALL) * 2 - 1
    enlarged = small.double().repeat_interleave(SIDE // SMALL, -1).repeat_interleave(SIDE // SMALL, -2)
    logits, features = c3d(enlarged)
    tensors = {"small": small, "logits": logits.float(), "features": features.float()}
    save(tensors, os.path.join(folder, "io.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({
            "case": "c3d", "what": f"recorded by training/record_c3d.py; the input is small enlarged to {SIDE} by nearest neighbour",
            "source": "pfnet-research/tgan2, written anew in PyTorch",
            "constructor": {"width": WIDTH, "n_outputs": CLASSES}, "weights": FORMULA,
        }, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
