"""The files and texts that other programs read: exports, recommendations, attack curves, the log."""
import json
import unittest

import h5py
import numpy

from trainings import Scratch, done, log_of, run, settings


class Interfaces(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done("train", "apr", "--data", cls.data, "--run", cls.folder / "run", "--progress", "none",
             *settings(train__epochs=4, game__pretrain_epochs=2, model__item_bias="true", checkpoint__every_epochs=2, model__dim=20), ranks=2)
        with h5py.File(cls.data) as file:
            cls.user_ids = [i.decode() if isinstance(i, bytes) else i for i in file["users/ids"][:]]
            cls.item_ids = [i.decode() if isinstance(i, bytes) else i for i in file["items/ids"][:]]
            cls.lists = {part: (file[part]["offsets"][:], file[part]["items"][:]) for part in ("train", "validation", "test")}

    def exported_arrays(self, *more):
        to = self.place("arrays" + "".join(more))
        done("export", self.place("run"), "--to", to, *more)
        return to, {path.stem: numpy.load(path) for path in to.glob("*.npy")}

    def scores(self):
        _, arrays = self.exported_arrays("--checkpoint=last")
        return arrays["user"].astype(numpy.float64) @ arrays["item"].astype(numpy.float64).T + arrays["item_bias"]

    def test_exported_arrays_have_the_rows_of_the_ids_beside_them(self):
        to, arrays = self.exported_arrays()
        self.assertEqual(arrays["user"].shape, (1201, 20))
        self.assertEqual(arrays["item"].shape, (397, 20))
        self.assertEqual(arrays["item_bias"].shape, (397,))
        for array in arrays.values():
            self.assertEqual(array.dtype, numpy.dtype("<f4"))
            self.assertTrue(array.flags["C_CONTIGUOUS"])
            self.assertTrue(numpy.isfinite(array).all())
        self.assertEqual((to / "user_ids.txt").read_text().splitlines(), self.user_ids)
        self.assertEqual((to / "item_ids.txt").read_text().splitlines(), self.item_ids)
        said = json.loads((to / "export.json").read_text())
        self.assertEqual(said["score"], "user . item + item_bias")
        self.assertEqual((said["system"], said["users"], said["items"], said["dim"]), ("apr", 1201, 397, 20))

    def test_folded_biases_give_the_same_scores_by_a_plain_product(self):
        to, folded = self.exported_arrays("--fold-bias")
        _, plain = self.exported_arrays()
        self.assertNotIn("item_bias", folded)
        self.assertEqual(folded["user"].shape, (1201, 21))
        numpy.testing.assert_allclose(folded["user"] @ folded["item"].T, plain["user"] @ plain["item"].T + plain["item_bias"], rtol=1e-5, atol=1e-6)
        self.assertEqual(json.loads((to / "export.json").read_text())["score"], "user . item")

    def known(self, user):
        items = set()
        for part in ("train", "validation"):
            offsets, values = self.lists[part]
            items.update(values[offsets[user]:offsets[user + 1]].tolist())
        return items

    def test_recommendations_are_the_best_unknown_items_of_the_exported_vectors(self):
        scores = self.scores()
        asked = [self.user_ids[user] for user in (17, 3, 1200)]
        words = ["recommend", self.place("run"), "--users", ",".join(asked), "--top", 7, "--checkpoint", "last"]
        for ranks in (0, 3):
            lines = [json.loads(line) for line in done(*words, "--format", "jsonl", ranks=ranks).stdout.splitlines()]
            self.assertEqual([line["user"] for line in lines], asked)
            for line in lines:
                user = self.user_ids.index(line["user"])
                known = self.known(user)
                best = sorted((item for item in range(397) if item not in known), key=lambda item: (-scores[user, item], item))[:7]
                self.assertEqual([entry["item"] for entry in line["items"]], [self.item_ids[item] for item in best])
                numpy.testing.assert_allclose([entry["score"] for entry in line["items"]], scores[user, best], rtol=1e-4, atol=1e-5)
        table = [line.split("\t") for line in done(*words).stdout.splitlines()]
        self.assertEqual([row[0] for row in table], [user for user in asked for _ in range(7)])
        self.assertEqual([row[1] for row in table[:7]], [str(place) for place in range(1, 8)])
        self.assertEqual([row[2] for row in table[:7]], [entry["item"] for entry in lines[0]["items"]])

    def test_all_users_are_recommended_to_alike_on_any_number_of_ranks(self):
        words = ["recommend", self.place("run"), "--top", 3]
        alone = done(*words).stdout
        self.assertEqual(done(*words, ranks=3).stdout, alone)
        trained = sum(1 for user in range(1201) if self.lists["train"][0][user + 1] > self.lists["train"][0][user])
        self.assertEqual(len(alone.splitlines()), 3 * trained)

    def test_attack_json_has_the_curve_with_the_clean_point_first(self):
        words = ["attack", self.place("run"), "--method", "fgm", "--epsilon", "0,0.5", "--json", "--progress", "none"]
        texts = [done(*words, ranks=ranks).stdout for ranks in (0, 2, 3)]
        self.assertEqual(texts[1], texts[0])
        self.assertEqual(texts[2], texts[0])
        said = json.loads(texts[0])
        curve = said["curve"]
        self.assertEqual([(point["method"], point["epsilon"]) for point in curve],
                         [("clean", 0), ("fgm", 0), ("fgm", 0.5), ("random", 0), ("random", 0.5)])
        self.assertEqual(said["system"], "apr")
        for point in curve:
            self.assertEqual(point["metrics"].keys(), curve[0]["metrics"].keys())
            self.assertTrue(all(isinstance(value, float) for value in point["metrics"].values()))
        self.assertEqual(curve[1]["metrics"], curve[0]["metrics"])
        self.assertEqual(curve[3]["metrics"], curve[0]["metrics"])
        self.assertTrue(any(key.startswith("ndcg@") for key in curve[0]["metrics"]))
        saved = list((self.place("run") / "results").glob("attack-*.json"))
        self.assertEqual(len(saved), 1)
        self.assertEqual(json.loads(saved[0].read_text()), said)

    def test_attack_prints_a_table_for_people(self):
        text = done("attack", self.place("run"), "--method", "fgsm", "--epsilon", "0.1,0.2", "--progress", "none").stdout
        self.assertRegex(text, r"(?m)^fgsm +0\.\d{4} +0\.\d{4} \([+-]\d+\.\d%\) +0\.\d{4} \([+-]\d+\.\d%\)")
        self.assertRegex(text, r"(?m)^random +0\.\d{4} ")

    def test_evaluation_of_the_clean_model_is_the_clean_point_of_the_attack(self):
        said = json.loads(done("evaluate", self.place("run"), "--json", "--progress", "none").stdout)
        self.assertEqual(said["system"], "apr")
        curve = json.loads(done("attack", self.place("run"), "--epsilon", "0.5", "--json", "--progress", "none").stdout)["curve"]
        for key in curve[0]["metrics"].keys() & said["metrics"].keys():
            self.assertEqual(curve[0]["metrics"][key], said["metrics"][key])
        self.assertTrue(curve[0]["metrics"].keys() & said["metrics"].keys())

    def test_the_log_has_the_lines_that_scripts_read(self):
        log = log_of(self.place("run"))
        for line in log:
            self.assertEqual(list(line)[:3], ["event", "time", "restarts"])
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        start = log[0]
        self.assertEqual((start["event"], start["system"], start["ranks"], start["users"], start["items"]), ("start", "apr", 2, 1201, 397))
        epochs = [line for line in log if line["event"] == "epoch"]
        self.assertEqual([line["epoch"] for line in epochs], [1, 2, 3, 4])
        self.assertEqual([line["stage"] for line in epochs], ["bpr", "bpr", "apr", "apr"])
        train = len(self.lists["train"][1])
        for line in epochs:
            self.assertEqual(set(line["losses"]), {"ranking"} if line["stage"] == "bpr" else {"ranking", "adversarial"})
            self.assertTrue(all(0 < value < 5 for value in line["losses"].values()))
            self.assertGreater(line["examples_per_second"], 0)
            self.assertEqual(line["examples"], train)
            self.assertLessEqual({"compute", "communication", "input"}, set(line["seconds"]))
        checkpoints = [line for line in log if line["event"] == "checkpoint"]
        self.assertLessEqual({2, 4}, {line["epoch"] for line in checkpoints})
        for line in checkpoints:
            self.assertGreater(line["seconds"], 0)
            self.assertRegex(line["path"], r"^checkpoints/epoch-\d{6}-step-\d{6}$")
        self.assertTrue((self.place("run") / checkpoints[-1]["path"] / "manifest.json").exists())
        self.assertEqual((log[-1]["event"], log[-1]["reason"]), ("stop", "done"))

    def test_a_run_directory_holds_what_the_pages_say(self):
        names = sorted(path.name for path in self.place("run").iterdir())
        self.assertEqual(names, ["checkpoints", "log.jsonl", "recipe.toml", "results", "run.json"])
        recipe = (self.place("run") / "recipe.toml").read_text()
        again = run("train", self.place("run") / "recipe.toml", "--data", self.data, "--run", self.place("run"), "--progress", "none")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual((self.place("run") / "recipe.toml").read_text(), recipe)
        self.assertEqual([line["epoch"] for line in log_of(self.place("run")) if line["event"] == "epoch"], [1, 2, 3, 4])

    def test_a_dry_run_leaves_nothing(self):
        result = run("train", "apr", "--data", self.data, "--run", self.place("dry"), "--dry-run", ranks=2)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("1,201 users, 397 items", result.stderr)
        self.assertFalse(self.place("dry").exists())


if __name__ == "__main__":
    unittest.main()
