"""Writes trained networks as the serving side reads them: float16 safetensors, tokenizer.json, architecture.json."""

import json
import os

from .interpolation import InterpolationStage
from .keyframes import KeyframeStage
from .pool import load_movq
from .refine import RefineStage
from .safetensors_io import save
from .settings import SAMPLING
from .tokenizer import END, PAD, UNKNOWN, save_tokenizer
from .trainer import load_averaged


def architecture(settings):
    """The content of architecture.json: constructor arguments by network, and the settings for sampling."""
    shapes = settings["architecture"]
    text = {key: value for key, value in shapes["textEncoder"].items() if key != "context_dim"}
    size = settings["frame_size"]
    return {
        "name": "nano",
        "frameSize": size,
        "latentSize": size // 8,
        "latentChannels": shapes["movq"]["z_channels"],
        "numKeyframes": shapes["keyframes"]["num_frames"],
        "positions": list(range(0, 180, 180 // shapes["keyframes"]["num_frames"])),
        "contextTokens": shapes["contextTokens"],
        "tokenizer": {"file": "tokenizer.json", "padId": PAD, "endId": END, "unknownId": UNKNOWN},
        "textEncoder": {"constructor": text, "contextDim": shapes["textEncoder"]["context_dim"], "layerNormEpsilon": 1e-6,
                        "file": "text-encoder.safetensors"},
        "keyframes": {"constructor": shapes["keyframes"], "prediction": "v", "schedule": "cosine", "trainingSteps": 1000,
                      "sampling": SAMPLING["keyframes"], "file": "keyframes.safetensors"},
        "interpolation": {"constructor": shapes["interpolation"], "prediction": "sample", "schedule": "cosine", "trainingSteps": 1000,
                          "contextTokens": 2, "target": "difference", "sampling": SAMPLING["interpolation"], "file": "interpolation.safetensors"},
        "movq": {"constructor": shapes["movq"], "file": "movq.safetensors"},
    }


def write_architecture(settings, folder):
    save_tokenizer(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "architecture.json"), "w") as file:
        json.dump(architecture(settings), file, indent=2)
        file.write("\n")


def halves(tensors):
    return {name: tensor.half() for name, tensor in tensors.items()}


def of_unet(networks):
    return {**networks["unet"].state_dict(), "null_embedding": networks["null"].weight}


def export_refined(settings, run_folder, folder):
    """Writes the refined keyframes' averaged weights; the other files in the folder stay as they are."""
    networks = load_averaged(run_folder, RefineStage(settings, run_folder, settings["device"]))
    save(halves(of_unet(networks)), os.path.join(folder, "keyframes.safetensors"))


def export_weights(settings, run_folder, folder):
    """Writes the averaged weights of every network; a text encoder goes with its keyframe U-Net."""
    os.makedirs(folder, exist_ok=True)
    write_architecture(settings, folder)
    keyframes = load_averaged(run_folder, KeyframeStage(settings, run_folder, settings["device"]))
    interpolation = load_averaged(run_folder, InterpolationStage(settings, run_folder, settings["device"]))
    for name, networks in (("keyframes", keyframes), ("interpolation", interpolation)):
        save(halves(of_unet(networks)), os.path.join(folder, f"{name}.safetensors"))
    save(halves(keyframes["text"].state_dict()), os.path.join(folder, "text-encoder.safetensors"))
    save(halves(load_movq(settings, run_folder).state_dict()), os.path.join(folder, "movq.safetensors"))
