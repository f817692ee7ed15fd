#!/usr/bin/env bash
# Compiles the engines of a model repository for this machine's GPU, with the installed TensorRT, and writes a manifest beside
# each one. Engines that are up to date are skipped; kernels that were timed before are not timed again. Run it inside Triton's
# container.
#
# usage: build-engines.sh <repository>
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/engines.sh"

repository=$(repository_folder "${1-}")
trtexec=$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)
[[ -x $trtexec ]] || fail "trtexec is neither on PATH nor at $trtexec: run this inside Triton's container"
version=$(tensorrt_version)
capability=$(compute_capability)
# Beside the models, so that it is kept with them; another TensorRT or GPU has its own.
timing_cache=$repository/timing-$version-$capability.cache

write_manifest() {
  local folder=$1 file
  {
    printf 'tensorrt %s\n' "$version"
    printf 'compute_capability %s\n' "$capability"
    sed -n 's/^# precision /precision /p; s/^# profile /profile /p; s/^--/argument --/p' "$folder/trtexec.args"
    for file in model.plan $(engine_sources "$folder"); do
      printf 'sha256 %s %s\n' "$(sha256_of "$folder/$file")" "$file"
    done
  } >"$folder/$manifest_name.part"
  mv "$folder/$manifest_name.part" "$folder/$manifest_name"
}

compile() {
  local folder=$1 arguments
  [[ -f $folder/model.onnx && -f $folder/trtexec.args ]] || fail "$folder: model.onnx or trtexec.args is missing"
  mapfile -t arguments < <(grep '^--' "$folder/trtexec.args")
  # Never leave a manifest next to an engine it does not describe.
  rm -f "$folder/$manifest_name"
  "$trtexec" "--onnx=$folder/model.onnx" "--saveEngine=$folder/model.plan.part" "--timingCacheFile=$timing_cache" \
    --skipInference "${arguments[@]}" ||
    fail "$folder: trtexec failed"
  [[ -s $folder/model.plan.part ]] || fail "$folder: trtexec wrote no engine"
  mv "$folder/model.plan.part" "$folder/model.plan"
  write_manifest "$folder"
}

mapfile -t folders < <(engine_folders "$repository")
((${#folders[@]} > 0)) || fail "$repository: no model has backend \"tensorrt\""
trap 'rm -f "${folders[@]/%//model.plan.part}" "${folders[@]/%//$manifest_name.part}"' EXIT
checked=$(sed -n 's/^# operators //p' "${folders[@]/%//trtexec.args}" | sort -u | paste -sd ' ')
if [[ -n $checked && $version != "$checked".* ]]; then
  echo "graphs were checked against the operators of TensorRT $checked; here is $version, which may support others" >&2
fi
for folder in "${folders[@]}"; do
  name=$(engine_name "$folder")
  if [[ -z $(engine_faults "$folder" "$version" "$capability") ]]; then
    echo "$name: up to date"
  else
    echo "$name: compiling for compute capability $capability with TensorRT $version"
    compile "$folder"
    echo "$name: $(stat -c %s "$folder/model.plan") bytes"
  fi
done
