"""Continues training finished keyframes: hard scenes are drawn more often, and clips are shown with the faults of sampling.

While a video is sampled, its shapes waver from frame to frame and are mixtures of what the words could mean; a network that
has only ever seen true clips under noise takes such faults for what it is shown. So a part of the clips is mixed here, frame
by frame, with its family's others and with the frames beside it before noise is added; what has to come out is the clip itself.
The text encoder stays as it is.
"""

import os
import random

import torch

from . import tokenizer
from .diffusion import ALPHAS_CUMPROD, STEPS, noised, velocity_towards, velocity_weights
from .keyframes import KeyframeStage, NullEmbedding
from .networks.text_encoder import TextEncoder
from .networks.unet import UNet
from .pool import KINDS, Pool, draw_kinds, encode_clips, family, kind_of, load_movq, movq_path
from .safetensors_io import load, save
from .world.grammar import WORLDS, caption

# Steps at which the probe measures; below the first, only the finest detail is left.
PROBE_STEPS = (200, 450, 700, 900)
PROBE_CLIPS = 8


def take_autoencoder(settings, run_folder):
    """Writes the exported autoencoder to where a full training run would have left it."""
    path = movq_path(settings, run_folder)
    if not os.path.exists(path):
        tensors = load(os.path.join(settings["refine"]["from"], "movq.safetensors"))
        save({name: tensor.float() for name, tensor in tensors.items()}, path)


def load_networks(settings, folder, strict=True):
    """The keyframes' U-Net, its null embedding and the text encoder from exported weights, as float32. Unless `strict`, the U-Net
    may be another variant, whose own parameters keep their first values."""
    shapes = settings["architecture"]
    networks = torch.nn.ModuleDict({
        "unet": UNet(**shapes["keyframes"]),
        "text": TextEncoder(**shapes["textEncoder"]),
        "null": NullEmbedding(shapes["keyframes"]["context_dim"]),
    })
    of_unet = load(os.path.join(folder, "keyframes.safetensors"))
    networks["null"].load_state_dict({"weight": of_unet.pop("null_embedding")})
    if not strict:
        shapes = {name: tensor.shape for name, tensor in networks["unet"].state_dict().items()}
        of_unet = {name: tensor for name, tensor in of_unet.items() if tensor.shape == shapes.get(name)}
    networks["unet"].load_state_dict(of_unet, strict=strict)
    networks["text"].load_state_dict(load(os.path.join(folder, "text-encoder.safetensors")))
    return networks


def mixed(latents, members, options, generator):
    """Latents (families·members, t, 4, h, w) with a part of the clips mixed, each frame by its own share, with the same or a
    neighbouring frame of a member of the family."""
    count, frames = latents.shape[:2]
    first = torch.arange(count)[:, None] // members * members
    other = first + torch.randint(0, members, (count, frames), generator=generator)
    beside = (torch.arange(frames) + torch.randint(-1, 2, (count, frames), generator=generator)).clamp(0, frames - 1)
    most = options["most_mixed"] * torch.rand(count, 1, generator=generator)
    most = most * (torch.rand(count, 1, generator=generator) < options["mixed_share"])
    share = (most * torch.rand(count, frames, generator=generator)).to(latents.device)[:, :, None, None, None]
    return torch.lerp(latents, latents[other, beside], share)


class RefineStage(KeyframeStage):
    name = "refine"
    warm_up_steps = 10
    # The probe takes half a minute on one core.
    checkpoint_seconds = 120
    probe_seconds = 900

    def build(self):
        options, shapes = self.settings["refine"], self.settings["architecture"]
        self.learning_rate, self.ema_decay, self.parts = options["learning_rate"], options["ema_decay"], options["parts"]
        self.tokens = shapes["contextTokens"]
        self.world = WORLDS[self.settings["world"]]
        networks = self.load_networks(options["from"])
        networks["text"].requires_grad_(False)
        return networks.to(self.device)

    def load_networks(self, folder):
        return load_networks(self.settings, folder)

    def matrices(self):
        others = ("in_layer", "out_layer", "embed")
        return [parameter for name, parameter in self.networks["unet"].named_parameters()
                if parameter.dim() > 1 and not any(word in name for word in others)]

    def prepare(self):
        self.pool = Pool(self.run_folder, "clips", self.settings["clips"]["shards"], self.device)
        self.by_kind = {kind: [] for kind in KINDS}
        for clips in self.pool.families:
            self.by_kind[kind_of(self.pool.scenes[clips[0]])].append(clips)
        self.positions = torch.arange(self.pool.latents.shape[1], device=self.device) * (180 // self.pool.latents.shape[1])
        self.probes = {}

    def draw_family(self, source):
        kinds = self.settings["refine"]["kinds"]
        [kind] = source.choices(list(kinds), kinds.values())
        return source.choice(self.by_kind[kind])

    def draw(self, generator, progress):
        options = self.settings["refine"]
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        families, members = options["families"], options["members"]
        latents, scenes, sentences = self.draw_clips(families, members, source)
        # A step from each of as many equal parts of the schedule, for less noise in the sum.
        parts = torch.randperm(families, generator=generator) + torch.rand(families, generator=generator)
        time = options["first_step"] + parts / families * (STEPS - options["first_step"])
        time = time.clamp(max=STEPS - 1).long().repeat_interleave(members)
        ids, mask = tokenizer.encode_batch(sentences, self.tokens)
        batch = {"latents": latents, "mixed": mixed(latents, members, options, generator), "time": time,
                 "weights": velocity_weights(time, options["high_noise_weight"]), "ids": ids, "mask": mask,
                 "dropped": torch.rand(len(scenes), generator=generator) < 0.1}
        return "refine", {name: tensor.to(self.device) for name, tensor in batch.items()}

    def loss(self, phase, batch):
        members = self.settings["refine"]["members"]
        latents, time = batch["latents"], batch["time"]
        context, mask = self.drop_text(self.networks["text"](batch["ids"], batch["mask"]), batch["mask"], batch["dropped"])
        noise = torch.randn_like(latents[::members]).repeat_interleave(members, dim=0)
        noisy, _ = noised(batch["mixed"], noise, time)
        target = velocity_towards(latents, noisy, time)
        output = self.velocity(self.networks, noisy, time, context, mask, self.positions)
        errors = (output.float() - target).pow(2).flatten(1).mean(1) * batch["weights"]

        def mean_where(chosen):
            return ((errors * chosen).sum() / chosen.sum().clamp(min=1)).detach()

        return errors.mean(), {"high": mean_where(time >= 700), "low": mean_where(time < 400)}

    def make_probes(self):
        """Unseen scenes and their latents of each kind."""
        movq = load_movq(self.settings, self.run_folder)
        for kind in KINDS:
            drawn = draw_kinds(self.settings, PROBE_CLIPS, f"probe {kind}", {kind: 1}, unseen=True)
            scenes, latents = encode_clips(movq, drawn, self.settings["clips"], self.settings)
            self.probes[kind] = scenes, latents.float().to(self.device)

    @torch.no_grad()
    def probe(self, averaged):
        """Error of x₀ on unseen clips of each kind: at several steps with the right caption, and at one with another
        shape."""
        if not self.probes:
            self.make_probes()
        figures, source = {}, random.Random(5)
        for kind, (scenes, latents) in self.probes.items():
            others = [source.choice(family(scene, self.world)) for scene in scenes]
            generator = torch.Generator().manual_seed(11)
            for step, name, shown in [*((step, step, scenes) for step in PROBE_STEPS), (PROBE_STEPS[2], "swapped", others)]:
                if name == "swapped":
                    generator.manual_seed(13)
                noise = torch.randn(latents.shape, generator=generator).to(self.device)
                time = torch.full((len(latents),), step, device=self.device)
                noisy, target = noised(latents, noise, time)
                ids, mask = tokenizer.encode_batch([caption(scene, source, plain=True) for scene in shown], self.tokens)
                context = averaged["text"](ids.to(self.device), mask.to(self.device))
                with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.settings["bfloat16"]):
                    output = self.velocity(averaged, noisy, time, context, mask.to(self.device), self.positions)
                error = (output.float() - target).pow(2).mean() * (1 - ALPHAS_CUMPROD[step])
                figures[f"{kind} {name}"] = error.item()
        return figures
