"""spar evaluate: what it prints, saves and compares, held to metrics that are computed here from an export."""

import array
import json
import math
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2])).resolve()
PROGRAM = os.environ.get("SPAR_PROGRAM", str(SOURCE / "build" / "release" / "spar"))
USERS, ITEMS = 211, 157


def spar(*words, ranks=0, code=0):
    command = [PROGRAM, *map(str, words)]
    if ranks:
        command = ["mpirun", "-q", "-n", str(ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def write_lists(folder):
    """Taste by halves of the catalogue; returns the test items of each user, repeats of training items among them."""
    draw = random.Random(5)
    test, train = {}, {}
    for user in range(USERS):
        low = 0 if user % 2 else ITEMS // 2
        items = draw.sample(range(low, low + ITEMS // 2), 14)
        train[user] = set(items[:10])
        test[user] = set(items[10:]) if user % 10 else set()
        if user % 7 == 0:
            test[user].add(items[0])
    for name, lists in (("train.txt", train), ("test.txt", test)):
        lines = [" ".join(map(str, [user, *sorted(items)])) for user, items in lists.items() if items]
        (folder / name).write_text("\n".join(lines) + "\n")
    return train, test


def read_npy(path):
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + size].decode()
    rows, columns = eval(header[header.index("'shape': ") + 9 :].split("), ")[0] + ")")
    values = array.array("f", data[10 + size :])
    return [values[k * columns : (k + 1) * columns] for k in range(rows)]


def ids(path):
    return path.read_text().split("\n")[:-1]


class Evaluation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        (cls.folder / "lists").mkdir()
        cls.train, cls.test = write_lists(cls.folder / "lists")
        cls.data = cls.folder / "d.h5"
        spar("import", "lightgcn", cls.folder / "lists", "--to", cls.data, "--validation", "none")
        for name, seed, dim in (("a-seed-1", 1, 8), ("a-seed-2", 2, 8), ("b-seed-1", 1, 4), ("b-seed-2", 2, 4)):
            spar("train", "bpr-mf", "--data", cls.data, "--run", cls.folder / name, "--progress", "none", "--set", "train.epochs=5",
                 "--set", f"train.seed={seed}", "--set", f"model.dim={dim}", "--set", "evaluate.every_epochs=0")  # fmt: skip

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_of(self, name):
        return self.folder / name

    def test_metrics_are_those_of_the_exported_vectors(self):
        out = self.folder / "vectors"
        spar("export", self.run_of("a-seed-1"), "--to", out, "--fold-bias")
        users = dict(zip(ids(out / "user_ids.txt"), read_npy(out / "user.npy")))
        items = dict(zip(ids(out / "item_ids.txt"), read_npy(out / "item.npy")))
        recall, ndcg, judged = 0.0, 0.0, 0
        for user, targets in self.test.items():
            found = {str(t) for t in targets if t not in self.train[user] and str(t) in items}
            if not found:
                continue
            judged += 1
            vector = users[str(user)]
            score = {i: sum(a * b for a, b in zip(vector, row)) for i, row in items.items() if int(i) not in self.train[user]}
            best = sorted(score, key=lambda i: -score[i])[:20]
            hits = [k for k, item in enumerate(best) if item in found]
            recall += len(hits) / len(found)
            ndcg += sum(1 / math.log2(k + 2) for k in hits) / sum(1 / math.log2(k + 2) for k in range(min(20, len(found))))
        result = json.loads(spar("evaluate", self.run_of("a-seed-1"), "--json", "--cutoffs", "20", "--metrics", "recall,ndcg").stdout)
        self.assertEqual(result["users"], judged)
        self.assertEqual(result["users"] + result["skipped"], USERS)
        # Sums in another order may swap two items that are almost equal.
        self.assertAlmostEqual(result["metrics"]["recall@20"], recall / judged, delta=2e-3)
        self.assertAlmostEqual(result["metrics"]["ndcg@20"], ndcg / judged, delta=2e-3)
        self.assertGreater(result["metrics"]["recall@20"], 0.15)

    def test_one_object_is_printed_and_its_values_are_the_same_on_any_launch(self):
        texts = set()
        for ranks in (0, 1, 2, 3, 4):
            for threads in (1, 2):
                words = ["evaluate", self.run_of("a-seed-1"), "--json", "--metrics", "hr,ndcg,map,auc", "--cutoffs", "5,10", "--threads", threads]
                texts.add(spar(*words, ranks=ranks).stdout)
        self.assertEqual(len(texts), 1)
        result = json.loads(texts.pop())
        self.assertEqual(result["system"], "bpr-mf")
        self.assertEqual(result["split"], "test")
        self.assertEqual(list(result["metrics"]), ["hr@5", "hr@10", "ndcg@5", "ndcg@10", "map@5", "map@10", "auc"])
        self.assertEqual(result["checkpoint"], "last")
        saved = json.loads((self.run_of("a-seed-1") / "results" / "evaluate-test-last.json").read_text())
        self.assertEqual(set(saved), set(result))

    def test_two_runs_are_tested_user_by_user_on_any_number_of_ranks(self):
        words = ["evaluate", self.run_of("a-seed-1"), self.run_of("b-seed-1"), "--cutoffs", "10", "--metrics", "hr,ndcg"]
        table = spar(*words).stdout.split("\n")
        self.assertTrue(table[0].startswith("test, "), table)
        self.assertRegex(table[1], r"^run +epoch +hr@10 +ndcg@10$")
        self.assertRegex(table[2], r"^a-seed-1 +5 +0\.\d{4} ±0\.\d{4} +0\.\d{4} ±0\.\d{4}$")
        self.assertRegex(table[4], r"^difference +[+-]0\.\d{4} +[+-]0\.\d{4}$")
        self.assertRegex(table[5], r"^paired t, p +\S+ +\S+$")
        self.assertEqual(table[6], "±: standard error over users")
        self.assertEqual(table[8], "saved results/evaluate-test-last.json in each run")
        first = spar(*words, "--json").stdout
        self.assertEqual(first, spar(*words, "--json", ranks=3).stdout)
        difference = json.loads(first)["differences"][0]["metrics"]["hr@10"]
        runs = json.loads(first)["runs"]
        self.assertAlmostEqual(difference["difference"], runs[1]["metrics"]["hr@10"] - runs[0]["metrics"]["hr@10"], places=12)
        self.assertTrue(0 <= difference["p"] <= 1)

    def test_seeds_become_one_row_each(self):
        runs = [self.run_of(name) for name in ("a-seed-1", "a-seed-2", "b-seed-1", "b-seed-2")]
        table = spar("evaluate", *runs, "--group", "seed", "--cutoffs", "10", "--metrics", "hr").stdout
        self.assertRegex(table, r"\na +2 +0\.\d{4} ±0\.\d{4}\nb +2 +0\.\d{4} ±0\.\d{4}\ndifference")
        groups = json.loads(spar("evaluate", *runs, "--group", "seed", "--json").stdout)["groups"]
        self.assertEqual([group["seeds"] for group in groups], [[1, 2], [1, 2]])

    def test_values_of_users_are_saved_on_request_with_the_same_bytes_on_any_launch(self):
        path = self.run_of("a-seed-2") / "results" / "evaluate-test-last.users.tsv"
        contents = set()
        for ranks in (0, 3):
            spar("evaluate", self.run_of("a-seed-2"), "--per-user", "--cutoffs", "10", "--metrics", "hr,ndcg", ranks=ranks)
            contents.add(path.read_text())
            path.unlink()
        self.assertEqual(len(contents), 1)
        lines = contents.pop().split("\n")[:-1]
        self.assertEqual(lines[0], "user\thr@10\tndcg@10")
        values = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:]}
        result = json.loads(spar("evaluate", self.run_of("a-seed-2"), "--json", "--cutoffs", "10", "--metrics", "hr").stdout)
        self.assertEqual(len(values), result["users"])
        self.assertAlmostEqual(sum(float(v[0]) for v in values.values()) / len(values), result["metrics"]["hr@10"], places=12)

    def test_a_split_without_interactions_is_refused_in_one_sentence(self):
        done = spar("evaluate", self.run_of("a-seed-1"), "--split", "validation", ranks=2, code=2)
        self.assertRegex(done.stderr, r"^spar: error: .*a-seed-1: .*d\.h5 has no validation interactions to judge by; --split test may have, ")
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_sampled_protocol_needs_candidates(self):
        done = spar("evaluate", self.run_of("a-seed-1"), "--protocol", "sampled", code=2)
        self.assertIn('has no fixed candidates, which evaluate.protocol = "sampled" needs', done.stderr)


if __name__ == "__main__":
    unittest.main()
