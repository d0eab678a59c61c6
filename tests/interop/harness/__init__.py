# SPDX-License-Identifier: Apache-2.0
"""The interoperability harness: Milgi's command against other TLS implementations."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
