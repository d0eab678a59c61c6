/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of extensions (IANA), for tests that write them by hand. */
#pragma once

enum extension {
    SERVER_NAME = 0,
    STATUS_REQUEST = 5,
    GROUPS = 10,
    SCHEMES = 13,
    ALPN = 16,
    PADDING = 21,
    MASTER_SECRET = 23,
    SESSION_TICKET = 35,
    PSK = 41,
    EARLY_DATA = 42,
    VERSIONS = 43,
    COOKIE = 44,
    PSK_MODES = 45,
    AUTHORITIES = 47,
    OID_FILTERS = 48,
    POST_AUTH = 49,
    CERT_SCHEMES = 50,
    KEY_SHARE = 51,
    UNKNOWN = 0x1234,
    GREASE = 0x3a3a
};
