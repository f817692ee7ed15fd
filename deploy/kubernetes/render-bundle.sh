#!/usr/bin/env bash
# Renders what a release publishes: manifests that name its image, for clusters without this repository.
#
# usage: render-bundle.sh <image> <folder>
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ $# -eq 2 && $1 == *:* ]] || { echo "usage: render-bundle.sh <image with tag> <folder>" >&2; exit 1; }
image=$1
target=$2
mkdir -p "$target"
for part in overlays/laptop overlays/production overlays/example overlays/kandinsky-video-1.1 models-volume models models-1.1; do
  name=${part##*/}
  kubectl kustomize "$here/$part" | sed -E "s#(image: )([^ ]*/)?fusionframes:[^ ]+#\1$image#" >"$target/$name.yaml"
done
cp "$here/../observability/alerts.yaml" "$here/../observability/dashboard.json" "$target/"
