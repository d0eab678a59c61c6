/* SPDX-License-Identifier: Apache-2.0 */
/* The engine by itself: turns, lines before devices, deadlines, devices that fail, who gets how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "counter.h"
#include "fake_identity.h"
#include "pair.h"

static void submit_seal(struct rig *rig, struct counter *counter, struct milgi_key *key, uint32_t len)
{
    struct milgi_op *op = milgi__engine_op_new(rig->engine, false);
    assert_non_null(op);
    struct milgi_chunk *src = milgi_chunk_new(rig->engine, len), *dst = milgi_chunk_new(rig->engine, len + 17);
    memset(src->data, 1, len);
    op->type = MILGI_OP_SEAL;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = key->alg;
    op->key = milgi__key_ref(key);
    op->flags |= MILGI__OP_RERUN;
    op->u.aead = (struct milgi_op_aead){ .aad_len = 5, .src_n = 1, .inner_type = 23, .dst_len = len + 17 };
    op->u.aead.src[0] = (struct milgi_slice){ src, src->data, len };
    op->u.aead.dst = dst->data;
    op->u.aead.dst_chunk = dst;
    milgi__engine_submit(rig->engine, &counter->owner, op, 0);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static int inner_run;

static void run_again(struct counter *counter)
{
    struct milgi_run_result result;
    inner_run = milgi_engine_run(counter->engine, 0, &result);
    assert_int_equal(milgi_engine_free(counter->engine), MILGI_EREENTRY);
}

static void a_run_inside_a_run_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    rig.counter.in_turn = run_again;
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    rig_run(&rig);
    assert_int_equal(inner_run, MILGI_EREENTRY);
    rig_fini(&rig);
}

static void an_idle_engine_asks_for_one_run(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    for (int i = 0; i < 3; i++)
        milgi__engine_ready(rig.engine, &rig.counter.owner);
    assert_int_equal(rig.schedules, 1);
    rig_run(&rig);
    assert_int_equal(rig.counter.turns, 1);
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    assert_int_equal(rig.schedules, 2);
    rig_run(&rig);
    rig_fini(&rig);
}

static void stage_myself(struct counter *counter)
{
    milgi__engine_ready(counter->engine, &counter->owner);
}

static void what_callbacks_stage_gets_two_passes_and_then_another_run(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    rig.counter.in_turn = stage_myself;
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    assert_int_equal(rig_run(&rig).next, MILGI_RUN_AGAIN);
    assert_int_equal(rig.counter.turns, 3);
    rig.counter.in_turn = NULL;
    rig_run(&rig);
    rig_fini(&rig);
}

static void nobody_with_much_to_do_is_before_those_that_wait(void **state)
{
    (void)state;
    struct rig rig;
    struct counter more[2];
    struct milgi_run_result result;
    rig_init(&rig, NULL, NULL);
    memset(more, 0, sizeof more);
    rig.counter.in_turn = stage_myself;
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    for (unsigned i = 0; i < 2; i++) {
        more[i].in_turn = stage_myself;
        rig_attach(&rig, &more[i]);
        milgi__engine_ready(rig.engine, &more[i].owner);
    }
    for (unsigned i = 0; i < 30; i++) /* a budget of one turn */
        assert_int_equal(milgi_engine_run(rig.engine, 1000, &result), 0);
    assert_int_equal(rig.counter.turns, 10);
    assert_int_equal(more[0].turns, 10);
    assert_int_equal(more[1].turns, 10);
    rig_fini(&rig);
}

static void deadlines_come_in_their_order(void **state)
{
    (void)state;
    struct rig rig;
    struct counter more[20];
    rig_init(&rig, NULL, NULL);
    memset(more, 0, sizeof more);
    for (unsigned i = 0; i < 20; i++) {
        rig_attach(&rig, &more[i]);
        milgi__engine_deadline(rig.engine, &more[i].owner, rig.now_ns + 1000 * (1 + i * 7 % 20));
    }
    milgi__engine_deadline(rig.engine, &more[3].owner, UINT64_MAX);
    for (unsigned passed = 0; passed < 19; passed++) {
        struct milgi_run_result result = rig_run(&rig);
        assert_int_equal(result.next, MILGI_RUN_WAIT);
        assert_true(result.deadline_ns > rig.now_ns);
        rig.now_ns = result.deadline_ns;
    }
    rig_run(&rig);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(more[i].timeouts, i == 3 ? 0 : 1);
    rig_fini(&rig);
}

static void an_owner_without_turns_is_told_that_it_is_idle(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    struct milgi_run_result result = rig_run(&rig);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_int_equal(rig.counter.idles, 0);
    rig.now_ns = result.deadline_ns;
    while (rig_run(&rig).next == MILGI_RUN_AGAIN)
        continue;
    assert_int_equal(rig.counter.idles, 1);
    assert_int_equal(rig_run(&rig).next, MILGI_RUN_IDLE);
    rig_fini(&rig);
}

static void chunks_that_nobody_needs_go_although_nothing_else_happens(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_chunk *chunk[100];
    unsigned waits = 0;
    rig_init(&rig, NULL, NULL);
    for (unsigned i = 0; i < 100; i++)
        chunk[i] = milgi_chunk_new(rig.engine, 4000);
    milgi__engine_ready(rig.engine, &rig.counter.owner);
    rig_run(&rig);
    for (unsigned i = 0; i < 100; i++)
        milgi_chunk_unref(chunk[i]);
    struct milgi_run_result result;
    while ((result = rig_run(&rig)).next != MILGI_RUN_IDLE) {
        assert_true(waits < 10);
        if (result.next == MILGI_RUN_WAIT) {
            waits++;
            rig.now_ns = result.deadline_ns;
        }
    }
    assert_false(milgi__pool_idle(milgi__engine_pool(rig.engine)));
    rig_fini(&rig);
}

static void use_in_a_forked_process_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct milgi_run_result result;
        struct counter other = { .owner.ops = rig.counter.owner.ops };
        bool refused = milgi_engine_run(rig.engine, 0, &result) == MILGI_EFORK &&
            milgi__engine_attach(rig.engine, &other.owner) == MILGI_EFORK &&
            milgi_engine_add_device(rig.engine, NULL) == MILGI_EFORK;
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    rig_fini(&rig);
}

/* --- lines before a device ---------------------------------------------------------------------------------------- */

static void a_full_device_takes_all_in_the_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=1ms,units=1,depth=1");
    for (unsigned i = 0; i < 100; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    for (unsigned guard = 0; rig.counter.done < 100; guard++) {
        struct milgi_run_result result = rig_run(&rig);
        assert_true(guard < 1000);
        if (result.next == MILGI_RUN_WAIT)
            rig.now_ns = result.deadline_ns;
    }
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 100);
    assert_true(rig.now_ns - 1000000000 >= 100000000u); /* it did take one at a time */
    rig_fini(&rig);
}

static void spilling_keeps_the_line_short(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_SPILL;
    options.full_line = 8;
    rig_init(&rig, &options, "sim:manual,depth=4");
    for (unsigned i = 0; i < 100; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    rig_run(&rig);
    milgi_engine_stats(rig.engine, &stats);
    assert_true(stats.device[1].waiting <= 9);
    assert_true(stats.device[1].spilled >= 100 - 9 - 4);
    assert_int_equal(rig.counter.done, stats.device[1].spilled);
    struct milgi_op *op;
    while (milgi__sim_pending(rig.device, &op, 1)) {
        milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
        rig_run(&rig);
    }
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 100);
    rig_fini(&rig);
}

static void refusing_says_so_while_the_line_is_long(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_REFUSE;
    options.full_line = 8;
    rig_init(&rig, &options, "sim:manual,depth=1");
    assert_false(milgi__engine_refuses(rig.engine));
    for (unsigned i = 0; i < 20; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    rig_run(&rig);
    assert_true(milgi__engine_refuses(rig.engine));
    struct milgi_op *op;
    while (milgi__sim_pending(rig.device, &op, 1)) {
        milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
        rig_run(&rig);
    }
    assert_false(milgi__engine_refuses(rig.engine));
    rig_fini(&rig);
}

static void ops_of_who_has_gone_are_never_begun(void **state)
{
    (void)state;
    struct rig rig;
    struct counter gone;
    struct milgi_engine_stats stats;
    memset(&gone, 0, sizeof gone);
    rig_init(&rig, NULL, "sim:manual,depth=1");
    rig_attach(&rig, &gone);
    rig_keygen(&rig, &gone, MILGI_GROUP_X25519);
    rig_run(&rig);
    for (unsigned i = 0; i < 10; i++)
        rig_keygen(&rig, &gone, MILGI_GROUP_X25519);
    milgi__engine_detach(rig.engine, &gone.owner);
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(stats.orphans, 1);
    assert_int_equal(stats.device[1].dropped, 10);
    milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    rig_run(&rig);
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(gone.done, 0);
    assert_int_equal(stats.ops_alive, 0);
    assert_int_equal(stats.device[1].dropped, 10);
    rig_fini(&rig);
}

/* --- devices that fail -------------------------------------------------------------------------------------------- */

static void a_device_that_owes_too_much_is_taken_out_and_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    milgi_engine_options_init(&options);
    options.quarantine_limit = 4;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    rig_init(&rig, &options, "sim:manual,depth=64");
    for (unsigned i = 0; i < 8; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    rig_run(&rig);
    rig.now_ns += 1000000;
    rig_run(&rig);
    milgi_engine_stats(rig.engine, &stats);
    assert_false(stats.device[1].in_service);
    assert_int_equal(stats.device[1].quarantined, 8);
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 8); /* each was re-run inline */
    rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 9); /* nothing goes there now */
    struct milgi_op *op;
    while (milgi__sim_pending(rig.device, &op, 1))
        milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    rig_run(&rig);
    rig.now_ns += 1000000000;
    rig_run(&rig);
    assert_int_equal(milgi__sim_pending(rig.device, &op, 1), 1); /* it is asked whether it works again */
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(stats.device[1].quarantined, 0);
    assert_false(stats.device[1].in_service);
    milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    rig_run(&rig);
    milgi_engine_stats(rig.engine, &stats);
    assert_true(stats.device[1].in_service);
    assert_int_equal(rig.counter.done, 9);
    rig_fini(&rig);
}

static void a_device_that_accepts_nothing_is_given_up(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    rig_init(&rig, &options, "sim:manual");
    milgi__sim_refuse(rig.device, true);
    for (unsigned i = 0; i < 5; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    for (unsigned guard = 0; rig.counter.done < 5; guard++) {
        struct milgi_run_result result = rig_run(&rig);
        assert_true(result.next != MILGI_RUN_IDLE || rig.counter.done == 5); /* nobody else would wake it */
        assert_true(guard < 100);
        if (result.next == MILGI_RUN_WAIT)
            rig.now_ns = result.deadline_ns;
    }
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 5);
    rig_fini(&rig);
}

static void a_lost_op_that_cannot_be_rerun_is_told_once(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    milgi_engine_options_init(&options);
    options.rerun = false;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    rig_init(&rig, &options, "sim:manual");
    rig_keygen(&rig, &rig.counter, MILGI_GROUP_X25519);
    rig_run(&rig);
    rig.now_ns += 1000000;
    rig_run(&rig);
    assert_int_equal(rig.counter.status[MILGI_OP_LOST], 1);
    milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    rig_run(&rig);
    assert_int_equal(rig.counter.done, 1);
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(stats.ops_alive, 0);
    rig_fini(&rig);
}

/* --- fairness ----------------------------------------------------------------------------------------------------- */

/* Both lines stay as long as is said. */
static void keep_lines(
    struct rig *rig, struct milgi_key *key, unsigned given[MILGI_OP_CLASSES], const unsigned waiting[MILGI_OP_CLASSES])
{
    const unsigned *done = rig->counter.done_n;
    for (unsigned *n = &given[MILGI_OP_CLASS_RECORDS]; *n < done[MILGI_OP_CLASS_RECORDS] + waiting[0]; ++*n)
        submit_seal(rig, &rig->counter, key, 16384);
    for (unsigned *n = &given[MILGI_OP_CLASS_HANDSHAKE]; *n < done[MILGI_OP_CLASS_HANDSHAKE] + waiting[1]; ++*n)
        rig_keygen(rig, &rig->counter, MILGI_GROUP_X25519);
    struct milgi_run_result result = rig_run(rig);
    if (result.next == MILGI_RUN_WAIT)
        rig->now_ns = result.deadline_ns;
}

static void saturated(struct rig *rig, uint32_t records, uint32_t handshakes)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.share[MILGI_OP_CLASS_RECORDS] = records;
    options.share[MILGI_OP_CLASS_HANDSHAKE] = handshakes;
    options.outstanding_ns = 1000000;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 0;
    rig_init(rig, &options, "sim:latency=50us,units=1,depth=4,order=in");
}

static struct milgi_key *some_key(struct rig *rig)
{
    static const uint8_t raw[16] = { 1 };
    return milgi__engine_key_aead(rig->engine, MILGI_SUITE_AES_128_GCM_SHA256, raw, sizeof raw);
}

static void finish_lines(struct rig *rig, struct milgi_key *key, unsigned given[MILGI_OP_CLASSES])
{
    static const unsigned nothing[MILGI_OP_CLASSES];
    milgi__engine_key_unref(rig->engine, key);
    while (rig->counter.done < given[0] + given[1])
        keep_lines(rig, key, given, nothing);
    rig_fini(rig);
}

static void check_shares(uint32_t records, uint32_t handshakes)
{
    static const unsigned both[MILGI_OP_CLASSES] = { 200, 200 };
    struct rig rig;
    saturated(&rig, records, handshakes);
    struct milgi_key *key = some_key(&rig);
    unsigned given[MILGI_OP_CLASSES] = { 0, 0 };
    while (rig.counter.done < 4000)
        keep_lines(&rig, key, given, both);
    double r = (double)rig.counter.done_ns[MILGI_OP_CLASS_RECORDS];
    double h = (double)rig.counter.done_ns[MILGI_OP_CLASS_HANDSHAKE];
    double wanted = (double)records / (records + handshakes), got = r / (r + h);
    if (got < wanted - 0.1 || got > wanted + 0.1)
        fail_msg("shares %u:%u: records got %.3f of the device's time, not %.3f", records, handshakes, got, wanted);
    finish_lines(&rig, key, given);
}

static void classes_get_their_shares_of_a_saturated_device(void **state)
{
    (void)state;
    check_shares(1, 1);
    check_shares(3, 1);
    check_shares(1, 4);
}

static void a_class_of_which_nothing_waited_has_saved_nothing_up(void **state)
{
    static const unsigned both[MILGI_OP_CLASSES] = { 200, 200 };
    (void)state;
    for (unsigned absent = 0; absent < MILGI_OP_CLASSES; absent++) {
        struct rig rig;
        unsigned given[MILGI_OP_CLASSES] = { 0, 0 }, waiting[MILGI_OP_CLASSES] = { 200, 200 };
        saturated(&rig, 1, 1);
        struct milgi_key *key = some_key(&rig);
        waiting[absent] = 0;
        while (rig.counter.done < 2000)
            keep_lines(&rig, key, given, waiting);
        unsigned others = rig.counter.done_n[!absent];
        while (rig.counter.done_n[absent] < 500)
            keep_lines(&rig, key, given, both);
        assert_in_range(rig.counter.done_n[!absent] - others, 400, 600);
        finish_lines(&rig, key, given);
    }
}

/* --- copies and memory -------------------------------------------------------------------------------------------- */

static void nothing_is_copied_with_an_inline_device(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_setup setup = { .config = { fake_freeze(fake_config(MILGI_CLIENT, NULL)),
                                    fake_freeze(fake_config(MILGI_SERVER, NULL)) },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    pair.piece = 65536;
    pair_settle(&pair);
    uint64_t before[2], after[2];
    struct milgi_conn_info info;
    for (int role = 0; role < 2; role++)
        milgi_config_unref(setup.config[role]);
    struct milgi_engine_stats stats;
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    milgi_conn_info(server->conn, &info);
    assert_true(info.established);
    milgi_engine_stats(client->engine, &stats);
    before[0] = stats.bytes_copied;
    milgi_engine_stats(server->engine, &stats);
    before[1] = stats.bytes_copied;
    for (unsigned i = 0; i < 8; i++) {
        struct milgi_chunk *chunk = milgi_chunk_new(client->engine, 65536);
        memset(milgi_chunk_data(chunk), (int)i, 65536);
        int rv = milgi_conn_send(client->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 65536 });
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        pair_settle(&pair);
    }
    assert_int_equal(server->got.len, 8 * 65536);
    milgi_conn_free(client->conn);
    milgi_conn_free(server->conn);
    client->conn = server->conn = NULL;
    milgi_engine_stats(client->engine, &stats);
    after[0] = stats.bytes_copied;
    milgi_engine_stats(server->engine, &stats);
    after[1] = stats.bytes_copied;
    /* What the handshake wrote is counted when the connection goes; it is far below one record. */
    assert_true(after[0] - before[0] < 4096);
    assert_true(after[1] - before[1] < 4096);
    pair_fini(&pair);
}

static unsigned recovered;

static void on_memory(void *ctx, struct milgi_engine *engine)
{
    (void)ctx;
    (void)engine;
    recovered++;
}

static void an_empty_pool_says_when_it_has_room_again(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_engine_options options;
    struct milgi_chunk *chunk[64];
    unsigned n = 0;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    options.on_memory = on_memory;
    rig_init(&rig, &options, NULL);
    recovered = 0;
    while (n < 64 && (chunk[n] = milgi_chunk_new(rig.engine, 65536)))
        n++;
    assert_true(n > 4 && n < 64);
    rig_run(&rig);
    assert_int_equal(recovered, 0);
    for (unsigned i = 0; i < n; i++)
        milgi_chunk_unref(chunk[i]);
    rig_run(&rig);
    assert_int_equal(recovered, 1);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_inside_a_run_is_refused),
        cmocka_unit_test(an_idle_engine_asks_for_one_run),
        cmocka_unit_test(what_callbacks_stage_gets_two_passes_and_then_another_run),
        cmocka_unit_test(nobody_with_much_to_do_is_before_those_that_wait),
        cmocka_unit_test(deadlines_come_in_their_order),
        cmocka_unit_test(an_owner_without_turns_is_told_that_it_is_idle),
        cmocka_unit_test(chunks_that_nobody_needs_go_although_nothing_else_happens),
        cmocka_unit_test(use_in_a_forked_process_is_refused),
        cmocka_unit_test(a_full_device_takes_all_in_the_end),
        cmocka_unit_test(spilling_keeps_the_line_short),
        cmocka_unit_test(refusing_says_so_while_the_line_is_long),
        cmocka_unit_test(ops_of_who_has_gone_are_never_begun),
        cmocka_unit_test(a_device_that_owes_too_much_is_taken_out_and_comes_back),
        cmocka_unit_test(a_device_that_accepts_nothing_is_given_up),
        cmocka_unit_test(a_lost_op_that_cannot_be_rerun_is_told_once),
        cmocka_unit_test(classes_get_their_shares_of_a_saturated_device),
        cmocka_unit_test(a_class_of_which_nothing_waited_has_saved_nothing_up),
        cmocka_unit_test(nothing_is_copied_with_an_inline_device),
        cmocka_unit_test(an_empty_pool_says_when_it_has_room_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
