"""launch/slurm on a real Slurm: a job that is stopped, put back, moved or robbed of a node ends in the bits of one that never was."""

import hashlib
import os
import pathlib
import subprocess
import tempfile
import unittest

import slurm_cluster

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2])).resolve()
PROGRAM = os.environ.get("SPAR_PROGRAM", str(SOURCE / "build" / "release" / "spar"))
TRAIN = SOURCE / "launch" / "slurm" / "train.sbatch"
SEEDS = SOURCE / "launch" / "slurm" / "seeds.sbatch"
# Long enough that a signal after the first checkpoint finds the training under way.
EPOCHS = 40
SETTINGS = [
    f"train.epochs={EPOCHS}",
    "game.pretrain_epochs=20",
    "model.dim=16",
    "parallel.shards=8",
    "parallel.threads=1",
    "checkpoint.every_epochs=1",
    "evaluate.patience=0",
]


def arguments(data, run, **changed):
    words = ["apr", "--data", str(data), "--run", str(run)]
    for setting in SETTINGS:
        words += ["--set", setting]
    for key, value in changed.items():
        words += ["--set", f"{key.replace('__', '.')}={value}"]
    return words


def spar(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"spar {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def digest(run):
    """One SHA-256 over everything that `spar export` writes for a run."""
    with tempfile.TemporaryDirectory() as scratch:
        spar("export", run, "--to", pathlib.Path(scratch) / "vectors")
        total = hashlib.sha256()
        for path in sorted((pathlib.Path(scratch) / "vectors").iterdir()):
            total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()


class SlurmJobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = slurm_cluster.missing()
        if reason:
            raise unittest.SkipTest(reason)
        folder = tempfile.TemporaryDirectory(prefix="spar-slurm-")
        cls.addClassCleanup(folder.cleanup)
        cls.work = pathlib.Path(folder.name)
        cls.data = cls.work / "data.h5"
        spar("synth", "--users", 3001, "--items", 1009, "--interactions", 100000, "--seed", 3, "--to", cls.data)
        spar("train", *arguments(cls.data, cls.work / "whole"))
        cls.whole = digest(cls.work / "whole")
        cls.cluster = slurm_cluster.Cluster(cls.work / "slurm", nodes=4, node_timeout=10)
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)

    def submit(self, run, *options, script=TRAIN, words=None, launcher="srun"):
        words = arguments(self.data, self.work / run) if words is None else words
        return self.cluster.submit(
            *options, script, *words, cwd=self.work, environment={"SPAR_PROGRAM": PROGRAM, "SPAR_LAUNCHER": launcher}
        )

    def wait_for_checkpoint(self, run):
        folder = self.work / run / "checkpoints"
        self.cluster.wait_for(lambda: any(folder.glob("*/manifest.json")), 120, f"a checkpoint of {run}")

    def log(self, job):
        path = self.work / f"spar-{job}.log"
        return path.read_text() if path.exists() else "(no log)"

    def stop_and_go_on(self, run, *options, **others):
        job = self.submit(run, *options, **others)
        self.wait_for_checkpoint(run)
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)
        self.cluster.start_again(job)
        self.assertEqual(self.cluster.wait_for_end(job), "COMPLETED", self.log(job))
        self.assertEqual(self.cluster.job(job)["Restarts"], "1")
        self.assertIn("stopped after a checkpoint", self.log(job))
        self.assertEqual(digest(self.work / run), self.whole, self.log(job))

    def test_two_tasks_stopped_before_the_time_limit_go_on_to_the_same_bits(self):
        self.stop_and_go_on("two", "--nodes=2", "--ntasks=2")

    def test_four_tasks_on_two_nodes_stopped_and_put_back_end_in_the_same_bits(self):
        self.stop_and_go_on("four", "--nodes=2", "--ntasks=4")

    def test_mpirun_inside_a_job_stops_and_goes_on_as_srun_does(self):
        self.stop_and_go_on("mpirun", "--nodes=2", "--ntasks=4", launcher="mpirun")

    def test_a_job_may_go_on_with_another_number_of_tasks(self):
        job = self.submit("moved", "--nodes=2", "--ntasks=4")
        self.wait_for_checkpoint("moved")
        self.cluster.run("scancel", job)
        self.assertEqual(self.cluster.wait_for_end(job), "CANCELLED", self.log(job))
        self.assertIn("it is not put back", self.log(job))
        job = self.submit("moved", "--nodes=1", "--ntasks=3")
        self.assertEqual(self.cluster.wait_for_end(job), "COMPLETED", self.log(job))
        self.assertEqual(digest(self.work / "moved"), self.whole, self.log(job))

    def test_a_lost_node_costs_no_more_than_the_steps_since_the_last_checkpoint(self):
        job = self.submit("lost", "--nodes=2", "--ntasks=4")
        self.wait_for_checkpoint("lost")
        lost = self.cluster.nodes_of(job)[1]
        self.cluster.lose_node(lost)
        self.addCleanup(self.cluster.start_node, lost)
        self.cluster.start_again(job, seconds=180)
        self.assertEqual(self.cluster.wait_for_end(job), "COMPLETED", self.log(job))
        self.assertEqual(digest(self.work / "lost"), self.whole, self.log(job))

    def test_ranks_that_outlive_their_lost_node_cannot_harm_the_run_that_took_over(self):
        job = self.submit("zombie", "--nodes=2", "--ntasks=4")
        self.wait_for_checkpoint("zombie")
        # The node of rank 0, which holds the lock and commits checkpoints, and of the batch script, which puts jobs back.
        lost = self.cluster.nodes_of(job)[0]
        self.cluster.lose_node(lost, steps_live_on=True)
        self.addCleanup(self.cluster.start_node, lost)
        self.cluster.start_again(job, seconds=180)
        self.assertEqual(self.cluster.wait_for_end(job), "COMPLETED", self.log(job))
        # Not before: the srun that they belong to would end the step of the same number, which is the new one.
        self.assertGreater(self.cluster.wake_node(lost, patience=20), 0, "ranks that outlived their node")
        self.assertEqual(self.cluster.job(job)["Restarts"], "1", self.log(job))
        self.assertEqual(digest(self.work / "zombie"), self.whole, self.log(job))

    def test_a_mistake_ends_the_job_with_its_exit_code_and_is_not_repeated(self):
        words = ["apr", "--data", self.work / "missing.h5", "--run", self.work / "mistake"]
        job = self.submit("mistake", "--nodes=1", "--ntasks=2", words=words)
        self.assertEqual(self.cluster.wait_for_end(job), "FAILED", self.log(job))
        self.assertEqual(self.cluster.job(job)["ExitCode"], "2:0")
        self.assertEqual(self.cluster.job(job)["Restarts"], "0")
        self.assertIn("missing.h5", self.log(job))

    def test_an_array_trains_one_run_for_each_seed_and_each_goes_on_by_itself(self):
        words = [self.work / "array", *arguments(self.data, "ignored")]
        del words[words.index("--run") : words.index("--run") + 2]
        job = self.submit("array", "--array=1-2", "--nodes=1", "--ntasks=2", script=SEEDS, words=words)
        self.wait_for_checkpoint("array-seed2")
        self.cluster.run("scancel", "--batch", "--signal=USR1", f"{job}_2")
        self.cluster.start_again(f"{job}_2")
        for seed in (1, 2):
            log = (self.work / f"spar-seeds-{job}-{seed}.log").read_text()
            self.assertEqual(self.cluster.wait_for_end(f"{job}_{seed}"), "COMPLETED", log)
        self.assertEqual(digest(self.work / "array-seed1"), self.whole)
        self.assertNotEqual(digest(self.work / "array-seed2"), self.whole)


if __name__ == "__main__":
    unittest.main()
