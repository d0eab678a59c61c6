#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example as a stranger meets it: slow readers, half-close, abrupt ends; on the CPU and with a cryptodev.
set -euo pipefail
meet=$(cd "$(dirname "$0")" && pwd)/../../tests/docs/echo_client
"$meet" "$1"
"$meet" "$1" dpdk:vdev=crypto_aesni_mb,memory=16m
