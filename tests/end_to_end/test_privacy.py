"""Private attributes: the same bytes on any launch and after any stop, labels that stay out of every file, what probes read out of vectors, and
one sentence where attributes are missing."""
import json
import math
import unittest

import h5py
import numpy as np

from trainings import Scratch, done, run, settings


class Privacy(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.data
        cls.data = cls.folder / "private.h5"
        # "mark" is independent of taste, "taste" is determined by it; "trio" lies between.
        done("synth", "--users", 1201, "--items", 397, "--interactions", 24001, "--user-attribute", "mark:2:0", "--user-attribute", "taste:2:1",
             "--user-attribute", "trio:3:0.8", "--to", cls.data)

    def probed(self, *names, attributes="taste", ranks=0, more=()):
        words = ["probe", *[self.place(name) for name in names], "--attributes", attributes, "--json", "--progress", "none", *more]
        return json.loads(done(*words, ranks=ranks).stdout)

    def best(self, name, attribute, measure="auc", **more):
        return max(kind[measure] for kind in self.probed(name, attributes=attribute, **more)["attributes"][attribute]["classifiers"].values())

    SHORT = settings(train__epochs=2, privacy__attributes="taste,trio")

    def test_pat_holds_the_same_bytes_on_any_ranks_and_threads(self):
        found = set()
        for label, more in (("one", settings(privacy__inner_steps=0, privacy__weight=1)), ("turns", settings(privacy__inner_steps=2, privacy__reader="hidden")),
                            ("ramp", settings(privacy__weight="ramp 0 2 over 1.5 epochs", optimizer__learning_rate="cosine 0.01 0.001 over 2 epochs"))):
            self.train("pat", f"{label}-1", *self.SHORT, *more)
            expected, losses = self.rows(f"{label}-1"), self.losses(f"{label}-1")
            found.add(json.dumps(expected))
            for ranks, threads in ((1, 2), (2, 1), (3, 1), (4, 1)):
                name = f"{label}-{ranks}-{threads}"
                self.train("pat", name, *self.SHORT, *more, *settings(parallel__threads=threads), ranks=ranks)
                self.assertEqual(self.rows(name), expected, name)
                self.assertEqual(self.losses(name), losses, name)
        self.assertEqual(len(found), 3)

    def test_a_stopped_run_goes_on_elsewhere_to_the_same_bytes_whatever_its_schedules(self):
        common = settings(evaluate__every_epochs=0, privacy__attributes="taste", privacy__inner_steps=1, privacy__weight="dann 1 over 4 epochs",
                          optimizer__learning_rate="exponential 0.01 0.001 over 30 steps after 1 epochs")
        self.goes_on_elsewhere("pat", 2, *common)

    def test_without_weight_pat_learns_the_vectors_of_bpr_mf_and_its_readers_read(self):
        common = settings(train__epochs=3, evaluate__every_epochs=0, optimizer__name="adagrad", optimizer__learning_rate=0.05)
        self.train("pat", "weightless", *common, *settings(privacy__attributes="taste", privacy__weight=0))
        self.train("bpr-mf", "base", *common)
        tables = []
        for name in ("weightless", "base"):
            [index] = (self.place(name) / "checkpoints").glob("*/index.h5")
            with h5py.File(index) as file:
                tables.append({table: file["tables"][table]["vector"][:].tobytes() for table in ("user", "item")})
        self.assertEqual(*tables)
        reading = [losses["reading"] for losses in self.losses("weightless")]
        self.assertLess(reading[-1], reading[0])

    def test_a_reader_that_knows_nothing_loses_the_logarithm_of_the_classes(self):
        for weights in ("balanced", "none"):
            self.train("pat", f"blind-{weights}", *settings(train__epochs=1, evaluate__every_epochs=0, privacy__attributes="taste,trio", model__init_std=1e-6,
                                                            optimizer__learning_rate=1e-9, rates__dense=1e-9, privacy__class_weights=weights))
            [losses] = self.losses(f"blind-{weights}")
            self.assertAlmostEqual(losses["reading"], math.log(2) + math.log(3), 4)

    def test_no_file_of_a_run_holds_a_label(self):
        self.train("pat", "silent", *self.SHORT)
        for index in (self.place("silent") / "checkpoints").glob("*/index.h5"):
            with h5py.File(index) as file:
                self.assertIn("user", file["tables"])
                self.assertFalse([name for name in file["tables"] if "private" in name])
        with h5py.File(self.data) as file:
            codes = file["users/attributes/taste"][:]
        for file in (self.place("silent") / "checkpoints").glob("*/*"):
            content = file.read_bytes()
            for kind in ("uint32", "float32", "uint8"):
                self.assertNotIn(codes[:64].astype(kind).tobytes(), content, file)

    def test_probes_find_what_is_there_and_nothing_else_on_any_launch(self):
        self.train("bpr-mf", "probed", *settings(train__epochs=30, model__dim=16))
        both = self.probed("probed", attributes="mark,taste,trio")
        for ranks in (2, 3):
            self.assertEqual(self.probed("probed", attributes="mark,taste,trio", ranks=ranks), both)
        self.assertEqual(self.probed("probed", attributes="mark,taste,trio", more=("--threads", "2")), both)
        chance = both["attributes"]["mark"]
        for kind in chance["classifiers"].values():
            self.assertLess(abs(kind["auc"] - 0.5), 0.06)
            self.assertLess(abs(kind["balanced_accuracy"] - 0.5), 0.06)
        for kind in both["attributes"]["taste"]["classifiers"].values():
            self.assertGreater(kind["auc"], 0.7)
            self.assertGreater(kind["accuracy"], both["attributes"]["taste"]["majority"] + 0.1)
        self.assertGreater(both["attributes"]["trio"]["classifiers"]["linear"]["balanced_accuracy"], 1 / 3 + 0.1)
        with h5py.File(self.data) as file:
            counts = np.bincount(file["users/attributes/taste"][:], minlength=3)[1:]
        self.assertEqual(both["attributes"]["taste"]["values"], counts.tolist())
        self.assertEqual(both["attributes"]["taste"]["majority"], counts.max() / counts.sum())
        saved = json.loads((self.place("probed") / "results" / "probe-best-mark-taste-trio.json").read_text())
        self.assertEqual(saved, both)
        table = done("probe", self.place("probed"), "--attributes", "taste", "--progress", "none").stdout
        self.assertRegex(table, r"attribute +classifier +majority +accuracy +balanced +macro F1 +AUC\ntaste +linear +0\.\d+ ")

    def test_probes_read_what_stands_for_users_in_networks_and_auto_encoders(self):
        for system, more in (("neumf", settings(train__epochs=3)), ("mult-vae", settings(train__epochs=15, network__layers="[32,16]", autoencoder__beta=0.01))):
            self.train(system, f"of-{system}", *more)
            result = self.probed(f"of-{system}", attributes="taste")
            self.assertEqual(self.probed(f"of-{system}", attributes="taste", ranks=3), result)
            self.assertEqual(result["attributes"]["taste"]["users"], 1201)

    def planted(self, strength):
        """Vectors as bpr-mf has them, with one coordinate that no item looks at in place of the last: the mark."""
        place = self.place(f"planted-{strength}")
        if not place.exists():
            self.train("bpr-mf", f"source-{strength}", *settings(train__epochs=30, model__dim=16))
            done("export", self.place(f"source-{strength}"), "--to", place)
            with h5py.File(self.data) as file:
                mark = dict(zip(file["users/ids"].asstr()[:], file["users/attributes/mark"][:]))
            users, items = np.load(place / "user.npy"), np.load(place / "item.npy")
            names = (place / "user_ids.txt").read_text().split()
            users[:, -1] = [strength * (1.0 if mark[name] == 1 else -1.0) for name in names]
            items[:, -1] = 0
            np.save(place / "user.npy", users)
            np.save(place / "item.npy", items)
        return place

    # A hidden reader that is kept near its best: a slow one is fooled by vectors that tell every label in another way.
    STRONG = settings(privacy__reader="hidden", privacy__inner_steps=3, rates__dense=0.01, optimizer__learning_rate=0.005, model__dim=16, evaluate__every_epochs=0)

    def judged(self, name, metric):
        words = ["evaluate", self.place(name), "--checkpoint", "last", "--metrics", metric, "--cutoffs", "50", "--json"]
        return json.loads(done(*words).stdout)["metrics"][f"{metric}@50"]

    def test_a_planted_mark_that_no_item_needs_is_forgotten_at_no_cost(self):
        start = settings(model__init=self.planted(1.0), privacy__attributes="mark", train__epochs=60)
        self.train("pat", "kept", *self.STRONG, *start, *settings(privacy__weight=0))
        self.train("pat", "forgotten", *self.STRONG, *start, *settings(privacy__weight=0.3))
        self.assertGreater(self.best("kept", "mark", "accuracy", more=("--checkpoint", "last")), 0.95)
        result = self.probed("forgotten", attributes="mark", more=("--checkpoint", "last"))["attributes"]["mark"]
        for kind in result["classifiers"].values():
            self.assertLess(kind["accuracy"], result["majority"] + 0.03)
            self.assertLess(kind["balanced_accuracy"], 0.53)
        self.assertGreater(self.judged("forgotten", "hr"), self.judged("kept", "hr") - 0.02)

    def test_what_taste_determines_is_hidden_at_a_price(self):
        leaks, ranks = [], []
        for weight in (0, 0.03, 0.3):
            name = f"price-{weight}"
            self.train("pat", name, *self.STRONG, *settings(privacy__attributes="taste", privacy__weight=weight, train__epochs=30))
            leaks.append(self.best(name, "taste", more=("--checkpoint", "last")))
            ranks.append(self.judged(name, "ndcg"))
        for before, after in zip(leaks, leaks[1:]):
            self.assertLess(after, before - 0.1)
        self.assertLess(leaks[-1], 0.56)
        for before, after in zip(ranks, ranks[1:]):
            self.assertLess(after, before)
        self.assertLess(ranks[-1], ranks[0] * 0.9)

    def refused(self, sentence, *words, ranks=0):
        result = run(*words, ranks=ranks)
        self.assertEqual((result.stderr, result.returncode), (f"spar: error: {sentence}\n", 2))

    def test_missing_attributes_are_one_sentence(self):
        single = self.folder / "single.h5"
        (self.folder / "pairs.csv").write_text("user,item\n" + "".join(f"u{n},i{(n * k) % 7}\n" for n in range(30) for k in range(1, 6)))
        (self.folder / "users.csv").write_text("id,planet\n" + "".join(f"u{n},earth\n" for n in range(30)))
        done("import", "delimited", self.folder / "pairs.csv", "--user-attributes", self.folder / "users.csv", "--to", single)
        place = self.place("none")
        for ranks in (0, 3):
            self.refused(f"{self.plain}: has no attributes of users, which pat needs; spar import brings them with --user-attributes",
                         "train", "pat", "--data", self.plain, "--run", place, ranks=ranks)
            self.refused(f"{self.data} has several attributes of users: choose by --set privacy.attributes=NAME,... of mark, taste, trio",
                         "plan", "pat", "--data", self.data, "--ranks", 1, ranks=ranks)
            self.refused(f'{single}: the user attribute "planet" has one value only, so there is nothing that a reader could tell apart',
                         "train", "pat", "--data", single, "--run", place, ranks=ranks)
        result = run("train", "pat", "--data", self.data, "--run", place, *settings(privacy__attributes="tast"))
        self.assertRegex(result.stderr, r'\Aspar: error: [^\n]* has no [^\n]*"tast": it has mark, taste, trio\n\Z')
        self.refused('privacy.attributes names "taste" twice', "train", "pat", "--data", self.data, "--run", place, *settings(privacy__attributes="taste,taste"))
        self.refused(f"{self.data}: the user attributes taste have [2] values, but privacy.classes = [3]: 0 is right", "train", "pat", "--data", self.data, "--run", place,
                     *settings(privacy__attributes="taste", privacy__classes="3"))
        self.assertFalse(place.exists())
        self.train("bpr-mf", "ready", *settings(train__epochs=1))
        self.refused(f"{self.data} has several attributes of users: choose by --attributes NAME,... of mark, taste, trio", "probe", self.place("ready"))
        self.train("bpr-mf", "plain", *settings(train__epochs=1), data=self.plain)
        self.refused(f"{self.plain}: has no attributes of users to probe for; spar import brings them with --user-attributes", "probe", self.place("plain"))

    def test_schedules_and_clipping_that_do_not_fit_are_one_sentence(self):
        words = ["train", "pat", "--data", self.data, "--run", self.place("none")]
        forms = ('a schedule is "ramp A B over N epochs", "cosine A B over N epochs", "exponential A B over N epochs", "dann B over N epochs" or '
                 '"step A times F every N epochs", each with steps in place of epochs, and with "after M epochs" behind it')
        for value, fault in (("rmap 0 1 over 5 epochs", 'there is no schedule "rmap": did you mean ramp?'),
                             ("ramp 0 1 over 5", f'"epochs" or "steps" must stand behind 5; {forms}'),
                             ("ramp 0 over 5 epochs", f'the last value must be a number, not "over"; {forms}'),
                             ("ramp 0 1 over 0 epochs", "its length must be above 0, not 0"),
                             ("exponential 0 1 over 5 epochs", "an exponential schedule goes between two numbers above 0, not 0 and 1"),
                             ("step 1 times 2 every 5 epochs", "the factor of a step must be above 0 and at most 1, not 2")):
            self.refused(f'--set: privacy.weight = "{value}" is neither a number nor a schedule: {fault}', *words, *settings(privacy__weight=value))
        self.refused('--set: optimizer.learning_rate = "ramp 0 0.1 over 5 epochs" is out of range: it must be above 0, or a schedule', *words,
                     *settings(optimizer__learning_rate="ramp 0 0.1 over 5 epochs"))


if __name__ == "__main__":
    unittest.main()
