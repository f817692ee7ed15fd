"""python3 -m training.train --preset cpu --run FOLDER [--until STAGE]: trains everything, resuming what is there."""

import argparse
import os

import torch

from .autoencoder import AutoencoderStage
from .settings import PRESETS
from .trainer import run_stage


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--run", required=True, help="folder for checkpoints and logs")
    arguments = parser.parse_args()
    settings = PRESETS[arguments.preset]
    os.makedirs(arguments.run, exist_ok=True)
    torch.manual_seed(settings["seed"])
    for name, kind in (("autoencoder", AutoencoderStage),):
        run_stage(kind(settings, arguments.run, settings["device"]), settings[name]["minutes"], settings["seed"], settings["workers"])


if __name__ == "__main__":
    main()
