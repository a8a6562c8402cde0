"""Auto-encoders of users' profiles: the same bytes on any launch and after any stop, and an adversary of weight 0 is none."""
import hashlib
import json
import signal
import unittest

import h5py
from trainings import PATIENCE, Scratch, done, lines_so_far, log_of, run, settings

# Widths that are no multiples of anything, so that padding and uneven shards are met.
SMALL = {"mult-vae": settings(network__layers="[21,7]", autoencoder__beta="ramp 0 0.2 over 10 steps"),
         "mult-dae": settings(network__layers="[18,13]", objective__l2=0.001),
         "cdae": settings(model__dim=11),
         "acae": settings(model__dim=11, game__pretrain_epochs=1, game__start_from="last")}
DRAWN = {"mult-vae": [*SMALL["mult-vae"], *settings(autoencoder__samples=40)],
         "mult-dae": [*SMALL["mult-dae"], *settings(autoencoder__samples=23, autoencoder__sample_power=0.75)]}
SAMPLED = settings(autoencoder__cells="sampled", optimizer__name="lazy_adam")
BATCH = settings(train__batch_size=150)


class Autoencoders(Scratch):
    def tables(self, name):
        """The checksums of the newest checkpoint's tables, whose bytes do not depend on the launch."""
        newest = sorted((self.place(name) / "checkpoints").glob("epoch-*"))[-1]
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(newest.glob("part-*.h5"))}
        self.assertTrue(found)
        return found

    def metrics(self, name, ranks=0):
        return done("evaluate", self.place(name), "--json", "--cutoffs", "10", ranks=ranks).stdout

    def test_every_launch_trains_evaluates_and_recommends_the_same_bits(self):
        users = [line.split("\t")[0] for line in self.some_users()]
        for system, small in SMALL.items():
            with self.subTest(system=system):
                short = [*small, *BATCH, *settings(train__epochs=3)]
                recommended = set()
                for ranks, threads in ((0, 1), (1, 2), (2, 1), (3, 2), (4, 1)):
                    name = f"{system}-{ranks}-{threads}"
                    self.train(system, name, *short, *settings(parallel__threads=threads), ranks=ranks)
                    recommended.add(done("recommend", self.place(name), "--users", ",".join(users), "--top", "7", ranks=ranks).stdout)
                    self.assertEqual(self.tables(name), self.tables(f"{system}-0-1"), name)
                self.assertEqual(len(recommended), 1)
                self.assertEqual(len(recommended.pop().splitlines()), 7 * len(users))
                self.assertEqual(self.metrics(f"{system}-0-1"), self.metrics(f"{system}-0-1", ranks=3))

    def some_users(self):
        with h5py.File(self.data) as file:
            offsets = file["train/offsets"][:]
            ids = file["users/ids"]
            trained = [k for k in range(len(offsets) - 1) if offsets[k + 1] > offsets[k]]
            return [ids[k].decode() for k in (trained[0], trained[len(trained) // 2], trained[-1])]

    def test_validations_change_no_bit(self):
        for name, more, ranks in (("plain", settings(evaluate__every_epochs=0), 0),
                                  ("judged", settings(evaluate__every_epochs=1, evaluate__patience=0), 2)):
            self.train("mult-vae", name, *SMALL["mult-vae"], *BATCH, *settings(train__epochs=3), *more, ranks=ranks)
            self.assertEqual(self.tables(name), self.tables("plain"), name)

    def test_a_run_stopped_inside_an_epoch_goes_on_to_the_same_bits_on_another_count(self):
        steps = settings(train__batch_size=7, evaluate__every_epochs=0)
        for system in ("mult-vae", "acae"):
            with self.subTest(system=system):
                name = f"stopped-{system}"
                job = self.started(system, name, *SMALL[system], *steps, *settings(train__epochs=1000000), ranks=3)
                # acae: within its adversarial stage.
                self.wait_for(job, "epoch 2", lambda: sum(line["event"] == "epoch" for line in lines_so_far(self.place(name))) >= 2)
                job.send_signal(signal.SIGUSR1)
                _, errors = job.communicate(timeout=PATIENCE)
                self.assertEqual(job.returncode, 75, errors)
                newest = sorted(path.name for path in (self.place(name) / "checkpoints").glob("epoch-*"))[-1]
                self.assertNotIn("step-000000", newest)
                epochs = self.newest_epoch(name) + 1
                self.train(system, name, *SMALL[system], *steps, *settings(train__epochs=epochs), ranks=2)
                self.train(system, f"whole-{system}", *SMALL[system], *steps, *settings(train__epochs=epochs))
                self.assertEqual(self.tables(name), self.tables(f"whole-{system}"))

    def test_an_adversary_of_weight_0_is_cdae_bit_for_bit_and_one_of_weight_1_is_not(self):
        form = [*BATCH, *settings(model__dim=11, train__epochs=4, evaluate__every_epochs=0)]
        # A second stage starts the optimiser afresh, so the adversary is there from the first step.
        adversarial = settings(game__pretrain_epochs=0)
        for cells in ("all", "sampled"):
            more = [*form, *settings(autoencoder__cells=cells)]
            self.train("cdae", f"cdae-{cells}", *more)
            base = self.tables(f"cdae-{cells}")
            for name, setting, equal in (("none", {"adversary__weight": 0}, True), ("full", {}, False),
                                         ("no-taps", {"autoencoder__encoder_weight": 0, "autoencoder__decoder_weight": 0}, True),
                                         ("encoder", {"autoencoder__decoder_weight": 0}, False),
                                         ("decoder", {"autoencoder__encoder_weight": 0}, False)):
                with self.subTest(cells=cells, adversary=name):
                    self.train("acae", f"{name}-{cells}", *more, *adversarial, *settings(**setting))
                    self.assertEqual(self.tables(f"{name}-{cells}") == base, equal)

    def test_the_log_has_the_losses_of_each_stage(self):
        self.train("acae", "logged", *SMALL["acae"], *BATCH, *settings(train__epochs=2, evaluate__every_epochs=0))
        lines = [line for line in log_of(self.place("logged")) if line["event"] == "epoch"]
        self.assertEqual([line["stage"] for line in lines], ["cdae", "acae"])
        self.assertEqual([sorted(line["losses"]) for line in lines], [["reconstruction"], ["adversarial", "reconstruction"]])
        self.assertGreater(lines[1]["losses"]["adversarial"], lines[1]["losses"]["reconstruction"])

    def test_mult_vae_ranks_planted_tastes_above_popularity(self):
        self.train("popularity", "popularity")
        self.train("mult-vae", "learned", *settings(network__layers="[64,24]", autoencoder__beta="ramp 0 0.05 over 200 steps",
                                                     train__batch_size=64, train__epochs=30, optimizer__learning_rate=0.003))
        self.train("mult-vae", "drawn", *SAMPLED, *settings(network__layers="[64,24]", autoencoder__beta="ramp 0 0.05 over 200 steps", train__batch_size=64,
                                                            train__epochs=30, optimizer__learning_rate=0.003, autoencoder__samples=50))
        values = {name: json.loads(self.metrics(name))["metrics"]["ndcg@10"] for name in ("popularity", "learned", "drawn")}
        self.assertGreater(values["learned"], 1.1 * values["popularity"], values)
        self.assertGreater(values["drawn"], 1.1 * values["popularity"], values)

    def test_softmaxes_over_drawn_items_give_the_same_bits_on_every_launch(self):
        for system, small in DRAWN.items():
            with self.subTest(system=system):
                short = [*small, *SAMPLED, *BATCH, *settings(train__epochs=3)]
                for ranks, threads in ((0, 1), (1, 2), (3, 2), (4, 1)):
                    name = f"drawn-{system}-{ranks}-{threads}"
                    self.train(system, name, *short, *settings(parallel__threads=threads), ranks=ranks)
                    self.assertEqual(self.tables(name), self.tables(f"drawn-{system}-0-1"), name)
                self.assertEqual(self.metrics(f"drawn-{system}-0-1"), self.metrics(f"drawn-{system}-0-1", ranks=3))

    def test_what_softmaxes_over_drawn_items_cannot_be_is_said_in_one_sentence(self):
        for more, sentence in (
                (settings(autoencoder__cells="sampled"),
                 'optimizer.name = "adam" moves the rows of all items in every step, which autoencoder.cells = "sampled" is there to avoid: take lazy_adam, adagrad or sgd'),
                ([*SAMPLED, *settings(autoencoder__samples=398)],
                 f'autoencoder.samples = 398 is more than the 397 items of {self.data}: take fewer, or autoencoder.cells = "all"')):
            for verb in (("train",), ("plan", "--ranks", 2)):
                result = run(verb[0], "mult-dae", "--data", self.data, *verb[1:], *more)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (2, "", f"spar: error: {sentence}\n"))

    def test_a_plan_says_what_a_checkpoint_takes(self):
        for system, small in SMALL.items():
            with self.subTest(system=system):
                self.train(system, f"planned-{system}", *small, *BATCH, *settings(train__epochs=1))
                plan = json.loads(done("plan", system, "--data", self.data, "--ranks", 2, "--json", *small, *BATCH).stdout)
                newest = sorted((self.place(f"planned-{system}") / "checkpoints").glob("epoch-*"))[-1]
                numbers = 0
                for part in newest.glob("part-*.h5"):
                    with h5py.File(part) as file:
                        found = []
                        file.visititems(lambda _, item: found.append(item.size * item.dtype.itemsize) if isinstance(item, h5py.Dataset) and item.dtype == "f4" else None)
                        numbers += sum(found)
                self.assertGreater(plan["sent_per_step"], 0)
                self.assertEqual(plan["checkpoint_bytes"], numbers)


if __name__ == "__main__":
    unittest.main()
