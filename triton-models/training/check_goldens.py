"""python3 -m training.check_goldens FOLDER [CASE...]: loads golden cases strictly and compares the networks' outputs.

Fails when a parameter name or shape differs, or max |difference| / std of the golden reaches 1e-3.
"""

import json
import os
import sys

import torch

from .networks.movq import MoVQ
from .networks.text_encoder import TextEncoder
from .networks.unet import UNet
from .safetensors_io import load

LIMIT = 1e-3
CASES = ("keyframe-unet-a", "keyframe-unet-b", "interpolation-unet-a", "interpolation-unet-b", "movq-image-decoder",
         "movq-video-temporal-conv-3x1x1", "t5-encoder-gated-silu")


def check_unet(constructor, weights, io):
    unet = UNet(**constructor)
    weights.pop("null_embedding", None)
    unet.load_state_dict(weights)
    groups = io.get("num_temporal_groups") if constructor.get("interpolation") else None
    output = unet(io["x"], io["time"], io["context"], io["context_mask"].bool(), io.get("temporal_embed"), io.get("skip_frames"), groups)
    return [(output, io["output"])]


def check_movq(constructor, weights, io):
    movq = MoVQ(**constructor)
    if constructor.get("temporal"):
        movq.encoder = movq.quant_conv = None
        movq.load_state_dict(weights)
        return [(movq.decode(io["latents"], len(io["latents"])), io["decoded"])]
    movq.load_state_dict(weights)
    encoded = movq.encode(io["image"])
    return [(encoded, io["encoded"]), (movq.decode(io["latents"]), io["decoded"]), (movq.decode(encoded), io["decoded_of_encoded"])]


def check_text_encoder(constructor, weights, io, context_dim):
    encoder = TextEncoder(**constructor, context_dim=context_dim)
    weights["shared.weight"] = weights.pop("encoder.embed_tokens.weight")
    encoder.load_state_dict(weights)
    pairs = []
    for name in [key[: -len(".input_ids")] for key in io if key.endswith(".input_ids")]:
        context = encoder(io[f"{name}.input_ids"], io[f"{name}.attention_mask"].bool())
        golden = io[f"{name}.context"]
        pairs.append((context[:, : golden.shape[1]], golden))
    return pairs


def check_case(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    weights, io = (load(os.path.join(folder, f"{name}.safetensors")) for name in ("weights", "io"))
    constructor = config["constructor"]
    if "model_channels" in constructor:
        io["num_temporal_groups"] = config["forward_args"]["num_temporal_groups"]
        return check_unet(constructor, weights, io)
    if "z_channels" in constructor:
        return check_movq(constructor, weights, io)
    projections = load(os.path.join(folder, "projections.safetensors"))
    weights.update({f"projections.{name}": tensor for name, tensor in projections.items()})
    return check_text_encoder(constructor, weights, io, config["context_dim"])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    worst = 0.0
    for case in sys.argv[2:] or CASES:
        with torch.no_grad():
            pairs = check_case(os.path.join(sys.argv[1], case))
        errors = [((ours - golden).abs().max() / golden.std()).item() for ours, golden in pairs]
        worst = max(errors + [worst], key=lambda error: (error != error, error))
        print(f"{case:28s} max |difference| / std = {max(errors):.2e}  ({len(errors)} outputs)")
    if not worst < LIMIT:
        sys.exit(f"failed: {worst:.2e} is not below {LIMIT}")


if __name__ == "__main__":
    main()
