#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The example asks itself: PACKAGE is the folder of the package, MILGI_ADDON the addon.
set -euo pipefail
out=$(node "$(dirname "$0")/main.js")
want='TLSv1.3 TLS_AES_128_GCM_SHA256
2000000 bytes came back
HTTP/1.1 200 OK'
[ "$out" = "$want" ] || { printf 'unexpected:\n%s\n' "$out"; exit 1; }
