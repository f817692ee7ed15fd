"""python3 -m unittest training.test_training (from triton-models/)."""

import copy
import dataclasses
import os
import random
import tempfile
import unittest

import torch

from . import tokenizer
from .autoencoder import fold_latent_scale
from .diffusion import ALPHAS_CUMPROD, FIRST_STEP, noised, velocity_towards
from .evaluate import load_weights
from .interpolation import InterpolationStage, interpolate, linear_blend, temporal_groups
from .networks import cpu_norm
from .networks.layers import ConditionalGroupNorm
from .muon import Muon, orthogonal
from .networks.movq import MoVQ
from .networks.unet import UNet
from .pool import draw_kinds, family, kind_of, make_pool, render_scenes
from .refine import RefineStage, mixed, take_autoencoder
from .safetensors_io import load, save
from .settings import ARCHITECTURE, CPU, REFINE
from .step import Step
from .study import build, interpolation_designs, keyframe_designs, parameters
from .study_perturbation import denoised, perturbed
from .variants import settings_of, stage_class
from .world.clips import clip_paths, progress, render_clips
from .world.detector import compare
from .world.grammar import WORLDS, Scene, Thing, World, all_words, caption, held_out, random_scene, reverse_scene


class WorldTest(unittest.TestCase):
    def test_detector_sees_what_was_drawn(self):
        for world, least in ((WORLDS["small"], 0.98), (World(pairs=0.0), 0.96)):
            source = random.Random(1)
            scenes = [random_scene(world, source, unseen=i % 2 == 0) for i in range(100)]
            clips = [render_clips([s], [clip_paths(s, progress(), source)], 64)[0] for s in scenes]
            self.assertGreaterEqual(sum(compare(s, c)["all"] for s, c in zip(scenes, clips)) / len(scenes), least)

    def test_played_backwards_a_clip_is_one_of_the_reversed_scene(self):
        source = random.Random(2)
        for _ in range(50):
            scene = random_scene(WORLDS["small"], source)
            clip = render_clips([scene], [clip_paths(scene, progress(), random.Random(3))], 64)
            backwards = reverse_scene(scene)
            other = render_clips([backwards], [clip_paths(backwards, progress(), random.Random(3))], 64)
            self.assertLess((clip.flip(1) - other).abs().max().item(), 1e-3)

    def test_what_is_held_out_stays_so_backwards(self):
        source = random.Random(4)
        scenes = [random_scene(WORLDS["small"], source, unseen=i % 2 == 0) for i in range(200)]
        self.assertEqual([held_out(s) for s in scenes], [held_out(reverse_scene(s)) for s in scenes])
        self.assertEqual(sum(map(held_out, scenes)), 100)

    def test_families_differ_in_shape_alone_and_hold_nothing_that_is_held_out(self):
        world, source = WORLDS["small"], random.Random(6)
        families = [family(random_scene(world, source), world) for _ in range(200)]
        for scene, *others in families:
            self.assertFalse(any(map(held_out, [scene, *others])))
            shapes = [member.things[0].shape for member in (scene, *others)]
            self.assertEqual(len(set(shapes)), len(shapes))
            for other in others:
                alike = dataclasses.replace(other.things[0], shape=scene.things[0].shape)
                self.assertEqual(Scene(other.background, (alike,)), scene)
        self.assertEqual(max(map(len, families)), len(world.shapes))

    def test_every_caption_is_in_the_vocabulary(self):
        source = random.Random(5)
        for _ in range(2000):
            ids, _ = tokenizer.encode(caption(random_scene(WORLDS["full"], source), source), 64)
            self.assertNotIn(tokenizer.UNKNOWN, ids)
        self.assertEqual(len(tokenizer.VOCABULARY), len(all_words()) + 3)

    def test_cut_prompts_end_with_the_end(self):
        ids, mask = tokenizer.encode("red " * 40, 8)
        self.assertEqual((ids[-1], len(ids), all(mask)), (tokenizer.END, 8, True))


class NetworkTest(unittest.TestCase):
    def test_folding_the_latent_scale_changes_no_picture(self):
        movq = MoVQ(**ARCHITECTURE["movq"]).eval()
        images = torch.rand(2, 3, 64, 64) * 2 - 1
        with torch.no_grad():
            before, latents = movq.decode(movq.encode(images)), movq.encode(images)
            low, high = latents.amin(dim=(0, 2, 3)), latents.amax(dim=(0, 2, 3))
            fold_latent_scale(movq, low, high)
            folded = movq.encode(images)
            self.assertLess((movq.decode(folded) - before).abs().max().item(), 1e-4)
        self.assertAlmostEqual(folded.min().item(), -1, places=4)
        self.assertAlmostEqual(folded.max().item(), 1, places=4)

    def test_the_frame_position_reaches_every_frame(self):
        unet = UNet(**ARCHITECTURE["keyframes"]).eval()
        x, positions = torch.randn(15, 4, 8, 8), torch.arange(15) * 12
        context, mask = torch.randn(1, 32, 64), torch.ones(1, 32, dtype=torch.bool)
        time = torch.full((15,), 500.0)
        with torch.no_grad():
            first = unet(x, time, context, mask, positions)
            second = unet(x, time, context, mask, positions.flip(0))
        self.assertTrue(((first - second).abs().amax(dim=(1, 2, 3))[[0, 3, 14]] > 1e-6).all())

    @unittest.skipUnless(torch.cuda.is_available(), "no GPU")
    def test_on_a_gpu_a_norm_and_its_slopes_are_what_they_are_without_one(self):
        norm = ConditionalGroupNorm(8, 80, 16)
        x, embedding = torch.randn(6, 80, 16, 16, requires_grad=True), torch.randn(6, 16)
        results = []
        for device in ("cpu", "cuda"):
            norm, there = norm.to(device), x.to(device)
            y = norm(there, embedding.to(device), activate=True)
            slopes = torch.autograd.grad(y.pow(2).sum(), [there, *norm.parameters()])
            results.append([tensor.detach().cpu() for tensor in (y, *slopes)])
        for expected, found in zip(*results):
            self.assertLess((expected - found).norm() / expected.norm(), 1e-3)

    @unittest.skipUnless(cpu_norm.library(), "no C++ compiler")
    def test_in_bfloat16_a_norm_and_its_slopes_are_what_they_are_in_float32(self):
        norm = ConditionalGroupNorm(8, 80, 16)
        x, embedding = torch.randn(6, 80, 16, 16) * 2 + 1, torch.randn(6, 16)
        # Far below zero SiLU's exponential is beyond float32.
        x[0, 0, 0, 0] = -4000
        for activate in (True, False):
            results = []
            for dtype in (torch.float32, torch.bfloat16):
                there = x.to(torch.bfloat16).to(dtype).requires_grad_()
                y = norm(there, embedding, activate)
                weights = torch.linspace(0, 1, y.numel()).view_as(y)
                slopes = torch.autograd.grad((y.float() * weights).sum(), [there, *norm.parameters()])
                results.append([tensor.detach().float() for tensor in (y, *slopes)])
            for expected, found in zip(*results):
                self.assertLess((expected - found).norm() / expected.norm(), 0.02)

    def test_safetensors_come_back(self):
        tensors = {"a.b": torch.randn(3, 2), "c": torch.arange(4), "d": torch.randn(5).half()}
        with tempfile.TemporaryDirectory() as folder:
            save(tensors, os.path.join(folder, "x.safetensors"))
            loaded = load(os.path.join(folder, "x.safetensors"))
        self.assertTrue(all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items()))


class MuonTest(unittest.TestCase):
    def test_a_step_has_about_equal_singular_values_and_the_matrix_s_directions(self):
        for shape in ((24, 60), (60, 24), (32, 32)):
            matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
            left, values, right = torch.linalg.svd(matrix, full_matrices=False)
            found = torch.diag(left.T @ orthogonal(matrix) @ right.T)
            self.assertTrue(((found > 0.6) & (found < 1.3))[values > 0.1 * values[0]].all())
            together = orthogonal(torch.stack([torch.randn(shape), matrix]))
            self.assertTrue(torch.allclose(together[1], orthogonal(matrix), atol=1e-3))

    def test_what_is_not_finite_changes_nothing(self):
        weight = torch.nn.Parameter(torch.ones(4, 3, 2))
        optimizer = Muon([weight], lr=0.1)
        weight.grad = torch.randn(4, 3, 2)
        optimizer.step()
        before = weight.detach().clone()
        weight.grad, optimizer.found_inf = torch.full((4, 3, 2), torch.nan), torch.tensor(1.0)
        optimizer.step()
        self.assertTrue(torch.equal(weight, before))
        weight.grad, optimizer.found_inf = torch.ones(4, 3, 2), torch.tensor(0.0)
        optimizer.step()
        self.assertTrue(torch.isfinite(weight).all() and not torch.equal(weight, before))


class InterpolationTest(unittest.TestCase):
    def stage(self):
        stage = InterpolationStage(CPU, "", "cpu")
        films = torch.rand(2, 57, 4, 8, 8) - 0.5
        batch = {"films": films, "skips": torch.tensor([3, 1]), "level": torch.tensor([0, 5]), "kept": torch.tensor([1.0, 0.99]),
                 "time": torch.tensor([FIRST_STEP, 10]), "given": torch.tensor([True, False])}
        return stage, Step(stage, copy.deepcopy(stage.networks).requires_grad_(False)), batch

    def test_it_begins_as_the_blend_and_never_reads_the_noise(self):
        stage, step, batch = self.stage()
        keyframes = batch["films"][:, ::4]
        left, _, right = temporal_groups(batch["films"])
        made = temporal_groups(interpolate(stage.networks, keyframes, 3))[1]
        self.assertTrue(torch.equal(made, linear_blend(left, right)))
        for _ in range(3):
            step("films", batch, 1e-2)
        self.assertFalse(torch.equal(temporal_groups(interpolate(stage.networks, keyframes, 3))[1], made))
        self.assertEqual(stage.networks["unet"].in_layer.weight[:, 4:-4].abs().max().item(), 0)

    def test_a_step_goes_on_where_its_state_was_taken(self):
        torch.manual_seed(7)
        stage, step, batch = self.stage()
        step("films", batch, 1e-2)
        other_stage, other, _ = self.stage()
        other_stage.networks.load_state_dict(stage.networks.state_dict())
        other.load(copy.deepcopy(step.state()))
        for taking in (step, other):
            torch.manual_seed(8)
            taking("films", batch, 1e-2)
        for one, two in zip(stage.networks.parameters(), other_stage.networks.parameters()):
            self.assertTrue(torch.allclose(one, two, atol=1e-6))

    def test_a_batch_in_parts_makes_the_same_step(self):
        weights = []
        for parts in (1, 2):
            torch.manual_seed(7)
            stage, step, batch = self.stage()
            stage.parts = parts
            # Without the noise on keyframes, which is drawn anew for each part.
            step("films", {**batch, "kept": torch.ones(2)}, 1e-2)
            weights.append(list(stage.networks.parameters()))
        for one, two in zip(*weights):
            self.assertTrue(torch.allclose(one, two, atol=1e-5))

    def test_nano_s_weights_are_far_better_than_the_blend_at_what_is_fast(self):
        movq, networks, about = load_weights(os.path.join(os.path.dirname(__file__), "../weights/nano"))
        scene = Scene("navy", (Thing("large", "orange", "ring", "bouncing"),))
        with torch.no_grad():
            film = movq.encode(render_scenes([(scene, 0.5)], {"stride": 1}, about["frameSize"])[0])[None]
            made = interpolate(networks, film[:, ::4], 3)
        left, truth, right = temporal_groups(film)
        ours, blend = ((between - truth).pow(2).mean().item() for between in (temporal_groups(made)[1], linear_blend(left, right)))
        self.assertLess(ours, blend / 4)


class RefineTest(unittest.TestCase):
    settings = {
        **REFINE, "clips": {**REFINE["clips"], "count": 3, "shards": 1, "members": 2},
        "refine": {**REFINE["refine"], "from": os.path.join(os.path.dirname(__file__), "../weights/nano"), "families": 2, "members": 2,
                   "parts": 2, "kinds": {"single": 1, "spinning": 0, "pair": 0}},
    }

    def test_it_draws_the_kinds_that_it_is_told_to(self):
        scenes = [scene for scene, _ in draw_kinds(REFINE, 40, "test", {"pair": 1, "spinning": 3})]
        kinds = [kind_of(scene) for scene in scenes]
        self.assertEqual(set(kinds), {"pair", "spinning"})
        self.assertGreater(kinds.count("spinning"), kinds.count("pair"))

    def test_a_clip_is_mixed_with_its_own_family_alone(self):
        # Of two families of three all values are 1 and 2.
        latents = torch.tensor([1.0, 1, 1, 2, 2, 2])[:, None, None, None, None].expand(6, 15, 4, 2, 2)
        options = {"most_mixed": 0.8, "mixed_share": 1}
        self.assertTrue(torch.allclose(mixed(latents, 3, options, torch.Generator()), latents))
        varied = latents + torch.rand(6, 15, 1, 1, 1)
        self.assertFalse(torch.allclose(mixed(varied, 3, options, torch.Generator()), varied))
        self.assertTrue(torch.equal(mixed(varied, 3, {**options, "mixed_share": 0}, torch.Generator()), varied))

    def test_it_goes_on_from_nano_s_weights_and_leaves_the_text_encoder(self):
        settings = {**self.settings, "clips": {**self.settings["clips"], "kinds": {"single": 1}}}
        with tempfile.TemporaryDirectory() as folder:
            take_autoencoder(settings, folder)
            make_pool(settings, folder, "clips")
            stage = RefineStage(settings, folder, "cpu")
            stage.prepare()
        before = copy.deepcopy(stage.networks)
        step = Step(stage, copy.deepcopy(stage.networks).requires_grad_(False))
        phase, batch = stage.draw(torch.Generator().manual_seed(1), 0)
        self.assertEqual(batch["latents"].shape, (4, 15, 4, 16, 16))
        # These weights know such clips: a network that knew nothing would be wrong by about 1.
        self.assertLess(step(phase, batch, 1e-4)["loss"], 0.2)
        changed = {name for (name, one), two in zip(before.named_parameters(), stage.networks.parameters()) if not torch.equal(one, two)}
        self.assertFalse(any(name.startswith("text.") for name in changed))
        self.assertGreater(len(changed), 300)


class StudyTest(unittest.TestCase):
    def test_designs_that_are_compared_have_as_many_parameters_within_a_tenth(self):
        for designs in (interpolation_designs(), keyframe_designs()):
            counts = [parameters(build(stage_class, settings, "", 1).networks) for stage_class, settings in designs.values()]
            self.assertGreater(min(counts), 0.9 * max(counts))

    def test_masked_frames_are_three_between_two(self):
        stage = build(*interpolation_designs()["masked frames"], "", 1)
        left, right = torch.rand(2, 4, 4, 8, 8)
        output = stage.predict(stage.networks, left, right, torch.full((4,), 995), torch.full((4,), 3), 4)
        self.assertEqual(output.shape, (4, 3, 4, 8, 8))

    def test_sampling_with_the_right_velocity_ends_at_the_clip(self):
        clips, noise = torch.rand(2, 3, 4, 2, 2) - 0.5, torch.randn(2, 3, 4, 2, 2)
        noisy, _ = noised(clips, noise, torch.tensor([600, 600]))
        found = denoised(lambda x, time: velocity_towards(clips, x, time.repeat(2)), noisy, 600, 8)
        self.assertLess((found - clips).abs().max().item(), 1e-3)

    def test_perturbed_frames_are_interpolated_from_their_own_blend(self):
        left, right = torch.rand(2, 3, 4, 2, 2)
        seen = []
        def predict_nothing(networks, left, right, time, *others):
            seen.append((left, right, *others))
            return 0
        found = perturbed(predict_nothing, 60)({}, left, right, torch.full((3,), 995))
        noisy_left, noisy_right, level = seen[0]
        self.assertTrue((level == 60).all() and not torch.equal(noisy_left, left))
        self.assertTrue(torch.allclose(found, linear_blend(noisy_left, noisy_right) - linear_blend(left, right)))
        self.assertEqual(perturbed(predict_nothing, 0)({}, left, right, torch.full((3,), 995)), 0)


class VariantsTest(unittest.TestCase):
    def test_every_preset_of_a_variant_is_trained_from_nano(self):
        for preset in ("nano-conv1d-attn1d-layers", "nano-conv1d-attn3d-blocks", "nano-conv3d-attn1d-blocks"):
            stage, settings = settings_of(preset, 1)
            kind, pools = stage_class(stage, settings)
            networks = kind(settings, "", "cpu").networks
            self.assertEqual((stage, pools), ("keyframes", ("clips",)))
            ours, nano = networks["unet"].state_dict(), load("weights/nano/keyframes.safetensors")
            shared = [name for name, tensor in nano.items() if name in ours and ours[name].shape == tensor.shape]
            self.assertGreater(len(shared), 0.6 * len(ours))
            self.assertTrue(all(torch.equal(ours[name], nano[name].float()) for name in shared))

    def test_masked_frames_start_as_the_blend(self):
        stage, settings = settings_of("nano-masked-frames", 1)
        kind, _ = stage_class(stage, settings)
        networks = kind(settings, "", "cpu").networks
        frames = torch.randn(1, 3, 4, 8, 8)
        made = interpolate(networks, frames, 3, kind.predict)
        self.assertEqual(made.shape, (1, 9, 4, 8, 8))
        self.assertTrue(torch.equal(made[0, 1:4], linear_blend(frames[:, 0], frames[:, 1])[0]))

    def test_other_presets_are_refused(self):
        with self.assertRaisesRegex(SystemExit, "must extend nano by the arguments of one network"):
            settings_of("paper-decoder-3d", 1)


class DiffusionTest(unittest.TestCase):
    def test_velocity_and_noised_agree(self):
        x0, noise, time = torch.randn(5, 4), torch.randn(5, 4), torch.tensor([0, 10, 500, 900, 995])
        x, velocity = noised(x0, noise, time)
        alpha, sigma = ALPHAS_CUMPROD[time].sqrt()[:, None], (1 - ALPHAS_CUMPROD[time]).sqrt()[:, None]
        self.assertLess((alpha * x - sigma * velocity - x0).abs().max().item(), 1e-5)

    def test_the_velocity_towards_x0_is_the_one_of_noising(self):
        x0, noise, time = torch.randn(4, 5), torch.randn(4, 5), torch.tensor([40, 500, 900, 995])
        x, velocity = noised(x0, noise, time)
        self.assertLess((velocity_towards(x0, x, time) - velocity).abs().max().item(), 1e-3)


if __name__ == "__main__":
    unittest.main()
