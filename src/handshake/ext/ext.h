/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions (RFC 8446 4.2): one file and one struct each. */
#pragma once

#include "handshake/bytes.h"

/* Where an extension stands. */
enum milgi__place {
    MILGI__IN_CLIENT_HELLO = 1,
    MILGI__IN_SERVER_HELLO = 2,
    MILGI__IN_RETRY = 4,
    MILGI__IN_ENCRYPTED = 8,
    MILGI__IN_CERTIFICATE = 16,
    MILGI__IN_REQUEST = 32,
    MILGI__IN_TICKET = 64,
    MILGI__IN_SERVER_HELLO12 = 128, /* of TLS 1.2 */
    MILGI__IN_CLIENT_HELLO12 = 256  /* only to be read: what TLS 1.2 does not know of a ClientHello is not */
};

/*
 * In the order in which we send them: free but for pre_shared_key, which stands last (RFC 8446 4.2.11); in hellos of
 * the server that of RFC 8448, so that they can be compared.
 */
enum milgi__ext_id {
    MILGI__EXT_SERVER_NAME,
    MILGI__EXT_GROUPS,
    MILGI__EXT_SCHEMES,
    MILGI__EXT_CERT_SCHEMES,
    MILGI__EXT_ALPN,
    MILGI__EXT_KEY_SHARE,
    MILGI__EXT_COOKIE,
    MILGI__EXT_VERSIONS,
    MILGI__EXT_RECORD_LIMIT,
    MILGI__EXT_AUTHORITIES,
    MILGI__EXT_STATUS_REQUEST,
    MILGI__EXT_TIMESTAMPS,
    MILGI__EXT_PSK_MODES,
    MILGI__EXT_EARLY_DATA,
    MILGI__EXT_TICKET_REQUEST,
    /* of TLS 1.2 */
    MILGI__EXT_MASTER_SECRET,
    MILGI__EXT_RENEGOTIATION,
    MILGI__EXT_POINT_FORMATS,
    MILGI__EXT_SESSION_TICKET,
    /* known by their place only */
    MILGI__EXT_FRAGMENT_LENGTH,
    MILGI__EXT_SRTP,
    MILGI__EXT_HEARTBEAT,
    MILGI__EXT_CLIENT_TYPE,
    MILGI__EXT_SERVER_TYPE,
    MILGI__EXT_PADDING,
    MILGI__EXT_OID_FILTERS,
    MILGI__EXT_POST_AUTH,
    MILGI__EXT_PSK,
    MILGI__EXT_N
};
#define MILGI__EXT(id) (1u << (id))

#define MILGI__RECORD_LIMIT_MIN 64u /* RFC 8449 4 */

/* One PSK that a client offers. */
struct milgi__psk_offer {
    struct milgi__bytes identity;
    uint32_t age; /* obfuscated */
    uint8_t binder_len;
};

/* What the extensions of one message say; |present| tells which fields count. Borrowed from the message. */
struct milgi__exts {
    uint32_t present;
    struct milgi__bytes server_name;                             /* host name; empty in EncryptedExtensions */
    struct milgi__bytes groups, schemes, cert_schemes, versions; /* lists of 16-bit numbers */
    struct milgi__bytes alpn;                                    /* names, each with its length byte */
    struct milgi__bytes shares;                                  /* ClientHello: KeyShareEntry after KeyShareEntry */
    uint16_t group;                                              /* ServerHello, HelloRetryRequest: the one selected */
    struct milgi__bytes share;                                   /* ServerHello */
    uint16_t version;                                            /* ServerHello, HelloRetryRequest: the one selected */
    struct milgi__bytes cookie;
    struct milgi__bytes psk_modes;                   /* ClientHello */
    struct milgi__bytes psk_identities, psk_binders; /* ClientHello, read: one behind the other, */
    const struct milgi__psk_offer *psk_offers;       /* and written: the binders are zeros */
    unsigned psk_offers_n;
    uint16_t psk;                          /* ServerHello: the one selected */
    uint8_t tickets_full, tickets_resumed; /* ClientHello: how many are asked for */
    struct milgi__bytes point_formats, session_ticket;
    bool renegotiates; /* renegotiation_info is not empty */
    uint16_t record_limit;
    struct milgi__bytes authorities; /* DistinguishedName after DistinguishedName, each with its length */
    bool asks_status;                /* ClientHello: for an OCSP response */
    struct milgi__bytes status;      /* Certificate: an OCSP response in DER */
    /* Certificate, in TLS 1.2 ServerHello: SignedCertificateTimestampList, with its length */
    struct milgi__bytes timestamps;
    uint16_t grease[2];   /* ClientHello, written: extensions that mean nothing; 0: none */
    const uint8_t *order; /* ClientHello, written: all ids, pre_shared_key last; NULL: as they are */
};

struct milgi__ext {
    uint16_t iana;
    uint16_t places;       /* enum milgi__place */
    const char *misplaced; /* details */
    const char *malformed;
    /* Writes the body. */
    void (*encode)(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from);
    /* Reads the body; what is left in the reader afterwards, or was missing, is a decode_error. NULL: the body is
     * nothing to us. */
    bool (*decode)(struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to,
        struct milgi__failure *failure);
};

extern const struct milgi__ext milgi__ext_server_name, milgi__ext_groups, milgi__ext_schemes, milgi__ext_cert_schemes,
    milgi__ext_alpn, milgi__ext_versions, milgi__ext_cookie, milgi__ext_key_share, milgi__ext_authorities,
    milgi__ext_psk_modes, milgi__ext_early_data, milgi__ext_psk, milgi__ext_record_limit, milgi__ext_status_request,
    milgi__ext_timestamps, milgi__ext_ticket_request, milgi__ext_master_secret, milgi__ext_renegotiation,
    milgi__ext_point_formats, milgi__ext_session_ticket;
extern const struct milgi__ext milgi__ext_known[8];

/* By enum milgi__ext_id. */
const struct milgi__ext *milgi__ext_of(unsigned id);
/* MILGI__EXT_N: an unknown one. */
unsigned milgi__ext_find(unsigned iana);

/* Writes the extensions that are |present|, without the length of the block. */
void milgi__exts_encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from);

/*
 * Reads a whole block (its length is read already). |offered| are the extensions that an answer may hold: what we have
 * sent in the message that is answered. Unknown ones are skipped in requests and refused in answers.
 */
bool milgi__exts_decode(struct milgi__bytes block, enum milgi__place place, uint32_t offered, struct milgi__exts *to,
    struct milgi__failure *failure);

/* The body of one extension without reading the others; false: it is not there, or the block is malformed. */
bool milgi__exts_peek(struct milgi__bytes block, unsigned iana, struct milgi__bytes *body);

/* Reads a body that must be empty: what is left in it is refused. */
bool milgi__ext_decode_empty(struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to,
    struct milgi__failure *failure);
/* What those of TLS 1.2 must say in either hello. */
bool milgi__exts_check12(const struct milgi__exts *ext, struct milgi__failure *failure);

/* The next KeyShareEntry of a client's list; false at the end. */
bool milgi__share_next(struct milgi__reader *shares, uint16_t *group, struct milgi__bytes *share);
/* The next protocol name; false at the end. */
bool milgi__alpn_next(struct milgi__reader *list, struct milgi__bytes *name);
/* The next identity, and the next binder, of a client's lists; false at the end. */
bool milgi__psk_identity_next(struct milgi__reader *identities, struct milgi__bytes *identity, uint32_t *age);
bool milgi__psk_binder_next(struct milgi__reader *binders, struct milgi__bytes *binder);
/* How many bytes at its end a ClientHello with these offers has that the binders do not cover. */
size_t milgi__psk_binders_len(const struct milgi__psk_offer *offers, unsigned n);
/* The next name of a list of certificate_authorities; false at the end. */
bool milgi__authority_next(struct milgi__reader *list, struct milgi__bytes *name);
/* Whether it is a SignedCertificateTimestampList, with its length before it. */
bool milgi__timestamps_ok(struct milgi__bytes list);
