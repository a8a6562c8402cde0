# shellcheck shell=bash disable=SC2154
# Configures and builds spar with the preset "release". Sourced by the other scripts, which set `root` to the repository.

# configure_spar: CMake's words are shown only where it fails.
configure_spar() {
  local options=() log
  command -v ccache >/dev/null && options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  log=$(mktemp)
  if ! (cd "$root" && cmake --preset release "${options[@]}") >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 3
  fi
  rm -f "$log"
}

# build_spar TARGET...: builds the targets with one job for each processor, but no more than memory allows (1.5 GB a compiler).
build_spar() {
  local jobs by_memory
  jobs=$(nproc)
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)
  ((by_memory < jobs)) && jobs=$((by_memory > 0 ? by_memory : 1))
  echo "== building in build/release, $jobs jobs"
  configure_spar
  cmake --build "$root/build/release" -j "$jobs" --target "$@"
}
