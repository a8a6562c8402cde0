# shellcheck shell=bash disable=SC2154
# Configures and builds spar with the preset "release". Sourced by quickstart.sh and test.sh, which set `root` to the repository.

# build_spar TARGET...: builds the targets with one job for each processor, but no more than memory allows (1.5 GB a compiler).
build_spar() {
  local jobs by_memory
  jobs=$(nproc)
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)
  ((by_memory < jobs)) && jobs=$((by_memory > 0 ? by_memory : 1))
  local options=()
  command -v ccache >/dev/null && options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  # Debian's own Python has the modules that the tests use; another one in front of it on the path may not.
  [[ -x /usr/bin/python3 ]] && options+=(-DPython3_EXECUTABLE=/usr/bin/python3)
  echo "== building in build/release, $jobs jobs"
  local log
  log=$(mktemp)
  if ! (cd "$root" && cmake --preset release "${options[@]}") >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 3
  fi
  rm -f "$log"
  cmake --build "$root/build/release" -j "$jobs" --target "$@"
}
