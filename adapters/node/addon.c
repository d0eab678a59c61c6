/* SPDX-License-Identifier: Apache-2.0 */
/* What JavaScript sees of the library. */
#include <stdlib.h>

#include "addon.h"

/* start(emit, device, linger in ms): the engine; before anything else, once */
static napi_value start(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct host *host = node__host(env);
    char device[96];
    int64_t linger = 0;
    node__args(env, info, args);
    node__get_int(env, args[2], &linger);
    if (host->started || !node__get_string(env, args[1], device, sizeof device))
        return node__throw(env, MILGI_EINVAL, NULL);
    if (napi_create_reference(env, args[0], 1, &host->emit))
        return node__throw(env, MILGI_ENOMEM, NULL);
    int rv = node__host_start(host, device, (uint64_t)linger);
    if (!rv)
        return NULL;
    napi_delete_reference(env, host->emit);
    host->emit = NULL;
    return node__throw(env, rv, rv == MILGI_EINVAL ? "no such device" : NULL);
}

/* signed(number, signature, or nothing: it is refused) */
static napi_value signature_made(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct host *host = node__host(env);
    const uint8_t *data = NULL;
    size_t len = 0;
    int64_t id;
    node__args(env, info, args);
    if (!host->signer || !node__get_int(env, args[0], &id))
        return NULL;
    bool made = node__get_bytes(env, args[1], &data, &len);
    milgi__signer_answer(host->signer, (uint64_t)id, data, made ? len : 0);
    return NULL;
}

static napi_value dump(napi_env env, napi_callback_info info)
{
    struct host *host = node__host(env);
    (void)info;
    if (!host->started)
        return node__string(env, "");
    size_t len = milgi_engine_dump(host->common.engine, NULL, 0);
    char *text = malloc(len + 1);
    if (text)
        milgi_engine_dump(host->common.engine, text, len + 1);
    napi_value v = node__string(env, text);
    free(text);
    return v;
}

/* stats(): of the engine, by numbers */
static napi_value stats(napi_env env, napi_callback_info info)
{
    struct host *host = node__host(env);
    struct milgi_engine_stats *s = calloc(1, sizeof *s);
    napi_value v, devices;
    (void)info;
    if (!s || napi_create_object(env, &v) || napi_create_array(env, &devices)) {
        free(s);
        return node__undefined(env);
    }
    if (host->started)
        milgi_engine_stats(host->common.engine, s);
    node__set(env, v, "connections", node__number(env, s->conns));
    node__set(env, v, "streams", node__number(env, host->common.streams_n));
    node__set(env, v, "ops", node__number(env, s->ops_alive));
    node__set(env, v, "orphans", node__number(env, s->orphans));
    node__set(env, v, "memory", node__number(env, (double)s->memory));
    node__set(env, v, "turns", node__number(env, (double)s->turns));
    for (unsigned i = 0; i < s->devices_n; i++) {
        napi_value d;
        if (!s->device[i].name || napi_create_object(env, &d))
            continue;
        node__set(env, d, "device", node__string(env, s->device[i].spec));
        for (int type = 0; type < MILGI_OP_TYPES; type++)
            node__set(env, d, milgi_op_type_name(type), node__number(env, (double)s->device[i].completed[type]));
        napi_set_element(env, devices, i, d);
    }
    node__set(env, v, "devices", devices);
    free(s);
    return v;
}

static bool make_host(napi_env env)
{
    struct host *host = calloc(1, sizeof *host);
    napi_value name, resource;
    if (!host)
        return false;
    host->env = env;
    if (napi_get_uv_event_loop(env, &host->loop) || napi_create_object(env, &resource) ||
        napi_create_string_utf8(env, "MILGI", NAPI_AUTO_LENGTH, &name) ||
        napi_async_init(env, resource, name, &host->context) || napi_set_instance_data(env, host, NULL, NULL) ||
        napi_add_async_cleanup_hook(env, node__host_die, host, &host->cleanup)) {
        free(host);
        return false;
    }
    return true;
}

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback fn;
    } functions[] = { { "start", start }, { "dump", dump }, { "stats", stats }, { "decide", node__decide },
        { "signed", signature_made } };
    if (!make_host(env))
        return node__throw(env, MILGI_ENOMEM, NULL);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        napi_value fn;
        if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].fn, NULL, &fn) == napi_ok)
            node__set(env, exports, functions[i].name, fn);
    }
    node__set(env, exports, "Stream", node__stream_class(env));
    node__set(env, exports, "version", node__string(env, milgi_version()));
    node__config_export(env, exports);
    return exports;
}
