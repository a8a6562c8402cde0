"""The synthetic catalogue and the data set file: the same bytes on any launch, readable from h5py alone, learnable, checked by spar inspect."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

SPAR = os.environ["SPAR_PROGRAM"]
SHAPE = ["--users", "1511", "--items", "997", "--interactions", "40009"]
PARTS = ("train", "validation", "test")


def run(*words, ranks=0):
    launcher = ["mpirun", "-q", "-n", str(ranks)] if ranks else []
    return subprocess.run([*launcher, SPAR, *words], capture_output=True, text=True, timeout=300)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def lists(file, part):
    return np.split(file[f"{part}/items"][:], file[f"{part}/offsets"][1:-1])


class Synthetic(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def synth(self, name, *words, ranks=0):
        result = run("synth", *words, "--to", self.path(name), ranks=ranks)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.path(name)

    def test_any_number_of_ranks_writes_the_same_bytes(self):
        alone = digest(self.synth("alone.h5", *SHAPE))
        for ranks in (1, 2, 3, 4, 5):
            with self.subTest(ranks=ranks):
                self.assertEqual(digest(self.synth(f"on-{ranks}.h5", *SHAPE, ranks=ranks)), alone)

    def test_h5py_reads_what_the_documentation_promises(self):
        path = self.synth("d.h5", *SHAPE)
        with h5py.File(path) as file:
            self.assertEqual(file.attrs["format"], b"spar-dataset")
            self.assertEqual(file.attrs["version"], 1)
            self.assertEqual((file.attrs["users"], file.attrs["items"]), (1511, 997))
            self.assertEqual(sorted(file["users/ids"][:].tolist()), sorted(b"u%d" % k for k in range(1511)))
            self.assertEqual(sorted(file["items/ids"][:].tolist()), sorted(b"i%d" % k for k in range(997)))
            total = 0
            for part in PARTS:
                offsets, items = file[f"{part}/offsets"][:], file[f"{part}/items"]
                self.assertEqual((offsets[0], offsets[-1], len(offsets)), (0, file.attrs[part], 1512))
                self.assertEqual(items.dtype, np.dtype("<u4"))
                mapped = np.memmap(path, dtype=items.dtype, mode="r", offset=items.id.get_offset(), shape=items.shape)
                np.testing.assert_array_equal(mapped, items[:])
                total += len(items)
            self.assertEqual(total, 40009)
            for of_user in zip(*(lists(file, part) for part in PARTS)):
                together = np.concatenate(of_user)
                self.assertEqual(len(np.unique(together)), len(together))
            self.assertEqual(file["checksums/train/items"].shape, (1024,))

    def test_factors_find_what_popularity_cannot(self):
        with h5py.File(self.synth("d.h5")) as file:
            users, items = file.attrs["users"], file.attrs["items"]
            seen = np.zeros((users, items), bool)
            interactions = np.zeros((users, items), np.float32)
            for user, (train, validation) in enumerate(zip(lists(file, "train"), lists(file, "validation"))):
                interactions[user, train] = 1
                seen[user, train] = seen[user, validation] = True
            target = file["test/items"][:]
        left, values, right = np.linalg.svd(interactions, full_matrices=False)
        scores = {
            "popularity": np.tile(interactions.sum(0), (users, 1)),
            "factors": (left[:, :8] * values[:8]) @ right[:8],
        }
        hits = {}
        for name, score in scores.items():
            score = np.where(seen, -np.inf, score)
            better = (score > score[np.arange(users), target][:, None]).sum(1)
            hits[name] = (better < 10).mean()
        self.assertGreater(hits["factors"], 1.6 * hits["popularity"], hits)

    def test_inspect_counts_and_verifies(self):
        path = self.synth("d.h5", *SHAPE)
        said = json.loads(run("inspect", path, "--json").stdout)
        with h5py.File(path) as file:
            self.assertEqual(said["content"], file.attrs["content"].decode())
            for count in ("users", "items", *PARTS):
                self.assertEqual(said[count], file.attrs[count])
            place = file["train/items"].id.get_offset()
        self.assertIn("1,511 users, 997 items", run("inspect", path).stdout)
        with open(path, "r+b") as file:
            file.seek(place)
            first = file.read(1)
            file.seek(place)
            file.write(bytes([first[0] ^ 1]))
        result = run("inspect", path)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(
            result.stderr,
            r"^spar: error: .*d\.h5 is damaged: the checksum of array /train/items does not match in rows 0 to \d+; [^\n]*\n$",
        )

    def test_a_refusal_is_one_sentence_and_leaves_no_file(self):
        words = ["--users", "10", "--items", "10", "--interactions", "51"]
        for ranks in (0, 3):
            result = run("synth", *words, "--to", self.path("d.h5"), ranks=ranks)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(
                result.stderr,
                "spar: error: --interactions = 51 is out of range: "
                "10 users and 10 items have room for 1 to 50 (half of all pairs)\n",
            )
            self.assertEqual(os.listdir(self.folder), [])
