"""Side data from files that numpy and people write to arrays that h5py reads without spar; what the pages say holds."""
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import unittest

import h5py
import numpy as np

from trainings import Scratch, done, run

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2]))


class SideData(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = [f"u{k}" for k in range(50)]
        cls.items = [f"i{k}" for k in range(31)]
        pairs = [(user, cls.items[(7 * n + 3 * k) % 31]) for n, user in enumerate(cls.users) for k in range(6)]
        cls.write("clicks.csv", "user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
        cls.vectors = np.random.default_rng(1).normal(size=(31, 5)).astype("float32")
        order = np.random.default_rng(2).permutation(31)
        np.save(cls.folder / "image.npy", cls.vectors[order][:-1].astype("float64"))
        cls.write("items.txt", "".join(f"{cls.items[k]}\n" for k in order[:-1]))
        cls.missing = int(order[-1])
        cls.write("users.csv", "id,gender,age\n" + "".join(f"{user},{'FM'[n % 2]},{10 + n % 3}\n" for n, user in enumerate(cls.users)))
        cls.write("words.csv", "".join(f"{item},w{n % 4},{n}\n" for n, item in enumerate(cls.items)))
        cls.write("trust.txt", "u1 u2\nu1 u3\nu4 nobody\n")
        cls.write("tags.csv", "user,item,tag\n" + "".join(f"{user},{item},t{n % 5}\n" for n, (user, item) in enumerate(pairs)))
        cls.options = ["--item-features", cls.folder / "image.npy", "--item-features-ids", cls.folder / "items.txt",
                       "--user-attributes", cls.folder / "users.csv", "--item-bags", f"text={cls.folder / 'words.csv'}",
                       "--user-edges", cls.folder / "trust.txt", "--tags", cls.folder / "tags.csv"]
        cls.file = cls.folder / "side.h5"
        cls.report = json.loads(done("import", "delimited", cls.folder / "clicks.csv", *cls.options, "--to", cls.file, "--json").stdout)

    @classmethod
    def write(cls, name, text):
        (cls.folder / name).write_text(text)

    def test_numpy_vectors_are_the_rows_of_their_ids(self):
        with h5py.File(self.file) as file:
            ids = file["items/ids"].asstr()[:]
            stored, present = file["items/features/image"][:], file["items/features_present/image"][:]
            self.assertEqual(file["items/features"].attrs["missing_image"], 1)
            for row, item in enumerate(ids):
                k = int(item[1:])
                expected = self.vectors[k] * (k != self.missing)
                np.testing.assert_array_equal(stored[row], expected)
                self.assertEqual(present[row], k != self.missing)

    def test_every_kind_reads_back_by_id(self):
        with h5py.File(self.file) as file:
            users, items = file["users/ids"].asstr()[:], file["items/ids"].asstr()[:]
            genders = file["users/attributes/gender_values"].asstr()[:]
            self.assertEqual(list(genders), ["", "F", "M"])
            for user, code in zip(users, file["users/attributes/gender"][:]):
                self.assertEqual(genders[code], "FM"[int(user[1:]) % 2])
            bag = file["items/bags/text"]
            for row, item in enumerate(items):
                mine = slice(*bag["offsets"][row:row + 2])
                words = dict(zip(bag["vocabulary"].asstr()[:][bag["entries"][mine]], bag["weights"][mine]))
                self.assertEqual(words, {f"w{int(item[1:]) % 4}": int(item[1:])})
            graph = file["graphs/trust"]
            row = list(users).index("u1")
            self.assertEqual(set(users[graph["neighbours"][slice(*graph["offsets"][row:row + 2])]]), {"u2", "u3"})
            self.assertEqual(len(graph["neighbours"]), 2)
            posts = {part: len(file[f"tags/{part}/items"]) for part in ("train", "validation", "test")}
            self.assertEqual(posts, {"train": 200, "validation": 50, "test": 50})
            for group in ("items/features", "users/attributes", "items/bags/text", "graphs/trust", "tags/test"):
                self.assertTrue(file[group].attrs["format"].startswith(b"spar-"), group)

    def test_the_report_and_inspect_agree(self):
        found = {(one["kind"], one["name"]): one for one in json.loads(done("inspect", self.file, "--json").stdout)["side"]}
        self.assertEqual(len(found), 6)
        for told in self.report["side"]:
            shown = found[told["kind"], told["name"]]
            for key in ("side", "width", "rows", "covered"):
                self.assertEqual(shown[key], told[key], (told["name"], key))
        self.assertEqual([one["unknown"] for one in self.report["side"] if one["name"] == "trust"], [1])
        self.assertRegex(done("inspect", self.file).stdout, r'side +attribute "gender": 2 categories; 50 of 50 users \(100%\), content [0-9a-f]{16}\n +F: 25, M: 25\n')

    def test_a_new_split_keeps_it(self):
        again = self.place("again.h5")
        done("split", self.file, "--split", "ratio", "--to", again)
        contents = [[one["content"] for one in json.loads(done("inspect", path, "--json").stdout)["side"]] for path in (self.file, again)]
        self.assertEqual(contents[0], contents[1])

    def test_training_reads_a_data_set_with_side_data_as_one_without(self):
        plain = self.place("plain.h5")
        done("import", "delimited", self.folder / "clicks.csv", "--to", plain)
        with h5py.File(plain) as without, h5py.File(self.file) as with_side:
            np.testing.assert_array_equal(without["train/items"][:], with_side["train/items"][:])
            self.assertNotIn("graphs", without)
        done("train", "bpr-mf", "--data", self.file, "--run", self.place("run"), "--progress", "none", "--set", "train.epochs=1")

    def test_the_example_of_the_page_runs(self):
        page = (SOURCE / "docs" / "formats.md").read_text()
        example = re.findall(r"```python\n(.*?)```", page[page.index("## Side data"):], re.DOTALL)[0]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(example.replace('"d.h5"', repr(str(self.file))), {})
        self.assertRegex(printed.getvalue(), r"user u\d+ has gender [FM] \[ 0 25 25\]")
        self.assertRegex(printed.getvalue(), r"item i\d+ has text \['w\d'\]")
        self.assertRegex(printed.getvalue(), r"image \(31, 5\) norm of the first row \d")

    def test_a_mistake_is_one_sentence_and_leaves_nothing(self):
        np.save(self.folder / "whole.npy", np.arange(6).reshape(3, 2))
        before = sorted(path.name for path in self.folder.iterdir())
        result = run("import", "delimited", self.folder / "clicks.csv", "--item-features", self.folder / "whole.npy", "--to", self.folder / "no.h5")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, f'spar: error: {self.folder}/whole.npy holds elements of type "<i8" where float32 (<f4) or float64 (<f8) '
                                        "belong: save x.astype('float32')\n")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), before)

    def test_any_number_of_ranks_plants_the_same_bytes(self):
        words = ["synth", "--users", "1511", "--items", "997", "--interactions", "20011", "--item-features", "8", "--cold-items", "0.1",
                 "--user-attribute", "gender:2:0.8", "--user-attribute", "age:7:0.3", "--tags", "50", "--friends", "4"]
        alone = self.place("alone.h5")
        done(*words, "--to", alone)
        for ranks in (1, 2, 3, 4):
            place = self.place(f"on-{ranks}.h5")
            done(*words, "--to", place, ranks=ranks)
            self.assertEqual(place.read_bytes(), alone.read_bytes(), ranks)
        names = [one["name"] for one in json.loads(done("inspect", alone, "--json").stdout)["side"]]
        self.assertEqual(names, ["planted", "age", "gender", "friends", "tags"])

    def test_options_are_in_help_man_page_and_completion(self):
        listed = done("import", "--help").stdout
        manual = subprocess.run([os.environ["SPAR_PROGRAM"], "man"], capture_output=True, text=True).stdout.replace("\\-", "-")
        completion = done("completion", "bash").stdout
        for option in ("--item-features", "--user-attributes-columns", "--item-bags", "--user-edges", "--tags", "--strict-side"):
            for text in (listed, manual, completion):
                self.assertIn(option, text)


if __name__ == "__main__":
    unittest.main()
