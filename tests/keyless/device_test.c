/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device keyless with servers that do as they are told: late, twice, wrongly, not at all. Nothing here asks how
 * long something took; and since on a machine that is busy any of these servers may seem to hang for a moment, what
 * comes of that is no failure: alone/ has the tests that know exactly what is asked where.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers.h"

static struct told_server one, two;
static struct asker asker;
static struct milgi_device *device;
static struct milgi_keyless_options options;
static char addresses[160];

/* What on_part told last of each server; from the device's thread. */
static struct {
    _Atomic int code;
    _Atomic unsigned told;
} part[2];

static void on_part(void *ctx, struct milgi_device *teller, const char *name, int code)
{
    unsigned i = strcmp(name, one.address) != 0;
    (void)ctx;
    (void)teller;
    part[i].code = code;
    part[i].told++;
}

static struct milgi_keyless_stats stats(void)
{
    struct milgi_keyless_stats now;
    milgi_keyless_stats(device, &now);
    return now;
}

/* Asks |n| servers; options may be changed before. */
static void begin(unsigned n, const char *uri)
{
    const char *why;
    told_loop_open();
    told_open(&one, 0);
    if (n > 1)
        told_open(&two, 0);
    snprintf(addresses, sizeof addresses, "%s%s%s", one.address, n > 1 ? "," : "", n > 1 ? two.address : "");
    options.servers = addresses;
    options.on_part = on_part;
    memset(part, 0, sizeof part);
    if (milgi_keyless_new(&options, &device, &why))
        fail_msg("%s", why);
    asker_open(&asker, device, uri);
    UNTIL(stats().up == n);
}

static void end(unsigned n)
{
    asker_close(&asker);
    milgi_device_free(device);
    told_close(&one);
    if (n > 1)
        told_close(&two);
    told_loop_close();
}

static int setup(void **state)
{
    (void)state;
    (void)servers_options(&options, NULL);
    options.timeout_ns = UINT64_C(3600000000000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_config_unref(options.config);
    return 0;
}

/* --- questions and answers ---------------------------------------------------------------------------------------- */

static void answers_come_in_any_order(void **state)
{
    (void)state;
    options.hedge_percent = 0;
    begin(1, "keyless:");
    one.answers = false;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(asker_ask(&asker), i);
    UNTIL(one.asked_n == 3);
    for (unsigned k = 0; k < 3; k++) {
        unsigned i = (k + 2) % 3;
        told_sign(&one, i);
        UNTIL(asker_back(&asker) == k + 1);
        asker_good(&asker, i);
    }
    end(1);
}

static void a_request_says_which_key(void **state)
{
    uint8_t id[20];
    (void)state;
    begin(1, "keyless:sni=www.example.org");
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    asker_good(&asker, 0);
    assert_int_equal(milgi_credential_key_id(asker.credential, id), 0);
    assert_memory_equal(one.asked[0].ski, id, 20);
    assert_string_equal(one.asked[0].sni, "www.example.org");
    assert_int_equal(one.asked[0].opcode, MILGI__KEYLESS_ECDSA_SHA256);
    assert_int_equal(one.asked[0].payload_len, 32);
    end(1);
}

static void a_key_may_be_named_by_its_identifier(void **state)
{
    static const uint8_t id[20] = { 0x00, 0x11, 0x22, 0xaa, 0xff };
    (void)state;
    begin(1, "KEYLESS:ski=001122AAff000000000000000000000000000000;sni=a");
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    assert_memory_equal(one.asked[0].ski, id, 20);
    assert_string_equal(one.asked[0].sni, "a");
    end(1);
    begin(1, "keyless:sni=ski=a"); /* which names a server, and no key */
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    assert_memory_not_equal(one.asked[0].ski, id, 4);
    end(1);
}

static void other_keys_are_left_to_other_devices(void **state)
{
    static const char *const uris[] = { "pkcs11:object=x", "keyless:object=x", "keyless:sni=", "keyless:ski=00",
        "keyless:ski=0011223344556677889900112233445566778g90" };
    (void)state;
    begin(1, "keyless:");
    for (unsigned i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        static struct asker other;
        asker_open(&other, device, uris[i]);
        assert_null(other.loaded[0]);
        asker_close(&other);
    }
    end(1);
}

static void answers_that_nobody_waits_for_are_passed_over(void **state)
{
    (void)state;
    options.hedge_percent = 0;
    begin(1, "keyless:");
    one.answers = false;
    asker_ask(&asker);
    UNTIL(one.asked_n == 1);
    one.asked[1] = one.asked[0]; /* an ID that was never given out */
    one.asked[1].id ^= 0x12340000;
    one.asked_n = 2;
    told_sign(&one, 1);
    UNTIL(stats().late == 1);
    assert_int_equal(asker_back(&asker), 0);
    told_sign(&one, 0);
    told_sign(&one, 0);
    UNTIL(asker_back(&asker) == 1 && stats().late == 2);
    asker_good(&asker, 0);
    for (unsigned i = 1; i < 4; i++) /* which have places of their own */
        asker_ask(&asker);
    UNTIL(one.asked_n == 5);
    for (unsigned i = 2; i < 5; i++)
        told_sign(&one, i);
    UNTIL(asker_back(&asker) == 4);
    for (unsigned i = 1; i < 4; i++)
        asker_good(&asker, i);
    assert_int_equal(one.connections, 1);
    end(1);
}

static void every_error_of_a_server_has_its_code(void **state)
{
    static const uint8_t garbage[MILGI_SIGNATURE_MAX + 1];
    (void)state;
    begin(1, "keyless:");
    one.answers = false;
    for (unsigned error = 0; error < 14; error++) {
        unsigned i = asker_ask(&asker);
        UNTIL(one.asked_n == i + 1);
        told_error(&one, i, (uint8_t)error);
        UNTIL(asker_back(&asker) == i + 1);
        asker_bad(&asker, i, MILGI_CODE_KEYLESS_ERROR + (error <= 11 ? (int)error : 0));
        assert_non_null(milgi_device_code_text(asker.ops[i].device_code));
    }
    const struct milgi__keyless_message nonsense[] = {
        { .opcode = MILGI__KEYLESS_RESPONSE },
        { .opcode = MILGI__KEYLESS_RESPONSE, .payload = garbage, .payload_len = sizeof garbage },
        { .opcode = MILGI__KEYLESS_PONG, .payload = garbage, .payload_len = 64 },
        { .opcode = MILGI__KEYLESS_ERROR },
        { .opcode = MILGI__KEYLESS_ERROR, .payload = garbage, .payload_len = 2 },
        { .opcode = MILGI__KEYLESS_ECDSA_SHA256, .payload = garbage, .payload_len = 64 },
    };
    for (unsigned k = 0; k < sizeof nonsense / sizeof nonsense[0]; k++) {
        unsigned i = asker_ask(&asker);
        UNTIL(one.asked_n == i + 1);
        told_answer(&one, i, &nonsense[k]);
        UNTIL(asker_back(&asker) == i + 1);
        asker_bad(&asker, i, MILGI_CODE_KEYLESS_ANSWER);
    }
    assert_int_equal(one.connections, 1);
    end(1);
}

static void after_bytes_that_are_no_message_it_connects_anew(void **state)
{
    static const uint8_t bytes[][12] = {
        { 2, 0, 0, 4, 0, 0, 0, 0, 0x11, 0, 1, 0xf0 }, { 1, 0, 0, 4, 0, 0, 0, 0, 0x11, 0, 2, 0xf0 }, { 0 }
    };
    (void)state;
    begin(1, "keyless:");
    for (unsigned k = 0; k < sizeof bytes / sizeof bytes[0]; k++) {
        one.answers = false;
        unsigned i = asker_ask(&asker), asked = one.asked_n + 1;
        UNTIL(one.asked_n == asked);
        one.answers = true;
        told_say(&one, bytes[k], sizeof bytes[k]);
        UNTIL(asker_back(&asker) == i + 1); /* asked again, on another connection */
        asker_good(&asker, i);
        assert_int_equal(one.connections, k + 2);
    }
    end(1);
}

/* --- servers that go ---------------------------------------------------------------------------------------------- */

static void what_was_under_way_when_a_connection_ends_is_asked_again(void **state)
{
    (void)state;
    begin(1, "keyless:");
    for (unsigned hard = 0; hard < 2; hard++) {
        one.answers = false;
        unsigned i = asker_ask(&asker), asked = one.asked_n + 1;
        UNTIL(one.asked_n == asked);
        one.answers = true;
        told_cut(&one, hard);
        UNTIL(asker_back(&asker) == i + 1);
        asker_good(&asker, i);
        assert_int_equal(one.connections, hard + 2);
    }
    assert_true(part[0].told >= 4 && part[0].code == 0);
    end(1);
}

static void another_server_takes_over(void **state)
{
    (void)state;
    options.hedge_percent = 0;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    for (unsigned i = 0; i < 8; i++)
        asker_ask(&asker);
    UNTIL(one.asked_n + two.asked_n >= 8);
    struct told_server *gone = one.asked_n ? &one : &two, *stays = gone == &one ? &two : &one;
    told_deafen(gone);
    told_cut(gone, true);
    UNTIL(stays->asked_n == 8);
    for (unsigned i = 0; i < 8; i++)
        told_sign(stays, i);
    UNTIL(asker_back(&asker) == 8);
    for (unsigned i = 0; i < 8; i++)
        asker_good(&asker, i);
    UNTIL(part[gone == &two].code == MILGI_CODE_KEYLESS_CONNECT);
    end(2);
}

static void a_server_without_the_key_is_no_reason_to_fail(void **state)
{
    (void)state;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    asker_ask(&asker);
    UNTIL(one.asked_n + two.asked_n >= 1);
    struct told_server *first = one.asked_n ? &one : &two, *second = one.asked_n ? &two : &one;
    told_error(first, 0, MILGI__KEYLESS_E_NO_KEY);
    UNTIL(second->asked_n >= 1);
    told_sign(second, 0);
    UNTIL(asker_back(&asker) == 1);
    asker_good(&asker, 0);
    asker_ask(&asker); /* none of them has it */
    UNTIL(one.asked_n + two.asked_n >= 3);
    first = one.asked_n == 2 ? &one : &two;
    second = first == &one ? &two : &one;
    told_error(first, 1, MILGI__KEYLESS_E_NO_KEY);
    UNTIL(second->asked_n >= 2);
    told_error(second, 1, MILGI__KEYLESS_E_NO_KEY);
    UNTIL(asker_back(&asker) == 2);
    asker_bad(&asker, 1, MILGI_CODE_KEYLESS_NO_KEY);
    end(2);
}

static void both_may_be_away_for_a_while(void **state)
{
    (void)state;
    begin(2, "keyless:");
    unsigned port[2] = { one.port, two.port };
    told_close(&one);
    told_close(&two);
    UNTIL(stats().up == 0);
    for (unsigned i = 0; i < 4; i++)
        asker_ask(&asker);
    for (unsigned i = 0; i < 50; i++)
        told_turn();
    assert_int_equal(asker_back(&asker), 0);
    told_open(&one, port[0]);
    told_open(&two, port[1]);
    UNTIL(asker_back(&asker) == 4);
    for (unsigned i = 0; i < 4; i++)
        asker_good(&asker, i);
    end(2);
}

static void without_a_server_ops_fail_when_their_time_is_over_then_at_once(void **state)
{
    (void)state;
    options.timeout_ns = 150000000;
    begin(1, "keyless:");
    told_deafen(&one);
    told_cut(&one, true);
    UNTIL(part[0].code != 0);
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    asker_bad(&asker, 0, MILGI_CODE_KEYLESS_NO_SERVER);
    UNTIL(part[0].code == MILGI_CODE_KEYLESS_CONNECT);
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 2);
    asker_bad(&asker, 1, MILGI_CODE_KEYLESS_NO_SERVER);
    end(1);
}

/* --- servers that say nothing ------------------------------------------------------------------------------------- */

static void without_an_answer_an_op_ends_with_its_time(void **state)
{
    (void)state;
    options.timeout_ns = 300000000;
    begin(1, "keyless:");
    one.answers = false;
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    asker_bad(&asker, 0, MILGI_CODE_KEYLESS_TIMEOUT);
    UNTIL(one.asked_n == 1); /* it may be read only now */
    told_sign(&one, 0);
    UNTIL(stats().late == 1);
    end(1);
}

static void an_answer_that_takes_long_is_asked_for_elsewhere_too(void **state)
{
    (void)state;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    for (unsigned i = 0; i < 10; i++) { /* of ten one may be sent twice */
        asker_ask(&asker);
        UNTIL(one.asked_n + two.asked_n >= i + 1); /* by the last it may have been already */
    }
    UNTIL(one.asked_n + two.asked_n >= 11);
    one.answers = two.answers = true;
    for (unsigned i = 0; i < one.asked_n; i++)
        told_sign(&one, i);
    for (unsigned i = 0; i < two.asked_n; i++)
        told_sign(&two, i);
    UNTIL(asker_back(&asker) == 10 && stats().late >= 1);
    for (unsigned i = 0; i < 10; i++)
        asker_good(&asker, i);
    struct milgi_keyless_stats now = stats();
    assert_true(now.hedged <= 1);
    if (!now.moved) {
        assert_int_equal(now.hedged, 1);
        assert_int_equal(now.sent, 11);
    }
    end(2);
}

/* To the ping that it has not answered. */
static void pong(struct told_server *server)
{
    static const struct milgi__keyless_message message = { .id = UINT32_MAX, .opcode = MILGI__KEYLESS_PONG };
    uint8_t bytes[MILGI__KEYLESS_PADDED];
    told_say(server, bytes, milgi__keyless_write(&message, bytes));
}

/* It does not answer pings, as a machine that is paused. */
static void a_server_that_hangs_is_left_alone_until_it_speaks(void **state)
{
    (void)state;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    one.dumb = two.dumb = true;
    asker_ask(&asker);
    UNTIL(one.asked_n + two.asked_n > 0);
    struct told_server *hangs = one.asked_n ? &one : &two, *well = hangs == &one ? &two : &one;
    well->answers = true;
    well->dumb = false;
    for (unsigned i = 0; i < well->asked_n; i++)
        told_sign(well, i);
    UNTIL(asker_back(&asker) == 1); /* the other one has done it */
    UNTIL(part[hangs == &two].code == MILGI_CODE_KEYLESS_HANGS && part[well == &two].code == 0 && stats().up == 1);
    unsigned told = part[well == &two].told;
    for (unsigned i = 0; i < 50; i++)
        asker_ask(&asker);
    UNTIL(asker_back(&asker) == asker.ops_n);
    for (unsigned i = 0; i < asker.ops_n; i++)
        asker_good(&asker, i);
    if (part[well == &two].told == told)
        assert_int_equal(hangs->asked_n, 1);
    hangs->dumb = false;
    told_sign(hangs, 0); /* it is there again */
    pong(hangs);
    UNTIL(part[hangs == &two].code == 0 && stats().up == 2);
    assert_int_equal(hangs->connections, 1);
    UNTIL(stats().late >= 1);
    end(2);
}

/* As engines do that have verified it. */
static void complain_of(unsigned i)
{
    device->ops->wrong(asker.qp, &asker.ops[i]);
}

static void a_server_that_lies_is_left_alone(void **state)
{
    static const uint8_t wrong[70] = { 0x30 };
    const struct milgi__keyless_message lie = {
        .opcode = MILGI__KEYLESS_RESPONSE, .payload = wrong, .payload_len = sizeof wrong
    };
    (void)state;
    options.hedge_percent = 0;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    asker_ask(&asker);
    UNTIL(one.asked_n + two.asked_n > 0);
    struct told_server *liar = one.asked_n ? &one : &two, *honest = liar == &one ? &two : &one;
    told_answer(liar, 0, &lie);
    UNTIL(asker_back(&asker) == 1);
    assert_int_equal(asker.ops[0].status, MILGI_OP_OK);
    honest->answers = true;
    complain_of(0);
    UNTIL(part[liar == &two].code == MILGI_CODE_KEYLESS_LIES && stats().up == 1);
    assert_int_equal(stats().wrong, 1);
    unsigned asked = liar->asked_n;
    for (unsigned i = 0; i < 50; i++)
        asker_ask(&asker);
    UNTIL(asker_back(&asker) == asker.ops_n);
    for (unsigned i = 1; i < asker.ops_n; i++)
        asker_good(&asker, i);
    pong(liar); /* that it says something does not make it honest */
    UNTIL(part[honest == &two].code == 0);
    if (part[honest == &two].told == 1) /* on a busy machine it may have seemed to hang */
        assert_int_equal(liar->asked_n, asked);
    assert_int_equal(part[liar == &two].code, MILGI_CODE_KEYLESS_LIES);
    end(2);
}

/* It takes connections, and says nothing: it may have refused this client already. */
static void a_server_is_not_used_before_it_has_said_something(void **state)
{
    (void)state;
    options.hedge_percent = 0;
    begin(2, "keyless:");
    two.dumb = true;
    unsigned pings = two.pings_n;
    told_cut(&two, true);
    UNTIL(two.connections == 2 && two.pings_n > pings && part[0].code == 0);
    unsigned told = part[0].told;
    for (unsigned i = 0; i < 50; i++)
        asker_ask(&asker);
    UNTIL(asker_back(&asker) == 50);
    for (unsigned i = 0; i < 50; i++)
        asker_good(&asker, i);
    unsigned up = stats().up;
    if (part[0].told == told) {
        assert_int_equal(two.asked_n, 0);
        assert_int_equal(up, 1);
    }
    assert_int_not_equal(part[1].code, 0);
    two.dumb = false;
    end(2);
}

static void a_silent_connection_is_asked_whether_it_lives(void **state)
{
    (void)state;
    options.ping_ns = 2000000;
    begin(1, "keyless:");
    UNTIL(one.pings_n >= 4);
    assert_int_equal(one.connections, 1);
    end(1);
}

/* --- bounds ------------------------------------------------------------------------------------------------------- */

static void a_full_queue_refuses(void **state)
{
    (void)state;
    options.depth = 4;
    begin(1, "keyless:");
    one.answers = false;
    for (unsigned i = 0; i < 4; i++)
        asker_ask(&asker);
    static struct milgi_op more;
    struct milgi_op *op = &more;
    more = (struct milgi_op){ .type = MILGI_OP_SIGN, .alg = MILGI_SIG_ECDSA_SECP256R1_SHA256, .key = &asker.key };
    assert_int_equal(device->ops->enqueue(asker.qp, &op, 1), 0);
    assert_int_equal(more.status, MILGI_OP_PENDING);
    UNTIL(one.asked_n == 4);
    told_sign(&one, 0);
    UNTIL(asker_back(&asker) == 1);
    asker_ask(&asker);
    end(1);
}

static void no_more_than_a_window_is_asked_of_a_server(void **state)
{
    (void)state;
    begin(1, "keyless:");
    one.answers = false;
    for (unsigned i = 0; i < 600; i++)
        asker_ask(&asker);
    UNTIL(one.asked_n == 512);
    for (unsigned i = 0; i < 20; i++)
        told_turn();
    assert_int_equal(one.asked_n, 512);
    one.answers = true;
    for (unsigned i = 0; i < 512; i++)
        told_sign(&one, i);
    UNTIL(asker_back(&asker) == 600);
    for (unsigned i = 0; i < 600; i++)
        asker_good(&asker, i);
    end(1);
}

static void quiesce_takes_back_what_is_not_answered(void **state)
{
    (void)state;
    begin(1, "keyless:");
    one.answers = false;
    for (unsigned i = 0; i < 3; i++)
        asker_ask(&asker);
    UNTIL(one.asked_n == 3);
    assert_int_equal(device->ops->quiesce(asker.qp, 1000000), 0);
    assert_int_equal(asker_back(&asker), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(asker.ops[i].status, MILGI_OP_CANCELLED);
    for (unsigned i = 0; i < 3; i++)
        told_sign(&one, i);
    one.answers = true;
    asker_ask(&asker); /* it may be used on */
    UNTIL(asker_back(&asker) == 4);
    asker_good(&asker, 3);
    end(1);
}

static void what_was_not_asked_can_be_cancelled(void **state)
{
    (void)state;
    begin(1, "keyless:");
    told_deafen(&one);
    told_cut(&one, true);
    UNTIL(stats().up == 0);
    unsigned i = asker_ask(&asker);
    device->ops->cancel(asker.qp, &asker.ops[i]);
    assert_int_equal(asker_back(&asker), 1);
    assert_int_equal(asker.ops[i].status, MILGI_OP_CANCELLED);
    end(1);
}

static void it_ends_with_ops_under_way(void **state)
{
    (void)state;
    begin(2, "keyless:");
    one.answers = two.answers = false;
    for (unsigned i = 0; i < 100; i++)
        asker_ask(&asker);
    UNTIL(one.asked_n + two.asked_n > 0);
    end(2);
}

/* --- other processes ---------------------------------------------------------------------------------------------- */

/* ThreadSanitizer ends a child of several threads that starts one of its own. */
void __tsan_init(void) __attribute__((weak));

/* What a child sees of it; 0: all as it should be. */
static int in_a_child(void)
{
    static const struct milgi_clock clock = { 0 };
    struct milgi_op *ops[4];
    struct milgi_keyless_stats seen;
    alarm(100); /* instead of hanging */
    milgi_keyless_stats(device, &seen);
    if (device->ops->qp_open(device, &clock))
        return 1;
    if (milgi_device_try_key(device, asker.credential, NULL) != MILGI_ELIMIT)
        return 2;
    if (device->ops->arm(asker.qp) || device->ops->dequeue(asker.qp, ops, 4))
        return 3;
    for (unsigned i = 0; i < 2; i++)
        ops[i] = &asker.ops[asker.ops_n + i];
    for (unsigned i = 0; i < 2; i++)
        *ops[i] = (struct milgi_op){ .type = MILGI_OP_SIGN, .alg = MILGI_SIG_ED25519, .key = &asker.key };
    if (device->ops->enqueue(asker.qp, ops, 2) != 2 || !device->ops->arm(asker.qp))
        return 4;
    device->ops->cancel(asker.qp, ops[0]);
    ops[0] = ops[1] = NULL;
    if (device->ops->dequeue(asker.qp, ops, 4) != 2 || device->ops->dequeue(asker.qp, ops + 2, 1) ||
        ops[1] != &asker.ops[asker.ops_n + 1])
        return 5;
    for (unsigned i = 0; i < 2; i++)
        if (ops[i]->status != MILGI_OP_BROKEN || ops[i]->device_code != MILGI_CODE_KEYLESS_FORK)
            return 6;
    if (device->ops->quiesce(asker.qp, 1000000000))
        return 7;
    device->ops->qp_close(asker.qp);
    milgi_device_free(device);
    return 0;
}

static void a_child_is_answered_that_it_is_not_its_device(void **state)
{
    int status;
    (void)state;
    if (__tsan_init)
        skip();
    begin(1, "keyless:");
    one.answers = false;
    asker_ask(&asker);
    UNTIL(one.asked_n == 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(in_a_child());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    told_sign(&one, 0);
    UNTIL(asker_back(&asker) == 1);
    asker_good(&asker, 0);
    end(1);
}

/* --- making one --------------------------------------------------------------------------------------------------- */

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const wrong[] = { "", "a", "a:",
        ":1", "a:0", "a:65536", "a:1,", ",a:1", "a:b", "[::1:1", "::1:1",
        "a b:1", "[]:1", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,a:16,a:17" };
    const char *why;
    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.servers = wrong[i];
        if (milgi_keyless_new(&options, &device, &why) != MILGI_EINVAL)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_non_null(why);
        assert_null(device);
    }
    options.servers = "[::1]:1,localhost:1";
    struct milgi_keyless_options bad = options;
    bad.config = NULL;
    assert_int_equal(milgi_keyless_new(&bad, &device, NULL), MILGI_EINVAL);
    bad = options;
    bad.depth = 0;
    assert_int_equal(milgi_keyless_new(&bad, &device, NULL), MILGI_EINVAL);
    bad = options;
    bad.timeout_ns = 1;
    assert_int_equal(milgi_keyless_new(&bad, &device, NULL), MILGI_EINVAL);
    bad = options;
    bad.hedge_percent = 101;
    assert_int_equal(milgi_keyless_new(&bad, &device, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_keyless_new(&options, &device, &why), 0);
    assert_null(why);
    milgi_device_free(device);
}

static void a_server_that_is_somebody_else_is_not_asked(void **state)
{
    (void)state;
    options.server_name = "other.test";
    told_loop_open();
    told_open(&one, 0);
    options.servers = one.address;
    options.on_part = on_part;
    options.timeout_ns = 500000000;
    memset(part, 0, sizeof part);
    assert_int_equal(milgi_keyless_new(&options, &device, NULL), 0);
    asker_open(&asker, device, "keyless:");
    asker_ask(&asker);
    UNTIL(asker_back(&asker) == 1);
    asker_bad(&asker, 0, MILGI_CODE_KEYLESS_NO_SERVER);
    UNTIL(part[0].code == MILGI_CODE_KEYLESS_TLS);
    assert_int_equal(one.asked_n, 0);
    end(1);
    options.server_name = NULL;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(answers_come_in_any_order),
        CASE(a_request_says_which_key),
        CASE(a_key_may_be_named_by_its_identifier),
        CASE(other_keys_are_left_to_other_devices),
        CASE(answers_that_nobody_waits_for_are_passed_over),
        CASE(every_error_of_a_server_has_its_code),
        CASE(after_bytes_that_are_no_message_it_connects_anew),
        CASE(what_was_under_way_when_a_connection_ends_is_asked_again),
        CASE(another_server_takes_over),
        CASE(a_server_without_the_key_is_no_reason_to_fail),
        CASE(both_may_be_away_for_a_while),
        CASE(without_a_server_ops_fail_when_their_time_is_over_then_at_once),
        CASE(without_an_answer_an_op_ends_with_its_time),
        CASE(an_answer_that_takes_long_is_asked_for_elsewhere_too),
        CASE(a_server_that_hangs_is_left_alone_until_it_speaks),
        CASE(a_server_that_lies_is_left_alone),
        CASE(a_server_is_not_used_before_it_has_said_something),
        CASE(a_silent_connection_is_asked_whether_it_lives),
        CASE(a_full_queue_refuses),
        CASE(no_more_than_a_window_is_asked_of_a_server),
        CASE(quiesce_takes_back_what_is_not_answered),
        CASE(what_was_not_asked_can_be_cancelled),
        CASE(it_ends_with_ops_under_way),
        CASE(a_child_is_answered_that_it_is_not_its_device),
        CASE(what_makes_no_sense_is_refused),
        CASE(a_server_that_is_somebody_else_is_not_asked),
    };
    servers_set_up();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    servers_tear_down();
    return failed;
}
