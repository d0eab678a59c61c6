#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example as a stranger meets it: slow readers, half-close, abrupt ends; and told to end again while it ends.
set -euo pipefail
python3 "$(cd "$(dirname "$0")" && pwd)/../../tests/docs/echo_client" "$1"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
for _ in 1 2 3; do
    : >"$work/out" # or what the one before has said is read
    "$1" "$work/cert.pem" "$work/key.pem" >"$work/out" &
    server=$!
    until grep -q port "$work/out"; do
        kill -0 "$server" 2>/dev/null || exit 1
        sleep 0.05
    done
    for ((i = 0; i < 3000; i++)); do
        kill -TERM "$server" 2>/dev/null || break
    done
    status=0
    wait "$server" || status=$?
    [ "$status" = 0 ] || [ "$status" = 143 ] || { echo "told to end again it ended with $status"; exit 1; }
done
