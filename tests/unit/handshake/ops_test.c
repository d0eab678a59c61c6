/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that end in any order, badly, late or never.  ctest-timeout: 180
 * ctest-wrap: milgi__start_keygen milgi__start_derive milgi__start_sign milgi__start_verify milgi__start_chain
 * ctest-wrap: milgi__start_decision milgi__start_ticket milgi__settle milgi__start_encaps milgi__start_decaps
 */
#include "forget.h"
#include "loop.h"
#include "mldsa.h"

/* --- all orders ------------------------------------------------------------------------------------------------- */

/* Walks a tree of choices: each run takes the same way up to its last choice, where it takes the next one. */
struct walk {
    unsigned choice[64], options[64], depth, at;
};

static unsigned choose(struct walk *walk, unsigned n)
{
    assert_true(walk->at < 64);
    if (walk->at == walk->depth) {
        walk->choice[walk->depth] = 0;
        walk->options[walk->depth++] = n;
    }
    assert_int_equal(walk->options[walk->at], n);
    return walk->choice[walk->at++];
}

static bool next_walk(struct walk *walk)
{
    walk->at = 0;
    while (walk->depth > 0 && walk->choice[walk->depth - 1] + 1 == walk->options[walk->depth - 1])
        walk->depth--;
    if (walk->depth == 0)
        return false;
    walk->choice[walk->depth - 1]++;
    return true;
}

/* One of all that could happen next; false: nothing can. */
static bool anything(struct loop *loop, struct walk *walk)
{
    struct loop_end *c = &loop->client, *s = &loop->server;
    loop_run(c);
    loop_run(s);
    bool to_server = c->taken < c->sent_n && s->wait == MILGI__HS_INPUT;
    bool to_client = s->taken < s->sent_n && c->wait == MILGI__HS_INPUT;
    unsigned n = c->ops_n + s->ops_n + to_server + to_client;
    if (n == 0)
        return false;
    unsigned i = n == 1 ? 0 : choose(walk, n);
    if (i < c->ops_n)
        loop_finish(c, i, MILGI_OP_OK);
    else if (i - c->ops_n < s->ops_n)
        loop_finish(s, i - c->ops_n, MILGI_OP_OK);
    else
        loop_deliver(loop, to_server && i == c->ops_n + s->ops_n ? c : s);
    return true;
}

enum kind {
    PLAIN,
    RETRY,
    CLIENT_CERTIFICATE,
    KINDS
};

static struct loop *loop_for(enum kind kind)
{
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_ED25519);
    if (kind == RETRY)
        MUST(milgi_config_set_groups(server, &p256, 1));
    if (kind == CLIENT_CERTIFICATE) {
        MUST(milgi_config_add_credential(client, fixture.credential[IDENTITY_ED25519]));
        MUST(milgi_config_set_trust(server, fixture.trust));
    }
    struct loop *loop = loop_of(client, server);
    loop->queued = true;
    return loop;
}

static void every_order_gives_the_same_messages(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        struct loop *first = NULL;
        struct walk walk = { .depth = 0 };
        unsigned runs = 0;
        do {
            struct loop *loop = loop_for(kind);
            while (anything(loop, &walk))
                continue;
            assert_open(loop);
            if (!first) {
                first = loop;
                continue;
            }
            for (unsigned side = 0; side < 2; side++) {
                const struct loop_end *a = side == 0 ? &first->client : &first->server;
                const struct loop_end *b = side == 0 ? &loop->client : &loop->server;
                assert_int_equal(a->sent_n, b->sent_n);
                for (unsigned i = 0; i < a->sent_n; i++) {
                    assert_int_equal(a->sent[i].level, b->sent[i].level);
                    assert_int_equal(a->sent[i].len, b->sent[i].len);
                    assert_memory_equal(a->sent[i].data, b->sent[i].data, a->sent[i].len);
                }
            }
            loop_free(loop);
        } while (next_walk(&walk) && ++runs < 4000);
        assert_true(runs >= 3);
        print_message("kind %u: %u orders\n", kind, runs + 1);
        loop_free(first);
    }
}

/* --- overlap ---------------------------------------------------------------------------------------------------- */

static unsigned slots_out(const struct loop_end *end)
{
    unsigned slots = 0;
    for (unsigned i = 0; i < end->ops_n; i++)
        slots |= MILGI__ON(end->ops[i].slot);
    return slots;
}

static void finish_slot(struct loop_end *end, unsigned slot, enum milgi_op_status status)
{
    for (unsigned i = 0; i < end->ops_n; i++) {
        if (end->ops[i].slot == slot) {
            loop_finish(end, i, status);
            return;
        }
    }
    fail_msg("%s is not out", milgi__hs_slot_name(slot));
}

static void the_servers_certificate_leaves_before_its_signature_is_there(void **state)
{
    (void)state;
    struct loop *loop = loop_for(PLAIN);
    struct loop_end *c = &loop->client, *s = &loop->server;
    loop_run(s);
    loop_run(c);
    finish_slot(c, MILGI__KEYGEN_1, MILGI_OP_OK);
    loop_deliver(loop, c);
    assert_int_equal(slots_out(s), MILGI__ON(MILGI__KEYGEN_1));
    finish_slot(s, MILGI__KEYGEN_1, MILGI_OP_OK);
    assert_int_equal(slots_out(s), MILGI__ON(MILGI__DERIVE) | MILGI__ON(MILGI__SIGN));
    assert_int_equal(s->sent_n, 0);
    finish_slot(s, MILGI__DERIVE, MILGI_OP_OK);
    assert_non_null(loop_sent(s, MILGI__MSG_CERTIFICATE, 0));
    assert_null(loop_sent(s, MILGI__MSG_CERTIFICATE_VERIFY, 0));
    assert_int_equal(slots_out(s), MILGI__ON(MILGI__SIGN));
    finish_slot(s, MILGI__SIGN, MILGI_OP_OK);
    assert_non_null(loop_sent(s, MILGI__MSG_FINISHED, 0));
    loop_free(loop);
}

/* The client's handshake up to the barrier: all that the server sends was read. */
static void to_the_barrier(struct loop *loop)
{
    struct loop_end *c = &loop->client, *s = &loop->server;
    loop_run(c);
    for (bool moved = true; moved;) {
        loop_run(s);
        while (s->ops_n > 0)
            loop_finish(s, 0, MILGI_OP_OK);
        while (c->ops_n > 0 && c->ops[0].slot <= MILGI__CAPSULE)
            loop_finish(c, 0, MILGI_OP_OK);
        moved = loop_deliver(loop, c) || loop_deliver(loop, s);
    }
    assert_int_equal(s->taken, s->sent_n);
}

static void a_client_says_nothing_before_chain_and_signature_are_verified(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct loop *loop = loop_for(PLAIN);
        struct loop_end *c = &loop->client;
        to_the_barrier(loop);
        assert_int_equal(slots_out(c), MILGI__ON(MILGI__CHAIN) | MILGI__ON(MILGI__VERIFY));
        assert_int_equal(c->sent_n, 1);
        finish_slot(c, order == 0 ? MILGI__CHAIN : MILGI__VERIFY, MILGI_OP_OK);
        assert_int_equal(c->sent_n, 1);
        assert_int_not_equal(c->wait, MILGI__HS_OPEN);
        assert_int_equal(c->level[MILGI__READ], MILGI__LEVEL_HANDSHAKE);
        finish_slot(c, order == 0 ? MILGI__VERIFY : MILGI__CHAIN, MILGI_OP_OK);
        assert_int_equal(c->wait, MILGI__HS_OPEN);
        assert_non_null(loop_sent(c, MILGI__MSG_FINISHED, 0));
        loop_free(loop);
    }
}

static void a_server_opens_nothing_of_a_client_that_is_not_verified(void **state)
{
    (void)state;
    struct loop *loop = loop_for(CLIENT_CERTIFICATE);
    struct loop_end *c = &loop->client, *s = &loop->server;
    loop_run(c);
    for (bool moved = true; moved;) {
        loop_run(s);
        while (c->ops_n > 0)
            loop_finish(c, 0, MILGI_OP_OK);
        while (s->ops_n > 0 && s->ops[0].slot <= MILGI__SIGN)
            loop_finish(s, 0, MILGI_OP_OK);
        moved = loop_deliver(loop, c) || loop_deliver(loop, s);
    }
    assert_int_equal(c->wait, MILGI__HS_OPEN);
    assert_int_equal(slots_out(s), MILGI__ON(MILGI__CHAIN) | MILGI__ON(MILGI__VERIFY));
    finish_slot(s, MILGI__VERIFY, MILGI_OP_OK);
    assert_int_equal(s->level[MILGI__READ], MILGI__LEVEL_HANDSHAKE);
    assert_int_equal(s->wait, MILGI__HS_OPS);
    finish_slot(s, MILGI__CHAIN, MILGI_OP_OK);
    assert_open(loop);
    loop_free(loop);
}

/* --- failures --------------------------------------------------------------------------------------------------- */

static int alert_for(unsigned slot, enum milgi_op_status status)
{
    if (status != MILGI_OP_REJECTED)
        return MILGI_ALERT_INTERNAL_ERROR;
    switch (slot) {
    case MILGI__DERIVE:
        return MILGI_ALERT_ILLEGAL_PARAMETER;
    case MILGI__CHAIN:
        return MILGI_ALERT_UNKNOWN_CA;
    case MILGI__VERIFY:
        return MILGI_ALERT_DECRYPT_ERROR;
    default:
        return MILGI_ALERT_INTERNAL_ERROR;
    }
}

/* The |nth| op of the whole handshake ends with |status|; false: there were not so many. */
static bool one_failure(enum kind kind, unsigned nth, enum milgi_op_status status)
{
    struct loop *loop = loop_for(kind);
    struct loop_end *end = NULL;
    unsigned slot = 0;
    for (bool moved = true; moved;) {
        loop_run(&loop->client);
        loop_run(&loop->server);
        struct loop_end *busy = loop->client.ops_n > 0 ? &loop->client : &loop->server;
        moved = busy->ops_n > 0;
        if (!moved) {
            moved = loop_deliver(loop, &loop->client) || loop_deliver(loop, &loop->server);
            continue;
        }
        bool now = !end && nth-- == 0;
        if (now) {
            end = busy;
            slot = busy->ops[0].slot;
        }
        loop_finish(busy, 0, now ? status : MILGI_OP_OK);
    }
    if (!end) {
        assert_open(loop);
    } else {
        assert_alert(end, alert_for(slot, status));
        assert_true(milgi__hs_failure(end->hs)->op >= 0);
        assert_int_equal(
            milgi__hs_failure(end->hs)->device_code, status == MILGI_OP_REJECTED && slot == MILGI__CHAIN ? 20 : 7);
    }
    loop_free(loop);
    return end != NULL;
}

static void every_op_that_ends_badly_fails_the_handshake_with_its_alert(void **state)
{
    (void)state;
    static const enum milgi_op_status bad[] = { MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        for (unsigned i = 0; i < MILGI__COUNT(bad); i++) {
            unsigned nth = 0;
            while (one_failure(kind, nth, bad[i]))
                nth++;
            assert_true(nth >= 6);
        }
    }
}

static void two_failures_give_the_same_alert_in_either_order(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct loop *loop = loop_for(PLAIN);
        struct loop_end *c = &loop->client;
        to_the_barrier(loop);
        finish_slot(c, order == 0 ? MILGI__CHAIN : MILGI__VERIFY, MILGI_OP_REJECTED);
        assert_int_not_equal(c->wait, MILGI__HS_FAILED);
        finish_slot(c, order == 0 ? MILGI__VERIFY : MILGI__CHAIN, MILGI_OP_REJECTED);
        assert_alert(c, MILGI_ALERT_UNKNOWN_CA);
        loop_free(loop);
    }
}

static void an_op_that_was_never_started_is_never_taken_for_done(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        struct loop *all = loop_for(kind);
        all->queued = false;
        loop_pump(all);
        assert_open(all);
        uint32_t used = all->client.slots_seen | all->server.slots_seen | MILGI__ON(MILGI__PEER) |
            MILGI__ON(MILGI__CREDENTIAL) | MILGI__ON(MILGI__ALPN);
        loop_free(all);
        for (unsigned slot = 0; slot < MILGI__SLOTS; slot++) {
            if ((used & MILGI__ON(slot)) == 0)
                continue;
            struct loop *loop = loop_for(kind);
            loop->queued = false;
            forget_slot = (int)slot;
            loop_pump(loop);
            forget_slot = -1;
            struct loop_end *failed = loop->client.wait == MILGI__HS_FAILED ? &loop->client : &loop->server;
            assert_alert(failed, MILGI_ALERT_INTERNAL_ERROR);
            assert_int_equal(milgi__hs_failure(failed->hs)->error, MILGI_EINTERNAL);
            assert_false(loop->client.wait == MILGI__HS_OPEN && loop->server.wait == MILGI__HS_OPEN);
            loop_free(loop);
        }
    }
}

/* The |nth| op or key of a side cannot be had; false: it never asked for so many. */
static bool one_shortage(enum kind kind, bool of_client, bool of_keys, unsigned nth)
{
    struct loop *loop = loop_for(kind);
    struct loop_end *end = of_client ? &loop->client : &loop->server;
    unsigned *left = of_keys ? &end->keys_left : &end->ops_left;
    loop->queued = false;
    *left = nth;
    loop_pump(loop);
    bool happened = *left == 0;
    if (happened)
        assert_alert(end, MILGI_ALERT_INTERNAL_ERROR);
    if (happened)
        assert_int_equal(milgi__hs_failure(end->hs)->error, MILGI_ENOMEM);
    else
        assert_open(loop);
    loop_free(loop); /* demands every op and key back */
    return happened;
}

static void ops_and_keys_that_cannot_be_had_fail_the_handshake_and_none_is_left_behind(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        for (unsigned i = 0; i < 4; i++) {
            bool of_client = i % 2 == 0, of_keys = i >= 2;
            unsigned nth = 1;
            while (one_shortage(kind, of_client, of_keys, nth))
                nth++;
            assert_true(nth >= (of_keys ? 2 : 4));
        }
    }
}

/* Before each event, ops that are not out report a failure. */
static void completions_of_ops_that_are_not_out_change_nothing(void **state)
{
    (void)state;
    struct loop *loop = loop_for(CLIENT_CERTIFICATE);
    struct walk walk = { .depth = 0 };
    struct milgi_op op = { .type = MILGI_OP_KEYGEN, .status = MILGI_OP_BROKEN };
    do {
        for (unsigned slot = 0; slot <= MILGI__SLOTS; slot++) {
            if ((slots_out(&loop->client) >> slot & 1) == 0)
                milgi__hs_op_done(loop->client.hs, &op, slot);
            if ((slots_out(&loop->server) >> slot & 1) == 0)
                milgi__hs_op_done(loop->server.hs, &op, slot);
        }
    } while (anything(loop, &walk));
    assert_open(loop);
    loop_free(loop);
}

static void without_room_a_row_waits_and_starts_nothing(void **state)
{
    (void)state;
    struct loop *loop = loop_for(CLIENT_CERTIFICATE);
    loop->queued = false;
    loop->client.rooms_refused = 1;
    loop_run(&loop->client);
    assert_int_equal(loop->client.wait, MILGI__HS_ROOM);
    assert_int_equal(loop->client.ops_started, 0);
    loop->client.rooms_refused = 3;
    loop->server.rooms_refused = 5;
    loop_pump(loop);
    assert_open(loop);
    assert_true(loop->server.room_asked > 5);
    loop_free(loop);
}

static void room_for_a_signature_that_an_op_has_none_for_is_asked_for(void **state)
{
    static const uint16_t scheme = MILGI_SIG_MLDSA87;
    (void)state;
    if (!milgi__mldsa_available())
        skip();
    struct mldsa_identity *root = mldsa_identity(MILGI__KEY_MLDSA87, 1, "root", NULL);
    struct mldsa_identity *leaf = mldsa_identity(MILGI__KEY_MLDSA87, 2, "a.test", root);
    struct milgi_config *client = milgi_config_new(MILGI_CLIENT), *server = milgi_config_new(MILGI_SERVER);
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    MUST(milgi_credential_new_pem(
        leaf->cert_pem, strlen(leaf->cert_pem), leaf->key_pem, strlen(leaf->key_pem), &credential));
    MUST(milgi_trust_new_pem(root->cert_pem, strlen(root->cert_pem), &trust));
    MUST(milgi_config_set_trust(client, trust));
    MUST(milgi_config_set_signature_schemes(client, &scheme, 1));
    MUST(milgi_config_add_credential(server, credential));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    assert_open(loop);
    assert_true(loop->server.room_most >= MILGI_SIGNATURE_LONG_MAX);
    loop_free(loop);
    milgi_trust_unref(trust);
    milgi_credential_unref(credential);
    mldsa_identity_free(leaf);
    mldsa_identity_free(root);
}

static void handshakes_with_ops_out_can_be_freed_at_any_point(void **state)
{
    (void)state;
    for (unsigned stop = 0;; stop++) {
        struct loop *loop = loop_for(CLIENT_CERTIFICATE);
        struct walk walk = { .depth = 0 };
        unsigned i = 0;
        while (i < stop && anything(loop, &walk))
            i++;
        bool end = i < stop;
        loop_free(loop);
        if (end)
            break;
    }
}

static unsigned allocations, failing;
static bool fail_one(void)
{
    return allocations++ == failing;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    unsigned opened = 0;
    for (failing = 0; opened == 0; failing++) {
        struct loop *loop = loop_for(CLIENT_CERTIFICATE);
        loop->queued = false;
        allocations = 0;
        milgi__mem_fail = fail_one;
        loop_pump(loop);
        milgi__mem_fail = NULL;
        opened = allocations <= failing;
        if (opened != 0) {
            assert_open(loop);
        } else {
            struct loop_end *failed = loop->client.wait == MILGI__HS_FAILED ? &loop->client : &loop->server;
            if (failed->wait == MILGI__HS_FAILED)
                assert_int_equal(loop_alert(failed), MILGI_ALERT_INTERNAL_ERROR);
            else
                assert_open(loop);
        }
        loop_free(loop);
    }
    print_message("%u allocations\n", failing);
    assert_true(failing >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_gives_the_same_messages),
        cmocka_unit_test(the_servers_certificate_leaves_before_its_signature_is_there),
        cmocka_unit_test(a_client_says_nothing_before_chain_and_signature_are_verified),
        cmocka_unit_test(a_server_opens_nothing_of_a_client_that_is_not_verified),
        cmocka_unit_test(every_op_that_ends_badly_fails_the_handshake_with_its_alert),
        cmocka_unit_test(two_failures_give_the_same_alert_in_either_order),
        cmocka_unit_test(an_op_that_was_never_started_is_never_taken_for_done),
        cmocka_unit_test(ops_and_keys_that_cannot_be_had_fail_the_handshake_and_none_is_left_behind),
        cmocka_unit_test(completions_of_ops_that_are_not_out_change_nothing),
        cmocka_unit_test(without_room_a_row_waits_and_starts_nothing),
        cmocka_unit_test(room_for_a_signature_that_an_op_has_none_for_is_asked_for),
        cmocka_unit_test(handshakes_with_ops_out_can_be_freed_at_any_point),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
