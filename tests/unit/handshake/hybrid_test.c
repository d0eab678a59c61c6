/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hybrids of ECDH and ML-KEM: what is offered, which ops run side by side, how the two halves become one secret, and
 * what becomes of halves that are not valid.
 */
#include "loop.h"

#include <string.h>

#include <milgi/policy.h>

#include "crypto/kem.h"

/* And ML-KEM alone, which is half of what they are. */
static const uint16_t hybrids[] = { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1MLKEM768,
    MILGI_GROUP_SECP384R1MLKEM1024, MILGI_GROUP_MLKEM768, MILGI_GROUP_MLKEM1024 };
static const uint16_t classical[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };

static void need_mlkem(void)
{
    if (!milgi__kem_available())
        skip();
}

static struct loop *loop_with(
    const uint16_t *client_groups, size_t client_n, const uint16_t *server_groups, size_t server_n)
{
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_groups(client, client_groups, client_n));
    MUST(milgi_config_set_groups(server, server_groups, server_n));
    return loop_of(client, server);
}

static unsigned group_of(struct loop *loop)
{
    assert_int_equal(milgi__hs_result(loop->server.hs)->group, milgi__hs_result(loop->client.hs)->group);
    return milgi__hs_result(loop->client.hs)->group;
}

/* Where |group|'s key_exchange begins in a message, behind its length, which must be |len|; NULL: it is not there. */
static uint8_t *share_in(const struct loop_message *m, unsigned group, unsigned len)
{
    const uint8_t head[] = { (uint8_t)(group >> 8), (uint8_t)group, (uint8_t)(len >> 8), (uint8_t)len };
    for (size_t at = 0; at + sizeof head + len <= m->len; at++) {
        if (memcmp(m->data + at, head, sizeof head) == 0)
            return m->data + at + sizeof head;
    }
    return NULL;
}

/* --- what is agreed on -------------------------------------------------------------------------------------------- */

static void every_hybrid_comes_to_a_connection(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < MILGI__COUNT(hybrids); i++) {
        struct loop *loop = loop_with(&hybrids[i], 1, &hybrids[i], 1);
        const struct milgi__group *group = milgi__group(hybrids[i]);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(group_of(loop), hybrids[i]);
        assert_false(milgi__hs_result(loop->client.hs)->hello_retry);
        assert_non_null(
            share_in(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0), hybrids[i], group->client_len));
        assert_non_null(
            share_in(loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0), hybrids[i], group->server_len));
        loop_free(loop);
    }
}

/* By default the hybrid goes first, and its half beside it is the same key: it was made once. */
static void by_default_a_hybrid_and_its_half_are_offered(void **state)
{
    (void)state;
    need_mlkem();
    struct milgi_config *client = milgi_config_new(MILGI_CLIENT), *server = milgi_config_new(MILGI_SERVER);
    MUST(milgi_config_set_trust(client, fixture.trust));
    MUST(milgi_config_add_credential(server, fixture.credential[IDENTITY_P256]));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(group_of(loop), MILGI_GROUP_X25519MLKEM768);
    const struct loop_message *hello = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
    const uint8_t *both = share_in(hello, MILGI_GROUP_X25519MLKEM768, 1184 + 32);
    const uint8_t *half = share_in(hello, MILGI_GROUP_X25519, 32);
    assert_non_null(both);
    assert_non_null(half);
    assert_memory_equal(both + 1184, half, 32);
    uint32_t two = MILGI__ON(MILGI__KEYGEN_1) | MILGI__ON(MILGI__KEYGEN_2);
    assert_int_equal(loop->client.slots_seen & ((1u << MILGI__DERIVE) - 1), two);
    loop_free(loop);
}

static void a_server_without_the_hybrid_takes_the_half_at_once(void **state)
{
    (void)state;
    need_mlkem();
    static const uint16_t offered[] = { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1, MILGI_GROUP_X25519 };
    struct loop *loop = loop_with(offered, 3, classical, 3);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(group_of(loop), MILGI_GROUP_X25519);
    assert_false(milgi__hs_result(loop->client.hs)->hello_retry);
    assert_int_equal(loop->client.slots_seen & MILGI__ON(MILGI__CAPSULE), 0);
    assert_int_equal(loop->server.slots_seen & MILGI__ON(MILGI__CAPSULE), 0);
    loop_free(loop);
}

static void a_retry_leads_to_a_hybrid_and_away_from_one(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < 2 * MILGI__COUNT(hybrids); i++) {
        uint16_t hybrid = hybrids[i / 2], other = classical[(i / 2 + 1) % 3];
        bool to = i % 2;
        uint16_t offered[] = { to ? other : hybrid, to ? hybrid : other };
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(client, offered, 2));
        MUST(milgi_config_set_key_shares(client, 1));
        MUST(milgi_config_set_grease(client, true)); /* the second hello has one share all the same */
        MUST(milgi_config_set_groups(server, &offered[1], 1));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(group_of(loop), offered[1]);
        assert_true(milgi__hs_result(loop->client.hs)->hello_retry);
        bool halves = milgi__group(hybrid)->kind == MILGI__HYBRID;
        assert_int_equal((loop->client.slots_seen & MILGI__ON(MILGI__KEYGEN_RETRY_2)) != 0, to && halves);
        loop_free(loop);
    }
}

/*= RFC8446 4.2.8: "the values MAY be a non-contiguous subset of the "supported_groups" extension and MAY omit the most
 *= preferred groups" */
static void shares_may_be_of_groups_that_are_named(void **state)
{
    static const uint16_t named[] = { MILGI_GROUP_SECP384R1, MILGI_GROUP_SECP256R1 };
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(classical); i++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(client, classical, MILGI__COUNT(classical)));
        MUST(milgi_config_set_key_shares(client, 1));
        MUST(milgi_config_set_key_share_groups(client, named, MILGI__COUNT(named)));
        MUST(milgi_config_set_groups(server, &classical[i], 1));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(group_of(loop), classical[i]);
        assert_int_equal(milgi__hs_result(loop->client.hs)->hello_retry, i == 0);
        const struct loop_message *hello = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
        const uint8_t *p256 = share_in(hello, MILGI_GROUP_SECP256R1, 65);
        const uint8_t *p384 = share_in(hello, MILGI_GROUP_SECP384R1, 97);
        assert_null(share_in(hello, MILGI_GROUP_X25519, 32));
        assert_non_null(p256);
        assert_non_null(p384);
        assert_true(p256 < p384); /* in the order of the groups */
        loop_free(loop);
    }
}

/* Both kinds, so that it does not matter which of them a server has. */
static void a_share_of_each_kind_is_sent(void **state)
{
    (void)state;
    need_mlkem();
    static const struct {
        uint16_t offered[3], shared[2];
    } lists[] = {
        { { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1, MILGI_GROUP_X25519 },
            { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_X25519 } },
        { { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP384R1MLKEM1024, MILGI_GROUP_SECP256R1 },
            { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1 } },
        { { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1MLKEM1024 },
            { MILGI_GROUP_X25519, MILGI_GROUP_SECP384R1MLKEM1024 } },
        { { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1MLKEM768, MILGI_GROUP_SECP384R1MLKEM1024 },
            { MILGI_GROUP_X25519MLKEM768 } },
        { { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 }, { MILGI_GROUP_X25519 } },
    };
    for (size_t i = 0; i < MILGI__COUNT(lists); i++) {
        struct loop *loop = loop_with(lists[i].offered, 3, classical, 3);
        loop_run(&loop->client);
        const struct loop_message *hello = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
        for (unsigned k = 0; k < 3; k++) {
            uint16_t group = lists[i].offered[k];
            bool wanted = group == lists[i].shared[0] || group == lists[i].shared[1];
            assert_int_equal(share_in(hello, group, milgi__group(group)->client_len) != NULL, wanted);
        }
        loop_free(loop);
    }
}

/* With all shares there are: each half is made once. */
static void as_many_shares_as_there_may_be_are_made_of_five_keys(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(client, hybrids, 3));
        MUST(milgi_config_set_key_shares(client, 3));
        MUST(milgi_config_set_groups(server, &hybrids[i], 1));
        struct loop *loop = loop_of(client, server);
        loop->queued = true;
        loop_run(&loop->client);
        assert_int_equal(loop->client.ops_n, 5);
        while (loop->client.ops_n > 0)
            loop_finish(&loop->client, loop->client.ops_n - 1, MILGI_OP_OK);
        loop->queued = false;
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(group_of(loop), hybrids[i]);
        loop_free(loop);
    }
}

/* The prefix of a list is not what is shared by default. */
static void a_number_of_shares_is_kept_to(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned shares = 1; shares <= 2; shares++) {
        static const uint16_t offered[] = { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1, MILGI_GROUP_X25519 };
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(client, offered, 3));
        MUST(milgi_config_set_key_shares(client, shares));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        const struct loop_message *hello = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
        assert_non_null(share_in(hello, MILGI_GROUP_X25519MLKEM768, 1216));
        assert_int_equal(share_in(hello, MILGI_GROUP_SECP256R1, 65) != NULL, shares == 2);
        assert_null(share_in(hello, MILGI_GROUP_X25519, 32));
        loop_free(loop);
    }
}

/* --- ops side by side --------------------------------------------------------------------------------------------- */

static uint32_t slots_out(const struct loop_end *end)
{
    uint32_t slots = 0;
    for (unsigned i = 0; i < end->ops_n; i++)
        slots |= MILGI__ON(end->ops[i].slot);
    return slots;
}

/* Those that are out, not what comes of them. */
static void finish_all(struct loop_end *end, bool last_first)
{
    for (unsigned n = end->ops_n; n > 0; n--)
        loop_finish(end, last_first ? n - 1 : 0, MILGI_OP_OK);
}

/* And of ML-KEM alone, which needs half of the ops, no others are waited for. */
static void the_halves_run_side_by_side(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < 2 * MILGI__COUNT(hybrids); i++) {
        bool both = milgi__group(hybrids[i / 2])->kind == MILGI__HYBRID;
        uint64_t ecdh = both ? UINT64_MAX : ~(MILGI__ON(MILGI__DERIVE));
        struct loop *loop = loop_with(&hybrids[i / 2], 1, &hybrids[i / 2], 1);
        struct loop_end *c = &loop->client, *s = &loop->server;
        loop->queued = true;
        loop_run(c);
        assert_int_equal(slots_out(c), MILGI__ON(MILGI__KEYGEN_1) | (both ? MILGI__ON(MILGI__KEYGEN_2) : 0));
        finish_all(c, i % 2);
        loop_run(c);
        assert_true(loop_deliver(loop, c));
        assert_int_equal(slots_out(s), (both ? MILGI__ON(MILGI__KEYGEN_1) : 0) | MILGI__ON(MILGI__CAPSULE));
        finish_all(s, i % 2);
        loop_run(s);
        assert_int_equal(slots_out(s), (MILGI__ON(MILGI__DERIVE) & ecdh) | MILGI__ON(MILGI__SIGN));
        finish_all(s, i % 2);
        loop_run(s);
        assert_true(loop_deliver(loop, s));
        assert_int_equal(slots_out(c), (MILGI__ON(MILGI__DERIVE) & ecdh) | MILGI__ON(MILGI__CAPSULE));
        finish_all(c, i % 2);
        loop->queued = false;
        loop_pump(loop);
        assert_open(loop);
        loop_free(loop);
    }
}

/* Of each half alone: neither is enough. */
static void nothing_goes_on_with_one_half(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < 2; i++) {
        struct loop *loop = loop_with(hybrids, 1, hybrids, 1);
        struct loop_end *c = &loop->client, *s = &loop->server;
        loop->queued = true;
        loop_run(c);
        loop_finish(c, i, MILGI_OP_OK);
        loop_run(c);
        assert_null(loop_sent(c, MILGI__MSG_CLIENT_HELLO, 0));
        finish_all(c, false);
        loop_run(c);
        assert_true(loop_deliver(loop, c));
        loop_finish(s, i, MILGI_OP_OK);
        loop_run(s);
        assert_int_equal(s->ops_n, 1);
        assert_null(loop_sent(s, MILGI__MSG_SERVER_HELLO, 0));
        finish_all(s, false);
        loop_run(s);
        finish_all(s, false);
        loop_run(s);
        assert_true(loop_deliver(loop, s));
        loop_finish(c, i, MILGI_OP_OK);
        loop_run(c);
        assert_int_equal(c->level[MILGI__READ], MILGI__LEVEL_INITIAL);
        loop_free(loop);
    }
}

/* --- what a device says of a half --------------------------------------------------------------------------------- */

static void each_half_that_fails_ends_the_handshake(void **state)
{
    (void)state;
    need_mlkem();
    static const enum milgi_op_status statuses[] = { MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_LOST };
    for (unsigned i = 0; i < 2 * MILGI__COUNT(statuses); i++) {
        struct loop *loop = loop_with(hybrids, 1, hybrids, 1);
        struct loop_end *c = &loop->client, *s = &loop->server;
        bool server = i % 2;
        loop->queued = true;
        loop_run(c);
        finish_all(c, false);
        loop_run(c);
        assert_true(loop_deliver(loop, c));
        if (!server) {
            finish_all(s, false);
            loop_run(s);
            finish_all(s, false);
            loop_run(s);
            assert_true(loop_deliver(loop, s));
        }
        struct loop_end *end = server ? s : c;
        unsigned at = end->ops[0].slot == MILGI__CAPSULE ? 0 : 1;
        loop_finish(end, at, statuses[i / 2]);
        finish_all(end, false);
        loop_run(end);
        assert_alert(
            end, statuses[i / 2] == MILGI_OP_REJECTED ? MILGI_ALERT_ILLEGAL_PARAMETER : MILGI_ALERT_INTERNAL_ERROR);
        loop_free(loop);
    }
}

/* --- halves that are not valid ------------------------------------------------------------------------------------ */

struct damage {
    const char *what;
    bool to_server; /* in ClientHello; else in ServerHello */
    unsigned group;
    size_t at, len; /* in the share */
    uint8_t with;   /* in the place of these bytes; 0x01: one bit of each is changed */
    int alert;      /* of who reads it */
};

static bool damaged(struct loop *loop, struct loop_end *from, struct loop_message *message)
{
    const struct damage *d = loop->tamper_arg;
    const struct milgi__group *group = milgi__group((uint16_t)d->group);
    if ((from == &loop->client) != d->to_server)
        return true;
    uint8_t *share = share_in(message, d->group, d->to_server ? group->client_len : group->server_len);
    if (!share)
        return true;
    for (size_t i = 0; i < d->len; i++)
        share[d->at + i] = d->with == 1 ? share[d->at + i] ^ 1 : d->with;
    return true;
}

static void a_half_that_is_not_valid_is_refused(void **state)
{
    (void)state;
    need_mlkem();
    static const struct damage damages[] = {
        /* FIPS 203 7.2: the first coefficient, one in the middle, the last */
        { "a coefficient", true, MILGI_GROUP_X25519MLKEM768, 0, 3, 0xff, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "a coefficient", true, MILGI_GROUP_X25519MLKEM768, 600, 3, 0xff, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "a coefficient", true, MILGI_GROUP_X25519MLKEM768, 1149, 3, 0xff, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "a coefficient", true, MILGI_GROUP_SECP256R1MLKEM768, 65, 3, 0xff, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "a coefficient", true, MILGI_GROUP_SECP384R1MLKEM1024, 97, 3, 0xff, MILGI_ALERT_ILLEGAL_PARAMETER },
        /*= RFC8446 7.4.2: "Implementations MUST check whether the computed Diffie-Hellman shared secret is the all-zero
         *= value and abort if so" */
        { "zeros", true, MILGI_GROUP_X25519MLKEM768, 1184, 32, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "zeros", false, MILGI_GROUP_X25519MLKEM768, 1088, 32, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "no point", true, MILGI_GROUP_SECP256R1MLKEM768, 33, 32, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "no point", false, MILGI_GROUP_SECP256R1MLKEM768, 33, 32, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "no point", true, MILGI_GROUP_SECP384R1MLKEM1024, 49, 48, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "no point", false, MILGI_GROUP_SECP384R1MLKEM1024, 49, 48, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "another form", false, MILGI_GROUP_SECP256R1MLKEM768, 0, 1, 2, MILGI_ALERT_ILLEGAL_PARAMETER },
        /* A ciphertext gives some secret, whatever it is: the transcript differs, and what was signed. */
        { "a ciphertext", false, MILGI_GROUP_X25519MLKEM768, 0, 8, 1, MILGI_ALERT_DECRYPT_ERROR },
        { "a ciphertext", false, MILGI_GROUP_SECP384R1MLKEM1024, 1000, 8, 1, MILGI_ALERT_DECRYPT_ERROR },
    };
    for (size_t i = 0; i < MILGI__COUNT(damages); i++) {
        uint16_t group = (uint16_t)damages[i].group;
        struct loop *loop = loop_with(&group, 1, &group, 1);
        loop->tamper = damaged;
        loop->tamper_arg = (void *)(uintptr_t)&damages[i];
        loop_pump(loop);
        const struct loop_end *reader = damages[i].to_server ? &loop->server : &loop->client;
        if (loop_alert(reader) != damages[i].alert)
            fail_msg("%zu: %s of %s: %d", i, damages[i].what, milgi_group_name(group), loop_alert(reader));
        assert_alert(reader, damages[i].alert);
        loop_free(loop);
    }
}

/* One bit of either half, and the client has other keys than the server. */
static void both_halves_make_the_secret(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned half = 0; half < 2; half++) {
        struct loop *loop = loop_with(hybrids, 1, hybrids, 1);
        struct loop_end *c = &loop->client, *s = &loop->server;
        loop->queued = true;
        loop_run(c);
        finish_all(c, false);
        assert_true(loop_deliver(loop, c));
        finish_all(s, false);
        finish_all(s, false);
        assert_true(loop_deliver(loop, s));
        assert_int_equal(c->ops_n, 2); /* in the order of the halves */
        loop_finish(c, half, MILGI_OP_OK);
        assert_int_equal(c->hs->kex->shared_len, 32);
        c->hs->kex->shared[half * 32] ^= 1;
        loop_finish(c, 0, MILGI_OP_OK);
        assert_int_equal(c->level[MILGI__READ], MILGI__LEVEL_HANDSHAKE);
        assert_memory_not_equal(
            c->secret[MILGI__READ][MILGI__LEVEL_HANDSHAKE], s->secret[MILGI__WRITE][MILGI__LEVEL_HANDSHAKE], 32);
        loop_free(loop);
    }
}

/* --- without memory ----------------------------------------------------------------------------------------------- */

/* With a retry that leads to the hybrid, or without one. */
static struct loop *loop_retried(bool retry)
{
    uint16_t offered[] = { retry ? MILGI_GROUP_SECP256R1 : hybrids[0], hybrids[0] };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_groups(client, offered, retry ? 2 : 1));
    MUST(milgi_config_set_key_shares(client, 1));
    MUST(milgi_config_set_groups(server, hybrids, 1));
    return loop_of(client, server);
}

/* An end has failed for want of memory, or nothing has. */
static void check_end(struct loop *loop, bool opened)
{
    struct loop_end *failed = loop->client.wait == MILGI__HS_FAILED ? &loop->client : &loop->server;
    if (failed->wait == MILGI__HS_FAILED && !opened)
        assert_int_equal(loop_alert(failed), MILGI_ALERT_INTERNAL_ERROR);
    else
        assert_open(loop);
}

static unsigned allocations, failing;
static bool fail_one(void)
{
    return allocations++ == failing;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned retry = 0; retry < 2; retry++) {
        bool opened = false;
        for (failing = 0; !opened; failing++) {
            struct loop *loop = loop_retried(retry);
            allocations = 0;
            milgi__mem_fail = fail_one;
            loop_pump(loop);
            milgi__mem_fail = NULL;
            opened = allocations <= failing;
            check_end(loop, opened);
            loop_free(loop);
        }
        assert_true(failing >= 20);
    }
}

static void every_op_may_not_be_had(void **state)
{
    (void)state;
    need_mlkem();
    for (unsigned i = 0; i < 4; i++) {
        bool opened = false;
        unsigned n = 1;
        for (; !opened; n++) {
            struct loop *loop = loop_retried(i / 2);
            struct loop_end *end = i % 2 ? &loop->server : &loop->client;
            end->ops_left = n;
            loop_pump(loop);
            opened = end->ops_left != 0;
            check_end(loop, opened);
            loop_free(loop); /* which demands that none is left behind */
        }
        assert_true(n > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hybrid_comes_to_a_connection),
        cmocka_unit_test(by_default_a_hybrid_and_its_half_are_offered),
        cmocka_unit_test(a_server_without_the_hybrid_takes_the_half_at_once),
        cmocka_unit_test(a_retry_leads_to_a_hybrid_and_away_from_one),
        cmocka_unit_test(shares_may_be_of_groups_that_are_named),
        cmocka_unit_test(a_share_of_each_kind_is_sent),
        cmocka_unit_test(as_many_shares_as_there_may_be_are_made_of_five_keys),
        cmocka_unit_test(a_number_of_shares_is_kept_to),
        cmocka_unit_test(the_halves_run_side_by_side),
        cmocka_unit_test(nothing_goes_on_with_one_half),
        cmocka_unit_test(each_half_that_fails_ends_the_handshake),
        cmocka_unit_test(a_half_that_is_not_valid_is_refused),
        cmocka_unit_test(both_halves_make_the_secret),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_op_may_not_be_had),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
