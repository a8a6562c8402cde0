"""Predicted ratings: autorec gives the same bits on any launch, its errors are those of the formula, and less is better."""
import json
import signal
import unittest

import h5py
import numpy as np
from trainings import PATIENCE, Scratch, done, lines_so_far, run, settings, sha256

FORM = settings(model__dim=11, optimizer__learning_rate=0.01)
SMALL = [*FORM, *settings(objective__l2=0.01, train__batch_size=60)]
USERS, ITEMS = 311, 127


def planted():
    """Ratings 1 to 5 from two planted factors."""
    random = np.random.default_rng(7)
    taste, kind = random.normal(size=(USERS, 2)), random.normal(size=(ITEMS, 2))
    lines = []
    for user in range(USERS):
        for item in random.choice(ITEMS, size=random.integers(8, 60), replace=False):
            rating = 3 + 1.2 * taste[user] @ kind[item] / 2 + 0.3 * random.normal()
            lines.append(f"u{user}\ti{item}\t{int(np.clip(round(rating), 1, 5))}\n")
    return "".join(lines)


class Ratings(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        text = cls.folder / "ratings.tsv"
        text.write_text(planted())
        cls.rated, cls.exchanged = cls.folder / "rated.h5", cls.folder / "exchanged.h5"
        split = "--split", "random", "--test-ratio", "0.1"
        done("import", "delimited", text, "--columns", "user,item,rating", *split, "--to", cls.rated)
        done("import", "delimited", text, "--columns", "item,user,rating", *split, "--to", cls.exchanged)

    def tables(self, name):
        newest = sorted((self.place(name) / "checkpoints").glob("epoch-*"))[-1]
        return {file: digest for file, digest in sha256(newest).items() if file.startswith("part-")}

    def judged(self, name, *more, ranks=0):
        return done("evaluate", self.place(name), "--json", *more, ranks=ranks).stdout

    def test_every_launch_trains_and_judges_the_same_bits(self):
        figures = set()
        for ranks, threads in ((0, 1), (1, 2), (2, 1), (3, 2), (4, 1)):
            name = f"bits-{ranks}-{threads}"
            self.train("autorec", name, *SMALL, *settings(train__epochs=3, parallel__threads=threads), data=self.rated, ranks=ranks)
            self.assertEqual(self.tables(name), self.tables("bits-0-1"), name)
            figures.add(self.judged("bits-0-1", "--metrics", "rmse,mae,ndcg", "--cutoffs", "10", ranks=ranks))
        self.assertEqual(len(figures), 1)

    def test_a_run_stopped_inside_an_epoch_goes_on_to_the_same_bits_on_another_count(self):
        steps = [*FORM, *settings(train__batch_size=3, evaluate__every_epochs=0)]
        self.data = self.rated
        job = self.started("autorec", "stopped", *steps, *settings(train__epochs=1000000), ranks=3)
        self.wait_for(job, "epoch 2", lambda: sum(line["event"] == "epoch" for line in lines_so_far(self.place("stopped"))) >= 2)
        job.send_signal(signal.SIGUSR1)
        _, errors = job.communicate(timeout=PATIENCE)
        self.assertEqual(job.returncode, 75, errors)
        epochs = settings(train__epochs=self.newest_epoch("stopped") + 1)
        self.train("autorec", "stopped", *steps, *epochs, ranks=2)
        self.train("autorec", "whole", *steps, *epochs)
        self.assertEqual(self.tables("stopped"), self.tables("whole"))

    def test_errors_are_those_of_the_formula(self):
        self.train("autorec", "formula", *SMALL, *settings(train__epochs=5), data=self.rated)
        newest = sorted((self.place("formula") / "checkpoints").glob("epoch-*"))[-1]
        with h5py.File(newest / "index.h5") as file:
            tables = {name: {field: values[:].astype(float) for field, values in group.items()} for name, group in file["tables"].items()}
        with h5py.File(self.rated) as file:
            parts = {part: tuple(file[part][array][:] for array in ("offsets", "items", "ratings")) for part in ("train", "test")}
            users, items = file["users/ids"].shape[0], file["items/ids"].shape[0]
        profiles = np.zeros((users, items))
        offsets, rows, ratings = parts["train"]
        for user in range(users):
            profiles[user, rows[offsets[user]:offsets[user + 1]]] = ratings[offsets[user]:offsets[user + 1]]
        bias = tables["dense.encoder.0.bias"]["vector"].reshape(-1)
        hidden = 1 / (1 + np.exp(-(profiles @ tables["encoder"]["vector"] + bias)))
        predicted = np.clip(hidden @ tables["item"]["vector"].T + tables["item"]["bias"].reshape(-1), 1, 5)
        predicted[:, (profiles > 0).sum(0) == 0] = 3
        predicted[(profiles > 0).sum(1) == 0, :] = 3
        offsets, rows, ratings = parts["test"]
        errors = np.concatenate([predicted[user, rows[offsets[user]:offsets[user + 1]]] for user in range(users)]) - ratings
        told = json.loads(self.judged("formula", "--checkpoint", "last"))
        self.assertEqual(sorted(told["metrics"]), ["mae", "rmse"])
        self.assertAlmostEqual(told["metrics"]["rmse"], np.sqrt((errors ** 2).mean()), places=5)
        self.assertAlmostEqual(told["metrics"]["mae"], np.abs(errors).mean(), places=5)

    def test_the_best_epoch_has_the_least_error_and_errors_that_rise_end_the_training(self):
        self.train("autorec", "least", *FORM, *settings(objective__l2=0, train__batch_size=60, train__epochs=400, evaluate__every_epochs=4, evaluate__patience=3), data=self.rated)
        told = [line for line in lines_so_far(self.place("least")) if line["event"] == "validation"]
        values = [line["metrics"]["rmse"] for line in told]
        best = values.index(min(values))
        self.assertEqual(len(values), best + 4)
        self.assertLess(told[-1]["epoch"], 400)
        result = json.loads(self.judged("least", "--split", "validation"))
        self.assertEqual((result["checkpoint"], result["epoch"], result["selected_by"]), ("best", told[best]["epoch"], "rmse"))
        self.assertAlmostEqual(result["metrics"]["rmse"], values[best], places=12)

    def test_planted_tastes_are_found_from_either_side(self):
        for data, name in ((self.rated, "users"), (self.exchanged, "items")):
            self.train("autorec", name, *FORM, *settings(objective__l2=1, train__batch_size=20, train__epochs=120), data=data)
            with h5py.File(data) as file:
                train, test = file["train/ratings"][:].astype(float), file["test/ratings"][:].astype(float)
            constant = np.sqrt(((test - train.mean()) ** 2).mean())
            self.assertLess(json.loads(self.judged(name))["metrics"]["rmse"], 0.8 * constant)

    def test_users_held_out_of_training_have_predicted_ratings_too(self):
        held = self.folder / "held.h5"
        done("split", self.rated, "--held-out-users", "30,40", "--to", held)
        self.train("autorec", "held", *SMALL, *settings(train__epochs=40), data=held)
        result = json.loads(self.judged("held", ranks=2))
        self.assertEqual(result["users"], 40)
        self.assertLess(result["metrics"]["rmse"], 1.0)

    def test_what_has_no_ratings_says_so(self):
        result = run("train", "autorec", "--data", self.data, "--run", self.place("none"))
        self.assertEqual((result.returncode, result.stderr),
                         (2, f"spar: error: autorec predicts ratings, which {self.data} lacks: import text that has a column of ratings\n"))
        self.train("bpr-mf", "factors", *settings(train__epochs=1), data=self.rated)
        result = run("evaluate", self.place("factors"), "--metrics", "rmse")
        self.assertEqual((result.returncode, result.stderr),
                         (2, "spar: error: rmse and mae compare predicted ratings with given ones: they need a system that predicts ratings, such as "
                             "autorec, so choose other evaluate.metrics and evaluate.select_by\n"))


if __name__ == "__main__":
    unittest.main()
