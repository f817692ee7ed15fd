"""python3 -m training.train --preset cpu --run FOLDER --weights FOLDER

Trains everything from the preset's seed: autoencoder, pools of encoded clips, interpolation, keyframes; then writes the
weights. `--preset refine` goes on with the keyframes of weights/nano instead. Run again, it goes on where it stopped.
`--until` ends after a stage. Run from triton-models/.
"""

import argparse
import os

import torch

from .autoencoder import AutoencoderStage
from .export import export_refined, export_weights
from .interpolation import InterpolationStage
from .keyframes import KeyframeStage
from .pool import finish_autoencoder, make_pool
from .refine import RefineStage, take_autoencoder
from .settings import PRESETS
from .trainer import run_stage


def steps(settings, run_folder, weights_folder):
    """(name, function) in order; each does nothing if its result exists already."""
    def train(stage_class):
        stage = stage_class(settings, run_folder, settings["device"])
        return lambda: run_stage(stage, settings[stage.name]["minutes"], settings["seed"], settings["workers"])

    if "refine" in settings:
        return [
            ("movq", lambda: take_autoencoder(settings, run_folder)),
            ("clips", lambda: make_pool(settings, run_folder, "clips")),
            ("refine", train(RefineStage)),
            ("export", lambda: export_refined(settings, run_folder, weights_folder)),
        ]
    return [
        ("autoencoder", train(AutoencoderStage)),
        ("movq", lambda: finish_autoencoder(settings, run_folder)),
        *((name, lambda name=name: make_pool(settings, run_folder, name)) for name in ("clips", "films", "slow_films")),
        ("interpolation", train(InterpolationStage)),
        ("keyframes", train(KeyframeStage)),
        ("export", lambda: export_weights(settings, run_folder, weights_folder)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--run", required=True, help="folder for checkpoints, pools and logs")
    parser.add_argument("--weights", default="weights/nano", help="folder for the finished weights")
    parser.add_argument("--until", help="the last step to take")
    arguments = parser.parse_args()
    settings = PRESETS[arguments.preset]
    os.makedirs(arguments.run, exist_ok=True)
    torch.manual_seed(settings["seed"])
    if settings["device"] == "cpu":
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    for name, step in steps(settings, arguments.run, arguments.weights):
        step()
        if name == arguments.until:
            return


if __name__ == "__main__":
    main()
