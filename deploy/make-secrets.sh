#!/usr/bin/env bash
# Creates the files named under `secrets` in compose.yaml unless they exist: a random database password, the URL with it, and
# the first API key.
#
# usage: make-secrets.sh [folder]
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}
# The folder's mode keeps other users out; the files must be readable by the users the containers run as.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
hex() { head --bytes "$1" /dev/urandom | od --address-radix n --format x1 | tr -d ' \n'; }
if [[ ! -f $folder/database-url ]]; then
  password=$(hex 24)
  printf %s "$password" >"$folder/database-password"
  printf 'postgres://fusionframes:%s@postgres:5432/fusionframes' "$password" >"$folder/database-url"
fi
if [[ ! -f $folder/api-key ]]; then
  # The form that `fusionframes keys generate` prints.
  printf 'ff_%s_%s' "$(hex 6)" "$(head --bytes 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')" >"$folder/api-key"
fi
