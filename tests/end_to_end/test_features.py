"""Models of item features: the same bytes on any launch and after any stop, one sentence where features are missing, and better ranks for cold items."""
import json
import unittest
from collections import defaultdict

import h5py

from trainings import Scratch, done, run, settings


class Features(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.data
        cls.data = cls.folder / "featured.h5"
        done("synth", "--users", 1201, "--items", 397, "--interactions", 24001, "--item-features", 21, "--cold-items", 0.2, "--to", cls.data)

    SHORT = settings(train__epochs=3, game__pretrain_epochs=1)

    def same(self, system, label, *more):
        self.train(system, f"{label}-1", *more)
        expected, losses = self.rows(f"{label}-1"), self.losses(f"{label}-1")
        self.assertTrue(expected)
        for ranks, threads in ((1, 2), (2, 1), (3, 1), (4, 1), (2, 2)):
            name = f"{label}-{ranks}-{threads}"
            self.train(system, name, *more, *settings(parallel__threads=threads), ranks=ranks)
            self.assertEqual(self.rows(name), expected, name)
            self.assertEqual(self.losses(name), losses, name)
        return expected

    def test_vbpr_and_amr_hold_the_same_bytes_on_any_ranks_and_threads(self):
        shared = self.same("amr", "amr", *self.SHORT)
        full = self.same("amr", "amr-full", *self.SHORT, *settings(network__form="full"))
        self.assertNotEqual(shared, full)
        self.same("vbpr", "vbpr", *settings(train__epochs=2))

    def test_lists_are_the_same_from_any_launch(self):
        self.train("amr", "listed", *self.SHORT)
        lists = [done("recommend", self.place("listed"), "--top", 10, ranks=ranks).stdout for ranks in (1, 3)]
        self.assertEqual(*lists)
        values = [json.loads(done("evaluate", self.place("listed"), "--json", ranks=ranks).stdout) for ranks in (1, 3)]
        self.assertEqual(*values)

    def test_without_weight_amr_is_vbpr(self):
        common = settings(train__epochs=2, evaluate__every_epochs=0)
        self.train("amr", "weightless", *common, *settings(game__pretrain_epochs=0, adversary__weight=0))
        self.train("vbpr", "base", *common)
        self.assertEqual(self.rows("weightless"), self.rows("base"))

    def test_a_run_stopped_in_the_adversarial_stage_goes_on_elsewhere_to_the_same_bytes(self):
        common = settings(game__pretrain_epochs=1, game__start_from="last", evaluate__patience=0, evaluate__every_epochs=0)
        self.goes_on_elsewhere("amr", 3, *common)

    def test_missing_features_are_one_sentence(self):
        for ranks in (0, 3):
            for verb in (["train", "vbpr", "--run", self.place("none")], ["plan", "amr", "--ranks", 2]):
                system = verb[1]
                result = run(*verb, "--data", self.plain, ranks=ranks)
                self.assertEqual(result.stderr, f"spar: error: {self.plain}: has no item features, which {system} needs; spar import brings them with "
                                                "--item-features\n")
                self.assertEqual(result.returncode, 2)
        result = run("train", "vbpr", "--data", self.data, "--run", self.place("none"), *settings(features__columns=3))
        self.assertRegex(result.stderr, r'\Aspar: error: [^\n]*: item features "\w+" have 21 columns, but features.columns = 3: "auto" is right\n\Z')
        result = run("train", "vbpr", "--data", self.data, "--run", self.place("none"), *settings(features__name="smell"))
        self.assertRegex(result.stderr, r'\Aspar: error: [^\n]* has no [^\n]*"smell"[^\n]*\n\Z')
        self.assertFalse(self.place("none").exists())

    def test_frozen_features_count_in_a_plan_and_stand_in_no_checkpoint(self):
        wide = self.folder / "wide.h5"
        done("synth", "--users", 1201, "--items", 397, "--interactions", 24001, "--item-features", 2048, "--to", wide)
        self.train("vbpr", "wide", *settings(train__epochs=1, model__dim=8), data=wide)
        [part] = [file for file in (self.place("wide") / "checkpoints").glob("*/part-*")][:1]
        self.assertLess(part.stat().st_size, 397 * 2048 * 4)
        planned = json.loads(done("plan", "vbpr", "--data", wide, "--ranks", 1, "--json", *settings(model__dim=8)).stdout)
        self.assertGreater(planned["bytes"]["tables"], 397 * 2048 * 4 + 2 * 2048 * 16 * 4)

    def cold_recall(self, name, top=50):
        """The share of the test interactions with cold items that stand in their users' lists."""
        with h5py.File(self.data) as file:
            users, items = file["users/ids"].asstr()[:], file["items/ids"].asstr()[:]
            seen = set(file["train/items"][:].tolist())
            targets, offsets = file["test/items"][:], file["test/offsets"][:]
        lists = defaultdict(set)
        for line in done("recommend", self.place(name), "--top", top).stdout.splitlines():
            user, _, item, *_ = line.split("\t")
            lists[user].add(item)
        cold = [(users[u], items[i]) for u in range(len(users)) for i in targets[offsets[u]:offsets[u + 1]] if i not in seen]
        self.assertGreater(len(cold), 1000)
        return sum(item in lists[user] for user, item in cold) / len(cold)

    def test_features_rank_items_that_nobody_has_seen(self):
        self.train("bpr-mf", "blind", *settings(train__epochs=40))
        self.train("vbpr", "seeing", *settings(train__epochs=60))
        self.train("vbpr", "seeing-full", *settings(train__epochs=60, network__form="full", rates__dense=0.01))
        blind = self.cold_recall("blind")
        chance = 50 / 397
        self.assertLess(blind, chance)
        for name in ("seeing", "seeing-full"):
            self.assertGreater(self.cold_recall(name), 1.5 * chance, name)


if __name__ == "__main__":
    unittest.main()
