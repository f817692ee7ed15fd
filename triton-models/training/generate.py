"""The pipeline on exported weights: prompt -> context -> keyframes -> interpolation -> frames, as the serving side runs it."""

import json
import os

import torch

from . import tokenizer
from .diffusion import sample
from .interpolation import interpolate
from .keyframes import NullEmbedding
from .networks.movq import MoVQ
from .networks.text_encoder import TextEncoder
from .networks.unet import UNet
from .safetensors_io import load


class Pipeline:
    def __init__(self, folder):
        with open(os.path.join(folder, "architecture.json")) as file:
            self.about = json.load(file)

        def weights(part):
            return {name: tensor.float() for name, tensor in load(os.path.join(folder, self.about[part]["file"])).items()}

        def unet(part):
            tensors = weights(part)
            null = NullEmbedding(self.about[part]["constructor"]["context_dim"])
            null.load_state_dict({"weight": tensors.pop("null_embedding")})
            network = UNet(**self.about[part]["constructor"])
            network.load_state_dict(tensors)
            return {"unet": network.eval(), "null": null}

        text = self.about["textEncoder"]
        self.text = TextEncoder(**text["constructor"], context_dim=text["contextDim"]).eval()
        self.text.load_state_dict(weights("textEncoder"))
        self.movq = MoVQ(**self.about["movq"]["constructor"]).eval()
        self.movq.load_state_dict(weights("movq"))
        self.keyframe_networks, self.interpolation_networks = unet("keyframes"), unet("interpolation")

    @torch.no_grad()
    def keyframes(self, prompts, generator, steps=None, guidance_scale=None):
        """(prompts, 15, 4, h, w)."""
        about = self.about["keyframes"]["sampling"]
        steps, scale = steps or about["steps"], about["guidanceScale"] if guidance_scale is None else guidance_scale
        ids, mask = tokenizer.encode_batch(prompts, self.about["contextTokens"])
        null, null_mask = self.keyframe_networks["null"].context(len(prompts), ids.shape[1])
        context, masks = torch.cat([self.text(ids, mask), null]), torch.cat([mask, null_mask])
        frames, side = self.about["numKeyframes"], self.about["latentSize"]
        positions = torch.tensor(self.about["positions"]).repeat(2 * len(prompts))

        def velocity(x, step):
            both = torch.cat([x, x])
            time = torch.full((len(both),), float(step))
            output = self.keyframe_networks["unet"](both.contiguous(memory_format=torch.channels_last), time, context, masks, positions)
            conditional, unconditional = output.chunk(2)
            return (scale + 1) * conditional - scale * unconditional

        noise = torch.randn(len(prompts) * frames, self.about["latentChannels"], side, side, generator=generator)
        return sample(velocity, noise, steps).unflatten(0, (len(prompts), frames))

    def between(self, keyframes, generator, steps=None, guidance_scale=None):
        """(prompts, 57, 4, h, w) from (prompts, 15, 4, h, w)."""
        about = self.about["interpolation"]["sampling"]
        scale = about["guidanceScale"] if guidance_scale is None else guidance_scale
        return interpolate(self.interpolation_networks, keyframes, 3, steps or about["steps"], scale, generator)

    @torch.no_grad()
    def decode(self, latents):
        """(prompts, t, 3, 8h, 8w) in [-1, 1]."""
        images = [self.movq.decode(clip.contiguous(memory_format=torch.channels_last)).clamp(-1, 1) for clip in latents]
        return torch.stack(images)
