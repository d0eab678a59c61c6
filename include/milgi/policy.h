/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a config demands of its peers beyond what the protocol does, and how it shows itself. Setters as in config.h:
 * 0, MILGI_EINVAL (a value out of range, the config is frozen, or it is of the other role), MILGI_EUNSUPPORTED or
 * MILGI_ENOMEM.
 */
#pragma once

#include <milgi/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What is negotiated, in words:
 *
 *   "modern"      TLS 1.3 alone
 *   "compatible"  TLS 1.2, too, with the extended master secret
 *
 * each with suites, groups and signature schemes as by default and RSA keys from 2048 bits on; or a list of entries
 * with semicolons between them, which may begin with one of these names:
 *
 *   "compatible; suites=TLS_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; rsa=3072"
 *
 *   versions=1.2,1.3            those that are spoken
 *   suites=..., groups=..., schemes=...
 *                               the most wanted first, by the names of milgi_suite_by_name() and the like
 *   rsa=BITS                    how long RSA keys must be, of our own credentials and of all certificates that a peer
 *                               sends; 2048 to 8192
 *   ems=required, ems=optional  the extended master secret in TLS 1.2
 *
 * What is not said stays as it is. It is as if the setters had been called, so of a policy and other settings it is the
 * last that counts. Nothing is taken over of a policy that has a fault: a word that is unknown or not safe, a key that
 * is there twice. Returns 0, or MILGI_EINVAL, with the word and what is wrong with it in |problem| (which may be NULL).
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_policy(
    struct milgi_config *config, const char *policy, struct milgi_problem *problem);

/*
 * Bytes meant for one service must not be taken by another that has a certificate for the same name: an attacker in
 * between may lead a client to where it did not want to go. These two are the server's and the client's means against
 * it. Off by default.
 *
 * Strict ALPN. Server: a client that offers no application protocol is refused (no_application_protocol), as one that
 * offers none of ours always is. Client: so is a server that selects none. It needs milgi_config_set_alpn(), or to be
 * asked (MILGI_DECIDE_ALPN). [RFC 7301]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_strict_alpn(struct milgi_config *config, bool on);
/*
 * Strict SNI, server only: a client that names no server is refused (missing_extension), and so is one whose name fits
 * none of the credentials (unrecognized_name): there is no default credential. Where MILGI_DECIDE_CREDENTIAL is asked a
 * name is demanded, and the answer says whether it is known. [RFC 8446 9.2; RFC 6066 3]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_strict_sni(struct milgi_config *config, bool on);

/*
 * Client: values that mean nothing stand in its ClientHello (suites, groups, a key share, signature schemes, versions,
 * protocols and extensions), and its extensions come in another order each time: so that servers and what is in between
 * go on to take what they do not know. Off by default. [RFC 8701]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_grease(struct milgi_config *config, bool on);

/* --- certificate authorities -------------------------------------------------------------------------------------- */

/*
 * Whether the names of the trust's anchors go to the peer (certificate_authorities), so that it chooses its certificate
 * by them; at most 16 KiB of them, the rest is left out. A server sends them in its CertificateRequest, by default; a
 * client in its ClientHello, where everybody sees them, if told so here. What a peer sends is heeded in any case:
 * credentials that fit come first; where none fits, the choice is as if nothing had been said. [RFC 8446 4.2.4]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_authorities(struct milgi_config *config, bool on);

/*
 * The names that are sent, in the place of those of the anchors: each in DER, as a certificate has its issuer's; with
 * |n| 0 none. Copies. MILGI_EINVAL: one is empty, or all together, with two bytes more for each, are above 16 KiB.
 * Whose certificates are accepted is another matter, which the trust says.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_authority_names(
    struct milgi_config *config, const struct milgi_iov *names, size_t n);
/*
 * A credential that is shown only to peers that name an issuer of one of its certificates; by default one is shown to
 * who names others, too, if there is none that fits better. As milgi_credential_set_schemes(): before it is in use.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_set_must_match(struct milgi_credential *credential, bool on);

/* --- what a credential signs with --------------------------------------------------------------------------------- */

/*
 * The signature schemes that this credential signs with, the most wanted first, in the place of the config's: the first
 * that the peer takes, too, is used. Those that its key cannot have do not count. By default it is the peer's order
 * that decides, among the schemes of the config. In TLS 1.2 a key of ECDSA signs with any of ECDSA's hashes, though by
 * default with its curve's if that will do. With |n| 0: as by default. Only before the credential is given to a config
 * or a decision, by the thread that made it. Returns 0, MILGI_EINVAL (it is in use; one comes twice; more than 24; the
 * key can have none of them), MILGI_EUNSUPPORTED (one is unknown). [RFC 8446 4.2.3; RFC 5246 7.4.1.4.1]
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_set_schemes(
    struct milgi_credential *credential, const uint16_t *schemes, size_t n);

/* --- what stands beside a certificate ----------------------------------------------------------------------------- */

enum milgi_ocsp {
    MILGI_OCSP_OFF,     /* nothing is asked for; what comes unasked is refused */
    MILGI_OCSP_ASK,     /* it is asked for, and judged if it comes; a certificate may say that it must (RFC 7633) */
    MILGI_OCSP_REQUIRED /* a server without one is refused */
};
/*
 * Client: whether an OCSP response is asked for (status_request). It is judged with the chain, by the same op: it must
 * be for this certificate, signed by its issuer or by whom that has certified for it, and be of now; 5 minutes are
 * granted to clocks. Revoked is certificate_revoked; anything else that is not good is
 * bad_certificate_status_response. A session made with one is good no longer than it. OFF by default.
 * [RFC 6066 8; RFC 6960]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_ocsp(struct milgi_config *config, enum milgi_ocsp mode);
/*
 * Client: whether signed certificate timestamps are asked for; they are carried (milgi_conn_info().scts) and not
 * judged. Off by default. [RFC 6962 3.3.1]
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_scts(struct milgi_config *config, bool on);

/*
 * The OCSP response, in DER, that goes with the credential's leaf to clients that ask, or with |len| 0 none. It may be
 * exchanged at any time, from any thread, under a credential that is in use: handshakes that begin to answer later have
 * the new one. Behind its nextUpdate it is not sent. Copies. Returns 0, MILGI_EPARSE (it is no response that has a
 * status), MILGI_EFILE, MILGI_EINVAL (longer than 65535 bytes), MILGI_ENOMEM.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_set_ocsp(
    struct milgi_credential *credential, const void *response, size_t len);
MILGI_API MILGI_MUST_CHECK int milgi_credential_set_ocsp_file(struct milgi_credential *credential, const char *file);
/*
 * Signed certificate timestamps, as a SignedCertificateTimestampList with its 2-byte length, in the same way.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_set_scts(
    struct milgi_credential *credential, const void *list, size_t len);

#ifdef __cplusplus
}
#endif
