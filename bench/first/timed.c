/* SPDX-License-Identifier: Apache-2.0 */
/* The timed cases: handshakes and records. Each runs in slices, so that subjects can take turns. */
#include <stdlib.h>

#include "first.h"

static void score_init(struct timed *timed, unsigned i, const char *label)
{
    timed->score[i] = (struct score){ .label = label };
}

/* The samples of one slice; per side, and of both. */
struct slice {
    struct bench_samples own[2], copied[2], both, both_copied;
};

static void slice_add(struct slice *slice, const struct used *used, double per)
{
    for (int side = 0; side < 2; side++) {
        bench_samples_add(&slice->own[side], used->own[side] / per);
        bench_samples_add(&slice->copied[side], (used->own[side] + used->copied[side]) / per);
    }
    bench_samples_add(&slice->both, (used->own[0] + used->own[1]) / per);
    bench_samples_add(
        &slice->both_copied, (used->own[0] + used->own[1] + used->copied[0] + used->copied[1]) / per);
}

static void slice_end(struct slice *slice, struct score *score)
{
    for (int side = 0; side < 2; side++) {
        bench_samples_add(&score->own[side], bench_samples_median(&slice->own[side]));
        bench_samples_add(&score->copied[side], bench_samples_median(&slice->copied[side]));
        bench_samples_free(&slice->own[side]);
        bench_samples_free(&slice->copied[side]);
    }
    bench_samples_add(&score->both, bench_samples_median(&slice->both));
    bench_samples_add(&score->both_copied, bench_samples_median(&slice->both_copied));
    bench_samples_free(&slice->both);
    bench_samples_free(&slice->both_copied);
}

/* --- handshakes ------------------------------------------------------------------------------------------------- */

struct handshakes {
    struct bench_cert cert;
    struct pair pair[2];
};

static const struct subject *const pairing[2] = { &subject_milgi, &subject_openssl };

static void whole_handshake(struct pair *pair, struct used *used)
{
    pair_handshake(pair, MEASURE_TIME, used);
    pair_free(pair, MEASURE_TIME, used);
}

static struct handshakes *handshakes_new(enum bench_key key)
{
    struct handshakes *h = calloc(1, sizeof(*h));

    if (h == NULL)
        bench_die("out of memory");
    h->cert = bench_cert_make(key);
    const struct setup setup = { .cert = &h->cert, .suite = 0x1301 };
    for (int i = 0; i < 2; i++) {
        struct used unused = { { 0 }, { 0 } };
        pair_init(&h->pair[i], pairing[i], pairing[i]->world_new(&setup));
        whole_handshake(&h->pair[i], &unused);
    }
    return h;
}

unsigned handshake_cases(struct timed *cases)
{
    static const char *const rows[BENCH_KEYS] = { "ECDSA P-256", "RSA 2048" };

    for (int key = 0; key < BENCH_KEYS; key++) {
        cases[key] = (struct timed){ .test = "handshake", .row = rows[key], .burst = 1, .n = 2 };
        score_init(&cases[key], 0, subject_milgi.name);
        score_init(&cases[key], 1, subject_openssl.name);
        cases[key].state = handshakes_new((enum bench_key)key);
    }
    cases[BENCH_ECDSA_P256].target = (struct target){ "server handshakes, ECDSA P-256", 1.5, OF_SERVER };
    return BENCH_KEYS;
}

void handshake_round(struct timed *timed, unsigned subject, uint64_t slice_ns)
{
    struct handshakes *h = timed->state;
    struct slice slice = { 0 };
    uint64_t end = bench_now_ns() + slice_ns;

    do {
        struct used used = { { 0 }, { 0 } };
        whole_handshake(&h->pair[subject], &used);
        slice_add(&slice, &used, 1);
    } while (bench_now_ns() < end);
    slice_end(&slice, &timed->score[subject]);
}

void handshake_end(struct timed *timed)
{
    struct handshakes *h = timed->state;

    for (int i = 0; i < 2; i++) {
        pair_fini(&h->pair[i]);
        pairing[i]->world_free(h->pair[i].world);
    }
    bench_cert_free(&h->cert);
    free(h);
}

/* --- records ---------------------------------------------------------------------------------------------------- */

struct records {
    struct bench_cert cert;
    struct setup setup;
    struct message message[SUBJECTS_MAX];
};

/* A case: ciphers, sizes and how many in one turn. */
struct record_row {
    const char *row;
    uint16_t suite;
    size_t len;
    unsigned burst;
    bool target;
};

static const struct record_row record_rows[] = {
    { "AES-128-GCM, 1 a turn", 0x1301, 16384, 1, false },
    { "AES-128-GCM, 4 a turn", 0x1301, 16384, 4, true },
    { "AES-256-GCM, 4 a turn", 0x1302, 16384, 4, true },
    { "ChaCha20-Poly1305, 4 a turn", 0x1303, 16384, 4, true },
    { "AES-128-GCM, 1 a turn", 0x1301, 64, 1, false },
    { "AES-128-GCM, 32 a turn", 0x1301, 64, 32, false },
    { "AES-256-GCM, 32 a turn", 0x1302, 64, 32, false },
    { "ChaCha20-Poly1305, 32 a turn", 0x1303, 64, 32, false },
};

/*
 * A connection of its own for each slice, behind a piece of heap of another size each time: how buffers lie to each other
 * modulo a page changes the time of a copy by more than what is to be seen here, and must be luck for nobody.
 */
static void connected(struct pair *pair, const struct subject *subject, const struct records *r,
    const struct message *message, void **shift)
{
    static unsigned turn;
    struct used unused = { { 0 }, { 0 } };

    *shift = malloc(64 + turn++ * 1008 % 32768);
    pair_init(pair, subject, subject->world_new(&r->setup));
    pair_handshake(pair, MEASURE_NOTHING, &unused);
    for (size_t sent = 0; sent < 2 * CHECKED; sent += message->len * message->n)
        pair_exchange(pair, SERVER, message, MEASURE_NOTHING, &unused);
}

static void disconnected(struct pair *pair, void *shift)
{
    struct used unused = { { 0 }, { 0 } };

    pair_free(pair, MEASURE_NOTHING, &unused);
    pair_fini(pair);
    pair->subject->world_free(pair->world);
    free(shift);
}

static void records_case(struct timed *timed, const struct record_row *row)
{
    struct records *r = calloc(1, sizeof(*r));
    bool large = row->len == MESSAGE_MAX;
    unsigned n = 0;

    if (r == NULL)
        bench_die("out of memory");
    *timed = (struct timed){ .row = row->row, .bytes = row->len, .burst = row->burst, .state = r };
    timed->test = large ? "16 KiB records" : "64 B records";
    if (large) {
        score_init(timed, n, "Milgi, send");
        r->message[n++] = (struct message){ BY_REFERENCE, row->len, row->burst };
    }
    score_init(timed, n, "Milgi, write");
    r->message[n++] = (struct message){ BY_COPY, row->len, row->burst };
    score_init(timed, n, "OpenSSL");
    r->message[n++] = (struct message){ BY_COPY, row->len, row->burst };
    timed->n = n;
    if (row->target)
        timed->target = (struct target){ "16 KiB seal and open", 1.2, OF_BOTH };

    r->cert = bench_cert_make(BENCH_ECDSA_P256);
    r->setup = (struct setup){ .cert = &r->cert, .suite = row->suite, .record_len = (uint32_t)row->len };
}

unsigned record_cases(struct timed *cases)
{
    unsigned n = sizeof(record_rows) / sizeof(record_rows[0]);

    for (unsigned i = 0; i < n; i++)
        records_case(&cases[i], &record_rows[i]);
    return n;
}

void record_round(struct timed *timed, unsigned subject, uint64_t slice_ns)
{
    struct records *r = timed->state;
    const struct message *message = &r->message[subject];
    struct slice slice = { 0 };
    struct pair pair;
    void *shift;

    connected(&pair, subject == timed->n - 1 ? &subject_openssl : &subject_milgi, r, message, &shift);
    uint64_t end = bench_now_ns() + slice_ns;
    do {
        struct used used = { { 0 }, { 0 } };
        pair_exchange(&pair, SERVER, message, MEASURE_TIME, &used);
        slice_add(&slice, &used, timed->burst);
    } while (bench_now_ns() < end);
    disconnected(&pair, shift);
    slice_end(&slice, &timed->score[subject]);
}

void record_end(struct timed *timed)
{
    struct records *r = timed->state;

    bench_cert_free(&r->cert);
    free(r);
}

/* --- for a profiler --------------------------------------------------------------------------------------------- */

void profile_handshakes(unsigned n)
{
    struct handshakes *h = handshakes_new(BENCH_ECDSA_P256);
    struct timed timed = { .state = h };
    struct used used = { { 0 }, { 0 } };

    for (unsigned i = 0; i < n; i++) {
        pair_handshake(&h->pair[0], MEASURE_NOTHING, &used);
        pair_free(&h->pair[0], MEASURE_NOTHING, &used);
    }
    handshake_end(&timed);
}

void profile_records(unsigned n)
{
    static const struct record_row row = { "profile", 0x1301, 16384, 4, false };
    struct timed timed;
    struct used used = { { 0 }, { 0 } };
    struct pair pair;
    void *shift;

    records_case(&timed, &row);
    struct records *r = timed.state;
    connected(&pair, &subject_milgi, r, &r->message[0], &shift);
    for (unsigned i = 0; i < n; i++)
        pair_exchange(&pair, SERVER, &r->message[0], MEASURE_NOTHING, &used);
    disconnected(&pair, shift);
    record_end(&timed);
}
