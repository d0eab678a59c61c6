/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 on a session, with a peer that has its secret and says whatever it likes, record for record: every sequence
 * of what may be said behind the hellos, of which few come to a connection (RFC 5246 7.3, RFC 5077 3.1).
 */
#include <time.h>

#include "config/config.h"
#include "fixture.h"

#define SUITE MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256
#define LONGEST 4

/* The peer. */
static struct peer {
    struct pair pair;
    struct pair_side *victim;
    bool server; /* it is */
    struct milgi__crypto *cx;
    struct milgi__schedule12 schedule;
    struct milgi__transcript transcript;
    uint64_t serial, seq;
    bool on; /* it has sent change_cipher_spec */
    bool promises;
} peer;

static struct milgi_config *configs[2];
static struct milgi_session_cache *cache;
static const uint8_t id[MILGI__SESSION_ID_MAX] = { 7, 7, 7 };

/* Good for the victim of that role: by a ticket of nobody's for a client, by its ID for a server. */
static struct milgi_session *session_for(enum milgi_role victim)
{
    bool client = victim == MILGI_CLIENT;
    struct milgi__session_fields f = {
        .version = MILGI__TLS12,
        .suite = SUITE,
        .secret_len = MILGI__MASTER12,
        .extended_master_secret = true,
        .authenticated = client,
        .by_id = !client,
        .lifetime_s = 7200,
        .created_s = (int64_t)time(NULL),
        .authenticated_s = (int64_t)time(NULL),
        .valid_until_s = INT64_MAX,
        .secret = { 1, 2, 3 },
    };
    memcpy(f.policy, configs[victim]->policy12, sizeof f.policy);
    struct milgi__session_parts parts = { .name = { "server.test", 11 }, .ticket = { id, sizeof id } };
    struct milgi_session *session = milgi__session_new(&f, &parts);
    assert_non_null(session);
    return session;
}

static int setup(void **state)
{
    fixture_setup(state);
    MUST(milgi_session_cache_new(4, &cache));
    for (int role = 0; role < 2; role++) {
        bool client = role == MILGI_CLIENT;
        configs[role] = configs_begin((enum milgi_role)role, fixture.leaf, client ? fixture.root : NULL);
        MUST(milgi_config_set_versions(configs[role], MILGI_TLS_1_2, MILGI_TLS_1_2));
        if (!client)
            MUST(milgi_config_set_session_cache(configs[role], cache));
        configs_freeze(configs[role]);
    }
    return 0;
}

static int teardown(void **state)
{
    milgi_config_unref(configs[0]);
    milgi_config_unref(configs[1]);
    milgi_session_cache_unref(cache);
    return fixture_teardown(state);
}

/* --- saying ----------------------------------------------------------------------------------------------------- */

static void record(unsigned type, const uint8_t *data, size_t len)
{
    uint8_t out[5 + 8 + 512 + 16] = { (uint8_t)type, 3, 3 }, nonce[12], aad[13] = { 0 };
    const struct milgi__suite *suite = milgi__suite(SUITE);
    if (!peer.on || type == LIAR_CCS) {
        milgi__put16(out + 3, (unsigned)len);
        memcpy(out + 5, data, len);
        pair_feed(peer.victim, out, 5 + len);
        return;
    }
    const uint8_t *keys = peer.server ? peer.schedule.server_keys : peer.schedule.client_keys;
    struct milgi__aead_key key = { peer.serial, suite->aead, (uint8_t)suite->key_len, keys };
    for (unsigned i = 0; i < 8; i++)
        aad[i] = out[5 + i] = (uint8_t)(peer.seq >> (56 - 8 * i));
    memcpy(nonce, keys + suite->key_len, 4);
    memcpy(nonce + 4, out + 5, 8);
    memcpy(aad + 8, out, 3);
    milgi__put16(aad + 11, (unsigned)len);
    memcpy(out + 13, data, len);
    struct milgi__piece piece = { out + 13, len };
    MUST(milgi__aead_seal(peer.cx, &key, nonce, aad, sizeof aad, &piece, 1, 0, 0, out + 13));
    milgi__put16(out + 3, (unsigned)(8 + len + 16));
    pair_feed(peer.victim, out, 13 + len + 16);
    peer.seq++;
}

static void message(const struct milgi__writer *w, const uint8_t *bytes)
{
    assert_false(w->bad);
    MUST(milgi__transcript_add(&peer.transcript, bytes, milgi__written(w)));
    record(LIAR_HANDSHAKE, bytes, milgi__written(w));
}

static void finished(bool by_server, uint8_t out[MILGI__MSG_HEADER + MILGI__FINISHED12])
{
    uint8_t hash[MILGI__HASH_MAX], mac[MILGI__FINISHED12];
    MUST(milgi__transcript_hash(&peer.transcript, peer.cx, hash));
    MUST(milgi__finished12(&peer.schedule, peer.cx, by_server, hash, mac));
    struct milgi__writer w = milgi__writer(out, MILGI__MSG_HEADER + MILGI__FINISHED12);
    milgi__finished_encode(&w, mac, sizeof mac);
}

/* Ticket, Change_cipher_spec, Finished, Data, the client's key eXchange; a Bad change_cipher_spec, a Wrong Finished. */
static void say(char what)
{
    static const uint8_t one = 1;
    uint8_t bytes[256];
    struct milgi__writer w = milgi__writer(bytes, sizeof bytes);
    static const uint8_t two = 2;
    if (what == 'B') {
        record(LIAR_CCS, &two, 1);
    } else if (what == 'C') {
        record(LIAR_CCS, &one, 1);
        peer.on = true;
    } else if (what == 'D') {
        record(LIAR_DATA, (const uint8_t *)"data", 4);
    } else if (what == 'F' || what == 'W') {
        finished(peer.server, bytes);
        bytes[15] ^= what == 'W';
        MUST(milgi__transcript_add(&peer.transcript, bytes, MILGI__MSG_HEADER + MILGI__FINISHED12));
        record(LIAR_HANDSHAKE, bytes, MILGI__MSG_HEADER + MILGI__FINISHED12);
    } else {
        if (what == 'T')
            milgi__new_session_ticket12_encode(&w, 100, (struct milgi__bytes){ id, 20 });
        else
            milgi__client_exchange_encode(&w, (struct milgi__bytes){ id, 32 });
        message(&w, bytes);
    }
    pair_run(peer.victim, NULL);
}

/* --- hellos ----------------------------------------------------------------------------------------------------- */

static void start_keys(void)
{
    const struct milgi__suite *suite = milgi__suite(SUITE);
    peer.schedule.hash = suite->hash;
    memset(peer.schedule.master, 0, sizeof peer.schedule.master);
    memcpy(peer.schedule.master, "\1\2\3", 3);
    MUST(milgi__schedule12_keys(&peer.schedule, peer.cx, suite));
    MUST(milgi__transcript_start(&peer.transcript, peer.cx, suite->hash));
}

/* The first message that the victim has said, off its wire. */
static struct milgi__bytes heard(void)
{
    struct pair_bytes *wire = &peer.victim->wire;
    assert_true(wire->len > 5 + 4 + 2 + 32 && wire->p[0] == LIAR_HANDSHAKE);
    struct milgi__bytes first = { wire->p + 5, MILGI__MSG_HEADER + milgi__get24(wire->p + 6) };
    MUST(milgi__transcript_add(&peer.transcript, first.p, first.len));
    return first;
}

static void answer_hello(void)
{
    uint8_t bytes[256];
    struct milgi__bytes hello = heard();
    const uint8_t *session_id = hello.p + 4 + 2 + 32;
    memcpy(peer.schedule.randoms, hello.p + 6, 32);
    memset(peer.schedule.randoms + 32, 9, 32);
    struct milgi__writer w = milgi__writer(bytes, sizeof bytes);
    uint32_t present = MILGI__EXT(MILGI__EXT_MASTER_SECRET) | MILGI__EXT(MILGI__EXT_RENEGOTIATION);
    if (peer.promises)
        present |= MILGI__EXT(MILGI__EXT_SESSION_TICKET);
    milgi__server_hello_encode(&w,
        &(struct milgi__server_hello){
            .tls12 = true,
            .random = peer.schedule.randoms + 32,
            .session_id = { session_id + 1, session_id[0] },
            .suite = SUITE,
            .ext = { .present = present },
        });
    message(&w, bytes);
    start_keys();
    pair_run(peer.victim, NULL);
}

static void offer_session(void)
{
    static const uint8_t suites[] = { SUITE >> 8, SUITE & 0xff };
    uint8_t bytes[256], server_finished[MILGI__MSG_HEADER + MILGI__FINISHED12];
    memset(peer.schedule.randoms, 9, 32);
    struct milgi__writer w = milgi__writer(bytes, sizeof bytes);
    milgi__client_hello_encode(&w,
        &(struct milgi__client_hello){
            .random = peer.schedule.randoms,
            .session_id = { id, sizeof id },
            .suites = { suites, sizeof suites },
            .ext = {
                .present = MILGI__EXT(MILGI__EXT_SERVER_NAME) | MILGI__EXT(MILGI__EXT_MASTER_SECRET) |
                    MILGI__EXT(MILGI__EXT_RENEGOTIATION),
                .server_name = { (const uint8_t *)"server.test", 11 },
            },
        });
    message(&w, bytes);
    pair_run(peer.victim, NULL);
    struct milgi__bytes hello = heard();
    assert_memory_equal(hello.p + 4 + 2 + 32 + 1, id, sizeof id); /* it stands on the session */
    memcpy(peer.schedule.randoms + 32, hello.p + 6, 32);
    start_keys();
    finished(true, server_finished);
    MUST(milgi__transcript_add(&peer.transcript, server_finished, sizeof server_finished));
}

static void begin(bool as_server, bool promises)
{
    enum milgi_role victim = as_server ? MILGI_CLIENT : MILGI_SERVER;
    struct pair_setup pair_setup = { .config = { configs[0], configs[1] }, .server_name = "server.test" };
    struct milgi_session *session = session_for(victim);
    if (peer.victim)
        pair_again(&peer.pair, &pair_setup);
    else
        pair_init(&peer.pair, &pair_setup);
    peer.victim = &peer.pair.side[victim];
    peer.server = as_server;
    peer.promises = promises;
    peer.on = false;
    peer.seq = 0;
    peer.serial = milgi__key_serial();
    if (as_server)
        MUST(milgi_conn_set_session(peer.victim->conn, session));
    else
        MUST(milgi__session_cache_put_id(cache, session));
    milgi_session_unref(session);
    pair_run(peer.victim, NULL);
    if (as_server)
        answer_hello();
    else
        offer_session();
}

/* --- every sequence ----------------------------------------------------------------------------------------------- */

/*= RFC5246 7.3 and RFC5077 3.1: behind the hellos of a resumed handshake the server says [NewSessionTicket],
 *= [ChangeCipherSpec], Finished; the client [ChangeCipherSpec], Finished. */
static const char *expected(void)
{
    return peer.promises ? "TCF" : "CF";
}

static bool is_refusal(int alert)
{
    return alert == MILGI_ALERT_UNEXPECTED_MESSAGE || alert == MILGI_ALERT_BAD_RECORD_MAC ||
        alert == MILGI_ALERT_DECODE_ERROR || alert == MILGI_ALERT_DECRYPT_ERROR;
}

static void judge(const char *said)
{
    const char *right = expected();
    size_t n = strspn(said, "TCFDXBW"), all = strlen(right);
    bool opens = strncmp(said, right, all) == 0, begun = n < all && strncmp(said, right, n) == 0;
    const struct pair_side *v = peer.victim;
    if (v->established != opens)
        fail_msg("%s, %s: %s", peer.server ? "server" : "client", said, opens ? "not open" : "open");
    if (!opens && v->got.len != 0)
        fail_msg("%s: data was delivered", said);
    if (begun && v->closed)
        fail_msg("%s: refused, and was right so far: %s", said, v->reason.detail);
    if (!opens && !begun && !(v->closed && is_refusal(v->reason.alert)))
        fail_msg("%s: not refused", said);
}

static unsigned tried;

static void every_sequence(bool as_server, bool promises, const char *letters, char *said, size_t n)
{
    begin(as_server, promises);
    for (size_t i = 0; i < n; i++)
        say(said[i]);
    judge(said);
    tried++;
    milgi__transcript_free(&peer.transcript);
    bool over = peer.victim->closed;
    for (const char *l = letters; *l && n < LONGEST && !over; l++) {
        said[n] = *l;
        said[n + 1] = '\0';
        every_sequence(as_server, promises, letters, said, n + 1);
    }
    said[n] = '\0';
}

static void of_all_that_may_be_said_one_thing_comes_to_a_connection(void **state)
{
    char said[LONGEST + 1] = "";
    (void)state;
    peer.cx = milgi__crypto_new();
    every_sequence(true, false, "TCFDBW", said, 0);
    every_sequence(true, true, "TCFDBW", said, 0);
    every_sequence(false, false, "TCFDXBW", said, 0);
    print_message("%u sequences\n", tried);
    assert_true(tried > 30);
    pair_fini(&peer.pair);
    milgi__crypto_free(peer.cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_all_that_may_be_said_one_thing_comes_to_a_connection),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
