/* SPDX-License-Identifier: Apache-2.0 */
/* The load: a closed loop of Milgi clients in one thread, the same before every design. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <milgi/milgi.h>

#include "offload.h"

#define OF_ENGINE UINT64_MAX
#define OF_STOP (UINT64_MAX - 1)
#define READ_SIZE 4096u
#define HANDSHAKE_NS (3600 * UINT64_C(1000000000))

struct crowd;
struct client {
    struct crowd *crowd;
    int fd;
    struct milgi_conn *conn; /* NULL: established, waits for ACK */
    uint64_t began_ns;
    unsigned received; /* bytes of this handshake */
    unsigned flight;   /* plain: which is awaited */
};
struct crowd {
    struct clients *clients;
    struct milgi_engine *engine;
    struct milgi_config *config;
    struct milgi_device *device;
    struct client *all;
    unsigned started;
    int epoll;
    bool runnable;
};

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct client *client = arg;
    struct flights *flights = &client->crowd->clients->flights;
    size_t len = send_all(client->fd, iov, iov_n);

    if (client->received == 0)
        flights->hello = (unsigned)len;
    else
        flights->finished = (unsigned)len;
    milgi_conn_output_done(conn, len);
}

static void note_latency(struct client *client)
{
    struct clients *clients = client->crowd->clients;

    if (atomic_load_explicit(&clients->sampling, memory_order_relaxed))
        bench_samples_add(&clients->us, (double)(bench_now_ns() - client->began_ns) / 1e3);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct client *client = arg;

    (void)conn;
    client->crowd->clients->flights.answer = client->received;
    note_latency(client);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct client *client = arg;

    (void)conn;
    if (!atomic_load(&client->crowd->clients->stop))
        bench_die("milgi, client: closed: %s: %s", milgi_error_text(reason->error), reason->detail);
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_established = on_established,
    .on_closed = on_closed,
};

static void start(struct client *client)
{
    struct crowd *crowd = client->crowd;

    client->received = 0;
    client->began_ns = bench_now_ns();
    must_milgi(milgi_conn_new(crowd->engine, crowd->config, "localhost", &events, client, &client->conn), "connection");
}

static void again(struct client *client)
{
    milgi_conn_free(client->conn);
    client->conn = NULL;
    atomic_fetch_add_explicit(&client->crowd->clients->finished, 1, memory_order_relaxed);
    start(client);
}

static void readable(struct client *client)
{
    struct milgi_conn_info info;
    struct milgi_chunk *chunk = milgi_conn_chunk(client->conn, READ_SIZE);

    if (!chunk)
        bench_die("milgi: no chunk");
    ssize_t len = read(client->fd, milgi_chunk_data(chunk), READ_SIZE);
    milgi_conn_info(client->conn, &info);
    if (len > 0 && info.established && milgi_chunk_data(chunk)[0] == ACK) {
        milgi_chunk_unref(chunk);
        again(client);
        return;
    }
    if (len <= 0) {
        milgi_chunk_unref(chunk);
        if (len == 0 && !atomic_load(&client->crowd->clients->stop))
            bench_die("the server has gone");
        return;
    }
    client->received += (unsigned)len;
    must_milgi(milgi_conn_receive(client->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len }),
        "receive");
}

static void schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    *(bool *)ctx = true;
}

static struct milgi_config *client_config(void)
{
    static const uint16_t group = MILGI_GROUP_X25519, suite = MILGI_SUITE_AES_128_GCM_SHA256;
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    const char *why = "";

    if (!config)
        bench_die("out of memory");
    must_milgi(milgi_config_set_suites(config, &suite, 1), "suites");
    must_milgi(milgi_config_set_groups(config, &group, 1), "groups");
    must_milgi(milgi_config_dangerously_accept_any_server(config), "trust");
    must_milgi(milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, HANDSHAKE_NS), "limit");
    /* As OpenSSL's servers answer with a CCS then: bytes that nobody needs. */
    must_milgi(milgi_config_set_middlebox(config, false), "middlebox");
    if (milgi_config_freeze(config, &why) != 0)
        bench_die("milgi: config: %s", why);
    return config;
}

static void set_up(struct crowd *crowd)
{
    struct clients *clients = crowd->clients;

    crowd->epoll = must_system(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    crowd->all = calloc(clients->n, sizeof *crowd->all);
    if (!crowd->all)
        bench_die("out of memory");
    for (unsigned i = 0; i < clients->n; i++) {
        crowd->all[i].crowd = crowd;
        crowd->all[i].fd = clients->fd[i];
        loop_watch(crowd->epoll, clients->fd[i], i);
    }
    loop_watch(crowd->epoll, clients->stop_fd, OF_STOP);
}

static void set_up_engine(struct crowd *crowd)
{
    const uint32_t ops = MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_VERIFY);
    struct milgi_engine_options options;

    milgi_engine_options_init(&options);
    options.schedule = schedule;
    options.schedule_ctx = &crowd->runnable;
    must_milgi(milgi_engine_new(&options, &crowd->engine), "engine");
    crowd->config = client_config();
    crowd->device = cheap_device_new();
    unsigned index = (unsigned)must_milgi(milgi_engine_add_device(crowd->engine, crowd->device), "device");
    must_milgi(milgi_engine_route(crowd->engine, ops, index, 0), "route");
    loop_watch(crowd->epoll, milgi_engine_fd(crowd->engine), OF_ENGINE);
}

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

/* Those that are wanted by now. */
static void start_more(struct crowd *crowd, void (*one)(struct client *))
{
    while (crowd->started < atomic_load_explicit(&crowd->clients->wanted, memory_order_relaxed))
        one(&crowd->all[crowd->started++]);
}

static void turn(struct crowd *crowd, struct milgi_run_result *result)
{
    struct epoll_event got[EVENTS];
    struct timespec ts;
    int n = epoll_pwait2(crowd->epoll, got, EVENTS, patience(result, &ts), NULL);

    if (n < 0 && errno != EINTR)
        must_system(n, "epoll_pwait2");
    for (int i = 0; i < n; i++) {
        if (got[i].data.u64 < OF_STOP)
            readable(&crowd->all[got[i].data.u64]);
    }
    start_more(crowd, start);
    crowd->runnable = false;
    must_milgi(milgi_engine_run(crowd->engine, 0, result), "run");
    if (crowd->runnable)
        result->next = MILGI_RUN_AGAIN;
}

void clients_run(struct clients *clients)
{
    struct crowd crowd = { .clients = clients };
    struct milgi_run_result result = { .next = MILGI_RUN_AGAIN };

    set_up(&crowd);
    set_up_engine(&crowd);
    start_more(&crowd, start);
    while (!atomic_load_explicit(&clients->stop, memory_order_relaxed))
        turn(&crowd, &result);
    for (unsigned i = 0; i < crowd.started; i++)
        milgi_conn_free(crowd.all[i].conn);
    must_milgi(milgi_engine_free(crowd.engine), "freeing the engine");
    milgi_device_free(crowd.device);
    milgi_config_unref(crowd.config);
    close(crowd.epoll);
    free(crowd.all);
}

/* --- without TLS ------------------------------------------------------------------------------------------------ */

static void send_filler(struct client *client, size_t len)
{
    static const uint8_t filler[65536];

    (void)send_all(client->fd, &(struct milgi_iov){ filler, len }, 1);
}

static void plain_start(struct client *client)
{
    client->received = client->flight = 0;
    client->began_ns = bench_now_ns();
    send_filler(client, client->crowd->clients->flights.hello);
}

static void plain_readable(struct client *client)
{
    static uint8_t bytes[READ_SIZE];
    struct clients *clients = client->crowd->clients;
    ssize_t len = read(client->fd, bytes, sizeof bytes);

    if (len <= 0)
        return;
    if (client->flight == 1) {
        atomic_fetch_add_explicit(&clients->finished, 1, memory_order_relaxed);
        plain_start(client);
        return;
    }
    client->received += (unsigned)len;
    if (client->received < clients->flights.answer)
        return;
    send_filler(client, clients->flights.finished);
    note_latency(client);
    client->flight = 1;
}

void clients_run_plain(struct clients *clients)
{
    struct crowd crowd = { .clients = clients };
    struct epoll_event got[EVENTS];

    set_up(&crowd);
    start_more(&crowd, plain_start);
    while (!atomic_load_explicit(&clients->stop, memory_order_relaxed)) {
        int n = epoll_wait(crowd.epoll, got, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            must_system(n, "epoll_wait");
        for (int i = 0; i < n; i++) {
            if (got[i].data.u64 < OF_STOP)
                plain_readable(&crowd.all[got[i].data.u64]);
        }
    }
    close(crowd.epoll);
    free(crowd.all);
}
