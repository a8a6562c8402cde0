"""Attacks and exports of networks and auto-encoders: the same figures from any launch, scores that are inner products, one sentence for what cannot be."""
import json
import unittest

import numpy

from trainings import Scratch, done, run, settings

SYSTEMS = {
    "gmf": settings(model__dim=8, train__epochs=2),
    "neumf": settings(model__dim=4, network__layers="[16,8,4]", train__epochs=2),
    "amr": settings(model__dim=8, train__epochs=2, game__pretrain_epochs=1),
    "gru4rec": settings(model__dim=8, sequence__length=12, train__epochs=2),
    "sasrec": settings(model__dim=8, sequence__length=12, network__blocks=1, network__heads=1, train__epochs=2),
    "mult-vae": settings(network__layers="[16,8]", train__epochs=2),
    "acae": settings(model__dim=8, train__epochs=2, game__pretrain_epochs=1),
    "mlp": settings(network__layers="[16,8,4]", train__epochs=2),
    "mf": settings(model__dim=8, train__epochs=2),
    "pat": settings(model__dim=8, train__epochs=2, privacy__attributes="mark"),
    "pitf": settings(model__dim=8, train__epochs=2),
    "fncf": settings(network__layers="[16,8,4]", train__epochs=1, train__batch_size=2048),
}
NO_PRODUCTS = ("neumf", "mlp", "fncf", "pitf")


class NetworkAttacks(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "featured.h5"
        done("synth", "--users", 601, "--items", 197, "--interactions", 9001, "--item-features", 21, "--tags", 41,
             "--user-attribute", "mark:2:0.5", "--to", cls.data)
        ordered = cls.folder / "ordered.h5"
        draw = numpy.random.default_rng(3)
        lines = [f"u{user},i{item}" for user in range(401) for item in draw.choice(197, size=15, replace=False)]
        (cls.folder / "ordered.csv").write_text("user,item\n" + "\n".join(lines) + "\n")
        done("import", "delimited", cls.folder / "ordered.csv", "--columns", "user,item", "--ordered", "--split", "leave-one-out", "--to", ordered)
        for system, small in SYSTEMS.items():
            data = ordered if system in ("gru4rec", "sasrec") else cls.data
            done("train", system, "--data", data, "--run", cls.folder / system, "--progress", "none", *small)

    def attack(self, system, *more, ranks=0):
        return done("attack", self.place(system), "--json", "--progress", "none", *more, ranks=ranks).stdout

    def refused(self, sentence, *words, ranks=2):
        result = run(*words, ranks=ranks)
        self.assertEqual((result.returncode, result.stderr), (2, f"spar: error: {sentence}\n"))

    def test_every_system_is_attacked_to_the_same_figures_on_any_ranks(self):
        for system in SYSTEMS:
            with self.subTest(system=system):
                words = ["--method", "fgm,pgd", "--epsilon", "0,0.5", "--steps", 2]
                expected = self.attack(system, *words)
                for ranks in (2, 3, 4):
                    self.assertEqual(self.attack(system, *words, ranks=ranks), expected)
                curve = json.loads(expected)["curve"]
                self.assertEqual([(p["method"], p["epsilon"]) for p in curve],
                                 [("clean", 0), ("fgm", 0), ("fgm", 0.5), ("pgd", 0), ("pgd", 0.5), ("random", 0), ("random", 0.5)])
                for point in curve:
                    if point["epsilon"] == 0:
                        self.assertEqual(point["metrics"], curve[0]["metrics"])
                self.assertNotEqual(curve[2]["metrics"], curve[0]["metrics"])

    def test_taps_are_those_of_the_systems_adversary_unless_others_are_named(self):
        found = {system: json.loads(self.attack(system, "--epsilon", "0.1"))["taps"] for system in ("amr", "acae", "gmf", "gru4rec")}
        self.assertEqual(found, {"amr": ["item_features"], "acae": ["decoder.weights", "encoder.weights"], "gmf": ["user", "item"], "gru4rec": ["item"]})
        text = done("attack", self.place("amr"), "--taps", "user,dense.projection", "--epsilon", "0.1", "--progress", "none").stdout
        self.assertRegex(text, r"taps user\+dense\.projection, ball row_l2 \(fgsm: linf\), scope data; median row [\d.e+-]+; epoch")

    def test_what_cannot_be_attacked_is_said_in_one_sentence(self):
        place = self.place("neumf")
        self.refused(f'{place}: neumf has the tap "hidden.1" for training examples only, and nothing of it stays when pairs are ranked: an attack can perturb '
                     "user, item, dense.mlp.0.weights, dense.mlp.0.bias, dense.mlp.1.weights, dense.mlp.1.bias, dense.output.weights, dense.output.bias",
                     "attack", place, "--taps", "user,hidden.1")
        place = self.place("mult-vae")
        self.refused(f'{place}: mult-vae has no tap "user": an attack can perturb decoder.weights, encoder.weights, dense.encoder.0.bias, dense.code.weights, '
                     "dense.code.bias, dense.decoder.0.weights, dense.decoder.0.bias", "attack", place, "--taps", "user")
        self.refused(f"{place}: --method cw changes numbers that describe items or profiles of users, and mult-vae has none: it knows users and items by their ids",
                     "attack", place, "--method", "cw")
        place = self.place("amr")
        self.refused(f"{place}: --method cw changes what users and items are known by: of amr it can change item_features, not user", "attack", place, "--method", "cw",
                     "--taps", "user")
        self.refused(f'--push nowhere: item "nowhere" is not in {self.data}', "attack", place, "--method", "cw", "--push", "nowhere")
        for option, value in (("--push", "nowhere"), ("--max-changes", "3"), ("--box", "0,1"), ("--goal", "label"), ("--draws", "2")):
            self.refused(f"{option} is for --method cw only", "attack", place, option, value)
        words = ["attack", place, "--method", "cw"]
        self.refused("--box takes two numbers, the smaller one first", *words, "--box", "1,0")
        result = run(*words, "--box", "0,0.5", "--progress", "none")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"^spar: error: --box 0,0\.5 does not hold the values of item_features, which lie from \S+ to \S+\n$")
        self.refused(f"{place}: --goal label is for systems that predict a label from profiles: amr ranks", *words, "--goal", "label")
        place = self.place("fncf")
        words = ["attack", place, "--method", "cw"]
        self.refused("--box -1,1: entries of a profile are 0 or 1, so their box begins at 0 and ends at 1 or above", *words, "--box=-1,1")
        self.refused("--max-changes 257: of a profile at most 256 entries may change", *words, "--max-changes", "257")
        self.refused(f"{place}: --draws averages over the noise of a training: fncf has none here", *words, "--goal", "label", "--draws", "3")
        self.refused(f'{place}: fncf has the tap "user_profile" for training examples only, and nothing of it stays when pairs are ranked: an attack can perturb '
                     "user, item, dense.mlp.0.weights, dense.mlp.0.bias, dense.mlp.1.weights, dense.mlp.1.bias, dense.output.weights, dense.output.bias",
                     "attack", place, "--taps", "user_profile")
        self.refused(f'{place}: fncf has the tap "hidden.1" for training examples only, and nothing of it stays when pairs are ranked: an attack can perturb '
                     "user, item, dense.mlp.0.weights, dense.mlp.0.bias, dense.mlp.1.weights, dense.mlp.1.bias, dense.output.weights, dense.output.bias",
                     *words, "--taps", "hidden.1")

    def test_smallest_changes_of_profiles_are_found_alike_on_any_ranks(self):
        words = ["--method", "cw", "--top", 10, "--steps", 100, "--users", 60]
        item = (self.exported_text("gmf") / "item_ids.txt").read_text().splitlines()[0]
        for more, goal, label in ((["--taps", "user_profile"], "leave", False), (["--push", item, "--max-changes", 12], "enter", False),
                                  (["--push", item, "--goal", "label", "--box", "0,3"], "enter", True)):
            with self.subTest(more=more):
                expected = self.attack("fncf", *words, *more)
                for ranks in (2, 3):
                    self.assertEqual(self.attack("fncf", *words, *more, ranks=ranks), expected)
                found = json.loads(expected)["cw"]
                self.assertEqual((found["tap"], found["goal"], found["label"]), ("user_profile", goal, label))
                self.assertAlmostEqual(found["attacked"] / found["pairs"], found["hit_ratio"] if goal == "leave" else 1 - found["hit_ratio"])
                self.assertLessEqual(found["successes"], found["attacked"])
                if goal == "leave":
                    self.assertGreater(found["successes"], 0)
                if found["successes"] > 0:
                    self.assertLessEqual(found["changes"], found["max_changes"] or 256)
        text = done("attack", self.place("fncf"), *words, "--progress", "none").stdout
        self.assertRegex(text, r"\ncw on user_profile, judged items out of the top 10: \d+ of \d+ pairs .*\nsaved \S+-top10\.json\n")

    def test_smallest_changes_are_found_alike_on_any_ranks_and_move_hits(self):
        words = ["--method", "cw", "--top", 20, "--steps", 200, "--users", 200]
        expected = self.attack("amr", *words)
        for ranks in (2, 3):
            self.assertEqual(self.attack("amr", *words, ranks=ranks), expected)
        found = json.loads(expected)["cw"]
        self.assertEqual((found["tap"], found["goal"], found["top"], found["steps"]), ("item_features", "leave", 20, 200))
        self.assertGreater(found["attacked"], 5)
        self.assertGreater(found["success_rate"], 0.5)
        self.assertGreater(found["distortion"], 0)
        self.assertAlmostEqual(found["attacked_hit_ratio"], found["hit_ratio"] - found["successes"] / found["pairs"])
        item = next(iter((self.exported_text("amr") / "item_ids.txt").read_text().splitlines()))
        pushed = json.loads(self.attack("amr", *words, "--push", item))["cw"]
        self.assertEqual((pushed["goal"], pushed["item"]), ("enter", item))
        self.assertGreater(pushed["attacked_hit_ratio"], pushed["hit_ratio"])
        text = done("attack", self.place("amr"), *words, "--progress", "none").stdout
        self.assertRegex(text, r"\ncw on item_features, judged items out of the top 20: \d+ of \d+ pairs \([\d.]+%\), mean L2 distortion [\d.e-]+ \([\d.]+% of a row\) in [\d.]+ numbers; "
                               r"hits 0\.\d{4} before, 0\.\d{4} after\nsaved \S+-top20\.json\n")

    def exported_text(self, system, *more, ranks=0):
        to = self.place(f"{system}-vectors{ranks}{''.join(more)}")
        done("export", self.place(system), "--to", to, *more, ranks=ranks)
        return to

    def test_exported_products_are_the_scores_of_recommendations(self):
        for system in SYSTEMS:
            if system in NO_PRODUCTS:
                continue
            with self.subTest(system=system):
                to = self.exported_text(system)
                users, items = (numpy.load(to / f"{side}.npy").astype(numpy.float64) for side in ("user", "item"))
                scores = users @ items.T
                if (to / "item_bias.npy").exists():
                    scores += numpy.load(to / "item_bias.npy")
                rows = {side: {id: k for k, id in enumerate((to / f"{side}_ids.txt").read_text().splitlines())} for side in ("user", "item")}
                lines = [line.split("\t") for line in done("recommend", self.place(system), "--top", 3).stdout.splitlines()]
                self.assertGreater(len(lines), 1000)
                for user, _, item, score in lines:
                    self.assertAlmostEqual(scores[rows["user"][user], rows["item"][item]], float(score), delta=1e-5 * max(1, abs(float(score))))
                said = json.loads((to / "export.json").read_text())
                self.assertEqual(said["score"], "user . item + item_bias" if system in ("mult-vae", "acae") else "user . item")

    def test_exports_are_the_same_bytes_on_1_2_3_and_4_ranks(self):
        for system in ("gmf", "amr", "sasrec", "acae"):
            with self.subTest(system=system):
                expected = {path.name: path.read_bytes() for path in self.exported_text(system, ranks=1).iterdir()}
                for ranks in (2, 3, 4):
                    self.assertEqual({path.name: path.read_bytes() for path in self.exported_text(system, ranks=ranks).iterdir()}, expected)

    def test_a_score_that_is_no_product_of_users_and_items_is_not_exported(self):
        for system in NO_PRODUCTS:
            place = self.place(system)
            said = "of users and of items, and pitf ranks each tag for user and item" if system == "pitf" else "whose inner product is the score, which [^\n]+ is not"
            result = run("export", place, "--to", self.place("none"), ranks=2)
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, rf"\Aspar: error: {place}: an export is vectors {said}\n\Z")
            self.assertFalse(self.place("none").exists())


if __name__ == "__main__":
    unittest.main()
