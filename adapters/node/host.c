/* SPDX-License-Identifier: Apache-2.0 */
/* The engine in the loop of a Node.js environment: when it runs, and how it tells JavaScript. */
#include <stdlib.h>

#include "addon.h"

#define NS_PER_MS 1000000u
#define BUDGET_NS 80000u /* of a turn, which also runs what it tells: others have theirs in between */

static struct host *host_of(struct milgi_loop *loop)
{
    return (struct host *)loop;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

/* What a listener throws is the process's, as with any other event; it does not go through the library. */
static void report_exception(napi_env env)
{
    napi_value error;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

napi_value node__emit(struct host *host, enum event kind, napi_value stream, napi_value a, napi_value b)
{
    napi_value emit, self, result = NULL;
    napi_env env = host->env;
    if (host->dying)
        return NULL;
    napi_value args[] = { node__number(env, kind), stream ? stream : node__undefined(env),
        a ? a : node__undefined(env), b ? b : node__undefined(env) };
    if (napi_get_reference_value(env, host->emit, &emit) || napi_get_undefined(env, &self))
        return NULL;
    uint64_t begun = uv_hrtime();
    napi_status bad = napi_call_function(env, self, emit, 4, args, &result);
    milgi_engine_charge(host->common.engine, uv_hrtime() - begun); /* most of a turn is JavaScript */
    if (!bad)
        return result;
    report_exception(env);
    return NULL;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* A turn, or what a timer does, with ticks and promises behind it: once for all that it tells. */
static void inside(struct host *host, void (*fn)(struct milgi_loop *loop))
{
    napi_handle_scope values;
    napi_callback_scope scope;
    napi_value global;
    napi_env env = host->env;
    if (host->dying || napi_open_handle_scope(env, &values))
        return;
    if (napi_get_global(env, &global) == napi_ok &&
        napi_open_callback_scope(env, global, host->context, &scope) == napi_ok) {
        fn(&host->common);
        napi_close_callback_scope(env, scope);
        report_exception(env);
    }
    napi_close_handle_scope(env, values);
}

/* Behind a turn: signatures that JavaScript is to begin. */
static void turn(struct milgi_loop *loop)
{
    struct host *host = host_of(loop);
    napi_env env = host->env;
    struct milgi__sign sign;
    napi_handle_scope scope;
    napi_value what;
    milgi__loop_turn(loop);
    while (!host->dying && milgi__signer_next(host->signer, &sign)) {
        if (napi_open_handle_scope(env, &scope))
            return;
        bool told = napi_create_array(env, &what) == napi_ok;
        if (told) {
            napi_set_element(env, what, 0, node__number(env, (double)sign.id));
            napi_set_element(env, what, 1, node__string(env, milgi_scheme_name(sign.scheme)));
            napi_set_element(env, what, 2, node__string(env, sign.key));
            told = node__emit(host, EVENT_SIGN, NULL, what, node__bytes(env, sign.data, sign.len));
        }
        if (!told) /* nobody will sign it */
            milgi__signer_answer(host->signer, sign.id, NULL, 0);
        napi_close_handle_scope(env, scope);
    }
}

static void stay_awake(uv_idle_t *idle)
{
    (void)idle; /* being active is all it does: the loop does not sleep */
}

static void on_check(uv_check_t *check)
{
    struct host *host = check->data;
    uv_check_stop(&host->check);
    uv_idle_stop(&host->idle);
    inside(host, turn);
}

static void soon(struct milgi_loop *loop)
{
    if (host_of(loop)->dying)
        return;
    uv_check_start(&host_of(loop)->check, on_check);
    uv_idle_start(&host_of(loop)->idle, stay_awake);
}

static void on_engine_fd(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    soon(&((struct host *)poll->data)->common);
}

static void on_timer(uv_timer_t *timer)
{
    struct host *host = timer->data;
    host->timer_due = UINT64_MAX;
    inside(host, milgi__loop_timer);
}

static void set_timer(struct milgi_loop *loop, uint64_t due_ns)
{
    struct host *host = host_of(loop);
    if (due_ns == host->timer_due || host->dying)
        return;
    host->timer_due = due_ns;
    uv_timer_stop(&host->timer);
    if (due_ns == UINT64_MAX)
        return;
    uint64_t now = milgi__loop_now(loop), left = due_ns > now ? due_ns - now : 1;
    uv_update_time(host->loop);
    uv_timer_start(&host->timer, on_timer, left / NS_PER_MS + 1, 0); /* up: not before it is due */
}

void node__host_hold(struct host *host, bool on)
{
    host->holders += on ? 1 : -1u;
    if (host->dying)
        return;
    if (on && host->holders == 1)
        uv_ref((uv_handle_t *)&host->poll);
    else if (!on && !host->holders)
        uv_unref((uv_handle_t *)&host->poll);
}

static const struct milgi_loop_hooks hooks = {
    .soon = soon,
    .timer = set_timer,
    .read = node__read,
    .write = node__write,
    .shut = node__shut,
    .close = node__close,
    .unsent = node__unsent,
    .error_text = uv_strerror,
};

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void adopt(struct host *host, void *handle)
{
    ((uv_handle_t *)handle)->data = host;
    uv_unref(handle); /* what keeps the loop alive is handshakes, for which |poll| speaks, and a turn that is to come */
    host->handles++;
}

#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_ENCAPS) | \
        MILGI_OP_BIT(MILGI_OP_DECAPS) | MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))

/* What takes long goes to |spec|, what takes no longer than waking it stays here. Keys in JavaScript have a device. */
static int add_devices(struct host *host, const char *spec)
{
    struct milgi_engine *engine = host->common.engine;
    host->signer = milgi__signer_new("js");
    int rv = host->signer ? milgi_engine_add_device(engine, host->signer) : MILGI_ENOMEM;
    if (rv < 0 || !*spec)
        return rv < 0 ? rv : 0;
    rv = milgi_device_new(spec, &host->device, NULL);
    if (rv)
        return rv;
    rv = milgi_engine_add_device(engine, host->device);
    if (rv < 0)
        return rv;
    return milgi_engine_route_first(engine, HANDSHAKE_OPS, 1u | 1u << rv, 0);
}

int node__host_start(struct host *host, const char *device, uint64_t linger_ms)
{
    struct milgi_stream_options options;
    if (host->started || host->dying)
        return host->dying ? MILGI_ECLOSED : 0;
    milgi_stream_options_init(&options);
    options.budget_ns = BUDGET_NS;
    if (linger_ms)
        options.linger_ms = (uint32_t)linger_ms;
    int rv = milgi__loop_init(&host->common, &hooks, &options);
    if (rv)
        return rv;
    rv = add_devices(host, device);
    if (!rv && uv_poll_init(host->loop, &host->poll, milgi_engine_fd(host->common.engine)))
        rv = MILGI_ELIMIT;
    if (rv) {
        milgi_engine_free(host->common.engine);
        milgi_device_free(host->device);
        milgi_device_free(host->signer);
        host->common = (struct milgi_loop){ 0 };
        host->device = host->signer = NULL;
        return rv;
    }
    adopt(host, &host->poll);
    uv_check_init(host->loop, &host->check);
    adopt(host, &host->check);
    uv_idle_init(host->loop, &host->idle);
    adopt(host, &host->idle);
    uv_ref((uv_handle_t *)&host->idle);
    uv_timer_init(host->loop, &host->timer);
    adopt(host, &host->timer);
    host->timer_due = UINT64_MAX;
    uv_poll_start(&host->poll, UV_READABLE, on_engine_fd);
    host->started = true;
    return 0;
}

static void free_host(struct host *host)
{
    napi_remove_async_cleanup_hook(host->cleanup);
    milgi_engine_free(host->common.engine);
    milgi_device_free(host->device);
    milgi_device_free(host->signer);
    free(host);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct host *host = handle->data;
    if (!--host->handles)
        free_host(host);
}

/* The environment goes: no JavaScript runs any more, and the streams' objects are collected after this. */
void node__host_die(napi_async_cleanup_hook_handle handle, void *arg)
{
    struct host *host = arg;
    (void)handle;
    host->dying = true;
    if (!host->started) {
        free_host(host);
        return;
    }
    milgi__loop_stop(&host->common);
    while (host->common.streams) {
        struct node_stream *s = (struct node_stream *)host->common.streams;
        s->live = false;
        s->host = NULL;
        milgi__stream_gone(&s->common);
    }
    uv_handle_t *all[HANDLES] = { (uv_handle_t *)&host->poll, (uv_handle_t *)&host->check,
        (uv_handle_t *)&host->idle, (uv_handle_t *)&host->timer };
    for (unsigned i = 0; i < HANDLES; i++)
        uv_close(all[i], on_handle_closed);
}
