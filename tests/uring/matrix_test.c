/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. ctest-timeout: 900 ctest-wrap: uv_run uv_stop */
#include "room.h"

static struct room room;
static struct end clients[MATRIX_CROWD];
static unsigned clients_n, turns_n;

static void begin(const char *device, bool full)
{
    (void)full; /* nothing ends in a room because it takes long */
    room_open(&room, device);
    memset(clients, 0, sizeof clients);
    clients_n = 0;
}

static void end(void)
{
    room_close(&room);
    for (unsigned i = 0; i < clients_n; i++)
        assert_true(clients[i].gone);
    for (unsigned i = 0; i < room.served_n; i++)
        assert_true(room.served[i].gone);
}

/* Now and then the kernel has a moment. */
static void turn(bool waits)
{
    assert_true(milgi_uring_run(room.u, waits ? 20000 : turns_n++ % 8 == 0) > 0);
}

static unsigned streams(void)
{
    return milgi_uring_streams(room.u);
}

static struct milgi_engine *engine(unsigned i)
{
    return i ? NULL : milgi_uring_engine(room.u);
}

static void connect_all(struct end **ends, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        connect_to(&room, ends[2 * i] = &clients[clients_n++]);
        ends[2 * i + 1] = &room.served[i];
    }
}

static void connect_over(struct end **ends, int client, int server)
{
    struct end *c = ends[0] = &clients[clients_n++], *s = ends[1] = &room.served[room.served_n++];
    assert_int_equal(milgi_uring_open(room.u, client, room.client, "uring.test", &events, c, &c->stream), 0);
    assert_int_equal(milgi_uring_open(room.u, server, room.server, NULL, &events, s, &s->stream), 0);
}

/* Given up; or the network under it ends. */
static void break_off(struct end *e, unsigned way)
{
    if (way < END_WAYS)
        end_break_off(e, way);
    else if (e->stream)
        assert_true(!shutdown(milgi_uring_socket(e->stream), SHUT_RDWR) || !e->opened);
}

int main(void)
{
    static const struct matrix_host host = {
        .open = begin,
        .close = end,
        .connect = connect_all,
        .connect_over = connect_over,
        .turn = turn,
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
        .under_way = 0,                      /* what the kernel holds of TCP has a bound of its own */
    };
    return matrix_run(&host);
}
