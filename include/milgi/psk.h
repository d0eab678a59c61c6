/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External PSKs: secrets that two sides have agreed on elsewhere, in the place of certificates (RFC 8446 2.2, 4.2.11;
 * TLS 1.3 only). Who has the secret is authenticated by it; who reads a config or a memory dump that holds it can be
 * both sides. With psk_dhe_ke, the default, old connections stay secret when it becomes known.
 *
 * A PSK is of one client and one server that never change their roles. If both sides may begin a connection, the
 * answer to a client can be made by the client itself, from its own ClientHello sent back to it ("Selfie", RFC 9257 4):
 * so each struct milgi_psk is of one role, and a config of the other role does not take it. For hosts that are client
 * and server of each other with one secret there is milgi_psk_import_between(), with which both directions have PSKs
 * that differ.
 *
 * A client offers what its config has; a server judges at most four identities in the client's order, among them those
 * of tickets, and takes the first that fits. Where none fits there is a handshake with certificates, if both sides can;
 * a server without credentials answers with decrypt_error, as it does when the client has not the secret, so that
 * nobody can find out which identities there are (RFC 8446 E.6). IDENTITIES ARE SEEN by everybody on the way.
 *
 * milgi_conn_info().psk_identity says which a connection stands on; peer_authenticated, which is about certificates, is
 * false. Tickets of such a connection are for those that have the PSK: a session is resumed where the config (or
 * milgi_conn_set_psk()) has it still, with the same secret, and psk_identity is the same then. Where a server has its
 * PSKs from decisions it gives out no tickets on them.
 */
#pragma once

#include <milgi/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The hash that it is for. */
enum milgi_psk_hash {
    MILGI_PSK_SHA256,
    MILGI_PSK_SHA384
};

#define MILGI_PSK_SECRET_MIN 16 /* RFC 9257 6: at least 128 bits */
#define MILGI_PSK_SECRET_MAX 1024
#define MILGI_PSK_IDENTITY_MAX 2048 /* as it is sent; of an imported one with its context */

struct milgi_psk_source {
    enum milgi_role role; /* of this side */
    enum milgi_psk_hash hash;
    const void *identity; /* 1 .. MILGI_PSK_IDENTITY_MAX bytes */
    size_t identity_len;
    const void *secret; /* from a generator of random numbers; no password */
    size_t secret_len;
};
struct milgi_psk;

/*
 * From |source|, whose bytes are copied; of the secret only what is needed is kept, and wiped with the last reference.
 * It is used with suites of its hash. The reference is the caller's. Returns 0, MILGI_EWEAK (a secret of less than
 * MILGI_PSK_SECRET_MIN bytes), MILGI_EINVAL, MILGI_ENOMEM, MILGI_EINTERNAL.
 */
MILGI_API MILGI_MUST_CHECK int milgi_psk_new(const struct milgi_psk_source *source, struct milgi_psk **psk);
/*
 * The same as RFC 9258 has it: |source| is the external PSK, |context| what both sides know besides (NULL with a length
 * of 0: nothing), and |target| the hash of the suites that the new one is for. For both hashes import it twice.
 */
MILGI_API MILGI_MUST_CHECK int milgi_psk_import(const struct milgi_psk_source *source, const void *context,
    size_t context_len, enum milgi_psk_hash target, struct milgi_psk **psk);
/*
 * With a context that says who is the client and who the server: |own| is the name of this side, |peer| that of the
 * other, each of 1 to 255 bytes, and not the same. The names are whatever both sides call each other by. A ClientHello
 * that is sent back to who sent it, or on to a third, is of no PSK there. [RFC 9258 Appendix A]
 */
MILGI_API MILGI_MUST_CHECK int milgi_psk_import_between(const struct milgi_psk_source *source, const char *own,
    const char *peer, enum milgi_psk_hash target, struct milgi_psk **psk);
/* One more, one fewer reference. Any thread. */
MILGI_API struct milgi_psk *milgi_psk_ref(struct milgi_psk *psk);
MILGI_API void milgi_psk_unref(struct milgi_psk *psk);
/* The identity as it is sent, until the last reference goes. */
MILGI_API struct milgi_iov milgi_psk_identity(const struct milgi_psk *psk);

/*
 * Client: offers it, behind those that were added before; at most MILGI_PSKS_OFFERED. Server: takes it, when no
 * decision says otherwise (MILGI_DECIDE_PSK); there may be many. Takes a reference of its own. MILGI_EINVAL: of the
 * other role, too many; freezing answers MILGI_EINVAL when two have one identity.
 */
#define MILGI_PSKS_OFFERED 4
MILGI_API MILGI_MUST_CHECK int milgi_config_add_psk(struct milgi_config *config, struct milgi_psk *psk);
/*
 * Client: connections stand on a PSK or fail: a server that takes none of them is refused with handshake_failure. Such
 * a config needs no trust, and its connections no server name. It speaks TLS 1.3 alone. Off by default.
 * A server without credentials is like that by itself.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_psk_only(struct milgi_config *config, bool on);
/*
 * Whether psk_ke will do, without a key exchange: who comes to know a PSK, or the key of a ticket, can then read every
 * connection made with it, OLD ONES TOO. Off by default. [RFC 8446 4.2.9]
 */
enum milgi_psk_ke {
    MILGI_PSK_KE_OFF,
    MILGI_PSK_KE_TOO, /* where the other side has not psk_dhe_ke */
    MILGI_PSK_KE_ONLY /* and psk_dhe_ke is neither offered nor taken */
};
MILGI_API MILGI_MUST_CHECK int milgi_config_set_psk_ke(struct milgi_config *config, enum milgi_psk_ke mode);
/*
 * Server that requires client certificates: whether a client with an external PSK needs none. Off by default: it is
 * asked for its certificate, in a full handshake. [RFC 8446 4.3.2: there is no CertificateRequest with a PSK]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_psk_without_certificate(struct milgi_config *config, bool on);

/*
 * Client: offers this one alone, in the place of the config's. Before the connection's first turn. Takes a reference of
 * its own; NULL: none is offered. 0; MILGI_EINVAL (of a server, or it has begun), MILGI_ENOMEM, MILGI_EFORK.
 */
struct milgi_conn;
MILGI_API int milgi_conn_set_psk(struct milgi_conn *conn, struct milgi_psk *psk);

#ifdef __cplusplus
}
#endif
