"""Kills, signals, hung ranks and full disks cost nothing but the steps since the last checkpoint, and no bit."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from trainings import PATIENCE, Scratch, command, done, lines_so_far, log_of, settings, sha256


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
            self.assertEqual(sha256(self.place("full-export")), self.reference("roomy", epochs))
        finally:
            subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    unittest.main()
