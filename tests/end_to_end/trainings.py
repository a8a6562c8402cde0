"""What the tests of whole trainings share: a scratch folder with data, runs of the program, and looks at what they leave."""
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

SPAR = os.environ["SPAR_PROGRAM"]
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
        return sha256(to)

    def parts(self, name, checkpoint):
        """The checksums of what a checkpoint holds, without what tells how it came about."""
        found = list((self.place(name) / "checkpoints").glob(checkpoint + "*/part*"))
        self.assertTrue(found, f"{name} has no {checkpoint}")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

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
        """Of the checkpoints that count: what a kill left in the middle of a save or a deletion does not."""
        found = [re.fullmatch(r"epoch-(\d+)-step-\d+(\.replaced-[0-9a-f]+)?", path.name) for path in (self.place(name) / "checkpoints").iterdir()]
        return max(int(match.group(1)) for match in found if match)

    def rows(self, name, epoch=None):
        """The bytes of the tables of a checkpoint, which hold no time and no place."""
        return self.parts(name, f"epoch-{epoch or self.newest_epoch(name):06d}-step-000000")

    def losses(self, name):
        return [line["losses"] for line in lines_so_far(self.place(name)) if line["event"] == "epoch"]

    def goes_on_elsewhere(self, system, epoch, *common):
        """Stopped by a signal on four ranks after `epoch`, a run goes on on three and on one to the bytes of a run that never stopped."""
        job = self.started(system, "stopped", *common, *settings(train__epochs=1000000), ranks=4)
        self.wait_for(job, f"epoch {epoch}", lambda: any(line["event"] == "epoch" and line["epoch"] >= epoch for line in lines_so_far(self.place("stopped"))))
        job.send_signal(signal.SIGUSR1)
        _, errors = job.communicate(timeout=PATIENCE)
        self.assertEqual(job.returncode, 75, errors)
        epochs = self.newest_epoch("stopped") + 2
        self.train(system, "whole", *common, *settings(train__epochs=epochs))
        for ranks in (3, 1):
            copy = f"stopped-on-{ranks}"
            shutil.copytree(self.place("stopped"), self.place(copy))
            self.train(system, copy, *common, *settings(train__epochs=epochs), ranks=ranks)
            self.assertEqual(self.rows(copy, epochs), self.rows("whole", epochs), copy)
