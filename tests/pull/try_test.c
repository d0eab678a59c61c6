/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter without waiting: two ends in one thread, on sockets that wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "configs.h"
#include "milgi_pull.h"

struct rig {
    struct identity *root, *leaf;
    struct milgi_config *config[2];
    struct milgi_engine *engine;
    struct milgi_pull *pull[2]; /* client, server */
    int fd[2];
    unsigned established, sessions;
};

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    assert_true(info.established);
    ((struct rig *)arg)->established++;
}

static const struct milgi_events events = { .on_established = on_established };

static void rig_open(struct rig *r, bool frugal)
{
    *r = (struct rig){ 0 };
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:pull.test");
    r->config[0] = configs_freeze(configs_begin(MILGI_CLIENT, NULL, r->root));
    r->config[1] = configs_freeze(configs_begin(MILGI_SERVER, r->leaf, NULL));
    assert_int_equal(milgi_engine_new(NULL, &r->engine), 0);
    socket_pair(r->fd);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            milgi_pull_new(r->engine, r->config[i], i == 0 ? "pull.test" : NULL, r->fd[i], NULL, &r->pull[i]), 0);
        milgi_pull_set_timeout(r->pull[i], 0);
        milgi_pull_set_frugal(r->pull[i], frugal);
        milgi_pull_set_events(r->pull[i], &events, r);
    }
}

static void rig_shake(struct rig *r)
{
    int rv[2] = { MILGI_ETIMEOUT, MILGI_ETIMEOUT };
    for (int i = 0; i < 20 && (rv[0] || rv[1]); i++)
        for (int k = 0; k < 2; k++) {
            rv[k] = milgi_pull_handshake(r->pull[k]);
            assert_true(rv[k] == 0 || rv[k] == MILGI_ETIMEOUT);
        }
    assert_int_equal(rv[0], 0);
    assert_int_equal(rv[1], 0);
    assert_int_equal(milgi_pull_flush(r->pull[1]), 0);
    assert_int_equal(r->established, 2);
}

static void rig_close(struct rig *r)
{
    for (int i = 0; i < 2; i++) {
        milgi_pull_free(r->pull[i]);
        close(r->fd[i]);
    }
    assert_int_equal(milgi_engine_free(r->engine), 0);
    milgi_config_unref(r->config[0]);
    milgi_config_unref(r->config[1]);
    identity_free(r->leaf);
    identity_free(r->root);
}

static bool is_readable(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };
    return poll(&p, 1, 0) == 1;
}

static void what_cannot_be_done_now_says_what_it_waits_for(void **state)
{
    struct rig r;
    struct pollfd fds[2];
    char got[8];
    (void)state;
    rig_open(&r, false);
    assert_int_equal(milgi_pull_handshake(r.pull[0]), MILGI_ETIMEOUT);
    milgi_pull_waits(r.pull[0], fds);
    assert_int_equal(fds[0].fd, r.fd[0]);
    assert_int_equal(fds[0].events, POLLIN);
    assert_int_equal(fds[1].fd, milgi_engine_fd(r.engine));
    assert_null(milgi_pull_reason(r.pull[0]));
    rig_shake(&r);
    assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), MILGI_ETIMEOUT);
    assert_int_equal(milgi_pull_write(r.pull[0], "some", 4), 0);
    assert_int_equal(milgi_pull_pending(r.pull[1]), 0);
    assert_int_equal(milgi_pull_read(r.pull[1], got, 2), 2);
    assert_int_equal(milgi_pull_pending(r.pull[1]), 2);
    assert_int_equal(milgi_pull_peek(r.pull[1], got, sizeof got), 2);
    assert_memory_equal(got, "me", 2);
    assert_int_equal(milgi_pull_peek(r.pull[1], got, 1), 1);
    assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), 2);
    assert_int_equal(milgi_pull_shutdown(r.pull[0]), 0);
    assert_int_equal(milgi_pull_shutdown(r.pull[0]), 0);
    assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), 0);
    rig_close(&r);
}

static void a_write_is_taken_in_pieces_and_sent_when_there_is_room(void **state)
{
    struct rig r;
    struct pollfd fds[2];
    static char data[1 << 20], got[65536];
    size_t sent = 0, read = 0;
    bool full = false;
    (void)state;
    rig_open(&r, false);
    rig_shake(&r);
    while (read < sizeof data) {
        while (sent < sizeof data) {
            ssize_t n = milgi_pull_write_some(r.pull[0], data + sent, sizeof data - sent);
            if (n == MILGI_ETIMEOUT)
                break;
            assert_true(n > 0);
            sent += (size_t)n;
        }
        if (milgi_pull_flush(r.pull[0]) == MILGI_ETIMEOUT) {
            full = true;
            milgi_pull_waits(r.pull[0], fds);
            assert_true(fds[0].events & POLLOUT);
        }
        ssize_t n = milgi_pull_read(r.pull[1], got, sizeof got);
        assert_true(n > 0 || n == MILGI_ETIMEOUT);
        read += n > 0 ? (size_t)n : 0;
    }
    assert_true(full);
    assert_int_equal(milgi_pull_flush(r.pull[0]), 0);
    rig_close(&r);
}

static void who_is_frugal_leaves_the_rest_in_the_socket(void **state)
{
    char got[32];
    (void)state;
    for (int frugal = 0; frugal < 2; frugal++) {
        struct rig r;
        rig_open(&r, frugal);
        rig_shake(&r);
        for (int i = 0; i < 3; i++)
            assert_int_equal(milgi_pull_write(r.pull[0], "record", 6), 0);
        assert_int_equal(milgi_pull_write(r.pull[1], "back", 4), 0); /* takes nothing in */
        assert_int_equal(milgi_pull_pending(r.pull[1]), 0);
        assert_true(is_readable(r.fd[1]));
        assert_int_equal(milgi_pull_read(r.pull[1], got, 6), 6);
        assert_int_equal(milgi_pull_pending(r.pull[1]), frugal ? 0 : 12);
        assert_int_equal(is_readable(r.fd[1]), frugal);
        assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), frugal ? 6 : 12);
        if (frugal)
            assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), 6);
        assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), MILGI_ETIMEOUT);
        rig_close(&r);
    }
}

/* A write that has to wait for the peer is no reason to take in what that has sent, which is for who reads. */
static void who_is_frugal_takes_nothing_in_when_a_write_waits(void **state)
{
    static char block[65536];
    char got[8];
    struct rig r;
    ssize_t n;
    (void)state;
    rig_open(&r, true);
    rig_shake(&r);
    assert_int_equal(milgi_pull_write(r.pull[0], "record", 6), 0);
    while ((n = milgi_pull_write_some(r.pull[1], block, sizeof block)) > 0)
        ;
    assert_int_equal(n, MILGI_ETIMEOUT);
    assert_int_equal(milgi_pull_flush(r.pull[1]), MILGI_ETIMEOUT);
    assert_int_equal(milgi_pull_pending(r.pull[1]), 0);
    assert_true(is_readable(r.fd[1]));
    assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), 6);
    rig_close(&r);
}

/* Also that nothing is drained: the peer sends no more, and nobody waits for it. */
static void an_end_is_not_waited_for_when_nothing_is(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, true);
    rig_shake(&r);
    assert_int_equal(send(r.fd[0], "garbage, not a record", 21, 0), 21);
    char got[8];
    assert_int_equal(milgi_pull_read(r.pull[1], got, sizeof got), MILGI_EPROTO);
    assert_int_equal(milgi_pull_reason(r.pull[1])->error, MILGI_EPROTO);
    rig_close(&r);
}

/* What was taken and never sent, since the connection has failed, is not said to be sent. */
static void who_flushes_is_told_that_some_was_dropped(void **state)
{
    struct rig r;
    static char block[65536];
    ssize_t n, all = 0;
    int rv;
    (void)state;
    rig_open(&r, false);
    rig_shake(&r);
    while ((n = milgi_pull_write_some(r.pull[0], block, sizeof block)) > 0)
        all += n;
    assert_int_equal(n, MILGI_ETIMEOUT);
    assert_int_equal(send(r.fd[1], "garbage, not a record", 21, 0), 21);
    assert_int_equal(milgi_pull_read(r.pull[0], block, 1), MILGI_EPROTO);
    while ((rv = milgi_pull_flush(r.pull[0])) == MILGI_ETIMEOUT)
        while ((n = recv(r.fd[1], block, sizeof block, MSG_DONTWAIT)) > 0)
            all -= n;
    assert_int_equal(rv, MILGI_EPROTO);
    while ((n = recv(r.fd[1], block, sizeof block, MSG_DONTWAIT)) > 0)
        all -= n;
    assert_true(all > 0); /* it was so */
    assert_int_equal(milgi_pull_write(r.pull[0], "", 0), MILGI_EPROTO);
    assert_int_equal(milgi_pull_shutdown(r.pull[0]), MILGI_EPROTO);
    assert_int_equal(milgi_pull_shutdown(r.pull[0]), MILGI_EPROTO);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_done_now_says_what_it_waits_for),
        cmocka_unit_test(a_write_is_taken_in_pieces_and_sent_when_there_is_room),
        cmocka_unit_test(who_is_frugal_leaves_the_rest_in_the_socket),
        cmocka_unit_test(who_is_frugal_takes_nothing_in_when_a_write_waits),
        cmocka_unit_test(an_end_is_not_waited_for_when_nothing_is),
        cmocka_unit_test(who_flushes_is_told_that_some_was_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
