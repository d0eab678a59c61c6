#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test.sh PROGRAM: the server as a stranger meets it: slow readers, half-close, abrupt ends; and its own client, which
# ends its half, and reads little by little.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 "$here/../../tests/docs/echo_client" "$1"

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
"$1" "$work/cert.pem" "$work/key.pem" >"$work/out" &
server=$!
until grep -q port "$work/out"; do
    kill -0 "$server" 2>/dev/null || exit 1
    sleep 0.05
done
port=$(sed -n 's/^port //p' "$work/out")
[[ $("$1" client "$work/cert.pem" "$port" 300000 100) == "300000 bytes came back"* ]]
# A certificate that nobody trusts.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout /dev/null \
    -out "$work/other.pem" 2>/dev/null
! "$1" client "$work/other.pem" "$port" 1 2>"$work/err" || exit 1
grep -q 'alert unknown_ca, sent' "$work/err" || { cat "$work/err"; exit 1; }
kill -TERM "$server"
wait "$server"
server=
