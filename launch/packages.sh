# shellcheck shell=bash disable=SC2034
# The Debian 12 packages that spar needs, in one place, and how they get onto the machine. Sourced by the other scripts.

spar_build_packages=(
  g++ cmake ninja-build python3
  openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libtbb-dev libeigen3-dev zlib1g-dev
  libcli11-dev libtomlplusplus-dev libfmt-dev nlohmann-json3-dev librandom123-dev libxxhash-dev
  libboost-test-dev
)
spar_test_packages=(
  librapidcheck-dev python3-numpy python3-h5py
  slurmctld slurmd slurm-client munge libpmix2
  clang-format clang-tidy shellcheck
)

# missing_packages NAME...: prints those that are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    # shellcheck disable=SC2016  # ${Status} is dpkg-query's own
    [[ $(dpkg-query --show --showformat='${Status}' "$name" 2>/dev/null) == *"ok installed" ]] || echo "$name"
  done
}

# install_packages NAME...: installs those that are absent, as root or with sudo. SPAR_INSTALL=no leaves the machine alone, for
# places where the tools come from modules; CMake then says what it does not find.
install_packages() {
  [[ ${SPAR_INSTALL:-yes} == no ]] && return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "spar: this machine has no apt-get: install the counterparts of the packages in launch/packages.sh, then call again with SPAR_INSTALL=no" >&2
    return 2
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "spar: these Debian packages are absent, and neither root nor sudo is at hand to install them: ${missing[*]}" >&2
      return 2
    fi
    as_root=(sudo)
  fi
  echo "== installing ${#missing[@]} Debian packages: ${missing[*]}"
  # The lists of a fresh image are empty, those of an old one name files that are gone: both are worth one update.
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq -o Dpkg::Use-Pty=0)
  local log
  log=$(mktemp)
  if ! "${as_root[@]}" "${install[@]}" "${missing[@]}" >"$log" 2>&1; then
    if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}" "${missing[@]}"; } >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      echo "spar: apt-get could not install ${missing[*]}: its words are above" >&2
      return 3
    fi
  fi
  rm -f "$log"
}
