#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example as a stranger meets it: slow readers, half-close, abrupt ends.
set -euo pipefail
exec python3 "$(cd "$(dirname "$0")" && pwd)/../../tests/docs/echo_client" "$1"
