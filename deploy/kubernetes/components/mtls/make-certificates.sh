#!/usr/bin/env bash
# Certificates for mTLS without cert-manager: writes two authorities and a certificate per service into a folder, named as in
# components/mtls, and the secrets as a manifest for kubectl. Run again on the same folder, it keeps the authorities and issues
# new certificates, which running services reload. The folder holds the authorities' keys: keep it private.
#
# usage: make-certificates.sh <folder> [namespace]
#        kubectl apply --filename <folder>/secrets.yaml
set -euo pipefail
umask 077
folder=${1:?usage: make-certificates.sh <folder> [namespace]}
namespace=${2:-fusionframes}
days=90
stages=("$(dirname "${BASH_SOURCE[0]}")"/../../base/stages/*/)
stages=("${stages[@]%/}")
stages=("${stages[@]##*/}")
mkdir -p "$folder"

key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

authority() {
  [[ -f $folder/$1-ca.key ]] && return
  key "$folder/$1-ca.key"
  openssl req -x509 -new -key "$folder/$1-ca.key" -days 3650 -subj "/CN=fusionframes $1" \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign -out "$folder/$1-ca.crt"
}

# usage: certificate <service> <authority> <DNS name>...
certificate() {
  local service=$1 authority=$2 names
  shift 2
  names=$(printf ',DNS:%s' "$@")
  key "$folder/$service.key"
  openssl req -new -key "$folder/$service.key" -subj "/CN=$service" -out "$folder/$service.csr"
  openssl x509 -req -in "$folder/$service.csr" -CA "$folder/$authority-ca.crt" -CAkey "$folder/$authority-ca.key" \
    -days "$days" -out "$folder/$service.crt" -extfile <(
      echo "subjectAltName=URI:spiffe://fusionframes/$service$names"
      echo 'basicConstraints=critical,CA:false'
      echo 'keyUsage=critical,digitalSignature'
      echo 'extendedKeyUsage=serverAuth,clientAuth'
    ) 2>/dev/null
  rm "$folder/$service.csr"
}

# usage: secret <name> <key> <file> [<key> <file>]
secret() {
  echo "---
apiVersion: v1
kind: Secret
metadata:
  name: $1
  namespace: $namespace
data:"
  shift
  while (($# > 0)); do
    echo "  $1: $(base64 <"$2" | tr -d '\n')"
    shift 2
  done
}

authority mesh
authority stages
certificate gateway mesh gateway "gateway.$namespace"{,.svc,.svc.cluster.local}
certificate inference mesh "${stages[@]/%/-backend}"
certificate verifier stages verifier
for stage in "${stages[@]}"; do
  certificate "$stage" stages "$stage"
  certificate "$stage-backend" mesh "$stage-backend"
done
for authority in mesh stages; do
  secret "$authority-ca" tls.crt "$folder/$authority-ca.crt"
done >"$folder/secrets.yaml"
for service in gateway inference verifier "${stages[@]}" "${stages[@]/%/-backend}"; do
  secret "$service-tls" tls.crt "$folder/$service.crt" tls.key "$folder/$service.key"
done >>"$folder/secrets.yaml"
