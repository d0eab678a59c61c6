/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short path beside the general one: the same calls, with the same bytes cut in the same places, on two pairs of
 * connections that differ in options.short_path alone. All that the application, the network and the statistics see has
 * to be the same: which callbacks, with which slices, which answers, alerts, counters, states. ctest-timeout: 240
 * ctest-wrap: milgi__engine_process milgi__aead_seal milgi__aead_open
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/records.h"
#include "conn/state.h"
#include "crypto/aead.h"
#include "fake_identity.h"
#include "pair.h"

#define STEPS 120

static struct pair pair;
static struct pair_bytes *journal; /* what was seen, as text */
static uint64_t state_of_chance;
static unsigned long processed; /* records that took the short path */
static unsigned long opened;    /* of them, those that were opened */
static struct milgi__crypto *cx;
static unsigned echoes;

void __real_milgi__engine_process(
    struct milgi_engine *e, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n);
void __wrap_milgi__engine_process(
    struct milgi_engine *e, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n);

void __wrap_milgi__engine_process(
    struct milgi_engine *e, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n)
{
    processed += n;
    opened += type == MILGI_OP_OPEN ? n : 0;
    __real_milgi__engine_process(e, type, key, records, n);
}

/* Crypto that fails, for the same records whoever asks. */
static uint32_t ill = UINT32_MAX;

static uint32_t digest(const uint8_t *p, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

int __real_milgi__aead_seal(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
int __wrap_milgi__aead_seal(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
int __real_milgi__aead_open(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
int __wrap_milgi__aead_open(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);

int __wrap_milgi__aead_seal(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    if (digest(nonce, 12) % 300 == ill)
        return MILGI__BROKEN;
    return __real_milgi__aead_seal(crypto, key, nonce, aad, aad_len, src, src_n, type, pad, dst);
}

int __wrap_milgi__aead_open(struct milgi__crypto *crypto, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    if (digest(nonce, 12) % 300 == ill + 150)
        return MILGI_ENOMEM;
    return __real_milgi__aead_open(crypto, key, nonce, aad, aad_len, src, src_n, tag, dst);
}

static uint32_t chance(uint32_t n)
{
    state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state_of_chance >> 33) % n;
}

/* --- what is seen ------------------------------------------------------------------------------------------------- */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    pair_bytes_add(journal, text, (size_t)n);
}

static unsigned role_of(const struct pair_side *side)
{
    return (unsigned)(side - pair.side);
}

static void see_output(struct pair_side *side, const struct milgi_iov *iov, size_t n)
{
    note("%u output", role_of(side));
    for (size_t i = 0; i < n; i++)
        note(" %zu:%08x", iov[i].len, digest(iov[i].data, iov[i].len));
    note("\n");
}

static void see_data(struct pair_side *side, const struct milgi_slice *slices, size_t n)
{
    size_t len = 0;
    note("%u data", role_of(side));
    for (size_t i = 0; i < n; i++) {
        note(" %u:%08x", slices[i].len, digest(slices[i].data, slices[i].len));
        len += slices[i].len;
    }
    note("\n");
    /* Calls from inside, too. */
    if (len % 5 == 0 && echoes++ < 40)
        note("echo %d\n", milgi_conn_write(side->conn, slices[0].data, slices[0].len < 100 ? slices[0].len : 100));
    if (len % 11 == 0)
        note("keys %d\n", milgi_conn_update_keys(side->conn, len % 2));
    if (len % 1009 == 1008)
        note("shut %d\n", milgi_conn_shutdown(side->conn));
}

static void see_event(struct pair_side *side, const char *event)
{
    note("%u %s\n", role_of(side), event);
    if (side->closed)
        note("%d %d %d %s\n", side->reason.error, side->reason.alert, side->reason.op, side->reason.detail);
}

static void see_stats(struct pair_side *side)
{
    struct milgi_engine_stats s;
    milgi_engine_stats(side->engine, &s);
    if (side->conn && milgi__transport_broken(side->conn->transport))
        s.memory = s.memory_peak = 0; /* the ring keeps what has failed */
    note("%u memory %zu of %zu, copied %llu sealed %llu opened %llu", role_of(side), s.memory, s.memory_peak,
        (unsigned long long)s.bytes_copied, (unsigned long long)s.bytes_sealed, (unsigned long long)s.bytes_opened);
    for (unsigned i = 0; i < s.devices_n; i++) {
        for (int type = 0; type <= MILGI_OP_OPEN; type++)
            note(" %llu/%llu", (unsigned long long)s.device[i].submitted[type],
                (unsigned long long)s.device[i].completed[type]);
    }
    note("\n");
}

static void see_state(struct pair_side *side)
{
    char text[2048];
    if (!side->conn)
        return;
    struct milgi_conn_info info;
    milgi_conn_info(side->conn, &info);
    note("%u in %llu/%llu out %llu/%llu keys %u/%u pending %zu paused %d full %d\n", role_of(side),
        (unsigned long long)info.bytes_in, (unsigned long long)info.records_in, (unsigned long long)info.bytes_out,
        (unsigned long long)info.records_out, info.key_updates_in, info.key_updates_out,
        milgi_conn_output_pending(side->conn), milgi_conn_input_paused(side->conn),
        milgi_conn_output_full(side->conn));
    if (milgi__transport_broken(side->conn->transport))
        return; /* of the record that failed the dump says whether it was in the ring */
    (void)milgi_conn_dump(side->conn, text, sizeof text);
    /* Which op of the slab it is may differ. */
    char *rest = text;
    for (char *p; (p = strstr(rest, "  op ")) != NULL;) {
        note("%.*s  op", (int)(p - rest), rest);
        rest = p + 5 + strspn(p + 5, "0123456789");
    }
    note("%s", rest);
}

/* --- what is done ------------------------------------------------------------------------------------------------- */

static uint8_t data[40000];

static void give(struct pair_side *side)
{
    size_t len = 1 + (chance(3) ? chance(300) : chance(3) ? chance(3000)
                                                          : chance(sizeof data - 1));
    if (chance(3)) {
        note("write %zu: %d\n", len, milgi_conn_write(side->conn, data, len));
        return;
    }
    struct milgi_chunk *chunk = milgi_conn_chunk(side->conn, len + chance(3) * len);
    if (!chunk)
        return;
    memcpy(milgi_chunk_data(chunk), data, len);
    int rv = milgi_conn_send(side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len });
    note("send %zu: %d\n", len, rv);
    if (rv < 0)
        milgi_chunk_unref(chunk);
}

static void seal(const struct milgi__direction *out, const uint8_t *inner, size_t len, uint8_t *wire)
{
    struct milgi_op_record record;
    struct milgi__aead_key key = { out->key->serial, out->key->alg, out->key->raw_len, out->key->raw };
    struct milgi__piece piece = { wire + 5, len };
    wire[0] = 23;
    milgi__put16(wire + 1, 0x0303);
    milgi__put16(wire + 3, (uint32_t)len + 16);
    memcpy(wire + 5, inner, len);
    milgi__format_open_record(&record, out, out->seq, wire, (uint32_t)len);
    assert_int_equal(__real_milgi__aead_seal(cx, &key, record.nonce, record.aad, record.aad_len, &piece, 1, 0, 0,
                         wire + 5),
        0);
}

/* A record that no honest sender makes, under the right key and number. */
static void forge(struct pair_side *side)
{
    static uint8_t wire[5 + 16500 + 16], inner[16500];
    struct milgi__record *rec = &side->conn->transport->rec;
    struct milgi__direction *out = &rec->out;
    const struct milgi_conn *c = side->conn;
    size_t len = 1;
    uint32_t kind = chance(15);
    /* Nothing of its own may be on the way. */
    if (!side->established || side->closed || out->head != out->tail || c->out_handed != c->output.n)
        return;
    memset(inner, 0, sizeof inner);
    memcpy(inner, data, 200);
    switch (kind) {
    case 0: break; /* nothing but a zero */
    case 1: inner[0] = 23; break;
    case 2: inner[len = chance(200)] = 99; break;
    case 3:
        inner[len = chance(200)] = 23;
        len += chance(300);
        break; /* padded */
    case 4: inner[len = 16384] = 23; break;
    case 5: inner[len = 16385] = 23; break;
    case 6:
        memcpy(inner, "\1\132\25", 3);
        len = 2;
        break; /* user_canceled */
    case 7:
        memcpy(inner, "\1\0\25", 3);
        len = 2;
        break;                              /* close_notify */
    case 8: len = 1 + chance(16384); break; /* zeros, perhaps */
    case 9: inner[len = chance(200)] = 20; break;
    case 10:
        memcpy(inner, "\30\0\0", 3);
        inner[3] = 22;
        len = 3;
        break; /* part of a message */
    case 11:   /* not protected */
        note("clear\n");
        len = 1 + chance(60);
        memcpy(wire, "\24\3\3\0\1\1", 6);
        wire[0] = (uint8_t)(20 + chance(6));
        wire[4] = (uint8_t)len;
        pair_bytes_add(&side->wire, wire, 5 + len);
        return;
    case 12: /* less than a tag */
        memcpy(wire, "\27\3\3\0\1", 5);
        wire[4] = (uint8_t)chance(18);
        pair_bytes_add(&side->wire, wire, 5u + wire[4]);
        return;
    case 13: inner[len = 150] = 23; break;
    default: inner[len = 1 + chance(150)] = 23;
    }
    len++;
    /* It begins with what looks like a header, and its own has come before it. */
    if (kind == 13) {
        seal(out, inner, len, wire);
        for (unsigned i = 0; i < 5; i++)
            inner[i] ^= wire[5 + i] ^ (uint8_t) "\27\3\3\0\50"[i];
        note("carried %zu\n", pair_carry(side, 0));
    }
    seal(out, inner, len, wire);
    out->seq++;
    pair_bytes_add(&side->wire, wire, 5 + len + 16);
    if (kind == 13 && side->wire.len == 5 + len + 16) {
        assert_memory_equal(wire + 5, "\27\3\3\0\50", 5);
        note("carried %zu\n", pair_carry(side, 5));
        note("run %d\n", pair_run(pair_other(side), NULL));
    }
    note("%u forges %u of %zu\n", role_of(side), kind, len);
}

static void watch(void *ctx, const struct milgi_trace_event *event)
{
    (void)ctx;
    note("event %d\n", event->kind);
}

static void step(struct pair_side *side)
{
    uint32_t what = chance(40);
    if (!side->conn)
        return;
    if (what < 12) {
        give(side);
    } else if (what < 20) {
        pair.budget_ns = chance(3) ? 0 : 300 + chance(4000);
        note("run %d\n", pair_run(side, NULL));
    } else if (what < 30) {
        pair.piece = chance(3) ? 65536 : 1 + chance(3000);
        note("carried %zu\n", pair_carry(side, chance(4) ? 0 : 1 + chance(5000)));
    } else if (what < 32) {
        milgi_conn_consumed(side->conn, chance(2) ? SIZE_MAX : chance(5000));
    } else if (what < 34) {
        milgi_conn_output_done(side->conn, chance(2) ? SIZE_MAX : chance(3000));
    } else if (what < 36) {
        forge(side);
    } else if (what < 37) {
        note("keys %d\n", milgi_conn_update_keys(side->conn, chance(2)));
    } else if (what < 38) {
        pair.now_ns += chance(300000000);
    } else if (what < 39) {
        assert_int_equal(milgi_engine_set_trace(side->engine, chance(4) ? NULL : watch, NULL), 0);
    } else if (chance(6) == 0 && side->wire.len) {
        side->wire.p[chance((uint32_t)side->wire.len)] ^= (uint8_t)(1u << chance(8));
    } else if (chance(10) == 0) {
        note("shut %d\n", milgi_conn_shutdown(side->conn));
    } else if (chance(10) == 0) {
        note("abort %d\n", milgi_conn_abort(side->conn, 90));
    }
}

static size_t padding(void *ctx, size_t len)
{
    (void)ctx;
    return len % 50;
}

static void limit(struct milgi_config *config, enum milgi_limit which, uint64_t value)
{
    if (chance(3) == 0)
        assert_int_equal(milgi_config_set_limit(config, which, value), 0);
}

static struct milgi_config *config_of(enum milgi_role role)
{
    struct milgi_config *config = fake_config(role, NULL);
    if (chance(6) == 0)
        assert_int_equal(milgi_config_set_padding(config, padding, NULL), 0);
    if (chance(2))
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, 64 + chance(2000)), 0);
    limit(config, MILGI_LIMIT_WINDOW, 1 + chance(64));
    limit(config, MILGI_LIMIT_REKEY_RECORDS, 1 + chance(9));
    limit(config, MILGI_LIMIT_CREDIT, 1024 + chance(30000));
    limit(config, MILGI_LIMIT_INPUT, 20000 + chance(30000));
    limit(config, MILGI_LIMIT_OUTPUT, 1024 + chance(30000));
    limit(config, MILGI_LIMIT_IDLE_CONTROL, 1 + chance(5));
    return fake_freeze(config);
}

/* A device that takes the larger records only. */
static void add_device(struct pair_side *side)
{
    const uint32_t records = MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN);
    assert_int_equal(milgi_device_new("sim:latency=50us,units=4,depth=16", &side->device[0], NULL), 0);
    side->devices_n = 1;
    int index = milgi_engine_add_device(side->engine, side->device[0]);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(side->engine, records, (unsigned)index, 64 + chance(1000)), 0);
}

/* How many records were measured, and had their turn. */
static void add_samples(const struct pair_side *side, uint64_t samples[2])
{
    static const enum milgi_latency_part parts[] = { MILGI_LATENCY_DEVICE, MILGI_LATENCY_REORDER };
    for (unsigned i = 0; i < 2; i++) {
        struct milgi_latency latency;
        assert_int_equal(milgi_engine_latency(side->engine, 0, MILGI_OP_CLASS_RECORDS, parts[i], &latency), 0);
        samples[i] += latency.count;
    }
}

static uint64_t samples[2][2]; /* by path and part */

static void live(uint64_t seed, bool short_path, struct pair_bytes *seen)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.short_path = short_path;
    state_of_chance = seed * 0x9e3779b97f4a7c15u;
    if (chance(4) == 0)
        options.memory_limit = 65536 + chance(1000000);
    struct pair_setup setup = { .server_name = "server.test", .seed = seed, .wall_s = FAKE_NOW_S, .options = &options };
    for (int role = 0; role < 2; role++)
        setup.config[role] = config_of((enum milgi_role)role);
    journal = seen;
    echoes = 0;
    pair_init(&pair, &setup);
    for (unsigned role = 0; role < 2; role++) {
        struct pair_side *side = &pair.side[role];
        milgi_config_unref(setup.config[role]);
        side->on_event = see_event;
        side->on_data = see_data;
        side->on_output = see_output;
        if (chance(4) == 0)
            add_device(side);
    }
    pair_settle(&pair);
    for (unsigned role = 0; role < 2; role++)
        pair.side[role].keep_credit = pair.side[role].keep_output = chance(2);
    for (unsigned role = 0; role < 2; role++) {
        struct milgi__record *rec = &pair.side[role].conn->transport->rec;
        if (chance(5) == 0)
            rec->in.epoch_records_max = rec->in.seq + chance(40);
        if (chance(5) == 0)
            rec->out.epoch_records_max = rec->out.seq + chance(20);
    }
    ill = chance(3) ? UINT32_MAX : chance(150);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&pair.side[chance(2)]);
        see_state(&pair.side[0]);
        see_state(&pair.side[1]);
    }
    pair.piece = pair.budget_ns = 0;
    pair_settle(&pair);
    see_state(&pair.side[0]);
    see_state(&pair.side[1]);
    see_stats(&pair.side[0]);
    see_stats(&pair.side[1]);
    add_samples(&pair.side[0], samples[short_path]);
    add_samples(&pair.side[1], samples[short_path]);
    pair_fini(&pair);
    ill = UINT32_MAX;
}

static const char *line_of(const struct pair_bytes *bytes, size_t at, char text[300])
{
    while (at > 0 && bytes->p[at - 1] != '\n')
        at--;
    size_t n = 0;
    while (at + n < bytes->len && n < 299 && bytes->p[at + n] != '\n') {
        text[n] = (char)bytes->p[at + n];
        n++;
    }
    text[n] = 0;
    return text;
}

static void nobody_can_tell_which_path_a_record_took(void **state)
{
    (void)state;
    unsigned long all = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct pair_bytes seen[2] = { { NULL, 0, 0 }, { NULL, 0, 0 } };
        live(seed, false, &seen[0]);
        assert_int_equal(processed, 0);
        live(seed, true, &seen[1]);
        size_t at = 0;
        while (at < seen[0].len && at < seen[1].len && seen[0].p[at] == seen[1].p[at])
            at++;
        if (at < seen[0].len || at < seen[1].len) {
            char a[300], b[300];
            fail_msg("seed %u: by ops: %s\nshort: %s", (unsigned)seed, line_of(&seen[0], at, a),
                line_of(&seen[1], at, b));
        }
        free(seen[0].p);
        free(seen[1].p);
        all += processed;
        processed = 0;
    }
    print_message("%lu records on the short path\n", all);
    assert_true(all > 1000);
    /* Which are measured is up to the bursts; how many, on the whole, is not. */
    for (unsigned i = 0; i < 2; i++)
        assert_in_range(samples[1][i], samples[0][i] * 3 / 4, samples[0][i] * 5 / 4);
}

#define CHANGES 60

/* What was opened ahead of a change of keys has to be opened again. */
static void what_a_peer_that_changes_keys_makes_us_open_in_vain_is_bounded(void **state)
{
    struct pair_setup setup = { .server_name = "server.test", .seed = 1, .wall_s = FAKE_NOW_S };
    struct pair_side *from = &pair.side[0], *to = &pair.side[1];

    (void)state;
    for (int role = 0; role < 2; role++)
        setup.config[role] = fake_freeze(fake_config((enum milgi_role)role, NULL));
    pair_init(&pair, &setup);
    milgi_config_unref(setup.config[0]);
    milgi_config_unref(setup.config[1]);
    pair_settle(&pair);
    for (unsigned i = 0; i < CHANGES; i++) {
        assert_int_equal(milgi_conn_write(from->conn, data, 10), 0);
        pair_run(from, NULL);
        assert_int_equal(milgi_conn_update_keys(from->conn, false), 0);
        pair_run(from, NULL);
    }
    processed = opened = 0;
    while (pair_carry(from, 0) > 0)
        pair_run(to, NULL);
    struct milgi_conn_info info;
    milgi_conn_info(to->conn, &info);
    assert_int_equal(info.bytes_in, 10 * CHANGES);
    assert_int_equal(info.key_updates_in, CHANGES);
    assert_in_range(opened, 2 * CHANGES, 4 * CHANGES); /* of twice as many records; the first burst is a large one */
    pair_fini(&pair);
    processed = 0;
}

/*= RFC5246 7.2.2: "This alert is returned if a record is received with an incorrect MAC." There
 * is no type inside of it that would be missed. */
static void a_record_of_tls12_that_does_not_verify_is_not_handed_on(void **state)
{
    struct pair_setup setup = { .server_name = "server.test", .seed = 1, .wall_s = FAKE_NOW_S };
    struct pair_side *from = &pair.side[0], *to = &pair.side[1];

    (void)state;
    for (int role = 0; role < 2; role++) {
        struct milgi_config *config = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2), 0);
        setup.config[role] = fake_freeze(config);
    }
    pair_init(&pair, &setup);
    milgi_config_unref(setup.config[0]);
    milgi_config_unref(setup.config[1]);
    pair_settle(&pair);
    for (unsigned bad = 0; bad < 2; bad++) {
        processed = opened = 0;
        assert_int_equal(milgi_conn_write(from->conn, data, 200), 0);
        pair_run(from, NULL);
        from->wire.p[from->wire.len - 1] ^= (uint8_t)bad;
        pair_carry(from, 0);
        pair_run(to, NULL);
        assert_true(opened > 0);
        assert_int_equal(to->got.len, 200);
        assert_int_equal(to->closed, bad);
    }
    assert_int_equal(to->reason.alert, MILGI_ALERT_BAD_RECORD_MAC);
    pair_fini(&pair);
    processed = 0;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    cx = milgi__crypto_new();
    return !cx;
}

static int teardown(void **state)
{
    (void)state;
    milgi__crypto_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_can_tell_which_path_a_record_took),
        cmocka_unit_test(what_a_peer_that_changes_keys_makes_us_open_in_vain_is_bounded),
        cmocka_unit_test(a_record_of_tls12_that_does_not_verify_is_not_handed_on),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
