"""python3 -m training.variants PRESET --run FOLDER [--minutes N] [--weights FOLDER]

Trains the network in which a preset differs from nano, such as nano-conv3d-attn1d-blocks or nano-masked-frames, at nano's size on
one core, and writes its weights where the preset looks for them. Keyframes start from nano's own as far as these fit, with nano's
text encoder. Run again, it goes on where it stopped. Run from triton-models/.
"""

import argparse
import json
import os

import torch

from .arguments import at_least_one, positive
from .export import halves, of_unet
from .interpolation import InterpolationStage
from .masked_frames import MaskedFramesStage
from .pool import make_pool
from .refine import RefineStage, load_networks, take_autoencoder
from .safetensors_io import save
from .settings import INTERPOLATION, REFINE
from .trainer import load_averaged, run_stage

PRESETS_FOLDER = "presets"
STAGES = ("keyframes", "interpolation")
FILMS = {"films": {"count": 240, "shards": 4, "stride": 1}, "slow_films": {"count": 60, "shards": 2, "stride": 1, "pace": 0.25}}


class KeyframeVariant(RefineStage):
    name = "keyframes"

    def load_networks(self, folder):
        return load_networks(self.settings, folder, strict=False)


def settings_of(preset, minutes, clips=None):
    """(stage, settings) of a preset that extends nano by one network's arguments."""
    path = os.path.join(PRESETS_FOLDER, f"{preset}.json")
    if not os.path.exists(path):
        raise SystemExit(f"preset {preset}: there is no {path}")
    with open(path) as file:
        described = json.load(file)
    stages = [stage for stage in STAGES if "network" in described.get(stage, {})]
    if described.get("extends") != "nano" or len(stages) != 1:
        raise SystemExit(f"preset {preset}: must extend nano by the arguments of one network, of {' or '.join(STAGES)}")
    [stage] = stages
    shapes = REFINE["architecture"]
    settings = {**REFINE, **FILMS, "architecture": {**shapes, stage: {**shapes[stage], **described[stage]["network"]}},
                "interpolation": {**INTERPOLATION, "minutes": minutes, "ema_decay": 0.995, "batch": 2},
                "keyframes": {"minutes": minutes}}
    if clips is not None:
        settings |= {name: {**settings[name], "count": clips, "shards": 1} for name in ("clips", *FILMS)}
    return stage, settings


def stage_class(stage, settings):
    if stage == "keyframes":
        return KeyframeVariant, ("clips",)
    is_masked = settings["architecture"]["interpolation"].get("sequence_frames") is not None
    return MaskedFramesStage if is_masked else InterpolationStage, tuple(FILMS)


def train_variant(preset, run_folder, weights_folder, minutes, clips=None):
    """Writes the weights' path at the end."""
    stage, settings = settings_of(preset, minutes, clips)
    kind, pools = stage_class(stage, settings)
    # Both first: training must not end without a place for its weights.
    os.makedirs(run_folder, exist_ok=True)
    os.makedirs(weights_folder, exist_ok=True)
    take_autoencoder(settings, run_folder)
    for name in pools:
        make_pool(settings, run_folder, name)
    run_stage(kind(settings, run_folder, "cpu"), minutes, settings["seed"], 1)
    networks = load_averaged(run_folder, kind(settings, run_folder, "cpu"))
    path = os.path.join(weights_folder, f"{stage}.safetensors")
    save(halves(of_unet(networks)), path)
    print(f"wrote {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--run", required=True, help="folder for checkpoints, pools and logs")
    parser.add_argument("--minutes", type=positive, default=60, help="of processor time")
    parser.add_argument("--clips", type=at_least_one, help="clips to train on; default: thousands, which take minutes to encode")
    parser.add_argument("--weights", help="folder for the finished weights; default: weights/PRESET")
    arguments = parser.parse_args()
    torch.manual_seed(REFINE["seed"])
    torch.set_num_threads(1)
    weights = arguments.weights or os.path.join("weights", arguments.preset)
    train_variant(arguments.preset, arguments.run, weights, arguments.minutes, arguments.clips)


if __name__ == "__main__":
    main()
