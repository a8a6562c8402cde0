"""Trainings driven as users drive them: the same bits on any number of ranks, through kills, stops and full disks; and the files and texts that scripts stand on."""
import hashlib
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
import numpy

SPAR = os.environ["SPAR_PROGRAM"]
SOURCE = pathlib.Path(os.environ["SPAR_SOURCE"])
REAL_DATA = pathlib.Path(os.environ.get("SPAR_DATA", SOURCE.parent / "shared" / "data"))
PATIENCE = 240


def command(*words, ranks=0):
    launcher = ["mpirun", "-q", "-n", str(ranks)] if ranks else []
    return [*launcher, SPAR, *[str(word) for word in words]]


def run(*words, ranks=0, **options):
    return subprocess.run(command(*words, ranks=ranks), capture_output=True, text=True, timeout=PATIENCE, **options)


def done(*words, ranks=0):
    result = run(*words, ranks=ranks)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {result.returncode}: {result.stderr}")
    return result


def settings(**values):
    words = []
    for key, value in values.items():
        words += ["--set", f"{key.replace('__', '.')}={value}"]
    return words


def sha256(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def vectors(folder):
    """Checksums of what an export says of the model, without the name of its run."""
    return {name: value for name, value in sha256(folder).items() if name.endswith((".npy", ".txt"))}


def log_of(directory):
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


def lines_so_far(directory):
    """The whole lines of a log that is being written."""
    try:
        text = (directory / "log.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


class Scratch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.root.name)
        cls.data = cls.folder / "d.h5"
        done("synth", "--users", 1201, "--items", 397, "--interactions", 24001, "--to", cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.root.cleanup()

    def place(self, name):
        return self.folder / name

    def train(self, system, name, *more, data=None, ranks=0):
        words = ["train", system, "--data", data or self.data, "--run", self.place(name), "--progress", "none", *more]
        return done(*words, ranks=ranks)

    def exported(self, name, ranks=0, checkpoint="last"):
        to = self.place(name + "-export")
        done("export", self.place(name), "--to", to, "--checkpoint", checkpoint, ranks=ranks)
        return vectors(to)

    def started(self, system, name, *more, ranks):
        words = ["train", system, "--data", self.data, "--run", self.place(name), "--progress", "none", *more]
        job = subprocess.Popen(command(*words, ranks=ranks), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, job)
        return job

    @staticmethod
    def end(job):
        if job.poll() is None:
            job.kill()
        job.communicate()

    def wait_for(self, job, what, condition):
        """Until the job's run directory fulfils the condition."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if job.poll() is not None:
                self.fail(f"the job ended with {job.returncode} before {what}: {job.stderr.read()}")
            if time.monotonic() > deadline:
                self.fail(f"no {what} after {PATIENCE} s")
            time.sleep(0.02)

    def newest_epoch(self, name):
        names = sorted(path.name for path in (self.place(name) / "checkpoints").iterdir() if path.name.startswith("epoch-"))
        return int(re.match(r"epoch-(\d+)-step-(\d+)$", names[-1]).group(1))


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

    def test_popularity_counts_alike_on_any_number_of_ranks(self):
        self.check(self.data, "popularity")


class Interruptions(Scratch):
    FOREVER = settings(train__epochs=1000000)
    COMMON = settings(game__pretrain_epochs=2, game__start_from="last", evaluate__patience=0)

    def reference(self, name, epochs, *more):
        """A run that never stopped, on one rank, without validations or checkpoints in between."""
        self.train("apr", name, *self.COMMON, *settings(train__epochs=epochs, evaluate__every_epochs=0), *more)
        return self.exported(name)

    def test_a_run_killed_on_4_ranks_goes_on_on_2_to_the_bytes_of_one_that_never_stopped(self):
        job = self.started("apr", "killed", *self.COMMON, *self.FOREVER, *settings(checkpoint__every_epochs=1), ranks=4)
        self.wait_for(job, "checkpoint of epoch 3", lambda: any(
            line["event"] == "checkpoint" and line["epoch"] >= 3 for line in lines_so_far(self.place("killed"))))
        time.sleep(0.05)
        children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split()
        self.assertEqual(len(children), 4)
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        job.wait(timeout=60)
        self.assertNotEqual(job.returncode, 0)
        epochs = self.newest_epoch("killed") + 2
        self.train("apr", "killed", *self.COMMON, *settings(train__epochs=epochs, checkpoint__every_epochs=1), ranks=2)
        self.assertEqual(self.exported("killed", ranks=2), self.reference("whole", epochs))
        log = log_of(self.place("killed"))
        self.assertEqual([line["epoch"] for line in log if line["event"] == "epoch"], list(range(1, epochs + 1)))
        self.assertEqual([line["event"] for line in log].count("resume"), 1)

    def test_a_run_stopped_by_a_signal_goes_on_to_the_same_bytes(self):
        for pipeline in (0, 1):
            with self.subTest(pipeline=pipeline):
                mode = settings(parallel__pipeline=pipeline)
                name = f"stopped-{pipeline}"
                job = self.started("apr", name, *self.COMMON, *self.FOREVER, *mode, ranks=4)
                self.wait_for(job, "epoch 3", lambda: any(
                    line["event"] == "epoch" and line["epoch"] >= 3 for line in lines_so_far(self.place(name))))
                job.send_signal(signal.SIGUSR1)
                _, errors = job.communicate(timeout=PATIENCE)
                self.assertEqual(job.returncode, 75, errors)
                stop = log_of(self.place(name))[-1]
                self.assertEqual((stop["event"], stop["reason"]), ("stop", "SIGUSR1"))
                self.assertFalse((self.place(name) / "run.lock").exists())
                epochs = self.newest_epoch(name) + 2
                for ranks in (3, 1):
                    copy = f"{name}-on-{ranks}"
                    shutil.copytree(self.place(name), self.place(copy))
                    self.train("apr", copy, *self.COMMON, *settings(train__epochs=epochs), *mode, ranks=ranks)
                    self.assertEqual(self.exported(copy), self.reference(f"whole-{pipeline}-{ranks}", epochs, *mode))

    def test_the_same_command_goes_on_after_every_signal_that_asks_for_a_stop(self):
        for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            with self.subTest(signal=asked.name):
                name = "asked-" + asked.name
                job = self.started("bpr-mf", name, *self.FOREVER, *settings(evaluate__patience=0), ranks=0)
                self.wait_for(job, "epoch 1", lambda: any(line["event"] == "epoch" for line in lines_so_far(self.place(name))))
                job.send_signal(asked)
                _, errors = job.communicate(timeout=60)
                self.assertEqual(job.returncode, 75, errors)
                self.assertEqual(log_of(self.place(name))[-1]["reason"], asked.name)
                self.assertGreater(self.newest_epoch(name), 0)

    def test_a_rank_that_hangs_ends_the_job_with_a_sentence_that_names_it(self):
        # Deadlines guard the exchanges of a step. A rank that is stopped in one of the rare collectives between epochs is let go and stopped again.
        job = self.started("apr", "hung", *self.COMMON, *self.FOREVER, ranks=2, *settings(
            parallel__deadline_seconds=2, train__batch_size=64, evaluate__every_epochs=0, checkpoint__every_minutes=1000))
        self.wait_for(job, "epoch 1", lambda: any(line["event"] == "epoch" for line in lines_so_far(self.place("hung"))))
        children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split()
        ranks = {self.rank_of(child): int(child) for child in children}
        errors = None
        for _ in range(5):
            os.kill(ranks[1], signal.SIGSTOP)
            try:
                _, errors = job.communicate(timeout=20)
                break
            except subprocess.TimeoutExpired:
                os.kill(ranks[1], signal.SIGCONT)
                time.sleep(0.3)
        self.assertEqual(job.returncode, 3)
        self.assertRegex(errors, r"spar: error: rank 0 waited 2 s for rank 1 at step \d+, while it (receives|sends) [a-z ]+: that rank or the "
                                 r"network between has stopped \(parallel.deadline_seconds sets the patience\)\n")

    @staticmethod
    def rank_of(process):
        environment = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        return next(int(entry.split(b"=")[1]) for entry in environment if entry.startswith(b"OMPI_COMM_WORLD_RANK="))

    def test_a_full_disk_ends_with_3_and_leaves_the_last_good_checkpoint(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a small file system here: {mounted.stderr.strip()}")
        try:
            words = ["train", "apr", "--data", self.data, "--run", disk / "run", "--progress", "none", *self.COMMON,
                     *settings(checkpoint__every_epochs=1, evaluate__every_epochs=0)]
            job = subprocess.Popen(command(*words, *self.FOREVER, ranks=2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(self.end, job)
            self.wait_for(job, "checkpoint", lambda: any(line["event"] == "checkpoint" for line in lines_so_far(disk / "run")))
            with open(disk / "filler", "wb", buffering=0) as filler:
                try:
                    while True:
                        filler.write(b"x" * 65536)
                except OSError:
                    pass
                _, errors = job.communicate(timeout=PATIENCE)
            self.assertEqual(job.returncode, 3, errors)
            self.assertRegex(errors, r"\Aspar: error: [^\n]*(the disk is full|no space left on device)[^\n]*\n\Z")
            (disk / "filler").unlink()
            left = sorted(path.name for path in (disk / "run" / "checkpoints").iterdir())
            self.assertTrue(all(re.fullmatch(r"epoch-\d{6}-step-\d{6}", name) for name in left), left)
            done("export", disk / "run", "--to", self.place("rescued"))
            epochs = int(left[-1][6:12]) + 1
            done(*words, *settings(train__epochs=epochs), ranks=2)
            done("export", disk / "run", "--to", self.place("full-export"))
            self.assertEqual(vectors(self.place("full-export")), self.reference("roomy", epochs))
        finally:
            subprocess.run(["umount", str(disk)], check=True)


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
        self.refused(f"{place}: holds something else than an export; choose an empty or new folder", "export", place, "--to", place)
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
