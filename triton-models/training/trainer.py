"""Runs one training stage for a budget of minutes: workers, averaged weights, logs, checkpoints, resuming.

On CPUs several processes update the same weights in shared memory without locks (Hogwild), each with its own
optimiser: no process waits for another, which matters on busy cores. On a GPU there is one worker, in this process.
A budget counts training time only and is kept in the checkpoint, so that an interrupted run goes on where it was.
"""

import copy
import json
import math
import os
import time

import torch

from .step import Step

LOG_SECONDS = 20


class Stage:
    """A stage owns `networks` (an nn.ModuleDict) and computes losses; subclasses load their data in `prepare`."""

    name = ""
    learning_rate = 1e-3
    final_learning_rate = 0.05
    warm_up_steps = 100
    weight_decay = 0.0
    ema_decay = 0.998
    checkpoint_seconds = 30
    probe_seconds = 150
    # A batch's gradient is summed over this many parts of it, to save memory.
    parts = 1

    def __init__(self, settings, run_folder, device):
        self.settings, self.run_folder, self.device = settings, run_folder, device
        self.networks = self.build()

    def build(self):
        raise NotImplementedError

    def matrices(self):
        """Parameters that Muon trains; AdamW trains the others."""
        return []

    def prepare(self):
        """Loads what `loss` needs; called once in every worker."""

    def draw(self, generator, progress):
        """Returns (name of the training phase, batch as a dict of tensors); progress runs from 0 to 1. Within a phase the
        shapes of the tensors do not change."""
        raise NotImplementedError

    def loss(self, phase, batch):
        """Returns (scalar loss, dict of figures for the log as tensors), a function of only the batch and the device's
        random numbers."""
        raise NotImplementedError

    def probe(self, averaged):
        """Figures from the averaged networks, taken by the first worker now and then."""
        return {}


def checkpoint_path(run_folder, stage_name, rank=0):
    return os.path.join(run_folder, f"{stage_name}.{rank}.pt")


def load_averaged(run_folder, stage):
    """Loads the stage's averaged weights from its checkpoint into `stage.networks` and returns them, in eval mode."""
    saved = torch.load(checkpoint_path(run_folder, stage.name), map_location=stage.device)
    stage.networks.load_state_dict(saved["averaged"])
    return stage.networks.eval().requires_grad_(False)


def save_checkpoint(path, content):
    torch.save(content, f"{path}.part")
    os.replace(f"{path}.part", path)


def learning_rate_at(stage, step, progress):
    decay = stage.final_learning_rate + (1 - stage.final_learning_rate) * (1 + math.cos(math.pi * min(progress, 1))) / 2
    return stage.learning_rate * min(1, (step + 1) / stage.warm_up_steps) * decay


def work(rank, stage, minutes, seed):
    """The loop of one worker. The first one averages the weights and writes log and checkpoints."""
    torch.set_num_threads(1 if stage.device == "cpu" else torch.get_num_threads())
    stage.prepare()
    networks = stage.networks
    path = checkpoint_path(stage.run_folder, stage.name, rank)
    trained = 0.0
    averaged = copy.deepcopy(networks).requires_grad_(False) if rank == 0 else None
    update = Step(stage, averaged)
    if os.path.exists(path):
        saved = torch.load(path, map_location=stage.device)
        update.load(saved)
        trained = saved["trained"]
        if rank == 0:
            averaged.load_state_dict(saved["averaged"])
    generator = torch.Generator().manual_seed((seed * 1000 + rank) * 1_000_003 + update.taken)
    log = open(os.path.join(stage.run_folder, f"{stage.name}.jsonl"), "a") if rank == 0 else None
    sums, count, last_log, last_save, last_probe = {}, 0, time.time(), time.time(), time.time()

    def write(figures):
        entry = {"minutes": round(trained / 60, 2), "step": update.taken, **figures}
        print(stage.name, json.dumps(entry), flush=True)
        log.write(json.dumps(entry) + "\n")
        log.flush()

    # On CPUs shared with other processes, processor time measures how much was trained.
    now_trained = time.process_time if stage.device == "cpu" else time.time
    clock = now_trained()
    parent = os.getppid()
    while trained < minutes * 60 and os.getppid() == parent:
        progress = trained / (minutes * 60)
        phase, batch = stage.draw(generator, progress)
        figures = update(phase, batch, learning_rate_at(stage, update.taken, progress))
        now = now_trained()
        trained, clock = trained + now - clock, now
        now = time.time()
        if rank == 0:
            sums = {key: sums.get(key, 0.0) + value for key, value in figures.items()}
            count += 1
            if now - last_log > LOG_SECONDS:
                write({key: round(float(value) / count, 5) for key, value in sums.items()})
                sums, count, last_log = {}, 0, now
        if now - last_save > stage.checkpoint_seconds or trained >= minutes * 60:
            content = {**update.state(), "trained": trained}
            if rank == 0:
                if now - last_probe > stage.probe_seconds or trained >= minutes * 60:
                    last_probe = now
                    write({"probe": {key: round(value, 5) for key, value in stage.probe(averaged.eval()).items()}})
                content.update(networks=networks.state_dict(), averaged=averaged.state_dict())
            save_checkpoint(path, content)
            last_save, clock = time.time(), now_trained()


def run_stage(stage, minutes, seed, workers):
    """Trains `stage` until its budget is spent; continues from its checkpoint when there is one."""
    path = checkpoint_path(stage.run_folder, stage.name)
    if os.path.exists(path):
        saved = torch.load(path, map_location=stage.device)
        stage.networks.load_state_dict(saved["networks"])
        if saved["trained"] >= minutes * 60:
            return
    print(f"{stage.name}: {sum(p.numel() for p in stage.networks.parameters())} parameters", flush=True)
    if stage.device != "cpu" or workers == 1:
        work(0, stage, minutes, seed)
        return
    stage.networks.share_memory()
    context = torch.multiprocessing.get_context("spawn")
    helpers = [context.Process(target=work, args=(rank, stage, minutes, seed), daemon=True) for rank in range(1, workers)]
    for helper in helpers:
        helper.start()
    work(0, stage, minutes, seed)
    for helper in helpers:
        helper.join(120)
