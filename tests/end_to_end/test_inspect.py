"""spar inspect shows runs and checkpoints as they are, and finds every damage in them."""
import json
import re
import shutil
import unittest

from trainings import Scratch, done, run, settings


class Inspect(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = cls.folder / "apr"
        done("train", "apr", "--data", cls.data, "--run", cls.trained, "--progress", "none",
             *settings(train__epochs=3, game__pretrain_epochs=2, model__dim=16, parallel__pipeline=1))
        done("evaluate", cls.trained, "--metrics", "ndcg", "--cutoffs", "10")
        done("attack", cls.trained, "--epsilon", "0.5")

    def inspected(self, *words, ranks=0):
        return json.loads(done("inspect", *words, "--json", ranks=ranks).stdout)

    def test_a_run_for_people(self):
        lines = done("inspect", self.trained).stdout
        for pattern in (rf"{re.escape(str(self.trained))}: run of apr on d", r"state +finished at epoch 3", r"best +bpr epoch 2 \(ndcg@100 0\.\d{4}\), apr epoch 3 .*",
                        rf"data +{re.escape(str(self.data))} \(content [0-9a-f]{{16}}\)",
                        r"recipe +apr: model.dim = 16, game.pretrain_epochs = 2, train.epochs = 3, parallel.pipeline = 1; else the defaults",
                        r"layout +8 shards", r"tables +user: 1,201 rows of vector 16, vector.accumulator 16", r" +item: 397 rows of .*",
                        r"checkpoints epoch-000003-step-000000: [0-9,]+ bytes, all checksums match, newest, best of apr", r"log +3 epochs, 1 start, last line .*",
                        r"results +attack-test-fgm-row_l2-data.json: ndcg@100 0\.\d{4} clean, 0\.\d{4} fgm 0.5, 0\.\d{4} random 0.5",
                        r" +evaluate-test-best.json: ndcg@10 0\.\d{4}"):
            self.assertRegex(lines, re.compile(f"^{pattern}$", re.MULTILINE))

    def test_a_run_for_programs_on_any_number_of_ranks(self):
        found = self.inspected(self.trained)
        self.assertEqual((found["kind"], found["system"], found["epoch"], found["stage"], found["finished"]), ("run", "apr", 3, "apr", True))
        self.assertEqual(found["tables"][1], {"name": "item", "rows": 397, "fields": [
            {"name": "vector", "shape": [397, 16]}, {"name": "vector.accumulator", "shape": [397, 16]}]})
        self.assertEqual([best["stage"] for best in found["best"]], ["bpr", "apr"])
        self.assertEqual((found["data"]["state"], found["damaged"], found["lock"]), ("there", [], None))
        self.assertEqual((found["settings"]["train.epochs"], found["settings"]["model.dim"], found["settings"]["optimizer.name"]), (3, 16, "adagrad"))
        self.assertEqual(found["log"]["epochs"], 3)
        evaluated = json.loads((self.trained / "results" / "evaluate-test-best.json").read_text())
        self.assertEqual(found["results"]["evaluate-test-best.json"]["metrics"], evaluated["metrics"])
        self.assertEqual(self.inspected(self.trained, ranks=3), found)

    def test_a_checkpoint(self):
        place = self.trained / "checkpoints" / "epoch-000003-step-000000"
        found = self.inspected(place)
        self.assertEqual((found["kind"], found["name"], found["system"], found["epoch"]), ("checkpoint", place.name, "apr", 3))
        self.assertEqual([entry["file"] for entry in found["files"]], ["part-0000.h5"])
        self.assertEqual(found["settings"], self.inspected(self.trained)["settings"])
        self.assertRegex(done("inspect", place).stdout, r"\A\S+: checkpoint of apr after epoch 3, the last of a finished training\n")
        result = run("inspect", place / "part-0000.h5")
        self.assertEqual((result.returncode, result.stderr),
                         (2, f"spar: error: {place}/part-0000.h5 is a file of a checkpoint: give spar inspect the directory\n"))

    def test_a_run_of_popularity_has_no_epochs_to_choose_from(self):
        place = self.place("popular")
        done("train", "popularity", "--data", self.data, "--run", place, "--progress", "none")
        self.assertEqual(self.inspected(place)["best"], [])
        self.assertIn("recipe      popularity: the defaults\n", done("inspect", place).stdout)

    def test_damage_is_shown_beside_what_is_sound_and_ends_with_2(self):
        place = self.place("damaged")
        shutil.copytree(self.trained, place)
        part = place / "checkpoints" / "epoch-000002-step-000000" / "part-0000.h5"
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
        for ranks in (0, 2):
            result = run("inspect", place, ranks=ranks)
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, r"\Aspar: error: the checkpoint \S+epoch-000002-step-000000 is damaged: its file part-0000.h5 [^\n]+\n\Z")
            self.assertIn("epoch-000003-step-000000: ", result.stdout)
            self.assertIn("epoch-000002-step-000000 is damaged", result.stdout)
        result = run("inspect", part.parent)
        self.assertEqual((result.returncode, result.stdout), (2, ""))

    def test_data_that_are_gone_or_changed(self):
        data = self.place("moving.h5")
        shutil.copy(self.data, data)
        place = self.place("moved")
        done("train", "bpr-mf", "--data", data, "--run", place, "--progress", "none", *settings(train__epochs=1))
        done("synth", "--users", 101, "--items", 97, "--interactions", 2001, "--to", data)
        self.assertEqual(self.inspected(place)["data"]["state"], "changed")
        data.unlink()
        self.assertEqual(self.inspected(place)["data"]["state"], "gone")

    def test_a_directory_of_another_kind(self):
        result = run("inspect", self.folder)
        self.assertEqual((result.returncode, result.stderr), (
            2, f"spar: error: {self.folder} is neither a run directory nor a checkpoint, and spar inspect knows no other directories\n"))


if __name__ == "__main__":
    unittest.main()
