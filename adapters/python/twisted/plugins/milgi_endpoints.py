# SPDX-License-Identifier: Apache-2.0
"""serverFromString() and clientFromString(): "milgi:..."."""

from milgi.tx import ClientParser, ServerParser

milgi_server = ServerParser()
milgi_client = ClientParser()
