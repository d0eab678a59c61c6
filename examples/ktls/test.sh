#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example with a throwaway certificate: openssl s_client gets the file as it is, twice, and its end; so does a client that
# says its own end first and then reads slowly; and a file that has become shorter is not told as a whole one.
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
python3 "$(dirname "$0")/slow.py" "$port" "$work/cert.pem" >"$work/got"
cmp "$work/file" "$work/got"
truncate -s 1000000 "$work/file"
! openssl s_client -quiet -connect "127.0.0.1:$port" -CAfile "$work/cert.pem" </dev/null >"$work/got" 2>"$work/err" || {
    echo "a part of the file came as if it were all"
    exit 1
}
grep -q 'alert internal error' "$work/err" || { cat "$work/err"; exit 1; }
exec 9>&-
wait $server
[ "$(grep -c 'sealed by the' "$work/said")" = 4 ]
cat "$work/said"
