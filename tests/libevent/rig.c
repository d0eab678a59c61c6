/* SPDX-License-Identifier: Apache-2.0 */
/* See rig.h. */
#include "rig.h"

void end_free(struct end *e)
{
    struct bufferevent *bev = e->bev;
    e->bev = NULL;
    e->freed = true;
    if (bev)
        bufferevent_free(bev);
}

void send_more(struct end *e)
{
    uint8_t block[16384];
    while (e->bev && e->sent_len < e->send_len && !evbuffer_get_length(bufferevent_get_output(e->bev))) {
        for (size_t k = 0; k < 4 && e->sent_len < e->send_len; k++) {
            size_t n = e->send_len - e->sent_len < sizeof block ? e->send_len - e->sent_len : sizeof block;
            pattern_fill(block, e->sent_len, n);
            assert_int_equal(bufferevent_write(e->bev, block, n), 0);
            e->sent_len += n;
        }
    }
    if (e->bev && e->shut_when_sent && e->sent_len == e->send_len) {
        e->shut_when_sent = false;
        assert_int_equal(milgi_bufferevent_shutdown(e->rig->event, e->bev), 0);
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct end *e = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    uint8_t block[4096];
    for (int n; (n = evbuffer_remove(input, block, sizeof block)) > 0; e->got_len += (size_t)n) {
        assert_true(is_pattern(block, e->got_len, (size_t)n));
        if (e->echoes)
            assert_int_equal(bufferevent_write(bev, block, (size_t)n), 0);
    }
    if (e->free_at == AT_READ)
        end_free(e);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct end *e = arg;
    (void)bev;
    send_more(e);
    if (e->free_at == AT_WRITE && e->sent_len)
        end_free(e);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct end *e = arg;
    const struct milgi_reason *reason = e->rig->event ? milgi_bufferevent_reason(e->rig->event, bev) : NULL;
    if (reason)
        e->reason = *reason;
    e->what = what;
    bool heard_last = what & (BEV_EVENT_EOF | BEV_EVENT_ERROR) && !(what & BEV_EVENT_WRITING);
    assert_false(heard_last && e->heard_last); /* though writing may have failed before */
    e->heard_last = e->heard_last || heard_last;
    if (what & BEV_EVENT_CONNECTED) {
        assert_false(e->connected);
        e->connected = true;
    }
    e->eof = e->eof || what & BEV_EVENT_EOF;
    e->error = e->error || what & BEV_EVENT_ERROR;
    e->timed_out = e->timed_out || what & BEV_EVENT_TIMEOUT;
    if ((what & BEV_EVENT_CONNECTED && e->free_at == AT_CONNECTED) ||
        (what & BEV_EVENT_EOF && (e->free_at == AT_EOF || e->frees_at_eof)) ||
        (what & BEV_EVENT_ERROR && e->free_at == AT_ERROR))
        end_free(e);
}

/* --- the rig ------------------------------------------------------------------------------------------------------ */

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct rig *)arg)->late = true;
}

void rig_open(struct rig *r, const char *device, const struct milgi_stream_options *options)
{
    struct timeval minute = { 50, 0 };
    struct milgi_stream_options hasty;
    milgi_stream_options_init(&hasty);
    hasty.linger_ms = 100;
    *r = (struct rig){ .descriptors = descriptors() };
    r->base = event_base_new();
    assert_non_null(r->base);
    assert_int_equal(milgi_event_new(r->base, options ? options : &hasty, &r->event), 0);
    if (device)
        r->device = device_for(milgi_event_engine(r->event), device);
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:event.test");
    r->server = configs_freeze(configs_begin(MILGI_SERVER, r->leaf, NULL));
    r->client = configs_freeze(configs_begin(MILGI_CLIENT, NULL, r->root));
    r->limit = event_new(r->base, -1, 0, on_limit, r);
    event_add(r->limit, &minute);
}

void rig_close(struct rig *r)
{
    end_free(&r->a);
    end_free(&r->b);
    run_until_streams(r, 0);
    milgi_event_free(r->event);
    event_free(r->limit);
    event_base_loop(r->base, EVLOOP_NONBLOCK);
    event_base_free(r->base);
    milgi_device_free(r->device);
    milgi_config_unref(r->server);
    milgi_config_unref(r->client);
    identity_free(r->leaf);
    identity_free(r->root);
    assert_int_equal(descriptors(), r->descriptors);
}

void end_start(struct rig *r, struct end *e, struct bufferevent *bev)
{
    e->rig = r;
    e->bev = bev;
    bufferevent_setcb(bev, on_read, on_write, on_event, e);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    send_more(e);
}

void client_on(struct rig *r, int fd)
{
    struct bufferevent *bev;
    assert_int_equal(milgi_bufferevent_new(r->event, fd, r->client, "event.test", 0, &bev), 0);
    end_start(r, &r->a, bev);
}

void server_on(struct rig *r, int fd)
{
    struct bufferevent *bev;
    assert_int_equal(milgi_bufferevent_new(r->event, fd, r->server, NULL, 0, &bev), 0);
    end_start(r, &r->b, bev);
}

void both(struct rig *r)
{
    int fd[2];
    socket_pair(fd);
    client_on(r, fd[0]);
    server_on(r, fd[1]);
}

void step(struct rig *r)
{
    assert_true(event_base_loop(r->base, EVLOOP_ONCE) >= 0);
    assert_false(r->late);
}

void run_until(struct rig *r, const bool *what)
{
    while (!*what)
        step(r);
}

void run_until_sent(struct rig *r, struct end *e, size_t len)
{
    while (e->sent_len < len)
        step(r);
}

void run_until_got(struct rig *r, struct end *e, size_t len)
{
    while (e->got_len < len)
        step(r);
}

void run_until_streams(struct rig *r, unsigned n)
{
    while (milgi_event_streams(r->event) > n)
        step(r);
}

void turns(struct rig *r, unsigned n)
{
    while (n--)
        event_base_loop(r->base, EVLOOP_NONBLOCK);
    assert_false(r->late);
}
