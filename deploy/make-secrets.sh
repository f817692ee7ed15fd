#!/usr/bin/env bash
# Creates the files named under `secrets` in compose.yaml unless they exist: a random database password and the URL with it.
#
# usage: make-secrets.sh [folder]
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}
[[ -f $folder/database-url ]] && exit
# The folder's mode keeps other users out; the files must be readable by the users the containers run as.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
password=$(head --bytes 24 /dev/urandom | od --address-radix n --format x1 | tr -d ' \n')
printf %s "$password" >"$folder/database-password"
printf 'postgres://fusionframes:%s@postgres:5432/fusionframes' "$password" >"$folder/database-url"
