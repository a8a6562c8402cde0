"""Every mistake on the command line gets one sentence on stderr, printed once, and the exit code that scripts rely on."""
import json
import os
import subprocess
import tempfile
import unittest

SPAR = os.environ["SPAR_PROGRAM"]


def run(*words, ranks=0, **options):
    launcher = ["mpirun", "-q", "-n", str(ranks)] if ranks else []
    return subprocess.run([*launcher, SPAR, *words], capture_output=True, text=True, timeout=120, **options)


class Mistakes(unittest.TestCase):
    def refused(self, sentence, *words, code=2):
        for ranks in (0, 1, 3):
            with self.subTest(words=words, ranks=ranks):
                result = run(*words, ranks=ranks)
                self.assertEqual(result.stderr, f"spar: error: {sentence}\n")
                self.assertEqual(result.returncode, code)
                self.assertEqual(result.stdout, "")

    def test_unknown_verb(self):
        self.refused("unknown verb sytems: did you mean spar systems?", "sytems")
        self.refused("unknown verb quux: spar help lists the verbs", "quux")

    def test_unknown_option(self):
        self.refused("spar systems: unknown option --jsn: did you mean --json? (see spar systems --help)", "systems", "--jsn")

    def test_missing_and_wrong_arguments(self):
        self.refused("spar completion: SHELL is missing (see spar completion --help)", "completion")
        self.refused("spar completion SHELL csh: it must be one of bash, zsh, fish", "completion", "csh")

    def test_unknown_system(self):
        self.refused("unknown system arp: did you mean apr?", "systems", "arp")

    def test_unknown_setting(self):
        self.refused("unknown setting adversary.epsilom: did you mean adversary.epsilon?", "settings", "adversary.epsilom")

    def test_a_system_without_a_paper(self):
        self.refused("popularity has no paper to cite", "systems", "popularity", "--bibtex")

    def test_results_that_cannot_be_written_are_a_failure_of_the_environment(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.path.join(folder, "d.h5")
            run("synth", "--users", "211", "--items", "397", "--interactions", "2003", "--to", data)
            trained = ["--run", os.path.join(folder, "run"), "--data", data, "--progress", "none"]
            self.assertEqual(run("train", "popularity", *trained).returncode, 0)
            for words in (("systems", "apr"), ("inspect", data), ("recommend", trained[1], "--top", "300"), ("plan", "apr", "--data", data, "--ranks", "2")):
                with self.subTest(words=words), open("/dev/full", "w") as full:
                    result = subprocess.run([SPAR, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
                    self.assertEqual(result.returncode, 3)
                    self.assertEqual(result.stderr, "spar: error: standard output cannot be written: is its disk full?\n")


class Launchers(unittest.TestCase):
    def test_a_failure_that_one_rank_has_alone_ends_the_others_who_wait_for_it(self):
        program = os.path.join(os.path.dirname(SPAR), "tests", "mpi_cli")
        result = subprocess.run(["mpirun", "-q", "-n", "3", program, "--run_test=program/a_failure_that_one_rank_has_alone"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        sentence = "spar: error: an index on purpose, of a test; this is a bug in spar, please report it\n"
        self.assertEqual(result.stderr.count(sentence), 1, result.stderr)

    def test_n_singles_are_refused_with_the_remedy_by_the_first_of_them(self):
        for rank, speaks in (("0", True), ("1", False)):
            environment = {**os.environ, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": rank}
            result = run("systems", env=environment)
            self.assertEqual(result.returncode, 3)
            self.assertEqual(result.stdout, "")
            if speaks:
                self.assertRegex(result.stderr, r"^spar: error: started as 4 processes, but MPI sees 1: use srun --mpi=pmix, "
                                                r"or the mpirun of Open MPI [0-9.]+, with which spar was built\n$")
            else:
                self.assertEqual(result.stderr, "")


class Results(unittest.TestCase):
    def test_results_are_printed_once_under_mpirun(self):
        alone = run("systems", "--json")
        together = run("systems", "--json", ranks=3)
        self.assertEqual(alone.returncode, 0)
        self.assertEqual(together.returncode, 0)
        self.assertEqual(alone.stdout, together.stdout)

    def test_systems_json_has_name_family_and_inputs(self):
        systems = json.loads(run("systems", "--json").stdout)
        names = ["popularity", "bpr-mf", "mf", "apr", "gmf", "mlp", "neumf", "vbpr", "amr", "sasrec", "gru4rec", "mult-vae", "mult-dae", "cdae", "acae",
                 "autorec", "pitf", "atf", "pat", "fncf"]
        self.assertEqual([system["name"] for system in systems], names)
        for system in systems:
            self.assertTrue(system["family"])
            self.assertEqual(system["inputs"][0], "interactions")

    def test_every_verb_explains_itself(self):
        listing = run("help").stdout
        for line in listing.split("\n\n")[1].splitlines()[1:]:
            verb = line.split()[0]
            if verb == "help":
                continue
            result = run(verb, "--help")
            self.assertEqual(result.returncode, 0, verb)
            self.assertIn(f"spar {verb}", result.stdout)
            self.assertIn("\nexamples\n", result.stdout)
            self.assertEqual(result.stdout, run("help", verb).stdout)

    def test_a_printed_recipe_is_a_recipe(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("popularity", "bpr-mf", "apr", "apr-published"):
                text = run("systems", name, "--recipe").stdout
                self.assertTrue(text.startswith('system = "'), name)
                self.assertIn("[evaluate]\n", text)
                for line in text.splitlines():
                    self.assertLessEqual(len(line), 140, line)


if __name__ == "__main__":
    unittest.main()
