#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test: launch/test.sh --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/test.sh [--quick | --slow] [-- options of ctest]

  --quick   leaves out the tests labelled slow
  --slow    runs only those

Environment: SPAR_DATA names a folder with public data sets; tests that need one are skipped, and say so, where it is absent.
SPAR_INSTALL=no leaves the machine's packages alone.
TEXT
}

select=()
while (($#)); do
  case $1 in
    --quick) select=(--label-exclude '^slow$') ;;
    --slow) select=(--label-regex '^slow$') ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *)
      echo "test: unknown option $1" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift
done

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$root"
# shellcheck source=launch/packages.sh
source launch/packages.sh
# shellcheck source=launch/build.sh
source launch/build.sh

install_packages "${spar_build_packages[@]}" "${spar_test_packages[@]}"
build_spar all
echo "== testing"
exec ctest --test-dir build/release --output-on-failure --no-tests=error --parallel "$(nproc)" "${select[@]}" "$@"
