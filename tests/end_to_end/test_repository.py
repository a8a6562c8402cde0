"""What holds for the source tree as a whole: the order of the layers, self-contained headers, format, scripts, links."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ.get("SPAR_SOURCE", pathlib.Path(__file__).parents[2])).resolve()
GENERATED = {"build", "data", "runs", ".git", "__pycache__"}
LONGEST_FILE = 450
# Longer files, each with the reason why it is better whole.
LONG_FILES = {
    # One harness that judges every method, ball and scope.
    "tests/systems/mpi_attack.cpp": 480,
}
HEAVY = re.compile(r"#include\s*<(Eigen|toml\+\+|CLI|nlohmann|tbb)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def files(*patterns):
    found = []
    for folder, inner, names in os.walk(SOURCE):
        at = pathlib.Path(folder)
        inner[:] = [name for name in inner if not (at == SOURCE and name in GENERATED) and name != "__pycache__"]
        found += [at / name for name in names if any(pathlib.PurePath(name).match(pattern) for pattern in patterns)]
    return sorted(found)


def name_of(path):
    return str(path.relative_to(SOURCE))


def parts():
    """The layers from the bottom up, as CMakeLists.txt declares them."""
    return re.findall(r"^spar_part\((\w+)", (SOURCE / "CMakeLists.txt").read_text(), re.MULTILINE)


def part_of(path):
    pieces = path.relative_to(SOURCE).parts
    if pieces[0] == "data_tools":
        return "data_tools"
    if pieces[0] == "src":
        return pieces[1]
    if pieces[:2] == ("include", "spar"):
        return pieces[2]
    return None


def part_of_include(name):
    pieces = name.split("/")
    if pieces[0] == "spar" and len(pieces) > 2:
        return pieces[1]
    return "data_tools" if pieces[0] == "data_tools" else None


def sources(*patterns):
    return [path for path in files(*patterns) if part_of(path) is not None]


class Layers(unittest.TestCase):
    def test_every_folder_of_the_source_is_a_declared_part(self):
        declared = set(parts())
        for folder in [SOURCE / "src", SOURCE / "include" / "spar"]:
            found = {each.name for each in folder.iterdir() if each.is_dir()}
            self.assertEqual(found - declared, set(), f"{name_of(folder)} has folders that CMakeLists.txt does not declare")

    def test_a_part_includes_only_itself_and_parts_above_it(self):
        height = {part: k for k, part in enumerate(parts())}
        wrong = []
        for path in sources("*.hpp", "*.cpp"):
            own = part_of(path)
            for _, included in INCLUDE.findall(path.read_text()):
                other = part_of_include(included)
                if other is not None and height[other] > height[own]:
                    wrong.append(f"{name_of(path)} ({own}) includes {included}")
                if ".." in included.split("/"):
                    wrong.append(f"{name_of(path)} leaves its folder by {included}")
        self.assertEqual(wrong, [])

    def test_only_comm_includes_mpi_and_only_in_its_sources(self):
        wrong = []
        for path in sources("*.hpp", "*.cpp"):
            if any(included == "mpi.h" for _, included in INCLUDE.findall(path.read_text())):
                if path.relative_to(SOURCE).parts[:2] != ("src", "comm"):
                    wrong.append(name_of(path))
        self.assertEqual(wrong, [])

    def test_heavy_headers_stay_in_sources(self):
        wrong = [name_of(path) for path in sources("*.hpp") if HEAVY.search(path.read_text())]
        self.assertEqual(wrong, [], "headers that make every file that includes them slow to compile")


class Files(unittest.TestCase):
    def test_no_file_is_too_long_to_read(self):
        for path in sources("*.hpp", "*.cpp") + [each for each in files("*.hpp", "*.cpp", "*.py") if "tests" in each.parts]:
            lines = path.read_text().count("\n")
            allowed = LONG_FILES.get(name_of(path), LONGEST_FILE)
            self.assertLessEqual(lines, allowed, f"{name_of(path)}: split it by its ideas")

    def test_headers_guard_themselves_and_names_are_snake_case(self):
        for path in files("*.hpp", "*.cpp"):
            self.assertRegex(path.name, r"^[a-z0-9_]+\.[ch]pp$")
            if path.suffix == ".hpp":
                self.assertTrue(path.read_text().startswith("#pragma once\n"), f"{name_of(path)} starts with #pragma once")

    def test_texts_have_no_trailing_blanks_tabs_or_foreign_line_ends(self):
        for path in files("*.hpp", "*.cpp", "*.py", "*.sh", "*.sbatch", "*.cmake", "CMakeLists.txt", "*.toml", "spar-run"):
            for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
                self.assertNotRegex(line, rb"[ \t\r]$|\t", f"{name_of(path)}:{number}")

    def test_nothing_is_left_for_later(self):
        unfinished = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
        for path in files("*.hpp", "*.cpp", "*.py", "*.sh", "*.sbatch", "*.cmake", "CMakeLists.txt", "*.md", "spar-run"):
            match = unfinished.search(path.read_text())
            self.assertIsNone(match, f"{name_of(path)}: {match and match.group()}")

    def test_no_merge_was_left_half_done(self):
        marker = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
        for path in files("*.hpp", "*.cpp", "*.py", "*.sh", "*.sbatch", "*.cmake", "CMakeLists.txt", "*.toml", "*.md", "spar-run"):
            self.assertIsNone(marker.search(path.read_text()), name_of(path))

    def test_links_between_pages_lead_somewhere(self):
        for path in files("*.md"):
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
                if "://" in target or target.startswith("mailto:"):
                    continue
                self.assertTrue((path.parent / target).exists(), f"{name_of(path)} links to {target}")


class Targets(unittest.TestCase):
    def build(self, target):
        build = os.environ.get("SPAR_BUILD")
        if not build:
            self.skipTest("SPAR_BUILD names no build directory")
        done = subprocess.run(
            ["cmake", "--build", build, "--target", target], capture_output=True, text=True, errors="replace"
        )
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-6000:])

    def test_every_header_compiles_alone(self):
        self.build("spar_headers")

    def test_the_benchmarks_build(self):
        self.build("spar_bench")


class Tools(unittest.TestCase):
    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed: see launch/packages.sh")

    def test_the_format_is_that_of_clang_format(self):
        self.need("clang-format")

        def check(path):
            done = subprocess.run(
                ["clang-format", "--dry-run", "-Werror", str(path)], capture_output=True, text=True, cwd=SOURCE
            )
            return None if done.returncode == 0 else name_of(path)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            wrong = [name for name in pool.map(check, files("*.hpp", "*.cpp")) if name]
        self.assertEqual(wrong, [], "clang-format -i mends these")

    def test_scripts_pass_shellcheck(self):
        self.need("shellcheck")
        scripts = files("*.sh", "*.sbatch", "spar-run") + [SOURCE / ".ci" / "run"]
        done = subprocess.run(["shellcheck", "-x", *map(str, scripts)], capture_output=True, text=True, cwd=SOURCE)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_python_scripts_compile(self):
        for path in files("*.py"):
            compile(path.read_text(), name_of(path), "exec")


if __name__ == "__main__":
    unittest.main()
