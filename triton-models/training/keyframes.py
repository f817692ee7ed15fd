"""Stage 2: keyframe U-Net and text encoder, trained together on pooled clips; gauged by swapping caption words."""

import dataclasses
import random

import torch

from . import tokenizer
from .diffusion import draw_times, noised, velocity_weights
from .networks.text_encoder import TextEncoder
from .networks.unet import UNet
from .pool import Pool, draw_scenes, encode_clips, load_movq
from .trainer import Stage
from .world.grammar import WORLDS, Scene, caption, possible, random_scene, reverse_scene
from .world.vocabulary import REVERSED

PROBE_CLIPS = 64
PROBE_STEP = 995
# What the pooled text has to tell in training; motion words drown among the others if left to the pictures alone.
TRAITS = ("motion", "shape", "size", "colour", "background")
TEXT_BATCH = 96


def trait_of(scene, trait):
    return scene.background if trait == "background" else getattr(scene.things[0], trait)


def choices_of(world, trait):
    return getattr(world, f"{trait}s")


class NullEmbedding(torch.nn.Module):
    """What stands at token 0 when there is no text."""

    def __init__(self, context_dim):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(context_dim) * 0.5)

    def context(self, count, tokens):
        """(count, tokens, context_dim) and its mask: the null embedding, then zeros that are masked."""
        context = torch.cat([self.weight[None, None], self.weight.new_zeros(1, tokens - 1, len(self.weight))], dim=1)
        mask = torch.arange(tokens, device=self.weight.device) == 0
        return context.expand(count, -1, -1), mask.expand(count, -1)


class KeyframeStage(Stage):
    name = "keyframes"
    weight_decay = 0.01

    def build(self):
        options, shapes = self.settings["keyframes"], self.settings["architecture"]
        self.learning_rate, self.ema_decay = options["learning_rate"], options["ema_decay"]
        self.tokens = shapes["contextTokens"]
        self.world = WORLDS[self.settings["world"]]
        time_embed_dim = shapes["keyframes"]["time_embed_dim"]
        return torch.nn.ModuleDict({
            "unet": UNet(**shapes["keyframes"]),
            "text": TextEncoder(**shapes["textEncoder"]),
            "null": NullEmbedding(shapes["keyframes"]["context_dim"]),
            # Linear readers of the pooled text, for training only.
            "readers": torch.nn.ModuleDict({
                trait: torch.nn.Linear(time_embed_dim, len(choices_of(self.world, trait))) for trait in TRAITS
            }),
        }).to(self.device)

    def prepare(self):
        self.pool = Pool(self.run_folder, "clips", self.settings["clips"]["shards"])
        drawn = draw_scenes(self.settings, PROBE_CLIPS, "probe", unseen=True)
        movq = load_movq(self.settings, self.run_folder)
        self.probe_scenes, latents = encode_clips(movq, drawn, self.settings["clips"], self.settings)
        self.probe_latents = latents.float().to(self.device)
        self.positions = torch.arange(latents.shape[1], device=self.device) * (180 // latents.shape[1])

    def draw(self, families, generator):
        """Latents (videos, t, 4, h, w), scenes, each video's family as a number below `families`, and sentences.

        Each family's clips, and the same ones played backwards where words can say so. With equal noise they differ in
        nothing but the shape and what moves where, so that only these words can tell them apart.
        """
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        clips, scenes, members = [], [], []
        for number in range(families):
            drawn, latents = self.pool[source.randrange(len(self.pool))]
            backwards = [reverse_scene(scene) for scene in drawn]
            clips += [latents] + [z.flip(0)[None] for z, back in zip(latents, backwards) if back]
            scenes += drawn + [back for back in backwards if back]
            members += [number] * (len(scenes) - len(members))
        return torch.cat(clips).to(self.device), scenes, torch.tensor(members), [caption(s, source) for s in scenes]

    def reading_loss(self, scenes, context, mask):
        """Cross entropy of the traits as read from the pooled text, and a bound on its size."""
        pooled = self.networks["unet"].feature_pooling(context, mask, len(scenes))
        loss = torch.relu(pooled.pow(2).mean() - 1)
        for trait in TRAITS:
            choices = choices_of(self.world, trait)
            labels = torch.tensor([choices.index(trait_of(scene, trait)) for scene in scenes], device=self.device)
            loss = loss + torch.nn.functional.cross_entropy(self.networks["readers"][trait](pooled), labels)
        return loss

    def text_loss(self, generator):
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        scenes = [random_scene(self.world, source) for _ in range(TEXT_BATCH)]
        ids, mask = tokenizer.encode_batch([caption(scene, source) for scene in scenes], self.tokens)
        ids, mask = tokenizer.scatter_unknown(ids, 0.01, generator).to(self.device), mask.to(self.device)
        loss = self.reading_loss(scenes, self.networks["text"](ids, mask), mask)
        return loss, {"reading": loss.item()}

    def drop_text(self, text, mask, dropped):
        """Context (videos, tokens, dim) and mask, the null embedding where `dropped`."""
        null, null_mask = self.networks["null"].context(len(text), self.tokens)
        return torch.where(dropped[:, None, None], null, text), torch.where(dropped[:, None], null_mask, mask)

    def velocity(self, networks, noisy, time, context, mask, positions):
        """noisy (videos, t, 4, h, w), time (videos,), positions (t,) -> velocity of the same shape."""
        videos, frames = noisy.shape[:2]
        flat = noisy.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        output = networks["unet"](flat, time.repeat_interleave(frames), context, mask, positions.repeat(videos),
                                  num_temporal_groups=frames)
        return output.unflatten(0, (videos, frames))

    def loss(self, generator, progress):
        options = self.settings["keyframes"]
        if progress < options["text_until"]:
            return self.text_loss(generator)
        # At first every third keyframe, for three times as many clips: what moves where is learnt from these as well.
        stride = options["sparse_stride"] if progress < options["sparse_until"] else 1
        latents, scenes, members, sentences = self.draw(options["families"] * stride, generator)
        offset = int(torch.randint(stride, (1,), generator=generator))
        latents, positions = latents[:, offset::stride], self.positions[offset::stride]
        ids, mask = tokenizer.encode_batch(sentences, self.tokens)
        ids = tokenizer.scatter_unknown(ids, 0.01, generator)
        dropped = torch.rand(len(ids), generator=generator) < 0.1
        ids, mask = ids.to(self.device), mask.to(self.device)
        text = self.networks["text"](ids, mask)
        reading = self.reading_loss(scenes, text, mask)
        context, mask = self.drop_text(text, mask, dropped.to(self.device))
        # Layout and motion first, fine noise later.
        first, last = options["high_noise_share"]
        families = options["families"] * stride
        time = draw_times(families, first + (last - first) * progress, generator)[members]
        noise = torch.randn_like(latents[:families])[members.to(self.device)]
        noisy, target = noised(latents, noise, time.to(self.device))
        output = self.velocity(self.networks, noisy, time.to(self.device), context, mask, positions)
        errors = (output - target).pow(2).flatten(1).mean(1)
        loss = (errors * velocity_weights(time, options["high_noise_weight"]).to(self.device)).mean()
        loss = loss + options["reading_weight"] * reading
        figures = {"reading": reading.item()}
        if (time >= 900).any():
            figures["v900"] = errors[time.to(self.device) >= 900].mean().item()
        if (time < 600).any():
            figures["v600"] = errors[time.to(self.device) < 600].mean().item()
        return loss, figures

    @torch.no_grad()
    def probe(self, averaged):
        """Velocity error at almost pure noise, on every third keyframe of unseen clips: with the right caption, and with
        a word exchanged. Where the two do not differ, the network ignores the word."""
        source, world = random.Random(5), self.world

        def exchanged(trait):
            scenes = []
            for scene in self.probe_scenes:
                thing = scene.things[0]
                if trait == "background":
                    scenes.append(Scene(source.choice([b for b in world.backgrounds if b != scene.background and possible(thing, b)]), scene.things))
                    continue
                if trait == "reversed":
                    other = dataclasses.replace(thing, motion=REVERSED.get(thing.motion, thing.motion))
                else:
                    choices = [c for c in choices_of(world, trait) if c != getattr(thing, trait)]
                    other = dataclasses.replace(thing, **{trait: source.choice(choices)})
                scenes.append(Scene(scene.background, (other, *scene.things[1:])))
            return scenes

        generator = torch.Generator().manual_seed(11)
        latents, positions = self.probe_latents[:, ::3], self.positions[::3]
        noise = torch.randn(latents.shape, generator=generator).to(self.device)
        time = torch.full((len(noise),), PROBE_STEP, device=self.device)
        noisy, target = noised(latents, noise, time)
        figures = {}
        for trait in ("right", "reversed", "motion", "shape", "size", "colour", "background"):
            scenes = self.probe_scenes if trait == "right" else exchanged(trait)
            ids, mask = tokenizer.encode_batch([caption(scene, source, plain=True) for scene in scenes], self.tokens)
            context = averaged["text"](ids.to(self.device), mask.to(self.device))
            output = self.velocity(averaged, noisy, time, context, mask.to(self.device), positions)
            figures[trait] = (output - target).pow(2).mean().item()
        return figures
