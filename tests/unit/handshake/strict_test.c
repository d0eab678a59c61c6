/* SPDX-License-Identifier: Apache-2.0 */
/* Every message cut short at every place, too long, in a wrong order, with each byte flipped.  ctest-timeout: 240 */
#include "edit.h"

/* One change to the nth message of one side. */
struct change {
    bool by_server;
    unsigned nth;
    size_t cut;    /* body bytes left; SIZE_MAX: all */
    size_t flip;   /* a byte to flip; 0: none */
    bool trailing; /* one byte more */
    bool done;
};

static bool apply(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    struct change *change = loop->tamper_arg;
    if ((from == &loop->server) != change->by_server || from->taken != change->nth + 1)
        return true;
    change->done = true;
    if (change->cut != SIZE_MAX)
        edit_splice(m, 4 + change->cut, m->len - 4 - change->cut, NULL, 0);
    if (change->trailing)
        edit_splice(m, m->len, 0, "", 1);
    if (change->flip != 0)
        m->data[change->flip] ^= 0x10;
    return true;
}

/* With a client certificate and a retry: every message that there is. */
static struct loop *full(void)
{
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    static const char *const protocols[] = { "h2", "http/1.1" };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_ED25519);
    MUST(milgi_config_add_credential(client, fixture.credential[IDENTITY_ED25519]));
    MUST(milgi_config_set_trust(server, fixture.trust));
    MUST(milgi_config_set_groups(server, &p256, 1));
    MUST(milgi_config_set_alpn(client, protocols, 2));
    MUST(milgi_config_set_alpn(server, protocols, 2));
    return loop_of(client, server);
}

static struct loop *play(struct change *change)
{
    struct loop *loop = full();
    loop->tamper = apply;
    loop->tamper_arg = change;
    loop_pump(loop);
    return loop;
}

/* A message that ends before its extensions is one of an older version. */
static int alert_for_cut(const struct change *change, const struct loop_message *m)
{
    size_t block = edit_block(m);
    bool hello = m->data[0] == MILGI__MSG_CLIENT_HELLO || m->data[0] == MILGI__MSG_SERVER_HELLO;
    if (m->data[0] == MILGI__MSG_FINISHED)
        return MILGI_ALERT_DECRYPT_ERROR;
    if (!hello || change->cut + 4 != block - 2)
        return MILGI_ALERT_DECODE_ERROR;
    if (!change->by_server)
        return change->nth == 0 ? MILGI_ALERT_PROTOCOL_VERSION : MILGI_ALERT_MISSING_EXTENSION;
    return change->nth == 0 ? MILGI_ALERT_MISSING_EXTENSION : MILGI_ALERT_ILLEGAL_PARAMETER;
}

static void for_each_message(void (*test)(bool by_server, unsigned nth, const struct loop_message *m))
{
    struct loop *loop = full();
    loop_pump(loop);
    assert_open(loop);
    for (unsigned i = 0; i < loop->client.sent_n; i++)
        test(false, i, &loop->client.sent[i]);
    for (unsigned i = 0; i < loop->server.sent_n; i++)
        test(true, i, &loop->server.sent[i]);
    loop_free(loop);
}

static void cut_everywhere(bool by_server, unsigned nth, const struct loop_message *m)
{
    for (size_t cut = 0; cut < m->len - 4; cut++) {
        struct change change = { .by_server = by_server, .nth = nth, .cut = cut };
        struct loop *loop = play(&change);
        assert_true(change.done);
        assert_alert(by_server ? &loop->client : &loop->server, alert_for_cut(&change, m));
        loop_free(loop);
    }
}

static void lengthen(bool by_server, unsigned nth, const struct loop_message *m)
{
    struct change change = { .by_server = by_server, .nth = nth, .cut = SIZE_MAX, .trailing = true };
    struct loop *loop = play(&change);
    assert_alert(by_server ? &loop->client : &loop->server,
        m->data[0] == MILGI__MSG_FINISHED ? MILGI_ALERT_DECRYPT_ERROR : MILGI_ALERT_DECODE_ERROR);
    loop_free(loop);
}

static void flip_everywhere(bool by_server, unsigned nth, const struct loop_message *m)
{
    for (size_t flip = 4; flip < m->len; flip++) {
        struct change change = { .by_server = by_server, .nth = nth, .cut = SIZE_MAX, .flip = flip };
        struct loop *loop = play(&change);
        bool failed = loop->client.wait == MILGI__HS_FAILED || loop->server.wait == MILGI__HS_FAILED;
        bool both = loop->client.wait == MILGI__HS_OPEN && loop->server.wait == MILGI__HS_OPEN;
        if (!failed || both)
            fail_msg("byte %zu of message %u of the %s", flip, nth, by_server ? "server" : "client");
        loop_free(loop);
    }
}

static void each_message_cut_short_is_refused(void **state)
{
    (void)state;
    for_each_message(cut_everywhere);
}

static void each_message_with_a_byte_more_is_refused(void **state)
{
    (void)state;
    for_each_message(lengthen);
}

static void no_message_can_be_changed_unnoticed(void **state)
{
    (void)state;
    for_each_message(flip_everywhere);
}

static const uint8_t types[] = { 0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254, 255 };

static void each_message_in_a_wrong_place_is_refused(void **state)
{
    (void)state;
    for (unsigned stop = 0;; stop++) {
        unsigned at_client = 0, at_server = 0, waiting = 0, steps = 0;
        for (unsigned i = 0; i < MILGI__COUNT(types); i++) {
            struct loop *loop = full();
            for (steps = 0; steps < stop; steps++) {
                loop_run(&loop->client);
                loop_run(&loop->server);
                if (!loop_deliver(loop, &loop->client) && !loop_deliver(loop, &loop->server))
                    break;
            }
            loop_run(&loop->client);
            loop_run(&loop->server);
            for (unsigned side = 0; side < 2; side++) {
                struct loop_end *end = side == 0 ? &loop->client : &loop->server;
                if (end->wait != MILGI__HS_INPUT)
                    continue;
                waiting++;
                uint8_t message[4] = { types[i], 0, 0, 0 };
                loop_input(end, end->level[MILGI__READ], message, sizeof message);
                assert_int_equal(end->wait, MILGI__HS_FAILED);
                if (loop_alert(end) != MILGI_ALERT_UNEXPECTED_MESSAGE)
                    ++*(side == 0 ? &at_client : &at_server);
            }
            loop_free(loop);
        }
        if (steps < stop)
            break;
        /* At every point one type is right, or two where a request is optional. */
        assert_true(at_client <= 2 && at_server <= 1);
        assert_true(waiting == 0 || at_client + at_server >= 1);
    }
}

static void a_message_above_the_limit_is_refused_from_its_header(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_limit(server, MILGI_LIMIT_HANDSHAKE_MESSAGE, 4096));
    struct loop *loop = loop_of(client, server);
    loop_run(&loop->client);
    loop_run(&loop->server);
    static const uint8_t fits[] = { 1, 0, 0x10, 0 }, too_long[] = { 1, 0, 0x10, 1 };
    MUST(milgi__hs_input(loop->server.hs, MILGI__LEVEL_INITIAL, fits, 4));
    loop_run(&loop->server);
    assert_int_equal(loop->server.wait, MILGI__HS_INPUT);
    assert_true(milgi__hs_mid_message(loop->server.hs));
    loop_free(loop);
    loop = full();
    loop_free(loop);
    client = client_config();
    server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_limit(server, MILGI_LIMIT_HANDSHAKE_MESSAGE, 4096));
    loop = loop_of(client, server);
    loop_run(&loop->server);
    MUST(milgi__hs_input(loop->server.hs, MILGI__LEVEL_INITIAL, too_long, 4));
    loop_run(&loop->server);
    assert_alert(&loop->server, MILGI_ALERT_ILLEGAL_PARAMETER);
    loop_free(loop);
}

static void an_empty_record_or_one_of_a_wrong_level_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct loop *loop = full();
        loop_run(&loop->client);
        loop_run(&loop->server);
        struct loop_end *end = i == 2 ? &loop->client : &loop->server;
        enum milgi__level level = i == 0 ? MILGI__LEVEL_INITIAL : MILGI__LEVEL_HANDSHAKE;
        assert_int_equal(milgi__hs_input(end->hs, level, (const uint8_t *)"", i == 0 ? 0 : 1), MILGI_EPROTO);
        loop_run(end);
        assert_alert(end, MILGI_ALERT_UNEXPECTED_MESSAGE);
        loop_free(loop);
    }
}

/* Bytes behind a message after which the keys change. */
static void nothing_may_follow_a_message_that_ends_a_flight(void **state)
{
    (void)state;
    static const struct {
        bool by_server;
        unsigned type, nth;
    } cases[] = { { false, MILGI__MSG_CLIENT_HELLO, 0 }, { false, MILGI__MSG_CLIENT_HELLO, 1 },
        { true, MILGI__MSG_SERVER_HELLO, 0 }, { true, MILGI__MSG_SERVER_HELLO, 1 }, { true, MILGI__MSG_FINISHED, 0 },
        { false, MILGI__MSG_FINISHED, 0 } };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct loop *loop = full();
        struct loop_end *from = cases[i].by_server ? &loop->server : &loop->client, *to = loop_peer(from);
        bool done = false;
        while (!done) {
            loop_run(&loop->client);
            loop_run(&loop->server);
            const struct loop_message *wanted = loop_sent(from, cases[i].type, cases[i].nth);
            if (!wanted || wanted != &from->sent[from->taken]) {
                assert_true(loop_deliver(loop, &loop->client) || loop_deliver(loop, &loop->server));
                continue;
            }
            uint8_t both[2048];
            memcpy(both, wanted->data, wanted->len);
            memcpy(both + wanted->len, "\x18\0\0\1\0", 5);
            loop_input(to, wanted->level, both, wanted->len + 5);
            done = true;
        }
        assert_alert(to, MILGI_ALERT_UNEXPECTED_MESSAGE);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_cut_short_is_refused),
        cmocka_unit_test(each_message_with_a_byte_more_is_refused),
        cmocka_unit_test(no_message_can_be_changed_unnoticed),
        cmocka_unit_test(each_message_in_a_wrong_place_is_refused),
        cmocka_unit_test(a_message_above_the_limit_is_refused_from_its_header),
        cmocka_unit_test(an_empty_record_or_one_of_a_wrong_level_is_refused),
        cmocka_unit_test(nothing_may_follow_a_message_that_ends_a_flight),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
