/* SPDX-License-Identifier: Apache-2.0 */
#include "common/keyless.h"

#include <milgi_keyless.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "common/file.h"
#include "common/say.h"
#include "common/tls.h"

const char *app_keyless_servers(const char *spec)
{
    static const char name[] = "keyless:";
    return spec && !strncmp(spec, name, sizeof name - 1) ? spec + sizeof name - 1 : NULL;
}

const char *app_keyless_fault(const struct app_options *o)
{
    bool wanted = app_keyless_servers(o->device) != NULL;
    bool given = o->keyless_ca || o->keyless_cert || o->keyless_key || o->keyless_name;
    if (wanted && (!o->keyless_ca || !o->keyless_cert || !o->keyless_key))
        return "--device keyless: needs --keyless-ca, --keyless-cert and --keyless-key";
    return given && !wanted ? "--keyless-... needs --device keyless:HOST:PORT" : NULL;
}

struct text {
    char *data;
    size_t len;
};

static bool read_text(const char *file, struct text *text)
{
    const char *fault = app_file_read(file, APP_PATIENCE_MS, &text->data, &text->len);
    if (fault)
        app_complain("%s: %s", file, fault);
    return !fault;
}

static const char *file_of(const struct app_options *o, const struct milgi_problem *problem)
{
    return problem->file == MILGI_FILE_KEY ? o->keyless_key : o->keyless_cert;
}

static bool set_identity(struct milgi_config *config, const struct app_options *o)
{
    struct text ca = { 0 }, cert = { 0 }, key = { 0 }, word = { 0 };
    struct milgi_problem problem = { 0 };
    struct milgi_trust *trust = NULL;
    struct milgi_credential *credential = NULL;
    const char *file = o->keyless_ca;
    bool read = read_text(o->keyless_ca, &ca) && read_text(o->keyless_cert, &cert) && read_text(o->keyless_key, &key) &&
        app_file_passphrase(o->passphrase_file, APP_PATIENCE_MS, &word.data, &word.len);
    int rv = read ? milgi_trust_load_pem(ca.data, ca.len, &trust, &problem) : 0;
    if (read && !rv) {
        rv = milgi_credential_load_pem_encrypted(
            cert.data, cert.len, key.data, key.len, word.data, word.len, &credential, &problem);
        file = file_of(o, &problem);
    }
    if (read && !rv)
        rv = milgi_config_set_trust(config, trust);
    if (read && !rv)
        rv = milgi_config_add_credential(config, credential);
    if (rv)
        app_complain("%s: %s", file, *problem.text ? problem.text : milgi_error_text(rv));
    milgi_trust_unref(trust);
    milgi_credential_unref(credential);
    app_file_free(ca.data, ca.len);
    app_file_free(cert.data, cert.len);
    app_file_free(key.data, key.len);
    app_file_free(word.data, word.len);
    return read && !rv;
}

#define TOLD 16u
#define MINUTE_MS 60000u
#define IN_A_MINUTE 8u

_Static_assert(TOLD == MILGI_KEYLESS_SERVERS_MAX, "each server has its place");

/* The place of |part|; as long as there is none of it, an empty one. */
static struct app_keyless_told *told_of(struct app_keyless_told *table, const char *part)
{
    for (unsigned i = 0; i < TOLD; i++) {
        if (*table[i].part && strcmp(table[i].part, part) != 0)
            continue;
        snprintf(table[i].part, sizeof table[i].part, "%s", part);
        return &table[i];
    }
    return &table[TOLD - 1];
}

bool app_keyless_may_tell(
    struct app_keyless_told table[16], const char *part, uint64_t now_ms, unsigned *kept, bool *last)
{
    struct app_keyless_told *told = told_of(table, part);
    *kept = told->kept;
    if (!told->n || now_ms - told->since_ms >= MINUTE_MS) {
        told->n = 0;
        told->since_ms = now_ms;
    }
    bool may = told->n < IN_A_MINUTE;
    told->n += may;
    told->kept = may ? 0 : told->kept + 1;
    *last = told->n == IN_A_MINUTE;
    return may;
}

/* On the device's thread; there is one of it in a process. */
static void tell(void *ctx, struct milgi_device *device, const char *part, int code)
{
    static struct app_keyless_told table[TOLD];
    const char *text = code ? milgi_device_code_text(code) : "in use again";
    char before[64] = "";
    unsigned kept;
    bool last;
    (void)ctx;
    (void)device;
    if (!app_keyless_may_tell(table, part, uv_hrtime() / 1000000, &kept, &last))
        return;
    if (kept)
        snprintf(before, sizeof before, " (after %u changes that were not told)", kept);
    app_complain("key server %s: %s%s%s", part, text ? text : "it failed", before,
        last ? "; it changes often, and is not told of for a minute" : "");
}

bool app_keyless_new(const struct app_options *o, struct milgi_device **device)
{
    struct milgi_keyless_options options;
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    const char *why = NULL;
    *device = NULL;
    if (!config) {
        app_complain("out of memory");
        return false;
    }
    int rv = set_identity(config, o) ? milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_3) : MILGI_EFILE;
    if (!rv)
        rv = milgi_config_freeze(config, &why);
    milgi_keyless_options_init(&options);
    options.servers = app_keyless_servers(o->device);
    options.server_name = o->keyless_name;
    options.config = config;
    options.on_part = tell;
    if (!rv)
        rv = milgi_keyless_new(&options, device, &why);
    if (rv && rv != MILGI_EFILE)
        app_complain("--device %s: %s", o->device, why ? why : milgi_error_text(rv));
    milgi_config_unref(config);
    return !rv;
}
