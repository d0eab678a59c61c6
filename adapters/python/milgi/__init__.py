# SPDX-License-Identifier: Apache-2.0
"""TLS whose crypto is asynchronous: milgi.aio for asyncio, milgi.tx for Twisted. See README.md beside this package."""

from ._native import ffi as _ffi, lib as _lib
from .context import Certificate, Context, Credential, Session, Trust
from .errors import (AlertError, CertificateError, DeviceError, Error, LimitError, ResetError, TransportError,
                     TruncatedError, UsageError)

__all__ = ["AlertError", "Certificate", "CertificateError", "Context", "Credential", "DeviceError", "Error",
           "LimitError", "ResetError", "Session", "TransportError", "TruncatedError", "Trust", "UsageError"]
__version__ = _ffi.string(_lib.milgi_version()).decode()
