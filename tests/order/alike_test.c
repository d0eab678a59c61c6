/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a peer does wrong, in whichever message, at whatever pace: what the victim says, under which keys, and what
 * its application is told are the same under every device. With MILGI_TESTS_FULL=1 each is tried in all ways, instead
 * of in some by turns. ctest-timeout: 300
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "fake_identity.h"
#include "liar.h"

/* --- who does the victim's work ----------------------------------------------------------------------------------- */

#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_SIGN) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY) | MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))

/* The first is what the others are compared with. */
static const struct way {
    const char *device;
    uint32_t routed;
} ways[] = {
    { NULL, 0 },
    { "sim:latency=1ms,units=1,order=in", UINT32_MAX },
    { "sim:latency=1ms,units=8,jitter=9ms,seed=1", UINT32_MAX },
    { "sim:latency=1ms,latency.verify_chain=40ms,units=8", UINT32_MAX },
    { "sim:latency=1ms,latency.verify=40ms,latency.derive=30ms,units=8", UINT32_MAX },
    { "sim:latency=1ms,latency.open=20ms,units=8", UINT32_MAX },
    { "sim:latency=1ms,latency.seal=20ms,units=8", UINT32_MAX },
    { "sim:latency=1ms,units=8,jitter=9ms,seed=3", HANDSHAKE_OPS },
    { "sim:latency=1ms,units=8,jitter=9ms,seed=4", RECORD_OPS },
    { "sim:latency=1ms", MILGI_OP_BIT(MILGI_OP_DERIVE) },
    { "sim:latency=1ms", MILGI_OP_BIT(MILGI_OP_VERIFY) },
    { "sim:latency=1ms", MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN) },
    { "sim:latency=1ms", MILGI_OP_BIT(MILGI_OP_SEAL) },
    { "sim:latency=1ms", MILGI_OP_BIT(MILGI_OP_OPEN) },
    { "chaos:seed=1,max_delay=20ms", UINT32_MAX },
    { "chaos:seed=2,delay=0.9,reorder=0.9,refuse=0.5", UINT32_MAX },
    { "pool:2", UINT32_MAX },
    { "batch:lanes=libcrypto", UINT32_MAX },
    { "batch:lanes=libcrypto,from=1,wait=0", UINT32_MAX },
};

/* --- what kind of handshake, and what the victim finds wrong about it by itself ----------------------------------- */

enum flaw {
    NO_FLAW,
    UNTRUSTED,
    MAY_NOT_SIGN,
    MISNAMED
};

static const struct kind {
    enum milgi_role role; /* the liar's */
    bool auth, retry;
    enum flaw flaw;
    const char *name;
} kinds[] = {
    { MILGI_CLIENT, false, false, NO_FLAW, "client" },
    { MILGI_CLIENT, true, false, NO_FLAW, "client with a certificate" },
    { MILGI_CLIENT, true, false, UNTRUSTED, "client that is not trusted" },
    { MILGI_CLIENT, true, false, MAY_NOT_SIGN, "client that may not sign" },
    { MILGI_CLIENT, false, true, NO_FLAW, "client that is asked to try again" },
    { MILGI_SERVER, false, false, NO_FLAW, "server" },
    { MILGI_SERVER, true, false, NO_FLAW, "server that asks" },
    { MILGI_SERVER, true, false, UNTRUSTED, "server that is not trusted" },
    { MILGI_SERVER, false, false, MISNAMED, "server of another name" },
    { MILGI_SERVER, false, false, MAY_NOT_SIGN, "server that may not sign" },
    { MILGI_SERVER, false, true, NO_FLAW, "server that asks to try again" },
};

static struct {
    struct milgi_credential *credential[4];
    struct milgi_config *client[2], *server[2]; /* with a certificate of its own; that demands one */
} given;

static struct milgi_config *config_of(enum milgi_role role, bool with)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    struct milgi_config *config = fake_config(role, NULL);
    if (with && role == MILGI_SERVER) {
        struct milgi_trust *trust = fake_trust(0);
        assert_int_equal(milgi_config_set_trust(config, trust), 0);
        milgi_trust_unref(trust);
    }
    if (with && role == MILGI_CLIENT)
        assert_int_equal(milgi_config_add_credential(config, given.credential[NO_FLAW]), 0);
    assert_int_equal(milgi_config_set_groups(config, groups, 2), 0);
    return fake_freeze(config);
}

static int setup(void **state)
{
    (void)state;
    given.credential[NO_FLAW] = fake_credential(NULL);
    given.credential[UNTRUSTED] = fake_credential(&(struct fake_options){ .root = 1 });
    given.credential[MAY_NOT_SIGN] =
        fake_credential(&(struct fake_options){ .flags = MILGI__FAKE_SERVER | MILGI__FAKE_CLIENT });
    given.credential[MISNAMED] = fake_credential(&(struct fake_options){ .names = "another.test" });
    for (unsigned i = 0; i < 2; i++) {
        given.client[i] = config_of(MILGI_CLIENT, i);
        given.server[i] = config_of(MILGI_SERVER, i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        milgi_config_unref(given.client[i]);
        milgi_config_unref(given.server[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        milgi_credential_unref(given.credential[i]);
    return 0;
}

/* --- what is done wrong ------------------------------------------------------------------------------------------- */

enum deed {
    /* to a message: to the byte |at| of its 16ths, or with the type |at| */
    CUT,
    LONGER,
    FLIPPED,
    ANNOUNCES_MORE,
    OTHER_TYPE,
    LEFT_OUT,
    TWICE,
    /* between two messages: */
    RAW,         /* a record in the clear, of |data| */
    SEALED,      /* a protected one, when there is a key */
    INNER,       /* a protected one of which |data| is all, type and padding too */
    BAD_TAG,     /* one that does not verify */
    TOO_SHORT,   /* to be protected */
    TOO_LONG,    /* by its header */
    TOO_MUCH,    /* by its content */
    NO_RECORD,   /* a header that is none */
    END,         /* of the transport */
    KEYS_CHANGE, /* KeyUpdates, as many as |at| */
};

struct wrong {
    enum deed deed;
    unsigned at, type;
    const char *data;
    size_t len;
    const char *name;
};
#define BYTES(s) s, sizeof s - 1

static const struct wrong edits[] = {
    { CUT, 0, 0, NULL, 0, "cut to nothing" },
    { CUT, 1, 0, NULL, 0, "cut early" },
    { CUT, 8, 0, NULL, 0, "cut in two" },
    { CUT, 15, 0, NULL, 0, "cut late" },
    { LONGER, 0, 0, NULL, 0, "longer" },
    { FLIPPED, 0, 0, NULL, 0, "flipped at 0" },
    { FLIPPED, 1, 0, NULL, 0, "flipped at 1" },
    { FLIPPED, 2, 0, NULL, 0, "flipped at 2" },
    { FLIPPED, 4, 0, NULL, 0, "flipped at 4" },
    { FLIPPED, 6, 0, NULL, 0, "flipped at 6" },
    { FLIPPED, 8, 0, NULL, 0, "flipped at 8" },
    { FLIPPED, 10, 0, NULL, 0, "flipped at 10" },
    { FLIPPED, 12, 0, NULL, 0, "flipped at 12" },
    { FLIPPED, 14, 0, NULL, 0, "flipped at 14" },
    { FLIPPED, 15, 0, NULL, 0, "flipped at 15" },
    { ANNOUNCES_MORE, 0, 0, NULL, 0, "says that it is longer" },
    { OTHER_TYPE, 0, 0, NULL, 0, "of type 0" },
    { OTHER_TYPE, 1, 0, NULL, 0, "of type 1" },
    { OTHER_TYPE, 2, 0, NULL, 0, "of type 2" },
    { OTHER_TYPE, 4, 0, NULL, 0, "of type 4" },
    { OTHER_TYPE, 11, 0, NULL, 0, "of type 11" },
    { OTHER_TYPE, 13, 0, NULL, 0, "of type 13" },
    { OTHER_TYPE, 15, 0, NULL, 0, "of type 15" },
    { OTHER_TYPE, 20, 0, NULL, 0, "of type 20" },
    { OTHER_TYPE, 24, 0, NULL, 0, "of type 24" },
    { OTHER_TYPE, 254, 0, NULL, 0, "of type 254" },
    { LEFT_OUT, 0, 0, NULL, 0, "left out" },
    { TWICE, 0, 0, NULL, 0, "said twice" },
};

static const struct wrong between[] = {
    { SEALED, 0, LIAR_ALERT, BYTES("\2\50"), "a fatal alert" },
    { SEALED, 0, LIAR_ALERT, BYTES("\1\132"), "user_canceled" },
    { SEALED, 0, LIAR_ALERT, BYTES("\1\0"), "close_notify" },
    { SEALED, 0, LIAR_ALERT, BYTES("\1"), "half an alert" },
    { SEALED, 0, LIAR_ALERT, BYTES("\2\50\2"), "an alert of three bytes" },
    { SEALED, 0, LIAR_ALERT, BYTES(""), "an empty alert" },
    { SEALED, 0, LIAR_DATA, BYTES("data"), "data" },
    { SEALED, 0, LIAR_DATA, BYTES(""), "empty data" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES(""), "an empty handshake record" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\0\0\0\0"), "a HelloRequest" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\1\0\0\2\3\3"), "a ClientHello" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\24\0\0"), "the beginning of a Finished" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\24\0\0\1\1"), "a short Finished" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\30\0\0\1\0"), "a KeyUpdate and no new key" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\30\0\0\1\2"), "a KeyUpdate of another kind" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\30\0\0\1\1\30\0\0\1\0"), "two KeyUpdates in a record" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\30\0\0\0"), "an empty KeyUpdate" },
    { SEALED, 0, LIAR_HANDSHAKE, BYTES("\4\0\0\5\0\0\0\0\0"), "a NewSessionTicket cut short" },
    { SEALED, 0, 99, BYTES("?"), "a record of an unknown type" },
    { RAW, 0, LIAR_CCS, BYTES("\1"), "a change_cipher_spec" },
    { RAW, 0, LIAR_CCS, BYTES("\2"), "another change_cipher_spec" },
    { RAW, 0, LIAR_CCS, BYTES("\1\1"), "a long change_cipher_spec" },
    { RAW, 0, LIAR_ALERT, BYTES("\2\50"), "a fatal alert in the clear" },
    { RAW, 0, LIAR_HANDSHAKE, BYTES("\24\0\0\0"), "a handshake message in the clear" },
    { RAW, 0, LIAR_DATA, BYTES("data that is in the clear"), "data in the clear" },
    { RAW, 0, 0, BYTES("?"), "a record of type 0" },
    { INNER, 0, LIAR_DATA, BYTES("\0\0\0\0"), "a record of zeros" },
    { INNER, 0, LIAR_DATA, BYTES("\1\24"), "a protected change_cipher_spec" },
    { INNER, 0, LIAR_HANDSHAKE, BYTES("\30\0\0\1\0\26"), "a protected record of an outer type of its own" },
    { BAD_TAG, 0, 0, NULL, 0, "a record that does not verify" },
    { TOO_SHORT, 0, 0, NULL, 0, "a record that is too short" },
    { TOO_LONG, 0, 0, NULL, 0, "a record that is too long" },
    { TOO_MUCH, 0, 0, NULL, 0, "a record of too much" },
    { NO_RECORD, 0, 0, NULL, 0, "what is no record" },
    { END, 0, 0, NULL, 0, "the end" },
    { KEYS_CHANGE, 1, 0, NULL, 0, "a KeyUpdate" },
    { KEYS_CHANGE, 40, 0, NULL, 0, "a flood of KeyUpdates" },
};

static void do_between(struct liar *l, const struct wrong *w)
{
    static uint8_t much[16386];
    struct pair_side *victim = l->victim;
    if (w->deed == INNER && l->write.on) {
        liar_inner(l, w->type, w->data, w->len);
        return;
    }
    switch (w->deed) {
    case RAW: liar_plain(l, w->type, w->data, w->len); break;
    case BAD_TAG: liar_plain(l, LIAR_DATA, "these bytes are not what they seem", 34); break;
    case TOO_SHORT: liar_plain(l, LIAR_DATA, "short", 5); break;
    case TOO_LONG: liar_raw(l, "\27\3\3\101\1", 5); break;
    case TOO_MUCH: liar_record(l, LIAR_DATA, much, 16385, 0); break;
    case NO_RECORD: liar_raw(l, "GET / HTTP/1.1\r\n\r\n", 18); break;
    case END: (void)milgi_conn_receive_eof(victim->conn, 0); break;
    case KEYS_CHANGE:
        for (unsigned i = 0; i < w->at && l->write.on; i++)
            liar_update(l, i & 1, 0);
        break;
    default: liar_record(l, w->type, w->data, w->len, 0);
    }
}

static size_t sixteenth(const struct pair_bytes *m, unsigned at)
{
    return 4 + (m->len - 4) * at / 16;
}

static bool edit(struct liar *l, struct pair_bytes *m)
{
    const struct wrong *w = l->setup.arg;
    l->setup.edit = NULL;
    switch (w->deed) {
    case CUT: liar_splice(m, sixteenth(m, w->at), m->len - sixteenth(m, w->at), NULL, 0); break;
    case LONGER: liar_splice(m, m->len, 0, "", 1); break;
    case FLIPPED:
        if (m->len > 4)
            m->p[MILGI__MIN(sixteenth(m, w->at), m->len - 1)] ^= 0x41;
        break;
    case ANNOUNCES_MORE: m->p[3]++; break;
    case OTHER_TYPE: m->p[0] = (uint8_t)w->at; break;
    case TWICE: liar_say(l, m->p, m->len); break;
    default: return w->deed != LEFT_OUT;
    }
    return true;
}

/* --- what comes of it --------------------------------------------------------------------------------------------- */

static const char words[] = "what the victim has to say";
#define WORDS (sizeof words - 1)

static struct {
    char text[1024];
    size_t len;
    unsigned epoch, type; /* of what comes in a row */
    size_t row_len;
    uint64_t row_hash;
    size_t deaf_len, deaf_last; /* what cannot be understood: all content, the last record */
} story;

static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(story.text + story.len, sizeof story.text - story.len, format, args);
    va_end(args);
    story.len = MILGI__MIN(story.len + (size_t)n, sizeof story.text - 1);
}

static void end_row(void)
{
    if (story.row_len)
        tell("%u.%u:%zu:%llx ", story.epoch, story.type, story.row_len, (unsigned long long)story.row_hash);
    story.row_len = 0;
    story.row_hash = 0xcbf29ce484222325ull;
}

/* How what is in a row is cut into records depends on when ops come back, except for alerts. */
static void hear(struct liar *l, unsigned type, const uint8_t *data, size_t len)
{
    bool update = type == LIAR_HANDSHAKE && len == 5 && data[0] == MILGI__MSG_KEY_UPDATE;
    /*
     * How much the application could say before the connection failed, and how many KeyUpdates one answer has answered,
     * are matters of time, as on any network.
     */
    if (l->deaf ? len == WORDS + 17 : type == LIAR_DATA || update)
        return;
    if (l->deaf) {
        story.deaf_len += type == LIAR_DATA ? len - 17 : len;
        story.deaf_last = len;
        return;
    }
    unsigned epoch = MILGI__MIN(l->read.epoch, 2);
    if (story.epoch != epoch || story.type != type || type == LIAR_ALERT || type == LIAR_CCS)
        end_row();
    story.epoch = epoch;
    story.type = type;
    story.row_len += len;
    for (size_t i = 0; i < len; i++)
        story.row_hash = (story.row_hash ^ data[i]) * 0x100000001b3ull;
}

static void tell_end(const struct liar *l)
{
    const struct pair_side *v = l->victim;
    end_row();
    if (l->deaf)
        tell("not understood: %zu, at last %zu ", story.deaf_len, l->victim->closed ? story.deaf_last : 0);
    tell("| alerts");
    for (unsigned i = 0; i < v->alerts_n; i++)
        tell(" %d", v->alerts[i]);
    tell(", %zu bytes, established %d, %s", v->got.len, v->established, liar_end(l));
    if (v->closed)
        tell(", op %d", v->reason.op);
}

static void settle(struct liar *l)
{
    struct milgi_engine_stats stats;
    for (unsigned i = 0; i < 2000; i++) {
        liar_listen(l);
        milgi_engine_stats(l->victim->engine, &stats);
        if (stats.ops_alive == 0)
            return;
        struct pollfd fd = { .fd = milgi_engine_fd(l->victim->engine), .events = POLLIN };
        poll(&fd, 1, 1);
    }
    fail_msg("ops do not end");
}

static void begin(struct liar *l, const struct kind *kind, const struct way *way, bool hurry)
{
    bool client = kind->role == MILGI_CLIENT;
    struct liar_setup s = {
        .role = kind->role,
        .victim = client ? given.server[kind->auth] : given.client[kind->auth],
        .credential = client && !kind->auth ? NULL : given.credential[kind->flaw],
        .retry = kind->retry,
        .ask = kind->auth && !client,
        .group = !client && kind->retry ? MILGI_GROUP_SECP256R1 : 0,
        .middlebox = true,
        .device = way->device,
        .hear = hear,
        .hurry = hurry,
    };
    memset(&story, 0, sizeof story);
    liar_init(l, &s);
    l->pair.wall_s = FAKE_NOW_S;
    if (way->device && strncmp(way->device, "pool", 4) == 0)
        l->setup.device = NULL; /* it takes real time, and no other passes meanwhile */
    if (way->device) {
        assert_int_equal(milgi_engine_route(l->victim->engine, UINT32_MAX, 0, 0), 0);
        assert_int_equal(milgi_engine_route(l->victim->engine, way->routed, 1, 1), 0);
    }
    /* It waits until it may be sent. */
    assert_int_equal(milgi_conn_write(l->victim->conn, words, WORDS), 0);
}

/* Says the next message; false: there is none. */
static bool step(struct liar *l)
{
    if (l->due < 0)
        settle(l);
    if (!liar_step(l))
        return false;
    if (l->due < 0 || !l->setup.hurry)
        settle(l);
    return true;
}

/*
 * |at|: how many messages come before it. False: there are not so many. What is wrong is done to the message, or before
 * it, or behind the last of all.
 */
static bool act(const struct kind *kind, const struct way *way, unsigned at, const struct wrong *w, bool hurry)
{
    struct liar l;
    bool is_edit = w && w->deed <= TWICE, reached = true;
    begin(&l, kind, way, hurry);
    for (unsigned i = 0; i < at && reached; i++)
        reached = step(&l);
    if (reached) {
        if (l.due < 0)
            settle(&l);
        reached = l.due >= 0 || !is_edit;
    }
    if (w && is_edit) {
        l.setup.edit = edit;
        l.setup.arg = (void *)(uintptr_t)w;
    } else if (w) {
        for (unsigned i = 0; i < 3 && l.victim->established; i++)
            liar_record(&l, LIAR_DATA, "before", 6, 0); /* it is in the midst of a window then */
        do_between(&l, w);
        if (!hurry)
            settle(&l);
    }
    while (step(&l))
        continue;
    if (!is_edit && w && !l.victim->closed && l.write.on)
        liar_record(&l, LIAR_DATA, "more", 4, 0); /* what comes behind it */
    settle(&l);
    tell_end(&l);
    liar_fini(&l);
    return reached;
}

static bool same_in_all_ways(const struct kind *kind, unsigned at, const struct wrong *w, bool hurry)
{
    /*
     * Each time some of the ways, and others the next time. With nothing else on its way there is less that could be
     * different.
     */
    static size_t turn;
    size_t step = getenv("MILGI_TESTS_FULL") ? 1 : hurry ? 2
                                                         : 4;
    char first[sizeof story.text];
    turn++;
    for (size_t i = 0; i < MILGI__COUNT(ways); i = i ? i + step : 1 + turn % step) {
        if (!act(kind, &ways[i], at, w, hurry))
            return false;
        if (i == 0)
            memcpy(first, story.text, sizeof first);
        else if (strcmp(first, story.text) != 0)
            fail_msg("%s, behind %u messages%s: %s\n  inline: %s\n  %s %#x: %s\n", kind->name, at,
                hurry ? " in a row" : "", w ? w->name : "nothing wrong", first, ways[i].device, ways[i].routed,
                story.text);
    }
    return true;
}

static void everywhere(const struct wrong *list, size_t n, bool hurry)
{
    for (size_t k = 0; k < MILGI__COUNT(kinds); k++) {
        for (size_t i = 0; i < n; i++) {
            unsigned at = 0;
            while (same_in_all_ways(&kinds[k], at, &list[i], hurry))
                at++;
        }
    }
}

static void a_message_that_is_spoilt_has_the_same_answer_wherever_ops_are_done(void **state)
{
    (void)state;
    everywhere(edits, MILGI__COUNT(edits), false);
}

static void and_so_it_has_with_the_rest_of_its_flight_behind_it(void **state)
{
    (void)state;
    everywhere(edits, MILGI__COUNT(edits), true);
}

static void what_comes_between_messages_has_the_same_answer_wherever_ops_are_done(void **state)
{
    (void)state;
    everywhere(between, MILGI__COUNT(between), false);
}

static void and_so_it_has_in_the_midst_of_a_flight(void **state)
{
    (void)state;
    everywhere(between, MILGI__COUNT(between), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_is_spoilt_has_the_same_answer_wherever_ops_are_done),
        cmocka_unit_test(and_so_it_has_with_the_rest_of_its_flight_behind_it),
        cmocka_unit_test(what_comes_between_messages_has_the_same_answer_wherever_ops_are_done),
        cmocka_unit_test(and_so_it_has_in_the_midst_of_a_flight),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
