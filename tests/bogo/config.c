/* SPDX-License-Identifier: Apache-2.0 */
/* A config from the flags. What Milgi has no setting for is said to be absent, never left out. */
#include "shim.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLS10 0x0301
#define TLS12 0x0303
#define TLS13 0x0304
#define SHARES_MAX 3 /* that a ClientHello of Milgi's has */
#define NAME "test"  /* in the runner's certificates */

/* --- versions --------------------------------------------------------------------------------------------------- */

static bool wants(const struct shim_options *o, uint16_t version)
{
    const bool off[] = { o->no_tls1, o->no_tls11, o->no_tls12, o->no_tls13 };
    return !off[version - TLS10] && version >= o->min_version && (!o->max_version || version <= o->max_version);
}

/* Compliance policies leave no room for them. */
bool shim_wants_older(const struct shim_options *o)
{
    bool policy = o->fips_202205 || o->wpa_202304 || o->cnsa_202407 || o->cnsa1_202603 || o->cnsa2_202603;
    return !policy && (wants(o, TLS10) || wants(o, TLS10 + 1));
}

static int set_versions(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    bool has12 = wants(o, TLS12) && !o->cnsa2_202603, has13 = wants(o, TLS13);
    *why = "versions below TLS 1.2";
    if (!has12 && !has13)
        return SHIM_ABSENT;
    return milgi_config_set_versions(config, has12 ? TLS12 : TLS13, has13 ? TLS13 : TLS12) ? 1 : 0;
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

/* All that there are, in the order of BoringSSL's policy of that name: longer keys first, AES before ChaCha20. */
static const uint16_t cnsa_suites[] = { 0x1302, 0x1301, 0x1303, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8 };

/* One word of a list of suites: a name, all of them, or a part of names whose suites are left out again. */
static size_t apply(uint16_t suites[SHIM_LIST_MAX], size_t n, const char *word)
{
    uint16_t suite = milgi_suite_by_name(word);
    size_t left = 0;
    if (suite && n < SHIM_LIST_MAX)
        suites[n++] = suite;
    if (!strcmp(word, "DEFAULT")) {
        n = sizeof cnsa_suites / sizeof *cnsa_suites;
        memcpy(suites, cnsa_suites, sizeof cnsa_suites);
    }
    for (size_t i = 0; i < n; i++) {
        if (*word != '!' || !strstr(milgi_suite_name(suites[i]), word + 1))
            suites[left++] = suites[i];
    }
    return left;
}

/*
 * Names of suites in BoringSSL's language, or in the other one that it knows: of those that Milgi has not, none can be
 * negotiated.
 */
static int set_suites(struct milgi_config *config, const char *names, const char **why)
{
    uint16_t suites[SHIM_LIST_MAX];
    size_t n = 0;
    while (*names) {
        char name[64];
        size_t len = strcspn(names, ":");
        snprintf(name, sizeof name, "%.*s", (int)len, names);
        n = apply(suites, n, name);
        names += len + (names[len] == ':');
    }
    if (n && !milgi_config_set_suites(config, suites, n))
        return 0;
    *why = "suites that Milgi has not";
    return SHIM_ABSENT;
}

static bool is_prefix(const struct shim_numbers *some, const struct shim_numbers *all)
{
    return some->n <= all->n && !memcmp(some->v, all->v, some->n * sizeof *some->v);
}

static int set_groups(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    const struct shim_numbers *curves = &o->curves, *shares = &o->key_shares;
    if (curves->n && milgi_config_set_groups(config, curves->v, curves->n)) {
        *why = "a group that Milgi has not";
        return SHIM_ABSENT;
    }
    if (!shares->n || o->server)
        return 0;
    if (shares->n > SHARES_MAX) {
        *why = "more than three key shares";
        return SHIM_ABSENT;
    }
    bool first = is_prefix(shares, curves);
    if (first ? !milgi_config_set_key_shares(config, shares->n)
              : !milgi_config_set_key_share_groups(config, shares->v, shares->n))
        return 0;
    *why = "a group that Milgi has not";
    return SHIM_ABSENT;
}

/* All that there are. */
static const uint16_t schemes[] = { 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0809, 0x080a, 0x080b,
    0x0401, 0x0501, 0x0601, 0x0904, 0x0905, 0x0906 };

static bool has(const uint16_t *list, size_t n, uint16_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == value)
            return true;
    }
    return false;
}

static void add_scheme(struct shim_numbers *list, uint16_t scheme)
{
    bool known = has(schemes, sizeof schemes / sizeof *schemes, scheme) && milgi_scheme_name(scheme);
    if (known && !has(list->v, list->n, scheme))
        list->v[list->n++] = scheme;
}

/* What peers may sign with. */
static int choose_schemes(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    const struct shim_numbers *prefs = &o->verify_prefs;
    struct shim_numbers list = { .n = 0 };
    bool tls13 = false;
    for (size_t i = 0; i < prefs->n; i++) {
        add_scheme(&list, prefs->v[i]);
        tls13 |= prefs->v[i] >> 8 >= 8 || (prefs->v[i] & 0xff) == 3;
    }
    if (prefs->n && !list.n) {
        *why = "signature schemes that Milgi has not";
        return SHIM_ABSENT;
    }
    if (!tls13)
        add_scheme(&list, 0x0807); /* without any of its own TLS 1.3 would not be spoken at all */
    return prefs->n && milgi_config_set_signature_schemes(config, list.v, list.n) ? 1 : 0;
}

/* A list as it is on the wire, as strings. */
static int set_alpn(struct milgi_config *config, const char *wire, const char **why)
{
    char text[1024];
    const char *protocols[SHIM_LIST_MAX];
    size_t n = 0, at = 0, used = 0, len = strlen(wire);
    while (at < len && n < SHIM_LIST_MAX) {
        size_t one = (uint8_t)wire[at++];
        if (one > len - at || used + one + 1 > sizeof text)
            break;
        protocols[n++] = memcpy(text + used, wire + at, one);
        text[used + one] = '\0';
        used += one + 1;
        at += one;
    }
    if (at == len && !milgi_config_set_alpn(config, protocols, n))
        return 0;
    *why = "a malformed list of application protocols";
    return SHIM_ABSENT;
}

/* Policies by name are lists: nothing else may be negotiated. */
static const struct policy {
    size_t offset;                             /* of its flag */
    uint16_t suites[6], groups[2], schemes[8]; /* 0: none */
} policies[] = {
    { offsetof(struct shim_options, fips_202205), { 0x1301, 0x1302, 0xc02b, 0xc02c, 0xc02f, 0xc030 }, { 23, 24 },
        { 0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601 } },
    { offsetof(struct shim_options, wpa_202304), { 0x1302, 0xc02c, 0xc030 }, { 24 },
        { 0x0503, 0x0805, 0x0806, 0x0501, 0x0601 } },
    { offsetof(struct shim_options, cnsa1_202603), { 0x1302, 0xc02c, 0xc030 }, { 0x0202, 24 },
        { 0x0503, 0x0805, 0x0501 } },
    { offsetof(struct shim_options, cnsa2_202603), { 0x1302 }, { 0x0202 }, { 0x0503, 0x0805, 0x0501 } },
};

/* Of |from|, which ends with a 0 or behind |cap|, those that have a name. */
static size_t those_known(const uint16_t *from, size_t cap, const char *(*name)(uint16_t), uint16_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < cap && from[i]; i++) {
        if (name(from[i]))
            out[n++] = from[i];
    }
    return n;
}

static int set_policy(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    uint16_t some[SHIM_LIST_MAX];
    int rv = 0;
    for (const struct policy *p = policies; p < policies + sizeof policies / sizeof *policies && !rv; p++) {
        if (!*(const bool *)(const void *)((const uint8_t *)o + p->offset))
            continue;
        rv = milgi_config_set_suites(config, some, those_known(p->suites, 6, milgi_suite_name, some));
        if (!rv)
            rv = milgi_config_set_groups(config, some, those_known(p->groups, 2, milgi_group_name, some));
        if (!rv)
            rv = milgi_config_set_signature_schemes(
                config, some, those_known(p->schemes, 8, milgi_scheme_name, some));
    }
    *why = "a group that Milgi has not";
    return rv ? SHIM_ABSENT : 0;
}

/* --- who -------------------------------------------------------------------------------------------------------- */

/* What it signs with, and for whom. */
static int choose_use(struct milgi_credential *credential, const struct shim_options *o,
    const struct shim_credential *from, const char **why)
{
    struct shim_numbers list = { .n = 0 };
    for (size_t i = 0; i < from->signing_prefs.n; i++)
        add_scheme(&list, from->signing_prefs.v[i]);
    /* What it takes of others is no matter of what it signs with. */
    for (size_t i = 0; !from->signing_prefs.n && o->verify_prefs.n && i < sizeof schemes / sizeof *schemes; i++)
        add_scheme(&list, schemes[i]);
    *why = "signature schemes that Milgi, or the key, has not";
    if (from->signing_prefs.n && !list.n)
        return SHIM_ABSENT;
    if (list.n && milgi_credential_set_schemes(credential, list.v, list.n))
        return SHIM_ABSENT;
    return milgi_credential_set_must_match(credential, from->must_match_issuer) ? 1 : 0;
}

static int add_credentials(struct shim_config *made, const struct shim_options *o, const char **why)
{
    for (size_t n = 0; n <= o->credentials_n; n++) {
        size_t i = (n + 1) % (o->credentials_n + 1); /* the default one comes last */
        const struct shim_credential *from = &o->credential[i];
        if (!from->cert_file)
            continue;
        int rv = milgi_credential_new_file(from->cert_file, from->key_file, &made->credential[i]);
        if (rv == MILGI_EWEAK || rv == MILGI_EUNSUPPORTED) {
            *why = rv == MILGI_EWEAK ? "keys that are too weak" : "a kind of key that Milgi has not";
            return SHIM_ABSENT;
        }
        if (!rv)
            rv = choose_use(made->credential[i], o, from, why);
        if (rv == SHIM_ABSENT)
            return rv;
        if (!rv && from->scts.len)
            rv = milgi_credential_set_scts(made->credential[i], from->scts.data, from->scts.len);
        if (!rv)
            rv = milgi_config_add_credential(made->config, made->credential[i]);
        if (rv) {
            *why = milgi_error_text(rv);
            return 1;
        }
    }
    return 0;
}

/*
 * The runner's roots where they are known. A server that is told of none asks for certificates all the same: then those
 * of its own will do, or, where it has none, the system's.
 */
static int set_trust(struct shim_config *made, const struct shim_options *o, const char **why)
{
    struct milgi_trust *trust;
    const char *file = o->trust_cert && o->trust_cert[0] ? o->trust_cert : o->credential[o->credentials_n].cert_file;
    int rv = file ? milgi_trust_new_file(file, &trust) : milgi_trust_new_system(&trust);
    if (!rv) {
        rv = milgi_config_set_trust(made->config, trust);
        milgi_trust_unref(trust);
    }
    if (rv)
        *why = milgi_error_text(rv);
    return rv ? 1 : 0;
}

/* Names in hexadecimal, with commas between them; or none, in two ways. */
static int set_authorities(struct milgi_config *config, const char *list, const char **why)
{
    uint8_t der[2048];
    struct milgi_iov names[SHIM_LIST_MAX];
    size_t n = 0, used = 0;
    bool none = list && (!strcmp(list, "<NULL>") || !strcmp(list, "<EMPTY>"));
    for (const char *hex = none ? NULL : list; hex && *hex && n < SHIM_LIST_MAX; n++) {
        size_t len = strcspn(hex, ",");
        names[n] = (struct milgi_iov){ der + used, len / 2 };
        for (size_t i = 0; i < len / 2 && used < sizeof der; i++)
            used += sscanf(hex + 2 * i, "%2hhx", der + used) == 1;
        hex += len + (hex[len] == ',');
    }
    *why = "malformed names of authorities";
    return !list || !milgi_config_set_authority_names(config, names, n) ? 0 : SHIM_ABSENT;
}

static int set_client_auth(struct shim_config *made, const struct shim_options *o, const char **why)
{
    if (!o->require_any_client_certificate && !o->verify_peer)
        return 0;
    int rv = set_trust(made, o, why);
    enum milgi_client_auth mode = o->verify_peer ? MILGI_CLIENT_AUTH_OPTIONAL : MILGI_CLIENT_AUTH_REQUIRED;
    if (!rv)
        rv = set_authorities(made->config, o->use_client_ca_list, why);
    return !rv && milgi_config_set_client_auth(made->config, mode) ? 1 : rv;
}

bool shim_failure_ends(const struct shim_options *o)
{
    return o->verify_peer || o->use_custom_verify_callback || o->reverify_on_resume;
}

/* BoringSSL's shim takes any server, and asks for none by its name. */
static int set_peer(struct shim_config *made, const struct shim_options *o, const char **why)
{
    if (o->server)
        return set_client_auth(made, o, why);
    made->server_name = o->host_name;
    if (o->verify_fail && !shim_failure_ends(o))
        return milgi_config_dangerously_accept_any_server(made->config);
    /* The runner's OCSP responses are nobody's: they would be refused with the chain. */
    bool verified = (o->verified || o->expect_verify_result) && !o->enable_ocsp_stapling;
    if (!verified || o->host_name || !o->trust_cert || !o->trust_cert[0])
        return milgi_config_dangerously_accept_any_server(made->config);
    made->server_name = NAME;
    return set_trust(made, o, why);
}

/* --- all -------------------------------------------------------------------------------------------------------- */

static int set_staples(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    *why = "stapling cannot be set";
    if (o->server)
        return 0;
    int rv = o->enable_ocsp_stapling ? milgi_config_set_ocsp(config, MILGI_OCSP_ASK) : 0;
    return rv || milgi_config_set_scts(config, o->enable_signed_cert_timestamps) ? 1 : 0;
}

static int set_limits(struct milgi_config *config, const struct shim_options *o, const char **why)
{
    int rv = 0;
    if (o->max_cert_list)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE, o->max_cert_list);
    if (!rv && o->max_send_fragment)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_RECORD, o->max_send_fragment);
    if (!rv)
        return 0;
    *why = "a limit out of range";
    return SHIM_ABSENT;
}

static int fill(struct shim_config *made, const struct shim_options *o, const char **why)
{
    struct milgi_config *config = made->config;
    unsigned of_server = MILGI_DECIDE_ALPN | MILGI_DECIDE_OCSP;
    if (o->use_ticket_callback)
        of_server |= MILGI_DECIDE_TICKET_OPEN | MILGI_DECIDE_TICKET_SEAL;
    unsigned ask = MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER | (o->server ? of_server : 0);
    int rv = add_credentials(made, o, why);
    if (!rv)
        rv = shim_add_psks(made, o, why);
    if (!rv)
        rv = set_staples(config, o, why);
    if (!rv)
        rv = set_peer(made, o, why);
    if (!rv && o->cipher)
        rv = set_suites(config, o->cipher, why);
    if (!rv)
        rv = set_groups(config, o, why);
    if (!rv)
        rv = choose_schemes(config, o, why);
    if (!rv && o->advertise_alpn && !o->server)
        rv = set_alpn(config, o->advertise_alpn, why);
    if (!rv)
        rv = set_policy(config, o, why);
    if (!rv && o->cnsa_202407)
        rv = milgi_config_set_suites(config, cnsa_suites, sizeof cnsa_suites / sizeof *cnsa_suites);
    if (!rv && o->enable_grease && !o->server)
        rv = milgi_config_set_grease(config, true);
    if (!rv)
        rv = set_limits(config, o, why);
    if (!rv)
        rv = milgi_config_set_ask(config, ask) ? 1 : 0;
    return rv;
}

static int set_sessions(struct milgi_config *config, struct shim_exchange *x, const char **why)
{
    uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    const uint32_t lifetime_s = 2 * 86400; /* as in BoringSSL */
    int rv = 0;
    if (!x->options->server)
        return 0;
    if (!x->kept->cache)
        rv = milgi_session_cache_new(16, &x->kept->cache);
    if (!rv)
        rv = milgi_config_set_session_cache(config, x->kept->cache);
    if (rv || x->options->no_ticket || x->options->use_ticket_callback)
        return rv;
    if (!x->kept->keys)
        rv = milgi_ticket_keys_new(secret, lifetime_s, shim_wall_s(x->late), &x->kept->keys);
    if (!rv)
        rv = milgi_config_set_ticket_keys(config, x->kept->keys);
    if (rv)
        *why = "no ticket keys";
    return rv ? 1 : 0;
}

int shim_config(struct shim_exchange *x, struct shim_config *made, const char **why)
{
    const struct shim_options *o = x->options;
    *made = (struct shim_config){ .config = milgi_config_new(o->server ? MILGI_SERVER : MILGI_CLIENT) };
    struct milgi_config *config = made->config;
    int rv = set_versions(config, o, why);
    if (!rv)
        rv = fill(made, o, why);
    if (!rv)
        rv = set_sessions(config, x, why);
    if (!rv && o->fallback_scsv && !o->server)
        rv = milgi_config_set_fallback(config, true);
    if (!rv)
        rv = milgi_config_set_extended_master_secret(config, false);
    if (!rv)
        rv = milgi_config_set_keylog(config, shim_keylog, x) || milgi_config_freeze(config, why) ? 1 : 0;
    if (rv)
        shim_config_fini(made);
    return rv;
}

void shim_config_fini(struct shim_config *made)
{
    for (size_t i = 0; i <= SHIM_CREDENTIALS_MAX; i++)
        milgi_credential_unref(made->credential[i]);
    shim_psks_fini(made);
    milgi_config_unref(made->config);
    *made = (struct shim_config){ 0 };
}
