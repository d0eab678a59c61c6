#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tunnels over several devices, and a network that loses order, doubles and forges between their ends: test.py.
exec python3 "$(dirname "$0")/test.py" "$1"
