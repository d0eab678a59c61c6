/* SPDX-License-Identifier: Apache-2.0 */
/* Config, engine and device from the options. */
#include "common/tls.h"
#include "common/keys.h"
#include "common/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_SIGN) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY) | MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))

/* --- files ------------------------------------------------------------------------------------------------------ */

/* So that the complaint names the file and the reason. */
static bool readable(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        app_complain("%s: %s", file, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static bool add_credential(struct app_material *material, const char *cert, const char *key)
{
    struct milgi_credential *credential;
    bool elsewhere = milgi_credential_is_uri(key);
    if (!readable(cert) || (!elsewhere && !readable(key)))
        return false;
    int rc = milgi_credential_new_file(cert, key, &credential);
    if (!rc) {
        rc = milgi_config_add_credential(material->config, credential);
        if (!rc && !app_keys_keep(material, credential))
            rc = MILGI_ENOMEM;
        milgi_credential_unref(credential);
    }
    if (rc && elsewhere)
        app_complain("%s, with a key that is in a token: %s", cert, milgi_error_text(rc));
    else if (rc)
        app_complain("%s, %s: %s", cert, key, milgi_error_text(rc));
    return !rc;
}

static bool set_trust(struct milgi_config *config, const char *file)
{
    struct milgi_trust *trust;
    if (!readable(file))
        return false;
    int rc = milgi_trust_new_file(file, &trust);
    if (!rc) {
        rc = milgi_config_set_trust(config, trust);
        milgi_trust_unref(trust);
    }
    if (rc)
        app_complain("%s: %s", file, milgi_error_text(rc));
    return !rc;
}

/* Where it goes is looked up for every line: a reload opens the file anew. */
static void write_keylog(void *ctx, const char *line)
{
    const struct app_tls *tls = ctx;
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

static bool set_identity(struct app_material *material, const struct app_options *o)
{
    struct milgi_config *config = material->config;
    const char *ca = o->ca ? o->ca : o->client_ca;
    for (size_t i = 0; i < o->certs.n; i++)
        if (!add_credential(material, o->certs.items[i], o->keys.items[i]))
            return false;
    if (ca && !set_trust(config, ca))
        return false;
    if (o->client_auth_given && milgi_config_set_client_auth(config, o->client_auth))
        return false;
    return !o->insecure || !milgi_config_dangerously_accept_any_server(config);
}

static bool set_policy(struct milgi_config *config, const struct app_options *o, uint64_t handshake_ms)
{
    int rc = 0;
    if (o->alpn.n)
        rc = milgi_config_set_alpn(config, o->alpn.items, o->alpn.n);
    if (!rc && o->suite_names.n)
        rc = milgi_config_set_suites(config, o->suites, o->suite_names.n);
    if (!rc && o->group_names.n)
        rc = milgi_config_set_groups(config, o->groups, o->group_names.n);
    if (!rc && o->max_message)
        rc = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE, o->max_message);
    if (!rc && handshake_ms)
        rc = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, handshake_ms * 1000000);
    if (rc)
        app_complain("the TLS settings: %s", milgi_error_text(rc));
    return !rc;
}

static bool fill_config(struct app_tls *tls, struct app_material *material, const struct app_options *o,
    uint64_t handshake_ms)
{
    const char *why = NULL;
    struct milgi_config *config = material->config;
    if (!set_identity(material, o) || !set_policy(config, o, handshake_ms))
        return false;
    int rc = material->keylog ? milgi_config_set_keylog(config, write_keylog, tls) : 0;
    if (!rc)
        rc = milgi_config_freeze(config, &why);
    if (rc)
        app_complain("the TLS settings: %s", why ? why : milgi_error_text(rc));
    return !rc;
}

int app_tls_load(
    struct app_tls *tls, enum milgi_role role, const struct app_options *options, struct app_material *material)
{
    uint64_t handshake_ms = role == MILGI_SERVER ? options->handshake_ms : options->timeout_ms;
    *material = (struct app_material){ .config = milgi_config_new(role) };
    tls->keylog_name = options->keylog;
    if (options->keylog)
        material->keylog = open_keylog(options->keylog);
    if (!material->config)
        app_complain("out of memory");
    else if ((material->keylog || !options->keylog) && fill_config(tls, material, options, handshake_ms))
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

static int make_device(struct app_tls *tls, const char *spec)
{
    const char *why = NULL;
    if (!spec || !strcmp(spec, "cpu"))
        return APP_OK;
    int rc = milgi_device_new(spec, &tls->device, &why);
    if (!rc)
        return APP_OK;
    app_complain("--device %s: %s", spec, why ? why : milgi_error_text(rc));
    return rc == MILGI_ENOMEM ? APP_FAILED : APP_USAGE;
}

static int route(struct milgi_engine *engine, struct milgi_device *device, enum app_records records)
{
    int index = milgi_engine_add_device(engine, device);
    if (index < 0)
        return index;
    int rc = milgi_engine_route(engine, HANDSHAKE_OPS & device->caps.ops, (unsigned)index, 0);
    if (rc || records == APP_RECORDS_CPU || !(device->caps.ops & RECORD_OPS))
        return rc;
    if (records == APP_RECORDS_DEFAULT && device->caps.min_record == UINT32_MAX)
        return 0;
    return milgi_engine_route(
        engine, RECORD_OPS & device->caps.ops, (unsigned)index, records == APP_RECORDS_DEVICE ? 1 : 0);
}

int app_tls_start(struct app_tls *tls, uv_loop_t *loop, const struct app_options *o)
{
    int status = make_device(tls, o->device);
    if (status)
        return status;
    struct milgi_uv_options uv;
    milgi_uv_options_init(&uv);
    if (o->memory)
        uv.engine.memory_limit = (size_t)o->memory;
    int rc = milgi_uv_new(loop, &uv, &tls->uv);
    if (rc) {
        app_complain("the engine: %s", milgi_error_text(rc));
        return APP_FAILED;
    }
    rc = tls->device ? route(milgi_uv_engine(tls->uv), tls->device, o->records) : 0;
    if (rc) {
        app_complain("--device %s: %s", o->device, milgi_error_text(rc));
        return APP_FAILED;
    }
    return app_keys_try(tls, &tls->material) ? APP_OK : APP_FAILED;
}

int app_tls_open(struct app_tls *tls, uv_loop_t *loop, enum milgi_role role, const struct app_options *options)
{
    *tls = (struct app_tls){ 0 };
    int status = app_tls_load(tls, role, options, &tls->material);
    return status ? status : app_tls_start(tls, loop, options);
}

void app_tls_close(struct app_tls *tls)
{
    milgi_device_free(tls->device);
    milgi_device_free(tls->tokens);
    app_material_free(&tls->material);
    *tls = (struct app_tls){ 0 };
}
