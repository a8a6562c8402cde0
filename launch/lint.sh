#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over the sources: names and bugs, warnings are errors.
#
#   launch/lint.sh                every source of the program
#   launch/lint.sh --changed      those that differ from the branch main
#   launch/lint.sh FILE...        these
#
# It reads the compile commands of build/release (or of $SPAR_BUILD), and installs what is absent as launch/test.sh does.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$root"
# shellcheck source=launch/packages.sh
source launch/packages.sh
# shellcheck source=launch/build.sh
source launch/build.sh
build=${SPAR_BUILD:-build/release}

case ${1:-} in
  --changed) mapfile -t sources < <(git diff --name-only --diff-filter=d main -- 'src/*.cpp' 'data_tools/*.cpp') ;;
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  '') mapfile -t sources < <(find src data_tools -name '*.cpp' | sort) ;;
  *) sources=("$@") ;;
esac
if ((${#sources[@]} == 0)); then
  echo "lint: nothing to look at"
  exit 0
fi

install_packages "${spar_build_packages[@]}" clang-tidy
[[ -e $build/compile_commands.json ]] || configure_spar
echo "== clang-tidy over ${#sources[@]} files"
# The options of g++ that clang does not know are no fault of the sources.
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build" \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument 2> >(grep -v 'warnings\? generated' >&2)
echo "== clang-tidy found nothing"
