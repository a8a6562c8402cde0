#!/usr/bin/env python3
"""BPR of cornac and of spar on the same pairs with the same settings, judged by one evaluator: for a comparison of quality.

    python3 -m venv venv && venv/bin/pip install cornac
    venv/bin/python bench/peers/bpr_cornac.py train.txt test.txt --spar build/release/spar --seeds 1 2 3

train.txt and test.txt: `user item` a line. Both sides: item bias, plain SGD, uniform start of width 1/dim, L2 on every
occurrence of a row, no validation, the last epoch. What differs: cornac steps on every triple, spar on the sum of a
batch; cornac draws positives with replacement and skips a triple whose negative the user likes (a tenth of them on
MovieLens), spar takes every positive once an epoch and draws another negative; cornac draws negatives from the items of
the training part, spar from the whole catalogue. --cornac-epochs gives cornac more epochs to make up for the skips.

The evaluator ranks all items of the training part that the user does not have there, in float64. Spar's own figures
(evaluate.cold_items=false) are read beside it and must agree to 1e-4.
"""

import argparse
import json
import math
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

METRICS = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")


def pairs(path):
    with open(path, encoding="utf-8") as lines:
        return [tuple(line.split()[:2]) for line in lines]


def figures(train, test, users, items, user_ids, item_ids, bias):
    row_of_user = {name: row for row, name in enumerate(user_ids)}
    row_of_item = {name: row for row, name in enumerate(item_ids)}
    seen, targets = {}, {}
    for user, item in train:
        seen.setdefault(user, set()).add(row_of_item[item])
    warm = set().union(*seen.values())
    cold = [row for row in range(len(item_ids)) if row not in warm]
    for user, item in test:
        row = row_of_item.get(item)
        if user in seen and row in warm and row not in seen[user]:
            targets.setdefault(user, set()).add(row)
    discount = 1 / np.log2(np.arange(2, 22))
    values = {name: [] for name in METRICS}
    for user, wanted in targets.items():
        scores = items @ users[row_of_user[user]] + bias
        scores[list(seen[user]) + cold] = -np.inf
        hits = np.isin(np.argsort(-scores, kind="stable")[:20], list(wanted)).astype(float)
        for n in (10, 20):
            values[f"recall@{n}"].append(hits[:n].sum() / len(wanted))
            values[f"ndcg@{n}"].append((hits[:n] * discount[:n]).sum() / discount[: min(n, len(wanted))].sum())
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def train_cornac(options, train, seed):
    import cornac

    data = cornac.data.Dataset.build([(user, item, 1.0) for user, item in train], seed=seed)
    model = cornac.models.BPR(
        k=options.dim,
        max_iter=options.cornac_epochs or options.epochs,
        learning_rate=options.learning_rate,
        lambda_reg=options.l2,
        seed=seed,
    )
    model.fit(data)
    names = [sorted(ids, key=ids.get) for ids in (data.uid_map, data.iid_map)]
    return [np.asarray(a, float) for a in (model.u_factors, model.i_factors)], names, np.asarray(model.i_biases, float)


def train_spar(options, work, seed):
    run, out = work / f"run-{seed}", work / f"export-{seed}"
    settings = {
        "train.seed": seed,
        "train.epochs": options.epochs,
        "train.batch_size": options.batch,
        "model.dim": options.dim,
        "model.item_bias": "true",
        "model.init_law": "uniform",
        "model.init_std": 0.5 / options.dim / math.sqrt(3),  # cornac starts in +-0.5/dim
        "optimizer.name": "sgd",
        "optimizer.learning_rate": options.learning_rate,
        "objective.l2": options.l2,
        "evaluate.every_epochs": 0,
        "evaluate.cold_items": "false",
    }
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    last = ["--checkpoint", "last"]
    subprocess.run([options.spar, "train", "bpr-mf", "--data", work / "d.h5", "--run", run, *sets], **quiet)
    subprocess.run([options.spar, "export", run, "--to", out, *last], **quiet)
    own = subprocess.run(
        [options.spar, "evaluate", run, *last, "--metrics", "recall,ndcg", "--cutoffs", "10,20", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    names = [(out / f"{side}_ids.txt").read_text(encoding="utf-8").splitlines() for side in ("user", "item")]
    tables = [np.load(out / f"{side}.npy").astype(float) for side in ("user", "item")]
    bias = np.load(out / "item_bias.npy").astype(float).ravel()
    return tables, names, bias, json.loads(own.stdout)["metrics"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--spar", default="spar")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--l2", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--cornac-epochs", type=int, default=0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    train, test = pairs(options.train), pairs(options.test)
    rows = {"cornac": [], "spar": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        command = [options.spar, "import", "delimited", options.train, "--test", options.test]
        subprocess.run([*command, "--validation", "none", "--to", work / "d.h5"], check=True, stdout=subprocess.DEVNULL)
        for seed in options.seeds:
            tables, names, bias = train_cornac(options, train, seed)
            rows["cornac"].append(figures(train, test, *tables, *names, bias))
            tables, names, bias, own = train_spar(options, work, seed)
            rows["spar"].append(figures(train, test, *tables, *names, bias))
            for name, value in rows["spar"][-1].items():
                if abs(value - own[name]) > 1e-4:
                    raise SystemExit(f"{name}: spar says {own[name]:.6f}, the evaluator {value:.6f}")
    print("system", *METRICS, sep="\t")
    for system, results in rows.items():
        columns = [[result[name] for result in results] for name in METRICS]
        spread = [statistics.stdev(column) if len(column) > 1 else 0.0 for column in columns]
        print(system, *(f"{statistics.mean(c):.4f} ± {s:.4f}" for c, s in zip(columns, spread)), sep="\t")


if __name__ == "__main__":
    main()
