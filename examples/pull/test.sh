#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the example with a throwaway certificate, inline and with a device of threads.
set -euo pipefail
example=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
for device in cpu pool:2; do
    "$example" "$work/cert.pem" "$work/key.pem" "$work/cert.pem" $device
done
