"""Low ratings as dislikes: kept beside the interactions, carried by another split, drawn as negatives to the same bits on any launch."""
import ctypes
import json
import shutil
import unittest

import h5py
import numpy
from trainings import Scratch, done, run, settings

DISLIKES = settings(sampling__negatives="dislikes", train__batch_size=300)
LAW = [*DISLIKES, *settings(sampling__dislike_share=0.4)]
SMALL = {"bpr-mf": settings(model__dim=9), "mf": settings(model__dim=9), "neumf": settings(model__dim=5, network__layers="[10,7,5]"),
         "apr": settings(model__dim=9, game__pretrain_epochs=1)}
USERS, ITEMS = 701, 211


def ratings():
    """Users like what is near them, and say of some other items that they do not."""
    numbers = numpy.random.default_rng(7)
    lines = []
    for user in range(USERS):
        for item in numbers.choice(ITEMS, size=int(numbers.integers(4, 25)), replace=False):
            near = (item - user) % ITEMS < ITEMS // 2
            rating = numbers.integers(3, 6) if near else numbers.integers(1, 4)
            lines.append(f"u{user}\ti{item}\t{rating}\t{numbers.integers(1, 100000)}\n")
    return lines


class Dislikes(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "ratings.tsv"
        cls.lines = ratings()
        cls.text.write_text("".join(cls.lines))
        cls.data = cls.folder / "disliked.h5"
        cls.report = json.loads(done("import", "delimited", cls.text, "--dislikes-below", 3, "--to", cls.data, "--json").stdout)
        cls.without = cls.folder / "dropped.h5"
        done("import", "delimited", cls.text, "--min-rating", 3, "--to", cls.without)

    def refused(self, words, *sentences, ranks=0):
        result = run(*words, ranks=ranks)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        for sentence in sentences:
            self.assertEqual(result.stderr.count(sentence), 1, result.stderr)

    def disliked(self, path):
        with h5py.File(path) as file:
            users, items = file["users/ids"].asstr()[:], file["items/ids"].asstr()[:]
            offsets, rows = file["dislikes/offsets"][:], file["dislikes/items"][:]
            self.assertEqual((file["dislikes"].attrs["format"], file.attrs["version"]), (b"spar-dislikes", 1))
            return {(users[k], items[row]) for k in range(len(users)) for row in rows[offsets[k]:offsets[k + 1]]}

    def test_the_file_holds_every_low_rating_of_known_users_and_items(self):
        rows = [line.split() for line in self.lines]
        with h5py.File(self.data) as file:
            users, items = set(file["users/ids"].asstr()[:]), set(file["items/ids"].asstr()[:])
            self.assertEqual(file["dislikes/times"].shape, file["dislikes/items"].shape)
        expected = {(user, item) for user, item, rating, _ in rows if int(rating) < 3 and user in users and item in items}
        self.assertEqual(self.disliked(self.data), expected)
        self.assertEqual(self.report["dislikes"], len(expected))
        self.assertEqual(json.loads(done("inspect", self.data, "--json").stdout)["dislikes"], len(expected))
        self.assertIn(f"dislikes: {len(expected):,} items with times", done("inspect", self.data).stdout)

    def test_interactions_are_those_of_a_data_set_without_dislikes(self):
        with h5py.File(self.data) as kept, h5py.File(self.without) as dropped:
            for part in ("train", "validation", "test"):
                for array in ("offsets", "items", "ratings", "times"):
                    self.assertTrue(numpy.array_equal(kept[part][array][:], dropped[part][array][:]), (part, array))

    def test_another_split_carries_dislikes_along(self):
        done("split", self.data, "--split", "ratio", "--to", self.place("ratio.h5"))
        self.assertEqual(self.disliked(self.place("ratio.h5")), self.disliked(self.data))
        report = json.loads(done("split", self.data, "--k-core", 7, "--to", self.place("core.h5"), "--json").stdout)
        carried = self.disliked(self.place("core.h5"))
        self.assertEqual(report["dislikes"], len(carried))
        self.assertLess(0, len(carried))
        self.assertLess(carried, self.disliked(self.data))

    def test_every_launch_trains_the_same_bits_and_others_than_uniform_negatives(self):
        for system, small in SMALL.items():
            with self.subTest(system=system):
                words = [*small, *LAW, *settings(train__epochs=2)]
                self.train(system, system, *words)
                for ranks, threads in ((1, 2), (2, 1), (3, 2), (4, 1)):
                    name = f"{system}-{ranks}"
                    self.train(system, name, *words, *settings(parallel__threads=threads), ranks=ranks)
                    self.assertEqual(self.rows(name), self.rows(system), name)
                uniform = [*small, *settings(train__epochs=2, train__batch_size=300)]
                self.train(system, f"{system}-uniform", *uniform)
                self.assertNotEqual(self.rows(f"{system}-uniform"), self.rows(system))
                self.train(system, f"{system}-nothing", *small, *DISLIKES, *settings(sampling__dislike_share=0, train__epochs=2))
                self.assertEqual(self.rows(f"{system}-nothing"), self.rows(f"{system}-uniform"))

    def test_a_stopped_run_goes_on_elsewhere_to_the_same_bits(self):
        self.goes_on_elsewhere("bpr-mf", 3, *SMALL["bpr-mf"], *LAW, *settings(evaluate__every_epochs=0))

    def test_training_without_the_law_knows_nothing_of_dislikes(self):
        for data, name in ((self.data, "beside"), (self.without, "alone")):
            self.train("bpr-mf", name, *SMALL["bpr-mf"], *settings(train__epochs=2), data=data)
        self.assertEqual(self.rows("beside"), self.rows("alone"))

    def test_items_that_users_dislike_end_lower_where_they_are_drawn(self):
        pairs = self.disliked(self.data)
        places = {}
        for name, law in (("drawn", LAW), ("undrawn", settings(train__batch_size=300))):
            self.train("bpr-mf", name, *settings(model__dim=16, train__epochs=60, optimizer__learning_rate=0.1, evaluate__every_epochs=0), *law)
            users = sorted({user for user, _ in pairs})[:100]
            lists = {}
            for line in done("recommend", self.place(name), "--users", ",".join(users), "--top", ITEMS).stdout.splitlines():
                user, place, item, _ = line.split("\t")
                lists[user, item] = int(place)
            places[name] = numpy.mean([lists[pair] for pair in pairs if pair in lists])
        self.assertGreater(places["drawn"], places["undrawn"] + 5, places)

    def test_the_plan_counts_what_a_rank_holds_of_dislikes(self):
        plans = [json.loads(done("plan", "bpr-mf", "--data", self.data, "--ranks", 1, "--json", *law).stdout) for law in (LAW, settings(train__batch_size=300))]
        with h5py.File(self.data) as file:
            lists = 4 * file["dislikes/items"].shape[0] + 8 * file["dislikes/offsets"].shape[0]
        self.assertEqual(plans[0]["bytes"]["pairs"] - plans[1]["bytes"]["pairs"], lists)

    def test_data_without_dislikes_and_thresholds_without_sense_get_one_sentence(self):
        sentence = f"sampling.negatives = \"dislikes\", but {self.without} keeps no dislikes: spar import with --dislikes-below 3, for instance, keeps what users rate lower"
        for ranks in (0, 3):
            self.refused(["train", "bpr-mf", "--data", self.without, "--run", self.place("refused"), *LAW], sentence, ranks=ranks)
        self.refused(["plan", "bpr-mf", "--data", self.without, "--ranks", 2, *LAW], sentence)
        self.refused(["train", "bpr-mf", "--data", self.data, "--run", self.place("refused"), *DISLIKES, *settings(sampling__dislike_share=-0.5)], "it must be 0 to 1")
        self.assertFalse(self.place("refused").exists())
        to = ["import", "delimited", self.text, "--to", self.place("refused.h5")]
        self.refused([*to, "--dislikes-below", 1], "--dislikes-below 1 finds no dislikes: the lowest rating is 1")
        self.refused([*to, "--dislikes-below", 4, "--min-rating", 3], "--dislikes-below 4 is above --min-rating 3")
        pairs = self.place("pairs.tsv")
        pairs.write_text("a\tx\na\ty\n")
        self.refused(["import", "delimited", pairs, "--dislikes-below", 3, "--to", self.place("refused.h5")], "--dislikes-below needs a rating for every interaction")
        self.assertFalse(self.place("refused.h5").exists())

    def test_a_pair_that_is_both_is_damage(self):
        wrong = self.place("wrong.h5")
        shutil.copy(self.data, wrong)
        hashing = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
        hashing.restype, hashing.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
        with h5py.File(wrong, "r+") as file:
            users = int(file.attrs["users"])
            offsets, items = file["dislikes/offsets"][:], file["dislikes/items"][:]
            trained, own = file["train/offsets"][:], file["train/items"][:]
            user = next(k for k in range(users) if offsets[k + 1] - offsets[k] == 1 and trained[k + 1] > trained[k])
            file["dislikes/items"][offsets[user]] = items[offsets[user]] = own[trained[user]]
            group = next(g for g in range(1024) if g * users // 1024 <= user < (g + 1) * users // 1024)
            segment = items[offsets[group * users // 1024]:offsets[(group + 1) * users // 1024]].tobytes()
            file["checksums/dislikes/items"][group] = hashing(segment, len(segment))
        words = ["train", "bpr-mf", "--data", wrong, "--run", self.place("refused"), *LAW]
        self.refused(words, f"{wrong} is damaged: user {user} has item {items[offsets[user]]} in training and among the dislikes", ranks=2)
        self.assertFalse(self.place("refused").exists())


if __name__ == "__main__":
    unittest.main()
