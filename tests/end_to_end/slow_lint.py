"""clang-tidy over every source: names and bugs (.clang-tidy)."""

import os
import pathlib
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2])).resolve()


class Lint(unittest.TestCase):
    @unittest.skipIf(shutil.which("clang-tidy") is None, "clang-tidy is not installed: see launch/packages.sh")
    def test_clang_tidy_finds_nothing(self):
        environment = {**os.environ, "SPAR_INSTALL": "no"}
        done = subprocess.run([str(SOURCE / "launch" / "lint.sh")], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-8000:] + done.stderr[-2000:])


if __name__ == "__main__":
    unittest.main()
