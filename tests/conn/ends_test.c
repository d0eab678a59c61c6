/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end when much is still on its way, and what they leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

#define ALERT_RECORD 7 /* bytes, in the clear */

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

static struct milgi_config *config(enum milgi_role role)
{
    static const char *const protocols[] = { "h2", "http/1.1" };
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_alpn(c, protocols, 2), 0);
    return c;
}

/* Takes the configs. */
static void begin(struct milgi_config *client_config, struct milgi_config *server_config, const char *server_device,
    const struct milgi_engine_options *options)
{
    struct pair_setup setup = { .config = { fake_freeze(client_config), fake_freeze(server_config) },
        .device = { NULL, server_device },
        .options = options,
        .server_name = "server.test",
        .seed = 3,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(client_config);
    milgi_config_unref(server_config);
}

static void establish(void)
{
    pair_settle(&pair);
    assert_true(client->established);
    assert_true(server->established);
}

/* What the client says last, all of it staged at the server, and the end of the transport behind it. */
static void stage_the_end(size_t len)
{
    static const uint8_t data[40000];
    struct milgi_run_result result;
    assert_int_equal(milgi_conn_write(client->conn, data, len), 0);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    while (pair_run(client, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_true(client->wire.len > len);
    assert_int_equal(milgi_engine_run(server->engine, 0, &result), 0);
    pair_feed(server, client->wire.p, client->wire.len);
    pair_bytes_drop(&client->wire, client->wire.len);
    assert_int_equal(milgi_conn_receive_eof(server->conn, 0), 0);
}

static void check_the_end(size_t len)
{
    assert_int_equal(server->got.len, len);
    assert_int_equal(server->alerts_n, 1);
    assert_int_equal(server->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
    assert_false(server->closed); /* its own half is still open */
}

static void an_end_behind_a_turn_that_came_to_nothing_cuts_nothing_off(void **state)
{
    (void)state;
    begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
    establish();
    stage_the_end(40000);
    pair.budget_ns = 100; /* what another connection has left over of a turn */
    for (unsigned i = 0; i < 100; i++)
        pair_run(server, NULL);
    check_the_end(40000); /* and so little is enough to get there */
    pair_fini(&pair);
}

/* The turn's time is up when the application has just made room for more. */
static void an_end_behind_data_that_waited_for_credit_cuts_nothing_off(void **state)
{
    (void)state;
    for (uint64_t budget_ns = 100; budget_ns < 20000; budget_ns += 100) {
        struct milgi_config *s = config(MILGI_SERVER);
        assert_int_equal(milgi_config_set_limit(s, MILGI_LIMIT_CREDIT, 1024), 0);
        begin(config(MILGI_CLIENT), s, NULL, NULL);
        establish();
        stage_the_end(40000);
        pair.budget_ns = budget_ns;
        for (unsigned i = 0; i < 100; i++)
            pair_run(server, NULL);
        check_the_end(40000);
        pair_fini(&pair);
    }
}

/* What the network still brings while something else is told: the rest of the bytes, and its end right behind them. */
static struct {
    const char *event;
    size_t rest; /* at the end of what the client has put out */
    unsigned told;
} late;

static void bring_the_rest(struct pair_side *side, const char *event)
{
    if (strcmp(event, late.event) != 0 || !late.rest)
        return;
    size_t rest = late.rest;
    late.rest = 0;
    late.told++;
    pair_feed(side, client->wire.p + client->wire.len - rest, rest);
    assert_int_equal(milgi_conn_receive_eof(side->conn, 0), 0);
}

static void echo(struct pair_side *side, const struct milgi_slice *slices, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(milgi_conn_write(side->conn, slices[i].data, slices[i].len) >= 0);
}

static void an_end_that_is_read_in_a_callback_cuts_nothing_off(void **state)
{
    static const char *const events[] = { "data", "output", "pause", "resume", "room" };
    static const uint8_t data[60000];
    (void)state;
    for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++) {
        unsigned before = late.told;
        for (size_t rest = 25; rest < 50000; rest += 1013) {
            struct milgi_config *s = config(MILGI_SERVER);
            assert_int_equal(milgi_config_set_limit(s, MILGI_LIMIT_INPUT, 1024), 0);
            assert_int_equal(milgi_config_set_limit(s, MILGI_LIMIT_OUTPUT, 1024), 0);
            begin(config(MILGI_CLIENT), s, NULL, NULL);
            establish();
            server->on_data = echo;
            server->on_event = bring_the_rest;
            late.event = events[i];
            assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
            assert_int_equal(milgi_conn_shutdown(client->conn), 0);
            while (pair_run(client, NULL) == MILGI_RUN_AGAIN)
                continue;
            late.rest = rest;
            pair_feed(server, client->wire.p, client->wire.len - rest);
            for (unsigned n = 0; n < 20; n++)
                pair_run(server, NULL);
            if (!late.rest)
                check_the_end(sizeof data);
            late.rest = 0;
            pair_bytes_drop(&client->wire, client->wire.len);
            pair_fini(&pair);
        }
        assert_true(late.told - before > 3); /* else nothing was tried */
    }
}

static void an_end_while_there_is_no_memory_cuts_nothing_off(void **state)
{
    (void)state;
    struct milgi_engine_options options;
    struct milgi_chunk *chunk[64];
    size_t n = 0;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    begin(config(MILGI_CLIENT), config(MILGI_SERVER), "sim:latency=1us,depth=8", &options);
    establish();
    stage_the_end(40000);
    for (size_t size = MILGI_CHUNK_MAX; size >= 512; size /= 2) {
        while (n < 64 && (chunk[n] = milgi_chunk_new(server->engine, size)))
            n++;
    }
    assert_true(n > 0 && n < 64);
    pair_settle(&pair);
    assert_false(server->closed);
    while (n > 0)
        milgi_chunk_unref(chunk[--n]);
    pair_settle(&pair);
    check_the_end(40000);
    pair_fini(&pair);
}

/* --- the end of the transport ------------------------------------------------------------------------------------- */

static const char *const devices[] = { NULL, "sim:latency=100us,units=4,depth=8,order=out,jitter=200us,seed=2" };

/* What the other one has to say is staged at |side|. */
static void stage_for(struct pair_side *side)
{
    struct pair_side *from = pair_other(side);
    uint64_t until_ns = pair.now_ns + 10000000, deadline_ns = 0;
    while (pair_run(from, &deadline_ns) == MILGI_RUN_AGAIN || deadline_ns < until_ns) /* it may have a device */
        pair.now_ns = deadline_ns < until_ns && deadline_ns > pair.now_ns ? deadline_ns : pair.now_ns;
    pair_feed(side, from->wire.p, from->wire.len);
    pair_bytes_drop(&from->wire, from->wire.len);
}

static void data_for(struct pair_side *side, size_t len)
{
    static const uint8_t data[40000];
    assert_int_equal(milgi_conn_write(pair_other(side)->conn, data, len), 0);
    stage_for(side);
}

static void end_of(struct pair_side *side, int error)
{
    uint8_t byte = 0;
    assert_int_equal(milgi_conn_receive_eof(side->conn, error), 0);
    assert_int_equal(milgi_conn_receive_eof(side->conn, error), MILGI_ECLOSED);
    assert_int_equal(pair_feed(side, &byte, 1), MILGI_ECLOSED);
}

static void expect_cut(const struct pair_side *side, int error)
{
    assert_true(side->closed);
    assert_int_equal(side->reason.error, error ? MILGI_ETRANSPORT : MILGI_ETRUNCATED);
    assert_int_equal(side->reason.cls, milgi_error_class(side->reason.error));
    assert_int_equal(side->reason.device_code, error);
    assert_int_equal(side->reason.alert, MILGI_ALERT_NONE);
    assert_int_equal(side->reason.op, -1);
    assert_int_equal(side->wire.len, 0); /* nobody is there who could be told */
}

static void an_end_without_close_notify_is_told_behind_all_that_came(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8; n++) {
        struct pair_side *side = &pair.side[n & 1];
        int error = n & 2 ? 104 : 0;
        begin(config(MILGI_CLIENT), config(MILGI_SERVER), devices[n >> 2], NULL);
        establish();
        size_t wire = side->wire.len;
        assert_int_equal(wire, 0);
        data_for(side, 40000);
        end_of(side, error);
        assert_false(side->closed);
        pair_settle(&pair);
        assert_int_equal(side->got.len, 40000);
        assert_int_equal(side->alerts_n, 0);
        expect_cut(side, error);
        pair_fini(&pair);
    }
}

static void an_end_in_the_handshake_is_a_cut_too(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 400; bytes += 50) {
        for (int error = 0; error < 2; error++) {
            begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
            pair_run(client, NULL);
            if (bytes)
                (void)pair_carry(client, bytes);
            pair_run(server, NULL);
            if (client->wire.len) { /* not all of the first message */
                end_of(server, error);
                pair_settle_until(&pair, pair.now_ns);
                expect_cut(server, error);
            }
            (void)pair_carry(server, bytes);
            end_of(client, error);
            pair_settle_until(&pair, pair.now_ns);
            expect_cut(client, error);
            assert_string_equal(client->reason.detail, "the transport ended during the handshake");
            pair_fini(&pair);
        }
    }
}

static void an_end_behind_close_notify_is_in_order(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 16; n++) {
        struct pair_side *side = &pair.side[n & 1], *peer = &pair.side[!(n & 1)];
        begin(config(MILGI_CLIENT), config(MILGI_SERVER), devices[n >> 3], NULL);
        establish();
        assert_int_equal(milgi_conn_shutdown(peer->conn), 0);
        stage_for(side);
        if (n & 2) /* else both come at once */
            pair_settle(&pair);
        assert_int_equal(milgi_conn_receive_eof(side->conn, n & 4 ? 104 : 0), 0);
        pair_settle(&pair);
        assert_int_equal(milgi_conn_receive_eof(side->conn, 0), MILGI_ECLOSED);
        assert_int_equal(side->alerts_n, 1);
        assert_int_equal(side->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
        assert_false(side->closed);
        /* Our own half is open still. */
        data_for(peer, 100);
        assert_int_equal(milgi_conn_shutdown(side->conn), 0);
        pair_settle(&pair);
        assert_int_equal(peer->got.len, 100);
        for (int i = 0; i < 2; i++) {
            assert_true(pair.side[i].closed);
            assert_int_equal(pair.side[i].reason.error, 0);
        }
        pair_fini(&pair);
    }
}

/* --- user_canceled ------------------------------------------------------------------------------------------------ */

/*= RFC8446 6.1: user_canceled "SHOULD be followed by a "close_notify"". */
static void a_handshake_that_is_canceled_is_ended_in_order(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &pair.side[role], *peer = &pair.side[!role];
        begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
        pair.keep_wire = true;
        pair_run(client, NULL);
        size_t before = side->sent_wire.len;
        assert_int_equal(milgi_conn_abort(side->conn, MILGI_ALERT_USER_CANCELED), 0);
        pair_run(side, NULL);
        static const uint8_t last[] = { 21, 3, 3, 0, 2, 1, MILGI_ALERT_USER_CANCELED, 21, 3, 3, 0, 2, 1, 0 };
        assert_int_equal(side->sent_wire.len, before + sizeof last);
        assert_memory_equal(side->sent_wire.p + before, last, sizeof last);
        assert_true(side->closed);
        assert_int_equal(side->reason.error, MILGI_EREFUSED);
        assert_int_equal(side->reason.alert, MILGI_ALERT_USER_CANCELED);
        pair_settle(&pair);
        if (role == MILGI_CLIENT) { /* the server has begun, and waits for more */
            assert_true(peer->closed);
            assert_int_equal(peer->alerts_n, 1); /* close_notify is the end of data, of which there was none */
            assert_int_equal(peer->alerts[0], MILGI_ALERT_USER_CANCELED);
        }
        pair_fini(&pair);
    }
}

/* What was sent before would seem to be all. */
static void a_connection_that_is_canceled_later_does_not_seem_to_end_in_order(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &pair.side[role], *peer = &pair.side[!role];
        begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
        establish();
        data_for(peer, 100);
        assert_int_equal(milgi_conn_abort(side->conn, MILGI_ALERT_USER_CANCELED), 0);
        pair_settle(&pair);
        assert_true(side->closed);
        assert_int_equal(peer->got.len, 100);
        assert_int_equal(peer->alerts_n, 1);
        assert_int_equal(peer->alerts[0], MILGI_ALERT_USER_CANCELED);
        assert_false(peer->closed);
        assert_int_equal(milgi_conn_receive_eof(peer->conn, 0), 0);
        pair_settle(&pair);
        assert_int_equal(peer->reason.error, MILGI_ETRUNCATED);
        pair_fini(&pair);
    }
}

/* --- the last words ----------------------------------------------------------------------------------------------- */

static void fill_and_shut_down(void)
{
    static const uint8_t data[100000];
    struct milgi_config *c = config(MILGI_CLIENT);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_OUTPUT, 65536), 0);
    begin(c, config(MILGI_SERVER), NULL, NULL);
    establish();
    client->keep_output = true; /* the network takes nothing */
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), MILGI_PAUSE);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    while (pair_run(client, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_true(client->wire.len < sizeof data);
}

static void a_failure_behind_an_unsent_close_notify_is_told_at_once(void **state)
{
    static const uint8_t garbage[64] = { 23, 3, 3, 0, 59 };
    (void)state;
    fill_and_shut_down();
    pair_feed(client, garbage, sizeof garbage);
    while (pair_run(client, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_true(client->closed);
    assert_int_equal(client->reason.error, MILGI_EBADRECORD);
    assert_int_equal(client->reason.alert, MILGI_ALERT_BAD_RECORD_MAC);
    /* The peer learns that what it got is not all. */
    pair_settle(&pair);
    assert_int_equal(server->alerts_n, 1);
    assert_int_equal(server->alerts[0], MILGI_ALERT_BAD_RECORD_MAC);
    pair_fini(&pair);
}

static void a_transport_that_fails_behind_an_unsent_close_notify_is_told_at_once(void **state)
{
    (void)state;
    fill_and_shut_down();
    assert_int_equal(milgi_conn_receive_eof(client->conn, 104), 0);
    while (pair_run(client, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_true(client->closed);
    assert_int_equal(client->reason.error, MILGI_ETRANSPORT);
    assert_int_equal(client->reason.alert, MILGI_ALERT_NONE);
    pair_fini(&pair);
}

static void expect_nothing_behind_the_end(struct pair_side *side, const char *event)
{
    assert_true(!side->closed || strcmp(event, "closed") == 0);
}

static void all_output_is_handed_out_before_the_end_is_told(void **state)
{
    (void)state;
    for (int abort = 0; abort < 2; abort++) {
        begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
        establish();
        client->on_event = server->on_event = expect_nothing_behind_the_end;
        assert_int_equal(milgi_conn_shutdown(server->conn), 0);
        pair_settle(&pair);
        if (abort)
            assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
        else
            assert_int_equal(milgi_conn_shutdown(client->conn), 0);
        pair_settle(&pair);
        assert_true(client->closed);
        assert_int_equal(server->alerts_n, 1);
        pair_fini(&pair);
    }
}

static void answer_and_abort(struct pair_side *side, const struct milgi_decision *decision)
{
    assert_int_equal(milgi_decide(side->engine, *decision, MILGI_DEFAULT, NULL), 0);
    if (decision->kind == MILGI_DECIDE_ALPN)
        assert_int_equal(milgi_conn_abort(side->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
}

static void nothing_follows_the_alert_of_an_abort_inside_a_decision(void **state)
{
    (void)state;
    struct milgi_config *c = config(MILGI_SERVER);
    assert_int_equal(milgi_config_set_ask(c, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN), 0);
    begin(config(MILGI_CLIENT), c, NULL, NULL);
    pair.keep_wire = true;
    server->decide = answer_and_abort;
    pair_settle(&pair);
    assert_true(server->closed);
    assert_int_equal(server->sent_wire.len, ALERT_RECORD);
    assert_int_equal(client->alerts_n, 1);
    assert_int_equal(client->alerts[0], MILGI_ALERT_INTERNAL_ERROR);
    pair_fini(&pair);
}

/* --- freed from inside -------------------------------------------------------------------------------------------- */

enum deed {
    FREE,
    ABORT
};
static enum deed deed;
static unsigned events_n, deed_at;
static bool gone[2];

static void act_in_event(struct pair_side *side, const char *event)
{
    bool may_follow = deed == ABORT && (strcmp(event, "output") == 0 || strcmp(event, "closed") == 0);
    if (gone[side == server] && !may_follow)
        fail_msg("%s after the connection was %s", event, deed == FREE ? "freed" : "aborted");
    if (++events_n != deed_at)
        return;
    if (deed == ABORT) {
        gone[side == server] = milgi_conn_abort(side->conn, MILGI_ALERT_INTERNAL_ERROR) == 0;
        return;
    }
    gone[side == server] = true;
    milgi_conn_free(side->conn);
    side->conn = NULL;
}

static void answer_or_leave(struct pair_side *side, const struct milgi_decision *decision)
{
    assert_int_equal(milgi_decide(side->engine, *decision, MILGI_DEFAULT, NULL), 0);
}

static void write_if_there(struct pair_side *side, size_t len)
{
    static const uint8_t data[100000];
    if (side->conn)
        (void)!milgi_conn_write(side->conn, data, len);
}

/* Many kinds of events: decisions, pauses, room, data on both sides, new keys, the ends. Returns how many. */
static unsigned live_until(const char *device, enum deed what, unsigned at)
{
    struct milgi_config *c = config(MILGI_CLIENT), *s = config(MILGI_SERVER);
    assert_int_equal(milgi_config_set_ask(s, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN), 0);
    assert_int_equal(milgi_config_set_ask(c, MILGI_DECIDE_PEER), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_OUTPUT, 65536), 0);
    begin(c, s, device, NULL);
    events_n = 0;
    deed = what;
    deed_at = at;
    memset(gone, 0, sizeof gone);
    for (int i = 0; i < 2; i++) {
        pair.side[i].decide = answer_or_leave;
        pair.side[i].on_event = act_in_event;
    }
    pair_settle(&pair);
    write_if_there(client, 100000);
    write_if_there(server, 20000);
    pair_settle(&pair);
    if (client->conn)
        (void)milgi_conn_update_keys(client->conn, true);
    write_if_there(client, 1000);
    pair_settle(&pair);
    for (int i = 0; i < 2; i++) {
        if (pair.side[i].conn)
            (void)milgi_conn_shutdown(pair.side[i].conn);
    }
    pair_settle(&pair);
    for (int i = 0; i < 2; i++) {
        struct milgi_engine_stats stats;
        if (gone[i] && what == ABORT) {
            assert_true(pair.side[i].closed);
            assert_int_equal(pair.side[i].reason.error, MILGI_EREFUSED);
            if (pair.side[i].reason.alert != MILGI_ALERT_NONE) /* it had not said its close_notify */
                assert_int_equal(pair.side[!i].alerts[pair.side[!i].alerts_n - 1], MILGI_ALERT_INTERNAL_ERROR);
        }
        if (pair.side[i].conn)
            continue;
        milgi_engine_stats(pair.side[i].engine, &stats);
        assert_int_equal(stats.conns, 0);
        assert_int_equal(stats.ops_alive, 0);
        assert_int_equal(stats.memory, 0);
    }
    pair_fini(&pair);
    return events_n;
}

static void end_in_every_event(enum deed what)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        unsigned all = live_until(devices[i], what, 0);
        assert_true(all > 20);
        for (unsigned at = 1; at <= all; at++)
            live_until(devices[i], what, at);
    }
}

static void a_connection_may_be_freed_from_every_event(void **state)
{
    (void)state;
    end_in_every_event(FREE);
}

static void a_connection_may_be_aborted_from_every_event(void **state)
{
    (void)state;
    end_in_every_event(ABORT);
}

/* --- what is left behind ------------------------------------------------------------------------------------------ */

static struct milgi_conn_info info_of[2];

static void take_info(struct pair_side *side, const char *event)
{
    if (strcmp(event, "established") == 0)
        milgi_conn_info(side->conn, &info_of[side == server]);
}

static void what_info_points_to_lives_as_long_as_the_connection(void **state)
{
    (void)state;
    begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
    client->on_event = server->on_event = take_info;
    establish();
    for (int i = 0; i < 2; i++) {
        assert_string_equal(info_of[i].alpn, "h2");
        assert_string_equal(info_of[i].server_name, "server.test");
    }
    pair_fini(&pair);
}

static void output_only(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct pair_side *side = arg;
    for (size_t i = 0; i < iov_n; i++) {
        pair_bytes_add(&side->wire, iov[i].data, iov[i].len);
        milgi_conn_output_done(conn, iov[i].len);
    }
}

static void data_that_nobody_listens_to_holds_nothing_up(void **state)
{
    static const struct milgi_events events = { .on_output = output_only };
    static const uint8_t data[65536];
    struct milgi_config *c = fake_freeze(config(MILGI_CLIENT)), *s = fake_freeze(config(MILGI_SERVER));
    struct pair_setup setup = {
        .config = { c, NULL }, .server_name = "server.test", .seed = 3, .wall_s = FAKE_NOW_S
    };
    struct milgi_conn_info info;
    (void)state;
    pair_init(&pair, &setup);
    assert_int_equal(milgi_conn_new(server->engine, s, NULL, &events, server, &server->conn), 0);
    pair_settle(&pair);
    assert_true(client->established);
    for (unsigned i = 0; i < 16; i++) { /* four times the credit */
        assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
        pair_settle(&pair);
    }
    milgi_conn_info(server->conn, &info);
    assert_int_equal(info.bytes_in, 16 * sizeof data);
    pair_fini(&pair);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static void alerts_that_do_not_exist_abort_nothing(void **state)
{
    static const int alerts[] = { -1, MILGI_ALERT_CLOSE_NOTIFY, 257, 300 };
    (void)state;
    begin(config(MILGI_CLIENT), config(MILGI_SERVER), NULL, NULL);
    establish();
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
        assert_int_equal(milgi_conn_abort(client->conn, alerts[i]), MILGI_EINVAL);
    pair_settle(&pair);
    assert_false(client->closed);
    assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
    pair_settle(&pair);
    assert_int_equal(server->alerts[0], MILGI_ALERT_INTERNAL_ERROR);
    pair_fini(&pair);
}

/* --- whom it was with --------------------------------------------------------------------------------------------- */

static size_t chain_n, chain_bytes;

static void count_chain(struct pair_side *side, const char *event)
{
    struct milgi_conn_info info;
    if (strcmp(event, "closed") != 0)
        return;
    milgi_conn_info(side->conn, &info);
    chain_n = info.peer_chain_n;
    for (size_t i = 0; i < info.peer_chain_n; i++) {
        assert_int_equal(*(const uint8_t *)info.peer_chain[i].data, 'F'); /* as all fake certificates begin */
        chain_bytes += info.peer_chain[i].len;
    }
}

/* |refuser| trusts another root than the one that vouches for its peer. */
static void check_refused_chain(enum milgi_role refuser, bool trusts)
{
    const struct fake_options options = { .intermediates = 2, .root = 1 };
    struct milgi_config *c = config(MILGI_CLIENT), *s = fake_config(MILGI_SERVER, &options);
    struct milgi_trust *trust = fake_trust(trusts ? 1 : 2), *own = fake_trust(1);
    struct milgi_credential *credential = fake_credential(&options);
    struct milgi_conn_info info;
    assert_int_equal(milgi_config_set_trust(refuser == MILGI_CLIENT ? c : s, trust), 0);
    if (refuser == MILGI_SERVER) {
        assert_int_equal(milgi_config_set_trust(c, own), 0);
        assert_int_equal(milgi_config_add_credential(c, credential), 0);
        assert_int_equal(milgi_config_set_authorities(s, false), 0); /* else a client that it does not know has none */
    }
    begin(c, s, NULL, NULL);
    chain_n = chain_bytes = 0;
    pair.side[refuser].on_event = count_chain;
    pair_settle(&pair);
    assert_int_equal(pair.side[refuser].closed, !trusts);
    if (trusts)
        assert_int_equal(milgi_conn_abort(pair.side[refuser].conn, MILGI_ALERT_INTERNAL_ERROR), 0);
    pair_settle(&pair);
    assert_true(pair.side[refuser].closed);
    assert_int_equal(chain_n, trusts ? 0 : 3);
    assert_int_equal(chain_bytes > 0, !trusts);
    milgi_conn_info(pair.side[refuser].conn, &info);
    assert_int_equal(info.peer_chain_n, 0);
    pair_fini(&pair);
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
    milgi_trust_unref(own);
}

static void a_chain_that_was_refused_can_be_seen_until_the_end_is_told(void **state)
{
    (void)state;
    check_refused_chain(MILGI_CLIENT, false);
    check_refused_chain(MILGI_SERVER, false);
}

static void a_chain_that_was_accepted_does_not_outlive_the_handshake(void **state)
{
    (void)state;
    check_refused_chain(MILGI_CLIENT, true);
    check_refused_chain(MILGI_SERVER, true);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static void names_that_are_no_host_names_are_refused(void **state)
{
    /* libcrypto takes a name that begins with a dot to mean any host below it. */
    static const char *const names[] = { ".server.test", ".", "server test", "server.test\n", "s\xc3\xa9rver.test",
        "1.2.3.4.", "server..test", "*.server.test", "[::1]" };
    static const struct milgi_events events = { .on_output = output_only };
    struct milgi_config *c = fake_freeze(config(MILGI_CLIENT));
    struct pair_setup setup = { .wall_s = FAKE_NOW_S };
    struct milgi_conn *conn;
    (void)state;
    pair_init(&pair, &setup);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(milgi_conn_new(client->engine, c, names[i], &events, client, &conn), MILGI_EINVAL);
    static const char *const good[] = { "server.test", "server.test.", "127.0.0.1", "::1", "a_b.test", "xn--a-b" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(milgi_conn_new(client->engine, c, good[i], &events, client, &conn), 0);
        milgi_conn_free(conn);
    }
    pair_fini(&pair);
    milgi_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_behind_a_turn_that_came_to_nothing_cuts_nothing_off),
        cmocka_unit_test(an_end_behind_data_that_waited_for_credit_cuts_nothing_off),
        cmocka_unit_test(an_end_that_is_read_in_a_callback_cuts_nothing_off),
        cmocka_unit_test(an_end_while_there_is_no_memory_cuts_nothing_off),
        cmocka_unit_test(an_end_without_close_notify_is_told_behind_all_that_came),
        cmocka_unit_test(an_end_in_the_handshake_is_a_cut_too),
        cmocka_unit_test(an_end_behind_close_notify_is_in_order),
        cmocka_unit_test(a_handshake_that_is_canceled_is_ended_in_order),
        cmocka_unit_test(a_connection_that_is_canceled_later_does_not_seem_to_end_in_order),
        cmocka_unit_test(a_failure_behind_an_unsent_close_notify_is_told_at_once),
        cmocka_unit_test(a_transport_that_fails_behind_an_unsent_close_notify_is_told_at_once),
        cmocka_unit_test(all_output_is_handed_out_before_the_end_is_told),
        cmocka_unit_test(nothing_follows_the_alert_of_an_abort_inside_a_decision),
        cmocka_unit_test(a_connection_may_be_freed_from_every_event),
        cmocka_unit_test(a_connection_may_be_aborted_from_every_event),
        cmocka_unit_test(what_info_points_to_lives_as_long_as_the_connection),
        cmocka_unit_test(data_that_nobody_listens_to_holds_nothing_up),
        cmocka_unit_test(alerts_that_do_not_exist_abort_nothing),
        cmocka_unit_test(a_chain_that_was_refused_can_be_seen_until_the_end_is_told),
        cmocka_unit_test(a_chain_that_was_accepted_does_not_outlive_the_handshake),
        cmocka_unit_test(names_that_are_no_host_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
