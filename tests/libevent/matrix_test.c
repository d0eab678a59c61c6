/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. ctest-timeout: 900 */
#include "rig.h"

static struct rig rig;
static struct end ends_of[2 * MATRIX_CROWD];
static int network_of[2 * MATRIX_CROWD];
static unsigned ends_n;

static void begin(const char *device, bool full)
{
    rig_open(&rig, device, NULL);
    if (full)
        event_del(rig.limit); /* ctest's is enough */
    memset(ends_of, 0, sizeof ends_of);
    ends_n = 0;
}

static void end(void)
{
    for (unsigned i = 0; i < ends_n; i++)
        end_free(&ends_of[i]);
    rig_close(&rig);
}

static void turn(bool waits)
{
    if (waits)
        step(&rig);
    else
        turns(&rig, 1);
}

static unsigned streams(void)
{
    return milgi_event_streams(rig.event);
}

static struct milgi_engine *engine(unsigned i)
{
    return i ? NULL : milgi_event_engine(rig.event);
}

static struct end *end_on(int fd, struct milgi_config *config, const char *name)
{
    struct bufferevent *bev;
    network_of[ends_n] = fd;
    struct end *e = &ends_of[ends_n++];
    assert_int_equal(milgi_bufferevent_new(rig.event, fd, config, name, 0, &bev), 0);
    end_start(&rig, e, bev);
    return e;
}

static void connect_over(struct end **ends, int client, int server)
{
    ends[0] = end_on(client, rig.client, "event.test");
    ends[1] = end_on(server, rig.server, NULL);
}

static void connect_all(struct end **ends, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int fd[2];
        socket_pair(fd);
        connect_over(&ends[2 * i], fd[0], fd[1]);
    }
}

static struct matrix_state state(const struct end *e)
{
    return (struct matrix_state){ .sent_len = e->sent_len,
        .got_len = e->got_len,
        .opened = e->connected,
        .ended = e->eof,
        .closed = e->error };
}

static void sends(struct end *e, size_t len, bool last)
{
    e->send_len = len;
    e->shut_when_sent = last;
    send_more(e);
}

static void hold(struct end *e, bool on)
{
    bufferevent_setwatermark(e->bev, EV_READ, 0, 0);
    if (on)
        bufferevent_disable(e->bev, EV_READ);
    else if (!e->eof) /* else libevent would tell of it once more */
        bufferevent_enable(e->bev, EV_READ);
}

static size_t take(struct end *e, size_t most)
{
    size_t before = e->got_len;
    bufferevent_setwatermark(e->bev, EV_READ, 0, most);
    bufferevent_enable(e->bev, EV_READ);
    turns(&rig, 1);
    bufferevent_disable(e->bev, EV_READ);
    return e->got_len - before;
}

static void in_order(const struct end *e)
{
    const struct milgi_reason *reason = milgi_bufferevent_reason(rig.event, e->bev);
    assert_true(e->eof && !e->error);
    assert_non_null(reason);
    assert_int_equal(reason->error, 0);
}

/* Freed, cut, the network under it in both directions or one. */
static void break_off(struct end *e, unsigned way)
{
    if (way == 0)
        end_free(e);
    else if (way == 1)
        (void)milgi_bufferevent_cut(rig.event, e->bev); /* it may have failed already */
    else if (milgi_bufferevent_conn(rig.event, e->bev)) /* so that it is still open */
        assert_int_equal(shutdown(network_of[e - ends_of], way == 2 ? SHUT_RDWR : SHUT_WR), 0);
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
        .state = state,
        .send = sends,
        .hold = hold,
        .take = take,
        .in_order = in_order,
        .break_off = break_off,
        .ways = 4,
        .unread_max = 0,
        .under_way = 3u << 20, /* with what the kernel holds of both pairs and the network */
    };
    return matrix_run(&host);
}
