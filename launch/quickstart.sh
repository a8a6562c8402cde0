#!/usr/bin/env bash
# From a fresh clone to an adversarially trained recommender, attacked and measured: launch/quickstart.sh --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/quickstart.sh [synthetic | ml-100k [PATH]]

Installs the Debian packages that are absent, builds spar, takes a data set, trains apr on two ranks, evaluates it on the
test split, clean and attacked, and prints where everything lies. A second call goes on where the first one was.

  synthetic       the default: a catalogue that spar makes itself; nothing is downloaded but Debian packages
  ml-100k         MovieLens-100k, from PATH (a folder with u.data or u.data.gz), else from $SPAR_DATA/ml-100k, else downloaded
                  from its owner, files.grouplens.org, and checked

Environment: SPAR_RANKS (default 2), SPAR_INSTALL=no (leave the machine's packages alone).
TEXT
}

fail() {
  echo "quickstart: $1" >&2
  exit 2
}

choice=${1:-synthetic}
case $choice in
  -h | --help)
    usage
    exit 0
    ;;
  synthetic) (($# <= 1)) || fail "synthetic takes no path" ;;
  ml-100k) (($# <= 2)) || fail "ml-100k takes one path" ;;
  *) fail "unknown data set $choice: choose synthetic or ml-100k" ;;
esac
path=${2:-}
ranks=${SPAR_RANKS:-2}
if [[ -n $path ]]; then
  [[ -d $path ]] || fail "there is no folder $path"
  [[ -e $path/u.data || -e $path/u.data.gz ]] || fail "$path holds no u.data (or u.data.gz), the ratings of MovieLens-100k"
  path=$(readlink -f "$path")
fi

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$root"
# shellcheck source=launch/packages.sh
source launch/packages.sh
# shellcheck source=launch/build.sh
source launch/build.sh

install_packages "${spar_build_packages[@]}"
build_spar spar
spar=build/release/spar

mkdir -p data runs
data=data/$choice.h5
if [[ ! -e $data ]]; then
  echo "== making $data"
  case $choice in
    synthetic) "$spar" synth --users 6000 --items 3000 --interactions 300000 --seed 1 --to "$data" ;;
    ml-100k)
      if [[ -z $path && -n ${SPAR_DATA:-} && -d $SPAR_DATA/ml-100k ]]; then path=$SPAR_DATA/ml-100k; fi
      if [[ -z $path ]]; then
        path=data/download/ml-100k
        python3 data_tools/fetch.py ml-100k --to "$path"
      fi
      "$spar" import movielens "$path" --to "$data"
      ;;
  esac
fi

run=runs/quickstart-$choice
echo "== training apr on $ranks ranks; Ctrl-C once stops after a checkpoint, and the same command goes on"
launch/spar-run -n "$ranks" train apr --data "$data" --run "$run" \
  --set train.epochs=60 --set game.pretrain_epochs=40 --set train.seed=1

echo "== clean"
launch/spar-run -n "$ranks" evaluate "$run" --metrics hr,ndcg --cutoffs 10,100
echo "== attacked"
launch/spar-run -n "$ranks" attack "$run" --method fgm --epsilon 0.5,1
cat <<TEXT
== where everything lies
program     $root/$spar
data        $root/$data
run         $root/$run   (recipe.toml, log.jsonl, checkpoints/, results/)
next        launch/spar-run recommend $run --top 10
            $spar systems
TEXT
