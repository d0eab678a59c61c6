/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, trust and configs: things that JavaScript holds without looking into them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "addon.h"

#define LIST_MAX 64
#define NAME_CAP 256
#define CONFIG_LIMIT_MS 1000000u

struct held {
    enum thing kind;
    void *thing;
};

static void let_go(struct held *h)
{
    switch (h->kind) {
    case THING_CONFIG: milgi_config_unref(h->thing); break;
    case THING_CREDENTIAL: milgi_credential_unref(h->thing); break;
    case THING_TRUST: milgi_trust_unref(h->thing); break;
    case THING_TICKET_KEYS: milgi_ticket_keys_unref(h->thing); break;
    case THING_SESSION_CACHE: milgi_session_cache_unref(h->thing); break;
    }
    free(h);
}

static void finalize(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    let_go(data);
}

/* Takes |thing|. */
static napi_value hold(napi_env env, enum thing kind, void *thing)
{
    napi_value v;
    struct held *h = malloc(sizeof *h);
    struct held there = { kind, thing };
    if (!h)
        return node__throw(env, MILGI_ENOMEM, NULL);
    *h = there;
    if (napi_create_external(env, h, finalize, NULL, &v)) {
        let_go(h);
        return node__throw(env, MILGI_ENOMEM, NULL);
    }
    return v;
}

void *node__get_thing(napi_env env, napi_value value, enum thing kind)
{
    napi_valuetype type;
    void *data;
    if (napi_typeof(env, value, &type) || type != napi_external || napi_get_value_external(env, value, &data))
        return NULL;
    struct held *h = data;
    return h->kind == kind ? h->thing : NULL;
}

/* --- what a config is made from ----------------------------------------------------------------------------------- */

/* credential(chain, key): PEM each; a key that is a string is the URI of one that is elsewhere */
static napi_value credential(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct milgi_credential *c;
    struct milgi_problem problem = { 0 };
    const uint8_t *chain, *key;
    size_t chain_len, key_len;
    char uri[4096];
    int rv = MILGI_EINVAL;
    node__args(env, info, args);
    if (!node__get_bytes(env, args[0], &chain, &chain_len))
        return node__throw(env, rv, "a certificate is a string or a Buffer");
    if (node__get_bytes(env, args[1], &key, &key_len))
        rv = milgi_credential_load_pem(chain, chain_len, key, key_len, &c, &problem);
    else if (node__get_string(env, args[1], uri, sizeof uri))
        rv = milgi_credential_load_uri(chain, chain_len, uri, &c, &problem);
    if (!rv)
        return hold(env, THING_CREDENTIAL, c);
    char text[320];
    const char *whose = problem.file == MILGI_FILE_KEY ? "key " : problem.file == MILGI_FILE_CHAIN ? "certificate "
                                                                                                   : "";
    snprintf(text, sizeof text, "%s%s", whose, problem.text[0] ? problem.text : milgi_error_text(rv));
    return node__throw(env, rv, text);
}

/* trust(pem, CRLs in PEM), or of nothing the system's, and no CRLs */
static napi_value trust(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct milgi_trust *t;
    struct milgi_problem problem = { 0 };
    const uint8_t *pem, *crls;
    size_t len, crls_len;
    node__args(env, info, args);
    int rv = node__get_bytes(env, args[0], &pem, &len) ? milgi_trust_load_pem(pem, len, &t, &problem)
                                                       : milgi_trust_new_system(&t);
    if (!rv && node__get_bytes(env, args[1], &crls, &crls_len)) {
        rv = milgi_trust_add_crls_pem(t, crls, crls_len, &problem);
        if (rv)
            milgi_trust_unref(t);
    }
    if (rv)
        return node__throw(env, rv, problem.text[0] ? problem.text : NULL);
    return hold(env, THING_TRUST, t);
}

/* ticketKeys(secret, lifetime in seconds) */
static napi_value ticket_keys(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct milgi_ticket_keys *keys;
    const uint8_t *secret;
    size_t len;
    int64_t lifetime;
    node__args(env, info, args);
    if (!node__get_bytes(env, args[0], &secret, &len) || len != MILGI_TICKET_SECRET_LEN ||
        !node__get_int(env, args[1], &lifetime))
        return node__throw(env, MILGI_EINVAL, "ticket keys are 32 bytes");
    int rv = milgi_ticket_keys_new(secret, (uint32_t)lifetime, (int64_t)time(NULL), &keys);
    return rv ? node__throw(env, rv, NULL) : hold(env, THING_TICKET_KEYS, keys);
}

static napi_value session_cache(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct milgi_session_cache *cache;
    int64_t limit = 0;
    node__args(env, info, args);
    int rv = node__get_int(env, args[0], &limit) ? milgi_session_cache_new((size_t)limit, &cache) : MILGI_EINVAL;
    return rv ? node__throw(env, rv, NULL) : hold(env, THING_SESSION_CACHE, cache);
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

typedef int (*numbers_fn)(struct milgi_config *config, const uint16_t *list, size_t n);

static int numbers(napi_env env, struct milgi_config *config, napi_value value, numbers_fn fn)
{
    uint16_t list[LIST_MAX];
    uint32_t n;
    if (napi_get_array_length(env, value, &n) || n > LIST_MAX)
        return MILGI_EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        napi_value v;
        int64_t x;
        if (napi_get_element(env, value, i, &v) || !node__get_int(env, v, &x))
            return MILGI_EINVAL;
        list[i] = (uint16_t)x;
    }
    return fn(config, list, n);
}

static int set_suites(napi_env env, struct milgi_config *config, napi_value value)
{
    return numbers(env, config, value, milgi_config_set_suites);
}

static int set_groups(napi_env env, struct milgi_config *config, napi_value value)
{
    return numbers(env, config, value, milgi_config_set_groups);
}

static int set_schemes(napi_env env, struct milgi_config *config, napi_value value)
{
    return numbers(env, config, value, milgi_config_set_signature_schemes);
}

static int versions(struct milgi_config *config, const uint16_t *list, size_t n)
{
    return n == 2 ? milgi_config_set_versions(config, list[0], list[1]) : MILGI_EINVAL;
}

static int set_versions(napi_env env, struct milgi_config *config, napi_value value)
{
    return numbers(env, config, value, versions);
}

static int set_alpn(napi_env env, struct milgi_config *config, napi_value value)
{
    static const size_t cap = NAME_CAP;
    const char *names[LIST_MAX];
    uint32_t n;
    if (napi_get_array_length(env, value, &n) || n > LIST_MAX)
        return MILGI_EINVAL;
    char *texts = malloc((n + 1) * cap);
    int rv = texts ? 0 : MILGI_ENOMEM;
    for (uint32_t i = 0; !rv && i < n; i++) {
        napi_value v;
        names[i] = texts + i * cap;
        if (napi_get_element(env, value, i, &v) || !node__get_string(env, v, texts + i * cap, cap))
            rv = MILGI_EINVAL;
    }
    if (!rv)
        rv = milgi_config_set_alpn(config, names, n);
    free(texts);
    return rv;
}

static int set_credentials(napi_env env, struct milgi_config *config, napi_value value)
{
    uint32_t n;
    if (napi_get_array_length(env, value, &n))
        return MILGI_EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        napi_value v;
        struct milgi_credential *c = NULL;
        if (napi_get_element(env, value, i, &v) == napi_ok)
            c = node__get_thing(env, v, THING_CREDENTIAL);
        int rv = c ? milgi_config_add_credential(config, c) : MILGI_EINVAL;
        if (rv)
            return rv;
    }
    return 0;
}

static int set_trust(napi_env env, struct milgi_config *config, napi_value value)
{
    struct milgi_trust *t = node__get_thing(env, value, THING_TRUST);
    return t ? milgi_config_set_trust(config, t) : MILGI_EINVAL;
}

static int set_ticket_keys(napi_env env, struct milgi_config *config, napi_value value)
{
    struct milgi_ticket_keys *keys = node__get_thing(env, value, THING_TICKET_KEYS);
    return keys ? milgi_config_set_ticket_keys(config, keys) : MILGI_EINVAL;
}

static int set_session_cache(napi_env env, struct milgi_config *config, napi_value value)
{
    struct milgi_session_cache *cache = node__get_thing(env, value, THING_SESSION_CACHE);
    return cache ? milgi_config_set_session_cache(config, cache) : MILGI_EINVAL;
}

static int set_client_auth(napi_env env, struct milgi_config *config, napi_value value)
{
    int64_t n;
    return node__get_int(env, value, &n) ? milgi_config_set_client_auth(config, (enum milgi_client_auth)n)
                                         : MILGI_EINVAL;
}

static int set_ask(napi_env env, struct milgi_config *config, napi_value value)
{
    int64_t n;
    return node__get_int(env, value, &n) ? milgi_config_set_ask(config, (unsigned)n) : MILGI_EINVAL;
}

static int set_tickets(napi_env env, struct milgi_config *config, napi_value value)
{
    int64_t n;
    return node__get_int(env, value, &n) ? milgi_config_set_tickets(config, (size_t)n) : MILGI_EINVAL;
}

static int set_ocsp(napi_env env, struct milgi_config *config, napi_value value)
{
    int64_t n;
    return node__get_int(env, value, &n) ? milgi_config_set_ocsp(config, (enum milgi_ocsp)n) : MILGI_EINVAL;
}

static int set_handshake(napi_env env, struct milgi_config *config, napi_value value)
{
    int64_t ms;
    return node__get_int(env, value, &ms) && ms > 0
        ? milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, (uint64_t)ms * CONFIG_LIMIT_MS)
        : MILGI_EINVAL;
}

static int set_any_server(napi_env env, struct milgi_config *config, napi_value value)
{
    bool on = false;
    return node__get_bool(env, value, &on) && on ? milgi_config_dangerously_accept_any_server(config) : MILGI_EINVAL;
}

static int set_report_peer(napi_env env, struct milgi_config *config, napi_value value)
{
    bool on = false;
    return node__get_bool(env, value, &on) && on ? milgi_config_dangerously_only_report_peer(config) : MILGI_EINVAL;
}

static int set_keylog(napi_env env, struct milgi_config *config, napi_value value)
{
    bool on = false;
    return node__get_bool(env, value, &on) ? milgi_config_set_keylog(config, on ? node__keylog : NULL, NULL)
                                           : MILGI_EINVAL;
}

static int set_strict_alpn(napi_env env, struct milgi_config *config, napi_value value)
{
    bool on = false;
    return node__get_bool(env, value, &on) ? milgi_config_set_strict_alpn(config, on) : MILGI_EINVAL;
}

static const struct {
    const char *name;
    int (*set)(napi_env env, struct milgi_config *config, napi_value value);
} settings[] = {
    { "versions", set_versions }, { "suites", set_suites }, { "groups", set_groups }, { "schemes", set_schemes },
    { "alpn", set_alpn }, { "credentials", set_credentials }, { "trust", set_trust },
    { "clientAuth", set_client_auth }, { "ticketKeys", set_ticket_keys }, { "tickets", set_tickets },
    { "sessionCache", set_session_cache }, { "ask", set_ask }, { "ocsp", set_ocsp }, { "handshakeMs", set_handshake },
    { "anyServer", set_any_server }, { "reportPeer", set_report_peer }, { "keylog", set_keylog },
    { "strictAlpn", set_strict_alpn }
};

/* config(role, settings): frozen; what is not there stays at its default */
static napi_value config(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX], value;
    int64_t role;
    char text[128];
    node__args(env, info, args);
    struct milgi_config *c = node__get_int(env, args[0], &role) ? milgi_config_new((enum milgi_role)role) : NULL;
    if (!c)
        return node__throw(env, MILGI_ENOMEM, NULL);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (napi_get_named_property(env, args[1], settings[i].name, &value) || node__is_null(env, value))
            continue;
        int rv = settings[i].set(env, c, value);
        if (rv) {
            milgi_config_unref(c);
            snprintf(text, sizeof text, "%s: %s", settings[i].name, milgi_error_text(rv));
            return node__throw(env, rv, text);
        }
    }
    const char *why = NULL;
    int rv = milgi_config_freeze(c, &why);
    if (!rv)
        return hold(env, THING_CONFIG, c);
    milgi_config_unref(c);
    return node__throw(env, rv, why);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* code(kind, name): the number of a suite (0), group (1) or scheme (2); 0: unknown */
static napi_value code(napi_env env, napi_callback_info info)
{
    static uint16_t (*const by_name[])(const char *) = { milgi_suite_by_name, milgi_group_by_name,
        milgi_scheme_by_name };
    napi_value args[ARGS_MAX];
    char name[NAME_CAP];
    int64_t kind;
    node__args(env, info, args);
    if (!node__get_int(env, args[0], &kind) || kind < 0 || kind > 2 ||
        !node__get_string(env, args[1], name, sizeof name))
        return node__number(env, 0);
    return node__number(env, by_name[kind](name));
}

void node__config_export(napi_env env, napi_value exports)
{
    static const struct {
        const char *name;
        napi_callback fn;
    } functions[] = { { "credential", credential }, { "trust", trust }, { "ticketKeys", ticket_keys },
        { "sessionCache", session_cache }, { "config", config }, { "code", code } };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        napi_value fn;
        if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].fn, NULL, &fn) == napi_ok)
            node__set(env, exports, functions[i].name, fn);
    }
}
