#!/usr/bin/env bash
# Checks that the models of a repository can be loaded here. Engines must be complete and compiled by this TensorRT, for this
# GPU, from the graph and weights beside them. Models without an engine must have the graph and weights they were built with.
# Lists every fault, and exits with 1 if there is any. With the address of a server that has loaded the repository, it then
# compares the server's numbers with those that `fusionframes models build` recorded; this needs the program, on PATH or as
# $FUSIONFRAMES.
#
# usage: verify-engines.sh <repository> [host:port]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/engines.sh"

repository=$(repository_folder "${1-}")
mapfile -t folders < <(engine_folders "$repository")
mapfile -t portable < <(portable_folders "$repository")
sound=true

# Arguments: the model's name, its faults, and the message if there are none.
report() {
  local fault
  if [[ -z $2 ]]; then
    echo "$1: $3"
    return
  fi
  sound=false
  while read -r fault; do
    printf '%s: %s\n' "$1" "$fault" >&2
  done <<<"$2"
}

if ((${#folders[@]} > 0)); then
  version=$(tensorrt_version)
  capability=$(compute_capability)
  for folder in "${folders[@]}"; do
    faults=$(engine_faults "$folder" "$version" "$capability")
    report "$(engine_name "$folder")" "$faults" \
      "TensorRT $version, compute capability $capability, hashes as written"
  done
fi
for folder in ${portable[@]+"${portable[@]}"}; do
  faults=$(manifest_faults "$folder")
  report "$(basename "$folder")" "$faults" 'no engine, hashes as written'
done
$sound || fail "$repository: not loaded"
if [[ -n ${2-} ]]; then
  "${FUSIONFRAMES:-fusionframes}" models verify "$repository" --address "$2" --wait "${WAIT_SECONDS:-600}" ||
    fail "$2: numbers not verified"
fi
