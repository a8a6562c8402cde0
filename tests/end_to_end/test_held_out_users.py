"""Users whom training does not know: ranked by what is folded in, found by what is not, the same on any launch."""
import json
import math
import unittest

import h5py
from trainings import Scratch, done, lines_so_far, run, settings

HELD_OUT = 90, 130
SMALL = {"mult-vae": settings(network__layers="[21,7]", autoencoder__beta="ramp 0 0.2 over 10 steps"),
         "mult-dae": settings(network__layers="[18]"),
         "cdae": settings(model__dim=11)}
BATCH = settings(train__batch_size=150)


class HeldOutUsers(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.held = cls.folder / "held.h5"
        done("split", cls.data, "--held-out-users", ",".join(map(str, HELD_OUT)), "--fold-in", "0.7", "--to", cls.held)
        with h5py.File(cls.held) as file:
            ids = [text.decode() for text in file["users/ids"][:]]
            items = [text.decode() for text in file["items/ids"][:]]
            cls.parts = {}
            for part in ("train", "validation", "test", "fold_in"):
                offsets, rows = file[part]["offsets"][:], file[part]["items"][:]
                cls.parts[part] = {ids[k]: {items[row] for row in rows[offsets[k]:offsets[k + 1]]}
                                   for k in range(len(ids)) if offsets[k + 1] > offsets[k]}

    def evaluated(self, name, *more, ranks=0):
        return done("evaluate", self.place(name), "--json", *more, ranks=ranks).stdout

    def recommended(self, name, users, top, ranks=0):
        lists = {}
        for line in done("recommend", self.place(name), "--users", ",".join(users), "--top", top, ranks=ranks).stdout.splitlines():
            user, _, item, _ = line.split("\t")
            lists.setdefault(user, []).append(item)
        return lists

    def test_every_launch_trains_and_judges_the_same_bits(self):
        for system, small in SMALL.items():
            with self.subTest(system=system):
                logs, figures = set(), set()
                for ranks in (0, 2, 3, 4):
                    name = f"{system}-{ranks}"
                    self.train(system, name, *small, *BATCH, *settings(train__epochs=3, evaluate__every_epochs=1), data=self.held, ranks=ranks)
                    logs.add(tuple(line["metrics"]["ndcg@100"] for line in lines_so_far(self.place(name)) if line["event"] == "validation"))
                    result = json.loads(self.evaluated(name, "--metrics", "ndcg,recall_min", "--cutoffs", "20,100", ranks=ranks))
                    self.assertEqual((result["users"], result["skipped"]), (HELD_OUT[1], 0))
                    figures.add(json.dumps(result["metrics"]))
                    figures.add(json.dumps(json.loads(self.evaluated(f"{system}-0", "--metrics", "ndcg,recall_min", "--cutoffs", "20,100", ranks=ranks))["metrics"]))
                self.assertEqual((len(logs), len(figures)), (1, 1))
                self.assertEqual(len(logs.pop()), 3)

    def test_what_is_folded_in_is_never_recommended_and_figures_are_those_of_the_lists(self):
        self.train("mult-vae", "lists", *SMALL["mult-vae"], *BATCH, *settings(train__epochs=4), data=self.held)
        users = sorted(self.parts["test"])
        self.assertEqual(len(users), HELD_OUT[1])
        lists = self.recommended("lists", users, 100, ranks=2)
        ndcg, recall = 0.0, 0.0
        for user in users:
            self.assertNotIn(user, self.parts["train"])
            self.assertFalse(self.parts["fold_in"][user] & set(lists[user]))
            self.assertFalse(self.parts["fold_in"][user] & self.parts["test"][user])
            hits = [place for place, item in enumerate(lists[user]) if item in self.parts["test"][user]]
            targets = len(self.parts["test"][user])
            ideal = sum(1 / math.log2(k + 2) for k in range(min(100, targets)))
            ndcg += sum(1 / math.log2(k + 2) for k in hits) / ideal / len(users)
            recall += sum(k < 20 for k in hits) / min(20, targets) / len(users)
        metrics = json.loads(self.evaluated("lists", "--metrics", "ndcg,recall_min", "--cutoffs", "20,100"))["metrics"]
        self.assertAlmostEqual(metrics["ndcg@100"], ndcg, places=9)
        self.assertAlmostEqual(metrics["recall_min@20"], recall, places=9)

    def test_a_profile_says_more_than_popularity(self):
        self.train("popularity", "popular", data=self.held)
        self.train("mult-vae", "learned", *settings(network__layers="[64,24]", autoencoder__beta="ramp 0 0.05 over 200 steps",
                                                     train__batch_size=64, train__epochs=30, optimizer__learning_rate=0.003), data=self.held)
        values = {name: json.loads(self.evaluated(name, "--cutoffs", "10"))["metrics"]["ndcg@10"] for name in ("popular", "learned")}
        self.assertGreater(values["learned"], 1.1 * values["popular"], values)

    def test_models_of_histories_read_what_is_folded_in(self):
        text, timed = self.folder / "cycle.txt", self.folder / "timed.h5"
        text.write_text("".join(f"u{user} i{(user * 7 + k) % 61}\n" for user in range(200) for k in range(5 + user % 13)))
        done("import", "delimited", text, "--columns", "user,item", "--ordered", "--held-out-users", "20,30", "--to", timed)
        # Items follow each other in a cycle: who knows a part of a list finds its gaps and its end.
        self.train("popularity", "history-popular", data=timed)
        self.train("gru4rec", "history", *settings(model__dim=16, train__epochs=12, train__batch_size=16, optimizer__learning_rate=0.01), data=timed)
        metrics = {name: self.evaluated(name, "--metrics", "ndcg", "--cutoffs", "10") for name in ("history-popular", "history")}
        self.assertEqual(metrics["history"], self.evaluated("history", "--metrics", "ndcg", "--cutoffs", "10", ranks=3))
        values = {name: json.loads(text)["metrics"]["ndcg@10"] for name, text in metrics.items()}
        self.assertEqual(json.loads(metrics["history"])["users"], 30)
        self.assertGreater(values["history"], 1.5 * values["history-popular"], values)

    def test_systems_with_a_row_for_each_user_say_so(self):
        sentence = (f"spar: error: bpr-mf learns a row for each user, so it has none for the users that {self.held} holds out of training: "
                    f"take a system that reads profiles or histories, such as mult-vae or sasrec, or spar split {self.held} --split ratio --to other.h5\n")
        for words in (("train", "bpr-mf", "--data", self.held, "--run", self.place("none")), ("plan", "bpr-mf", "--data", self.held, "--ranks", 2)):
            result = run(*words)
            self.assertEqual((result.returncode, result.stderr), (2, sentence))
        self.assertFalse(self.place("none").exists())

    def test_inspect_counts_them(self):
        told = json.loads(done("inspect", self.held, "--json").stdout)
        self.assertEqual(told["users_with_fold_in"], sum(HELD_OUT))
        self.assertEqual((told["users_with_validation"], told["users_with_test"]), HELD_OUT)
        self.assertEqual(told["fold_in"], sum(map(len, self.parts["fold_in"].values())))
        self.assertIn(f"fold_in     {told['fold_in']:,} interactions of {sum(HELD_OUT)} users", done("inspect", self.held).stdout)

    def test_options_that_need_them_say_so(self):
        for words, sentence in ((("--fold-in", "0.5"), "--fold-in needs --held-out-users"),
                                (("--drop-unseen-items",), "--drop-unseen-items needs --held-out-users"),
                                (("--held-out-users", "5"), "--held-out-users takes two numbers, users for validation and users for the test: "
                                                            "--held-out-users 500,500")):
            result = run("split", self.data, "--to", self.place("x.h5"), *words)
            self.assertEqual((result.returncode, result.stderr), (2, f"spar: error: {sentence}\n"))


if __name__ == "__main__":
    unittest.main()
