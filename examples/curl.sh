#!/bin/sh
# Creates a video, waits for it and downloads it. Usage: curl.sh [prompt] [file]
set -eu
url=${FUSIONFRAMES_URL:-http://127.0.0.1:8080}
prompt=${1:-a large red circle moving left on a navy background}
file=${2:-video.mp4}

api() {
  curl -sS --fail-with-body ${FUSIONFRAMES_API_KEY:+-H "authorization: Bearer $FUSIONFRAMES_API_KEY"} "$@"
}

# A text field of a JSON object.
field() {
  sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'
}

# --form-string, because -F reads a file if the value begins with @ or <.
video=$(api "$url/v1/videos" --form-string "prompt=$prompt" -F seed=7 -F frame_rate=low) || {
  echo "$video" >&2
  exit 1
}
id=$(echo "$video" | field id)
echo "video $id"

status=queued
while [ "$status" = queued ] || [ "$status" = in_progress ]; do
  # The stream ends with the video, or when the server restarts.
  api -N "$url/v1/videos/$id/events" >/dev/null || sleep 1
  video=$(api "$url/v1/videos/$id")
  status=$(echo "$video" | field status)
done

if [ "$status" != completed ]; then
  echo "$video" >&2
  exit 1
fi
api "$url/v1/videos/$id/content" -o "$file"
echo "$file"
