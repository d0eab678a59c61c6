/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: one list of codes, each with the class that says what the caller can do about it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MILGI_API __attribute__((visibility("default")))
#define MILGI_MUST_CHECK __attribute__((warn_unused_result))

/*
 * Not an error: what was given was taken; give no more until the matching callback (on_resume for
 * milgi_conn_receive(), on_room for milgi_conn_send() and milgi_conn_write()).
 */
#define MILGI_PAUSE 1

enum milgi_error_class {
    MILGI_CLASS_NONE,   /* ended as intended */
    MILGI_CLASS_USAGE,  /* the caller's mistake; nothing was changed */
    MILGI_CLASS_CLOSED, /* the object is closed or the answer came too late */
    MILGI_CLASS_IO,     /* the transport ended or failed */
    MILGI_CLASS_PEER,   /* the peer sent a fatal alert */
    MILGI_CLASS_PROTO,  /* the peer broke the protocol, or nothing in common was found */
    MILGI_CLASS_AUTH,   /* the peer could not be authenticated, or was refused by a decision */
    MILGI_CLASS_DEVICE, /* a crypto device failed */
    MILGI_CLASS_LIMIT,  /* a bound was reached: memory, time, count */
    MILGI_CLASS_LOCAL   /* a file, a key, a setting, or a bug of ours */
};

/* Whose doing it was that a connection ended, as far as it can be told from here. */
enum milgi_fault {
    MILGI_FAULT_NONE, /* both directions were closed in order */
    /*
     * the peer's: it broke the protocol, sent an alert, has nothing in common with us, was not authenticated or was
     * refused by a decision, or it was its next message that did not come in time
     */
    MILGI_FAULT_PEER,
    MILGI_FAULT_TRANSPORT, /* the transport ended without close_notify, or failed: the peer's, or anything's between */
    MILGI_FAULT_DEVICE,    /* a crypto device failed, was full, or did not answer in time */
    MILGI_FAULT_MEMORY,    /* there was no memory, or no op was free in time */
    /*
     * our own: aborted by the application, which did not answer a decision in time, or gave more than it may; what the
     * config says cannot be done; or a bug
     */
    MILGI_FAULT_OURS
};

/*  X(name, value, class, text) */
#define MILGI_ERRORS(X) \
    X(MILGI_EINVAL, -1, MILGI_CLASS_USAGE, "invalid argument") \
    X(MILGI_EREENTRY, -2, MILGI_CLASS_USAGE, "not allowed from inside a callback or a run") \
    X(MILGI_EFORK, -3, MILGI_CLASS_USAGE, "made in another process") \
    X(MILGI_ECLOSED, -4, MILGI_CLASS_CLOSED, "closed") \
    X(MILGI_ESTALE, -5, MILGI_CLASS_CLOSED, "answered too late or twice") \
    X(MILGI_ENOMEM, -6, MILGI_CLASS_LIMIT, "out of memory") \
    X(MILGI_ELIMIT, -7, MILGI_CLASS_LIMIT, "limit reached") \
    X(MILGI_ETIMEOUT, -8, MILGI_CLASS_LIMIT, "timed out") \
    X(MILGI_EFILE, -9, MILGI_CLASS_LOCAL, "cannot read file") \
    X(MILGI_EPARSE, -10, MILGI_CLASS_LOCAL, "malformed certificate, key or setting") \
    X(MILGI_EMISMATCH, -11, MILGI_CLASS_LOCAL, "private key does not belong to the certificate") \
    X(MILGI_EWEAK, -12, MILGI_CLASS_LOCAL, "key or signature too weak") \
    X(MILGI_EUNSUPPORTED, -13, MILGI_CLASS_LOCAL, "not supported") \
    X(MILGI_EINTERNAL, -14, MILGI_CLASS_LOCAL, "internal error") \
    X(MILGI_EPROTO, -15, MILGI_CLASS_PROTO, "the peer broke the protocol") \
    X(MILGI_ENEGOTIATE, -16, MILGI_CLASS_PROTO, "nothing in common with the peer") \
    X(MILGI_EBADRECORD, -17, MILGI_CLASS_PROTO, "a record could not be authenticated") \
    X(MILGI_ETRUNCATED, -18, MILGI_CLASS_IO, "the transport ended without close_notify") \
    X(MILGI_ETRANSPORT, -19, MILGI_CLASS_IO, "the transport failed") \
    X(MILGI_EALERT, -20, MILGI_CLASS_PEER, "the peer sent a fatal alert") \
    X(MILGI_EVERIFY, -21, MILGI_CLASS_AUTH, "the peer's certificate was not accepted") \
    X(MILGI_EREFUSED, -22, MILGI_CLASS_AUTH, "refused by a decision") \
    X(MILGI_EDEVICE, -23, MILGI_CLASS_DEVICE, "a crypto device failed") \
    X(MILGI_EBUSY, -24, MILGI_CLASS_LIMIT, "new handshakes are refused: the device is full")

enum milgi_error {
#define MILGI_X(name, value, cls, text) name = (value),
    MILGI_ERRORS(MILGI_X)
#undef MILGI_X
};

/* Static text for a code; "ok" for 0, "unknown error" for a value that is none. Any thread. */
MILGI_API const char *milgi_error_text(int error);
/* "MILGI_EPROTO" for -15, "0" for 0. Any thread. */
MILGI_API const char *milgi_error_name(int error);
MILGI_API enum milgi_error_class milgi_error_class(int error);

/* Alert descriptions (RFC 8446 6). */
enum milgi_alert {
    MILGI_ALERT_CLOSE_NOTIFY = 0,
    MILGI_ALERT_UNEXPECTED_MESSAGE = 10,
    MILGI_ALERT_BAD_RECORD_MAC = 20,
    MILGI_ALERT_RECORD_OVERFLOW = 22,
    MILGI_ALERT_HANDSHAKE_FAILURE = 40,
    MILGI_ALERT_BAD_CERTIFICATE = 42,
    MILGI_ALERT_UNSUPPORTED_CERTIFICATE = 43,
    MILGI_ALERT_CERTIFICATE_REVOKED = 44,
    MILGI_ALERT_CERTIFICATE_EXPIRED = 45,
    MILGI_ALERT_CERTIFICATE_UNKNOWN = 46,
    MILGI_ALERT_ILLEGAL_PARAMETER = 47,
    MILGI_ALERT_UNKNOWN_CA = 48,
    MILGI_ALERT_ACCESS_DENIED = 49,
    MILGI_ALERT_DECODE_ERROR = 50,
    MILGI_ALERT_DECRYPT_ERROR = 51,
    MILGI_ALERT_PROTOCOL_VERSION = 70,
    MILGI_ALERT_INSUFFICIENT_SECURITY = 71,
    MILGI_ALERT_INTERNAL_ERROR = 80,
    MILGI_ALERT_INAPPROPRIATE_FALLBACK = 86,
    MILGI_ALERT_USER_CANCELED = 90,
    MILGI_ALERT_NO_RENEGOTIATION = 100, /* TLS 1.2: a warning */
    MILGI_ALERT_MISSING_EXTENSION = 109,
    MILGI_ALERT_UNSUPPORTED_EXTENSION = 110,
    MILGI_ALERT_UNRECOGNIZED_NAME = 112,
    MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE = 113,
    MILGI_ALERT_UNKNOWN_PSK_IDENTITY = 115,
    MILGI_ALERT_CERTIFICATE_REQUIRED = 116,
    MILGI_ALERT_NO_APPLICATION_PROTOCOL = 120,
    MILGI_ALERT_NONE = 256 /* no alert */
};

/* "handshake_failure" for 40; "unknown" for a number that has no name. Any thread. */
MILGI_API const char *milgi_alert_name(int alert);

#ifdef __cplusplus
}
#endif
