"""Pointwise systems of factors and of profiles, and negatives by popularity: the same bytes on any launch and after any stop."""
import json
import signal
import unittest

import h5py
import numpy
from trainings import PATIENCE, Scratch, done, lines_so_far, log_of, run, settings

NORMED = settings(network__batch_norm="true", network__layers="[10,7,5]")
FORM = {"mf": settings(model__dim=21), "fncf": settings(network__layers="[18,7,5]"), "mlp": NORMED, "neumf": [*NORMED, *settings(model__dim=5)]}
BATCH = settings(train__batch_size=300)
LAUNCHES = ((0, 1), (1, 2), (2, 1), (3, 2), (4, 1))


class Pointwise(Scratch):
    def newest(self, name):
        return sorted((self.place(name) / "checkpoints").glob("epoch-*"))[-1]

    def tables(self, name):
        return self.parts(name, self.newest(name).name)

    def student(self, **more):
        if not self.place("teacher").exists():
            self.train("fncf", "teacher", *FORM["fncf"], *BATCH, *settings(train__epochs=2))
        return [*FORM["fncf"], *settings(**{"teacher__run": self.place("teacher"), **more})]

    def launched(self, system, name, words):
        lists = set()
        for ranks, threads in LAUNCHES:
            run_name = f"{name}-{ranks}-{threads}"
            self.train(system, run_name, *words, *settings(parallel__threads=threads), ranks=ranks)
            self.assertEqual(self.tables(run_name), self.tables(f"{name}-0-1"), run_name)
            lists.add(done("recommend", self.place(run_name), "--users", self.some_users(), "--top", "7", ranks=ranks).stdout)
        self.assertEqual(len(lists), 1)
        metrics = {done("evaluate", self.place(f"{name}-0-1"), "--json", "--cutoffs", "10", ranks=ranks).stdout for ranks in (0, 3)}
        self.assertEqual(len(metrics), 1)

    def some_users(self):
        with h5py.File(self.data) as file:
            offsets = file["train/offsets"][:]
            trained = numpy.flatnonzero(numpy.diff(offsets))
            return ",".join(file["users/ids"][k].decode() for k in (trained[0], trained[len(trained) // 2]))

    def test_factors_train_to_the_same_bits_on_every_launch(self):
        self.launched("mf", "mf", [*FORM["mf"], *BATCH, *settings(train__epochs=3)])

    def test_teachers_and_students_train_to_the_same_bits_on_every_launch(self):
        self.launched("fncf", "plain", [*FORM["fncf"], *BATCH, *settings(train__epochs=2)])
        self.launched("fncf", "student", [*self.student(teacher__hint_epochs=1), *BATCH, *settings(train__epochs=4)])

    def test_normed_networks_train_to_the_same_bits_on_every_launch(self):
        for system in ("mlp", "neumf"):
            self.launched(system, system, [*FORM[system], *BATCH, *settings(train__epochs=2)])
        with h5py.File(self.newest("mlp-0-1") / "index.h5") as file:
            variance = file["tables/dense.mlp.0.norm.variance/vector"][:]
        self.assertEqual(variance.shape, (1, 7))
        self.assertTrue((variance > 0).all() and (variance != 1).all())

    def pretrained(self, **more):
        for system, words in (("gmf", settings(model__dim=5)), ("mlp", settings(network__layers="[10,7,5]"))):
            if not self.place(f"pre-{system}").exists():
                self.train(system, f"pre-{system}", *words, *BATCH, *settings(train__epochs=3, optimizer__learning_rate=0.02))
        words = {"network__layers": "[10,7,5]", "model__dim": 5, "pretrained__gmf": self.place("pre-gmf"), "pretrained__mlp": self.place("pre-mlp")}
        return settings(**{**words, **more})

    def test_a_joint_network_starts_with_the_scores_of_its_parts(self):
        still = settings(train__epochs=1, optimizer__name="sgd", optimizer__learning_rate="1e-30")
        top = lambda name: done("recommend", self.place(name), "--users", self.some_users(), "--top", "5").stdout
        parts = {}
        for share in (0, 0.25, 1):
            self.train("neumf", f"joint-{share}", *self.pretrained(pretrained__share=share), *BATCH, *still)
            with h5py.File(self.newest(f"joint-{share}") / "index.h5") as file:
                parts[share] = file["tables/dense.output.weights/vector"][:].ravel(), file["tables/dense.output.bias/vector"][:].ravel()
        ids = lambda text: [line.split()[1:3] for line in text.splitlines()]
        self.assertEqual(ids(top("joint-1")), ids(top("pre-gmf")))
        self.assertEqual(ids(top("joint-0")), ids(top("pre-mlp")))
        self.assertNotEqual(ids(top("joint-0")), ids(top("joint-1")))
        numpy.testing.assert_array_equal(parts[0.25][0], numpy.concatenate([parts[1][0][:5] * numpy.float32(0.25), parts[0][0][5:] * numpy.float32(0.75)]))
        numpy.testing.assert_allclose(parts[0.25][1], parts[1][1] * 0.25 + parts[0][1] * 0.75, rtol=1e-6)

    def test_joint_networks_of_trained_parts_train_to_the_same_bits_on_every_launch(self):
        self.launched("neumf", "joint", [*self.pretrained(), *BATCH, *settings(train__epochs=2, optimizer__name="sgd")])

    def test_parts_that_do_not_fit_get_one_sentence(self):
        gmf = self.place("pre-gmf")
        for more, sentence in (
            ({"pretrained__mlp": gmf}, f'pretrained.mlp = "{gmf}" is a run of gmf: a run of mlp belongs there'),
            ({"pretrained__mlp": ""}, "pretrained.gmf and pretrained.mlp belong together: name a run of mlp with pretrained.mlp"),
            ({"model__dim": 6}, f'pretrained.gmf = "{gmf}" has model.dim = 5, this recipe 6: they must agree'),
        ):
            answer = run("train", "neumf", "--data", self.data, "--run", self.place("misfit"), *self.pretrained(**more))
            self.assertEqual(answer.returncode, 2)
            self.assertIn(sentence, answer.stderr)

    def test_negatives_by_popularity_are_the_same_bits_on_every_launch_and_other_than_uniform_ones(self):
        law = settings(sampling__negatives="popularity", sampling__power=0.5, train__epochs=2)
        for system, form in (("bpr-mf", settings(model__dim=9)), ("mf", FORM["mf"])):
            self.launched(system, f"popular-{system}", [*form, *law])
            self.train(system, f"uniform-{system}", *form, *settings(train__epochs=2))
            self.assertNotEqual(self.tables(f"uniform-{system}"), self.tables(f"popular-{system}-0-1"))

    def test_own_items_and_the_hardest_of_several_negatives_are_the_same_bits_on_every_launch(self):
        for system, form in (("bpr-mf", settings(model__dim=9)), ("mf", FORM["mf"])):
            for name, law in (("own", settings(sampling__own_items="true", train__epochs=2)),
                              ("hardest", settings(sampling__candidates=4, train__epochs=2))):
                self.launched(system, f"{name}-{system}", [*form, *law])
            self.assertNotEqual(self.tables(f"own-{system}-0-1"), self.tables(f"hardest-{system}-0-1"))

    def test_decorrelated_vectors_are_the_same_bits_on_every_launch_and_the_log_tells_the_penalty_at_the_end_of_the_epoch(self):
        for system, form, columns, weight in (("bpr-mf", settings(model__dim=9), 9, 1000), ("mf", FORM["mf"], 21, 100000)):
            name = f"decorrelated-{system}"
            words = settings(objective__decorrelation=weight, objective__decorrelation_every=4, train__epochs=3)
            self.launched(system, name, [*form, *words])
            self.train(system, f"free-{system}", *form, *settings(train__epochs=3, objective__decorrelation=0))
            self.assertLess(self.penalty(f"{name}-0-1", columns), 0.9 * self.penalty(f"free-{system}", columns))
            told, plain = ([line["losses"] for line in log_of(self.place(run_name)) if line["event"] == "epoch"]
                           for run_name in (f"{name}-3-2", f"free-{system}"))
            self.assertAlmostEqual(told[-1]["decorrelation"] / self.penalty(f"{name}-0-1", columns), 1.0, places=6)
            self.assertNotIn("decorrelation", plain[-1])

    def penalty(self, name, columns):
        total = 0.0
        for table in ("user", "item"):
            covariance = numpy.cov(self.vectors(name, table, columns).astype(float), rowvar=False, bias=True)
            total += ((covariance**2).sum() - (numpy.diag(covariance)**2).sum()) / columns
        return total

    def test_a_law_of_negatives_that_a_system_does_not_draw_is_refused(self):
        result = run("train", "cdae", "--data", self.data, "--run", self.place("refused"), *settings(sampling__negatives="popularity"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("cdae draws its negatives uniformly", result.stderr)

    def test_a_run_stopped_inside_an_epoch_goes_on_to_the_same_bits_on_another_count(self):
        decorrelated = settings(model__dim=9, objective__decorrelation="ramp 0 50 over 2 epochs", objective__decorrelation_every=7)
        hardest = settings(model__dim=9, sampling__candidates=3, objective__l2=0.01, objective__l2_form="table", optimizer__clip_norm=1)
        for system, form in (
            ("mf", FORM["mf"]),
            ("fncf", self.student(teacher__hint_epochs=1)),
            ("neumf", FORM["neumf"]),
            ("bpr-mf", hardest),
            ("bpr-mf", decorrelated),
        ):
            with self.subTest(system=system, form=form):
                name = f"stopped-{system}-{len(form)}"
                steps = [*form, *settings(train__batch_size=25, evaluate__every_epochs=0)]
                job = self.started(system, name, *steps, *settings(train__epochs=1000000), ranks=3)
                self.wait_for(job, "epoch 1", lambda: any(line["event"] == "epoch" for line in lines_so_far(self.place(name))))
                job.send_signal(signal.SIGUSR1)
                _, errors = job.communicate(timeout=PATIENCE)
                self.assertEqual(job.returncode, 75, errors)
                self.assertNotIn("step-000000", self.newest(name).name)
                epochs = self.newest_epoch(name) + 1
                self.train(system, name, *steps, *settings(train__epochs=epochs), ranks=2)
                self.train(system, f"whole-{name}", *steps, *settings(train__epochs=epochs))
                self.assertEqual(self.tables(name), self.tables(f"whole-{name}"))

    def vectors(self, name, table, columns):
        with h5py.File(self.newest(name) / "index.h5") as file:
            return file[f"tables/{table}/vector"][:, :columns]

    def test_a_student_without_hints_soft_labels_and_noise_is_the_plain_model_bit_for_bit(self):
        nothing = {"teacher__hint_epochs": 0, "teacher__hint_weight": 0, "teacher__soft_weight": 0, "noise__input": 0, "noise__hidden": 0}
        self.train("fncf", "alone", *FORM["fncf"], *BATCH, *settings(train__epochs=3))
        self.train("fncf", "untaught", *self.student(**nothing), *BATCH, *settings(train__epochs=3))
        self.train("fncf", "taught", *self.student(teacher__hint_epochs=0), *BATCH, *settings(train__epochs=3))
        for table in ("user", "item"):
            alone = self.vectors("alone", table, 9)
            self.assertTrue(numpy.array_equal(alone, self.vectors("untaught", table, 9)))
            self.assertFalse(numpy.array_equal(alone, self.vectors("taught", table, 9)))

    def test_the_teacher_never_moves(self):
        self.train("fncf", "moving", *self.student(teacher__hint_epochs=1), *BATCH, *settings(train__epochs=4))
        best = json.loads(done("evaluate", self.place("teacher"), "--json", "--cutoffs", "10").stdout)["epoch"]
        [checkpoint] = (self.place("teacher") / "checkpoints").glob(f"epoch-{best:06d}-step-000000")
        with h5py.File(checkpoint / "index.h5") as teacher, h5py.File(self.newest("moving") / "index.h5") as student:
            before, after = teacher["tables"], student["tables"]
            for table in ("user", "item"):
                self.assertTrue(numpy.array_equal(before[table]["vector"][:], after[table]["vector"][:, 9:]))
            names = [name for name in before if name.startswith("dense.")]
            self.assertEqual(len(names), 6)
            for name in names:
                copy = after["dense.teacher." + name[len("dense."):]]
                self.assertTrue(numpy.array_equal(before[name]["vector"][:], copy["vector"][:]))

    def test_a_teacher_that_does_not_fit_is_refused_in_one_sentence(self):
        for more, sentence in (({"network__layers": "[18,6,5]"}, "has another form"), ({"teacher__run": self.place("nowhere")}, "nowhere")):
            self.student()
            words = settings(**{"network__layers": "[18,7,5]", "teacher__run": self.place("teacher"), **more})
            result = run("train", "fncf", "--data", self.data, "--run", self.place("misfit"), *words)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(sentence, result.stderr)


if __name__ == "__main__":
    unittest.main()
