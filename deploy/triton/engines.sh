# shellcheck shell=bash
# Shared by the scripts in this folder. Sourced, never run.

# The file that records what an engine was compiled from, and for which GPU.
# shellcheck disable=SC2034
manifest_name=engine.manifest

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# The repository named on the command line, as an absolute path.
repository_folder() {
  [[ -n ${1-} ]] || fail "no model repository given; usage: ${0##*/} <repository>"
  [[ -d $1 ]] || fail "$1: no such folder; 'fusionframes models build <preset> --target tensorrt' makes one"
  (cd "$1" && pwd)
}

# Version folders of the models that TensorRT serves, one per line.
engine_folders() {
  local config version
  for config in "$1"/*/config.pbtxt; do
    if [[ -f $config ]] && grep -q '^backend: "tensorrt"$' "$config"; then
      printf '%s\n' "${config%/config.pbtxt}/1"
      for version in "${config%/config.pbtxt}"/*/trtexec.args; do
        [[ $version == */1/trtexec.args || ! -f $version ]] || printf '%s\n' "${version%/trtexec.args}"
      done
    fi
  done
}

# The model of a version folder, with the version if it is not the first.
engine_name() {
  local model=${1%/*}
  model=${model##*/}
  [[ ${1##*/} == 1 ]] && printf '%s\n' "$model" || printf '%s\n' "$model/${1##*/}"
}

# Version of the TensorRT library that programs here are linked with, such as 10.13.2.
tensorrt_version() {
  local libraries library
  libraries=$(ldconfig -p) || fail "ldconfig -p failed: no way to tell TensorRT's version"
  library=$(awk '$1 ~ /^libnvinfer\.so\.[0-9]+$/ { print $NF; exit }' <<<"$libraries")
  [[ -n $library ]] || fail "libnvinfer is not installed: run this inside Triton's container"
  library=$(readlink -f "$library")
  printf '%s\n' "${library##*.so.}"
}

# Compute capability of this machine's GPUs, such as 9.0; all must be the same.
compute_capability() {
  local found
  found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader) || fail "nvidia-smi sees no GPU here"
  found=$(sort -u <<<"$found")
  [[ $found =~ ^[0-9]+\.[0-9]+$ ]] || fail "GPUs of one compute capability expected, found: ${found//$'\n'/, }"
  printf '%s\n' "$found"
}

# The files an engine depends on, in its folder: graph, weights, arguments. One file name per line.
engine_sources() {
  local file
  for file in "$1"/*; do
    case ${file##*/} in
      model.plan | "$manifest_name" | *.part | '*') ;;
      *) printf '%s\n' "${file##*/}" ;;
    esac
  done
}

# Prints each fault of the engine in a version folder on its own line; nothing if it can be loaded.
# Arguments: the folder, TensorRT's version and the compute capability here.
engine_faults() {
  local folder=$1 manifest=$1/$manifest_name key value name file
  if [[ ! -f $folder/model.plan || ! -f $manifest ]]; then
    echo "there is no engine; build-engines.sh compiles it"
    return
  fi
  local -A hashes=() given=()
  while read -r key value name; do
    given[$key]=1
    case $key in
      tensorrt) [[ $value == "$2" ]] || echo "the engine is of TensorRT $value, here is $2" ;;
      compute_capability) [[ $value == "$3" ]] || echo "the engine is for compute capability $value, here is $3" ;;
      sha256) hashes[$name]=$value ;;
    esac
  done <"$manifest"
  if [[ -z ${given[tensorrt]-} || -z ${given[compute_capability]-} || -z ${hashes[model.plan]-} ]]; then
    echo "$manifest_name is incomplete"
  fi
  while read -r file; do
    if [[ -z ${hashes[$file]-} ]]; then
      echo "$file has come since the engine was compiled"
    elif [[ $(sha256_of "$folder/$file") != "${hashes[$file]}" ]]; then
      echo "$file is not what $manifest_name says"
    fi
  done < <(engine_sources "$folder" && echo model.plan)
}

# Folders of the models that are served without an engine and have a manifest, one per line.
portable_folders() {
  local config
  for config in "$1"/*/config.pbtxt; do
    if [[ -f ${config%/*}/manifest.json ]] && ! grep -q '^backend: "tensorrt"$' "$config"; then
      printf '%s\n' "${config%/*}"
    fi
  done
}

# Prints each file of a model that differs from its manifest on its own line; a fault of the manifest itself if it is cut
# off or not as 'fusionframes models build' writes it, because then files might be missing from it.
manifest_faults() {
  local folder=$1 name hash entries
  if ! grep -qE '"(sources|sha256)"' "$folder/manifest.json" && [[ $(tail -c 2 "$folder/manifest.json") == *[]}] ]]; then
    # Another program's.
    return
  fi
  if ! entries=$(manifest_entries "$folder/manifest.json"); then
    echo "manifest.json is damaged, or not as 'fusionframes models build' writes it"
    return
  fi
  while read -r hash name; do
    if [[ ! -f $folder/$name ]]; then
      echo "$name is missing"
    elif [[ $(sha256_of "$folder/$name") != "$hash" ]]; then
      echo "$name is not what manifest.json says"
    fi
  done <<<"$entries"
}

# Prints hash and name of each file of a manifest; fails unless it is whole and lists at least one.
manifest_entries() {
  awk -F '"' '
    function is_hash(text) { return length(text) == 64 && text !~ /[^0-9a-f]/ }
    NR == 1 && /^[{]$/ { place = "manifest"; next }
    place == "manifest" && /^  "files": [{]$/ { place = "files"; next }
    place == "manifest" && /^  "[a-z]+": ("[^"\\]*"|[0-9]+),?$/ { next }
    place == "manifest" && /^  "(loras|versions)": [[{]$/ { place = "facts"; next }
    place == "facts" && /^    / { next }
    place == "facts" && /^  []}],?$/ { place = "manifest"; next }
    place == "manifest" && /^[}]$/ { place = "end"; next }
    place == "files" && /^    "[^"\\]+": [{]$/ { place = "file"; name = $2; hash = ""; next }
    place == "files" && /^  [}],?$/ { place = "manifest"; next }
    place == "file" && /^      "bytes": [0-9]+,?$/ { next }
    place == "file" && /^      "sha256": "[^"]*",?$/ && is_hash($4) { hash = $4; next }
    place == "file" && /^    [}],?$/ && hash != "" { place = "files"; count++; print hash, name; next }
    { place = "damage"; exit }
    END { exit !(place == "end" && count > 0) }' "$1"
}

sha256_of() {
  local line
  line=$(sha256sum "$1")
  printf '%s\n' "${line%% *}"
}
