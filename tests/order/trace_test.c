/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a connection: the same story under every order, and where ops overlap. */
#include "play.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENTS 4096
#define STORY 8192

struct told {
    struct milgi_trace_event event[EVENTS];
    unsigned n;
};

static void listen_to(void *ctx, const struct milgi_trace_event *event)
{
    struct told *told = ctx;
    assert_true(told->n < EVENTS);
    assert_non_null(milgi_trace_kind_name((int)event->kind));
    if (told->n > 0)
        assert_true(event->time_ns >= told->event[told->n - 1].time_ns);
    told->event[told->n++] = *event;
}

static struct told told[2];

static void run(struct play *play)
{
    told[0].n = told[1].n = 0;
    play->trace = listen_to;
    play->trace_ctx[MILGI_CLIENT] = &told[MILGI_CLIENT];
    play->trace_ctx[MILGI_SERVER] = &told[MILGI_SERVER];
    play_run(play);
}

/* --- stories ---------------------------------------------------------------------------------------------------- */

static void put(char *story, const char *word)
{
    assert_true(strlen(story) + strlen(word) + 2 < STORY);
    strcat(story, word);
    strcat(story, "\n");
}

static void put_key(char *story, const struct milgi_trace_event *e)
{
    char word[64];
    snprintf(word, sizeof word, "%s key %u", e->u.key.write ? "write" : "read", (unsigned)e->u.key.epoch);
    put(story, word);
}

static void put_alert(char *story, const struct milgi_trace_event *e)
{
    char word[64];
    snprintf(word, sizeof word, "%s %s", e->kind == MILGI_TRACE_ALERT_SENT ? "sent" : "received",
        milgi_alert_name(e->u.alert.alert));
    put(story, word);
}

static void put_op(char *story, const struct milgi_trace_event *e)
{
    char word[64];
    const char *type = milgi_op_type_name(e->u.op.type);
    if (e->u.op.type <= MILGI_OP_OPEN)
        return;
    if (e->kind == MILGI_TRACE_OP_START)
        snprintf(word, sizeof word, "  %s", type);
    else if (e->kind == MILGI_TRACE_OP_END)
        snprintf(word, sizeof word, "  %s %s", type, milgi_op_status_name(e->u.op.status));
    else
        return;
    put(story, word);
}

/* Parts of a story: what one direction does has no order with what the other does once the handshake is over. */
enum part {
    HANDSHAKE = 1,
    OPS = 2, /* of the handshake */
    SENT = 4,
    RECEIVED = 8,
    END = 16
};

static void put_event(char *story, unsigned parts, const struct milgi_trace_event *e)
{
    switch (e->kind) {
    case MILGI_TRACE_STEP:
        if (parts & HANDSHAKE)
            put(story, e->u.step.name);
        break;
    case MILGI_TRACE_KEY:
        if (parts & (e->u.key.epoch <= 3 ? HANDSHAKE : e->u.key.write ? SENT
                                                                      : RECEIVED))
            put_key(story, e);
        break;
    case MILGI_TRACE_ALERT_SENT:
    case MILGI_TRACE_ALERT_RECEIVED:
        if (parts & (e->kind == MILGI_TRACE_ALERT_SENT ? SENT : RECEIVED))
            put_alert(story, e);
        break;
    case MILGI_TRACE_OP_START:
    case MILGI_TRACE_OP_END:
        if (parts & OPS)
            put_op(story, e);
        break;
    case MILGI_TRACE_CLOSED:
        if (parts & END)
            put(story, milgi_error_name(e->u.closed.error));
        break;
    default: break;
    }
}

/* In static memory: one at a time. */
static const char *story_of(const struct told *t, unsigned parts)
{
    static char story[STORY];
    story[0] = '\0';
    for (unsigned i = 0; i < t->n; i++)
        put_event(story, parts, &t->event[i]);
    return story;
}

static const char client_story[] = "start\n"
                                   "  KEYGEN\n  KEYGEN OK\n"
                                   "take_share_1\nsend_hello\nrecv_hello\n"
                                   "  DERIVE\n  DERIVE OK\n"
                                   "install_keys\nread key 2\nwrite key 2\nrecv_extensions\nrecv_certificate\n"
                                   "  VERIFY_CHAIN\n  VERIFY_CHAIN OK\n"
                                   "recv_verify\n"
                                   "  VERIFY\n  VERIFY OK\n"
                                   "recv_finished\njudge\nauthenticated\nsend_finished\nwrite key 3\nread key 3\n"
                                   "open\n"
                                   "sent close_notify\n"
                                   "received close_notify\n"
                                   "0\n";

static const char server_story[] = "recv_hello\n"
                                   "  KEYGEN\n  KEYGEN OK\n"
                                   "start_flight\n"
                                   "  DERIVE\n  DERIVE OK\n"
                                   "  SIGN\n  SIGN OK\n"
                                   "send_certificate\nwrite key 2\nread key 2\nsend_verify\nwrite key 3\n"
                                   "recv_finished_anonymous\nanonymous\nread key 3\n"
                                   "open\n"
                                   "sent close_notify\n"
                                   "received close_notify\n"
                                   "0\n";

static void a_connection_is_told_step_by_step(void **state)
{
    (void)state;
    struct play play = { .update_at = PLAY_DATA }; /* never */
    run(&play);
    assert_true(play_went_well(&play));
    assert_string_equal(story_of(&told[MILGI_CLIENT], UINT_MAX), client_story);
    assert_string_equal(story_of(&told[MILGI_SERVER], UINT_MAX), server_story);
    for (int role = 0; role < 2; role++) {
        for (unsigned i = 0; i < told[role].n; i++)
            assert_true(told[role].event[i].conn == milgi_conn_id(play.pair.side[role].conn));
    }
    play_fini(&play);
}

/* --- the same under every order --------------------------------------------------------------------------------- */

static unsigned count(const struct told *t, enum milgi_trace_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n; i++)
        n += t->event[i].kind == kind;
    return n;
}

/* Every try of an op begins, is taken at most once, and ends once. */
static void assert_ops_whole(const struct told *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct milgi_trace_event *e = &t->event[i];
        unsigned ended = 0, sent = 0;
        if (e->kind != MILGI_TRACE_OP_START)
            continue;
        for (unsigned k = i + 1; k < t->n && !ended; k++) {
            const struct milgi_trace_event *later = &t->event[k];
            if (later->u.op.id != e->u.op.id)
                continue;
            assert_false(later->kind == MILGI_TRACE_OP_START);
            sent += later->kind == MILGI_TRACE_OP_SENT;
            ended += later->kind == MILGI_TRACE_OP_END;
            if (later->kind == MILGI_TRACE_OP_END) {
                assert_int_equal(later->u.op.type, e->u.op.type);
                assert_int_not_equal(later->u.op.status, MILGI_OP_PENDING);
            }
        }
        assert_true(sent <= 1);
        assert_int_equal(ended, 1);
    }
    assert_int_equal(count(t, MILGI_TRACE_OP_START), count(t, MILGI_TRACE_OP_END));
}

static void assert_told_as(const char *const expected[2][4])
{
    static const unsigned parts[4] = { HANDSHAKE, SENT, RECEIVED, END };
    for (int role = 0; role < 2; role++) {
        assert_ops_whole(&told[role]);
        for (unsigned i = 0; i < 4; i++)
            assert_string_equal(story_of(&told[role], parts[i]), expected[role][i]);
    }
}

/* With the fake crypto and a model that ends ops in any order; |of| says what else happens. */
static void told_alike_under_every_order(const struct play *of)
{
    static const unsigned parts[4] = { HANDSHAKE, SENT, RECEIVED, END };
    const char *expected[2][4];
    struct play inline_play = *of;
    run(&inline_play);
    for (unsigned i = 0; i < 8; i++)
        expected[i / 4][i % 4] = strdup(story_of(&told[i / 4], parts[i % 4]));
    play_fini(&inline_play);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct play play = *of;
        play.routed = seed % 3 ? UINT32_MAX : PLAY_HANDSHAKE_OPS;
        play.choose = play_random;
        play.random = seed * 0x9e3779b97f4a7c15ull;
        play.depth = seed % 4 ? 0 : 1;
        run(&play);
        play_drain(&play);
        assert_told_as(expected);
        play_fini(&play);
    }
    for (unsigned i = 0; i < 8; i++)
        free((void *)(uintptr_t)expected[i / 4][i % 4]);
}

static void data_and_an_end_are_told_alike_under_every_order(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 8; options++) {
        struct play play = { .update_at = PLAY_DATA };
        play.client_auth = options & 1;
        play.ask = options & 2;
        play.retry = options & 4;
        told_alike_under_every_order(&play);
    }
}

static void failures_are_told_alike_under_every_order(void **state)
{
    (void)state;
    for (unsigned flaw = 1; flaw < PLAY_FLAWS; flaw++) {
        struct play play = { .flaw = (enum play_flaw)flaw };
        play.client_auth = flaw == PLAY_CLIENT_MAY_NOT_SIGN || flaw == PLAY_CLIENT_UNTRUSTED;
        told_alike_under_every_order(&play);
    }
}

/* The last event of the kind. */
static const struct milgi_trace_event *last(const struct told *t, enum milgi_trace_kind kind)
{
    for (unsigned i = t->n; i-- > 0;) {
        if (t->event[i].kind == kind)
            return &t->event[i];
    }
    return NULL;
}

static void a_refused_certificate_is_told_by_both_sides(void **state)
{
    (void)state;
    struct play play = { .flaw = PLAY_SERVER_UNTRUSTED };
    run(&play);
    const struct milgi_trace_event *sent = last(&told[MILGI_CLIENT], MILGI_TRACE_ALERT_SENT);
    const struct milgi_trace_event *received = last(&told[MILGI_SERVER], MILGI_TRACE_ALERT_RECEIVED);
    const struct milgi_trace_event *closed = last(&told[MILGI_CLIENT], MILGI_TRACE_CLOSED);
    assert_non_null(sent);
    assert_non_null(received);
    assert_non_null(closed);
    assert_int_equal(sent->u.alert.alert, MILGI_ALERT_UNKNOWN_CA);
    assert_int_equal(received->u.alert.alert, MILGI_ALERT_UNKNOWN_CA);
    assert_int_equal(closed->u.closed.error, MILGI_EVERIFY);
    assert_int_equal(closed->u.closed.op, MILGI_OP_VERIFY_CHAIN);
    assert_int_equal(last(&told[MILGI_SERVER], MILGI_TRACE_CLOSED)->u.closed.error, MILGI_EALERT);
    assert_non_null(strstr(story_of(&told[MILGI_CLIENT], OPS), "VERIFY_CHAIN REJECTED"));
    assert_non_null(strstr(story_of(&told[MILGI_CLIENT], HANDSHAKE), "failed"));
    play_fini(&play);
}

/* --- where devices differ ---------------------------------------------------------------------------------------- */

/* The latest first: the server's before the client's. */
static unsigned latest(struct play *play, unsigned n)
{
    (void)play;
    return n - 1;
}

static void ops_that_overlap_are_told_so(void **state)
{
    (void)state;
    struct play play = { .routed = PLAY_HANDSHAKE_OPS, .choose = latest, .handshake_only = true };
    run(&play);
    /*= In TLS 1.3 the server's DERIVE and SIGN overlap; the client's VERIFY_CHAIN and VERIFY do. */
    assert_non_null(strstr(story_of(&told[MILGI_SERVER], OPS), "  DERIVE\n  SIGN\n  SIGN OK\n  DERIVE OK\n"));
    const char *client = story_of(&told[MILGI_CLIENT], OPS);
    assert_non_null(strstr(client, "  VERIFY_CHAIN\n  VERIFY\n  VERIFY OK\n  VERIFY_CHAIN OK\n"));
    /* It said so when it had to wait, and when it went on. */
    assert_true(count(&told[MILGI_SERVER], MILGI_TRACE_PAUSE) > 0);
    assert_int_equal(count(&told[MILGI_SERVER], MILGI_TRACE_PAUSE), count(&told[MILGI_SERVER], MILGI_TRACE_RESUME));
    assert_int_equal(last(&told[MILGI_SERVER], MILGI_TRACE_RESUME)->u.pause.cause, MILGI_TRACE_HANDSHAKE);
    play_fini(&play);
}

static void keys_of_both_sides_meet_and_stale_records_are_told(void **state)
{
    (void)state;
    uint64_t stale = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed * 77 };
        play.update_at = 1 + (unsigned)seed;
        run(&play);
        assert_true(play_went_well(&play));
        for (int role = 0; role < 2; role++) {
            struct milgi_conn_info info;
            uint64_t epoch[2] = { 0, 0 }, told_stale = 0;
            for (unsigned i = 0; i < told[role].n; i++) {
                const struct milgi_trace_event *e = &told[role].event[i];
                if (e->kind == MILGI_TRACE_STALE)
                    told_stale += e->u.stale.records;
                if (e->kind != MILGI_TRACE_KEY)
                    continue;
                assert_int_equal(e->u.key.epoch, epoch[e->u.key.write] ? epoch[e->u.key.write] + 1 : 2);
                epoch[e->u.key.write] = e->u.key.epoch;
            }
            milgi_conn_info(play.pair.side[role].conn, &info);
            assert_int_equal(told_stale, info.stale_opens);
            assert_int_equal(epoch[0], 3 + info.key_updates_in);
            assert_int_equal(epoch[1], 3 + info.key_updates_out);
            stale += told_stale;
            assert_ops_whole(&told[role]);
        }
        play_fini(&play);
    }
    assert_true(stale > 0);
}

static void an_op_that_breaks_or_is_lost_is_told_and_so_is_its_second_try(void **state)
{
    (void)state;
    static const enum play_fault faults[] = { PLAY_BREAK, PLAY_LOSE, PLAY_LOSE_EARLY };
    for (unsigned i = 0; i < 3; i++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .choose = play_first, .rerun = true, .at = 2 };
        play.fault = faults[i];
        play.handshake_only = true;
        run(&play);
        assert_true(play_went_well(&play));
        const struct told *t = &told[play.fault_side];
        const struct milgi_trace_event *ended = NULL;
        for (unsigned k = 0; k < t->n && !ended; k++) {
            if (t->event[k].kind == MILGI_TRACE_OP_END && t->event[k].u.op.status != MILGI_OP_OK)
                ended = &t->event[k];
        }
        assert_non_null(ended);
        assert_int_equal(ended->u.op.status, i == 0 ? MILGI_OP_BROKEN : MILGI_OP_LOST);
        assert_int_equal(ended->u.op.code, i == 0 ? PLAY_CODE : MILGI_CODE_LOST);
        assert_int_equal(ended->u.op.device, 1);
        assert_true(i == 0 || ended->u.op.took_ns >= PLAY_TIMEOUT_NS);
        const struct milgi_trace_event *again = ended + 1;
        assert_int_equal(again->kind, MILGI_TRACE_OP_START);
        assert_int_equal(again->u.op.type, ended->u.op.type);
        assert_int_equal(again->u.op.device, 0);
        assert_ops_whole(t);
        play_fini(&play);
    }
}

static void what_a_freed_connection_leaves_is_told_to_its_end(void **state)
{
    (void)state;
    struct play play = { .routed = UINT32_MAX, .choose = play_first, .fault = PLAY_FREE, .at = 3 };
    run(&play);
    play_drain(&play);
    const struct told *t = &told[play.fault_side];
    assert_int_equal(count(t, MILGI_TRACE_FREED), 1);
    assert_int_equal(count(t, MILGI_TRACE_CLOSED), 0);
    assert_ops_whole(t);
    play_fini(&play);
}

/* --- pauses ------------------------------------------------------------------------------------------------------ */

static unsigned pauses(const struct told *t, enum milgi_trace_kind kind, enum milgi_trace_cause cause)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n; i++)
        n += t->event[i].kind == kind && t->event[i].u.pause.cause == cause;
    return n;
}

/* Only pauses: there are many records. */
static void listen_to_pauses(void *ctx, const struct milgi_trace_event *event)
{
    if (event->kind == MILGI_TRACE_PAUSE || event->kind == MILGI_TRACE_RESUME)
        listen_to(ctx, event);
}

static void pauses_are_told_with_their_cause(void **state)
{
    (void)state;
    static const uint8_t data[65536];
    struct play play = { .handshake_only = true };
    run(&play);
    struct pair_side *client = &play.pair.side[MILGI_CLIENT], *server = &play.pair.side[MILGI_SERVER];
    for (int role = 0; role < 2; role++) {
        told[role].n = 0;
        struct milgi_engine *engine = play.pair.side[role].engine;
        assert_int_equal(milgi_engine_set_trace(engine, listen_to_pauses, &told[role]), 0);
    }
    server->keep_credit = true;
    for (unsigned i = 0; i < 64 && !milgi_conn_output_full(client->conn); i++) {
        int rv = milgi_conn_write(client->conn, data, sizeof data);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
    }
    assert_int_equal(pauses(&told[MILGI_CLIENT], MILGI_TRACE_PAUSE, MILGI_TRACE_OUTPUT), 1);
    pair_settle(&play.pair);
    while (pauses(&told[MILGI_SERVER], MILGI_TRACE_PAUSE, MILGI_TRACE_CREDIT) == 0) {
        int rv = milgi_conn_write(client->conn, data, sizeof data);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        pair_settle(&play.pair);
    }
    assert_int_equal(pauses(&told[MILGI_SERVER], MILGI_TRACE_RESUME, MILGI_TRACE_CREDIT), 0);
    assert_true(pauses(&told[MILGI_CLIENT], MILGI_TRACE_RESUME, MILGI_TRACE_OUTPUT) > 0);
    server->keep_credit = false;
    milgi_conn_consumed(server->conn, SIZE_MAX);
    assert_int_equal(pauses(&told[MILGI_SERVER], MILGI_TRACE_RESUME, MILGI_TRACE_CREDIT), 1);
    pair_settle(&play.pair);
    play_fini(&play);
}

/* --- who listens ------------------------------------------------------------------------------------------------- */

static void nobody_is_told_any_more_when_nobody_listens(void **state)
{
    (void)state;
    struct play play = { .handshake_only = true };
    run(&play);
    struct milgi_engine *engine = play.pair.side[MILGI_CLIENT].engine;
    unsigned before = told[MILGI_CLIENT].n;
    assert_int_equal(milgi_conn_write(play.pair.side[MILGI_CLIENT].conn, "x", 1), 0);
    pair_settle(&play.pair);
    assert_true(told[MILGI_CLIENT].n > before);
    assert_int_equal(milgi_engine_set_trace(engine, NULL, NULL), 0);
    before = told[MILGI_CLIENT].n;
    assert_int_equal(milgi_conn_write(play.pair.side[MILGI_CLIENT].conn, "x", 1), 0);
    pair_settle(&play.pair);
    assert_int_equal(told[MILGI_CLIENT].n, before);
    play_fini(&play);
}

static void all_kinds_and_causes_have_names(void **state)
{
    (void)state;
    for (int kind = 0; kind < MILGI_TRACE_KINDS; kind++)
        assert_non_null(milgi_trace_kind_name(kind));
    for (int cause = 0; cause < MILGI_TRACE_CAUSES; cause++)
        assert_non_null(milgi_trace_cause_name(cause));
    assert_null(milgi_trace_kind_name(MILGI_TRACE_KINDS));
    assert_null(milgi_trace_kind_name(-1));
    assert_null(milgi_trace_cause_name(MILGI_TRACE_CAUSES));
    assert_null(milgi_trace_cause_name(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_told_step_by_step),
        cmocka_unit_test(data_and_an_end_are_told_alike_under_every_order),
        cmocka_unit_test(failures_are_told_alike_under_every_order),
        cmocka_unit_test(a_refused_certificate_is_told_by_both_sides),
        cmocka_unit_test(ops_that_overlap_are_told_so),
        cmocka_unit_test(keys_of_both_sides_meet_and_stale_records_are_told),
        cmocka_unit_test(an_op_that_breaks_or_is_lost_is_told_and_so_is_its_second_try),
        cmocka_unit_test(what_a_freed_connection_leaves_is_told_to_its_end),
        cmocka_unit_test(pauses_are_told_with_their_cause),
        cmocka_unit_test(nobody_is_told_any_more_when_nobody_listens),
        cmocka_unit_test(all_kinds_and_causes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
