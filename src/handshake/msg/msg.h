/* SPDX-License-Identifier: Apache-2.0 */
/* Handshake messages (RFC 8446 4): encoders write header and body, decoders read a body and leave nothing in it. */
#pragma once

#include "crypto/hash.h"
#include "handshake/ext/ext.h"

enum milgi__msg {
    MILGI__MSG_HELLO_REQUEST = 0,
    MILGI__MSG_CLIENT_HELLO = 1,
    MILGI__MSG_SERVER_HELLO = 2,
    MILGI__MSG_NEW_SESSION_TICKET = 4,
    MILGI__MSG_END_OF_EARLY_DATA = 5,
    MILGI__MSG_ENCRYPTED_EXTENSIONS = 8,
    MILGI__MSG_CERTIFICATE = 11,
    MILGI__MSG_SERVER_KEY_EXCHANGE = 12,
    MILGI__MSG_CERTIFICATE_REQUEST = 13,
    MILGI__MSG_SERVER_HELLO_DONE = 14,
    MILGI__MSG_CERTIFICATE_VERIFY = 15,
    MILGI__MSG_CLIENT_KEY_EXCHANGE = 16,
    MILGI__MSG_FINISHED = 20,
    MILGI__MSG_CERTIFICATE_STATUS = 22,
    MILGI__MSG_KEY_UPDATE = 24,
    /* No message, and never read as one: the change_cipher_spec of TLS 1.2 where it has its place among them. */
    MILGI__MSG_CHANGE_CIPHER_SPEC = 0xff
};
#define MILGI__MSG_HEADER 4

#define MILGI__SSL3 0x0300
#define MILGI__TLS12 0x0303
#define MILGI__TLS13 0x0304

/* In lists of suites: no suites. */
#define MILGI__EMPTY_RENEGOTIATION_SCSV 0x00ff
#define MILGI__FALLBACK_SCSV 0x5600

static inline size_t milgi__message_begin(struct milgi__writer *w, enum milgi__msg type)
{
    milgi__write8(w, type);
    return milgi__write_begin(w, 3);
}

static inline void milgi__message_end(struct milgi__writer *w, size_t mark)
{
    milgi__write_end(w, mark, 3);
}

/* --- ClientHello (4.1.2) ---------------------------------------------------------------------------------------- */

struct milgi__client_hello {
    uint16_t legacy_version;
    const uint8_t *random; /* 32 bytes */
    struct milgi__bytes session_id, suites, compressions;
    struct milgi__bytes block; /* the extensions, undecoded */
    struct milgi__exts ext;    /* what is to be encoded, and what milgi__client_hello_extensions() has read */
};
void milgi__client_hello_encode(struct milgi__writer *w, const struct milgi__client_hello *hello);
/* The frame only: the version is not known yet, and with it the meaning of the rest. */
bool milgi__client_hello_decode(
    struct milgi__reader *body, struct milgi__client_hello *hello, struct milgi__failure *failure);
/* The list of supported_versions; empty when there is none. */
bool milgi__client_hello_versions(
    const struct milgi__client_hello *hello, struct milgi__bytes *versions, struct milgi__failure *failure);
/* The rest, as TLS 1.3 demands it. */
bool milgi__client_hello_decode13(struct milgi__client_hello *hello, struct milgi__failure *failure);
/* The same as TLS 1.2 demands it. */
bool milgi__client_hello_decode12(struct milgi__client_hello *hello, struct milgi__failure *failure);
/* A hash over all that must not change between two ClientHellos (4.1.2). 0 or negative. */
int milgi__client_hello_digest(
    struct milgi__crypto *cx, const struct milgi__client_hello *hello, uint8_t out[MILGI__HASH_MAX]);

/* --- ServerHello and HelloRetryRequest (4.1.3, 4.1.4) ----------------------------------------------------------- */

struct milgi__server_hello {
    uint16_t legacy_version;
    const uint8_t *random; /* 32 bytes; unused when a retry is encoded */
    struct milgi__bytes session_id;
    uint16_t suite;
    uint8_t compression;
    bool retry;
    bool tls12; /* to be encoded: of TLS 1.2 */
    struct milgi__bytes block;
    struct milgi__exts ext;
};
void milgi__server_hello_encode(struct milgi__writer *w, const struct milgi__server_hello *hello);
bool milgi__server_hello_decode(
    struct milgi__reader *body, struct milgi__server_hello *hello, struct milgi__failure *failure);
/* The version that it selects. */
uint16_t milgi__server_hello_version(const struct milgi__server_hello *hello);
/* Makes a random say that TLS 1.3 would have been spoken, too (RFC 8446 4.1.3). */
void milgi__mark_downgraded(uint8_t random[32]);
/* Whether its random says that the server was made to forget TLS 1.3. */
bool milgi__server_hello_downgraded(const struct milgi__server_hello *hello);
/* The extensions, as TLS 1.3 demands them; |offered| by the ClientHello. */
bool milgi__server_hello_decode13(
    struct milgi__server_hello *hello, uint32_t offered, struct milgi__failure *failure);

/* The same as TLS 1.2 demands it. */
bool milgi__server_hello_decode12(
    struct milgi__server_hello *hello, uint32_t offered, struct milgi__failure *failure);

/* --- EncryptedExtensions (4.3.1), CertificateRequest (4.3.2) ---------------------------------------------------- */

void milgi__encrypted_extensions_encode(struct milgi__writer *w, const struct milgi__exts *ext);
bool milgi__encrypted_extensions_decode(
    struct milgi__reader *body, uint32_t offered, struct milgi__exts *ext, struct milgi__failure *failure);

struct milgi__certificate_request {
    struct milgi__bytes context;
    struct milgi__exts ext;
};
void milgi__certificate_request_encode(struct milgi__writer *w, const struct milgi__certificate_request *request);
bool milgi__certificate_request_decode(
    struct milgi__reader *body, struct milgi__certificate_request *request, struct milgi__failure *failure);

/* --- Certificate (4.4.2) ---------------------------------------------------------------------------------------- */

struct milgi__certificates {
    struct milgi__bytes context;
    struct milgi__bytes list; /* CertificateEntry after CertificateEntry */
    bool bare;                /* as in TLS 1.2: entries have no extensions */
    unsigned n;
    size_t der_len;          /* of all certificates together */
    size_t shortest;         /* of one of them */
    struct milgi__exts leaf; /* extensions of the first */
};
/* |chain|: certificates, each with a 3-byte length before it; may be empty. |leaf|: the first's extensions, or NULL. */
void milgi__certificate_encode_with(struct milgi__writer *w, struct milgi__bytes context, struct milgi__bytes chain,
    const struct milgi__exts *leaf);
static inline void milgi__certificate_encode(
    struct milgi__writer *w, struct milgi__bytes context, struct milgi__bytes chain)
{
    milgi__certificate_encode_with(w, context, chain, NULL);
}
/* How many bytes that takes at most, without extensions. */
size_t milgi__certificate_len(struct milgi__bytes context, struct milgi__bytes chain, unsigned chain_n);
/* Checks every entry, with its extensions. */
bool milgi__certificate_decode(
    struct milgi__reader *body, uint32_t offered, struct milgi__certificates *certs, struct milgi__failure *failure);
/* The next certificate of certs->list, which was checked; false at the end. */
bool milgi__certificate_next(
    const struct milgi__certificates *certs, struct milgi__reader *list, struct milgi__bytes *der);

/* In TLS 1.2 (RFC 5246 7.4.2, 7.4.4). */
void milgi__certificate12_encode(struct milgi__writer *w, struct milgi__bytes chain);
bool milgi__certificate12_decode(
    struct milgi__reader *body, struct milgi__certificates *certs, struct milgi__failure *failure);

/* CertificateStatus (RFC 6066 8): an OCSP response in DER. */
void milgi__certificate_status_encode(struct milgi__writer *w, struct milgi__bytes status);
bool milgi__certificate_status_decode(
    struct milgi__reader *body, struct milgi__bytes *status, struct milgi__failure *failure);

#define MILGI__SIGNS_RSA 1    /* rsa_sign */
#define MILGI__SIGNS_ECDSA 64 /* ecdsa_sign: EdDSA, too (RFC 8422 5.5) */
struct milgi__certificate_request12 {
    struct milgi__bytes types, schemes;
    struct milgi__bytes authorities; /* each with its length */
};
void milgi__certificate_request12_encode(
    struct milgi__writer *w, struct milgi__bytes schemes, struct milgi__bytes authorities);
bool milgi__certificate_request12_decode(
    struct milgi__reader *body, struct milgi__certificate_request12 *request, struct milgi__failure *failure);

/* --- CertificateVerify (4.4.3), Finished (4.4.4), KeyUpdate (4.6.3), NewSessionTicket (4.6.1) ------------------- */

struct milgi__certificate_verify {
    uint16_t scheme;
    struct milgi__bytes signature;
};
void milgi__certificate_verify_encode(struct milgi__writer *w, const struct milgi__certificate_verify *verify);
bool milgi__certificate_verify_decode(
    struct milgi__reader *body, struct milgi__certificate_verify *verify, struct milgi__failure *failure);

/* --- of TLS 1.2 alone: ServerKeyExchange, ServerHelloDone, ClientKeyExchange (RFC 8422 5.4, 5.7) ------------------ */

#define MILGI__ECDH_PARAMS_MAX (4 + 255)
/* ServerECDHParams; returns their length. */
size_t milgi__ecdh_params(uint8_t out[MILGI__ECDH_PARAMS_MAX], uint16_t group, struct milgi__bytes share);
struct milgi__server_exchange {
    uint16_t group;
    struct milgi__bytes share;
    struct milgi__bytes params; /* both, as they are signed */
    struct milgi__certificate_verify verify;
};
/* |params| and |verify|. */
void milgi__server_exchange_encode(struct milgi__writer *w, const struct milgi__server_exchange *exchange);
bool milgi__server_exchange_decode(
    struct milgi__reader *body, struct milgi__server_exchange *exchange, struct milgi__failure *failure);
void milgi__hello_done_encode(struct milgi__writer *w);
void milgi__client_exchange_encode(struct milgi__writer *w, struct milgi__bytes share);
bool milgi__client_exchange_decode(
    struct milgi__reader *body, struct milgi__bytes *share, struct milgi__failure *failure);

/* --- Finished ... ----------------------------------------------------------------------------------------------- */

void milgi__finished_encode(struct milgi__writer *w, const uint8_t *mac, size_t mac_len);

void milgi__key_update_encode(struct milgi__writer *w, bool request);
bool milgi__key_update_decode(struct milgi__reader *body, bool *request, struct milgi__failure *failure);

struct milgi__new_session_ticket {
    uint32_t lifetime, age_add;
    struct milgi__bytes nonce, ticket;
    struct milgi__exts ext;
};
void milgi__new_session_ticket_encode(struct milgi__writer *w, const struct milgi__new_session_ticket *ticket);
bool milgi__new_session_ticket_decode(
    struct milgi__reader *body, struct milgi__new_session_ticket *ticket, struct milgi__failure *failure);
/* The same of TLS 1.2 (RFC 5077 3.3): a lifetime, and a ticket that may be empty. */
void milgi__new_session_ticket12_encode(struct milgi__writer *w, uint32_t lifetime, struct milgi__bytes ticket);
bool milgi__new_session_ticket12_decode(struct milgi__reader *body, uint32_t *lifetime, struct milgi__bytes *ticket,
    struct milgi__failure *failure);
