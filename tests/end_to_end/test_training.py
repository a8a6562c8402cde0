"""Trainings give the same bytes on any number of ranks and threads; what cannot be done is said in one sentence."""
import os
import pathlib
import shutil
import unittest

from trainings import Scratch, done, run, settings

SOURCE = pathlib.Path(os.environ["SPAR_SOURCE"])
REAL_DATA = pathlib.Path(os.environ.get("SPAR_DATA", SOURCE.parent / "shared" / "data"))


class SameBits(Scratch):
    def check(self, data, system, *more, launches=(1, 2, 3, 4)):
        results = []
        for ranks in launches:
            name = f"{data.stem}-{system}-{len(more)}-{ranks}"
            self.train(system, name, *more, data=data, ranks=ranks)
            results.append(self.exported(name, ranks=ranks))
        for ranks, result in zip(launches[1:], results[1:]):
            self.assertEqual(result, results[0], f"{ranks} ranks")
        self.assertIn("user.npy", results[0])
        return results[0]

    def test_apr_and_bpr_export_the_same_bytes_on_1_2_3_and_4_ranks(self):
        short = settings(train__epochs=2, game__pretrain_epochs=1)
        direct = self.check(self.data, "apr", *short, launches=(1, 2, 3, 4, 5, 8))
        late = self.check(self.data, "apr", *short, *settings(parallel__pipeline=1, model__item_bias="true"))
        self.assertNotEqual(direct["user.npy"], late["user.npy"])
        self.check(self.data, "bpr-mf", *settings(train__epochs=2, optimizer__name="adam", optimizer__learning_rate=0.001))

    def test_movielens_export_is_the_same_bytes_on_1_2_3_and_4_ranks(self):
        source = REAL_DATA / "ml-100k"
        if not source.is_dir():
            self.skipTest(f"{source} is absent: set SPAR_DATA to the folder of the data sets")
        data = self.folder / "ml-100k.h5"
        done("import", "movielens", source, "--to", data)
        self.check(data, "apr", *settings(train__epochs=2, game__pretrain_epochs=1))

    def test_threads_checkpoints_and_validations_change_no_bit(self):
        common = settings(train__epochs=3, game__pretrain_epochs=1, game__start_from="last", evaluate__patience=0)
        self.train("apr", "plain", *common, *settings(evaluate__every_epochs=0))
        expected = self.exported("plain")
        self.train("apr", "busy", *common, *settings(evaluate__every_epochs=1, checkpoint__every_epochs=1, parallel__threads=2), ranks=2)
        self.assertEqual(self.exported("busy"), expected)

    def test_ranks_that_read_in_place_and_ranks_that_send_messages_give_the_same_bytes(self):
        short = settings(train__epochs=2, game__pretrain_epochs=1)
        results = []
        for name, node_memory in (("in-place", "true"), ("messages", "false")):
            self.train("apr", name, *short, *settings(parallel__node_memory=node_memory), ranks=3)
            results.append(self.exported(name))
        self.assertEqual(*results)

    def test_networks_are_the_same_bytes_on_1_2_3_and_4_ranks_with_stops_and_threads(self):
        for system in ("gmf", "neumf"):
            short = settings(train__epochs=2, optimizer__name="adam" if system == "gmf" else "lazy_adam")
            results = []
            for ranks in (1, 2, 3, 4):
                self.train(system, f"{system}-{ranks}", *short, *settings(checkpoint__every_epochs=1), ranks=ranks)
                results.append(self.parts(f"{system}-{ranks}", "epoch-000002"))
            self.train(system, f"{system}-t", *short, *settings(parallel__threads=2, parallel__node_memory="false"), ranks=2)
            results.append(self.parts(f"{system}-t", "epoch-000002"))
            self.train(system, f"{system}-s", *settings(train__epochs=1), *short[2:], ranks=3)
            self.train(system, f"{system}-s", *short, ranks=2)
            results.append(self.parts(f"{system}-s", "epoch-000002"))
            for result in results[1:]:
                self.assertEqual(result, results[0])
            ranked = [done("recommend", self.folder / f"{system}-{ranks}", "--top", 5, ranks=ranks).stdout for ranks in (1, 3)]
            self.assertEqual(ranked[0], ranked[1])
            self.assertGreater(len(ranked[0]), 1000)

    def test_popularity_counts_alike_on_any_number_of_ranks(self):
        self.check(self.data, "popularity")


class Mistakes(Scratch):
    def refused(self, sentence, *words, code=2, ranks=(0, 3), **options):
        for count in ranks:
            with self.subTest(words=words, ranks=count):
                result = run(*words, ranks=count, **options)
                self.assertEqual(result.stderr, f"spar: error: {sentence}\n")
                self.assertEqual((result.returncode, result.stdout), (code, ""))

    def test_n_singles_train_nothing(self):
        for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"):
            with self.subTest(variable=name):
                result = run("train", "apr", "--data", self.data, "--run", self.place("singles"), env={**os.environ, name: "4"})
                self.assertRegex(result.stderr, r"\Aspar: error: started as 4 processes, but MPI sees 1: use srun --mpi=pmix[^\n]*\n\Z")
                self.assertEqual(result.returncode, 3)
                self.assertFalse(self.place("singles").exists())

    def test_wrong_users_runs_and_splits_get_one_sentence_on_any_number_of_ranks(self):
        self.train("bpr-mf", "small", *settings(train__epochs=1))
        place = self.place("small")
        self.refused(f'user "nobody" is not in {self.data}', "recommend", place, "--users", "nobody")
        self.refused(f"{self.folder}/none: there is no such run directory", "recommend", self.folder / "none")
        self.refused(f"{self.folder}/none: there is no such run directory", "export", self.folder / "none", "--to", self.place("x"))
        self.refused(f"{self.folder}/none: there is no such run directory", "attack", self.folder / "none")
        self.refused(f"{self.folder}: is not a run directory, which holds recipe.toml and run.json; spar train makes one",
                     "export", self.folder, "--to", self.place("x"))
        self.refused("a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf",
                     "attack", place, "--scope", "batch", "--ball", "global_l2")
        self.refused(f"{place}: holds checkpoints, which is of no export; choose an empty or new folder", "export", place, "--to", place)
        self.assertFalse(self.place("x").exists())

    def test_a_run_whose_data_changed_is_refused(self):
        data = self.folder / "moving.h5"
        shutil.copy(self.data, data)
        self.train("bpr-mf", "moved", *settings(train__epochs=1), data=data)
        done("synth", "--users", 101, "--items", 97, "--interactions", 2001, "--to", self.folder / "other.h5")
        shutil.copy(self.folder / "other.h5", data)
        result = run("export", self.place("moved"), "--to", self.place("y"), ranks=2)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"\Aspar: error: [^\n]*moving.h5 has changed since the training \(content [0-9a-f]{16}, then [0-9a-f]{16}\)\n\Z")
        data.unlink()
        result = run("export", self.place("moved"), "--to", self.place("y"), ranks=2)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"\Aspar: error: [^\n]*moving.h5 that it was trained on is gone[^\n]*\n\Z")


if __name__ == "__main__":
    unittest.main()
