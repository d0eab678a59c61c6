/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS endpoint that BoringSSL's protocol tests (ssl/test/runner) drive by flags, on the public API alone. One process
 * is one test: one connection, or several of which the later ones resume the first.
 *
 * What a test wants and Milgi has not is answered with the exit status SHIM_ABSENT and a reason: it counts as not run.
 * A flag that nobody knows is such a reason too: none is passed over.
 */
#pragma once

#include <milgi/milgi.h>

#define SHIM_ABSENT 89 /* exit status */

#define SHIM_LIST_MAX 64
#define SHIM_CREDENTIALS_MAX 8

struct shim_numbers {
    uint16_t v[SHIM_LIST_MAX];
    size_t n;
};

struct shim_bytes {
    uint8_t *data;
    size_t len;
};

struct shim_credential {
    const char *cert_file, *key_file;
    struct shim_numbers signing_prefs;
    bool must_match_issuer;
    struct shim_bytes ocsp_response, scts;
    bool is_psk, psk_sha384, psk_sha256; /* the hash of the PSK itself */
    struct shim_bytes psk_key, psk_identity, psk_context;
};

/* What the flags of one connection say; zeros and NULL: nothing. Their names are those of the flags. */
struct shim_options {
    /* the first is that of flags before any -new-x509-credential; |credentials_n| counts the others */
    struct shim_credential credential[1 + SHIM_CREDENTIALS_MAX];
    size_t credentials_n;

    uint64_t port, shim_id;
    bool ipv6, server;
    const char *device; /* our own: which device all ops go to */
    bool verified;      /* our own: servers are asked for by the runner's name for them, and verified */

    /* what is negotiated */
    uint64_t min_version, max_version;
    bool no_tls1, no_tls11, no_tls12, no_tls13;
    bool fallback_scsv, no_ticket, reverify_on_resume, use_ticket_callback, skip_ticket;
    bool enable_ocsp_stapling, decline_ocsp_callback, fail_ocsp_callback, enable_signed_cert_timestamps;
    const char *use_client_ca_list;
    uint64_t resume_count, resumption_delay; /* connections; seconds */
    struct shim_numbers curves, key_shares, verify_prefs;
    const char *cipher, *host_name, *advertise_alpn, *select_alpn, *trust_cert;
    bool decline_alpn, reject_alpn, select_empty_alpn, require_any_client_certificate, verify_peer, verify_fail;
    bool fail_cert_callback, fail_early_callback, fail_ddos_callback, use_custom_verify_callback;
    bool fips_202205, wpa_202304, cnsa_202407, cnsa1_202603, cnsa2_202603, enable_grease;
    uint64_t max_cert_list, max_send_fragment;

    /* what is done */
    bool async, shim_writes_first, shim_shuts_down, check_close_notify, send_alert, key_update, key_update_before_read;
    bool write_different_record_sizes, read_with_unfinished_write, use_exporter_between_reads, handshake_never_done;
    bool use_export_context, export_traffic_secrets, implicit_handshake, peek_then_read, tls_unique;
    uint64_t export_keying_material, read_size;
    const char *export_label, *export_context;

    /* what has to come of it */
    uint64_t expect_version, expect_cipher, expect_curve_id, expect_peer_signature_algorithm;
    const char *expect_selected_credential; /* "-1": none */
    struct shim_numbers expect_peer_verify_pref;
    const char *expect_client_ca_list; /* names in DER, in hexadecimal, with commas between them */
    struct shim_bytes expect_ocsp_response, expect_scts;
    bool expect_hrr, expect_no_hrr, expect_no_server_name, expect_no_peer_cert, expect_verify_result;
    bool expect_no_secure_renegotiation, expect_session_miss, expect_no_session, expect_ticket_renewal;
    bool expect_session_id, expect_no_session_id;
    bool expect_extended_master_secret;
    const char *expect_server_name, *expect_alpn, *expect_advertised_alpn, *expect_peer_cert_file;
};

enum shim_turn { /* which connection of a test flags are about */
    SHIM_INITIAL,
    SHIM_RESUME,
    SHIM_RETRY,
    SHIM_TURNS
};

/* --- flags ------------------------------------------------------------------------------------------------------ */

/*
 * Reads the arguments behind argv[0]. Returns 0, SHIM_ABSENT and in *|why| what is not there, or 1 and what is wrong.
 * |why| until the next call.
 */
int shim_flags(int argc, char **argv, struct shim_options options[SHIM_TURNS], const char **why);

/* How many bytes |text| decodes to, which |out| has room for (3/4 of its length); SIZE_MAX: it is no base64. */
size_t shim_base64(const char *text, size_t len, uint8_t *out);

/* --- config ----------------------------------------------------------------------------------------------------- */

struct shim_config {
    struct milgi_config *config;
    struct milgi_credential *credential[1 + SHIM_CREDENTIALS_MAX];
    struct milgi_psk *psk[1 + SHIM_CREDENTIALS_MAX][2]; /* by the hash that they were imported for */
    const char *server_name;                            /* that a client wants */
};

struct shim_exchange;

/* For |x|, of which the options and what is kept are known. As shim_flags(). */
int shim_config(struct shim_exchange *x, struct shim_config *made, const char **why);
void shim_config_fini(struct shim_config *config);

/* Tickets that the shim seals itself; false: it is another decision. */
bool shim_answer_tickets(
    struct shim_exchange *x, const struct milgi_decision *decision, const struct milgi_decision_info *info);

bool shim_has_psks(const struct shim_options *options);
int shim_add_psks(struct shim_config *made, const struct shim_options *options, const char **why);
/* Of which credential; 0: of none. */
int shim_psk_of(const struct shim_config *made, const struct shim_options *options, struct milgi_iov identity);
void shim_psks_fini(struct shim_config *made);

/* Whether BoringSSL's shim would speak a version below TLS 1.2. */
bool shim_wants_older(const struct shim_options *options);
/* --- ops and answers that come late ------------------------------------------------------------------------------- */

#define SHIM_DECISIONS_MAX 8
#define SHIM_SLOWER 64 /* than time is the engine's clock */

struct shim_late {
    struct milgi_engine *engine;
    struct milgi_device *device;
    unsigned index;       /* of the device in the engine; 0: none */
    bool runnable;        /* the engine has something to do since it was run */
    int64_t wall_ahead_s; /* of the time of day */
    struct milgi_decision decision[SHIM_DECISIONS_MAX];
    unsigned rounds[SHIM_DECISIONS_MAX]; /* until it is answered */
    size_t decisions_n;
    uint64_t suspended; /* decisions that were answered outside of their callback */
};

/* An engine whose ops all go to |options|' device: by default the inline one, or, asynchronously, one that is slow. */
int shim_late_init(struct shim_late *late, const struct shim_options *options, const char **why);
void shim_late_fini(struct shim_late *late);

/* The time of day, as the engine sees it. */
int64_t shim_wall_s(const struct shim_late *late);

/* Keeps a decision; the first that is due, removed; false: none is due. */
void shim_late_keep(struct shim_late *late, const struct milgi_decision *decision);
bool shim_late_due(struct shim_late *late, struct milgi_decision *decision);
/* How often the connection had to wait for an op or a decision. */
uint64_t shim_late_count(const struct shim_late *late);

/* --- one connection --------------------------------------------------------------------------------------------- */

#define SHIM_SECRET_MAX 64

struct shim_output {
    struct milgi_iov *iov;
    size_t n, cap, at; /* pieces, room, the first that is not gone */
    size_t sent;       /* bytes of that one that are gone */
    uint64_t allowed;  /* bytes that may still go; UINT64_MAX: all */
};

/* What the connections of a test leave to those behind them. */
struct shim_kept {
    struct milgi_ticket_keys *keys; /* a server's */
    struct milgi_session_cache *cache;
    struct milgi_session *session; /* a client's; NULL: none */
};

/* Data that was looked at, and is read later. */
struct shim_looked {
    struct milgi_slice slice; /* a reference */
    uint64_t seen;            /* its checksum at the first look */
};

struct shim_exchange {
    const struct shim_options *options;
    struct shim_kept *kept;
    bool resumes;                  /* it is not the first */
    struct milgi_session *session; /* that came in it */
    bool master_secret;            /* there is an extended one */
    bool stays;                    /* the one that it stands on may be used again */
    const struct shim_config *config;
    struct shim_late *late;
    struct milgi_conn *conn;
    int fd;
    struct shim_output out;
    bool established, eof, closed, close_notify_received, shut, failed;
    bool unfinished; /* a write is to be begun, and not ended before something is read */
    size_t owed;     /* bytes of on_data that are echoed and not yet consumed */
    struct shim_looked *looked;
    size_t looked_n, looked_cap;
    struct milgi_reason reason;
    uint8_t secret[2][SHIM_SECRET_MAX]; /* application traffic secrets: the client's, the server's */
    size_t secret_len;
};

extern const struct milgi_events shim_events, shim_events_without_sessions;

/* Says what is not as it should be; the connection counts as failed. */
void shim_complain(struct shim_exchange *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Events of the key log: application traffic secrets. */
void shim_keylog(void *exchange, struct milgi_conn *conn, const char *line);
/* Reads what on_data has only looked at: it has to be what it was. */
void shim_read_looked(struct shim_exchange *x);
/* Whether a failed verification is to be the end: else servers are not verified, and the connection has to say so. */
bool shim_failure_ends(const struct shim_options *options);
/* Answers a decision as the flags want it. */
void shim_answer(struct shim_exchange *x, const struct milgi_decision *decision);
/* Complains of whatever is not as the flags expect it, when the handshake is complete. */
void shim_expect(struct shim_exchange *x, const struct milgi_conn_info *info);
/* What is written first of all; and, when all of that is gone, what is left unfinished. */
void shim_first_writes(struct shim_exchange *x);
void shim_unfinished_write(struct shim_exchange *x);

/* Complains of whatever is not as the flags expect it, when the connection has ended. */
void shim_expect_sessions(struct shim_exchange *x, const struct milgi_conn_info *info);

/* A whole connection. As shim_flags(). */
int shim_exchange(const struct shim_options *options, struct shim_late *late, struct shim_kept *kept, bool resumes,
    const char **why);
