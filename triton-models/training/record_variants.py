"""python3 -m training.record_variants FOLDER [CASE...]: records this code's networks on random weights as reference cases.

Every parameter is drawn at random, so that no branch is dead. `fusionframes models verify` compares the graphs with them.
"""

import json
import os
import sys

import torch

from .networks.layers import SinusoidalEmbedding
from .networks.movq import MoVQ
from .networks.unet import UNet
from .safetensors_io import save

KEYFRAMES = {
    "model_channels": 16, "init_channels": 16, "num_channels": 4, "out_channels": 4, "time_embed_dim": 16, "context_dim": 16,
    "groups": 4, "head_dim": 8, "expansion_ratio": 2, "compression_ratio": 2, "dim_mult": [1, 1], "num_blocks": [2, 2],
    "add_cross_attention": [False, True], "add_self_attention": [True, True], "num_frames": 5,
}
CASES = {
    f"keyframe-unet-{name.lower()}": {**KEYFRAMES, "temporal_conditioning": name}
    for name in ("Conv1dAttn1dLayers", "Conv1dAttn3dBlocks", "Conv3dAttn1dBlocks")
}
CASES["interpolation-unet-masked-frames"] = {
    **KEYFRAMES, "num_channels": 9, "num_frames": None, "interpolation": True, "sequence_frames": 5,
}
CASES["interpolation-unet-perturbation"] = {
    **KEYFRAMES, "num_channels": 20, "out_channels": 12, "num_frames": None, "interpolation": True, "perturbation_input": True,
}
DECODER = {
    "double_z": False, "z_channels": 4, "resolution": 64, "in_channels": 3, "out_ch": 3, "ch": 16, "ch_mult": [1, 1],
    "num_res_blocks": 1, "attn_resolutions": [32], "dropout": 0.0, "groups": 8,
}
NARROW = {"temporal": True, "temporal_kernel_size": [3, 1, 1], "temporal_conv_padding": [1, 0, 0]}
DECODERS = {
    "movq-video-conv-3x3x3": {**DECODER, "temporal": True, "temporal_kernel_size": [3, 3, 3], "temporal_conv_padding": [1, 1, 1]},
    "movq-video-conv-3x1x1-attention": {**DECODER, **NARROW, "temporal_attention_block": True},
    "movq-video-3d": {**DECODER, "build_3D_decoder": True},
}
WINDOW, LATENT_HEIGHT, LATENT_WIDTH = 5, 4, 6
VIDEOS, TOKENS, HEIGHT, WIDTH, GROUPS = 2, 6, 8, 12, 4


def randomize(network):
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.8 * parameter[0].numel() ** -0.5)
        else:
            torch.nn.init.normal_(parameter, std=0.3)
            if "norm" in name and name.endswith("weight") or parameter.numel() == 1:
                parameter.data += 0.5


@torch.no_grad()
def record(name, constructor, folder):
    torch.manual_seed(sum(name.encode()))
    unet = UNet(**constructor).eval()
    randomize(unet)
    frames = constructor["num_frames"] or constructor.get("sequence_frames", GROUPS)
    items = VIDEOS * frames
    mask = torch.tensor([[1] * TOKENS, [1] * (TOKENS - 2) + [0] * 2]).repeat_interleave(frames, 0)
    inputs = {
        "x": torch.randn(items, constructor["num_channels"], HEIGHT, WIDTH),
        "time": torch.tensor([995, 310]).repeat_interleave(frames),
        "context": torch.randn(VIDEOS, TOKENS, constructor["context_dim"]).repeat_interleave(frames, 0),
        "context_mask": mask,
    }
    if unet.interpolation:
        inputs["skip_frames"] = torch.tensor([3, 1]).repeat_interleave(frames)
        if constructor.get("perturbation_input"):
            inputs["perturbation"] = torch.tensor([0, 120]).repeat_interleave(frames)
    else:
        inputs["temporal_embed"] = torch.arange(0, 180, 180 // frames).repeat(VIDEOS)
    groups = frames if unet.interpolation else None
    # In double precision, so that the difference from a graph is the graph's own.
    unet.double()
    for module in unet.modules():
        if isinstance(module, SinusoidalEmbedding):
            module.register_forward_hook(lambda _, __, output: output.double())
    middle = {}
    for each in ("down_samples.0", "up_samples.0"):
        unet.get_submodule(each).register_forward_hook(lambda _, __, output, each=each: middle.update({f"mid.{each}": output}))
    doubles = {each: tensor.double() if tensor.is_floating_point() else tensor for each, tensor in inputs.items()}
    output = unet(**{**doubles, "context_mask": mask.bool()}, num_temporal_groups=groups)
    write(folder, name, unet.float().state_dict(), inputs, {"output": output, **middle},
          {"constructor": constructor, "forward_args": {"num_temporal_groups": groups}})


@torch.no_grad()
def record_decoder(name, constructor, folder):
    torch.manual_seed(sum(name.encode()))
    movq = MoVQ(**constructor).eval()
    randomize(movq)
    latents = torch.randn(WINDOW, constructor["z_channels"], LATENT_HEIGHT, LATENT_WIDTH)
    decoded = movq.double().decode(latents.double(), WINDOW)
    used = {each: tensor for each, tensor in movq.float().state_dict().items() if not each.startswith(("encoder.", "quant_conv."))}
    write(folder, name, used, {"latents": latents}, {"decoded": decoded}, {"constructor": constructor, "num_frames": WINDOW})


def write(folder, name, weights, inputs, outputs, facts):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    save(weights, os.path.join(folder, name, "weights.safetensors"))
    save({**inputs, **{each: tensor.float() for each, tensor in outputs.items()}}, os.path.join(folder, name, "io.safetensors"))
    with open(os.path.join(folder, name, "config.json"), "w") as file:
        about = {"case": name, "what": "recorded from this project's training code by training/record_variants.py", **facts}
        json.dump(about, file, indent=1)
        file.write("\n")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or [*CASES, *DECODERS]:
        if name in CASES:
            record(name, CASES[name], sys.argv[1])
        else:
            record_decoder(name, DECODERS[name], sys.argv[1])


if __name__ == "__main__":
    main()
