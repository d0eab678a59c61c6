/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2: somebody in between who cuts, repeats, inserts and changes what is in the clear, and peers who after the
 * handshake want another one, or say what has no place there.
 * ctest-timeout: 240
 */
#include "fixture.h"

#define LIMIT 32   /* MILGI_LIMIT_IDLE_CONTROL by default */
#define WARNINGS 4 /* an eighth */
#define HEADER 5u

static const uint8_t change_cipher_spec[] = { 20, 3, 3, 0, 1, 1 };

/* --- who is in between -------------------------------------------------------------------------------------------- */

/* What becomes of a record, the nth (from 0) of |from|'s; |out| is what goes on. */
struct meddler {
    void (*meddle)(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth, const uint8_t *record,
        size_t len);
    enum milgi_role from; /* whose records it is after */
    unsigned nth, kind;
    size_t at;
    uint8_t bytes[256];
    size_t len;
    bool done;              /* it has found what it is after */
    struct pair_bytes kept; /* until the next record */
    unsigned seen[2];       /* records so far */
    size_t clear[2][8];     /* the lengths of those before change_cipher_spec */
    unsigned clear_n[2];
    bool changed[2];
};

static size_t record_len(const struct pair_bytes *wire)
{
    if (wire->len < HEADER)
        return 0;
    size_t len = HEADER + ((size_t)wire->p[3] << 8 | wire->p[4]);
    return wire->len < len ? 0 : len;
}

static bool carry(struct meddler *m, struct pair *pair, enum milgi_role from)
{
    struct pair_side *side = &pair->side[from];
    size_t len = record_len(&side->wire);
    if (!len)
        return false;
    m->changed[from] |= side->wire.p[0] == LIAR_CCS;
    if (!m->changed[from] && m->clear_n[from] < MILGI__COUNT(m->clear[0]))
        m->clear[from][m->clear_n[from]++] = len;
    struct pair_bytes out = { 0 };
    m->meddle(m, &out, from, m->seen[from]++, side->wire.p, len);
    pair_bytes_drop(&side->wire, len);
    if (out.len)
        (void)pair_feed(pair_other(side), out.p, out.len);
    free(out.p);
    return true;
}

static void between(struct meddler *m, struct pair *pair)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (enum milgi_role role = 0; role < 2; role++) {
            while (pair_run(&pair->side[role], NULL) == MILGI_RUN_AGAIN) {
            }
            while (carry(m, pair, role))
                moved = true;
        }
    }
    free(m->kept.p);
    m->kept = (struct pair_bytes){ 0 };
}

static struct milgi_config *of_12(enum milgi_role role, uint16_t group)
{
    struct milgi_config *config = role == MILGI_SERVER ? configs_begin(role, fixture.leaf, NULL)
                                                       : configs_begin(role, NULL, fixture.root);
    MUST(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2));
    if (group)
        MUST(milgi_config_set_groups(config, &group, 1));
    return configs_freeze(config);
}

static void open_pair(struct pair *pair, uint16_t group)
{
    struct milgi_config *server = of_12(MILGI_SERVER, group), *client = of_12(MILGI_CLIENT, group);
    struct pair_setup setup = { .server_name = "server.test", .seed = 1 };
    setup.config[MILGI_SERVER] = server;
    setup.config[MILGI_CLIENT] = client;
    pair_init(pair, &setup);
    milgi_config_unref(server);
    milgi_config_unref(client);
}

static void pass_on(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth,
    const uint8_t *record, size_t len)
{
    (void)m, (void)from, (void)nth;
    pair_bytes_add(out, record, len);
}

/* How many records each sends, and how long those in the clear are. */
static struct meddler honest(void)
{
    struct meddler m = { .meddle = pass_on };
    struct pair pair;
    open_pair(&pair, 0);
    between(&m, &pair);
    assert_true(pair.side[0].established && pair.side[1].established);
    pair_fini(&pair);
    return m;
}

static bool is_one_of(int alert, const int *alerts)
{
    for (; *alerts >= 0; alerts++) {
        if (alert == *alerts)
            return true;
    }
    return false;
}

/* The side ended by itself, with one of these alerts, and gave its application nothing. */
static void ended_with(const struct pair_side *side, const int *alerts)
{
    int error = side->reason.error;
    if (!side->closed || (error != MILGI_EPROTO && error != MILGI_EBADRECORD) || !is_one_of(side->reason.alert, alerts))
        fail_msg("closed %d, error %d, alert %d: %s", side->closed, error, side->reason.alert,
            side->reason.detail ? side->reason.detail : "");
    assert_int_equal(side->got.len, 0);
}

/* --- records that are missing, twice, in another order ------------------------------------------------------------ */

enum {
    DROP,
    TWICE,
    SWAP,
    KINDS
};

static void rearrange(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth,
    const uint8_t *record, size_t len)
{
    bool here = from == m->from && nth == m->nth;
    if (here && m->kind == SWAP)
        pair_bytes_add(&m->kept, record, len);
    if (!here || m->kind == TWICE)
        pair_bytes_add(out, record, len);
    if (here && m->kind == TWICE)
        pair_bytes_add(out, record, len);
    if (!here && from == m->from && m->kept.len) {
        pair_bytes_add(out, m->kept.p, m->kept.len);
        pair_bytes_drop(&m->kept, m->kept.len);
    }
}

/*= RFC5246 7.4: "sending handshake messages in an unexpected order results in a fatal error." */
static void records_are_neither_dropped_nor_repeated_nor_swapped(void **state)
{
    (void)state;
    static const int alerts[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_BAD_RECORD_MAC,
        MILGI_ALERT_DECRYPT_ERROR, -1 };
    struct meddler plain = honest();
    for (enum milgi_role from = 0; from < 2; from++) {
        for (unsigned i = 0; i < plain.seen[from] * KINDS; i++) {
            struct meddler m = { .meddle = rearrange, .from = from, .nth = i / KINDS, .kind = i % KINDS };
            struct pair pair;
            open_pair(&pair, 0);
            between(&m, &pair);
            struct pair_side *victim = &pair.side[!from];
            bool last = m.nth == plain.seen[from] - 1;
            if (m.kind == TWICE || !last)
                assert_false(victim->established && !victim->closed);
            /* else it waits for what does not come, or the other side has noticed */
            if (victim->closed && victim->reason.error != MILGI_EALERT)
                ended_with(victim, alerts);
            assert_int_equal(victim->got.len, 0);
            pair_fini(&pair);
        }
    }
}

/* --- change_cipher_spec where it does not belong ------------------------------------------------------------------ */

static void insert(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth, const uint8_t *record,
    size_t len)
{
    bool here = from == m->from && nth == m->nth;
    if (here)
        pair_bytes_add(out, m->bytes, m->len);
    pair_bytes_add(out, record, len);
}

/*= RFC5246 7.1: "The ChangeCipherSpec message is sent during the handshake after the security parameters have been
 *= agreed upon, but before the verifying Finished message is sent." */
static void a_change_cipher_spec_is_inserted_nowhere(void **state)
{
    (void)state;
    static const int alerts[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };
    static const int behind[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_BAD_RECORD_MAC, -1 };
    struct meddler plain = honest();
    for (enum milgi_role from = 0; from < 2; from++) {
        for (unsigned nth = 0; nth < plain.seen[from]; nth++) {
            struct meddler m = { .meddle = insert, .from = from, .nth = nth, .len = sizeof change_cipher_spec };
            memcpy(m.bytes, change_cipher_spec, sizeof change_cipher_spec);
            struct pair pair;
            open_pair(&pair, 0);
            between(&m, &pair);
            /* in its own place it is taken, and the one that follows is what is too much */
            ended_with(&pair.side[!from], nth < plain.clear_n[from] ? alerts : behind);
            assert_false(pair.side[!from].established);
            pair_fini(&pair);
        }
    }
}

static void split(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth, const uint8_t *record,
    size_t len)
{
    if (from != m->from || nth != m->nth) {
        pair_bytes_add(out, record, len);
        return;
    }
    size_t first = m->at, rest = len - HEADER - first;
    uint8_t one[HEADER] = { record[0], 3, 3, (uint8_t)(first >> 8), (uint8_t)first };
    uint8_t two[HEADER] = { record[0], 3, 3, (uint8_t)(rest >> 8), (uint8_t)rest };
    pair_bytes_add(out, one, sizeof one);
    pair_bytes_add(out, record + HEADER, first);
    pair_bytes_add(out, m->bytes, m->len);
    pair_bytes_add(out, two, sizeof two);
    pair_bytes_add(out, record + HEADER + first, rest);
}

/* The parts of a message stand behind each other; what divides them is no matter, what stands between them is. */
static void nothing_stands_between_the_parts_of_a_message(void **state)
{
    (void)state;
    static const int alerts[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };
    static const size_t cuts[] = { 1, 3, 4, 5, 40 };
    struct meddler plain = honest();
    for (enum milgi_role from = 0; from < 2; from++) {
        for (unsigned i = 0; i < plain.clear_n[from] * MILGI__COUNT(cuts); i++) {
            for (unsigned with = 0; with < 2; with++) {
                struct meddler m = { .meddle = split, .from = from, .nth = i / MILGI__COUNT(cuts) };
                m.at = cuts[i % MILGI__COUNT(cuts)];
                m.len = with ? sizeof change_cipher_spec : 0;
                if (m.at + HEADER >= plain.clear[from][m.nth])
                    continue;
                memcpy(m.bytes, change_cipher_spec, sizeof change_cipher_spec);
                struct pair pair;
                open_pair(&pair, 0);
                between(&m, &pair);
                if (with)
                    ended_with(&pair.side[!from], alerts);
                assert_true(pair.side[!from].established == !with);
                pair_fini(&pair);
            }
        }
    }
}

/* --- bytes that are changed --------------------------------------------------------------------------------------- */

static void flip(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth, const uint8_t *record,
    size_t len)
{
    pair_bytes_add(out, record, len);
    if (from == m->from && nth == m->nth)
        out->p[m->at] ^= (uint8_t)m->kind;
}

/* Every third byte, another third each time: neither side takes the other for what it is not. */
static void nobody_is_deceived_about_what_was_said_in_the_clear(void **state)
{
    (void)state;
    struct meddler plain = honest();
    unsigned n = 0;
    for (enum milgi_role from = 0; from < 2; from++) {
        for (unsigned nth = 0; nth < plain.clear_n[from]; nth++) {
            for (size_t at = HEADER + n % 3; at < plain.clear[from][nth]; at += 3, n++) {
                struct meddler m = { .meddle = flip, .from = from, .nth = nth, .at = at, .kind = 1u << n % 8 };
                struct pair pair;
                open_pair(&pair, 0);
                between(&m, &pair);
                assert_false(pair.side[0].established);
                assert_false(pair.side[1].established);
                pair_fini(&pair);
            }
        }
    }
    assert_true(n > 100);
}

/* The header of the message of |kind| says that it is |at| bytes long. */
static void announce(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth,
    const uint8_t *record, size_t len)
{
    (void)nth;
    pair_bytes_add(out, record, len);
    if (from != m->from || record[0] != LIAR_HANDSHAKE || m->done)
        return;
    for (size_t at = HEADER; at + 4 <= len;) {
        size_t body = (size_t)record[at + 1] << 16 | (size_t)record[at + 2] << 8 | record[at + 3];
        if (record[at] == m->kind) {
            out->p[at + 1] = (uint8_t)(m->at >> 16);
            out->p[at + 2] = (uint8_t)(m->at >> 8);
            out->p[at + 3] = (uint8_t)m->at;
            m->done = true;
            return;
        }
        at += 4 + body;
    }
}

static void a_message_is_refused_by_the_length_that_it_announces(void **state)
{
    (void)state;
    static const int alerts[] = { MILGI_ALERT_ILLEGAL_PARAMETER, MILGI_ALERT_DECODE_ERROR, -1 };
    static const int kinds[] = { MILGI__MSG_CLIENT_HELLO, MILGI__MSG_CLIENT_KEY_EXCHANGE, MILGI__MSG_SERVER_HELLO,
        MILGI__MSG_CERTIFICATE, MILGI__MSG_SERVER_KEY_EXCHANGE, MILGI__MSG_SERVER_HELLO_DONE };
    static const size_t lens[] = { 65537, 0x100000, 0xffffff };
    for (unsigned i = 0; i < MILGI__COUNT(kinds) * MILGI__COUNT(lens); i++) {
        struct meddler m = { .meddle = announce, .kind = (unsigned)kinds[i / MILGI__COUNT(lens)] };
        m.from = i / MILGI__COUNT(lens) < 2 ? MILGI_CLIENT : MILGI_SERVER;
        m.at = lens[i % MILGI__COUNT(lens)];
        struct pair pair;
        open_pair(&pair, 0);
        between(&m, &pair);
        struct milgi_engine_stats stats;
        milgi_engine_stats(pair.side[!m.from].engine, &stats);
        assert_true(m.done);
        ended_with(&pair.side[!m.from], alerts);
        assert_true(stats.memory_peak <= 512 * 1024);
        pair_fini(&pair);
    }
}

/* --- points ------------------------------------------------------------------------------------------------------- */

/* The body of a ClientKeyExchange, which stands alone in its record, becomes m->bytes. */
static void exchange(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth,
    const uint8_t *record, size_t len)
{
    (void)nth;
    if (from != MILGI_CLIENT || record[0] != LIAR_HANDSHAKE || record[HEADER] != MILGI__MSG_CLIENT_KEY_EXCHANGE) {
        pair_bytes_add(out, record, len);
        return;
    }
    uint8_t head[HEADER + 4] = { 22, 3, 3, (uint8_t)((m->len + 4) >> 8), (uint8_t)(m->len + 4), record[HEADER], 0,
        (uint8_t)(m->len >> 8), (uint8_t)m->len };
    pair_bytes_add(out, head, sizeof head);
    pair_bytes_add(out, m->bytes, m->len);
    m->done = true;
}

/*= RFC8422 5.11: "With X25519 and X448, a receiving party MUST check whether the computed premaster secret is the
 *= all-zero value and abort the handshake if so" */
/*= RFC8422 5.4: "This byte string may represent an elliptic curve point in uncompressed, compressed, or hybrid
 *= format, but this specification deprecates all but the uncompressed format." */
static void a_point_that_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint16_t group;
        size_t len, said; /* bytes of the point, and what the length before it says */
        uint8_t first, rest;
        int alert;
    } points[] = {
        { MILGI_GROUP_X25519, 32, 32, 0, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_X25519, 32, 32, 1, 0, MILGI_ALERT_ILLEGAL_PARAMETER }, /* of small order */
        { MILGI_GROUP_X25519, 31, 31, 9, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_X25519, 33, 33, 9, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_X25519, 65, 65, 4, 1, MILGI_ALERT_ILLEGAL_PARAMETER }, /* of another curve */
        { MILGI_GROUP_X25519, 0, 0, 0, 0, MILGI_ALERT_DECODE_ERROR },
        { MILGI_GROUP_X25519, 32, 33, 9, 0, MILGI_ALERT_DECODE_ERROR }, /* longer than there is */
        { MILGI_GROUP_X25519, 32, 255, 9, 0, MILGI_ALERT_DECODE_ERROR },
        { MILGI_GROUP_X25519, 33, 32, 9, 0, MILGI_ALERT_DECODE_ERROR },         /* something behind it */
        { MILGI_GROUP_SECP256R1, 65, 65, 4, 1, MILGI_ALERT_ILLEGAL_PARAMETER }, /* not on the curve */
        { MILGI_GROUP_SECP256R1, 65, 65, 4, 0, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_SECP256R1, 65, 65, 6, 1, MILGI_ALERT_ILLEGAL_PARAMETER }, /* hybrid form */
        { MILGI_GROUP_SECP256R1, 33, 33, 2, 1, MILGI_ALERT_ILLEGAL_PARAMETER }, /* compressed */
        { MILGI_GROUP_SECP256R1, 1, 1, 0, 0, MILGI_ALERT_ILLEGAL_PARAMETER },   /* at infinity */
        { MILGI_GROUP_SECP256R1, 97, 97, 4, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_SECP384R1, 97, 97, 4, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_GROUP_SECP384R1, 65, 65, 4, 1, MILGI_ALERT_ILLEGAL_PARAMETER },
    };
    for (size_t i = 0; i < MILGI__COUNT(points); i++) {
        struct meddler m = { .meddle = exchange, .len = 1 + points[i].len };
        memset(m.bytes, points[i].rest, sizeof m.bytes);
        m.bytes[0] = (uint8_t)points[i].said;
        m.bytes[1] = points[i].first;
        struct pair pair;
        open_pair(&pair, points[i].group);
        between(&m, &pair);
        assert_true(m.done);
        int alerts[] = { points[i].alert, -1 };
        ended_with(&pair.side[MILGI_SERVER], alerts);
        pair_fini(&pair);
    }
}

/* A ServerKeyExchange: what its first bytes say of the curve becomes m->bytes. */
static void curve(struct meddler *m, struct pair_bytes *out, enum milgi_role from, unsigned nth, const uint8_t *record,
    size_t len)
{
    (void)nth;
    pair_bytes_add(out, record, len);
    if (from != MILGI_SERVER || record[0] != LIAR_HANDSHAKE)
        return;
    for (size_t at = HEADER; at + 8 <= len;) {
        size_t body = (size_t)record[at + 1] << 16 | (size_t)record[at + 2] << 8 | record[at + 3];
        if (record[at] == MILGI__MSG_SERVER_KEY_EXCHANGE) {
            memcpy(out->p + at + 4, m->bytes, m->len);
            m->done = true;
            return;
        }
        at += 4 + body;
    }
}

/*= RFC8422 5.3: "A possible reason for a fatal handshake failure is that the client's capabilities for handling
 *= elliptic curves and point formats are exceeded; cf. Section 5.1." Found before the signature is looked at, which
 *= would be wrong in any case. */
static void a_curve_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    static const int alerts[] = { MILGI_ALERT_ILLEGAL_PARAMETER, MILGI_ALERT_HANDSHAKE_FAILURE, -1 };
    static const int broken[] = { MILGI_ALERT_DECODE_ERROR, MILGI_ALERT_ILLEGAL_PARAMETER, -1 };
    static const struct {
        uint8_t bytes[4]; /* curve_type, named curve, length of the point */
        size_t len;
        bool length;
    } curves[] = {
        { { 1 }, 1, false },             /* explicit_prime */
        { { 2 }, 1, false },             /* explicit_char2 */
        { { 0 }, 1, false },             /* reserved */
        { { 255 }, 1, false },           /* nobody's */
        { { 3, 0, 23 }, 3, false },      /* secp256r1, not offered here */
        { { 3, 0, 30 }, 3, false },      /* x448 */
        { { 3, 0, 21 }, 3, false },      /* secp224r1 */
        { { 3, 1, 0 }, 3, false },       /* ffdhe2048 */
        { { 3, 0x11, 0xec }, 3, false }, /* X25519MLKEM768, of TLS 1.3 alone */
        { { 3, 0, 0 }, 3, false },
        { { 3, 0, 29, 0 }, 4, true },
        { { 3, 0, 29, 31 }, 4, true },
        { { 3, 0, 29, 255 }, 4, true },
    };
    for (size_t i = 0; i < MILGI__COUNT(curves); i++) {
        struct meddler m = { .meddle = curve, .len = curves[i].len };
        memcpy(m.bytes, curves[i].bytes, sizeof curves[i].bytes);
        struct pair pair;
        open_pair(&pair, MILGI_GROUP_X25519);
        between(&m, &pair);
        assert_true(m.done);
        ended_with(&pair.side[MILGI_CLIENT], curves[i].length ? broken : alerts);
        pair_fini(&pair);
    }
}

/* --- after the handshake ------------------------------------------------------------------------------------------ */

/* No time goes by. */
static void go_on(struct pair *pair)
{
    struct meddler m = { .meddle = pass_on };
    between(&m, pair);
}

/* |from|'s connection says what the library never would, as a record of its own. */
static void say(struct pair *pair, enum milgi_role from, unsigned type, const void *data, size_t len)
{
    struct milgi_conn *c = pair->side[from].conn;
    if (!c)
        return;
    MUST(milgi__transport_write(c->transport, (enum milgi__content)type, data, len, false));
    milgi__engine_ready(c->engine, &c->owner);
    go_on(pair);
}

static void open_both(struct pair *pair)
{
    open_pair(pair, 0);
    pair_settle(pair);
    assert_true(pair->side[0].established && pair->side[1].established);
}

/* What each side must not hear again: the beginning of a handshake. */
static size_t beginning(enum milgi_role from, uint8_t out[64])
{
    static const uint8_t request[] = { MILGI__MSG_HELLO_REQUEST, 0, 0, 0 };
    static const uint8_t hello[64] = { MILGI__MSG_CLIENT_HELLO, 0, 0, 60, 3, 3, 1, 2, 3 };
    memcpy(out, from == MILGI_SERVER ? request : hello, from == MILGI_SERVER ? sizeof request : sizeof hello);
    return from == MILGI_SERVER ? sizeof request : sizeof hello;
}

/*= RFC5246 7.2.2: no_renegotiation: "Sent by the client in response to a hello request or by the server in response
 *= to a client hello after initial handshaking." Each costs an alert of ours, so there are not many. */
static void renegotiation_is_refused_and_asked_for_in_vain_only_so_often(void **state)
{
    (void)state;
    for (enum milgi_role from = 0; from < 2; from++) {
        struct pair pair;
        uint8_t message[64];
        size_t len = beginning(from, message), sent;
        open_both(&pair);
        struct pair_side *asker = &pair.side[from], *victim = &pair.side[!from];
        for (unsigned i = 0; i < LIMIT; i++) {
            say(&pair, from, LIAR_HANDSHAKE, message, len);
            assert_int_equal(asker->alerts_n, i + 1 < PAIR_EVENTS ? i + 1 : PAIR_EVENTS);
            assert_int_equal(asker->alerts[i], MILGI_ALERT_NO_RENEGOTIATION);
            asker->conn->floods = (struct milgi__floods){ 0 }; /* who asks does not mind being told so */
        }
        assert_false(asker->closed || victim->closed);
        MUST(milgi_conn_write(asker->conn, "still there", 11)); /* and pays for some more */
        go_on(&pair);
        assert_int_equal(victim->got.len, 11);
        for (unsigned i = 0; i < 2 && !victim->closed; i++)
            say(&pair, from, LIAR_HANDSHAKE, message, len);
        sent = asker->alerts_n;
        assert_true(victim->closed);
        assert_int_equal(victim->reason.error, MILGI_ELIMIT);
        assert_int_equal(victim->reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        assert_in_range(sent, LIMIT + 1, LIMIT + 3);
        pair_fini(&pair);
    }
}

/* A thousand in a record, or one in pieces, are no more and no less. */
static void however_it_is_asked_for(void **state)
{
    (void)state;
    for (enum milgi_role from = 0; from < 2; from++) {
        struct pair pair;
        uint8_t message[64], many[200 * 64];
        size_t len = beginning(from, message);
        for (unsigned i = 0; i < 200; i++)
            memcpy(many + i * len, message, len);
        open_both(&pair);
        for (size_t at = 0; at < len; at++)
            say(&pair, from, LIAR_HANDSHAKE, message + at, 1);
        assert_int_equal(pair.side[from].alerts_n, 1);
        assert_false(pair.side[!from].closed);
        say(&pair, from, LIAR_HANDSHAKE, many, 200 * len);
        assert_true(pair.side[!from].closed);
        assert_int_equal(pair.side[!from].reason.error, MILGI_ELIMIT);
        assert_true(pair.side[from].alerts_n <= LIMIT + 1);
        pair_fini(&pair);
    }
}

static void one_is_enough(enum milgi_role from, unsigned type, const uint8_t *data, size_t len, const int *alerts)
{
    struct pair pair;
    open_both(&pair);
    say(&pair, from, type, data, len);
    ended_with(&pair.side[!from], alerts);
    pair_fini(&pair);
}

/*= RFC5246 7.2.2: unexpected_message: "An inappropriate message was received.  This alert is always fatal" */
static void what_has_no_place_after_the_handshake_ends_it(void **state)
{
    (void)state;
    static const int unexpected[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };
    static const int either[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_DECODE_ERROR, -1 };
    static const uint8_t heartbeat[] = { 1, 0x40, 0, 0 }; /* that asks for 16 KiB, and has none */
    static const uint8_t ccs[] = { 1 };
    for (enum milgi_role from = 0; from < 2; from++) {
        for (unsigned type = 0; type < 256; type += type < 30 ? 1 : 25) {
            uint8_t message[8] = { (uint8_t)type, 0, 0, 4 };
            bool asks = type == (from == MILGI_SERVER ? MILGI__MSG_HELLO_REQUEST : MILGI__MSG_CLIENT_HELLO);
            if (!asks)
                one_is_enough(from, LIAR_HANDSHAKE, message, sizeof message, either);
        }
        one_is_enough(from, 24, heartbeat, sizeof heartbeat, unexpected);
        one_is_enough(from, LIAR_CCS, ccs, sizeof ccs, unexpected);
    }
    static const uint8_t request[] = { MILGI__MSG_HELLO_REQUEST, 0, 0, 1, 0 };
    one_is_enough(MILGI_SERVER, LIAR_HANDSHAKE, request, sizeof request, either);
    static const uint8_t large[] = { MILGI__MSG_CLIENT_HELLO, 0xff, 0xff, 0xff };
    static const int lengths[] = { MILGI_ALERT_ILLEGAL_PARAMETER, MILGI_ALERT_DECODE_ERROR, -1 };
    one_is_enough(MILGI_CLIENT, LIAR_HANDSHAKE, large, sizeof large, lengths);
}

/* Data in the middle of a message, which a peer that renegotiates is not allowed either. */
static void data_does_not_stand_inside_a_message(void **state)
{
    (void)state;
    for (enum milgi_role from = 0; from < 2; from++) {
        static const int alerts[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };
        struct pair pair;
        uint8_t message[64];
        beginning(from, message);
        open_both(&pair);
        say(&pair, from, LIAR_HANDSHAKE, message, 2);
        say(&pair, from, LIAR_DATA, "data", 4);
        ended_with(&pair.side[!from], alerts);
        pair_fini(&pair);
    }
}

/*= RFC5246 7.2: "Alert messages with a level of fatal result in the immediate termination of the connection", and
 *= those of the other level do not, which is no reason to take any number of them. */
static void warnings_are_taken_only_so_often(void **state)
{
    (void)state;
    static const uint8_t warning[] = { 1, MILGI_ALERT_NO_RENEGOTIATION };
    for (enum milgi_role from = 0; from < 2; from++) {
        struct pair pair;
        unsigned n = 0;
        open_both(&pair);
        for (; n < 1000 && !pair.side[!from].closed; n++)
            say(&pair, from, LIAR_ALERT, warning, sizeof warning);
        assert_int_equal(n, WARNINGS + 1);
        assert_int_equal(pair.side[!from].reason.error, MILGI_ELIMIT);
        pair_fini(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_neither_dropped_nor_repeated_nor_swapped),
        cmocka_unit_test(a_change_cipher_spec_is_inserted_nowhere),
        cmocka_unit_test(nothing_stands_between_the_parts_of_a_message),
        cmocka_unit_test(nobody_is_deceived_about_what_was_said_in_the_clear),
        cmocka_unit_test(a_message_is_refused_by_the_length_that_it_announces),
        cmocka_unit_test(a_point_that_is_none_is_refused),
        cmocka_unit_test(a_curve_that_was_not_offered_is_refused),
        cmocka_unit_test(renegotiation_is_refused_and_asked_for_in_vain_only_so_often),
        cmocka_unit_test(however_it_is_asked_for),
        cmocka_unit_test(what_has_no_place_after_the_handshake_ends_it),
        cmocka_unit_test(data_does_not_stand_inside_a_message),
        cmocka_unit_test(warnings_are_taken_only_so_often),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
