"""Stage 3: keyframe U-Net and text encoder, trained together on pooled clips; probed by swapping caption words."""

import dataclasses
import random

import torch

from . import tokenizer
from .diffusion import FIRST_STEP, draw_times, noised, velocity_weights
from .networks.text_encoder import TextEncoder
from .networks.unet import UNet
from .pool import Pool, draw_scenes, encode_clips, load_movq
from .trainer import Stage
from .world.grammar import WORLDS, Scene, caption, possible, random_scene, reverse_scene
from .world.vocabulary import REVERSED

PROBE_CLIPS = 64
TRAITS = ("motion", "shape", "size", "colour", "background")
TEXT_BATCH = 96


def choices_of(world, trait):
    return getattr(world, f"{trait}s")


def labels_of(scene, world):
    """Traits that the pooled text must encode in training, as numbers by name; the pictures alone teach motion words too
    slowly. For a missing second thing, every trait is the number after the last."""
    labels = {"background": world.backgrounds.index(scene.background)}
    for index in range(2 if world.pairs else 1):
        for trait in TRAITS[:4]:
            choices = choices_of(world, trait)
            there = index < len(scene.things)
            labels[f"{trait}{index}"] = choices.index(getattr(scene.things[index], trait)) if there else len(choices)
    return labels


class NullEmbedding(torch.nn.Module):
    """The embedding of token 0 if there is no text."""

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
                name: torch.nn.Linear(time_embed_dim, len(choices_of(self.world, name.rstrip("01"))) + name.endswith("1"))
                for name in labels_of(random_scene(self.world, random.Random(0)), self.world)
            }),
        }).to(self.device)

    def prepare(self):
        self.pool = Pool(self.run_folder, "clips", self.settings["clips"]["shards"], self.device)
        drawn = draw_scenes(self.settings, PROBE_CLIPS, "probe", unseen=True)
        movq = load_movq(self.settings, self.run_folder)
        self.probe_scenes, latents = encode_clips(movq, drawn, self.settings["clips"], self.settings)
        self.probe_latents = latents.float().to(self.device)
        self.positions = torch.arange(latents.shape[1], device=self.device) * (180 // latents.shape[1])

    def draw_family(self, source):
        """The clips of one family."""
        return source.choice(self.pool.families)

    def draw_clips(self, families, members, source):
        """Latents (families·members, t, 4, h, w), their scenes and sentences: this many clips of each family, forwards or,
        where words can say so, backwards.

        With equal noise the members of a family differ in nothing but one trait and what moves where, so that only these
        words can tell them apart.
        """
        drawn = []
        for _ in range(families):
            clips = self.draw_family(source)
            ways = [(clip, self.pool.scenes[clip], False) for clip in clips]
            ways += [(clip, back, True) for clip, scene, _ in ways if (back := reverse_scene(scene))]
            drawn += source.sample(ways, members) if len(ways) >= members else source.choices(ways, k=members)
        clips, scenes, backwards = zip(*drawn)
        return self.pool.clips(clips, backwards), scenes, [caption(scene, source) for scene in scenes]

    def words(self, scenes, sentences, generator):
        """Inputs of `reading_loss` and the text encoder from captions, by name."""
        ids, mask = tokenizer.encode_batch(sentences, self.tokens)
        labels = [labels_of(scene, self.world) for scene in scenes]
        batch = {"ids": tokenizer.scatter_unknown(ids, 0.01, generator), "mask": mask,
                 "labels": torch.tensor([list(label.values()) for label in labels])}
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def reading_loss(self, batch, context):
        """Cross entropy of the traits as read from the pooled text, and a bound on its size."""
        pooled = self.networks["unet"].feature_pooling(context, batch["mask"], len(context))
        loss = torch.relu(pooled.pow(2).mean() - 1)
        for reader, labels in zip(self.networks["readers"].values(), batch["labels"].unbind(1)):
            loss = loss + torch.nn.functional.cross_entropy(reader(pooled), labels)
        return loss

    def drop_text(self, text, mask, dropped):
        """Context (videos, tokens, dim) and mask, the null embedding where `dropped`."""
        null, null_mask = self.networks["null"].context(len(text), self.tokens)
        return torch.where(dropped[:, None, None], null, text), torch.where(dropped[:, None], null_mask, mask)

    @staticmethod
    def velocity(networks, noisy, time, context, mask, positions):
        """noisy (videos, t, 4, h, w), time (videos,), positions (t,) -> velocity of the same shape."""
        videos, frames = noisy.shape[:2]
        flat = noisy.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        output = networks["unet"](flat, time.repeat_interleave(frames), context, mask, positions.repeat(videos),
                                  num_temporal_groups=frames)
        return output.unflatten(0, (videos, frames))

    def draw(self, generator, progress):
        options = self.settings["keyframes"]
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        if progress < options["text_until"]:
            scenes = [random_scene(self.world, source) for _ in range(TEXT_BATCH)]
            return "text", self.words(scenes, [caption(scene, source) for scene in scenes], generator)
        # At first only every third keyframe, for three times as many clips: these suffice to learn layout and motion.
        is_sparse = progress < options["sparse_until"]
        stride = options["sparse_stride"] if is_sparse else 1
        families, members = options["families"] * stride, options["members"]
        latents, scenes, sentences = self.draw_clips(families, members, source)
        offset = source.randrange(stride)
        # Layout and motion first, fine noise later.
        first, last = options["high_noise_share"]
        time = draw_times(families, first + (last - first) * progress, generator).repeat_interleave(members)
        batch = {"time": time, "weights": velocity_weights(time, options["high_noise_weight"]),
                 "dropped": torch.rand(len(scenes), generator=generator) < 0.1}
        return "sparse" if is_sparse else "dense", {
            "latents": latents[:, offset::stride], "positions": self.positions[offset::stride],
            **self.words(scenes, sentences, generator), **{name: tensor.to(self.device) for name, tensor in batch.items()},
        }

    def loss(self, phase, batch):
        options = self.settings["keyframes"]
        text = self.networks["text"](batch["ids"], batch["mask"])
        reading = self.reading_loss(batch, text)
        if phase == "text":
            return reading, {"reading": reading.detach()}
        context, mask = self.drop_text(text, batch["mask"], batch["dropped"])
        latents, time = batch["latents"], batch["time"]
        noise = torch.randn_like(latents[:: options["members"]]).repeat_interleave(options["members"], dim=0)
        noisy, target = noised(latents, noise, time)
        output = self.velocity(self.networks, noisy, time, context, mask, batch["positions"])
        errors = (output.float() - target).pow(2).flatten(1).mean(1)
        loss = (errors * batch["weights"]).mean() + options["reading_weight"] * reading

        def mean_where(chosen):
            return ((errors * chosen).sum() / chosen.sum().clamp(min=1)).detach()

        return loss, {"reading": reading.detach(), "v900": mean_where(time >= 900), "v600": mean_where(time < 600)}

    @torch.no_grad()
    def probe(self, averaged):
        """Velocity error at almost pure noise, on every third keyframe of unseen clips: with the right caption, and with a
        word replaced. If the two are equal, the network ignores the word."""
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
        time = torch.full((len(noise),), FIRST_STEP, device=self.device)
        noisy, target = noised(latents, noise, time)
        figures = {}
        for trait in ("right", "reversed", "motion", "shape", "size", "colour", "background"):
            scenes = self.probe_scenes if trait == "right" else exchanged(trait)
            ids, mask = tokenizer.encode_batch([caption(scene, source, plain=True) for scene in scenes], self.tokens)
            context = averaged["text"](ids.to(self.device), mask.to(self.device))
            output = self.velocity(averaged, noisy, time, context, mask.to(self.device), positions)
            figures[trait] = (output - target).pow(2).mean().item()
        return figures
