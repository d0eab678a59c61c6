/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections are made from: credentials, trust and policy. Plain data without threads, descriptors, devices or
 * device keys in it, so it may be built before fork(). A config is filled in by one thread, then frozen; from then on
 * it is immutable and may be used by any number of engines and threads. Configs, credentials and trusts count their
 * references atomically.
 */
#pragma once

#include <stdbool.h>

#include <milgi/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_config;
struct milgi_conn;

/* --- credentials: a certificate chain and its private key ------------------------------------------------------- */

/*
 * From PEM: |chain| holds the certificates, leaf first; |key| an unencrypted private key (PKCS#8, SEC 1 or PKCS#1;
 * milgi_credential_load_pem_encrypted() takes others).
 * Both are copied; the library's copies are wiped when the last reference goes. The reference is the caller's.
 * Returns 0, or MILGI_EPARSE, MILGI_EMISMATCH (key and leaf), MILGI_EWEAK (RSA below 2048 bits), MILGI_EUNSUPPORTED
 * (key type or curve; RSA beyond 4096 bits), MILGI_EINVAL, MILGI_ENOMEM.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_new_pem(
    const void *chain, size_t chain_len, const void *key, size_t key_len, struct milgi_credential **credential);
/*
 * The same with a key that stays elsewhere: in a token, or with another service. |uri| says where, for instance
 * "pkcs11:token=web;object=www?pin-source=/etc/web.pin" (RFC 7512), or "keyless:" for the key of the leaf at a key
 * server; it is copied, and wiped with the last reference, since it may hold a PIN. Nothing is looked up here: the
 * key's signatures are made by whichever device of the engine accepts such a URI, and every one is verified with the
 * leaf before it is sent. An engine without such a device fails the handshakes that need the key. MILGI_EINVAL: not a
 * URI, or longer than 4096 bytes.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_new_uri(
    const void *chain, size_t chain_len, const char *uri, struct milgi_credential **credential);
/*
 * The same from files; |key_file| may be a URI that begins with "pkcs11:" or "keyless:" (a file of such a name is
 * "./pkcs11:..."). MILGI_EFILE when one cannot be read.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_new_file(
    const char *chain_file, const char *key_file, struct milgi_credential **credential);
/*
 * What is wrong with a file, or with one of the two that make a credential, for the person who has to mend it. |text|
 * goes on where the file's name ends: "is encrypted: ...", "line 17: ...". It never holds bytes of a key.
 */
enum milgi_problem_kind {
    MILGI_PROBLEM_NONE,
    MILGI_PROBLEM_OTHER,         /* not of the files: the error code says it */
    MILGI_PROBLEM_UNREADABLE,    /* it cannot be read, or is too long */
    MILGI_PROBLEM_EMPTY,         /* nothing, or only white space */
    MILGI_PROBLEM_UTF16,         /* text, but not in ASCII or UTF-8 */
    MILGI_PROBLEM_DER,           /* binary: DER, PKCS #12 ... */
    MILGI_PROBLEM_NO_BLOCK,      /* no PEM block of what is wanted here */
    MILGI_PROBLEM_LINES,         /* a block is broken: two of its lines are glued, one is cut, its end is missing */
    MILGI_PROBLEM_UNKNOWN_BLOCK, /* a block that belongs in no such file */
    MILGI_PROBLEM_CONTENT,       /* a block whose contents are malformed */
    MILGI_PROBLEM_ENCRYPTED,     /* the key is, and there is no passphrase */
    MILGI_PROBLEM_PUBLIC_KEY,    /* in the place of the private one */
    MILGI_PROBLEM_KEY_KIND,      /* a key that TLS 1.3, or Milgi, cannot use */
    MILGI_PROBLEM_KEY_WEAK,
    MILGI_PROBLEM_KEY_LARGE,
    MILGI_PROBLEM_MISMATCH, /* the private key is not the certificate's */
    MILGI_PROBLEM_ORDER,    /* the certificate of the key is there, but not first */
    MILGI_PROBLEM_EXPIRED,  /* warnings: the credential can be used */
    MILGI_PROBLEM_NOT_YET_VALID,
    MILGI_PROBLEM_URI,        /* the key's: it names nothing, or is no URI */
    MILGI_PROBLEM_POLICY,     /* a word of a policy (policy.h): it is unknown, or not safe */
    MILGI_PROBLEM_PASSPHRASE, /* the key is encrypted, but not with the passphrase, or in a way that is not known */
    MILGI_PROBLEM_CRL         /* a CRL that is not used */
};
enum milgi_problem_file {
    MILGI_FILE_NONE,
    MILGI_FILE_CHAIN, /* certificates, or anchors */
    MILGI_FILE_KEY,
    MILGI_FILE_CRLS
};
struct milgi_problem {
    int error; /* what the function returned; 0 for a warning */
    enum milgi_problem_kind kind;
    enum milgi_problem_file file;
    unsigned line; /* in the file, from 1, also in |text|; 0: none in particular */
    char text[232];
};

/*
 * As the functions called new where these are called load, and fills in |problem| (which may be NULL) when they fail.
 */
MILGI_API MILGI_MUST_CHECK int milgi_credential_load_pem(const void *chain, size_t chain_len, const void *key,
    size_t key_len, struct milgi_credential **credential, struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_credential_load_uri(const void *chain, size_t chain_len, const char *uri,
    struct milgi_credential **credential, struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_credential_load(const char *chain_file, const char *key_file,
    struct milgi_credential **credential, struct milgi_problem *problem);
/*
 * The same with a key that may be encrypted, as PKCS #8 ("ENCRYPTED PRIVATE KEY", RFC 5958 3) or in the older way of
 * PEM ("Proc-Type: 4,ENCRYPTED"): |passphrase| holds |passphrase_len| bytes, up to MILGI_PASSPHRASE_MAX, which are
 * borrowed for the call; NULL: there is none. It is not used where the key is not encrypted, or stays elsewhere.
 * MILGI_EPARSE with MILGI_PROBLEM_PASSPHRASE: it is wrong; MILGI_EUNSUPPORTED with that: the crypto library does not
 * know the way of encrypting; MILGI_EINVAL: more bytes. How long it takes to try one the file says: those of strangers
 * are not to be read with this.
 */
#define MILGI_PASSPHRASE_MAX 1024
MILGI_API MILGI_MUST_CHECK int milgi_credential_load_pem_encrypted(const void *chain, size_t chain_len,
    const void *key, size_t key_len, const char *passphrase, size_t passphrase_len,
    struct milgi_credential **credential, struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_credential_load_encrypted(const char *chain_file, const char *key_file,
    const char *passphrase, size_t passphrase_len, struct milgi_credential **credential,
    struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_trust_load_pem(
    const void *pem, size_t pem_len, struct milgi_trust **trust, struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_trust_load(
    const char *file, struct milgi_trust **trust, struct milgi_problem *problem);
/*
 * What is worth a warning at the time |now_s| (seconds since 1970): a certificate of the chain that has expired or is
 * not valid yet. True if there is something; |warning| says what.
 */
MILGI_API bool milgi_credential_warning(
    const struct milgi_credential *credential, int64_t now_s, struct milgi_problem *warning);

/* Whether milgi_credential_new_file() takes it for a URI rather than a file. Any thread. */
MILGI_API bool milgi_credential_is_uri(const char *key_file);
/*
 * One more, one fewer reference. An engine that has signed with it keeps its key until nobody but the engine has the
 * credential, and drops it within a second while it runs; one that has nothing to do has to be run for that, as
 * milgi_engine_post() of anything does.
 */
MILGI_API struct milgi_credential *milgi_credential_ref(struct milgi_credential *credential);
MILGI_API void milgi_credential_unref(struct milgi_credential *credential);
/*
 * The leaf's subject in one line (RFC 2253), and its key type ("ECDSA P-256", "RSA 2048", "ML-DSA-65" ...). Until the
 * last reference goes.
 */
MILGI_API const char *milgi_credential_subject(const struct milgi_credential *credential);
MILGI_API const char *milgi_credential_key_type(const struct milgi_credential *credential);
/*
 * The identifier of the credential's key: SHA-1 of the public key's bits, as RFC 5280 4.2.1.2 (1) makes it, whatever
 * the certificate says of it. Returns 0, or MILGI_EUNSUPPORTED: the crypto library has no SHA-1 (or no memory). Any
 * thread.
 */
#define MILGI_KEY_ID_LEN 20
MILGI_API MILGI_MUST_CHECK int milgi_credential_key_id(
    const struct milgi_credential *credential, uint8_t id[MILGI_KEY_ID_LEN]);
/* Where the key is, or NULL when it is here. May hold a PIN: not for logs. Until the last reference goes. */
MILGI_API const char *milgi_credential_key_uri(const struct milgi_credential *credential);

/* --- certificates: what one says -------------------------------------------------------------------------------- */

/*
 * Of a certificate in DER, as milgi_conn_info and decisions hand out a peer's. Nothing of it has been checked but what
 * the connection checked. Texts are printable ASCII: whatever else stands in a certificate is written as \xNN. All
 * return 0, or MILGI_EPARSE: |der| is no certificate. Any thread.
 */
/* The owner's and the issuer's name in one line (RFC 2253), cut to |cap| - 1 characters. */
MILGI_API int milgi_certificate_subject(const void *der, size_t len, char *out, size_t cap);
MILGI_API int milgi_certificate_issuer(const void *der, size_t len, char *out, size_t cap);
/* In seconds since 1970. */
MILGI_API int milgi_certificate_validity(const void *der, size_t len, int64_t *not_before_s, int64_t *not_after_s);
/* "ECDSA P-256", "RSA 2048" ..., "unknown". */
MILGI_API int milgi_certificate_key_type(const void *der, size_t len, char *out, size_t cap);

enum milgi_name_kind {
    MILGI_NAME_DNS,
    MILGI_NAME_IP, /* "192.0.2.1", "2001:db8:0:0:0:0:0:1" */
    MILGI_NAME_EMAIL,
    MILGI_NAME_URI
};
/*
 * Calls |each| with every name of the subjectAltName of these kinds; |text| until it returns. What it returns that is
 * not 0 ends the walk and is returned.
 */
MILGI_API int milgi_certificate_names(const void *der, size_t len,
    int (*each)(void *arg, enum milgi_name_kind kind, const char *text), void *arg);

/* --- trust: whose certificates are accepted --------------------------------------------------------------------- */

/*
 * The system's trust store, PEM certificates (copied), or a PEM file. Returns 0, MILGI_EFILE, MILGI_EPARSE,
 * MILGI_ENOMEM, MILGI_EINVAL (a NULL). The reference is the caller's.
 */
MILGI_API MILGI_MUST_CHECK int milgi_trust_new_system(struct milgi_trust **trust);
MILGI_API MILGI_MUST_CHECK int milgi_trust_new_pem(const void *pem, size_t pem_len, struct milgi_trust **trust);
MILGI_API MILGI_MUST_CHECK int milgi_trust_new_file(const char *file, struct milgi_trust **trust);
/*
 * CRLs, the lists of certificates that their issuers have taken back, in PEM; copied, beside those that are there
 * already. To be done before the trust is given to a config. From then on a certificate is accepted only if a CRL says
 * that it is not revoked: one that its issuer has signed, that is of now and of the certificate's kind, and has no
 * critical extension that is not known. Revoked is certificate_revoked; anything else, a CRL that is missing or has
 * expired among it, is certificate_unknown, and the reason says which. Anchors need none, but must not be revoked
 * either. Delta CRLs and those for other issuers (indirect) are not used. It takes a new config to have other CRLs, and
 * under that no session is resumed that was made before. Each queue pair of a device that verifies chains holds them
 * decoded, and hashes those of a path's issuers for each chain, which takes milliseconds for each megabyte: long ones
 * are for a device with threads. Returns 0 or, with nothing added, MILGI_EPARSE, MILGI_EUNSUPPORTED (a CRL without
 * nextUpdate, a delta CRL, a weak digest), MILGI_ELIMIT (more than 64 MiB, or 4096 of them), MILGI_EFILE, MILGI_EINVAL,
 * MILGI_ENOMEM; |problem|, which may be NULL, says more. |trust| NULL: they are only judged so. [RFC 5280 5, 6.3]
 */
MILGI_API MILGI_MUST_CHECK int milgi_trust_add_crls_pem(
    struct milgi_trust *trust, const void *pem, size_t pem_len, struct milgi_problem *problem);
MILGI_API MILGI_MUST_CHECK int milgi_trust_add_crls_file(
    struct milgi_trust *trust, const char *file, struct milgi_problem *problem);
/*
 * Whose revocation is looked at. NONE is the default, ALL once there are CRLs; with either of the others nobody is
 * accepted of whom no CRL speaks. 0, or MILGI_EINVAL.
 */
enum milgi_crl_check {
    MILGI_CRL_CHECK_NONE,
    MILGI_CRL_CHECK_LEAF, /* of the peer's own certificate */
    MILGI_CRL_CHECK_ALL   /* of all certificates of the path */
};
MILGI_API MILGI_MUST_CHECK int milgi_trust_set_crl_check(struct milgi_trust *trust, enum milgi_crl_check check);
MILGI_API struct milgi_trust *milgi_trust_ref(struct milgi_trust *trust);
MILGI_API void milgi_trust_unref(struct milgi_trust *trust);

/* --- config ----------------------------------------------------------------------------------------------------- */

enum milgi_role {
    MILGI_CLIENT,
    MILGI_SERVER
};
enum milgi_client_auth {
    MILGI_CLIENT_AUTH_NONE,
    MILGI_CLIENT_AUTH_OPTIONAL,
    MILGI_CLIENT_AUTH_REQUIRED
};

/* Questions to the application (conn.h, on_decide), as bits. What is not asked is answered by the library. */
enum milgi_decision_kind {
    /* which credential; default: the first that fits name, then the first that fits signature schemes */
    MILGI_DECIDE_CREDENTIAL = 1 << 0,
    /* server: which protocol; default: the first of the config's that the client offers */
    MILGI_DECIDE_ALPN = 1 << 1,
    /*
     * whether the peer's certificate, which VERIFY_CHAIN accepted (or not, and it is only reported), is accepted;
     * default: yes
     */
    MILGI_DECIDE_PEER = 1 << 2,
    /*
     * server: which OCSP response goes to a client that asks for one, once the credential is chosen; default: the
     * credential's (policy.h)
     */
    MILGI_DECIDE_OCSP = 1 << 3,
    /*
     * server: which PSK (psk.h) one of the client's first four identities is of, those of our own tickets left out;
     * default: those of the config
     */
    MILGI_DECIDE_PSK = 1 << 4,
    /*
     * server: what session one of the same identities holds, or in TLS 1.2 the client's ticket, for tickets that are
     * sealed, or sessions that are kept, elsewhere; default: none
     */
    MILGI_DECIDE_TICKET_OPEN = 1 << 5,
    /*
     * server: the tickets of sessions that are to be given out, in the place of those sealed with the config's keys;
     * default: none. The connection is established when it is answered.
     */
    MILGI_DECIDE_TICKET_SEAL = 1 << 6,
    /*
     * server, TLS 1.2: which session the ID is of that a client comes back with, if it brings no ticket [RFC 5077
     * 3.4]; default: the one in the config's cache (session.h)
     */
    MILGI_DECIDE_SESSION_LOOKUP = 1 << 7,
    /*
     * server, TLS 1.2: a session, to which a client may come back by its ID, is to be kept; default: in the config's
     * cache. The connection is established when this is answered, whatever the answer is.
     */
    MILGI_DECIDE_SESSION_STORE = 1 << 8,
    /*
     * server: which config the handshake goes by, once the ClientHello is there and before anything else is decided or
     * opened; default: the one that the connection was made with. Versions, suites, groups, schemes, credentials,
     * client authentication, protocols, sessions, PSKs, what is asked: all that is negotiated is as the chosen one
     * says, but that it does not ask for a config again. Limits and padding stay those of the first.
     */
    MILGI_DECIDE_CONFIG = 1 << 9
};

/*
 * Called with each line of the NSS key log format (no newline) as secrets are installed; |line| until it returns.
 * |conn|: whose they are (milgi_conn_arg()), as in the callbacks of conn.h. Only for debugging: whoever has the lines
 * can read the traffic. Called from milgi_engine_run(), in the engine's thread.
 */
struct milgi_conn;
typedef void (*milgi_keylog_cb)(void *ctx, struct milgi_conn *conn, const char *line);
/*
 * How many bytes of padding (0 .. 2^14 - content_len) to add to a record with |content_len| bytes of application
 * data. More than fits is cut off.
 */
typedef size_t (*milgi_padding_cb)(void *ctx, size_t content_len);

/*
 * A new config with secure defaults: verification on (a client trusts the system's store), host name checked. One
 * reference, the caller's. NULL: no memory, or no such role.
 */
MILGI_API struct milgi_config *milgi_config_new(enum milgi_role role);
MILGI_API struct milgi_config *milgi_config_ref(struct milgi_config *config);
MILGI_API void milgi_config_unref(struct milgi_config *config);

/*
 * The setters return 0, MILGI_EINVAL (a value out of range, or the config is frozen), MILGI_EUNSUPPORTED or
 * MILGI_ENOMEM. Lists are in order of preference and copied.
 */
/* takes a reference of its own */
MILGI_API MILGI_MUST_CHECK int milgi_config_add_credential(
    struct milgi_config *config, struct milgi_credential *credential);
/*
 * Client: anchors for servers. Server: anchors for clients; sets client authentication to REQUIRED unless it was set.
 * Own reference.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_trust(struct milgi_config *config, struct milgi_trust *trust);
MILGI_API MILGI_MUST_CHECK int milgi_config_set_client_auth(struct milgi_config *config, enum milgi_client_auth mode);
/*
 * Turns the verification of servers off: ANYBODY IN BETWEEN CAN READ AND CHANGE EVERYTHING. Signatures of the
 * handshake are still checked, but against whatever certificate came. Client only.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_dangerously_accept_any_server(struct milgi_config *config);
/*
 * A certificate that is NOT accepted (nobody trusted has issued it, it is for another name, too old, revoked ...) does
 * not end the handshake: what is wrong with it is told, and WHO DOES NOT LOOK AT THAT ACCEPTS ANYBODY.
 * milgi_conn_info.peer_authenticated is true only of a peer whose certificate was accepted; of another .peer_verdict
 * says why it was not. With MILGI_DECIDE_PEER the application is asked about either (.verdict), and refuses whom it
 * does not want before anything is sent to him. Everything else ends the handshake as ever: a peer that does not prove
 * to have the certificate's key, a certificate that cannot be used at all, a device that fails. A session of such a
 * peer is that of one who was not accepted, under this config and no other. Both roles: a server asks for certificates
 * as it is told, and clients must have one if that is REQUIRED. Not beside ..._accept_any_server().
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_dangerously_only_report_peer(struct milgi_config *config);
/* each 1..255 bytes */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_alpn(
    struct milgi_config *config, const char *const *protocols, size_t n);
/* of all versions, in one list */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_suites(struct milgi_config *config, const uint16_t *suites, size_t n);
/*
 * Groups that may be agreed on, the most wanted one first. By default X25519MLKEM768, x25519, SecP256r1MLKEM768,
 * secp256r1, SecP384r1MLKEM1024 and secp384r1; secp521r1 and ML-KEM alone have to be named. ML-KEM is there where the
 * crypto library has it: AWS-LC, and OpenSSL from 3.5 on. MILGI_EUNSUPPORTED: it has not, or it is no group. A server
 * that a client sent several key shares takes the one that it wants most itself; it asks for another only if it has
 * none of those.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_groups(struct milgi_config *config, const uint16_t *groups, size_t n);
/*
 * Client: how many of the first groups, one to three, get a key share in the first ClientHello. By default it is the
 * first, and one of the other kind if there is one in the list: of a hybrid its half, or else the first group that is
 * no hybrid; of another group the first hybrid. So it is X25519MLKEM768 and x25519, which have a key in common.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_key_shares(struct milgi_config *config, size_t n);
/*
 * Client: which groups get a key share instead, one to three of those of the config (freeze sees to it), the first or
 * others, as the groups that servers are known to take. The shares stand in the order of the config's groups. Of this
 * and milgi_config_set_key_shares() the last call counts.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_key_share_groups(
    struct milgi_config *config, const uint16_t *groups, size_t n);
/*
 * Of signatures in the handshake, which peers are told of. Those that TLS 1.3 does not have (rsa_pkcs1) are used in TLS
 * 1.2 alone; those of ML-DSA (FIPS 204: MILGI_SIG_MLDSA44, -65 and -87), which TLS 1.2 does not have, in TLS 1.3 alone.
 * By default they are those of ECDSA, Ed25519 and RSA: ML-DSA has to be named for peers to sign with it, while a
 * credential of ours that has such a key signs with it, unless a list leaves it out. MILGI_EUNSUPPORTED: no scheme, or
 * one that the crypto library does not have, as OpenSSL before 3.5 has no ML-DSA.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_signature_schemes(
    struct milgi_config *config, const uint16_t *schemes, size_t n);
/*
 * Which versions of TLS are spoken, from |min| to |max|. One that the suites or the schemes have nothing for is not
 * spoken either. By default TLS 1.3 alone. A client that offers both and is answered with TLS 1.2 makes sure that
 * nobody in between has made it so (RFC 8446 4.1.3), and a server lets it.
 */
#define MILGI_TLS_1_2 0x0303
#define MILGI_TLS_1_3 0x0304
MILGI_API MILGI_MUST_CHECK int milgi_config_set_versions(struct milgi_config *config, uint16_t min, uint16_t max);
/*
 * TLS 1.2: whether a peer must have the extended master secret (RFC 7627), which all do that have been kept up since
 * 2015. It is required by default. A connection without it has no exporters and no session.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_extended_master_secret(struct milgi_config *config, bool required);
/*
 * Client: says that a higher version than |max| has been tried before and failed, so that a server that speaks it
 * refuses (RFC 7507). Off by default, since nobody needs to try lower versions.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_fallback(struct milgi_config *config, bool on);
/* MILGI_DECIDE_* */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_ask(struct milgi_config *config, unsigned decisions);
MILGI_API MILGI_MUST_CHECK int milgi_config_set_keylog(struct milgi_config *config, milgi_keylog_cb cb, void *ctx);
MILGI_API MILGI_MUST_CHECK int milgi_config_set_padding(struct milgi_config *config, milgi_padding_cb cb, void *ctx);

/*
 * Bounds. A value outside of what stands beside its name is MILGI_EINVAL; a connection that reaches one ends with
 * MILGI_ELIMIT or MILGI_ETIMEOUT, or pauses where that is said.
 */
enum milgi_limit {
    MILGI_LIMIT_WINDOW, /* records in flight per direction, 1..64; default 16 */
    /* from the first byte (client: from start) to open, decisions included; default 30 s */
    MILGI_LIMIT_HANDSHAKE_NS,
    MILGI_LIMIT_HANDSHAKE_MESSAGE, /* largest handshake message accepted, bytes; default 64 KiB, up to 1 MiB */
    /* unparsed input after which milgi_conn_receive() says PAUSE; default 64 KiB, at least two records */
    MILGI_LIMIT_INPUT,
    /*
     * Bytes delivered and not yet milgi_conn_consumed(); default 256 KiB. Like INPUT and OUTPUT less, but always
     * enough for a record, when more than a quarter of the engine's memory is used.
     */
    MILGI_LIMIT_CREDIT,
    /* bytes sent by the application and not yet milgi_conn_output_done(); default 256 KiB */
    MILGI_LIMIT_OUTPUT,
    /*
     * Largest plaintext of a record that is sent, 64..16384; default 16384. Less when the peer takes less (RFC 8449).
     */
    MILGI_LIMIT_RECORD,
    /*
     * records under one key after which it is updated by itself; default and maximum: below the AEAD's limit (RFC
     * 8446 5.5)
     */
    MILGI_LIMIT_REKEY_RECORDS,
    /*
     * Records for nothing that a peer may send at once: KeyUpdates that are not answers to our own requests, empty
     * records, refused renegotiations, and, apart from these, the handshake's change_cipher_spec; and apart from all of
     * these an eighth as many alerts that are ignored. Four a second more, and one with each message or KiB of
     * application data in either direction, may come for ever. Default 32.
     */
    MILGI_LIMIT_IDLE_CONTROL,
    MILGI_LIMIT_TICKETS, /* client: NewSessionTickets, in the same way; default 256 */
    /*
     * Server: bytes of early data that are skipped, as they are on the wire and at least 64 of each record, when a
     * client sends some that it was not asked for (RFC 8446 4.2.10); default 16384
     */
    MILGI_LIMIT_EARLY_DATA,
    /*
     * Largest plaintext of a protected record that is taken, padding counted, 64..16384; default 16384. The peer is
     * told (record_size_limit, RFC 8449). Once it has shown that it knows what that means, more is record_overflow.
     */
    MILGI_LIMIT_RECORD_IN,
    /*
     * Largest plaintext of a record with application data at the beginning, and again when none was sent for a second,
     * 64..16384: of the first 64 KiB, then RECORD holds. Nothing of a record can be used before its end has come, which
     * over a path that is still slow takes a long one two round trips or more; about 1350 fits into one packet. Default
     * 16384, which is off: each record costs an operation and 22 to 29 bytes, small answers are short records anyway,
     * and only who knows the path, and that somebody waits for the first bytes, can say that it is worth that.
     */
    MILGI_LIMIT_RECORD_FIRST,
    MILGI_LIMITS
};
MILGI_API MILGI_MUST_CHECK int milgi_config_set_limit(
    struct milgi_config *config, enum milgi_limit limit, uint64_t value);

/* Server: send application data right after its Finished, before the client is heard (0.5-RTT). Off by default. */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_early_server_data(struct milgi_config *config, bool on);
/* Keeps what milgi_conn_export_early() needs, where there is a PSK. Off by default. */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_early_exporter(struct milgi_config *config, bool on);
/* Keys of established connections may leave the library, for the kernel or a card (handover.h). Off by default. */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_hand_over(struct milgi_config *config, bool on);
/* Middlebox compatibility (RFC 8446 D.4): client's session id and CCS. On by default. */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_middlebox(struct milgi_config *config, bool on);

/*
 * Checks that the whole makes sense and makes it immutable; a config that is not frozen makes no connections. Returns
 * 0; MILGI_EINVAL and, when |why| is not NULL, a static text in *|why| (server without credential, client
 * authentication without trust, no group or suite left); MILGI_EFILE (the system's trust store cannot be read). After
 * an error it is as it was, and may be mended and frozen.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_freeze(struct milgi_config *config, const char **why);

#ifdef __cplusplus
}
#endif
