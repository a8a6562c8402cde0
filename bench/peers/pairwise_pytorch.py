#!/usr/bin/env python3
"""BPR and APR (scope batch) in PyTorch, as a practised user would write them: for a comparison of speed.

    pip install torch        # a build for the processor is enough
    taskset -c 1 bench/peers/pairwise_pytorch.py --users 37501 --items 9836 --batch 512 4096

Sparse embedding gradients with torch.optim.Adagrad (accumulator 0.1 at first), which touches the batch's rows only.
Positives, users and negatives are drawn uniformly without rejection, in one call a batch, so that nothing but the
training step is measured. APR computes the gradient of the clean loss at the gathered rows, sums it over repeated rows of
the batch, moves every row by epsilon g / |g|, and minimises clean plus perturbed loss (He et al., SIGIR 2018).
Prints millions of triples a second: the median and the best of several chunks, in processor time of the thread where
one thread is used.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F


class Pairwise:
    def __init__(self, arguments, batch, adversarial):
        torch.manual_seed(1)
        self.batch = batch
        self.adversarial = adversarial
        self.users = torch.nn.Embedding(arguments.users, arguments.dim, sparse=True)
        self.items = torch.nn.Embedding(arguments.items, arguments.dim, sparse=True)
        for table in (self.users, self.items):
            torch.nn.init.trunc_normal_(table.weight, std=0.01, a=-0.02, b=0.02)
        parameters = [self.users.weight, self.items.weight]
        if arguments.optimizer == "adagrad":
            self.optimizer = torch.optim.Adagrad(parameters, lr=0.05, initial_accumulator_value=0.1)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=0.05)

    def draw(self):
        users = torch.randint(self.users.num_embeddings, (self.batch,))
        items = torch.randint(self.items.num_embeddings, (2, self.batch))
        return users, items[0], items[1]

    @staticmethod
    def loss(u, i, j):
        return F.softplus(-(u * (i - j)).sum(1)).sum()

    @staticmethod
    def worst_step(rows, gradients, epsilon=0.5):
        """epsilon g / |g| for each occurrence, g summed over all occurrences of the row in the batch."""
        distinct, slots = torch.unique(rows, return_inverse=True)
        total = torch.zeros(len(distinct), gradients.shape[1]).index_add_(0, slots, gradients)
        return (epsilon * F.normalize(total, dim=1, eps=1e-6))[slots]

    def step(self):
        users, positives, negatives = self.draw()
        self.optimizer.zero_grad(set_to_none=True)
        u, i, j = self.users(users), self.items(positives), self.items(negatives)
        loss = self.loss(u, i, j)
        if self.adversarial:
            gu, gi, gj = torch.autograd.grad(loss, (u, i, j), retain_graph=True)
            du = self.worst_step(users, gu)
            di, dj = self.worst_step(torch.cat((positives, negatives)), torch.cat((gi, gj))).split(self.batch)
            loss = loss + self.loss(u + du, i + di, j + dj)
        loss.backward()
        self.optimizer.step()


def measure(model, seconds, clock):
    chunk = max(1, 16384 // model.batch)
    rates = []
    for _ in range(3):
        model.step()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(rates) < 5:
        before = clock()
        for _ in range(chunk):
            model.step()
        rates.append(chunk * model.batch * 1e-6 / (clock() - before))
    return statistics.median(rates), max(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=37501)
    parser.add_argument("--items", type=int, default=9836)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", nargs="*", type=int, default=[512, 4096])
    parser.add_argument("--optimizer", default="adagrad", choices=["adagrad", "sgd"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.thread_time if arguments.threads == 1 else time.monotonic
    for batch in arguments.batch:
        for system in ("bpr-mf", "apr"):
            median, best = measure(Pairwise(arguments, batch, system == "apr"), arguments.seconds, clock)
            row = {"system": system, "batch": batch, "optimizer": arguments.optimizer, "median": median, "best": best,
                   "torch": torch.__version__, "threads": arguments.threads}
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                print(f"{system:<7} batch {batch:>6}  {arguments.optimizer}: median {median:.3f}, best {best:.3f} million triples/s", flush=True)


if __name__ == "__main__":
    main()
