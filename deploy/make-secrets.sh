#!/usr/bin/env bash
# Makes what compose.yaml's `secrets` name, unless it is there: a random password for the database, and the address with it.
#
# usage: make-secrets.sh [folder]
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}
[[ -f $folder/database-url ]] && exit
# The folder keeps strangers out; the files have to be readable for the users that the containers run as.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
password=$(head --bytes 24 /dev/urandom | od --address-radix n --format x1 | tr -d ' \n')
printf %s "$password" >"$folder/database-password"
printf 'postgres://fusionframes:%s@postgres:5432/fusionframes' "$password" >"$folder/database-url"
