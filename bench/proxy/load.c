/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients: Milgi's own. Each asks again as soon as it has its answer, on the same connection or on a new one, which
 * may have to stand on the session of the one before.
 */
#include <milgi_uv.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "proxy.h"

#define AGAIN_MS 100

struct rig;

struct client {
    struct rig *rig;
    struct milgi_stream *stream;
    struct milgi_config *config;
    uint64_t begin_ns, left; /* of the answer */
    bool again;              /* there was a connection before */
};

struct rig {
    const struct load *load;
    uv_loop_t loop;
    uv_pipe_t orders;
    uv_timer_t end;
    struct milgi_uv *uv;
    struct sockaddr_in address;
    struct client *clients;
    struct bench_samples latency; /* milliseconds */
    unsigned answered;            /* clients that have had an answer, before it is counted */
    bool counting, over;
    uint64_t begin_ns, bytes, failed;
    uint8_t request[4 * REQUEST];
    size_t request_len;
};

static void begin(struct client *c);

static void must(int rv, const char *what)
{
    if (rv)
        bench_die("%s: %s", what, milgi_error_text(rv));
}

/* --- one client --------------------------------------------------------------------------------------------------- */

static void ask(struct client *c)
{
    c->left = c->rig->load->answer;
    if (milgi_stream_write(c->stream, c->rig->request, c->rig->request_len) < 0)
        c->rig->failed++;
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    struct milgi_conn_info info;
    milgi_conn_info(milgi_stream_conn(stream), &info);
    if (info.resumed != (c->again && c->rig->load->resumed))
        bench_die("a connection %s", info.resumed ? "was resumed" : "was not resumed");
    c->again = true;
    ask(c);
}

static void answered(struct client *c)
{
    struct rig *r = c->rig;
    uint64_t now = bench_now_ns();
    if (r->counting)
        bench_samples_add(&r->latency, (double)(now - c->begin_ns) / 1e6);
    else if (++r->answered == r->load->conns) {
        printf("ready\n");
        fflush(stdout);
    }
    if (r->load->new_each) {
        milgi_stream_close(c->stream);
        return;
    }
    c->begin_ns = now;
    ask(c);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct client *c = arg;
    size_t len = 0;
    for (size_t i = 0; i < slices_n; i++)
        len += slices[i].len;
    milgi_stream_consumed(stream, len);
    c->rig->bytes += c->rig->counting ? len : 0;
    if (len > c->left)
        bench_die("an answer is too long");
    c->left -= len;
    if (!c->left)
        answered(c);
}

/* Unless it has been closed here. */
static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct client *c = arg;
    (void)stream;
    if (!c->rig->over && !c->rig->failed++)
        fprintf(stderr, "bench_proxy: a connection failed: %s\n", reason->detail);
}

static void on_gone(void *arg)
{
    struct client *c = arg;
    if (!c->rig->over)
        begin(c);
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_close = on_close,
    .on_gone = on_gone,
};

static void begin(struct client *c)
{
    struct rig *r = c->rig;
    c->begin_ns = bench_now_ns();
    must(milgi_uv_connect(
             r->uv, (const struct sockaddr *)&r->address, c->config, "localhost", &events, c, &c->stream),
        "connect");
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void on_end(uv_timer_t *timer)
{
    struct rig *r = timer->data;
    double seconds = (double)(bench_now_ns() - r->begin_ns) / 1e9;
    const struct bench_samples *s = &r->latency;
    if (!s->n) { /* on a machine that has much else to do */
        uv_timer_start(timer, on_end, AGAIN_MS, 0);
        return;
    }
    printf("{\"seconds\": %.6f, \"answers\": %zu, \"bytes\": %llu, \"failed\": %llu", seconds, s->n,
        (unsigned long long)r->bytes, (unsigned long long)r->failed);
    printf(", \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n", bench_samples_percentile(s, 50), bench_samples_percentile(s, 99));
    fflush(stdout);
    r->over = true;
    uv_close((uv_handle_t *)&r->orders, NULL);
    uv_close((uv_handle_t *)&r->end, NULL);
    milgi_uv_stop(r->uv, NULL, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char room[64];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(room, sizeof room);
}

static void on_order(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct rig *r = stream->data;
    (void)buf;
    if (!len)
        return;
    uv_read_stop(stream);
    r->counting = true;
    r->begin_ns = bench_now_ns();
    uv_timer_start(&r->end, on_end, (uint64_t)(r->load->seconds * 1000), 0);
}

/* With sessions it is one client's alone. */
static struct milgi_config *make_config(bool resumed)
{
    struct milgi_session_cache *cache = NULL;
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256 }, groups[] = { MILGI_GROUP_X25519 };
    const char *why = NULL;
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    if (!config)
        bench_die("no memory");
    /* The chain is not what is measured; the signature is verified all the same. */
    must(milgi_config_dangerously_accept_any_server(config), "config");
    must(milgi_config_set_suites(config, suites, 1), "suites");
    must(milgi_config_set_groups(config, groups, 1), "groups");
    if (resumed) {
        must(milgi_session_cache_new(4, &cache), "cache");
        must(milgi_config_set_session_cache(config, cache), "cache");
        milgi_session_cache_unref(cache);
    }
    must(milgi_config_freeze(config, &why), "config");
    return config;
}

static void make_request(struct rig *r)
{
    const struct load *load = r->load;
    r->request_len = REQUEST;
    for (int i = 0; i < 8; i++)
        r->request[i] = (uint8_t)(load->answer >> 8 * i);
    if (!load->path)
        return;
    int len = snprintf((char *)r->request, sizeof r->request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", load->path);
    if (len < 0 || (size_t)len >= sizeof r->request)
        bench_die("the path is too long");
    r->request_len = (size_t)len;
}

int load_run(const struct load *load)
{
    struct rig r = { .load = load };
    make_request(&r);
    if (uv_loop_init(&r.loop) || uv_ip4_addr("127.0.0.1", (int)load->port, &r.address))
        bench_die("no loop");
    uv_timer_init(&r.loop, &r.end);
    uv_pipe_init(&r.loop, &r.orders, 0);
    r.end.data = r.orders.data = &r;
    uv_pipe_open(&r.orders, 0);
    uv_read_start((uv_stream_t *)&r.orders, on_alloc, on_order);
    must(milgi_uv_new(&r.loop, NULL, &r.uv), "engine");
    r.clients = calloc(load->conns, sizeof *r.clients);
    if (!r.clients)
        bench_die("no memory");
    for (unsigned i = 0; i < load->conns; i++) {
        r.clients[i].rig = &r;
        r.clients[i].config = make_config(load->resumed);
        begin(&r.clients[i]);
    }
    uv_run(&r.loop, UV_RUN_DEFAULT);
    uv_loop_close(&r.loop);
    for (unsigned i = 0; i < load->conns; i++)
        milgi_config_unref(r.clients[i].config);
    bench_samples_free(&r.latency);
    free(r.clients);
    return 0;
}
