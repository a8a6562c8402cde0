"""Wrong files, recipes and places: one sentence on stderr, printed once on any number of ranks, the promised exit code, and nothing left behind."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py

SPAR = os.environ["SPAR_PROGRAM"]


def run(*words, ranks=0, **options):
    launcher = ["mpirun", "-q", "-n", str(ranks)] if ranks else []
    return subprocess.run([*launcher, SPAR, *words], capture_output=True, text=True, timeout=120, **options)


def seal(file):
    """Gives the test items of a data set the checksums of a program that wrote them so."""
    hashing = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    hashing.restype, hashing.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
    users, offsets, items = int(file.attrs["users"]), file["test/offsets"][:], file["test/items"][:]
    for group in range(1024):
        segment = items[offsets[group * users // 1024]:offsets[(group + 1) * users // 1024]].tobytes()
        file["checksums/test/items"][group] = hashing(segment, len(segment))
    paths = []
    file["checksums"].visititems(lambda name, node: paths.append(name) if isinstance(node, h5py.Dataset) else None)
    everything = b"".join(file["checksums"][path][:].tobytes() for path in sorted(paths))
    file.attrs.modify("content", f"{hashing(everything, len(everything)):016x}".encode())


class WrongInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.root.name)
        cls.data = cls.folder / "d.h5"
        made = run("synth", "--users", "211", "--items", "97", "--interactions", "2003", "--to", str(cls.data))
        assert made.returncode == 0, made.stderr

    @classmethod
    def tearDownClass(cls):
        cls.root.cleanup()

    def refused(self, sentence, *words, code=2, ranks=(0, 3), leaves=()):
        """`sentence` is a regular expression; FOLDER in it is the scratch folder."""
        pattern = "spar: error: " + sentence.replace("FOLDER", re.escape(str(self.folder))) + "\n"
        before = sorted(self.folder.rglob("*"))
        for count in ranks:
            with self.subTest(words=words, ranks=count):
                result = run(*[str(word) for word in words], ranks=count)
                self.assertRegex(result.stderr, re.compile(r"\A" + pattern + r"\Z"))
                self.assertEqual(result.returncode, code)
                self.assertEqual(result.stdout, "")
                self.assertEqual([path for path in sorted(self.folder.rglob("*")) if path.name not in leaves], before)

    def train(self, data, *more):
        return ["train", "apr", "--data", str(data), "--run", str(self.folder / "run"), "--progress", "none", *more]

    def changed(self, name, change):
        path = self.folder / name
        shutil.copy(self.data, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    # Files

    def test_missing_file(self):
        self.refused("cannot read FOLDER/no.h5: no such file or directory", *self.train(self.folder / "no.h5"))
        self.refused("cannot read FOLDER/no.h5: no such file or directory", "inspect", self.folder / "no.h5")

    def test_not_hdf5(self):
        path = self.folder / "text.h5"
        path.write_text("user,item\n1,2\n")
        self.refused(r"FOLDER/text.h5 is not an HDF5 file \(spar-dataset is needed\)", *self.train(path))

    def test_hdf5_of_another_kind(self):
        path = self.folder / "other.h5"
        with h5py.File(path, "w") as file:
            file["x"] = [1, 2, 3]
        self.refused("FOLDER/other.h5 .*spar-dataset.*", *self.train(path))
        path = self.changed("kind.h5", lambda file: file.attrs.modify("format", b"spar-other"))
        self.refused('FOLDER/kind.h5 is a "spar-other" file, where a "spar-dataset" file is needed', *self.train(path))

    def test_newer_version(self):
        path = self.changed("new.h5", lambda file: file.attrs.modify("version", 7))
        self.refused("FOLDER/new.h5 .*version 7.*", *self.train(path))

    def test_truncated_file(self):
        path = self.folder / "short.h5"
        path.write_bytes(self.data.read_bytes()[:-5000])
        self.refused("FOLDER/short.h5 is truncated: it has [0-9]+ of its [0-9]+ bytes", *self.train(path))

    def test_checksum_mismatch(self):
        def flip(file):
            values = file["train/items"]
            values[1000] = (values[1000] + 1) % 97

        path = self.changed("flipped.h5", flip)
        sentence = ("FOLDER/flipped.h5 is damaged: the checksum of array /train/items does not match in rows [0-9]+ to [0-9]+; "
                    "make the file again or take a sound copy")
        self.refused(sentence, "inspect", path)
        self.refused(sentence, *self.train(path))
        self.refused(sentence, "train", "apr", "--data", path, "--run", self.folder / "new" / "deep" / "run", "--progress", "none")
        self.refused(sentence, "split", path, "--to", self.folder / "split.h5", ranks=(0,))

    def test_unreadable_line(self):
        path = self.folder / "log.csv"
        path.write_text("user,item,rating\n1,2,3\n1,7,good\n")
        self.refused("FOLDER/log.csv, line 3.*good.*", "import", "delimited", path, "--to", self.folder / "log.h5")

    def test_no_interactions_left(self):
        path = self.folder / "few.csv"
        path.write_text("user,item,rating\n1,2,3\n1,7,4\n")
        self.refused("no interactions are left of 2 read.*", "import", "delimited", path, "--min-rating", "5", "--to", self.folder / "few.h5")

    # Recipes

    def test_unknown_recipe_setting_and_value(self):
        data = ["--data", str(self.data)]
        self.refused(r"there is no recipe arp: did you mean apr\?", "train", "arp", *data)
        self.refused(r"--set: unknown setting train.epoch: did you mean train.epochs\?", *self.train(self.data, "--set", "train.epoch=2"))
        self.refused("--set: adversary.epsilon = -1.0 is out of range: it must be 0 or more, or a schedule", *self.train(self.data, "--set", "adversary.epsilon=-1"))
        self.refused("--set: adversary.epsilon is no setting of bpr-mf, only of apr, amr, acae, atf", "train", "bpr-mf", *data, "--set", "adversary.epsilon=1")
        self.refused(r"spar train: unknown option --batch-size: did you mean --set train.batch_size=VALUE\? \(see spar train --help\)",
                     "train", "apr", *data, "--batch-size", "64", ranks=(0,))
        self.refused(r"spar train: unknown option -n: the number of ranks stands before the program, as in launch/spar-run -n 2 train "
                     r"\(see spar train --help\)", "train", "apr", *data, "-n", "2", ranks=(0,))

    def test_mistakes_in_a_recipe_file_are_named_by_line_and_column(self):
        path = self.folder / "my.toml"
        systems = ", ".join(system["name"] for system in json.loads(run("systems", "--json").stdout))
        for text, sentence in (
            ('system = "apr"\n[adversary]\nepsilom = 1\n', r"FOLDER/my.toml:3:11: unknown setting adversary.epsilom: did you mean adversary.epsilon\?"),
            ('system = "abr"\n', r'FOLDER/my.toml:1:10: unknown system "abr": did you mean apr\?'),
            ('system = "apr"\n[train]\nseed = "one"\n', 'FOLDER/my.toml:3:8: train.seed = "one" has the wrong type: it must be an integer'),
            ("", f'FOLDER/my.toml: no system: a recipe begins with system = "NAME", one of {systems}'),
            ('system = "apr"\n[train\n', "FOLDER/my.toml:2:7: not TOML: .*"),
        ):
            path.write_text(text)
            self.refused(sentence, "train", path, "--data", self.data)

    # Launches and places

    def test_more_ranks_than_shards(self):
        self.refused(r"3 ranks need at least 3 shards, but parallel.shards = 2: add --set parallel.shards=4 \(a new experiment: its numbers differ\)",
                     *self.train(self.data, "--set", "parallel.shards=2"), ranks=(3,))

    def test_a_run_of_another_identity(self):
        place = ["--run", str(self.folder / "held"), "--set", "train.epochs=1", "--set", "game.pretrain_epochs=1", "--progress", "none"]
        first = run("train", "apr", "--data", str(self.data), *place)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.refused("FOLDER/held has adversary.epsilon = 0.5, this command 1.*: choose another --run, or give --set adversary.epsilon=0.5 to go on at epoch 2",
                     "train", "apr", "--data", self.data, *place, "--set", "adversary.epsilon=1", leaves=("run.lock",))
        shutil.rmtree(self.folder / "held")

    def test_what_is_no_run(self):
        for verb in (["attack"], ["recommend"], ["export", "--to", str(self.folder / "out")]):
            with self.subTest(verb=verb[0]):
                self.refused("FOLDER/norun: there is no such run directory", *verb, self.folder / "norun", ranks=(0,))
                self.refused("FOLDER/d.h5: is not a run directory, which holds recipe.toml and run.json; spar train makes one", *verb, self.data,
                             ranks=(0,))
        trained = self.folder / "trained"
        first = run("train", "bpr-mf", "--data", str(self.data), "--run", str(trained), "--set", "train.epochs=1", "--progress", "none")
        self.assertEqual(first.returncode, 0, first.stderr)
        for verb in ("evaluate", "attack"):
            self.refused("FOLDER/norun: there is no such run directory", verb, trained, self.folder / "norun")
        shutil.rmtree(trained)
        self.refused("spar attack --method pdg: it must be one of random, fgm, fgsm, bim, pgd, cw", "attack", self.folder, "--method", "pdg")

    def test_a_user_that_the_data_set_lacks(self):
        place = self.folder / "asked"
        first = run("train", "bpr-mf", "--data", str(self.data), "--run", str(place), "--set", "train.epochs=1", "--progress", "none")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.refused('user "ab12" is not in FOLDER/d.h5', "recommend", place, "--users", "u1,ab12")
        shutil.rmtree(place)

    def test_a_run_directory_that_cannot_be(self):
        self.refused("cannot create the directory FOLDER/d.h5/run/checkpoints: not a directory",
                     "train", "apr", "--data", self.data, "--run", self.data / "run", "--progress", "none")

    def test_a_run_directory_that_would_cost_a_recipe(self):
        place = self.folder / "work"
        place.mkdir()
        recipe = place / "recipe.toml"
        recipe.write_text('system = "apr"\n')
        self.refused("FOLDER/work/recipe.toml would be replaced: FOLDER/work is not a run directory, so choose another --run, or give the recipe another name",
                     "train", recipe, "--data", self.data, "--run", place, "--progress", "none")
        self.assertEqual(recipe.read_text(), 'system = "apr"\n')
        shutil.rmtree(place)

    def test_a_target_that_cannot_be_written(self):
        self.refused("cannot write FOLDER/none/x.h5: the folder FOLDER/none does not exist", "synth", "--users", "50", "--items", "50", "--interactions", "500",
                     "--to", self.folder / "none" / "x.h5")

    def test_a_target_that_would_cost_another_file(self):
        path = self.folder / "notes.txt"
        path.write_text("keep me\n")
        few = self.folder / "log.csv"
        few.write_text("1,2\n1,3\n2,3\n2,4\n3,2\n3,5\n")
        for words in (("synth",), ("import", "delimited", few), ("split", self.data)):
            self.refused("FOLDER/notes.txt exists and is no data set of spar: choose another --to, or delete it", *words, "--to", path)
            self.refused("/dev/null is a device or a pipe: a data set needs a file of its own", *words, "--to", "/dev/null", ranks=(0,))
        self.refused("FOLDER/log.csv is what is to be read: choose another --to", "import", "delimited", few, "--to", few, ranks=(0,))
        self.refused("FOLDER/d.h5 is what is to be read: choose another --to", "split", self.data, "--to", self.data, ranks=(0,))
        self.assertEqual(path.read_text(), "keep me\n")

    def test_a_folder_that_cannot_be_written(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a read-only file system")
        place = self.folder / "readonly"
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(place)], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a file system here: {mounted.stderr.strip()}")
        try:
            few = self.folder / "log.csv"
            few.write_text("1,2\n1,3\n2,3\n2,4\n3,2\n3,5\n")
            for words in (("synth",), ("import", "delimited", few), ("split", self.data)):
                self.refused("cannot write FOLDER/readonly/x.h5: read-only file system", *words, "--to", place / "x.h5")
            self.refused("cannot create the directory FOLDER/readonly/run/checkpoints: read-only file system",
                         "train", "apr", "--data", self.data, "--run", place / "run", "--progress", "none")
        finally:
            subprocess.run(["umount", str(place)], check=True)
            place.rmdir()

    def test_a_test_item_out_of_range(self):
        def beyond(file):
            file["test/items"][0] = 97
            seal(file)

        path = self.changed("beyond.h5", beyond)
        sentence = "FOLDER/beyond.h5 is damaged: user 0 in /test/items has item 97, but there are 97 items"
        self.refused(sentence, *self.train(path))
        self.refused(sentence, "inspect", path)
        folder = self.folder / "lists"
        folder.mkdir()
        (folder / "train.txt").write_text("0 1 2\n1 2 3\n")
        (folder / "test.txt").write_text("0 3\n1 -1\n")
        self.refused('FOLDER/lists/test.txt, line 2, column 2: item "-1" is out of range: ids of this format are whole numbers from 0 to 4294967294',
                     "import", "lightgcn", folder, "--to", self.folder / "lists.h5")

    def test_two_jobs_on_one_run_directory(self):
        place = ["train", "apr", "--data", str(self.data), "--run", str(self.folder / "shared"), "--set", "evaluate.patience=0", "--progress", "none"]
        first = subprocess.Popen([SPAR, *place, "--set", "train.epochs=1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            lock = self.folder / "shared" / "run.lock"
            for _ in range(300):
                if lock.exists():
                    break
                time.sleep(0.1)
            for count in (0, 2):
                second = run(*place, ranks=count)
                self.assertRegex(second.stderr, r"\Aspar: error: [^\n]*shared[^\n]*\n\Z")
                self.assertIn(str(first.pid), second.stderr)
                self.assertEqual(second.returncode, 2)
        finally:
            first.send_signal(signal.SIGUSR1)
            _, errors = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 75, errors)
        shutil.rmtree(self.folder / "shared")

    # Training

    def test_training_that_diverges(self):
        for count in (0, 2):
            result = run(*self.train(self.data, "--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1e30"), ranks=count)
            self.assertRegex(result.stderr, r"\Aspar: error: training diverged: [^\n]* not finite at epoch 1, step [0-9]+ \(table (user|item)\)[^\n]*\n\Z")
            self.assertEqual(result.returncode, 4)
            shutil.rmtree(self.folder / "run")


if __name__ == "__main__":
    unittest.main()
