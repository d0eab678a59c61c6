#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example against `milgi keyserver`, which has a key that the example has not.
set -euo pipefail
program=$(realpath "$1")
milgi=$(dirname "$program")/milgi
[ -x "$milgi" ] || { echo "no milgi command in this build: not tested"; exit 0; }
work=$(mktemp -d)
trap 'kill ${server:-} 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2 2>/dev/null
for name in server client www; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.pem \
        -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:$name") 2>/dev/null
done
"$milgi" keyserver --listen 127.0.0.1:0 --cert server.pem --key server.key --client-ca ca.pem \
    --sign-cert www.pem --sign-key www.key >out &
server=$!
until grep -q listening out; do sleep 0.05; kill -0 $server; done
"$program" "$(sed -n 's/listening on //p' out)" ca.pem client.pem client.key www.pem | tee said
grep -qx 'CN=www signs: 1 request(s), 1 server(s) up' said
kill $server
wait $server
