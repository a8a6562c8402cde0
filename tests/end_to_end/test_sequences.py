"""Systems that read histories: the same bytes on any launch and after any stop, and what only the order can tell."""
import hashlib
import json
import random
import signal
import unittest

from trainings import PATIENCE, Scratch, done, lines_so_far, run, settings

SMALL = settings(model__dim=16, sequence__length=12, train__batch_size=64)


class Sequences(Scratch):
    ITEMS = 89

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.untimed = cls.data
        draw = random.Random(5)
        text = cls.folder / "cycle.txt"
        with text.open("w") as lines:
            for user in range(307):
                first = draw.randrange(cls.ITEMS)
                for k in range(draw.randrange(4, 22)):
                    lines.write(f"u{user} i{(first + k) % cls.ITEMS}\n")
        cls.data = cls.folder / "cycle.h5"
        done("import", "delimited", text, "--columns", "user,item", "--ordered", "--split", "leave-one-out", "--to", cls.data)

    def parts(self, name):
        """The tables of the newest checkpoint, whose bytes do not depend on the launch."""
        newest = sorted((self.place(name) / "checkpoints").glob("epoch-*"))[-1]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(newest.glob("part-*.h5"))}

    def metrics(self, name, *more, ranks=0):
        result = done("evaluate", self.place(name), "--json", "--cutoffs", "1,10", *more, ranks=ranks)
        return json.loads(result.stdout)

    def test_every_launch_trains_evaluates_and_recommends_the_same_bits(self):
        for system in ("sasrec", "gru4rec"):
            with self.subTest(system=system):
                short = [*SMALL, *settings(train__epochs=3, evaluate__every_epochs=1)]
                recommended = set()
                for ranks, threads in ((0, 1), (1, 2), (2, 1), (3, 2), (4, 1)):
                    name = f"{system}-{ranks}-{threads}"
                    self.train(system, name, *short, *settings(parallel__threads=threads), ranks=ranks)
                    recommended.add(done("recommend", self.place(name), "--users", "u0,u5,u306", "--top", "7", ranks=ranks).stdout)
                    self.assertEqual(self.parts(name), self.parts(f"{system}-0-1"))
                self.assertEqual(len(recommended), 1)
                values = [json.dumps(self.metrics(f"{system}-0-1", ranks=ranks)) for ranks in (0, 3)]
                self.assertEqual(values[0], values[1])

    def test_validations_change_no_bit_and_ranks_without_shared_memory_give_the_same(self):
        for name, more, ranks in (("plain", settings(evaluate__every_epochs=0), 0),
                                  ("judged", settings(evaluate__every_epochs=1, evaluate__patience=0), 2),
                                  ("messages", settings(parallel__node_memory="false"), 3)):
            self.train("sasrec", name, *SMALL, *settings(train__epochs=3), *more, ranks=ranks)
            self.assertEqual(self.parts(name), self.parts("plain"), name)

    def test_a_run_stopped_inside_an_epoch_goes_on_to_the_same_bits(self):
        steps = settings(train__batch_size=2, evaluate__every_epochs=0)
        for system in ("sasrec", "gru4rec"):
            with self.subTest(system=system):
                name = f"stopped-{system}"
                small = settings(model__dim=16, sequence__length=12)
                job = self.started(system, name, *small, *steps, *settings(train__epochs=1000000), ranks=3)
                self.wait_for(job, "epoch 1", lambda: any(line["event"] == "epoch" for line in lines_so_far(self.place(name))))
                job.send_signal(signal.SIGUSR1)
                _, errors = job.communicate(timeout=PATIENCE)
                self.assertEqual(job.returncode, 75, errors)
                newest = sorted(path.name for path in (self.place(name) / "checkpoints").glob("epoch-*"))[-1]
                self.assertNotIn("step-000000", newest)
                epochs = self.newest_epoch(name) + 1
                self.train(system, name, *small, *steps, *settings(train__epochs=epochs), ranks=2)
                self.train(system, f"whole-{system}", *small, *steps, *settings(train__epochs=epochs))
                self.assertEqual(self.parts(name), self.parts(f"whole-{system}"))

    def test_what_follows_in_a_cycle_is_found_by_the_order_and_not_without(self):
        found = {}
        for system, more in (("sasrec", settings(optimizer__learning_rate=0.01, network__dropout=0.1)),
                             ("gru4rec", settings(optimizer__learning_rate=0.01)), ("bpr-mf", [])):
            sizes = SMALL if system != "bpr-mf" else settings(model__dim=16)
            self.train(system, system, *sizes, *more, *settings(train__epochs=60, evaluate__every_epochs=20, evaluate__patience=0))
            found[system] = self.metrics(system)["metrics"]["hr@1"]
        self.assertGreater(found["sasrec"], 0.9)
        self.assertGreater(found["gru4rec"], 0.95)
        self.assertLess(found["bpr-mf"], 0.6)

    def test_data_without_times_get_one_sentence(self):
        for more in ([], ["--dry-run"]):
            result = run("train", "sasrec", "--data", self.untimed, "--run", self.place("none"), *more, ranks=2)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(result.stderr, f"spar: error: {self.untimed} has no times, so the order of a user's interactions is not known: "
                             "import it with a time column, or with --ordered where the lines stand oldest first\n")
            self.assertFalse(self.place("none").exists())


if __name__ == "__main__":
    unittest.main()
