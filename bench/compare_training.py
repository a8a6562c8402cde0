#!/usr/bin/env python3
"""Compare `spar train`, as users run it, with the bare kernel: in turn, in one run, one table of ratios.

    bench/compare_training.py --build build/bench --data pinterest.h5
    bench/compare_training.py --build build/bench --synthetic 5000000x1000000x30000000 --batch 4096 32768
    bench/compare_training.py --build build/bench --data a.h5 --ranks 1 2 --rounds 5 --json figures.json

Each round runs the bare kernel (bench_bare_pairwise) and then, for every number of ranks, a short training in a fresh
run directory, whose rate is the median of `examples_per_second` over the epochs of log.jsonl, the first one left out. A
ratio belongs to one round, so both sides met the same neighbours; the table shows the medians over the rounds.
One rank runs on one core with one thread; N ranks on N cores. Before and after every run of several ranks the distance
of two cores is measured (bench_machine --cores): a virtual machine may move between cores that share a third-level
cache and cores that do not, and two ranks are then as fast as two different machines. Only the standard library is used.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FLOORS = {1: 0.75}  # of the bare kernel, on one rank
RANK_FLOORS = {4096: 1.5, 32768: 1.3}  # two ranks over one, tables that fit the cache
RANK_FLOOR_LARGE = 1.5
LARGE_ROWS = 1_000_000


def run(command, **options):
    """The standard output of a command; ends the comparison with its error output where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


class Bench:
    def __init__(self, arguments, work):
        build = Path(arguments.build)
        self.spar = build / "spar"
        self.bare = build / "bench" / "bench_bare_pairwise"
        self.machine = build / "bench" / "bench_machine"
        for program in (self.spar, self.bare, self.machine):
            if not program.exists():
                sys.exit(f"{program} is missing: cmake --preset bench && cmake --build --preset bench")
        self.arguments = arguments
        self.work = work
        self.cores = sorted(os.sched_getaffinity(0))
        self.environment = dict(os.environ)
        if os.geteuid() == 0:
            self.environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def make_synthetic(self, text):
        users, items, interactions = text.split("x")
        path = self.work / f"synthetic-{users}x{items}.h5"
        run([self.spar, "synth", "--users", users, "--items", items, "--interactions", interactions, "--to", path])
        return path

    def counts(self, data):
        return json.loads(run([self.spar, "inspect", data, "--json"]))

    def bare_rate(self, system, batch, counts):
        out = run(["taskset", "-c", self.cores[-1], self.bare, "--json", "--clock", "wall", "--system", system, "--batch", batch,
                   "--users", counts["users"], "--items", counts["items"], "--seconds", self.arguments.seconds])
        return json.loads(out.splitlines()[-1])["median"]

    def core_distance(self):
        """Nanoseconds of a number from one core to another and back."""
        out = run(["mpirun", "-q", "-n", 2, "--bind-to", "core", self.machine, "--cores", "--json"], env=self.environment)
        return json.loads(out.splitlines()[-1])["median"]

    def spar_rate(self, system, batch, ranks, data, epochs):
        directory = self.work / "run"
        shutil.rmtree(directory, ignore_errors=True)
        settings = {
            "model.dim": 64,
            "optimizer.name": "adagrad",
            "train.batch_size": batch,
            "train.epochs": epochs,
            "evaluate.every_epochs": 0,
            "checkpoint.every_minutes": 0,
            "parallel.threads": 1,
            "parallel.pipeline": self.arguments.pipeline,
        }
        if system == "apr":
            settings |= {"adversary.scope": "batch", "game.pretrain_epochs": 0}
        command = [self.spar, "train", system, "--data", data, "--run", directory, "--progress", "none"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        if ranks == 1:
            command = ["taskset", "-c", self.cores[-1]] + command
        else:
            command = ["mpirun", "-q", "-n", ranks, "--bind-to", "core"] + command
        run(command, env=self.environment)
        rates = [line["examples_per_second"] * 1e-6 for line in read_log(directory / "log.jsonl")
                 if line["event"] == "epoch" and line["stage"] == ("apr" if system == "apr" else "bpr")]
        return statistics.median(rates[1:] or rates)


def read_log(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def floor_of(row):
    if row["ranks"] == 1:
        return FLOORS[1], row["to_bare"]
    if row["ranks"] == 2 and "to_one_rank" in row:
        large = row["users"] >= LARGE_ROWS
        return (RANK_FLOOR_LARGE if large else RANK_FLOORS.get(row["batch"])), row["to_one_rank"]
    return None, None


def compare(bench, system, batch, data, counts):
    """The rows of one setting, one for each number of ranks."""
    arguments = bench.arguments
    epochs = arguments.epochs or max(2, min(12, int(arguments.seconds * 3e6 / counts["train"]) + 2))
    bare, trained = [], {ranks: [] for ranks in arguments.ranks}
    distances = {ranks: [] for ranks in arguments.ranks}
    for _ in range(arguments.rounds):
        bare.append(bench.bare_rate(system, batch, counts))
        for ranks in arguments.ranks:
            before = bench.core_distance() if ranks > 1 else 0
            trained[ranks].append(bench.spar_rate(system, batch, ranks, data, epochs))
            distances[ranks] += [before, bench.core_distance()] if ranks > 1 else []
    rows = []
    for ranks in arguments.ranks:
        row = {
            "data": Path(data).stem, "users": counts["users"], "items": counts["items"], "system": system, "batch": batch,
            "ranks": ranks, "spar": statistics.median(trained[ranks]), "bare": statistics.median(bare),
            "to_bare": statistics.median(a / b for a, b in zip(trained[ranks], bare)),
        }
        if distances[ranks]:
            row["core_distance"] = [min(distances[ranks]), max(distances[ranks])]
        if ranks != 1 and 1 in trained:
            row["to_one_rank"] = statistics.median(a / b for a, b in zip(trained[ranks], trained[1]))
        rows.append(row)
    return rows


def print_row(row):
    floor, value = floor_of(row)
    verdict = "" if floor is None else f"floor {floor:.2f}: {'reached' if value >= floor else 'MISSED'}"
    one = f"{row['to_one_rank']:5.2f}" if "to_one_rank" in row else "    -"
    if "core_distance" in row:
        verdict += "  cores {:.0f} to {:.0f} ns apart".format(*row["core_distance"])
    print(f"{row['data']:<28} {row['system']:<7} {row['batch']:>6} {row['ranks']:>5} {row['spar']:>8.2f} {row['bare']:>8.2f} "
          f"{row['to_bare']:>8.2f} {one:>9}  {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/bench", help="build folder of the preset bench")
    parser.add_argument("--data", nargs="*", default=[], help="data sets")
    parser.add_argument("--synthetic", nargs="*", default=[], metavar="USERSxITEMSxINTERACTIONS")
    parser.add_argument("--system", nargs="*", default=["bpr-mf", "apr"], choices=["bpr-mf", "apr"])
    parser.add_argument("--batch", nargs="*", type=int, default=[512, 4096, 32768])
    parser.add_argument("--ranks", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=0, help="epochs of a training; 0: about --seconds of them")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--pipeline", type=int, default=0, choices=[0, 1])
    parser.add_argument("--json", help="also write the rows to this file")
    arguments = parser.parse_args()
    if not arguments.data and not arguments.synthetic:
        parser.error("give --data or --synthetic")
    rows = []
    with tempfile.TemporaryDirectory(prefix="spar-bench-") as work:
        bench = Bench(arguments, Path(work))
        print(f"{'data':<28} {'system':<7} {'batch':>6} {'ranks':>5} {'spar':>8} {'bare':>8} {'to bare':>8} {'to 1 rank':>9}"
              "  (million examples/s)")
        for data in arguments.data + [bench.make_synthetic(text) for text in arguments.synthetic]:
            counts = bench.counts(data)
            for batch in arguments.batch:
                for system in arguments.system:
                    for row in compare(bench, system, batch, data, counts):
                        print_row(row)
                        rows.append(row)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
