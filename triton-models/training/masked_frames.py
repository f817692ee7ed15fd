"""Masked frame interpolation, the paper's baseline, in place of groups of three frames."""

import torch

from .interpolation import InterpolationStage


def predict_masked(networks, left, right, time, skip, groups, perturbation=None):
    """As `interpolation.predict`: every pair is a sequence of five frames, each of noise (not read, as there), the frame itself
    or zeros, and the mask."""
    pairs, channels = left.shape[:2]
    given = (left.flatten(1).abs().sum(1) > 0).to(left.dtype)[:, None, None, None].expand(-1, 1, *left.shape[2:])
    missing = left.new_zeros(pairs, 3, 2 * channels + 1, *left.shape[2:])
    ends = [torch.cat([torch.zeros_like(frame), frame, given], dim=1)[:, None] for frame in (left, right)]
    x = torch.cat([ends[0], missing, ends[1]], dim=1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    context, mask = networks["null"].context(pairs, 2)
    per_frame = (values.repeat_interleave(5) for values in (time, skip, torch.zeros_like(time) if perturbation is None else perturbation))
    time, skip, perturbation = per_frame
    output = networks["unet"](x, time, context, mask, skip_frames=skip, num_temporal_groups=5, perturbation=perturbation)
    return output.unflatten(0, (pairs, 5))[:, 1:4]


class MaskedFramesStage(InterpolationStage):
    predict = staticmethod(predict_masked)

    def build(self):
        networks = super().build()
        with torch.no_grad():
            # The noise is not read; frames and mask are.
            weight = networks["unet"].in_layer.weight
            torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
            weight[:, :4] = 0
            # A missing frame has nothing of its own: all that tells it from its blend comes through the temporal layers. As they
            # start elsewhere (a tenth merged in, behind projections of zero) almost no gradient reaches them.
            for name, parameter in networks["unet"].named_parameters():
                if name.endswith("temporal_merge"):
                    parameter.fill_(0.5)
                elif name.endswith("resnet_blocks.3.projection.weight"):
                    torch.nn.init.kaiming_uniform_(parameter, a=5**0.5)
        return networks
