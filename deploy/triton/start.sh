#!/usr/bin/env bash
# Verifies a model repository and starts Triton on it: gRPC on 8001, health on 8000, metrics on 8002. Further arguments go to
# tritonserver. Works for both kinds of repository: without engines no GPU is needed.
#
# usage: start.sh <repository> [tritonserver's options]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/engines.sh"

repository=$(repository_folder "${1-}")
shift
# Through bash: scripts mounted from a config map are not executable.
bash "$here/verify-engines.sh" "$repository"
options=(
  "--model-repository=$repository"
  # Serve exactly what is configured: no auto-completion, no partial start.
  --disable-auto-complete-config
  --model-control-mode=none
  --exit-on-error=true
  --strict-readiness=true
  # Triton reads a plan into memory as a whole: one at a time needs the largest, not all.
  --model-load-thread-count=1
  # FusionFrames' clients ping every 20 seconds; with its defaults Triton would answer GOAWAY.
  --grpc-http2-min-recv-ping-interval-without-data=10000
  # Lets current requests finish; a step takes seconds.
  --exit-timeout-secs=60
)
[[ -n $(engine_folders "$repository") ]] || options+=(--allow-gpu-metrics=false)
exec tritonserver "${options[@]}" "$@"
