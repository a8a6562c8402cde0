#!/usr/bin/env python3
"""NeuMF in PyTorch, as a practised user would write it: for a comparison of speed with `spar train neumf`.

    pip install torch        # a build for the processor is enough
    taskset -c 1 bench/peers/neumf_pytorch.py --users 6040 --items 3706 --batch 256 4096

The published shape: 8 factors, layers 64-32-16-8, binary cross entropy, Adam with rate 0.001 (He et al., WWW 2017). `--sparse`
takes sparse gradients and SparseAdam for the vectors, which then moves the batch's rows only; without it every row moves in
every step. Examples are drawn uniformly, in one call a batch, so that nothing but the training step is measured. Prints
millions of examples a second (positives and negatives): the median and the best of several chunks, in processor time.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F


class NeuMF(torch.nn.Module):
    def __init__(self, users, items, factors, layers, sparse):
        super().__init__()
        vectors = factors + layers[0] // 2
        self.factors = factors
        self.users = torch.nn.Embedding(users, vectors, sparse=sparse)
        self.items = torch.nn.Embedding(items, vectors, sparse=sparse)
        for table in (self.users, self.items):
            torch.nn.init.normal_(table.weight, std=0.01)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(layers, layers[1:]))
        self.output = torch.nn.Linear(factors + layers[-1], 1)

    def forward(self, users, items):
        u, i = self.users(users), self.items(items)
        x = torch.cat([u[:, self.factors:], i[:, self.factors:]], 1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.output(torch.cat([u[:, :self.factors] * i[:, :self.factors], x], 1)).squeeze(1)


class Training:
    def __init__(self, arguments, batch):
        torch.manual_seed(1)
        self.batch = batch
        self.users, self.items = arguments.users, arguments.items
        self.model = NeuMF(arguments.users, arguments.items, 8, [64, 32, 16, 8], arguments.sparse)
        tables = [self.model.users.weight, self.model.items.weight]
        dense = [p for p in self.model.parameters() if all(p is not t for t in tables)]
        if arguments.sparse:
            self.optimizers = [torch.optim.SparseAdam(tables, lr=0.001), torch.optim.Adam(dense, lr=0.001)]
        else:
            self.optimizers = [torch.optim.Adam(tables + dense, lr=0.001)]
        self.labels = (torch.arange(batch) % 5 == 0).float()

    def step(self):
        users = torch.randint(self.users, (self.batch,))
        items = torch.randint(self.items, (self.batch,))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        F.binary_cross_entropy_with_logits(self.model(users, items), self.labels).backward()
        for optimizer in self.optimizers:
            optimizer.step()


def measure(training, seconds, chunks):
    rates = []
    training.step()
    for _ in range(chunks):
        steps, begin = 0, time.process_time()
        while time.process_time() - begin < seconds:
            training.step()
            steps += 1
        rates.append(steps * training.batch / (time.process_time() - begin) / 1e6)
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=6040)
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--batch", type=int, nargs="*", default=[256, 4096])
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each chunk")
    parser.add_argument("--chunks", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for batch in arguments.batch:
        rates = measure(Training(arguments, batch), arguments.seconds, arguments.chunks)
        row = {"batch": batch, "sparse": arguments.sparse, "median": statistics.median(rates), "best": max(rates)}
        print(json.dumps(row) if arguments.json else
              f"neumf batch {batch}{' sparse' if arguments.sparse else ''}: median {row['median']:.3f}, best {row['best']:.3f} million examples/s")


if __name__ == "__main__":
    main()
