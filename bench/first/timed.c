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

static struct handshakes *handshakes_new(enum bench_key key, enum shake shake)
{
    struct handshakes *h = calloc(1, sizeof *h);

    if (!h)
        bench_die("out of memory");
    h->cert = bench_cert_make(key);
    const struct setup setup = { .cert = &h->cert, .suite = 0x1301, .shake = shake };
    for (int i = 0; i < 2; i++) {
        struct used unused = { { 0 }, { 0 } };
        pair_init(&h->pair[i], pairing[i], pairing[i]->world_new(&setup));
        whole_handshake(&h->pair[i], &unused);
    }
    return h;
}

static void handshake_case(struct timed *timed, const char *row, enum bench_key key, enum shake shake)
{
    *timed = (struct timed){ .test = "handshake", .row = row, .burst = 1, .n = 2 };
    score_init(timed, 0, subject_milgi.name);
    score_init(timed, 1, subject_openssl.name);
    timed->state = handshakes_new(key, shake);
}

/* Of what is hybrid there are rows where both libraries have ML-KEM. */
unsigned handshake_cases(struct timed *cases)
{
    static const char *const rows[BENCH_KEYS] = { "ECDSA P-256", "RSA 2048" };
    unsigned n = 0;

    for (int key = 0; key < BENCH_KEYS; key++)
        handshake_case(&cases[n++], rows[key], (enum bench_key)key, SHAKE_13);
    for (int key = 0; key < BENCH_KEYS; key++) {
        cases[key].primitives[FLOOR_KEYGEN] = 1;
        cases[key].primitives[FLOOR_DERIVE] = 1;
        cases[key].primitives[key == BENCH_ECDSA_P256 ? FLOOR_ECDSA_SIGN : FLOOR_RSA_SIGN] = 1;
    }
    cases[BENCH_ECDSA_P256].target = (struct target){ "of the server", 1.5, true, 1 };
    if (subject_milgi.shakes(SHAKE_13_HYBRID) && subject_openssl.shakes(SHAKE_13_HYBRID))
        handshake_case(&cases[n++], "ECDSA P-256, X25519MLKEM768", BENCH_ECDSA_P256, SHAKE_13_HYBRID);
    return n;
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

void handshake_profile(struct timed *timed, unsigned n)
{
    struct handshakes *h = timed->state;
    struct used unused = { { 0 }, { 0 } };

    for (unsigned i = 0; i < n; i++) {
        pair_handshake(&h->pair[0], MEASURE_PROFILE, &unused);
        pair_free(&h->pair[0], MEASURE_PROFILE, &unused);
    }
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
    struct {
        const struct subject *subject;
        struct setup setup;
        struct message message;
    } of[SUBJECTS_MAX];
};

/* A case: ciphers, sizes and how many in one turn. */
struct record_row {
    const char *row;
    uint16_t suite;
    size_t len;
    unsigned burst;
    enum floor_id primitive; /* FLOORS: not measured alone */
    bool target;
};

static const struct record_row record_rows[] = {
    { "AES-128-GCM, 1 a turn", 0x1301, 16384, 1, FLOOR_AES_128, false },
    { "AES-128-GCM, 4 a turn", 0x1301, 16384, 4, FLOOR_AES_128, true },
    { "AES-256-GCM, 4 a turn", 0x1302, 16384, 4, FLOOR_AES_256, true },
    { "ChaCha20-Poly1305, 4 a turn", 0x1303, 16384, 4, FLOOR_CHACHA, true },
    { "AES-128-GCM, 1 a turn", 0x1301, 64, 1, FLOOR_AES_128_SMALL, false },
    { "AES-128-GCM, 32 a turn", 0x1301, 64, 32, FLOOR_AES_128_SMALL, false },
    { "AES-256-GCM, 32 a turn", 0x1302, 64, 32, FLOORS, false },
    { "ChaCha20-Poly1305, 32 a turn", 0x1303, 64, 32, FLOORS, false },
};

/*
 * A connection of its own for each slice, behind a piece of heap of another size each time: how buffers lie to each
 * other modulo a page changes the time of a copy by more than what is to be seen here, and must be luck for nobody.
 */
static void connected(struct pair *pair, const struct records *r, unsigned i, void **shift)
{
    static unsigned turn;
    const struct subject *subject = r->of[i].subject;
    const struct message *message = &r->of[i].message;
    struct used unused = { { 0 }, { 0 } };

    *shift = malloc(64 + turn++ * 1008 % 32768);
    pair_init(pair, subject, subject->world_new(&r->of[i].setup));
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

static void add(struct timed *timed, const char *label, const struct subject *subject, const struct record_row *row,
    enum way way, bool memory_bios)
{
    struct records *r = timed->state;
    unsigned i = timed->n++;

    score_init(timed, i, label);
    r->of[i].subject = subject;
    r->of[i].setup = (struct setup){
        .cert = &r->cert, .suite = row->suite, .record_len = (uint32_t)row->len, .memory_bios = memory_bios
    };
    r->of[i].message = (struct message){ way, row->len, row->burst };
}

static void records_case(struct timed *timed, const struct record_row *row)
{
    struct records *r = calloc(1, sizeof *r);
    bool large = row->len == MESSAGE_MAX;

    if (!r)
        bench_die("out of memory");
    r->cert = bench_cert_make(BENCH_ECDSA_P256);
    *timed = (struct timed){ .row = row->row, .bytes = row->len, .burst = row->burst, .state = r };
    timed->test = large ? "16 KiB records" : "64 B records";
    if (large)
        add(timed, "Milgi, send", &subject_milgi, row, BY_REFERENCE, false);
    add(timed, "Milgi, write", &subject_milgi, row, BY_COPY, false);
    add(timed, "OpenSSL, memory", &subject_openssl, row, BY_COPY, true);
    add(timed, "OpenSSL", &subject_openssl, row, BY_COPY, false);
    if (row->primitive < FLOORS)
        timed->primitives[row->primitive] = 2;
    if (row->target)
        timed->target = (struct target){ "seal and open, against memory BIOs", 1.2, false, timed->n - 2 };
}

unsigned record_cases(struct timed *cases)
{
    unsigned n = sizeof record_rows / sizeof record_rows[0];

    for (unsigned i = 0; i < n; i++)
        records_case(&cases[i], &record_rows[i]);
    return n;
}

void record_round(struct timed *timed, unsigned subject, uint64_t slice_ns)
{
    struct records *r = timed->state;
    struct slice slice = { 0 };
    struct pair pair;
    void *shift;

    connected(&pair, r, subject, &shift);
    uint64_t end = bench_now_ns() + slice_ns;
    do {
        struct used used = { { 0 }, { 0 } };
        pair_exchange(&pair, SERVER, &r->of[subject].message, MEASURE_TIME, &used);
        slice_add(&slice, &used, timed->burst);
    } while (bench_now_ns() < end);
    disconnected(&pair, shift);
    slice_end(&slice, &timed->score[subject]);
}

void record_profile(struct timed *timed, unsigned n)
{
    struct records *r = timed->state;
    struct used unused = { { 0 }, { 0 } };
    struct pair pair;
    void *shift;

    connected(&pair, r, 0, &shift);
    for (unsigned i = 0; i < n; i++)
        pair_exchange(&pair, SERVER, &r->of[0].message, MEASURE_PROFILE, &unused);
    disconnected(&pair, shift);
}

void record_end(struct timed *timed)
{
    struct records *r = timed->state;

    bench_cert_free(&r->cert);
    free(r);
}
