#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The example as a stranger meets it: slow readers, half-close, abrupt ends. PYTHONPATH has the package, PYTHON runs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec "%s" "%s/main.py" "$@"\n' "${PYTHON:-/usr/bin/python3}" "$here" >"$work/server"
chmod +x "$work/server"
"${PYTHON:-/usr/bin/python3}" "$here/main.py" --try
exec python3 "$here/../../tests/docs/echo_client" "$work/server"
