#!/usr/bin/env python3
"""SASRec in PyTorch, as a practised user would write it: for a comparison of speed with `spar train sasrec`.

    pip install torch numpy h5py        # a build for the processor is enough
    taskset -c 1 bench/peers/sasrec_pytorch.py --data ml-1m.h5
    taskset -c 1 bench/peers/sasrec_pytorch.py --data ml-1m.h5 --spar build/release/spar

Reads the histories of a data set of spar, so both sides train on the same sequences: `--batch` users a step, the newest
`--length` items of each padded in front, one negative for each position, drawn uniformly and without rejection before
the clock starts. The model is the published code's (Kang and McAuley, ICDM 2018; kang205/SASRec): rows times sqrt(d)
plus learned positions, blocks whose queries alone are normalised, binary cross entropy at the positions that count,
Adam with beta2 0.98. Attention goes through torch's fused function, with dropout inside.

With --spar, each round is so many steps here and then a short training there; ratios are taken round by round, in wall
time on both sides, spar's from the epochs of its log.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import h5py
import numpy
import torch
import torch.nn.functional as F
from torch import nn


def sequences(path, length):
    """Inputs, targets: users x length, rows counted from 1, 0 is padding."""
    with h5py.File(path) as file:
        offsets, items, times = (file[f"train/{name}"][:] for name in ("offsets", "items", "times"))
        total = int(file.attrs["items"])
    rows = []
    for begin, end in zip(offsets[:-1], offsets[1:]):
        if end - begin < 2:
            continue
        order = numpy.argsort(times[begin:end], kind="stable")
        newest = items[begin:end][order][-(length + 1):].astype(numpy.int64) + 1
        rows.append(numpy.pad(newest, (length + 1 - len(newest), 0)))
    table = torch.from_numpy(numpy.stack(rows))
    inputs, targets = table[:, :-1].contiguous(), table[:, 1:].contiguous()
    return inputs, targets * (inputs != 0), total


class Block(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(dim, eps=1e-8), nn.LayerNorm(dim, eps=1e-8)
        self.queries, self.keys, self.values = (nn.Linear(dim, dim) for _ in range(3))
        self.inner, self.outer = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x, mask, visible):
        h = self.before(x)
        mixed = F.scaled_dot_product_attention(self.split(self.queries(h)), self.split(self.keys(x)), self.split(self.values(x)),
                                               attn_mask=visible, dropout_p=self.dropout if self.training else 0.0)
        n = self.between(mixed.transpose(1, 2).reshape(x.shape) + h)
        inner = F.dropout(F.relu(self.inner(n)), self.dropout, self.training)
        return (n + F.dropout(self.outer(inner), self.dropout, self.training)) * mask


class Sasrec(nn.Module):
    def __init__(self, items, arguments):
        super().__init__()
        self.items = nn.Embedding(items + 1, arguments.dim, padding_idx=0)
        self.positions = nn.Embedding(arguments.length, arguments.dim)
        self.blocks = nn.ModuleList(Block(arguments.dim, arguments.heads, arguments.dropout) for _ in range(arguments.blocks))
        self.norm = nn.LayerNorm(arguments.dim, eps=1e-8)
        self.scale, self.dropout = arguments.dim ** 0.5, arguments.dropout
        self.register_buffer("causal", torch.ones(arguments.length, arguments.length, dtype=torch.bool).tril())
        nn.init.uniform_(self.items.weight, -0.04, 0.04)

    def loss(self, inputs, targets, negatives):
        mask = (inputs != 0).unsqueeze(-1)
        # A padded query sees itself, so that no softmax is empty; the mask removes what comes of it.
        visible = (self.causal & mask.transpose(1, 2) | torch.eye(inputs.shape[1], dtype=torch.bool)).unsqueeze(1)
        x = F.dropout(self.items(inputs) * self.scale + self.positions.weight, self.dropout, self.training) * mask
        for block in self.blocks:
            x = block(x, mask, visible)
        wanted = targets != 0
        states = self.norm(x[wanted])
        positive = (states * self.items(targets[wanted])).sum(-1)
        negative = (states * self.items(negatives[wanted])).sum(-1)
        return (F.softplus(-positive) + F.softplus(negative)).mean()


class Peer:
    def __init__(self, arguments):
        torch.manual_seed(1)
        self.inputs, self.targets, self.total = sequences(arguments.data, arguments.length)
        self.negatives = torch.randint(1, self.total + 1, self.inputs.shape)
        self.batch = arguments.batch
        self.model = Sasrec(self.total, arguments).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001, betas=(0.9, 0.98))

    def step(self):
        users = torch.randint(len(self.inputs), (self.batch,))
        self.optimizer.zero_grad(set_to_none=True)
        self.model.loss(self.inputs[users], self.targets[users], self.negatives[users]).backward()
        self.optimizer.step()

    def seconds(self, steps):
        before = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - before) / steps


def spar_seconds(arguments, users):
    """Seconds of a step: the best epoch of a short training."""
    steps = -(-users // arguments.batch)
    values = {"model.dim": arguments.dim, "sequence.length": arguments.length, "network.blocks": arguments.blocks,
              "network.heads": arguments.heads, "network.dropout": arguments.dropout, "train.batch_size": arguments.batch,
              "train.epochs": 2, "evaluate.every_epochs": 0, "parallel.threads": arguments.threads}
    with tempfile.TemporaryDirectory() as folder:
        words = [arguments.spar, "train", "sasrec", "--data", arguments.data, "--run", f"{folder}/run", "--progress", "none"]
        for key, value in values.items():
            words += ["--set", f"{key}={value}"]
        subprocess.run(words, check=True, capture_output=True)
        log = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    return min(line["seconds"]["loop"] for line in log if line["event"] == "epoch") / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--spar", help="the program, for a comparison in the same run")
    parser.add_argument("--dim", type=int, default=50)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peer = Peer(arguments)
    peer.seconds(2)
    ratios = []
    for number in range(arguments.rounds):
        here = peer.seconds(arguments.steps)
        line = f"round {number + 1}: torch {torch.__version__} {here:.3f} s a step"
        if arguments.spar:
            there = spar_seconds(arguments, len(peer.inputs))
            ratios.append(here / there)
            line += f", spar {there:.3f} s: {ratios[-1]:.2f} times"
        print(line, flush=True)
    if ratios:
        print(f"median {statistics.median(ratios):.2f} times")


if __name__ == "__main__":
    main()
