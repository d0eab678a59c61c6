/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi keyserver`: the process. */
#include "keyserver.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common/address.h"
#include "common/descriptors.h"
#include "common/keys.h"
#include "common/notify.h"
#include "common/say.h"

#define RELOAD_PATIENCE_MS 2000u
#define SWEEP_MS 1000u
#define BACKLOG 128
#define SPARE 64u
#define MEMORY (UINT64_C(1) << 30)
#define UNREAD 32768u /* of one client, while it may not be read from */
#define OF_MEMORY 16u /* a part that requests may have, beside what connections do */

struct load {
    struct keyserver *server;
    uv_thread_t thread;
    uv_async_t done;
    struct app_material material;
    struct keys keys;
    bool right;
};

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Nothing waits any more for whatever is not done. */
static void stop(struct keyserver *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    uv_close((uv_handle_t *)&s->on_term, NULL);
    uv_close((uv_handle_t *)&s->on_int, NULL);
    uv_close((uv_handle_t *)&s->on_hup, NULL);
    uv_close((uv_handle_t *)&s->on_usr1, NULL);
    uv_close((uv_handle_t *)&s->sweep, NULL);
    uv_close((uv_handle_t *)&s->end, NULL);
    clients_forget(s); /* whose jobs end here */
    signer_stop(&s->files);
    signer_stop(&s->tokens);
    if (s->load)
        uv_unref((uv_handle_t *)&s->load->done);
    milgi_uv_stop(s->tls.uv, NULL, NULL);
}

void keyserver_empty(struct keyserver *s)
{
    if (s->draining)
        stop(s);
}

static void on_end(uv_timer_t *timer)
{
    stop(timer->data);
}

static void deafen(struct keyserver *s)
{
    for (unsigned i = 0; i < s->listeners_n; i++)
        uv_close((uv_handle_t *)&s->listener[i], NULL);
    s->listeners_n = 0;
}

static void drain(struct keyserver *s, uint32_t ms)
{
    if (s->stopping)
        return;
    if (!s->draining)
        app_notify("STOPPING=1");
    s->draining = true;
    deafen(s);
    uv_timer_start(&s->end, on_end, ms, 0);
    clients_drain(s);
}

static void on_term(uv_signal_t *handle, int number)
{
    struct keyserver *s = handle->data;
    (void)number;
    drain(s, s->draining ? 0 : s->options->drain_ms);
}

static void on_int(uv_signal_t *handle, int number)
{
    struct keyserver *s = handle->data;
    (void)number;
    drain(s, 0);
}

/* --- reload ------------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* In a thread of its own, which may wait for ever: files may be pipes, and tokens hang. */
static void load_run(void *arg)
{
    struct load *l = arg;
    const struct keyserver *s = l->server;
    l->right = !app_tls_load(&l->server->tls, MILGI_SERVER, s->options, RELOAD_PATIENCE_MS, &l->material);
    if (l->right &&
        !(keys_load(s->options, RELOAD_PATIENCE_MS, &l->keys) && keys_try(&l->keys, s->tokens.device))) {
        app_material_free(&l->material);
        l->right = false;
    }
    uv_async_send(&l->done);
}

static void reload(struct keyserver *s);

static void load_done(uv_async_t *async)
{
    struct load *l = async->data;
    struct keyserver *s = l->server;
    uv_thread_join(&l->thread);
    s->load = NULL;
    if (l->right && !s->stopping && signers_take(s, &l->keys)) {
        struct keys before = s->keys;
        s->keys = l->keys;
        l->keys = before;
        app_tls_adopt(&s->tls, &l->material);
        app_complain("reloaded");
    } else if (!s->stopping) {
        app_complain("not reloaded: what was there stays in use");
    }
    keys_free(&l->keys);
    app_material_free(&l->material);
    if (!s->draining)
        app_notify("READY=1");
    uv_close((uv_handle_t *)&l->done, on_closed);
    if (s->reload_wanted && !s->draining)
        reload(s);
}

static void reload(struct keyserver *s)
{
    s->reload_wanted = s->load != NULL;
    struct load *l = s->load ? NULL : calloc(1, sizeof *l);
    if (s->load)
        return;
    int rv = l ? uv_async_init(&s->loop, &l->done, load_done) : UV_ENOMEM;
    if (rv) {
        free(l);
    } else {
        l->server = s;
        l->done.data = l;
        rv = uv_thread_create(&l->thread, load_run, l);
        if (rv)
            uv_close((uv_handle_t *)&l->done, on_closed);
    }
    if (rv) {
        app_complain("not reloaded: %s", uv_strerror(rv));
        return;
    }
    s->load = l;
    app_notify_reloading();
}

static void on_hup(uv_signal_t *handle, int number)
{
    struct keyserver *s = handle->data;
    (void)number;
    if (s->draining)
        app_complain("not reloaded: it ends");
    else
        reload(s);
}

/* --- what else it is told ----------------------------------------------------------------------------------------- */

static void on_usr1(uv_signal_t *handle, int number)
{
    struct keyserver *s = handle->data;
    (void)number;
    app_complain("clients %u accepted %llu refused %llu keys %zu requests %llu signed %llu errors %llu under way %u "
                 "held %zu",
        s->clients_n, (unsigned long long)s->accepted, (unsigned long long)s->refused, s->keys.n,
        (unsigned long long)s->requests, (unsigned long long)s->signed_n, (unsigned long long)s->errors,
        s->files.in_flight + s->tokens.in_flight, s->held);
}

static void on_sweep(uv_timer_t *timer)
{
    struct keyserver *s = timer->data;
    clients_sweep(s);
    app_say_again();
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static bool listen_at(struct keyserver *s, const struct app_address *address, const char *text)
{
    char shown[APP_ADDRESS_TEXT];
    struct sockaddr_storage bound;
    int len = sizeof bound;
    uv_tcp_t *tcp = &s->listener[s->listeners_n];
    if (s->listeners_n == LISTENERS) {
        app_complain("--listen: at most %u addresses", LISTENERS);
        return false;
    }
    int rv = uv_tcp_init(&s->loop, tcp);
    if (rv) {
        app_complain("%s: %s", text, uv_strerror(rv));
        return false;
    }
    s->listeners_n++;
    tcp->data = s;
    rv = uv_tcp_bind(tcp, (const struct sockaddr *)&address->socket, 0);
    if (!rv)
        rv = uv_listen((uv_stream_t *)tcp, BACKLOG, clients_accept);
    if (!rv)
        rv = uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &len);
    if (rv) {
        app_complain("%s: %s", text, uv_strerror(rv));
        return false;
    }
    app_address_text((const struct sockaddr *)&bound, shown);
    app_announce("listening on %s\n", shown);
    return true;
}

static bool listen_everywhere(struct keyserver *s)
{
    bool right = true;
    for (size_t i = 0; right && i < s->options->listen.n; i++) {
        struct app_addresses found;
        right = app_addresses_find(s->options->listen.items[i], true, &found);
        for (size_t k = 0; right && k < found.n; k++)
            right = listen_at(s, &found.items[k], s->options->listen.items[i]);
        if (found.items)
            app_addresses_free(&found);
    }
    return right;
}

/* Devices for keys in files, and in tokens if there are any: those keys are tried. False: it has complained. */
static bool make_devices(struct keyserver *s)
{
    const char *why = NULL, *spec = s->options->device ? s->options->device : "pool";
    struct milgi_device *device = NULL, *tokens = NULL;
    size_t elsewhere = keys_elsewhere(&s->keys);
    bool here = elsewhere < s->keys.n, for_tokens = !strncmp(spec, "pkcs11", 6);
    if (milgi_device_new(for_tokens && here ? "pool" : spec, &device, &why)) {
        app_complain("--device %s: %s", spec, why ? why : "out of memory");
        return false;
    }
    if (for_tokens && !here) {
        tokens = device;
        device = NULL;
    } else if ((for_tokens || elsewhere) && milgi_device_new(for_tokens ? spec : "pkcs11", &tokens, &why)) {
        app_complain("the device for keys in tokens: %s", why ? why : "out of memory");
        milgi_device_free(device);
        return false;
    }
    bool right = signer_open(&s->files, s, device);
    if (right)
        right = signer_open(&s->tokens, s, tokens);
    else
        milgi_device_free(tokens);
    return right && keys_try(&s->keys, s->tokens.device) && signers_take(s, &s->keys);
}

static void init_handles(struct keyserver *s)
{
    uv_signal_init(&s->loop, &s->on_term);
    uv_signal_init(&s->loop, &s->on_int);
    uv_signal_init(&s->loop, &s->on_hup);
    uv_signal_init(&s->loop, &s->on_usr1);
    uv_timer_init(&s->loop, &s->sweep);
    uv_timer_init(&s->loop, &s->end);
    s->on_term.data = s->on_int.data = s->on_hup.data = s->on_usr1.data = s->sweep.data = s->end.data = s;
}

static void hear(struct keyserver *s)
{
    sigset_t all;
    uv_signal_start(&s->on_term, on_term, SIGTERM);
    uv_signal_start(&s->on_int, on_int, SIGINT);
    uv_signal_start(&s->on_hup, on_hup, SIGHUP);
    uv_signal_start(&s->on_usr1, on_usr1, SIGUSR1);
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

/* TLS itself is cpu's; the devices are for the keys. */
static int start(struct keyserver *s)
{
    struct milgi_stream_options options;
    milgi_stream_options_init(&options);
    if (s->options->memory)
        options.engine.memory_limit = (size_t)s->options->memory;
    int rv = milgi_uv_new(&s->loop, &options, &s->tls.uv);
    if (rv) {
        app_complain("the engine: %s", milgi_error_text(rv));
        return APP_FAILED;
    }
    init_handles(s);
    if (!make_devices(s) || !listen_everywhere(s)) {
        deafen(s);
        stop(s);
        return APP_FAILED;
    }
    hear(s);
    app_notify("READY=1");
    return APP_OK;
}

static int serve(struct keyserver *s)
{
    if (uv_loop_init(&s->loop)) {
        app_complain("no event loop: out of descriptors or memory");
        return APP_FAILED;
    }
    int status = start(s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (s->load) { /* its thread waits for a token, perhaps for ever, and has what would be freed */
        app_say_last();
        _exit(status);
    }
    signer_close(&s->files);
    signer_close(&s->tokens);
    if (!s->files.stuck && !s->tokens.stuck)
        keys_free(&s->keys);
    signer_free(&s->files);
    signer_free(&s->tokens);
    uv_loop_close(&s->loop);
    return status;
}

int app_keyserver(const struct app_options *options)
{
    struct keyserver *s = calloc(1, sizeof *s);
    if (!s) {
        app_complain("out of memory");
        return APP_FAILED;
    }
    s->options = options;
    s->tls.credit = UNREAD;
    s->held_most = (size_t)((options->memory ? options->memory : MEMORY) / OF_MEMORY);
    app_descriptors_raise((rlim_t)options->max_conns + SPARE);
    int status = app_tls_load(&s->tls, MILGI_SERVER, options, APP_PATIENCE_MS, &s->tls.material);
    if (!status && !keys_load(options, APP_PATIENCE_MS, &s->keys))
        status = APP_FAILED;
    if (!status)
        status = serve(s);
    app_tls_close(&s->tls);
    free(s);
    return status;
}
