/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP in a process that serves by itself: files are read, and keys in tokens tried, in a thread of their own, since
 * either may hang. The loop takes what came of it; connections that are there keep what they began with.
 */
#include "proxy.h"

#include <stdlib.h>

#include "common/keys.h"
#include "common/notify.h"
#include "common/say.h"

#define LONG_MS 10000 /* after which it is told that this takes long */

struct load {
    struct proxy *p;
    uv_thread_t thread;
    uv_async_t done;
    uv_timer_t slow;
    unsigned handles_n;
    struct app_material material;
    struct milgi_device *there, *tokens; /* the device for keys in tokens: that which is there, or a new one */
    bool right;
};

static void on_closed(uv_handle_t *handle)
{
    struct load *l = handle->data;
    if (!--l->handles_n)
        free(l);
}

static void close_handles(struct load *l)
{
    uv_close((uv_handle_t *)&l->done, on_closed);
    uv_close((uv_handle_t *)&l->slow, on_closed);
}

/* In the thread. */
static void run(void *arg)
{
    struct load *l = arg;
    l->right = !app_tls_load(&l->p->tls, MILGI_SERVER, l->p->options, RELOAD_PATIENCE_MS, &l->material) &&
        app_keys_try(&l->material, &l->tokens, l->p->tls.keyless);
    uv_async_send(&l->done);
}

static void drop(struct load *l)
{
    app_material_free(&l->material);
    if (l->tokens != l->there)
        milgi_device_free(l->tokens);
}

static void let_go(void *arg)
{
    (void)arg;
}

static void take(struct load *l)
{
    struct proxy *p = l->p;
    if (l->right && l->tokens != l->there) {
        struct milgi_device *tokens = l->tokens;
        l->tokens = l->there;
        l->right = app_tls_use_tokens(&p->tls, tokens);
    }
    if (!l->right) {
        drop(l);
        app_complain("not reloaded: what was there stays in use");
        return;
    }
    app_tls_adopt(&p->tls, &l->material);
    /* An engine that has nothing to do would keep the keys that were replaced. */
    if (milgi_engine_post(app_tls_engine(&p->tls), let_go, NULL))
        app_complain("not enough memory: replaced keys stay in memory until the next connection");
    app_complain("reloaded");
}

static void on_done(uv_async_t *async)
{
    struct load *l = async->data;
    struct proxy *p = l->p;
    uv_thread_join(&l->thread);
    p->load = NULL;
    if (p->stopping)
        drop(l);
    else
        take(l);
    if (!p->draining && !p->stopping)
        app_notify("READY=1");
    close_handles(l);
    if (p->reload_wanted)
        proxy_reload(p);
}

static void on_slow(uv_timer_t *timer)
{
    (void)timer;
    app_complain("the reload takes long: what was there stays in use meanwhile");
}

void proxy_reload(struct proxy *p)
{
    if (p->stopping)
        return;
    access_log_open(&p->log, p->options);
    trace_open(&p->trace, p->options->trace, app_tls_engine(&p->tls));
    if (p->draining)
        return;
    p->reload_wanted = p->load != NULL;
    struct load *l = p->load ? NULL : calloc(1, sizeof *l);
    if (p->load)
        return;
    if (!l) {
        app_complain("not reloaded: out of memory");
        return;
    }
    l->p = p;
    l->there = l->tokens = app_tls_tokens(&p->tls);
    l->handles_n = 2;
    l->done.data = l->slow.data = l;
    uv_timer_init(&p->loop, &l->slow);
    int rv = uv_async_init(&p->loop, &l->done, on_done);
    if (rv) {
        l->handles_n = 1;
        uv_close((uv_handle_t *)&l->slow, on_closed);
    } else if ((rv = uv_thread_create(&l->thread, run, l))) {
        close_handles(l);
    }
    if (rv) {
        app_complain("not reloaded: %s", uv_strerror(rv));
        return;
    }
    p->load = l;
    app_notify_reloading();
    uv_timer_start(&l->slow, on_slow, LONG_MS, 0);
}

void proxy_reload_forget(struct proxy *p)
{
    p->reload_wanted = false;
    if (!p->load)
        return;
    uv_unref((uv_handle_t *)&p->load->done);
    uv_timer_stop(&p->load->slow);
}
