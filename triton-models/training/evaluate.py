"""python3 -m training.evaluate --weights weights/nano --prompts 64 [--keyframes-only] [--sheet FILE.png]

Generates held-out prompts of the small world and prints how often the detector sees what they say; then, on true clips,
the detector's own accuracy, the autoencoder's and the interpolation's quality.
"""

import argparse
import random

import torch

from .autoencoder import decibels
from .generate import Pipeline
from .interpolation import linear_blend, temporal_groups
from .png import film_strips, save_png
from .pool import draw_scenes, render_scenes
from .settings import CPU
from .world.clips import KEYFRAME_STRIDE
from .world.detector import compare
from .world.grammar import caption

TRAITS = ("background", "colour", "size", "shape", "motion", "all")


def table_row(name, results):
    shares = (sum(r[trait] for r in results) / len(results) for trait in TRAITS)
    print(f"| {name} | {len(results)} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)


def by_trait(scenes, results):
    """Where it goes wrong: share of wholly right clips by motion, shape and size."""
    for trait in ("motion", "shape", "size"):
        groups = {}
        for scene, right in zip(scenes, results):
            groups.setdefault(getattr(scene.things[0], trait), []).append(right[trait])
        print(f"{trait}: " + ", ".join(f"{name} {sum(v)}/{len(v)}" for name, v in sorted(groups.items())))


def measure_interpolation(pipeline, drawn, options, generator):
    truth = render_scenes(drawn, {"stride": 1}, options["frame_size"])
    latents = torch.stack([pipeline.movq.encode(film) for film in truth])
    keyframes = latents[:, ::KEYFRAME_STRIDE]
    left, _, right = temporal_groups(latents)
    middle = temporal_groups(truth)[1].flatten(0, 1)

    def quality(groups):
        return decibels(pipeline.movq.decode(groups.flatten(0, 1)), middle)

    made = temporal_groups(pipeline.between(keyframes, generator))[1]
    print(f"frames between true keyframes: {quality(made):.2f} dB; linear blend of latents "
          f"{quality(linear_blend(left, right)):.2f} dB; autoencoder alone {quality(temporal_groups(latents)[1]):.2f} dB")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights/nano")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance-scale", type=float)
    parser.add_argument("--free", action="store_true", help="free wording instead of the plain one")
    parser.add_argument("--keyframes-only", action="store_true")
    parser.add_argument("--sheet", help="write a contact sheet")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipeline, generator, source = Pipeline(arguments.weights), torch.Generator().manual_seed(4), random.Random(4)
    drawn = draw_scenes(CPU, arguments.prompts, "evaluation", unseen=True)
    scenes = [scene for scene, _ in drawn]
    films, prompts = [], [caption(scene, source, plain=not arguments.free) for scene in scenes]
    for begin in range(0, len(prompts), 8):
        latents = pipeline.keyframes(prompts[begin : begin + 8], generator, arguments.steps, arguments.guidance_scale)
        films.append(pipeline.decode(latents if arguments.keyframes_only else pipeline.between(latents, generator)))
    films = torch.cat(films)
    print("| | clips | " + " | ".join(TRAITS) + " |\n|---|---|" + "---|" * len(TRAITS))
    results = [compare(scene, film) for scene, film in zip(scenes, films)]
    table_row("generated from unseen prompts", results)
    if not arguments.keyframes_only:
        truth = render_scenes(drawn, {"stride": 1}, CPU["frame_size"])
        table_row("detector on rendered truth", [compare(scene, film) for scene, film in zip(scenes, truth)])
        decoded = [pipeline.movq.decode(pipeline.movq.encode(film)).clamp(-1, 1) for film in truth]
        table_row("truth through the autoencoder", [compare(scene, film) for scene, film in zip(scenes, decoded)])
        print(f"autoencoder: {sum(decibels(d, t) for d, t in zip(decoded, truth)) / len(decoded):.2f} dB")
        measure_interpolation(pipeline, drawn[:16], CPU, generator)
    by_trait(scenes, results)
    if arguments.sheet:
        save_png(film_strips(films, 8), arguments.sheet)
        for index, (prompt, right) in enumerate(zip(prompts, results)):
            print(index, prompt, "" if right["all"] else "— wrong: " + ", ".join(t for t in TRAITS[:-1] if not right[t]))


if __name__ == "__main__":
    main()
