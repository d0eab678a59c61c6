# SPDX-License-Identifier: Apache-2.0
"""The interoperability harness: Milgi's command against other TLS implementations."""
