/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. */
#include "matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define MB (1u << 20)
#define LATE_S 50 /* for one scenario on one device; a full run has ctest's limit, or none */

bool matrix_full;
static const struct matrix_host *host;
static unsigned before; /* descriptors */
static time_t began;
static struct end *ends[2 * MATRIX_CROWD];

static void open_host(const char *device)
{
    before = descriptors();
    began = time(NULL);
    memset(ends, 0, sizeof ends);
    host->open(device, matrix_full);
}

static void close_host(void)
{
    host->close();
    assert_int_equal(descriptors(), before);
}

static void turn(bool waits)
{
    host->turn(waits);
    if (!matrix_full && time(NULL) - began > LATE_S)
        fail_msg("nothing more comes of it");
}

static struct matrix_state state(const struct end *e)
{
    return host->state(e);
}

static void until_opened(const struct end *e)
{
    while (!state(e).opened)
        turn(true);
}

static void until_ended(const struct end *e)
{
    while (!state(e).ended)
        turn(true);
}

static void until_got(const struct end *e, size_t len)
{
    while (state(e).got_len < len && !state(e).closed)
        turn(true);
    assert_int_equal(state(e).got_len, len);
}

/* A connection with which nothing has been done yet. */
static void begin(const char *device)
{
    open_host(device);
    host->connect(ends, 1);
    until_opened(ends[0]);
    until_opened(ends[1]);
}

static void end_in_order(unsigned n)
{
    for (unsigned i = 0; i < 2 * n; i++)
        until_ended(ends[i]);
    while (host->streams())
        turn(true);
    if (host->rest)
        host->rest();
    for (unsigned i = 0; i < 2 * n; i++)
        host->in_order(ends[i]);
    close_host();
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void exchange(const char *device)
{
    size_t len = matrix_full ? 100 * MB : MB;
    begin(device);
    host->send(ends[0], len, true);
    host->send(ends[1], len, true);
    until_got(ends[0], len);
    until_got(ends[1], len);
    end_in_order(1);
}

static void bytes_cross_both_ways(void **state)
{
    (void)state;
    on_each_device(exchange);
}

/* All of them are open before any sends. */
static void crowd(const char *device)
{
    unsigned n = matrix_full ? MATRIX_CROWD : 40;
    open_host(device);
    host->connect(ends, n);
    for (unsigned i = 0; i < 2 * n; i++)
        until_opened(ends[i]);
    assert_int_equal(host->streams(), 2 * n);
    for (unsigned i = 0; i < 2 * n; i++)
        host->send(ends[i], i % 2 ? 30000 : 20000, true);
    for (unsigned i = 0; i < 2 * n; i++)
        until_got(ends[i], i % 2 ? 20000 : 30000);
    end_in_order(n);
}

static void a_crowd_is_served_at_once(void **state)
{
    (void)state;
    on_each_device(crowd);
}

/* --- slow ends ---------------------------------------------------------------------------------------------------- */

static void to_slow_reader(const char *device)
{
    size_t len = matrix_full ? 32 * MB : 4 * MB, taken = 0;
    begin(device);
    host->hold(ends[1], true);
    host->send(ends[0], len, true);
    while (taken < len) {
        for (unsigned i = 0; i < 2; i++)
            turn(false);
        assert_true(state(ends[1]).got_len - taken <= host->unread_max);
        assert_true(!host->under_way || state(ends[0]).sent_len - taken < host->under_way);
        taken += host->take(ends[1], matrix_full ? 70000 : 20000);
    }
    host->hold(ends[1], false);
    until_ended(ends[1]);
    assert_int_equal(state(ends[1]).got_len, len);
    host->send(ends[1], 0, true);
    end_in_order(1);
}

static void a_slow_reader_is_waited_for(void **state)
{
    (void)state;
    on_each_device(to_slow_reader);
}

/* A hundred bytes in each turn, from before the connection is open. */
static void from_slow_writer(const char *device)
{
    size_t len = matrix_full ? 300000 : 20000;
    open_host(device);
    host->connect(ends, 1);
    if (host->crumbs)
        host->crumbs(17);
    for (size_t sent = 0; sent < len; sent = state(ends[0]).sent_len) {
        host->send(ends[0], sent + 100 < len ? sent + 100 : len, false);
        turn(false);
    }
    host->send(ends[0], len, true);
    until_ended(ends[1]);
    assert_int_equal(state(ends[1]).got_len, len);
    host->send(ends[1], 0, true);
    end_in_order(1);
}

static void a_slow_writer_is_heard(void **state)
{
    (void)state;
    on_each_device(from_slow_writer);
}

/* A network of our own: what leaves one of |fd| comes to the other. */
struct wire {
    int fd[2];
    bool over[2];
};

static void wire_connect(struct wire *w)
{
    int client[2], server[2];
    *w = (struct wire){ .over = { false, false } };
    socket_pair(client);
    socket_pair(server);
    w->fd[0] = client[1];
    w->fd[1] = server[1];
    host->connect_over(ends, client[0], server[0]);
}

/* A few bytes of what one has sent to the other, and its end behind them. */
static void wire_carry(struct wire *w, size_t most)
{
    char bytes[64];
    for (int i = 0; i < 2; i++) {
        ssize_t n = w->over[i] ? -1 : recv(w->fd[i], bytes, most, MSG_DONTWAIT);
        if (n > 0)
            assert_int_equal(send(w->fd[!i], bytes, (size_t)n, MSG_NOSIGNAL), n);
        if (n == 0 || (n < 0 && errno != EAGAIN && !w->over[i])) {
            w->over[i] = true;
            shutdown(w->fd[!i], SHUT_WR);
        }
    }
}

/* Records come in crumbs, from the first byte of the handshake on. */
static void over_slow_wire(const char *device)
{
    struct wire wire;
    open_host(device);
    if (host->connect_over) {
        wire_connect(&wire);
    } else {
        host->crumbs(1);
        host->connect(ends, 1);
    }
    host->send(ends[0], 3000, true);
    host->send(ends[1], 5000, true);
    for (unsigned turns = 0; host->streams(); turns++) {
        if (host->connect_over)
            wire_carry(&wire, 1 + turns % 41);
        else
            host->crumbs(1 + turns % 41);
        turn(false);
    }
    assert_int_equal(state(ends[0]).got_len, 5000);
    assert_int_equal(state(ends[1]).got_len, 3000);
    for (int i = 0; i < 2 && host->connect_over; i++)
        close(wire.fd[i]);
    end_in_order(1);
}

static void what_comes_in_crumbs_is_whole(void **state)
{
    (void)state;
    on_each_device(over_slow_wire);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void half_close(const char *device)
{
    for (int i = 0; i < 2; i++) {
        begin(device);
        struct end *first = ends[i], *second = ends[!i];
        host->send(first, 5000, true);
        until_ended(second);
        assert_int_equal(state(second).got_len, 5000);
        assert_false(state(first).ended || state(first).closed || state(second).closed);
        host->send(second, 300000, false);
        until_got(first, 300000);
        assert_false(state(first).ended || state(first).closed);
        host->send(second, 400000, true);
        until_ended(first);
        assert_int_equal(state(first).got_len, 400000);
        end_in_order(1);
    }
}

static void each_direction_may_end_first(void **state)
{
    (void)state;
    on_each_device(half_close);
}

/* By turns: either end, in each of the host's ways; then nothing of it is left. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (matrix_full ? 300u : 20u); when += matrix_full ? 1 : 3) {
        open_host(device);
        host->connect(ends, 1);
        host->send(ends[0], MB, false);
        host->send(ends[1], MB, false);
        for (unsigned i = 0; i < 2 * when; i++)
            turn(false);
        if (when % (host->ways + 1) < host->ways) /* else all at once, by close() */
            host->break_off(ends[!(when & 1)], when % (host->ways + 1));
        for (unsigned i = 0; i < when % 3; i++)
            turn(false);
        close_host();
    }
}

static void connections_end_suddenly_with_ops_in_flight(void **state)
{
    (void)state;
    on_each_device(host->sudden_ends ? host->sudden_ends : end_suddenly);
}

/* --- a device that goes ------------------------------------------------------------------------------------------- */

static void without_device(const char *device)
{
    struct milgi_engine *engine;
    size_t len = matrix_full ? 8 * MB : MB;
    if (!device)
        return;
    begin(device);
    host->send(ends[0], len, true);
    host->send(ends[1], len, true);
    while (state(ends[0]).got_len < len / 4 && !state(ends[0]).closed)
        turn(true);
    for (unsigned i = 0; (engine = host->engine(i)); i++)
        assert_int_equal(milgi_engine_remove_device(engine, 1, 0), 0);
    until_got(ends[0], len);
    until_got(ends[1], len);
    end_in_order(1);
}

static void a_device_that_goes_takes_nothing_with_it(void **state)
{
    (void)state;
    on_each_device(without_device);
}

int matrix_run(const struct matrix_host *of)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_both_ways),
        cmocka_unit_test(a_crowd_is_served_at_once),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(a_slow_writer_is_heard),
        cmocka_unit_test(what_comes_in_crumbs_is_whole),
        cmocka_unit_test(each_direction_may_end_first),
        cmocka_unit_test(connections_end_suddenly_with_ops_in_flight),
        cmocka_unit_test(a_device_that_goes_takes_nothing_with_it),
    };
    host = of;
    matrix_full = is_full_run();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
