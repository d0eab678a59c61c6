#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example as a stranger meets it: slow readers, half-close, abrupt ends. It listens a moment after it has told its
# port; echo_client tries again until then.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/../../tests/docs/echo_client" "$1"
