/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flags, as a table: what each sets, or why what it wants is not there. A flag whose row says MOOT asks for what is
 * so in any case, and its row says why.
 */
#include "shim.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    ON,
    NUMBER,
    NUMBERS, /* one more of a list */
    TEXT,
    BYTES, /* in base64 */
    /* the same, in the last credential that was begun */
    OF_CREDENTIAL,
    NUMBERS_OF_CREDENTIAL,
    ON_CREDENTIAL,
    BYTES_OF_CREDENTIAL,
    NEW_CREDENTIAL,
    NEW_PSK,
    MOOT,
    ABSENT
};

struct flag {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *why;
};

#define FIELD(name) offsetof(struct shim_options, name)
#define OF(name) offsetof(struct shim_credential, name)

static const struct flag flags[] = {
    /* where, who */
    { "-port", NUMBER, FIELD(port), NULL },
    { "-shim-id", NUMBER, FIELD(shim_id), NULL },
    { "-ipv6", ON, FIELD(ipv6), NULL },
    { "-server", ON, FIELD(server), NULL },
    { "-allow-hint-mismatch", MOOT, 0, "no other process takes part in a handshake" },
    { "-device", TEXT, FIELD(device), NULL },
    { "-verified", ON, FIELD(verified), NULL },
    { "-new-x509-credential", NEW_CREDENTIAL, 0, NULL },
    { "-cert-file", OF_CREDENTIAL, OF(cert_file), NULL },
    { "-key-file", OF_CREDENTIAL, OF(key_file), NULL },
    { "-signing-prefs", NUMBERS_OF_CREDENTIAL, OF(signing_prefs), NULL },
    { "-must-match-issuer", ON_CREDENTIAL, OF(must_match_issuer), NULL },
    { "-ocsp-response", BYTES_OF_CREDENTIAL, OF(ocsp_response), NULL },
    { "-signed-cert-timestamps", BYTES_OF_CREDENTIAL, OF(scts), NULL },
    { "-new-psk-credential", NEW_PSK, 0, NULL },
    { "-psk-importer-key", BYTES_OF_CREDENTIAL, OF(psk_key), NULL },
    { "-psk-importer-identity", BYTES_OF_CREDENTIAL, OF(psk_identity), NULL },
    { "-psk-importer-context", BYTES_OF_CREDENTIAL, OF(psk_context), NULL },
    { "-psk-importer-sha256", ON_CREDENTIAL, OF(psk_sha256), NULL },
    { "-psk-importer-sha384", ON_CREDENTIAL, OF(psk_sha384), NULL },
    { "-trust-cert", TEXT, FIELD(trust_cert), NULL },

    /* what is negotiated */
    { "-min-version", NUMBER, FIELD(min_version), NULL },
    { "-max-version", NUMBER, FIELD(max_version), NULL },
    { "-no-tls1", ON, FIELD(no_tls1), NULL },
    { "-no-tls11", ON, FIELD(no_tls11), NULL },
    { "-no-tls12", ON, FIELD(no_tls12), NULL },
    { "-no-tls13", ON, FIELD(no_tls13), NULL },
    { "-fallback-scsv", ON, FIELD(fallback_scsv), NULL },
    { "-no-ticket", ON, FIELD(no_ticket), NULL },
    { "-resume-count", NUMBER, FIELD(resume_count), NULL },
    { "-resumption-delay", NUMBER, FIELD(resumption_delay), NULL },
    { "-curves", NUMBERS, FIELD(curves), NULL },
    { "-key-shares", NUMBERS, FIELD(key_shares), NULL },
    { "-verify-prefs", NUMBERS, FIELD(verify_prefs), NULL },
    { "-use-ticket-callback", ON, FIELD(use_ticket_callback), NULL },
    { "-use-ticket-aead-callback", ON, FIELD(use_ticket_callback), NULL },
    { "-skip-ticket", ON, FIELD(skip_ticket), NULL },
    { "-renew-ticket", MOOT, 0, "who resumes in TLS 1.3 gets a new ticket" },
    { "-reverify-on-resume", ON, FIELD(reverify_on_resume), NULL },
    { "-enable-ocsp-stapling", ON, FIELD(enable_ocsp_stapling), NULL },
    { "-decline-ocsp-callback", ON, FIELD(decline_ocsp_callback), NULL },
    { "-fail-ocsp-callback", ON, FIELD(fail_ocsp_callback), NULL },
    { "-enable-signed-cert-timestamps", ON, FIELD(enable_signed_cert_timestamps), NULL },
    { "-use-client-ca-list", TEXT, FIELD(use_client_ca_list), NULL },
    { "-cipher", TEXT, FIELD(cipher), NULL },
    { "-host-name", TEXT, FIELD(host_name), NULL },
    { "-advertise-alpn", TEXT, FIELD(advertise_alpn), NULL },
    { "-select-alpn", TEXT, FIELD(select_alpn), NULL },
    { "-decline-alpn", ON, FIELD(decline_alpn), NULL },
    { "-reject-alpn", ON, FIELD(reject_alpn), NULL },
    { "-select-empty-alpn", ON, FIELD(select_empty_alpn), NULL },
    { "-require-any-client-certificate", ON, FIELD(require_any_client_certificate), NULL },
    { "-verify-peer", ON, FIELD(verify_peer), NULL },
    { "-verify-fail", ON, FIELD(verify_fail), NULL },
    { "-fail-cert-callback", ON, FIELD(fail_cert_callback), NULL },
    { "-fail-early-callback", ON, FIELD(fail_early_callback), NULL },
    { "-fail-ddos-callback", ON, FIELD(fail_ddos_callback), NULL },
    { "-use-custom-verify-callback", ON, FIELD(use_custom_verify_callback), NULL },
    { "-fips-202205", ON, FIELD(fips_202205), NULL },
    { "-wpa-202304", ON, FIELD(wpa_202304), NULL },
    { "-cnsa-202407", ON, FIELD(cnsa_202407), NULL },
    { "-cnsa1-202603", ON, FIELD(cnsa1_202603), NULL },
    { "-cnsa2-202603", ON, FIELD(cnsa2_202603), NULL },
    { "-enable-grease", ON, FIELD(enable_grease), NULL },
    { "-server-preference", MOOT, 0, "a server's own order of suites counts" },
    { "-max-cert-list", NUMBER, FIELD(max_cert_list), NULL },
    { "-max-send-fragment", NUMBER, FIELD(max_send_fragment), NULL },

    /* what is done */
    { "-async", ON, FIELD(async), NULL },
    { "-shim-writes-first", ON, FIELD(shim_writes_first), NULL },
    { "-shim-shuts-down", ON, FIELD(shim_shuts_down), NULL },
    { "-check-close-notify", ON, FIELD(check_close_notify), NULL },
    { "-send-alert", ON, FIELD(send_alert), NULL },
    { "-key-update", ON, FIELD(key_update), NULL },
    { "-key-update-before-read", ON, FIELD(key_update_before_read), NULL },
    { "-write-different-record-sizes", ON, FIELD(write_different_record_sizes), NULL },
    { "-read-with-unfinished-write", ON, FIELD(read_with_unfinished_write), NULL },
    { "-use-exporter-between-reads", ON, FIELD(use_exporter_between_reads), NULL },
    { "-handshake-never-done", ON, FIELD(handshake_never_done), NULL },
    { "-export-keying-material", NUMBER, FIELD(export_keying_material), NULL },
    { "-export-label", TEXT, FIELD(export_label), NULL },
    { "-export-context", TEXT, FIELD(export_context), NULL },
    { "-use-export-context", ON, FIELD(use_export_context), NULL },
    { "-export-traffic-secrets", ON, FIELD(export_traffic_secrets), NULL },
    { "-read-size", NUMBER, FIELD(read_size), NULL },
    { "-implicit-handshake", ON, FIELD(implicit_handshake), NULL },
    { "-peek-then-read", ON, FIELD(peek_then_read), NULL },
    { "-tls-unique", ON, FIELD(tls_unique), NULL },
    { "-partial-write", MOOT, 0, "what is given is taken whole" },
    { "-use-early-callback", MOOT, 0, "a decision is asked for as soon as the ClientHello is there" },
    { "-install-ddos-callback", MOOT, 0, "a server is asked for its credential before anything costs it much" },
    { "-use-ocsp-callback", MOOT, 0, "a server is asked which response to send" },
    { "-set-ocsp-in-callback", MOOT, 0, "a server is asked which response to send" },
    { "-use-old-client-cert-callback", MOOT, 0, "there is one way to ask for a client's credential" },
    { "-no-legacy-server-connect", MOOT, 0, "there is no renegotiation" },

    /* what has to come of it */
    { "-expect-version", NUMBER, FIELD(expect_version), NULL },
    { "-expect-session-miss", ON, FIELD(expect_session_miss), NULL },
    { "-expect-no-session", ON, FIELD(expect_no_session), NULL },
    { "-expect-ticket-renewal", ON, FIELD(expect_ticket_renewal), NULL },
    { "-expect-session-id", ON, FIELD(expect_session_id), NULL },
    { "-expect-no-session-id", ON, FIELD(expect_no_session_id), NULL },
    { "-expect-extended-master-secret", ON, FIELD(expect_extended_master_secret), NULL },
    { "-expect-cipher", NUMBER, FIELD(expect_cipher), NULL },
    { "-expect-curve-id", NUMBER, FIELD(expect_curve_id), NULL },
    { "-expect-peer-signature-algorithm", NUMBER, FIELD(expect_peer_signature_algorithm), NULL },
    { "-expect-selected-credential", TEXT, FIELD(expect_selected_credential), NULL },
    { "-expect-peer-verify-pref", NUMBERS, FIELD(expect_peer_verify_pref), NULL },
    { "-expect-client-ca-list", TEXT, FIELD(expect_client_ca_list), NULL },
    { "-expect-ocsp-response", BYTES, FIELD(expect_ocsp_response), NULL },
    { "-expect-signed-cert-timestamps", BYTES, FIELD(expect_scts), NULL },
    { "-expect-hrr", ON, FIELD(expect_hrr), NULL },
    { "-expect-no-hrr", ON, FIELD(expect_no_hrr), NULL },
    { "-expect-server-name", TEXT, FIELD(expect_server_name), NULL },
    { "-expect-no-server-name", ON, FIELD(expect_no_server_name), NULL },
    { "-expect-alpn", TEXT, FIELD(expect_alpn), NULL },
    { "-expect-advertised-alpn", TEXT, FIELD(expect_advertised_alpn), NULL },
    { "-expect-peer-cert-file", TEXT, FIELD(expect_peer_cert_file), NULL },
    { "-expect-no-peer-cert", ON, FIELD(expect_no_peer_cert), NULL },
    { "-expect-verify-result", ON, FIELD(expect_verify_result), NULL },
    { "-expect-no-secure-renegotiation", ON, FIELD(expect_no_secure_renegotiation), NULL },
    { "-expect-secure-renegotiation", MOOT, 0, "there is no renegotiation that could be insecure" },

    /* what is not there */
    { "-dtls", ABSENT, 0, "DTLS" },
    { "-mtu", ABSENT, 0, "DTLS" },
    { "-srtp-profiles", ABSENT, 0, "DTLS" },
    { "-initial-timeout-duration-ms", ABSENT, 0, "DTLS" },
    { "-quic", ABSENT, 0, "QUIC" },
    { "-quic-transport-params", ABSENT, 0, "QUIC" },
    { "-expect-quic-transport-params", ABSENT, 0, "QUIC" },
    { "-quic-use-legacy-codepoint", ABSENT, 0, "QUIC" },
    { "-quic-early-data-context", ABSENT, 0, "QUIC" },
    { "-expect-ticket-age-skew", ABSENT, 0, "a view of the age of tickets" },
    { "-expect-ticket-supports-early-data", ABSENT, 0, "early data" },
    { "-ticket-key", ABSENT, 0, "ticket keys in a form of BoringSSL's" },
    { "-resumption-across-names-enabled", ABSENT, 0, "resumption across names" },
    { "-expect-resumable-across-names", ABSENT, 0, "resumption across names" },
    { "-expect-not-resumable-across-names", ABSENT, 0, "resumption across names" },
    { "-retain-only-sha256-client-cert", ABSENT, 0, "hashes in the place of certificates" },
    { "-expect-sha256-client-cert", ABSENT, 0, "hashes in the place of certificates" },
    { "-enable-early-data", ABSENT, 0, "early data" },
    { "-early-write-after-message", ABSENT, 0, "early data" },
    { "-expect-accept-early-data", ABSENT, 0, "early data" },
    { "-expect-reject-early-data", ABSENT, 0, "early data" },
    { "-expect-no-offer-early-data", ABSENT, 0, "early data" },
    { "-expect-early-data-reason", ABSENT, 0, "early data" },
    { "-psk", ABSENT, 0, "PSK suites of TLS 1.2" },
    { "-psk-identity", ABSENT, 0, "PSK suites of TLS 1.2" },
    { "-new-delegated-credential", ABSENT, 0, "delegated credentials" },
    { "-delegated-credential", ABSENT, 0, "delegated credentials" },
    { "-new-spake2plusv1-credential", ABSENT, 0, "PAKE" },
    { "-pake-context", ABSENT, 0, "PAKE" },
    { "-pake-client-id", ABSENT, 0, "PAKE" },
    { "-pake-server-id", ABSENT, 0, "PAKE" },
    { "-pake-password", ABSENT, 0, "PAKE" },
    { "-wrong-pake-role", ABSENT, 0, "PAKE" },
    { "-new-rpk-credential", ABSENT, 0, "raw public keys" },
    { "-accepted-peer-cert-types", ABSENT, 0, "raw public keys" },
    { "-available-client-cert-types", ABSENT, 0, "raw public keys" },
    { "-expect-peer-certificate-type", ABSENT, 0, "raw public keys" },
    { "-expect-peer-rpk-sha256", ABSENT, 0, "raw public keys" },
    { "-enable-ech-grease", ABSENT, 0, "ECH" },
    { "-reject-unusable-ech-config", ABSENT, 0, "ECH" },
    { "-ech-server-config", ABSENT, 0, "ECH" },
    { "-ech-server-key", ABSENT, 0, "ECH" },
    { "-ech-is-retry-config", ABSENT, 0, "ECH" },
    { "-ech-config-list", ABSENT, 0, "ECH" },
    { "-expect-ech-accept", ABSENT, 0, "ECH" },
    { "-expect-ech-name-override", ABSENT, 0, "ECH" },
    { "-expect-no-ech-name-override", ABSENT, 0, "ECH" },
    { "-expect-ech-retry-configs", ABSENT, 0, "ECH" },
    { "-expect-no-ech-retry-configs", ABSENT, 0, "ECH" },
    { "-fail-early-callback-ech-rewind", ABSENT, 0, "ECH" },
    { "-advertise-npn", ABSENT, 0, "NPN" },
    { "-advertise-empty-npn", ABSENT, 0, "NPN" },
    { "-expect-next-proto", ABSENT, 0, "NPN" },
    { "-expect-no-next-proto", ABSENT, 0, "NPN" },
    { "-select-next-proto", ABSENT, 0, "NPN" },
    { "-select-empty-next-proto", ABSENT, 0, "NPN" },
    { "-expect-channel-id", ABSENT, 0, "channel ID" },
    { "-enable-channel-id", ABSENT, 0, "channel ID" },
    { "-send-channel-id", ABSENT, 0, "channel ID" },
    { "-application-settings", ABSENT, 0, "ALPS" },
    { "-defer-alps", ABSENT, 0, "ALPS" },
    { "-expect-peer-application-settings", ABSENT, 0, "ALPS" },
    { "-alps-use-new-codepoint", ABSENT, 0, "ALPS" },
    { "-install-cert-compression-algs", ABSENT, 0, "certificate compression" },
    { "-install-one-cert-compression-alg", ABSENT, 0, "certificate compression" },
    { "-expect-peer-match-trust-anchor", ABSENT, 0, "trust anchor identifiers" },
    { "-expect-no-peer-match-trust-anchor", ABSENT, 0, "trust anchor identifiers" },
    { "-expect-peer-available-trust-anchors", ABSENT, 0, "trust anchor identifiers" },
    { "-requested-trust-anchors", ABSENT, 0, "trust anchor identifiers" },
    { "-available-trust-anchors", ABSENT, 0, "trust anchor identifiers" },
    { "-cert-properties", ABSENT, 0, "trust anchor identifiers" },
    { "-request-server-padding", ABSENT, 0, "padding that is asked for" },
    { "-expect-server-sent-requested-padding", ABSENT, 0, "padding that is asked for" },
    { "-server-supports-padding", ABSENT, 0, "padding that is asked for" },
    { "-expect-total-renegotiations", ABSENT, 0, "renegotiation" },
    { "-renegotiate-once", ABSENT, 0, "renegotiation" },
    { "-renegotiate-freely", ABSENT, 0, "renegotiation" },
    { "-renegotiate-ignore", MOOT, 0, "renegotiation is declined, and the connection goes on" },
    { "-renegotiate-explicit", ABSENT, 0, "renegotiation" },
    { "-forbid-renegotiation-after-handshake", ABSENT, 0, "renegotiation" },
    { "-false-start", ABSENT, 0, "False Start" },
    { "-allow-false-start-without-alpn", ABSENT, 0, "False Start" },
    { "-expect-certificate-types", ABSENT, 0, "a view of the types of certificates that a server of TLS 1.2 asks for" },
    { "-cbc-record-splitting", ABSENT, 0, "CBC suites" },
    { "-handshake-hints", ABSENT, 0, "split handshakes" },
    { "-handshaker-path", ABSENT, 0, "split handshakes" },
    { "-handshaker-resume", ABSENT, 0, "split handshakes" },
    { "-jdk11-workaround", ABSENT, 0, "workarounds for faulty peers" },
    { "-permute-extensions", ABSENT, 0, "extensions in another order" },
    { "-no-key-shares", ABSENT, 0, "a ClientHello without key shares" },
    { "-curves-flags", ABSENT, 0, "groups of equal preference" },
    { "-server-supported-groups-hint", ABSENT, 0, "key shares by what the server is known to take" },
    { "-expect-cipher-aes", ABSENT, 0, "the client's order of suites" },
    { "-expect-cipher-no-aes", ABSENT, 0, "the client's order of suites" },
    { "-allow-unknown-alpn-protos", ABSENT, 0, "application protocols that were not offered" },
    { "-no-server-name-ack", ABSENT, 0, "a server that does not say that it heeds server_name" },
    { "-expect-msg-callback", ABSENT, 0, "a view of each message" },
    { "-handshake-twice", ABSENT, 0, "a handshake that is called for" },
    { "-no-op-extra-handshake", ABSENT, 0, "a handshake that is called for" },
    { "-private-key-delay-ms", ABSENT, 0, "DTLS" },
    { "-census", ABSENT, 0, "only the names of the tests are wanted" },
    { "-wait-for-debugger", ABSENT, 0, "waiting for a debugger" },
    { "-write-settings", ABSENT, 0, "settings for a fuzzer" },
    { "-fuzzer-mode", ABSENT, 0, "settings for a fuzzer" },
};

static char reason[256];

static int say(int status, const char **why, const char *text, const char *of)
{
    snprintf(reason, sizeof reason, "%s%s", text, of);
    *why = reason;
    return status;
}

static const struct flag *find(const char *name)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!strcmp(flags[i].name, name))
            return &flags[i];
    }
    return NULL;
}

/* "-on-resume-verify-fail": |prefix| "-on-resume" is taken off, and "-verify-fail" is left. */
static bool take_prefix(const char **name, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(*name, prefix, len) != 0 || (*name)[len] != '-')
        return false;
    *name += len;
    return true;
}

static bool read_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

static bool add_number(struct shim_numbers *list, const char *text)
{
    uint64_t value;
    if (!read_number(text, &value) || value > UINT16_MAX || list->n == SHIM_LIST_MAX)
        return false;
    list->v[list->n++] = (uint16_t)value;
    return true;
}

static bool set_bytes(struct shim_bytes *bytes, const char *text)
{
    size_t len = strlen(text);
    free(bytes->data);
    bytes->data = malloc(len + 1);
    bytes->len = bytes->data ? shim_base64(text, len, bytes->data) : SIZE_MAX;
    return bytes->len != SIZE_MAX;
}

static bool set(struct shim_options *options, const struct flag *flag, const char *value)
{
    uint8_t *field = (uint8_t *)options + flag->offset;
    uint8_t *of = (uint8_t *)&options->credential[options->credentials_n] + flag->offset;
    switch (flag->kind) {
    case ON:
        *(bool *)(void *)field = true;
        return true;
    case NUMBER:
        return read_number(value, (uint64_t *)(void *)field);
    case NUMBERS:
        return add_number((struct shim_numbers *)(void *)field, value);
    case TEXT:
        *(const char **)(void *)field = value;
        return true;
    case OF_CREDENTIAL:
        *(const char **)(void *)of = value;
        return true;
    case NUMBERS_OF_CREDENTIAL:
        return add_number((struct shim_numbers *)(void *)of, value);
    case BYTES:
        return set_bytes((struct shim_bytes *)(void *)field, value);
    case BYTES_OF_CREDENTIAL:
        return set_bytes((struct shim_bytes *)(void *)of, value);
    case ON_CREDENTIAL:
        *(bool *)(void *)of = true;
        return true;
    case NEW_CREDENTIAL:
    case NEW_PSK:
        if (options->credentials_n == SHIM_CREDENTIALS_MAX)
            return false;
        options->credential[++options->credentials_n].is_psk = flag->kind == NEW_PSK;
        return true;
    default:
        return true;
    }
}

static bool takes_value(enum kind kind)
{
    return kind != ON && kind != MOOT && kind != ABSENT && kind != NEW_CREDENTIAL && kind != NEW_PSK &&
        kind != ON_CREDENTIAL;
}

int shim_flags(int argc, char **argv, struct shim_options options[SHIM_TURNS], const char **why)
{
    memset(options, 0, SHIM_TURNS * sizeof *options);
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i], *value = NULL;
        bool others = take_prefix(&name, "-on-handshaker"); /* a process that takes part in a handshake: none does */
        take_prefix(&name, "-on-shim");
        unsigned from = SHIM_INITIAL, to = SHIM_RETRY;
        if (take_prefix(&name, "-on-initial"))
            to = SHIM_INITIAL;
        else if (take_prefix(&name, "-on-resume"))
            from = to = SHIM_RESUME;
        else if (take_prefix(&name, "-on-retry"))
            from = SHIM_RETRY;
        const struct flag *flag = find(name);
        if (!flag)
            return say(SHIM_ABSENT, why, "unknown flag ", name);
        if (flag->kind == ABSENT)
            return say(SHIM_ABSENT, why, flag->why, "");
        if (takes_value(flag->kind) && ++i == argc)
            return say(1, why, "no value behind ", name);
        value = i < argc ? argv[i] : NULL;
        for (unsigned turn = from; turn <= to && !others; turn++) {
            if (!set(&options[turn], flag, value))
                return say(1, why, "a value that makes no sense behind ", name);
        }
    }
    return 0;
}
