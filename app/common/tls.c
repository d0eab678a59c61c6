/* SPDX-License-Identifier: Apache-2.0 */
/* Config, engine and device from the options. */
#include "common/tls.h"
#include "common/file.h"
#include "common/keyless.h"
#include "common/keys.h"
#include "common/psk.h"
#include "common/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_ENCAPS) | \
        MILGI_OP_BIT(MILGI_OP_DECAPS) | MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define DEVICE_INDEX 1u /* of the first device that an engine is given, behind cpu */
#define RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))

/* --- files ------------------------------------------------------------------------------------------------------ */

struct text {
    char *data;
    size_t len;
};

static bool read_file(const char *file, uint32_t patience_ms, struct text *text)
{
    const char *fault = app_file_read(file, patience_ms, &text->data, &text->len);
    if (fault)
        app_complain("%s: %s", file, fault);
    return !fault;
}

/* "FILE is encrypted: ...", of the file that it is about. */
static void complain_of(const struct milgi_problem *problem, const char *cert, const char *key, int error)
{
    if (problem->file == MILGI_FILE_NONE || !*problem->text)
        app_complain("%s, %s: %s", cert, milgi_credential_is_uri(key) ? "with a key that is in a token" : key,
            milgi_error_text(error));
    else if (problem->file == MILGI_FILE_KEY)
        app_key_complain_of(key, problem);
    else
        app_complain("%s: %s", cert, problem->text);
}

static int load_credential(const char *key, const struct text *chain, const struct text *secret,
    const struct text *passphrase, struct milgi_credential **credential, struct milgi_problem *problem)
{
    if (milgi_credential_is_uri(key))
        return milgi_credential_load_uri(chain->data, chain->len, key, credential, problem);
    return milgi_credential_load_pem_encrypted(chain->data, chain->len, secret->data, secret->len, passphrase->data,
        passphrase->len, credential, problem);
}

/* What it is said of: not a reason to refuse it, but somebody should know. */
static void warn(const struct milgi_credential *credential, const char *cert)
{
    struct milgi_problem warning;
    if (milgi_credential_warning(credential, time(NULL), &warning))
        app_complain("warning: %s: %s", cert, warning.text);
}

static int take_credential(struct app_material *material, struct milgi_credential *credential)
{
    int rv = milgi_config_add_credential(material->config, credential);
    if (!rv && !app_keys_keep(material, credential))
        rv = MILGI_ENOMEM;
    milgi_credential_unref(credential);
    return rv;
}

/* The response that goes with it; |file| may be NULL. False: it has complained. */
static bool staple(struct milgi_credential *credential, const char *file, uint32_t patience_ms)
{
    struct text text = { 0 };
    if (!file)
        return true;
    if (!read_file(file, patience_ms, &text))
        return false;
    int rv = text.len ? milgi_credential_set_ocsp(credential, text.data, text.len) : MILGI_EPARSE;
    app_file_free(text.data, text.len);
    if (rv)
        app_complain("%s: %s", file,
            rv == MILGI_EPARSE ? "no OCSP response in DER that has a status" : milgi_error_text(rv));
    return !rv;
}

static bool add_credential(struct app_material *material, const struct app_options *o, size_t i,
    const struct text *passphrase, uint32_t patience_ms)
{
    const char *cert = o->certs.items[i], *key = o->keys.items[i];
    const char *ocsp = i < o->ocsp.n ? o->ocsp.items[i] : NULL;
    struct milgi_credential *credential = NULL;
    struct milgi_problem problem = { 0 };
    struct text chain = { 0 }, secret = { 0 };
    bool elsewhere = milgi_credential_is_uri(key), both = !strcmp(cert, key);
    bool read = read_file(cert, patience_ms, &chain) && (elsewhere || both || read_file(key, patience_ms, &secret));
    int rv = read ? load_credential(key, &chain, both ? &chain : &secret, passphrase, &credential, &problem) : 0;
    app_file_free(chain.data, chain.len);
    app_file_free(secret.data, secret.len);
    if (read && !rv && !staple(credential, ocsp, patience_ms)) {
        milgi_credential_unref(credential);
        return false;
    }
    if (read && !rv) {
        warn(credential, cert);
        rv = take_credential(material, credential);
    }
    if (rv)
        complain_of(&problem, cert, key, rv);
    return read && !rv;
}

static bool add_credentials(struct app_material *material, const struct app_options *o, uint32_t patience_ms)
{
    struct text passphrase = { 0 };
    bool right = app_file_passphrase(o->passphrase_file, patience_ms, &passphrase.data, &passphrase.len);
    for (size_t i = 0; right && i < o->certs.n; i++)
        right = add_credential(material, o, i, &passphrase, patience_ms);
    app_file_free(passphrase.data, passphrase.len);
    return right;
}

/* Anchors, or with |trust| CRLs that are added to it. NULL: it has complained. */
static struct milgi_trust *read_trust(const char *file, struct milgi_trust *trust, uint32_t patience_ms)
{
    struct milgi_problem problem = { 0 };
    struct text text = { 0 };
    if (!read_file(file, patience_ms, &text))
        return NULL;
    int rv = trust ? milgi_trust_add_crls_pem(trust, text.data, text.len, &problem)
                   : milgi_trust_load_pem(text.data, text.len, &trust, &problem);
    app_file_free(text.data, text.len);
    if (!rv)
        return trust;
    app_complain("%s: %s", file, *problem.text ? problem.text : milgi_error_text(rv));
    return NULL;
}

static struct milgi_trust *system_trust(void)
{
    struct milgi_trust *trust = NULL;
    int rv = milgi_trust_new_system(&trust);
    if (rv)
        app_complain("the system's trust store: %s", milgi_error_text(rv));
    return trust;
}

/* |ca| NULL: the system's. */
static bool set_trust(
    struct milgi_config *config, const char *ca, const struct app_options *o, uint32_t patience_ms)
{
    struct milgi_trust *trust = ca ? read_trust(ca, NULL, patience_ms) : system_trust();
    bool right = trust != NULL;
    for (size_t i = 0; right && i < o->crls.n; i++)
        right = read_trust(o->crls.items[i], trust, patience_ms) != NULL;
    if (right && o->crl_check)
        right = !milgi_trust_set_crl_check(trust, o->crl_check);
    right = right && !milgi_config_set_trust(config, trust);
    milgi_trust_unref(trust);
    return right;
}

/* Where it goes is looked up for every line: a reload opens the file anew. */
static void write_keylog(void *ctx, struct milgi_conn *conn, const char *line)
{
    const struct app_tls *tls = ctx;
    (void)conn;
    char text[512];
    int len = snprintf(text, sizeof text, "%s\n", line);
    struct app_outlet *keylog = tls->material.keylog;
    if (len > 0 && (size_t)len < sizeof text && !app_outlet_put(keylog, text, (size_t)len) &&
        keylog->dropped == 1)
        app_complain("--keylog %s: secrets of a connection are missing: %s", tls->keylog_name,
            keylog->error ? strerror(keylog->error) : "nobody reads it");
}

static struct app_outlet *open_keylog(const char *file)
{
    /* Whoever reads this file reads the traffic: its owner only. A FIFO is not waited for. */
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    struct app_outlet *keylog = fd < 0 ? NULL : malloc(sizeof *keylog);
    if (keylog) {
        app_outlet_init(keylog, fd);
        return keylog;
    }
    app_complain("%s: %s", file, fd < 0 && errno == ENXIO ? "nobody reads it" : strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void close_keylog(struct app_outlet *keylog)
{
    if (!keylog)
        return;
    app_outlet_flush(keylog);
    app_outlet_fini(keylog);
    close(keylog->fd);
    free(keylog);
}

/* --- config ----------------------------------------------------------------------------------------------------- */

static bool set_identity(struct app_material *material, const struct app_options *o, uint32_t patience_ms)
{
    struct milgi_config *config = material->config;
    const char *ca = o->ca ? o->ca : o->client_ca;
    if (!add_credentials(material, o, patience_ms))
        return false;
    if ((ca || o->crls.n) && !set_trust(config, ca, o, patience_ms))
        return false;
    if (o->client_auth_given && milgi_config_set_client_auth(config, o->client_auth))
        return false;
    return !o->insecure || !milgi_config_dangerously_accept_any_server(config);
}

static bool set_policy(struct milgi_config *config, const struct app_options *o, uint64_t handshake_ms)
{
    int rv = o->policy ? milgi_config_set_policy(config, o->policy, NULL) : 0;
    if (!rv && o->tls_min && (!o->policy || o->versions_given))
        rv = milgi_config_set_versions(config, o->tls_min, o->tls_max);
    if (!rv && o->alpn.n)
        rv = milgi_config_set_alpn(config, o->alpn.items, o->alpn.n);
    if (!rv && o->strict_alpn)
        rv = milgi_config_set_strict_alpn(config, true);
    if (!rv && o->strict_sni)
        rv = milgi_config_set_strict_sni(config, true);
    if (!rv && o->grease)
        rv = milgi_config_set_grease(config, true);
    if (!rv && o->ems_optional)
        rv = milgi_config_set_extended_master_secret(config, false);
    if (!rv && o->staple)
        rv = milgi_config_set_ocsp(config, o->staple);
    if (!rv && o->suite_names.n)
        rv = milgi_config_set_suites(config, o->suites, o->suite_names.n);
    if (!rv && o->group_names.n)
        rv = milgi_config_set_groups(config, o->groups, o->group_names.n);
    if (!rv && o->first_records)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_RECORD_FIRST, o->first_records);
    if (!rv && o->max_message)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE, o->max_message);
    if (!rv && handshake_ms)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, handshake_ms * 1000000);
    if (rv)
        app_complain("the TLS settings: %s", milgi_error_text(rv));
    return !rv;
}

#define TICKET_LIFETIME_S 7200

/* Those that were made first stay. */
static int set_tickets(struct app_tls *tls, struct milgi_config *config, const struct app_options *o)
{
    uint8_t secret[MILGI_TICKET_SECRET_LEN];
    int rv = 0;
    if (!o->tickets)
        return 0;
    if (!tls->ticket_keys) {
        if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
            return MILGI_EINTERNAL;
        rv = milgi_ticket_keys_new(secret, TICKET_LIFETIME_S, time(NULL), &tls->ticket_keys);
        explicit_bzero(secret, sizeof secret);
    }
    if (!rv)
        rv = milgi_config_set_ticket_keys(config, tls->ticket_keys);
    return rv ? rv : milgi_config_set_tickets(config, o->tickets);
}

/* A server's, by their IDs, or what a client keeps for the next time. */
static int set_sessions(
    struct app_tls *tls, struct milgi_config *config, const struct app_options *o, enum milgi_role role)
{
    size_t limit = role == MILGI_SERVER ? o->sessions : o->session ? 8
                                                                   : 0;
    int rv = limit && !tls->sessions ? milgi_session_cache_new(limit, &tls->sessions) : 0;
    return rv || !tls->sessions ? rv : milgi_config_set_session_cache(config, tls->sessions);
}

void app_tls_renew(struct app_tls *tls)
{
    if (tls->ticket_keys)
        (void)milgi_ticket_keys_renew(tls->ticket_keys, time(NULL));
}

static bool fill_config(struct app_tls *tls, struct app_material *material, const struct app_options *o,
    enum milgi_role role, uint32_t patience_ms)
{
    const char *why = NULL;
    struct milgi_config *config = material->config;
    uint64_t handshake_ms = role == MILGI_SERVER ? o->handshake_ms : o->timeout_ms;
    if (!set_identity(material, o, patience_ms) || !app_psks_load(config, role, o, patience_ms) ||
        !set_policy(config, o, handshake_ms))
        return false;
    int rv = material->keylog ? milgi_config_set_keylog(config, write_keylog, tls) : 0;
    if (!rv)
        rv = role == MILGI_SERVER ? set_tickets(tls, config, o) : 0;
    if (!rv && o->ktls)
        rv = milgi_config_set_hand_over(config, true);
    if (!rv && tls->credit)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_CREDIT, tls->credit);
    if (!rv)
        rv = set_sessions(tls, config, o, role);
    if (!rv && role == MILGI_CLIENT)
        rv = milgi_config_set_ask(config, MILGI_DECIDE_PEER); /* which is shown, not judged */
    if (!rv)
        rv = milgi_config_freeze(config, &why);
    if (rv)
        app_complain("the TLS settings: %s", why ? why : milgi_error_text(rv));
    return !rv;
}

int app_tls_load(struct app_tls *tls, enum milgi_role role, const struct app_options *options, uint32_t patience_ms,
    struct app_material *material)
{
    *material = (struct app_material){ .config = milgi_config_new(role) };
    if (tls->keylog_name != options->keylog)
        tls->keylog_name = options->keylog;
    if (options->keylog)
        material->keylog = open_keylog(options->keylog);
    if (!material->config)
        app_complain("out of memory");
    else if ((material->keylog || !options->keylog) && fill_config(tls, material, options, role, patience_ms))
        return APP_OK;
    app_material_free(material);
    return APP_FAILED;
}

void app_material_free(struct app_material *material)
{
    milgi_config_unref(material->config);
    app_keys_forget(material);
    close_keylog(material->keylog);
    *material = (struct app_material){ 0 };
}

void app_tls_adopt(struct app_tls *tls, struct app_material *material)
{
    struct app_material before = tls->material;
    tls->material = *material;
    *material = (struct app_material){ 0 };
    app_material_free(&before);
}

/* --- engine and device ------------------------------------------------------------------------------------------ */

/* Beside the loop's own thread one for every other core, shared with other workers. */
static void default_spec(char spec[32], uint32_t workers)
{
    unsigned cores = uv_available_parallelism(), threads = (cores - 1) / workers;
    snprintf(spec, 32, "pool:%u", threads ? threads : 1);
}

static int make_device(struct app_tls *tls, const struct app_options *o)
{
    const char *why = NULL, *spec = o->device;
    char own[32];
    if (app_keyless_servers(spec)) { /* for its keys; the rest as without it */
        if (!app_keyless_new(o, &tls->keyless))
            return APP_FAILED;
        spec = NULL;
    }
    if (!spec && o->pool_by_default) {
        default_spec(own, o->workers);
        if (milgi_device_new(own, &tls->device, &why))
            app_complain("no threads beside the loop's, so it does all the crypto: %s", why ? why : "out of memory");
        if (milgi_device_new("batch", &tls->lanes, NULL) == 0 && tls->lanes->note)
            app_complain("batch: %s", tls->lanes->note);
        return APP_OK;
    }
    if (!spec || !strcmp(spec, "cpu"))
        return APP_OK;
    int rv = milgi_device_new(spec, &tls->device, &why);
    if (!rv)
        return APP_OK;
    app_complain("--device %s: %s", spec, why ? why : milgi_error_text(rv));
    return rv == MILGI_ENOMEM ? APP_FAILED : APP_USAGE;
}

/* |choose|: whatever is quick stays with the loop's own thread. */
static int route(struct milgi_engine *engine, struct milgi_device *device, enum app_records records, bool choose)
{
    int index = milgi_engine_add_device(engine, device);
    if (index < 0)
        return index;
    /* What comes from the network is to lie where the device reads it. */
    int rv = device->ops->chunk_alloc ? milgi_engine_use_memory(engine, (unsigned)index) : 0;
    if (rv)
        return rv;
    uint32_t ops = HANDSHAKE_OPS & device->caps.ops;
    rv = choose ? milgi_engine_route_first(engine, ops, 1u | 1u << index, 0)
                : milgi_engine_route(engine, ops, (unsigned)index, 0);
    if (rv || records == APP_RECORDS_CPU || !(device->caps.ops & RECORD_OPS))
        return rv;
    if (records == APP_RECORDS_DEFAULT && (choose || device->caps.min_record == UINT32_MAX))
        return 0;
    return milgi_engine_route(
        engine, RECORD_OPS & device->caps.ops, (unsigned)index, records == APP_RECORDS_DEVICE ? 1 : 0);
}

/* What they do the loop's thread does with them, unless there is so much that others had better help. */
static int route_lanes(const struct app_tls *tls)
{
    struct milgi_engine *engine = app_tls_engine(tls);
    int index = milgi_engine_add_device(engine, tls->lanes);
    if (index < 0)
        return index;
    return milgi_engine_route_first(
        engine, tls->lanes->caps.ops, 1u | 1u << index | (tls->device ? 1u << DEVICE_INDEX : 0), 0);
}

struct milgi_device *app_tls_tokens(const struct app_tls *tls)
{
    return app_keys_are_for(tls->device) ? tls->device : tls->tokens;
}

bool app_tls_use_tokens(struct app_tls *tls, struct milgi_device *device)
{
    int index = milgi_engine_add_device(app_tls_engine(tls), device);
    if (index >= 0) {
        tls->tokens = device;
        return true;
    }
    app_complain("the device for keys in tokens: %s", milgi_error_text(index));
    milgi_device_free(device);
    return false;
}

static bool start_tokens(struct app_tls *tls)
{
    struct milgi_device *there = app_tls_tokens(tls), *device = there;
    bool tried = app_keys_try(&tls->material, &device, tls->keyless);
    if (tried && device != there)
        return app_tls_use_tokens(tls, device);
    if (device != there)
        milgi_device_free(device);
    return tried;
}

/* --- its loop ----------------------------------------------------------------------------------------------------- */

struct milgi_engine *app_tls_engine(const struct app_tls *tls)
{
    return tls->ring ? app_ring_engine(tls->ring) : milgi_uv_engine(tls->uv);
}

int app_tls_accept(
    struct app_tls *tls, int fd, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    return tls->ring ? app_ring_open(tls->ring, fd, tls->material.config, events, arg, stream)
                     : milgi_uv_open(tls->uv, fd, tls->material.config, NULL, events, arg, stream);
}

static void on_stopped(void *arg)
{
    struct app_tls *tls = arg;
    tls->uv = NULL;
    tls->ring = NULL;
}

void app_tls_stop(struct app_tls *tls)
{
    if (tls->ring)
        app_ring_stop(tls->ring, on_stopped, tls);
    else if (tls->uv)
        milgi_uv_stop(tls->uv, on_stopped, tls);
}

void app_tls_run(struct app_tls *tls, uv_loop_t *loop)
{
    if (tls->ring)
        app_ring_run(tls->ring);
    else
        uv_run(loop, UV_RUN_DEFAULT);
}

static int make_loop(struct app_tls *tls, uv_loop_t *loop, const struct app_options *o)
{
    struct milgi_stream_options options;
    milgi_stream_options_init(&options);
    if (o->memory)
        options.engine.memory_limit = (size_t)o->memory;
    tls->ring = o->ring ? app_ring_new(loop, &options) : NULL;
    if (o->ring && !tls->ring)
        app_complain("--loop uring: %s: the loop is libuv's",
            errno == ENOSYS ? "not in this kernel, or this build" : strerror(errno));
    return tls->ring ? 0 : milgi_uv_new(loop, &options, &tls->uv);
}

int app_tls_start(struct app_tls *tls, uv_loop_t *loop, const struct app_options *o)
{
    int status = make_device(tls, o);
    if (status)
        return status;
    int rv = make_loop(tls, loop, o);
    if (rv) {
        app_complain("the engine: %s", milgi_error_text(rv));
        return APP_FAILED;
    }
    rv = tls->device ? route(app_tls_engine(tls), tls->device, o->records, !o->device || tls->keyless) : 0;
    if (!rv && tls->lanes)
        rv = route_lanes(tls);
    if (!rv && tls->keyless) {
        int index = milgi_engine_add_device(app_tls_engine(tls), tls->keyless);
        rv = index < 0 ? index : 0;
    }
    if (rv) {
        app_complain("--device %s: %s", o->device ? o->device : "pool", milgi_error_text(rv));
        return APP_FAILED;
    }
    return start_tokens(tls) ? APP_OK : APP_FAILED;
}

int app_tls_open(struct app_tls *tls, uv_loop_t *loop, enum milgi_role role, const struct app_options *options)
{
    *tls = (struct app_tls){ 0 };
    int status = app_tls_load(tls, role, options, APP_PATIENCE_MS, &tls->material);
    return status ? status : app_tls_start(tls, loop, options);
}

void app_tls_close(struct app_tls *tls)
{
    milgi_device_free(tls->device);
    milgi_device_free(tls->lanes);
    milgi_device_free(tls->tokens);
    milgi_device_free(tls->keyless);
    app_material_free(&tls->material);
    milgi_ticket_keys_unref(tls->ticket_keys);
    milgi_session_cache_unref(tls->sessions);
    *tls = (struct app_tls){ 0 };
}
