#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Renews the certificate while the example serves, breaks it, kills a worker; inline and with a device of threads.
set -euo pipefail
example=$1
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT

certificate() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$work/key.new" -out "$work/cert.new" 2>/dev/null
    mv "$work/key.new" "$work/key.pem"
    mv "$work/cert.new" "$work/cert.pem"
}

# The example echoes a line, and its certificate has this NAME.
shows() { # NAME
    # s_client ends with its input, whether the echo has come or not
    { printf 'through a worker\n' && sleep 0.5; } | timeout 20 openssl s_client -connect "127.0.0.1:$port" -CAfile "$work/trusted.pem" \
        -verify_return_error -quiet -no_ign_eof >"$work/out" 2>"$work/err" || return 1
    grep -q "CN *= *$1\$" "$work/err" && grep -q 'through a worker' "$work/out"
}

eventually() { # COMMAND...
    local tries=0
    until "$@"; do
        if [ $((tries += 1)) -gt 100 ]; then
            echo "not true: $*" >&2
            cat "$work/log" "$work/err" >&2
            exit 1
        fi
        sleep 0.1
    done
}

reloads() { [ "$(grep -c reloaded "$work/log")" -ge "$1" ]; }
told() { grep -q "$1" "$work/log"; }
workers() { pgrep -P "$pid" || true; }
two_workers() { [ "$(workers | wc -l)" = 2 ]; }

for device in cpu pool:2; do
    certificate first
    cp "$work/cert.pem" "$work/trusted.pem"
    : >"$work/log"
    "$example" "$work/cert.pem" "$work/key.pem" $device >"$work/log" 2>&1 &
    pid=$!
    eventually told '^port'
    port=$(sed -n 's/^port //p' "$work/log")
    eventually shows first
    certificate second
    cat "$work/cert.pem" >>"$work/trusted.pem"
    kill -HUP "$pid"
    eventually reloads 1
    eventually two_workers
    eventually shows second
    echo garbage >"$work/cert.pem"
    kill -HUP "$pid"
    eventually told 'cert.pem'
    eventually shows second
    kill -KILL "$(workers | head -n 1)"
    eventually told 'has died'
    eventually two_workers
    eventually shows second
    all=$(workers)
    kill -TERM "$pid"
    wait "$pid"
    pid=
    for worker in $all; do
        ! kill -0 "$worker" 2>/dev/null
    done
    echo "$device: renewed, refused what was broken, replaced who died"
done
python3 "$(cd "$(dirname "$0")" && pwd)/../../tests/docs/echo_client" "$example"
