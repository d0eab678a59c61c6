/* SPDX-License-Identifier: Apache-2.0 */
/* Configs: defaults, setters that check, and freezing. */
#include "config/config.h"

#define SECOND UINT64_C(1000000000)

/* --- defaults --------------------------------------------------------------------------------------------------- */

static const uint16_t default_suites[] = {
    MILGI_SUITE_AES_128_GCM_SHA256,
    MILGI_SUITE_AES_256_GCM_SHA384,
    MILGI_SUITE_CHACHA20_POLY1305_SHA256,
    MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
    MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256,
    MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384,
    MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384,
    MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
    MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256,
};

/* Those that there are; each hybrid before its half. */
static const uint16_t default_groups[] = {
    MILGI_GROUP_X25519MLKEM768,
    MILGI_GROUP_X25519,
    MILGI_GROUP_SECP256R1MLKEM768,
    MILGI_GROUP_SECP256R1,
    MILGI_GROUP_SECP384R1MLKEM1024,
    MILGI_GROUP_SECP384R1,
};

static const uint16_t default_schemes[] = {
    MILGI_SIG_ECDSA_SECP256R1_SHA256,
    MILGI_SIG_ED25519,
    MILGI_SIG_RSA_PSS_RSAE_SHA256,
    MILGI_SIG_ECDSA_SECP384R1_SHA384,
    MILGI_SIG_ECDSA_SECP521R1_SHA512,
    MILGI_SIG_RSA_PSS_PSS_SHA256,
    MILGI_SIG_RSA_PSS_PSS_SHA384,
    MILGI_SIG_RSA_PSS_PSS_SHA512,
    MILGI_SIG_RSA_PSS_RSAE_SHA384,
    MILGI_SIG_RSA_PSS_RSAE_SHA512,
    MILGI_SIG_RSA_PKCS1_SHA256,
    MILGI_SIG_RSA_PKCS1_SHA384,
    MILGI_SIG_RSA_PKCS1_SHA512,
};

/*
 * What own credentials sign with besides, unless schemes are named: who has such a key wants it used, while peers are
 * told of these schemes, and verified with them, only if they are.
 */
static const uint16_t signing_schemes[] = { MILGI_SIG_MLDSA44, MILGI_SIG_MLDSA65, MILGI_SIG_MLDSA87 };

/* In TLS 1.3 only for signatures in certificates. */
static const uint16_t certificate_schemes[] = {
    MILGI_SIG_RSA_PKCS1_SHA256,
    MILGI_SIG_RSA_PKCS1_SHA384,
    MILGI_SIG_RSA_PKCS1_SHA512,
};

/*
 * Two records as long as they may be. Reading resumes at half of the limit: if that were less than a record, the rest
 * of one that is not whole would never be read.
 */
#define INPUT_MIN (2u * (5 + 16384 + 256))

static const struct {
    uint64_t min, max, value;
} limits[MILGI_LIMITS] = {
    [MILGI_LIMIT_WINDOW] = { 1, 64, 16 },
    [MILGI_LIMIT_HANDSHAKE_NS] = { 1, UINT64_MAX / 2, 30 * SECOND },
    [MILGI_LIMIT_HANDSHAKE_MESSAGE] = { 1024, 1024 * 1024, 64 * 1024 },
    [MILGI_LIMIT_INPUT] = { 1024, 1024 * 1024 * 1024, 64 * 1024 },
    [MILGI_LIMIT_CREDIT] = { 1024, UINT64_C(1) << 40, 256 * 1024 },
    [MILGI_LIMIT_OUTPUT] = { 1024, UINT64_C(1) << 40, 256 * 1024 },
    [MILGI_LIMIT_RECORD] = { 64, 16384, 16384 },
    /* No suite allows more; each suite's own limit is applied where keys are used. */
    [MILGI_LIMIT_REKEY_RECORDS] = { 1, (UINT64_C(1) << 48) - 1, (UINT64_C(1) << 48) - 1 },
    [MILGI_LIMIT_IDLE_CONTROL] = { 1, 1024 * 1024, 32 },
    [MILGI_LIMIT_TICKETS] = { 1, 1024 * 1024, 256 },
    [MILGI_LIMIT_EARLY_DATA] = { 0, 1024 * 1024 * 1024, 16384 },
    [MILGI_LIMIT_RECORD_IN] = { 64, 16384, 16384 },
    [MILGI_LIMIT_RECORD_FIRST] = { 64, 16384, 16384 },
};

static void fill(struct milgi__u16_list *list, const uint16_t *values, size_t n)
{
    list->n = (uint16_t)n;
    memcpy(list->v, values, n * sizeof *values);
}

void milgi__config_defaults(struct milgi_config *config)
{
    struct milgi__u16_list *groups = &config->groups;

    fill(&config->suites, default_suites, MILGI__COUNT(default_suites));
    fill(&config->schemes, default_schemes, MILGI__COUNT(default_schemes));
    config->schemes_named = false;
    groups->n = 0;
    for (size_t i = 0; i < MILGI__COUNT(default_groups); i++) {
        if (milgi__group_usable(default_groups[i]))
            groups->v[groups->n++] = default_groups[i];
    }
}

struct milgi_config *milgi_config_new(enum milgi_role role)
{
    if (role != MILGI_CLIENT && role != MILGI_SERVER)
        return NULL;
    struct milgi_config *config = milgi__alloc(sizeof *config);
    if (!config)
        return NULL;
    atomic_init(&config->refs, 1);
    config->role = role;
    config->middlebox = true;
    config->tickets = role == MILGI_SERVER ? 2 : 0;
    config->version_min = config->version_max = MILGI_TLS_1_3;
    config->send_authorities = role == MILGI_SERVER;
    config->rsa_min = MILGI__RSA_MIN;
    milgi__config_defaults(config);
    for (size_t i = 0; i < MILGI_LIMITS; i++)
        config->limit[i] = limits[i].value;
    return config;
}

struct milgi_config *milgi_config_ref(struct milgi_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void milgi_config_unref(struct milgi_config *config)
{
    if (!config || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < config->credentials_n; i++)
        milgi_credential_unref(config->credentials[i]);
    milgi__free(config->credentials);
    milgi__names_clear(&config->names);
    milgi_trust_unref(config->trust);
    milgi_ticket_keys_unref(config->ticket_keys);
    milgi_session_cache_unref(config->session_cache);
    for (size_t i = 0; i < config->psks_n; i++)
        milgi_psk_unref(config->psks[i]);
    milgi__free(config->psks);
    milgi__free(config->alpn);
    milgi__free(config->authorities);
    milgi__free(config);
}

/* --- who -------------------------------------------------------------------------------------------------------- */

int milgi_config_add_credential(struct milgi_config *config, struct milgi_credential *credential)
{
    if (config->frozen || !credential)
        return MILGI_EINVAL;
    size_t n = config->credentials_n;
    if ((n & (n - 1)) == 0) { /* full: room grows by doubling */
        struct milgi_credential **grown = milgi__alloc((n > 0 ? 2 * n : 1) * sizeof(struct milgi_credential *));
        if (!grown)
            return MILGI_ENOMEM;
        if (n > 0)
            memcpy(grown, config->credentials, n * sizeof(struct milgi_credential *));
        milgi__free(config->credentials);
        config->credentials = grown;
    }
    atomic_store(&credential->given, true);
    config->credentials[n] = milgi_credential_ref(credential);
    config->credentials_n++;
    return 0;
}

int milgi_config_set_trust(struct milgi_config *config, struct milgi_trust *trust)
{
    if (config->frozen || !trust)
        return MILGI_EINVAL;
    milgi_trust_ref(trust);
    atomic_store(&trust->given, true);
    milgi_trust_unref(config->trust);
    config->trust = trust;
    if (config->role == MILGI_SERVER && !config->client_auth_set)
        config->client_auth = MILGI_CLIENT_AUTH_REQUIRED;
    return 0;
}

int milgi_config_set_client_auth(struct milgi_config *config, enum milgi_client_auth mode)
{
    if (config->frozen || config->role != MILGI_SERVER || (unsigned)mode > MILGI_CLIENT_AUTH_REQUIRED)
        return MILGI_EINVAL;
    config->client_auth = mode;
    config->client_auth_set = true;
    return 0;
}

int milgi_config_dangerously_accept_any_server(struct milgi_config *config)
{
    if (config->frozen || config->role != MILGI_CLIENT)
        return MILGI_EINVAL;
    config->accept_any_server = true;
    return 0;
}

int milgi_config_dangerously_only_report_peer(struct milgi_config *config)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->report_peer = true;
    return 0;
}

/* --- what ------------------------------------------------------------------------------------------------------- */

/*= RFC7301 3.1: "Empty strings MUST NOT be included and byte strings MUST NOT be truncated." */
static bool alpn_valid(const char *const *protocols, size_t n, size_t *total)
{
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = protocols[i] ? strlen(protocols[i]) : 0;
        if (len < 1 || len > 255)
            return false;
        *total += 1 + len;
    }
    return *total <= 0xffff;
}

int milgi_config_set_alpn(struct milgi_config *config, const char *const *protocols, size_t n)
{
    size_t total;

    if (config->frozen || (n > 0 && !protocols) || !alpn_valid(protocols, n, &total))
        return MILGI_EINVAL;
    uint8_t *list = n > 0 ? milgi__alloc_raw(total) : NULL;
    if (n > 0 && !list)
        return MILGI_ENOMEM;
    uint8_t *p = list;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(protocols[i]);
        *p = (uint8_t)len;
        memcpy(p + 1, protocols[i], len);
        p += 1 + len;
    }
    milgi__free(config->alpn);
    config->alpn = list;
    config->alpn_len = total;
    return 0;
}

/* A list of code points that the library knows, none of them twice. */
static int set_list(struct milgi_config *config, struct milgi__u16_list *list, const uint16_t *values, size_t n,
    bool (*known)(uint16_t value))
{
    struct milgi__u16_list made = { .n = 0 };

    if (config->frozen || n == 0 || n > MILGI__LIST_MAX || !values)
        return MILGI_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!known(values[i]))
            return MILGI_EUNSUPPORTED;
        if (milgi__list_has(&made, values[i]))
            return MILGI_EINVAL;
        made.v[made.n++] = values[i];
    }
    *list = made;
    return 0;
}

static bool known_suite(uint16_t value)
{
    return milgi__suite(value) != NULL;
}

static bool known_group(uint16_t value)
{
    return milgi__group_usable(value);
}

static bool known_scheme(uint16_t value)
{
    return milgi__scheme_usable(value);
}

static bool known_version(uint16_t value)
{
    return value == MILGI_TLS_1_2 || value == MILGI_TLS_1_3;
}

int milgi_config_set_versions(struct milgi_config *config, uint16_t min, uint16_t max)
{
    if (config->frozen || !known_version(min) || !known_version(max) || min > max)
        return MILGI_EINVAL;
    config->version_min = min;
    config->version_max = max;
    return 0;
}

int milgi_config_set_extended_master_secret(struct milgi_config *config, bool required)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->plain_master = !required;
    return 0;
}

int milgi_config_set_fallback(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_CLIENT)
        return MILGI_EINVAL;
    config->fallback = on;
    return 0;
}

int milgi_config_set_suites(struct milgi_config *config, const uint16_t *suites, size_t n)
{
    return set_list(config, &config->suites, suites, n, known_suite);
}

int milgi_config_set_groups(struct milgi_config *config, const uint16_t *groups, size_t n)
{
    return set_list(config, &config->groups, groups, n, known_group);
}

int milgi_config_set_signature_schemes(struct milgi_config *config, const uint16_t *schemes, size_t n)
{
    int rv = set_list(config, &config->schemes, schemes, n, known_scheme);
    config->schemes_named |= rv == 0;
    return rv;
}

int milgi_config_set_key_shares(struct milgi_config *config, size_t n)
{
    /* None at all would be allowed (RFC 8446 4.2.8) but costs every handshake a round trip. */
    if (config->frozen || config->role != MILGI_CLIENT || n < 1 || n > MILGI__SHARES_MAX)
        return MILGI_EINVAL;
    config->key_shares = n;
    config->share_groups.n = 0;
    return 0;
}

int milgi_config_set_key_share_groups(struct milgi_config *config, const uint16_t *groups, size_t n)
{
    if (config->role != MILGI_CLIENT || n > MILGI__SHARES_MAX)
        return MILGI_EINVAL;
    int rv = set_list(config, &config->share_groups, groups, n, known_group);
    if (rv == 0)
        config->key_shares = 0;
    return rv;
}

/* --- how -------------------------------------------------------------------------------------------------------- */

int milgi_config_set_ask(struct milgi_config *config, unsigned decisions)
{
    unsigned all = MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN | MILGI_DECIDE_PEER | MILGI_DECIDE_OCSP |
        MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN | MILGI_DECIDE_TICKET_SEAL | MILGI_DECIDE_SESSION_LOOKUP |
        MILGI_DECIDE_SESSION_STORE | MILGI_DECIDE_CONFIG;
    const unsigned of_servers = all & ~(unsigned)(MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER);

    if (config->frozen || (decisions & ~all) != 0)
        return MILGI_EINVAL;
    if (config->role == MILGI_CLIENT && (decisions & of_servers) != 0)
        return MILGI_EINVAL;
    config->ask = decisions;
    return 0;
}

int milgi_config_set_keylog(struct milgi_config *config, milgi_keylog_cb cb, void *ctx)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->keylog = cb;
    config->keylog_ctx = ctx;
    return 0;
}

int milgi_config_set_padding(struct milgi_config *config, milgi_padding_cb cb, void *ctx)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->padding = cb;
    config->padding_ctx = ctx;
    return 0;
}

int milgi_config_set_limit(struct milgi_config *config, enum milgi_limit limit, uint64_t value)
{
    if (config->frozen || (unsigned)limit >= MILGI_LIMITS)
        return MILGI_EINVAL;
    if (value < limits[limit].min || value > limits[limit].max)
        return MILGI_EINVAL;
    config->limit[limit] = limit == MILGI_LIMIT_INPUT ? MILGI__MAX(value, INPUT_MIN) : value;
    return 0;
}

int milgi_config_set_early_server_data(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_SERVER)
        return MILGI_EINVAL;
    config->early_server_data = on;
    return 0;
}

int milgi_config_set_early_exporter(struct milgi_config *config, bool on)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->early_exporter = on;
    return 0;
}

int milgi_config_set_hand_over(struct milgi_config *config, bool on)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->hand_over = on;
    return 0;
}

int milgi_config_set_middlebox(struct milgi_config *config, bool on)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->middlebox = on;
    return 0;
}

/* --- freezing --------------------------------------------------------------------------------------------------- */

static int check_server(const struct milgi_config *config, const char **why)
{
    bool psks = config->psks_n != 0 || (config->ask & MILGI_DECIDE_PSK) != 0;
    bool asks = (config->ask & (MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_CONFIG)) != 0;
    if (config->credentials_n == 0 && !asks && !psks) {
        *why = "a server needs a credential or a PSK, or to be asked for one";
        return MILGI_EINVAL;
    }
    if (config->client_auth != MILGI_CLIENT_AUTH_NONE && !config->trust) {
        *why = "client authentication needs a trust";
        return MILGI_EINVAL;
    }
    return 0;
}

static int check_client(struct milgi_config *config, const char **why)
{
    if (config->key_shares > config->groups.n) {
        *why = "more key shares than groups";
        return MILGI_EINVAL;
    }
    for (unsigned i = 0; i < config->share_groups.n; i++) {
        if (!milgi__list_has(&config->groups, config->share_groups.v[i])) {
            *why = "a key share of none of the groups";
            return MILGI_EINVAL;
        }
    }
    if (config->accept_any_server && config->report_peer) {
        *why = "what is not verified cannot be reported";
        return MILGI_EINVAL;
    }
    if (config->trust || config->accept_any_server || config->psk_only)
        return 0;
    int error = milgi_trust_new_system(&config->trust);
    if (error != 0)
        *why = "the system's trust store cannot be read";
    return error;
}

static bool usable(const struct milgi_config *config, const struct milgi_credential *credential)
{
    const struct milgi__u16_list *tls13 = &config->signing, *tls12 = &config->schemes12;

    return (config->version_max == MILGI_TLS_1_3 && milgi__credential_usable(credential, true, tls13->v, tls13->n)) ||
        (config->version_min < MILGI_TLS_1_3 && milgi__credential_usable(credential, false, tls12->v, tls12->n));
}

/* A credential that no scheme of the config can use would never be chosen. */
static int check_credentials(const struct milgi_config *config, const char **why)
{
    for (size_t i = 0; i < config->credentials_n; i++) {
        if (!usable(config, config->credentials[i])) {
            *why = "a credential's key fits none of the signature schemes";
            return MILGI_EINVAL;
        }
        bool rsa = config->credentials[i]->type == MILGI__KEY_RSA || config->credentials[i]->type == MILGI__KEY_RSA_PSS;
        if (rsa && config->credentials[i]->bits < config->rsa_min) {
            *why = "a credential's RSA key is shorter than the policy demands";
            return MILGI_EINVAL;
        }
    }
    return 0;
}

/* Whether the lists have something for the version: suites, and (TLS 1.3) schemes. */
static bool can_speak(const struct milgi_config *config, uint16_t version)
{
    bool suite = false, tls13 = version == MILGI_TLS_1_3;

    for (unsigned i = 0; i < config->suites.n; i++)
        suite = suite || milgi__suite(config->suites.v[i])->tls13 == tls13;
    return suite && (!tls13 || config->schemes.n != 0);
}

/* What each version signs with; which versions are left. */
static int settle_versions(struct milgi_config *config, const char **why)
{
    struct milgi__u16_list *all = &config->schemes12, *tls13 = &config->schemes, *signing = &config->signing;

    *all = *tls13;
    tls13->n = 0;
    for (unsigned i = 0; i < all->n; i++) {
        if (milgi__scheme(all->v[i])->tls13)
            tls13->v[tls13->n++] = all->v[i];
    }
    *signing = *tls13;
    for (size_t i = 0; !config->schemes_named && i < MILGI__COUNT(signing_schemes); i++)
        signing->v[signing->n++] = signing_schemes[i];
    if (config->version_max == MILGI_TLS_1_3 && !can_speak(config, MILGI_TLS_1_3))
        config->version_max = MILGI_TLS_1_2;
    if (config->version_min == MILGI_TLS_1_2 && !can_speak(config, MILGI_TLS_1_2))
        config->version_min = MILGI_TLS_1_3;
    if (config->version_min <= config->version_max)
        return 0;
    *why = "no version of TLS has a suite and a signature scheme";
    return MILGI_EINVAL;
}

/* All that is made of what was said. */
static int settle(struct milgi_config *config, const char **why)
{
    int error = settle_versions(config, why);

    if (error == 0)
        error = milgi__policy_check(config, why);
    if (error == 0)
        error = milgi__psks_freeze(config, why);
    if (error == 0)
        error = check_credentials(config, why);
    if (error == 0)
        error = config->role == MILGI_SERVER ? check_server(config, why) : check_client(config, why);
    if (error == 0) {
        error = milgi__names_build(&config->names, config->credentials, config->credentials_n);
        if (error == 0)
            error = milgi__policy_authorities(config);
        if (error != 0)
            *why = milgi_error_text(error);
    }
    if (error != 0)
        return error;
    config->cert_schemes = config->version_min < MILGI_TLS_1_3 ? config->schemes12 : config->schemes;
    for (size_t i = 0; i < MILGI__COUNT(certificate_schemes); i++) {
        if (config->cert_schemes.n < MILGI__LIST_MAX && !milgi__list_has(&config->cert_schemes, certificate_schemes[i]))
            config->cert_schemes.v[config->cert_schemes.n++] = certificate_schemes[i];
    }
    error = milgi__config_policy(config);
    if (error != 0)
        *why = milgi_error_text(error);
    return error;
}

int milgi_config_freeze(struct milgi_config *config, const char **why)
{
    const struct milgi__u16_list schemes = config->schemes;
    const uint16_t version_min = config->version_min, version_max = config->version_max;
    const char *reason = NULL;

    if (!why)
        why = &reason;
    *why = NULL;
    if (config->frozen) {
        *why = "it is frozen already";
        return MILGI_EINVAL;
    }
    int error = settle(config, why);
    if (error != 0) {
        /* It is as it was, to be mended and frozen. */
        config->schemes = schemes;
        config->version_min = version_min;
        config->version_max = version_max;
        milgi__names_clear(&config->names);
        if (config->send_authorities)
            milgi__policy_forget_authorities(config);
        return error;
    }
    config->looks = config->looks || config->ticket_keys || config->psks_n != 0;
    const unsigned looks = MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN | MILGI_DECIDE_SESSION_LOOKUP;
    config->looks = config->looks || (config->ask & looks) != 0;
    config->looks = config->looks || (config->role == MILGI_SERVER && config->session_cache);
    config->frozen = true;
    return 0;
}
