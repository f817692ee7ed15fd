#!/usr/bin/env bash
# Checks that the engines of a model repository may be loaded here: compiled by this TensorRT, for this GPU, from the
# graph and weights that lie beside them, and whole. Lists every fault and ends with 1 when there is any.
#
# usage: verify-engines.sh <repository>
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/engines.sh"

repository=$(repository_folder "${1-}")
mapfile -t folders < <(engine_folders "$repository")
if ((${#folders[@]} == 0)); then
  echo "$repository: no engines, nothing to verify"
  exit 0
fi
version=$(tensorrt_version)
capability=$(compute_capability)
sound=true
for folder in "${folders[@]}"; do
  name=$(basename "$(dirname "$folder")")
  faults=$(engine_faults "$folder" "$version" "$capability")
  if [[ -n $faults ]]; then
    sound=false
    while read -r fault; do
      printf '%s: %s\n' "$name" "$fault" >&2
    done <<<"$faults"
  else
    echo "$name: TensorRT $version, compute capability $capability, hashes as written"
  fi
done
$sound || fail "$repository: not loaded"
