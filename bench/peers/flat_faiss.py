#!/usr/bin/env python3
"""Exhaustive search of faiss (IndexFlatIP): for a comparison of speed with spar's ranking of every item.

    pip install faiss-cpu numpy
    taskset -c 1 bench/peers/flat_faiss.py --bench build/bench/bench/bench_evaluate

Each round is one run of bench_evaluate, whose line "recommend" finds the best items of every user and leaves out what he
has had, and then one search of faiss for the same number of items in the same vectors, which leaves out nothing. One
thread, processor time on both sides, ratios round by round.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import faiss
import numpy


def vectors(path, dim):
    return numpy.fromfile(path, dtype=numpy.float32).reshape(-1, dim)


def search_seconds(users, items, top):
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    start = time.process_time()
    scores, _ = index.search(users, top)
    seconds = time.process_time() - start
    assert numpy.isfinite(scores).all()
    return seconds


def recommend_seconds(bench, shape, folder):
    done = subprocess.run([bench, *map(str, shape), folder], check=True, capture_output=True, text=True)
    return float(re.search(r"recommend: .*? ([0-9.]+) s ", done.stdout).group(1))


def compare(bench, shape, rounds):
    users, items, dim, top = shape
    work = 2e-9 * users * items * dim
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            ours.append(recommend_seconds(bench, shape, folder))
            theirs.append(search_seconds(vectors(Path(folder) / "users.f32", dim),
                                         vectors(Path(folder) / "items.f32", dim), top))
    ratio = statistics.median(t / o for o, t in zip(ours, theirs))
    print(f"{users} users x {items} items, d = {dim}, K = {top}")
    for name, seconds in (("spar", ours), (f"faiss {faiss.__version__}", theirs)):
        middle = statistics.median(seconds)
        print(f"  {name:16} {middle:7.3f} s  {work / middle:6.1f} GFLOP/s")
    print(f"  spar is {ratio:.1f} times as fast ({', '.join(f'{t / o:.1f}' for o, t in zip(ours, theirs))})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default="build/bench/bench/bench_evaluate")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for shape in ((70679, 24915, 64, 100), (8000, 200000, 64, 100)):
        compare(arguments.bench, shape, arguments.rounds)


if __name__ == "__main__":
    main()
