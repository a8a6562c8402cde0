"""launch/: the wrapper around mpirun, the quick start's words, downloads. A shell script stands in for spar."""

import fcntl
import hashlib
import importlib.util
import os
import pathlib
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import unittest
import zipfile

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2])).resolve()
SPAR_RUN = str(SOURCE / "launch" / "spar-run")
CORES = len(os.sched_getaffinity(0))


def clean_environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "SPAR_", "SLURM_", "PMIX_"))}
    return {**kept, **more}


@unittest.skipIf(shutil.which("mpirun") is None, "mpirun is not installed")
class SparRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def stand_in(self, *lines):
        path = self.folder / "spar"
        path.write_text("#!/bin/bash\n" + "\n".join(lines) + "\n")
        path.chmod(0o755)
        return clean_environment(SPAR_PROGRAM=str(path))

    def call(self, environment, *words, **options):
        return subprocess.run(
            [SPAR_RUN, *map(str, words)], env=environment, capture_output=True, text=True, timeout=120, **options
        )

    def test_every_rank_gets_the_arguments_as_they_were_written(self):
        environment = self.stand_in("IFS='|'", 'echo "$*"')
        for ranks in (1, 2):
            done = self.call(environment, "-n", ranks, "train", "two words", "--set", "a='x y'")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.splitlines(), ["train|two words|--set|a='x y'"] * ranks)

    def test_the_exit_code_is_that_of_the_ranks_and_comes_at_once(self):
        for code in (0, 2, 3, 4, 75):
            environment = self.stand_in(f"exit {code}")
            started = time.monotonic()
            self.assertEqual(self.call(environment, "-n", 2, "train").returncode, code)
            self.assertLess(time.monotonic() - started, 20)
            self.assertEqual(self.call(environment, "train").returncode, code)

    def test_more_ranks_than_cores_are_said_and_only_then_oversubscribed(self):
        environment = self.stand_in('echo "over=$OMPI_MCA_rmaps_base_oversubscribe"')
        done = self.call(environment, "-n", CORES + 1, "train")
        self.assertEqual(done.stdout.splitlines(), ["over=1"] * (CORES + 1), done.stderr)
        self.assertIn(f"{CORES + 1} ranks share", done.stderr)

    @unittest.skipIf(CORES < 2, "one core only")
    def test_as_many_ranks_as_cores_are_not_oversubscribed(self):
        done = self.call(self.stand_in('echo "over=$OMPI_MCA_rmaps_base_oversubscribe"'), "-n", 2, "train")
        self.assertEqual(done.stdout.splitlines(), ["over="] * 2, done.stderr)
        self.assertEqual(done.stderr, "")

    def test_root_is_allowed_only_when_root_calls(self):
        done = self.call(self.stand_in('echo "root=$OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"'), "-n", 2, "--mpirun", "--oversubscribe", "x")
        self.assertEqual(done.stdout.splitlines(), ["root=" + ("1" if os.geteuid() == 0 else "")] * 2, done.stderr)

    def test_standard_input_reaches_rank_zero(self):
        done = self.call(self.stand_in('if [[ $OMPI_COMM_WORLD_RANK == 0 ]]; then cat; fi'), "-n", 2, "import", input="1 2\n3 4\n")
        self.assertEqual(done.stdout, "1 2\n3 4\n")

    def test_mistakes_get_one_sentence_and_exit_code_2(self):
        environment = self.stand_in("exit 0")
        cases = [
            (["-n", "two", "train"], "spar-run: -n two: the number of ranks is a positive integer"),
            (["-n"], "spar-run: -n needs a value"),
            (["--data", "x"], "spar-run: unknown option --data: options of spar come after the verb (launch/spar-run --help)"),
            (["--hostfile", "/nowhere", "train"], "spar-run: the host file /nowhere cannot be read"),
        ]
        for words, sentence in cases:
            done = self.call(environment, *words)
            self.assertEqual((done.returncode, done.stderr), (2, sentence + "\n"))
        done = self.call({**environment, "SPAR_PROGRAM": "/nowhere/spar"}, "train")
        self.assertEqual((done.returncode, done.stderr), (2, "spar-run: SPAR_PROGRAM=/nowhere/spar is no program\n"))

    def in_terminal(self, environment, ranks, presses):
        """Presses Ctrl-C `presses` times in a terminal of 117 columns; what was shown, and the exit code."""
        process, terminal = pty.fork()
        if process == 0:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 117, 0, 0))
            os.execve(SPAR_RUN, [SPAR_RUN, "-n", str(ranks), "--mpirun", "--oversubscribe", "train"], environment)
        shown, pressed, deadline = "", 0, time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    block = os.read(terminal, 4096)
                except OSError:
                    break
                if not block:
                    break
                shown += block.decode(errors="replace")
            if shown.count("ready") == ranks and pressed < presses and shown.count("asked") == (ranks if pressed else 0):
                os.write(terminal, b"\x03")
                pressed += 1
        _, status = os.waitpid(process, 0)
        return shown, os.waitstatus_to_exitcode(status)

    # Waits without child processes, which the signal would reach as well. Leaves a moment after it was asked, as ranks do that meet
    # in a last barrier.
    WAITING = [
        "exec 9<> <(:)",
        "trap 'echo asked; asked=1' USR1",
        'echo "ready $$ $SPAR_TERMINAL"',
        "for k in {1..300}; do",
        "  read -r -t 0.1 -u 9",
        '  if [[ -n $asked && -z $STUBBORN ]]; then read -r -t 0.5 -u 9; exit 75; fi',
        "done",
    ]

    def test_ctrl_c_reaches_the_ranks_as_sigusr1_and_they_choose_when_to_leave(self):
        shown, code = self.in_terminal(self.stand_in(*self.WAITING), 2, 1)
        self.assertEqual(code, 75, shown)
        self.assertEqual(shown.count("asked"), 2, shown)

    def test_a_second_ctrl_c_leaves_at_once_and_leaves_no_rank_behind(self):
        shown, code = self.in_terminal({**self.stand_in(*self.WAITING), "STUBBORN": "1"}, 2, 2)
        self.assertEqual(code, 130, shown)
        for line in shown.splitlines():
            if line.startswith("ready"):
                self.assertFalse(os.path.exists(f"/proc/{line.split()[1]}/exe"), shown)

    def test_ranks_learn_the_width_of_the_terminal(self):
        shown, _ = self.in_terminal(self.stand_in(*self.WAITING), 2, 1)
        self.assertRegex(shown, r"ready \d+ 117")

    def test_a_terminated_wrapper_stops_its_ranks_after_a_checkpoint(self):
        process = subprocess.Popen(
            [SPAR_RUN, "-n", "2", "--mpirun", "--oversubscribe", "train"],
            env=self.stand_in(*self.WAITING),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2):
            self.assertIn("ready", process.stdout.readline())
        process.terminate()
        self.assertEqual(process.communicate(timeout=60)[0].count("asked"), 2)
        self.assertEqual(process.returncode, 75)


class Packages(unittest.TestCase):
    def install(self, *programs, **environment):
        """install_packages of a package that cannot exist, with these programs only on the path, as a user without rights."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            for name in programs:
                os.symlink(shutil.which(name), pathlib.Path(folder) / name)
            user = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
            # As text: that user may not look into the folder of the repository.
            script = (SOURCE / "launch" / "packages.sh").read_text() + "install_packages no-such-package-of-debian"
            return subprocess.run(
                [*user, "bash", "-c", f"PATH={folder}; {script}"],
                env=clean_environment(**environment),
                capture_output=True,
                text=True,
            )

    @unittest.skipIf(shutil.which("apt-get") is None, "not a Debian")
    def test_without_root_and_sudo_the_missing_packages_are_named(self):
        done = self.install("apt-get", "dpkg-query")
        sentence = "spar: these Debian packages are absent, and neither root nor sudo is at hand to install them: no-such-package-of-debian\n"
        self.assertEqual((done.returncode, done.stderr), (2, sentence))

    def test_other_systems_learn_where_the_list_is(self):
        done = self.install()
        self.assertEqual(done.returncode, 2)
        self.assertIn("this machine has no apt-get: install the counterparts of the packages in launch/packages.sh", done.stderr)

    def test_a_user_may_keep_the_machine_as_it_is(self):
        self.assertEqual(self.install(SPAR_INSTALL="no").returncode, 0)


class QuickStart(unittest.TestCase):
    def sentence(self, *words):
        done = subprocess.run(
            [str(SOURCE / "launch" / "quickstart.sh"), *words], env=clean_environment(), capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 2)
        return done.stderr

    def test_a_wrong_data_set_or_path_is_said_before_anything_is_installed(self):
        self.assertEqual(self.sentence("ml-10m"), "quickstart: unknown data set ml-10m: choose synthetic or ml-100k\n")
        self.assertEqual(self.sentence("ml-100k", "/nowhere"), "quickstart: there is no folder /nowhere\n")
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.sentence("ml-100k", folder), f"quickstart: {folder} holds no u.data (or u.data.gz), the ratings of MovieLens-100k\n")


class Fetch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        specification = importlib.util.spec_from_file_location("fetch", SOURCE / "data_tools" / "fetch.py")
        self.fetch = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.fetch)
        self.archive = self.folder / "toy.zip"
        with zipfile.ZipFile(self.archive, "w") as packed:
            packed.writestr("toy/u.data", "1\t2\t3\t4\n")
        self.publish(hashlib.md5(self.archive.read_bytes()).hexdigest(), hashlib.sha256(b"1\t2\t3\t4\n").hexdigest())

    def publish(self, md5, sha256):
        self.fetch.DATA_SETS["toy"] = self.fetch.DataSet(self.archive.as_uri(), md5, {"toy/u.data": sha256})

    def test_a_download_is_unpacked_once(self):
        to = self.folder / "data" / "toy"
        self.assertTrue(self.fetch.fetch("toy", to))
        self.assertEqual((to / "u.data").read_text(), "1\t2\t3\t4\n")
        self.archive.unlink()
        self.assertFalse(self.fetch.fetch("toy", to))

    def test_a_changed_archive_or_file_is_refused_and_nothing_is_kept(self):
        to = self.folder / "data" / "toy"
        self.publish("0" * 32, None)
        with self.assertRaisesRegex(self.fetch.FetchError, "has MD5 .* but its owner publishes 0{32}: nothing was kept"):
            self.fetch.fetch("toy", to)
        self.publish(hashlib.md5(self.archive.read_bytes()).hexdigest(), "0" * 64)
        with self.assertRaisesRegex(self.fetch.FetchError, "toy/u.data in .* its SHA-256 differs"):
            self.fetch.fetch("toy", to)
        self.assertEqual(list((self.folder / "data").iterdir()), [])

    def test_an_owner_out_of_reach_is_said_with_the_way_out(self):
        self.archive.unlink()
        with self.assertRaisesRegex(self.fetch.FetchError, "cannot be downloaded .*name the folder instead"):
            self.fetch.fetch("toy", self.folder / "toy")


if __name__ == "__main__":
    unittest.main()
