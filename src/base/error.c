/* SPDX-License-Identifier: Apache-2.0 */
/* The texts and classes of the public error codes. */
#include <milgi/error.h>

#include "base/base.h"

struct entry {
    int code;
    enum milgi_error_class cls;
    const char *name, *text;
};

static const struct entry errors[] = {
    { 0, MILGI_CLASS_NONE, "0", "ok" },
#define MILGI_X(name, value, cls, text) { name, cls, #name, text },
    MILGI_ERRORS(MILGI_X)
#undef MILGI_X
};

static const struct entry unknown = { 0, MILGI_CLASS_LOCAL, "unknown", "unknown error" };

static const struct entry *find(int error)
{
    for (size_t i = 0; i < MILGI__COUNT(errors); i++) {
        if (errors[i].code == error)
            return &errors[i];
    }
    return &unknown;
}

const char *milgi_error_text(int error)
{
    return find(error)->text;
}

const char *milgi_error_name(int error)
{
    return find(error)->name;
}

enum milgi_error_class milgi_error_class(int error)
{
    return find(error)->cls;
}

const char *milgi_alert_name(int alert)
{
    switch (alert) {
    case MILGI_ALERT_CLOSE_NOTIFY: return "close_notify";
    case MILGI_ALERT_UNEXPECTED_MESSAGE: return "unexpected_message";
    case MILGI_ALERT_BAD_RECORD_MAC: return "bad_record_mac";
    case MILGI_ALERT_RECORD_OVERFLOW: return "record_overflow";
    case MILGI_ALERT_HANDSHAKE_FAILURE: return "handshake_failure";
    case MILGI_ALERT_BAD_CERTIFICATE: return "bad_certificate";
    case MILGI_ALERT_UNSUPPORTED_CERTIFICATE: return "unsupported_certificate";
    case MILGI_ALERT_CERTIFICATE_REVOKED: return "certificate_revoked";
    case MILGI_ALERT_CERTIFICATE_EXPIRED: return "certificate_expired";
    case MILGI_ALERT_CERTIFICATE_UNKNOWN: return "certificate_unknown";
    case MILGI_ALERT_ILLEGAL_PARAMETER: return "illegal_parameter";
    case MILGI_ALERT_UNKNOWN_CA: return "unknown_ca";
    case MILGI_ALERT_ACCESS_DENIED: return "access_denied";
    case MILGI_ALERT_DECODE_ERROR: return "decode_error";
    case MILGI_ALERT_DECRYPT_ERROR: return "decrypt_error";
    case MILGI_ALERT_PROTOCOL_VERSION: return "protocol_version";
    case MILGI_ALERT_INSUFFICIENT_SECURITY: return "insufficient_security";
    case MILGI_ALERT_INTERNAL_ERROR: return "internal_error";
    case MILGI_ALERT_INAPPROPRIATE_FALLBACK: return "inappropriate_fallback";
    case MILGI_ALERT_USER_CANCELED: return "user_canceled";
    case MILGI_ALERT_NO_RENEGOTIATION: return "no_renegotiation";
    case MILGI_ALERT_MISSING_EXTENSION: return "missing_extension";
    case MILGI_ALERT_UNSUPPORTED_EXTENSION: return "unsupported_extension";
    case MILGI_ALERT_UNRECOGNIZED_NAME: return "unrecognized_name";
    case MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE: return "bad_certificate_status_response";
    case MILGI_ALERT_UNKNOWN_PSK_IDENTITY: return "unknown_psk_identity";
    case MILGI_ALERT_CERTIFICATE_REQUIRED: return "certificate_required";
    case MILGI_ALERT_NO_APPLICATION_PROTOCOL: return "no_application_protocol";
    case MILGI_ALERT_NONE: return "none";
    default: return "unknown";
    }
}
