"""Stage 1: MoVQ (image form) on random frames; and the folding that brings its latents into [-1, 1]."""

import torch
import torch.nn.functional as F

from .networks.movq import MoVQ
from .trainer import Stage
from .world.scenes import random_frames


def decibels(images, truth):
    """PSNR of (n, …) images in [-1, 1], averaged over images."""
    error = (images.clamp(-1, 1) - truth).pow(2).flatten(1).mean(1)
    return (10 * torch.log10(4 / error.clamp(min=1e-10))).mean().item()


class AutoencoderStage(Stage):
    name = "autoencoder"
    ema_decay = 0.999

    def build(self):
        self.learning_rate = self.settings["autoencoder"]["learning_rate"]
        movq = MoVQ(**self.settings["architecture"]["movq"])
        return torch.nn.ModuleDict({"movq": movq}).to(self.device, memory_format=torch.channels_last)

    def batch(self, count, window, generator):
        frames = random_frames(count, self.settings["frame_size"], window, generator, self.device)
        return frames.contiguous(memory_format=torch.channels_last)

    def prepare(self):
        self.drawn = {}

    def draw(self, generator, progress):
        options = self.settings["autoencoder"]
        phase = "crops" if progress < options["crops_until"] else "frames"
        window = self.settings["frame_size"] // (2 if phase == "crops" else 1)
        if not self.drawn.get(phase):
            images = self.batch(options[phase] * options["batches_at_once"], window, generator)
            self.drawn[phase] = list(images.split(options[phase]))
        return phase, {"images": self.drawn[phase].pop()}

    def loss(self, phase, batch):
        images = batch["images"]
        movq = self.networks["movq"]
        latents = movq.encode(images)
        # Flat areas carry little information: pixels are weighted by their error, so that edges count.
        decoded = movq.decode(latents + self.settings["autoencoder"]["noise"] * torch.randn_like(latents))
        squared = F.mse_loss(decoded, images)
        outside = F.relu(latents.abs() - 1).pow(2).mean()
        loss = 4 * squared + 0.5 * F.l1_loss(decoded, images) + 0.2 * outside
        return loss, {"mse": squared.detach(), "outside": outside.detach()}

    def probe(self, averaged):
        generator = torch.Generator().manual_seed(99)
        images = self.batch(64, self.settings["frame_size"], generator)
        with torch.no_grad():
            latents = averaged["movq"].encode(images)
            return {"psnr": decibels(averaged["movq"].decode(latents), images), "latent_max": latents.abs().max().item(),
                    "latent_std": latents.std().item()}


def fold_latent_scale(movq, low, high):
    """Rescales latents so that [low, high] (per channel) becomes [-1, 1], exactly, inside the 1×1 convolutions.

    z' = (z − shift) / scale: quant_conv writes z', post_quant_conv and every conv_y and conv_b read it.
    """
    shift, scale = (low + high) / 2, (high - low) / 2
    with torch.no_grad():
        movq.quant_conv.weight.div_(scale[:, None, None, None])
        movq.quant_conv.bias.sub_(shift).div_(scale)
        readers = [movq.post_quant_conv]
        for module in movq.decoder.modules():
            if hasattr(module, "conv_y"):
                readers += [module.conv_y, module.conv_b]
        for conv in readers:
            conv.bias.add_(conv.weight[:, :, 0, 0] @ shift)
            conv.weight.mul_(scale[None, :, None, None])
