"""What a killed import or synth leaves behind is gone after the next one with the same target, which says so; nothing else is touched."""
import re
import signal
import subprocess
import time
import unittest

from trainings import PATIENCE, Scratch, command, done


class Leftovers(Scratch):
    LONG = ("synth", "--users", 400000, "--items", 20000, "--interactions", 8000000)

    def partials(self, target):
        return sorted(path.name for path in target.parent.iterdir() if re.fullmatch(re.escape(target.name) + r"\.partial-[0-9a-f]{16}", path.name))

    def until(self, condition, job):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertIsNone(job.poll(), "it ended before it could be killed")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)

    def killed_synth(self, target):
        job = subprocess.Popen(command(*self.LONG, "--to", target), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, job)
        self.until(lambda: self.partials(target), job)
        job.kill()
        job.wait()
        self.assertEqual(len(self.partials(target)), 1)
        return target.parent / self.partials(target)[0]

    def test_the_next_synth_removes_it_on_any_number_of_ranks(self):
        for ranks in (0, 3):
            with self.subTest(ranks=ranks):
                target = self.place(f"killed-{ranks}.h5")
                left = self.killed_synth(target)
                result = done("synth", "--users", 211, "--items", 97, "--interactions", 2003, "--to", target, ranks=ranks)
                self.assertRegex(result.stdout, rf"(?m)^note: removed {re.escape(str(left))} \([0-9.]+ MB\), which a killed program had left$")
                self.assertEqual(self.partials(target), [])
                self.assertTrue(target.exists())

    def test_the_next_import_and_split_remove_it(self):
        target = self.place("imported.h5")
        rows = self.place("rows.csv")
        rows.write_text("".join(f"{k % 50},{k % 37}\n" for k in range(1850)))
        for words in (("import", "delimited", rows), ("split", self.data)):
            with self.subTest(verb=words[0]):
                left = self.killed_synth(target)
                result = done(*words, "--to", target)
                self.assertRegex(result.stdout, rf"(?m)^note +removed {re.escape(str(left))} \(")
                self.assertEqual(self.partials(target), [])

    def test_signals_that_end_a_synth_leave_nothing(self):
        for ranks in (0, 2):
            for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if ranks == 0 else (signal.SIGINT, signal.SIGTERM):
                with self.subTest(signal=asked.name, ranks=ranks):
                    target = self.place(f"ended-{asked.name}-{ranks}.h5")
                    job = subprocess.Popen(command(*self.LONG, "--to", target, ranks=ranks), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    self.addCleanup(self.end, job)
                    self.until(lambda target=target: self.partials(target), job)
                    job.send_signal(asked)
                    job.communicate(timeout=PATIENCE)
                    self.assertNotEqual(job.returncode, 0)
                    self.assertEqual([path.name for path in target.parent.iterdir() if path.name.startswith(target.name)], [])

    def test_one_that_is_still_being_written_stays(self):
        target = self.place("busy.h5")
        job = subprocess.Popen(command(*self.LONG, "--to", target),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, job)
        self.until(lambda: self.partials(target), job)
        job.send_signal(signal.SIGSTOP)
        busy = self.partials(target)
        result = done("synth", "--users", 211, "--items", 97, "--interactions", 2003, "--to", target)
        self.assertNotIn("removed", result.stdout)
        self.assertEqual(self.partials(target), busy)
        job.send_signal(signal.SIGCONT)
        job.communicate(timeout=PATIENCE)
        self.assertEqual(job.returncode, 0)


if __name__ == "__main__":
    unittest.main()
