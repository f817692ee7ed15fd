"""Times a keyframe U-Net on PyTorch: a guided step of one video, for `npm run bench -- pytorch`.

python3 keyframe_unet.py TRAINING_PARENT CONSTRUCTOR WEIGHTS FRAMES TOKENS HEIGHT WIDTH
WEIGHTS is a .safetensors file, or `random`. Writes `ready`, then for each line it reads the seconds of a call.
"""

import json
import sys
import time

import torch

folder, constructor, weights, *sizes = sys.argv[1:]
sys.path.insert(0, folder)
from training.networks.unet import UNet  # noqa: E402
from training.safetensors_io import load  # noqa: E402

frames, tokens, height, width = map(int, sizes)
torch.set_num_threads(1)
unet = UNet(**json.loads(constructor)).eval()
if weights != "random":
    tensors = load(weights)
    tensors.pop("null_embedding", None)
    unet.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
items = 2 * frames
inputs = {
    "x": torch.randn(items, unet.in_layer.in_channels, height, width),
    "time": torch.full((items,), 500.0),
    "context": torch.randn(items, tokens, json.loads(constructor)["context_dim"]),
    "context_mask": torch.ones(items, tokens, dtype=torch.bool),
    "temporal_embed": torch.arange(frames).repeat(2) * 12,
}
with torch.inference_mode():
    unet(**inputs)
    print("ready", torch.__version__, flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        unet(**inputs)
        print(time.perf_counter() - started, flush=True)
