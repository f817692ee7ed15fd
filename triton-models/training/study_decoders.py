"""The decoders of the paper's table 3 at a small scale: nano's image decoder and temporal ones, on windows of eight frames."""

import math
import os
import statistics

import torch
import torch.nn.functional as F

from .networks.movq import MoVQ
from .pool import draw_scenes, load_movq, render_scenes
from .step import Step
from .trainer import Stage, learning_rate_at

WINDOW, WINDOWS, HELD_OUT, SCENES = 8, 2, 32, 128
CONV_3X1X1 = {"temporal": True, "temporal_kernel_size": (3, 1, 1), "temporal_conv_padding": (1, 0, 0)}
CONV_3X3X3 = {"temporal": True, "temporal_kernel_size": (3, 3, 3), "temporal_conv_padding": (1, 1, 1)}
# The paper's rows, by what is trained. It has no image decoder that is trained any further; here it shows what is due to training.
KINDS = {
    "image": ({}, None),
    "image, decoder trained": ({}, "decoder."),
    "3×1×1 conv, temporal layers trained": (CONV_3X1X1, "temporal_"),
    "3×1×1 conv, decoder trained": (CONV_3X1X1, "decoder."),
    "3×3×3 conv, temporal layers trained": (CONV_3X3X3, "temporal_"),
    "3×3×3 conv, decoder trained": (CONV_3X3X3, "decoder."),
}


def windows(settings, count, purpose, unseen=False):
    """(count, 8, 3, size, size): eight frames in a row from the middle of each of as many films."""
    drawn = draw_scenes(settings, count, purpose, unseen)
    films = torch.cat([render_scenes(drawn[i : i + 8], settings["films"], settings["frame_size"]) for i in range(0, count, 8)])
    return films[:, 24 : 24 + WINDOW].clone()


class Decoder(Stage):
    """Trains what `trained` begins the names of, from nano's autoencoder."""

    name, learning_rate, ema_decay, weight_decay = "decoder", 1e-4, 0.98, 0.0
    warm_up_steps = 5

    def __init__(self, settings, run_folder, device, temporal, trained):
        self.temporal, self.trained = temporal, trained
        super().__init__(settings, run_folder, device)

    def build(self):
        movq = MoVQ(**self.settings["architecture"]["movq"], **self.temporal)
        missing, unexpected = movq.load_state_dict(load_movq(self.settings, self.run_folder).state_dict(), strict=False)
        if unexpected or any("temporal_" not in name for name in missing):
            raise ValueError(f"weights do not fit: {unexpected} {missing}")
        for name, parameter in movq.named_parameters():
            parameter.requires_grad_(bool(self.trained) and name.startswith("decoder.") and self.trained in name)
        return torch.nn.ModuleDict({"movq": movq})

    def prepare(self):
        self.films = windows(self.settings, SCENES, "decoder windows")
        with torch.no_grad():
            movq = self.networks["movq"]
            self.latents = torch.cat([movq.encode(film)[None] for film in self.films])

    def draw(self, generator, progress):
        chosen = torch.randint(len(self.films), (WINDOWS,), generator=generator)
        return "windows", {"films": self.films[chosen], "latents": self.latents[chosen]}

    def loss(self, phase, batch):
        truth = batch["films"].flatten(0, 1)
        decoded = self.networks["movq"].decode(batch["latents"].flatten(0, 1), WINDOW)
        squared = F.mse_loss(decoded, truth)
        return 4 * squared + 0.5 * F.l1_loss(decoded, truth), {"mse": squared.detach()}


@torch.no_grad()
def judge(movq, films):
    """PSNR, and that of the change from one frame to the next, in decibels, from the mean error of all windows."""
    errors = []
    for film in films:
        decoded = movq.decode(movq.encode(film), WINDOW).clamp(-1, 1)
        errors.append([((made - truth) / 2).pow(2).mean().item()
                       for made, truth in ((decoded, film), (decoded.diff(dim=0), film.diff(dim=0)))])
    return [-10 * math.log10(statistics.mean(column)) for column in zip(*errors)]


def trained_decoder(stage, steps, seed, path):
    if os.path.exists(path):
        stage.networks.load_state_dict(torch.load(path))
        return
    stage.prepare()
    step, generator = Step(stage, None), torch.Generator().manual_seed(seed)
    for index in range(steps):
        phase, batch = stage.draw(generator, index / steps)
        figures = step(phase, batch, learning_rate_at(stage, index, index / steps))
        if index % 10 == 9:
            print(path, index + 1, round(float(figures["mse"]), 6), flush=True)
    torch.save(stage.networks.state_dict(), f"{path}.part")
    os.replace(f"{path}.part", path)


def study_decoders(settings, run_folder, steps, seeds, over_seeds, record):
    films = windows(settings, HELD_OUT, "held out windows", unseen=True)
    print("| | parameters of the decoder | trained | PSNR, dB | PSNR of changes, dB |\n|---|---|---|---|---|")
    for name, (temporal, trained) in KINDS.items():
        results = []
        for seed in range(1, seeds + 1 if trained else 2):
            torch.manual_seed(seed)
            stage = Decoder(settings, run_folder, "cpu", temporal, trained)
            if trained:
                slug = name.replace("×", "x").replace(",", "").replace(" ", "-")
                trained_decoder(stage, steps, seed, os.path.join(run_folder, f"decoder-{slug}-{steps}-{seed}.pt"))
            results.append(judge(stage.networks["movq"].eval(), films))
            record(run_folder, "decoders", name, steps if trained else 0, seed, dict(zip(("PSNR", "PSNR of changes"), results[-1])))
        parameters = list(stage.networks["movq"].decoder.parameters())
        counts = [sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)]
        cells = [over_seeds(list(column)) for column in zip(*results)]
        print(f"| {name} | {counts[0]} | {counts[1]} | " + " | ".join(cells) + " |", flush=True)
