#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example with a throwaway certificate: openssl s_client gets the file as it is, twice, and its end.
set -euo pipefail
example=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
head -c 3000000 /dev/urandom >"$work/file"
mkfifo "$work/stdin"
"$example" "$work/cert.pem" "$work/key.pem" "$work/file" <"$work/stdin" >"$work/said" &
server=$!
exec 9>"$work/stdin"
until grep -q port "$work/said"; do kill -0 $server; sleep 0.05; done
port=$(sed -n 's/port //p' "$work/said")
for _ in 1 2; do
    openssl s_client -quiet -connect "127.0.0.1:$port" -CAfile "$work/cert.pem" -verify_return_error \
        </dev/null >"$work/got" 2>"$work/err" || { cat "$work/err"; exit 1; }
    cmp "$work/file" "$work/got"
done
exec 9>&-
wait $server
[ "$(grep -c 'sealed by the' "$work/said")" = 2 ]
cat "$work/said"
