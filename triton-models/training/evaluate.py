"""python3 -m training.evaluate [--weights weights/nano] [--clips 64]

Gates before whole videos are worth looking at, on true clips that training never saw: what the autoencoder leaves of them,
and what the interpolation makes between their keyframes. Whole videos are judged by `fusionframes evaluate prompts`.
"""

import argparse
import json
import os

import torch

from .autoencoder import decibels
from .interpolation import SKIPS, interpolate, linear_blend, temporal_groups
from .keyframes import NullEmbedding
from .networks.movq import MoVQ
from .networks.unet import UNet
from .pool import draw_scenes, render_scenes
from .safetensors_io import load
from .settings import PRESETS
from .world.clips import KEYFRAME_STRIDE
from .world.detector import compare

TRAITS = ("background", "colour", "size", "shape", "motion", "all")


def load_weights(folder):
    """MoVQ, the interpolation's networks and the content of architecture.json."""
    with open(os.path.join(folder, "architecture.json")) as file:
        about = json.load(file)
    if (about["interpolation"]["prediction"], about["interpolation"].get("target")) != ("sample", "difference"):
        raise ValueError(f"{folder}: this judges interpolations that predict x₀ (\"sample\") of the difference from the blend alone")

    def tensors(part):
        return {name: tensor.float() for name, tensor in load(os.path.join(folder, about[part]["file"])).items()}

    movq = MoVQ(**about["movq"]["constructor"]).eval()
    movq.load_state_dict(tensors("movq"))
    of_unet = tensors("interpolation")
    null = NullEmbedding(about["interpolation"]["constructor"]["context_dim"])
    null.load_state_dict({"weight": of_unet.pop("null_embedding")})
    unet = UNet(**about["interpolation"]["constructor"]).eval()
    unet.load_state_dict(of_unet)
    return movq, {"unet": unet, "null": null}, about


def print_row(name, results):
    shares = (sum(result[trait] for result in results) / len(results) for trait in TRAITS)
    print(f"| {name} | {len(results)} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="gpu", help="what the weights were trained with")
    parser.add_argument("--weights", default="weights/nano")
    parser.add_argument("--clips", type=int, default=64)
    arguments = parser.parse_args()
    settings = PRESETS[arguments.preset]
    movq, networks, about = load_weights(arguments.weights)
    # The training code's detector only handles clips of one thing.
    drawn = [one for one in draw_scenes(settings, 2 * arguments.clips, "evaluation", unseen=True) if len(one[0].things) == 1]
    drawn = drawn[: arguments.clips]
    print("| | clips | " + " | ".join(TRAITS) + " |\n|---|---|" + "---|" * len(TRAITS))
    seen, seen_decoded, alone, blended, made = [], [], [], [], []
    for scene, number in drawn:
        film = render_scenes([(scene, number)], {"stride": 1}, about["frameSize"])
        latents = movq.encode(film[0])[None]
        decoded = movq.decode(latents[0]).clamp(-1, 1)
        seen.append(compare(scene, film[0]))
        seen_decoded.append(compare(scene, decoded))
        left, middle, right = temporal_groups(latents)
        between = temporal_groups(interpolate(networks, latents[:, ::KEYFRAME_STRIDE], SKIPS["films"]))[1]
        truth = temporal_groups(film)[1].flatten(0, 1)
        for quality, groups in ((alone, middle), (blended, linear_blend(left, right)), (made, between)):
            quality.append(decibels(movq.decode(groups.flatten(0, 1)), truth))
    print_row("detector on rendered truth", seen)
    print_row("truth through the autoencoder", seen_decoded)
    means = (sum(values) / len(values) for values in (alone, blended, made))
    print("frames between keyframes: autoencoder alone {:.2f} dB, linear blend of latents {:.2f} dB, interpolation {:.2f} dB".format(*means))


if __name__ == "__main__":
    main()
