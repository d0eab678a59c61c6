/* SPDX-License-Identifier: Apache-2.0 */
/* The authentication barrier, and what runs at once before and behind it: as the wire and the application see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/sim/manual.h"
#include "fake_identity.h"
#include "pair.h"

#define DATA_LEN 5000
#define VERIFICATIONS (MILGI_OP_BIT(MILGI_OP_VERIFY) | MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static const uint8_t data[DATA_LEN] = { 1 };

/* Takes the configs. Ops of these types wait until they are told to end; the others are inline. */
static void begin(struct milgi_config *c, struct milgi_config *s, uint32_t client_ops, uint32_t server_ops)
{
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .device = { "sim:manual,depth=256", "sim:manual,depth=256" },
        .server_name = "server.test",
        .seed = 11,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    for (int role = 0; role < 2; role++) {
        uint32_t ops = role == MILGI_CLIENT ? client_ops : server_ops;
        assert_int_equal(milgi_engine_route(pair.side[role].engine, UINT32_MAX, 0, 0), 0);
        assert_int_equal(milgi_engine_route(pair.side[role].engine, ops, 1, 1), 0);
    }
    milgi_config_unref(c);
    milgi_config_unref(s);
    pair.keep_wire = true;
}

static unsigned pending(const struct pair_side *side, int type)
{
    struct milgi_op *ops[256];
    unsigned n = milgi__sim_pending(side->device[0], ops, 256), of_type = 0;
    for (unsigned i = 0; i < n; i++)
        of_type += ops[i]->type == type;
    return of_type;
}

static void finish(struct pair_side *side, int type)
{
    struct milgi_op *ops[256];
    unsigned n = milgi__sim_pending(side->device[0], ops, 256), i = 0;
    while (i < n && ops[i]->type != type)
        i++;
    if (i == n)
        fail_msg("no %s is out", milgi_op_type_name(type));
    milgi__sim_finish(side->device[0], i, MILGI_OP_OK);
    pair_settle(&pair);
}

/* Records of a type among all that |side| has put out from |from| on. */
static unsigned records(const struct pair_side *side, size_t from, int type)
{
    unsigned n = 0;
    for (size_t at = from; at + 5 <= side->sent_wire.len;
         at += 5 + ((size_t)side->sent_wire.p[at + 3] << 8 | side->sent_wire.p[at + 4]))
        n += side->sent_wire.p[at] == type;
    return n;
}

static void write_to(struct pair_side *side)
{
    assert_int_equal(milgi_conn_write(side->conn, data, sizeof data), 0);
    pair_settle(&pair);
}

static void assert_got_all(const struct pair_side *side)
{
    assert_int_equal(side->got.len, sizeof data);
    assert_memory_equal(side->got.p, data, sizeof data);
}

static void assert_closed_barrier(struct pair_side *side)
{
    uint8_t out[32];
    assert_false(side->established);
    assert_int_equal(side->got.len, 0);
    assert_int_equal(milgi_conn_export(side->conn, "label", NULL, 0, out, sizeof out), MILGI_EINVAL);
    assert_int_equal(milgi_conn_update_keys(side->conn, false), MILGI_EINVAL);
}

/* --- before the barrier ------------------------------------------------------------------------------------------- */

static void answer_peer(void)
{
    struct milgi_decision_info info;
    assert_int_equal(client->decisions_n, 1);
    assert_int_equal(milgi_decision_info(client->engine, client->decision[0], &info), 0);
    assert_int_equal(info.path_n, 2);
    assert_int_equal(milgi_decide(client->engine, client->decision[0], MILGI_ACCEPT, NULL), 0);
    pair_settle(&pair);
}

/* What a client has said so far: its hello and no other message, no data; a CCS is nothing. */
static void assert_said_nothing(void)
{
    assert_closed_barrier(client);
    assert_int_equal(records(client, 0, 22), 1);
    assert_int_equal(records(client, 0, 23), 0);
    assert_closed_barrier(server);
}

static void a_client_gives_and_says_nothing_before_all_is_verified(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
        assert_int_equal(milgi_config_set_early_server_data(s, true), 0);
        assert_int_equal(milgi_config_set_ask(c, MILGI_DECIDE_PEER), 0);
        begin(c, s, VERIFICATIONS, 0);
        write_to(client);
        write_to(server);
        assert_said_nothing();
        finish(client, order ? MILGI_OP_VERIFY : MILGI_OP_VERIFY_CHAIN);
        assert_said_nothing();
        finish(client, order ? MILGI_OP_VERIFY_CHAIN : MILGI_OP_VERIFY);
        assert_said_nothing();
        answer_peer();
        assert_true(client->established);
        assert_true(server->established);
        assert_got_all(client);
        assert_got_all(server);
        pair_fini(&pair);
    }
}

static void what_a_decision_shows_is_gone_with_the_connection(void **state)
{
    (void)state;
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL);
    struct milgi_decision_info info;
    assert_int_equal(milgi_config_set_ask(c, MILGI_DECIDE_PEER), 0);
    begin(c, fake_config(MILGI_SERVER, NULL), 0, 0);
    pair_settle(&pair);
    assert_int_equal(client->decisions_n, 1);
    assert_int_equal(milgi_decision_info(client->engine, client->decision[0], &info), 0);
    assert_int_equal(info.path_n, 2);
    assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_USER_CANCELED), 0);
    pair_settle(&pair);
    assert_true(client->closed);
    assert_int_equal(milgi_decision_info(client->engine, client->decision[0], &info), MILGI_ESTALE);
    assert_int_equal(milgi_decide(client->engine, client->decision[0], MILGI_ACCEPT, NULL), MILGI_ESTALE);
    pair_fini(&pair);
}

static void a_server_gives_and_says_nothing_before_its_client_is_verified(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
        struct milgi_credential *credential = fake_credential(NULL);
        struct milgi_trust *trust = fake_trust(0);
        assert_int_equal(milgi_config_add_credential(c, credential), 0);
        assert_int_equal(milgi_config_set_trust(s, trust), 0);
        milgi_credential_unref(credential);
        milgi_trust_unref(trust);
        begin(c, s, 0, VERIFICATIONS);
        write_to(client);
        assert_true(client->established);
        size_t said = server->sent_wire.len;
        write_to(server);
        assert_closed_barrier(server);
        finish(server, order ? MILGI_OP_VERIFY : MILGI_OP_VERIFY_CHAIN);
        assert_closed_barrier(server);
        assert_int_equal(server->sent_wire.len, said);
        assert_int_equal(client->got.len, 0);
        finish(server, order ? MILGI_OP_VERIFY_CHAIN : MILGI_OP_VERIFY);
        assert_true(server->established);
        assert_got_all(client);
        assert_got_all(server);
        pair_fini(&pair);
    }
}

static void a_server_sends_data_before_it_has_heard_the_client_only_if_asked_to(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct milgi_config *s = fake_config(MILGI_SERVER, NULL);
        if (early)
            assert_int_equal(milgi_config_set_early_server_data(s, true), 0);
        begin(fake_config(MILGI_CLIENT, NULL), s, VERIFICATIONS, 0);
        pair_settle(&pair);
        size_t said = server->sent_wire.len;
        assert_true(said > 0);
        write_to(server);
        assert_int_equal(records(server, said, 23), early ? 1 : 0);
        assert_closed_barrier(server);
        assert_closed_barrier(client);
        finish(client, MILGI_OP_VERIFY);
        finish(client, MILGI_OP_VERIFY_CHAIN);
        assert_got_all(client);
        assert_true(server->established);
        pair_fini(&pair);
    }
}

static void exporters_agree_behind_the_barrier(void **state)
{
    uint8_t a[48], b[48];
    (void)state;
    begin(fake_config(MILGI_CLIENT, NULL), fake_config(MILGI_SERVER, NULL), 0, 0);
    pair_settle(&pair);
    /*= RFC8446 7.1: "opaque label<7..255> = "tls13 " + Label;" */
    assert_int_equal(milgi_conn_export(client->conn, "", "c", 1, a, sizeof a), MILGI_EINVAL);
    assert_int_equal(milgi_conn_export(client->conn, NULL, "c", 1, a, sizeof a), MILGI_EINVAL);
    assert_int_equal(milgi_conn_export(client->conn, "EXPERIMENTAL x", "c", 1, a, 0), MILGI_EINVAL);
    assert_int_equal(milgi_conn_export(client->conn, "EXPERIMENTAL x", NULL, 1, a, sizeof a), MILGI_EINVAL);
    assert_int_equal(milgi_conn_export(client->conn, "EXPERIMENTAL x", "c", 1, a, sizeof a), 0);
    assert_int_equal(milgi_conn_export(server->conn, "EXPERIMENTAL x", "c", 1, b, sizeof b), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(milgi_conn_export(server->conn, "EXPERIMENTAL x", "d", 1, b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
    pair_fini(&pair);
}

static struct milgi_config *older(enum milgi_role role)
{
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_2), 0);
    return c;
}

static void an_older_exporter_takes_no_label_and_tells_no_context_from_an_empty_one(void **state)
{
    uint8_t a[48], b[48], other[48];
    (void)state;
    begin(older(MILGI_CLIENT), older(MILGI_SERVER), 0, 0);
    pair_settle(&pair);
    assert_int_equal(milgi_conn_export(client->conn, "", "", 0, a, sizeof a), 0);
    assert_int_equal(milgi_conn_export(server->conn, "", "", 0, b, sizeof b), 0);
    assert_memory_equal(a, b, sizeof a);
    /* RFC 5705 4: without a context neither it nor its length goes in. */
    assert_int_equal(milgi_conn_export(client->conn, "", NULL, 0, other, sizeof other), 0);
    assert_memory_not_equal(a, other, sizeof a);
    assert_int_equal(milgi_conn_export(server->conn, "", NULL, 0, b, sizeof b), 0);
    assert_memory_equal(b, other, sizeof b);
    assert_int_equal(milgi_conn_export(client->conn, "x", "", 0, other, sizeof other), 0);
    assert_memory_not_equal(a, other, sizeof a);
    pair_fini(&pair);
}

/* --- at once ------------------------------------------------------------------------------------------------------ */

static void the_servers_certificate_is_with_the_client_before_its_signature_is_made(void **state)
{
    struct milgi_conn_info info;
    (void)state;
    begin(fake_config(MILGI_CLIENT, NULL), fake_config(MILGI_SERVER, NULL), 0,
        MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_SIGN));
    pair_settle(&pair);
    assert_int_equal(pending(server, MILGI_OP_DERIVE), 1);
    assert_int_equal(pending(server, MILGI_OP_SIGN), 1); /* both at once */
    assert_int_equal(server->sent_wire.len, 0);
    finish(server, MILGI_OP_DERIVE);
    assert_int_equal(pending(server, MILGI_OP_SIGN), 1);
    milgi_conn_info(client->conn, &info);
    assert_int_equal(info.version, 0x0304);
    assert_int_equal(info.peer_chain_n, 1);
    assert_false(client->established);
    finish(server, MILGI_OP_SIGN);
    assert_true(client->established);
    assert_true(server->established);
    pair_fini(&pair);
}

static void a_clients_two_verifications_run_at_once(void **state)
{
    (void)state;
    begin(fake_config(MILGI_CLIENT, NULL), fake_config(MILGI_SERVER, NULL), VERIFICATIONS, 0);
    pair_settle(&pair);
    assert_int_equal(pending(client, MILGI_OP_VERIFY_CHAIN), 1);
    assert_int_equal(pending(client, MILGI_OP_VERIFY), 1);
    pair_fini(&pair);
}

static struct milgi_config *small_records(enum milgi_role role)
{
    struct milgi_config *config = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, 64), 0);
    assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_WINDOW, 8), 0);
    return config;
}

static void a_window_of_records_is_in_flight_in_each_direction(void **state)
{
    (void)state;
    begin(small_records(MILGI_CLIENT), small_records(MILGI_SERVER), 0, 0);
    pair_settle(&pair);
    assert_int_equal(milgi_engine_route(client->engine,
                         MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN), 1, 1),
        0);
    write_to(client);
    write_to(server);
    assert_int_equal(pending(client, MILGI_OP_SEAL), 8);
    assert_int_equal(pending(client, MILGI_OP_OPEN), 8);
    while (pending(client, MILGI_OP_SEAL))
        finish(client, MILGI_OP_SEAL);
    while (pending(client, MILGI_OP_OPEN))
        finish(client, MILGI_OP_OPEN);
    assert_got_all(client);
    assert_got_all(server);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_gives_and_says_nothing_before_all_is_verified),
        cmocka_unit_test(what_a_decision_shows_is_gone_with_the_connection),
        cmocka_unit_test(a_server_gives_and_says_nothing_before_its_client_is_verified),
        cmocka_unit_test(a_server_sends_data_before_it_has_heard_the_client_only_if_asked_to),
        cmocka_unit_test(exporters_agree_behind_the_barrier),
        cmocka_unit_test(an_older_exporter_takes_no_label_and_tells_no_context_from_an_empty_one),
        cmocka_unit_test(the_servers_certificate_is_with_the_client_before_its_signature_is_made),
        cmocka_unit_test(a_clients_two_verifications_run_at_once),
        cmocka_unit_test(a_window_of_records_is_in_flight_in_each_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
