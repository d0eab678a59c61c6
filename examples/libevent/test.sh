#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test.sh PROGRAM: curl meets the example: one request, several on a connection, a body both ways, a client that goes.
set -euo pipefail
for needed in curl openssl; do
    command -v "$needed" >/dev/null || { echo "no $needed here"; exit 77; }
done
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
"$1" "$work/cert.pem" "$work/key.pem" >"$work/out" 2>"$work/err" &
server=$!
until grep -q port "$work/out"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/err"; exit 1; }
    sleep 0.05
done
port=$(sed -n 's/^port //p' "$work/out")
url=https://localhost:$port
ask() { curl -sS --noproxy '*' --max-time 50 --cacert "$work/cert.pem" --resolve "localhost:$port:127.0.0.1" "$@"; }

[ "$(ask "$url/")" = "127.0.0.1 asks by protocol 0304" ]
[ "$(ask "$url/one" "$url/two" -w '%{num_connects} ' | tr -d '\n')" = \
    "127.0.0.1 asks by protocol 03041 127.0.0.1 asks by protocol 03040 " ]
head -c 1000000 /dev/urandom >"$work/sent"
ask --data-binary "@$work/sent" -o "$work/got" "$url/echo"
cmp "$work/sent" "$work/got"

# Not HTTPS, and clients that go away, are nobody else's concern.
if curl -sS --noproxy '*' --max-time 50 "http://localhost:$port/" -o /dev/null 2>/dev/null; then
    echo "served in the clear"
    exit 1
fi
ask --limit-rate 1000 --max-time 0.3 --data-binary "@$work/sent" -o /dev/null "$url/" 2>/dev/null || true
[ "$(ask -H 'Connection: close' "$url/")" = "127.0.0.1 asks by protocol 0304" ]

kill -TERM "$server"
wait "$server" # and nothing is left, as sanitizers say
server=
if [ -s "$work/err" ]; then
    cat "$work/err"
    exit 1
fi
