# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as exceptions.

Error               all of them; an OSError, as ssl's are
  UsageError        a setting, file or key of ours: the text says which and what to do (a ValueError, too)
  CertificateError  the peer's certificate was not accepted
  AlertError        the peer has sent a fatal alert: it is what it did not like
  TransportError    the connection below has failed (a ConnectionError, too)
    ResetError      it was reset (a ConnectionResetError)
    TruncatedError  it has ended without the peer's close_notify: what was read may not be all (a ConnectionResetError)
  LimitError        too long, too much, too many
  DeviceError       the device that has the private key could not sign
"""

import errno

from ._native import ffi, lib


def text(pointer):
    return ffi.string(pointer).decode("utf-8", "replace") if pointer else None


def cstring(value, encoding="utf-8"):
    """As C has it: what is behind a NUL would not be seen there."""
    value = value if isinstance(value, bytes) else value.encode(encoding)
    if b"\0" in value:
        raise UsageError("%r: there is a NUL in it" % value)
    return value


class Error(OSError):
    """.reason is the text for people, .code a negative MILGI_E* and .name its name, .alert the name of the alert that
    was sent, or received if .alert_from_peer; None: there was none."""

    def __init__(self, message, *, code=0, reason=None, alert=None, alert_from_peer=False, device_code=0):
        super().__init__(message)
        self.strerror = message  # which is what others print of an OSError
        self.code = code
        self.name = text(lib.milgi_error_name(code))
        self.reason = reason or message
        self.alert = alert
        self.alert_from_peer = alert_from_peer
        self.device_code = device_code


class UsageError(Error, ValueError):
    pass


class CertificateError(Error):
    pass


class AlertError(Error):
    pass


class TransportError(Error, ConnectionError):
    pass


class TruncatedError(TransportError, ConnectionResetError):
    pass


class ResetError(TransportError, ConnectionResetError):
    pass


class LimitError(Error):
    pass


class DeviceError(Error):
    pass


# By enum milgi_error_class: none, usage, closed, io, peer, proto, auth, device, limit, local.
_CLASSES = (Error, UsageError, Error, TransportError, AlertError, Error, Error, DeviceError, LimitError, UsageError)


def of_reason(reason):
    """The exception for why a connection has ended, or None: it has ended in order."""
    if not reason.error:
        return None
    kind = _CLASSES[reason.cls] if 0 <= reason.cls < len(_CLASSES) else Error
    kind = {lib.MILGI_EVERIFY: CertificateError, lib.MILGI_ETRUNCATED: TruncatedError}.get(reason.error, kind)
    if reason.error == lib.MILGI_ETRANSPORT and reason.device_code == errno.ECONNRESET:
        kind = ResetError
    alert = None if reason.alert == lib.MILGI_ALERT_NONE else text(lib.milgi_alert_name(reason.alert))
    detail = text(reason.detail) or text(lib.milgi_error_text(reason.error))
    message = "%s: %s" % (text(lib.milgi_error_text(reason.error)), detail)
    if reason.cls == 7 and reason.device_code:
        code = lib.milgi_device_code_text(reason.device_code)
        message += " (%s)" % (text(code) if code else "code %d" % reason.device_code)
    if alert:
        message += " [alert %s %s]" % (alert, "received" if reason.alert_from_peer else "sent")
    return kind(message, code=reason.error, reason=detail, alert=alert, alert_from_peer=reason.alert_from_peer,
                device_code=reason.device_code)


def check(code, what="", problem=None):
    """Raises UsageError if |code| is one of failure."""
    if code >= 0:
        return code
    said = text(problem.text) if problem and problem.error else ""
    reason = said or text(lib.milgi_error_text(code))
    kind = {lib.MILGI_ELIMIT: LimitError, lib.MILGI_ENOMEM: LimitError}.get(code, UsageError)
    raise kind(("%s %s" if said else "%s: %s") % (what, reason) if what else reason, code=code, reason=reason)
