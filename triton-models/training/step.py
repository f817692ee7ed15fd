"""One step of training: loss, gradient, clipping, update and, in the first worker, the weights' running average."""

import torch

from .muon import Muon

BETAS = (0.9, 0.99)
MOST_NORM = 1.0
WARM_UP_CALLS = 3


def split(batch, parts):
    """Equal parts of a batch, one after another; every tensor's first dimension is the videos'."""
    if parts == 1:
        return [batch]
    chunks = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: chunk[index] for name, chunk in chunks.items()} for index in range(parts)]


class Step:
    """Takes a stage's training steps.

    On a GPU each phase's step is recorded once, as a CUDA graph, and played from then on: launching its thousands of small
    kernels one by one took up to three times as long as they run.
    """

    def __init__(self, stage, averaged):
        self.stage, self.averaged, self.taken = stage, averaged, 0
        self.on_gpu = stage.device == "cuda"
        # bfloat16 is faster on GPUs, and on CPUs that have instructions for it.
        self.bfloat16 = self.on_gpu or stage.settings.get("bfloat16", False)
        self.rate = torch.tensor(stage.learning_rate, device=stage.device)
        self.decay = torch.tensor(0.0, device=stage.device)
        rate = self.rate if self.on_gpu else stage.learning_rate
        fast = {"fused": True, "capturable": True} if self.on_gpu else {"foreach": True}
        matrices = stage.matrices()
        of_muon = {id(matrix) for matrix in matrices}
        others = [parameter for parameter in stage.networks.parameters() if id(parameter) not in of_muon]
        self.optimizers = [torch.optim.AdamW(others, rate, betas=BETAS, weight_decay=stage.weight_decay, **fast)]
        if matrices:
            self.optimizers.append(Muon(matrices, rate, weight_decay=stage.weight_decay))
        self.recorded = {}

    def state(self):
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers], "step": self.taken}

    def load(self, saved):
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.taken = saved["step"]

    def __call__(self, phase, batch, rate):
        """Returns figures for the log as tensors, which the next call may overwrite."""
        decay = min(self.stage.ema_decay, (2 + self.taken) / (11 + self.taken))
        # A recorded step reads its inputs from the same memory as when it was recorded.
        self.rate, self.decay = (self.rate.fill_(rate), self.decay.fill_(decay)) if self.on_gpu else (rate, decay)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate
        self.taken += 1
        if not self.on_gpu:
            return self.take(phase, batch)
        if phase not in self.recorded:
            self.recorded[phase] = self.record(phase, batch)
        graph, places, figures = self.recorded[phase]
        for name, tensor in batch.items():
            places[name].copy_(tensor, non_blocking=True)
        graph.replay()
        return figures

    def record(self, phase, batch):
        """(graph, the tensors it reads its batch from, the tensors it leaves its figures in)."""
        places = {name: tensor.to(self.stage.device, copy=True) for name, tensor in batch.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self.take(phase, places)
        torch.cuda.current_stream().wait_stream(stream)
        self.stage.networks.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            figures = self.take(phase, places)
        return graph, places, figures

    def take(self, phase, batch):
        self.stage.networks.zero_grad(set_to_none=True)
        sums = {}
        for part in split(batch, self.stage.parts):
            with torch.autocast(self.stage.device, dtype=torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
                loss, figures = self.stage.loss(phase, part)
            (loss / self.stage.parts).backward()
            for name, value in {"loss": loss.detach(), **figures}.items():
                sums[name] = sums.get(name, 0) + value / self.stage.parts
        norm = torch.nn.utils.clip_grad_norm_(self.stage.networks.parameters(), MOST_NORM)
        self.apply(torch.isfinite(norm))
        if self.averaged is not None:
            self.average()
        return sums

    def apply(self, is_finite):
        """Leaves the weights unchanged if the gradient is not finite; on a GPU without synchronising."""
        for optimizer in self.optimizers:
            if self.on_gpu:
                optimizer.grad_scale, optimizer.found_inf = None, (~is_finite).float()
            if self.on_gpu or is_finite:
                optimizer.step()

    @torch.no_grad()
    def average(self):
        means, values = (list(networks.parameters()) for networks in (self.averaged, self.stage.networks))
        steps = torch._foreach_sub(values, means)
        torch._foreach_mul_(steps, 1 - self.decay)
        torch._foreach_add_(means, steps)
