/* SPDX-License-Identifier: Apache-2.0 */
/* Milgi's server: its engine in an event loop of the same kind as the others', the device behind its router. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <milgi/milgi.h>

#include "offload.h"

#define OF_ENGINE UINT64_MAX
#define OF_STOP (UINT64_MAX - 1)
#define READ_SIZE 4096u
#define HANDSHAKE_NS (3600 * UINT64_C(1000000000))

struct server;
struct end {
    struct server *server;
    int fd;
    struct milgi_conn *conn; /* NULL: no handshake */
};
struct server {
    struct scene *scene;
    struct milgi_engine *engine;
    struct milgi_config *config;
    struct end *ends;
    unsigned device;
    int epoll;
    bool runnable;
};

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct end *end = arg;

    milgi_conn_output_done(conn, send_all(end->fd, iov, iov_n));
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct end *end = arg;

    end->conn = NULL;
    milgi_conn_free(conn);
    answer_done(end->fd);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    (void)arg;
    bench_die("milgi, server: closed: %s: %s", milgi_error_text(reason->error), reason->detail);
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_established = on_established,
    .on_closed = on_closed,
};

static void schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    *(bool *)ctx = true;
}

static void readable(struct end *end)
{
    struct server *server = end->server;

    if (!end->conn)
        must_milgi(milgi_conn_new(server->engine, server->config, NULL, &events, end, &end->conn), "connection");
    struct milgi_chunk *chunk = milgi_conn_chunk(end->conn, READ_SIZE);
    if (!chunk)
        bench_die("milgi: no chunk");
    ssize_t len = read(end->fd, milgi_chunk_data(chunk), READ_SIZE);
    if (len <= 0) {
        milgi_chunk_unref(chunk);
        return;
    }
    must_milgi(milgi_conn_receive(end->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len }),
        "receive");
}

static void gauge(struct server *server)
{
    struct milgi_engine_stats stats;

    if (!server->scene->gauged)
        return;
    milgi_engine_stats(server->engine, &stats);
    atomic_store(&server->scene->parked,
        stats.device[server->device].in_flight + stats.device[server->device].waiting);
}

/* How long the loop may sleep: NULL: for ever. */
static const struct timespec *patience(const struct milgi_run_result *result, struct timespec *ts)
{
    uint64_t now = bench_now_ns();
    uint64_t ns = result->next == MILGI_RUN_WAIT && result->deadline_ns > now ? result->deadline_ns - now : 0;

    if (result->next == MILGI_RUN_IDLE)
        return NULL;
    ts->tv_sec = (time_t)(ns / 1000000000u);
    ts->tv_nsec = (long)(ns % 1000000000u);
    return ts;
}

static void turn(struct server *server, struct milgi_run_result *result)
{
    struct epoll_event got[EVENTS];
    struct timespec ts;
    int n = epoll_pwait2(server->epoll, got, EVENTS, patience(result, &ts), NULL);

    if (n < 0 && errno != EINTR)
        must_system(n, "epoll_pwait2");
    for (int i = 0; i < n; i++) {
        if (got[i].data.u64 < OF_STOP)
            readable(&server->ends[got[i].data.u64]);
    }
    server->runnable = false;
    must_milgi(milgi_engine_run(server->engine, 0, result), "run");
    if (server->runnable)
        result->next = MILGI_RUN_AGAIN;
    gauge(server);
}

/* --- made and unmade -------------------------------------------------------------------------------------------- */

static struct milgi_config *config_of(const struct bench_cert *cert)
{
    static const uint16_t group = MILGI_GROUP_X25519, suite = MILGI_SUITE_AES_128_GCM_SHA256;
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    struct milgi_credential *credential = credential_of(cert);
    const char *why = "";

    if (!config)
        bench_die("out of memory");
    must_milgi(milgi_config_set_suites(config, &suite, 1), "suites");
    must_milgi(milgi_config_set_groups(config, &group, 1), "groups");
    must_milgi(milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, HANDSHAKE_NS), "limit");
    must_milgi(milgi_config_add_credential(config, credential), "credential");
    milgi_credential_unref(credential);
    if (milgi_config_freeze(config, &why) != 0)
        bench_die("milgi: config: %s", why);
    return config;
}

static void set_up(struct server *server)
{
    struct scene *scene = server->scene;
    struct milgi_engine_options options;

    milgi_engine_options_init(&options);
    options.schedule = schedule;
    options.schedule_ctx = &server->runnable;
    options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = 0;
    options.op_timeout_ns[MILGI_OP_CLASS_RECORDS] = 0;
    must_milgi(milgi_engine_new(&options, &server->engine), "engine");
    server->config = config_of(scene->cert);
    server->device = (unsigned)must_milgi(milgi_engine_add_device(server->engine, scene->device), "device");
    must_milgi(milgi_engine_route(server->engine, MILGI_OP_BIT(MILGI_OP_SIGN), server->device, 0), "route");
    server->epoll = must_system(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    server->ends = calloc(scene->n, sizeof *server->ends);
    if (!server->ends)
        bench_die("out of memory");
    for (unsigned i = 0; i < scene->n; i++) {
        server->ends[i] = (struct end){ server, scene->fd[i], NULL };
        loop_watch(server->epoll, scene->fd[i], i);
    }
    loop_watch(server->epoll, milgi_engine_fd(server->engine), OF_ENGINE);
    loop_watch(server->epoll, scene->stop_fd, OF_STOP);
}

static void serve(struct scene *scene)
{
    struct server server = { .scene = scene };
    struct milgi_run_result result = { .next = MILGI_RUN_AGAIN };

    set_up(&server);
    atomic_store(&scene->ready, true);
    while (!atomic_load_explicit(&scene->stop, memory_order_relaxed))
        turn(&server, &result);
    struct milgi_engine_stats stats;
    milgi_engine_stats(server.engine, &stats);
    const struct milgi_device_stats *device = &stats.device[server.device];
    if (device->broken + device->lost + device->rerun + device->spilled > 0)
        bench_die("milgi: the device did not do all signatures");
    atomic_store(&scene->refused, device->full);
    for (unsigned i = 0; i < scene->n; i++) {
        if (server.ends[i].conn)
            milgi_conn_free(server.ends[i].conn);
    }
    must_milgi(milgi_engine_free(server.engine), "freeing the engine");
    milgi_config_unref(server.config);
    close(server.epoll);
    free(server.ends);
}

const struct design design_milgi = {
    .name = "milgi",
    .title = "Milgi",
    .fds = 1,
    .serve = serve,
};

const struct design design_milgi_verify = {
    .name = "milgi-verify",
    .title = "Milgi, verifying",
    .verifies = true,
    .fds = 1,
    .serve = serve,
};
