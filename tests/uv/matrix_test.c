/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. ctest-timeout: 900 */
#include "rig.h"

static struct rig rig;
static struct end clients[MATRIX_CROWD], servers[MATRIX_CROWD];
static unsigned clients_n, servers_n;

static void begin(const char *device, bool full)
{
    rig_open(&rig, device, NULL);
    if (full)
        uv_timer_stop(&rig.limit); /* ctest's is enough */
    memset(clients, 0, sizeof clients);
    memset(servers, 0, sizeof servers);
    clients_n = servers_n = 0;
}

static void end(void)
{
    rig_close(&rig);
    for (unsigned i = 0; i < clients_n; i++)
        assert_true(clients[i].gone);
    for (unsigned i = 0; i < servers_n; i++)
        assert_true(servers[i].gone);
}

static void turn(bool waits)
{
    uv_run(&rig.loop, waits ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    assert_false(rig.late);
}

/* The loop ends by itself. */
static void rest(void)
{
    run(&rig);
}

static unsigned streams(void)
{
    return milgi_uv_streams(rig.uv);
}

static struct milgi_engine *engine(unsigned i)
{
    return i ? NULL : milgi_uv_engine(rig.uv);
}

static void connect_over(struct end **ends, int client, int server)
{
    struct end *c = ends[0] = &clients[clients_n++], *s = ends[1] = &servers[servers_n++];
    assert_int_equal(milgi_uv_open(rig.uv, client, rig.client, "uv.test", &events, c, &c->stream), 0);
    assert_int_equal(milgi_uv_open(rig.uv, server, rig.server, NULL, &events, s, &s->stream), 0);
}

static void on_one_of_many(uv_stream_t *server, int status)
{
    struct end *e = &servers[servers_n++];
    assert_int_equal(status, 0);
    assert_int_equal(milgi_uv_accept(rig.uv, server, rig.server, &events, e, &e->stream), 0);
}

static void connect_crowd(struct end **ends, unsigned n)
{
    uv_tcp_t tcp;
    struct sockaddr_in address;
    struct sockaddr *to = (struct sockaddr *)&address;
    uv_tcp_init(&rig.loop, &tcp);
    assert_int_equal(uv_tcp_open(&tcp, listener(&address)), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&tcp, (int)MATRIX_CROWD, on_one_of_many), 0);
    for (unsigned i = 0; i < n; i++) {
        struct end *c = ends[2 * i] = &clients[clients_n++];
        ends[2 * i + 1] = &servers[i];
        assert_int_equal(milgi_uv_connect(rig.uv, to, rig.client, "uv.test", &events, c, &c->stream), 0);
    }
    while (servers_n < n)
        turn(true);
    uv_close((uv_handle_t *)&tcp, NULL);
    turn(false); /* its memory is ours again */
}

static void connect_all(struct end **ends, unsigned n)
{
    int fd[2];
    if (n > 1) {
        connect_crowd(ends, n);
        return;
    }
    socket_pair(fd);
    connect_over(ends, fd[0], fd[1]);
}

/* Given up; or the network under it ends. */
static void break_off(struct end *e, unsigned way)
{
    uv_os_fd_t fd;
    if (way < END_WAYS)
        end_break_off(e, way);
    else if (e->stream && !uv_fileno((uv_handle_t *)milgi_uv_tcp(e->stream), &fd))
        assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
}

int main(void)
{
    static const struct matrix_host host = {
        .open = begin,
        .close = end,
        .connect = connect_all,
        .connect_over = connect_over,
        .turn = turn,
        .rest = rest,
        .streams = streams,
        .engine = engine,
        .state = end_state,
        .send = end_send,
        .hold = end_hold,
        .take = end_take,
        .in_order = end_in_order,
        .break_off = break_off,
        .ways = END_WAYS + 1,
        .unread_max = (256 + 64 + 64) << 10, /* the credit, and what was under way */
        .under_way = 3u << 20,
    };
    uv_loop_t first; /* makes what libuv keeps for the process */
    if (uv_loop_init(&first) || uv_loop_close(&first))
        return 1;
    return matrix_run(&host);
}
