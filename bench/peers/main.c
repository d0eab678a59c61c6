/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer is asked for, a line each, and its answers:
 *
 *   handshake ecdsa|rsa 1.3|hybrid|1.2|bare|resumed MS  server N P5 P50 P95 P99, client ...: nanoseconds an item
 *   records SUITE LEN BURST copy|reference MS
 *   primitives MS                           keygen N P5 ..., and so on
 *   mallocs handshake|record                server COUNT, client COUNT; own-server, own-client: not libcrypto's
 *   heap idle|pending CONNECTIONS           server BYTES, client BYTES
 *
 * Each answer ends in a line "end". What cannot be done is answered by "no REASON". The first line is the library's
 * name and version.
 */
#include <stdlib.h>
#include <string.h>

#include "peer.h"

#define WORDS_MAX 8
#define PRIMITIVES_MAX 8

struct state {
    const struct peer *peer;
    struct certs certs;
};

static char *file_text(const char *dir, const char *name, size_t *len)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    char *text = malloc(65536);
    *len = file && text ? fread(text, 1, 65535, file) : 0;
    if (*len == 0)
        bench_die("cannot read '%s'", path);
    text[*len] = 0;
    fclose(file);
    return text;
}

static void load(struct certs *certs, const char *dir)
{
    static const char *const files[BENCH_KEYS][3] = { { "ecdsa.crt", "ecdsa.key", "ecdsa-anchor.crt" },
        { "rsa.crt", "rsa.key", "rsa-anchor.crt" } };

    for (int key = 0; key < BENCH_KEYS; key++) {
        struct bench_cert *leaf = &certs->leaf[key];
        leaf->cert_pem = file_text(dir, files[key][0], &leaf->cert_len);
        leaf->key_pem = file_text(dir, files[key][1], &leaf->key_len);
        certs->anchor[key] = file_text(dir, files[key][2], &certs->anchor_len[key]);
    }
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

static void tell(const char *what, const struct bench_samples *samples)
{
    printf("%s %zu %.2f %.2f %.2f %.2f\n", what, samples->n, bench_samples_percentile(samples, 5),
        bench_samples_percentile(samples, 50), bench_samples_percentile(samples, 95),
        bench_samples_percentile(samples, 99));
}

static void tell_work(struct work *work)
{
    tell("server", &work->side[SERVER]);
    tell("client", &work->side[CLIENT]);
    bench_samples_free(&work->side[SERVER]);
    bench_samples_free(&work->side[CLIENT]);
    printf("end\n");
}

static void tell_used(const char *prefix, const struct used *used)
{
    printf("%sserver %.3f\n%sclient %.3f\n", prefix, used->own[SERVER], prefix, used->own[CLIENT]);
}

static void no(const char *why)
{
    printf("no %s\n", why);
}

static uint64_t slice(const char *ms)
{
    return (uint64_t)(strtod(ms, NULL) * 1e6);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static void handshake(struct state *s, char **word)
{
    enum bench_key key = strcmp(word[1], "rsa") == 0 ? BENCH_RSA_2048 : BENCH_ECDSA_P256;
    bool (*shakes)(enum shake) = s->peer->subject->shakes;
    enum shake shake = shake_named(word[2]);
    struct work work = { { { 0 } } };

    if (shake == SHAKES || (shake != SHAKE_13 && (!shakes || !shakes(shake)))) {
        no("it has no such handshake");
        return;
    }
    work_handshakes(&work, s->peer, &s->certs, key, shake, slice(word[3]));
    tell_work(&work);
}

static void records(struct state *s, char **word)
{
    struct record_shape shape = { (uint16_t)strtoul(word[1], NULL, 16), BY_COPY, strtoul(word[2], NULL, 10),
        (unsigned)strtoul(word[3], NULL, 10) };
    struct work work = { { { 0 } } };

    if (strcmp(word[4], "reference") == 0)
        shape.way = BY_REFERENCE;
    if (shape.way == BY_REFERENCE && !s->peer->by_reference) {
        no("it copies");
        return;
    }
    if (s->peer->subject->can && !s->peer->subject->can(shape.suite)) {
        no("this suite cannot be chosen");
        return;
    }
    work_records(&work, s->peer, &s->certs, &shape, slice(word[5]));
    tell_work(&work);
}

static void primitives(struct state *s, char **word)
{
    struct bench_samples samples[PRIMITIVES_MAX] = { { 0 } };
    peer_primitive primitive;
    const char *name = "";
    uint64_t end = bench_now_ns();

    (void)s;
    for (unsigned i = 0; peer_primitive_at(i, &name) && i < PRIMITIVES_MAX; i++)
        end += slice(word[1]);
    /* One after the other, as in a handshake: each finds the caches as others have left them. */
    do {
        for (unsigned i = 0; (primitive = peer_primitive_at(i, &name)) && i < PRIMITIVES_MAX; i++) {
            bench_span_begin();
            primitive();
            bench_samples_add(&samples[i], (double)bench_span_end().own_ns);
        }
    } while (bench_now_ns() < end);
    for (unsigned i = 0; peer_primitive_at(i, &name) && i < PRIMITIVES_MAX; i++) {
        tell(name, &samples[i]);
        bench_samples_free(&samples[i]);
    }
    printf("end\n");
}

static void mallocs(struct state *s, char **word)
{
    struct used (*work)(const struct peer *, const struct certs *) =
        strcmp(word[1], "handshake") == 0 ? work_mallocs_of_handshake : work_mallocs_of_record;
    struct used used = work(s->peer, &s->certs);

    tell_used("", &used);
    if (peer_own_mallocs) {
        pair_mallocs = peer_own_mallocs;
        used = work(s->peer, &s->certs);
        pair_mallocs = count_mallocs;
        tell_used("own-", &used);
    }
    printf("end\n");
}

static void heap(struct state *s, char **word)
{
    enum crowd_state state = strcmp(word[1], "idle") == 0 ? CROWD_IDLE : CROWD_HALFWAY;
    struct used used = work_heap(s->peer, &s->certs, state, (unsigned)strtoul(word[2], NULL, 10));

    tell_used("", &used);
    printf("end\n");
}

static const struct {
    const char *name;
    unsigned words;
    void (*serve)(struct state *s, char **word);
} requests[] = {
    { "handshake", 4, handshake },
    { "records", 6, records },
    { "primitives", 2, primitives },
    { "mallocs", 2, mallocs },
    { "heap", 3, heap },
};

static void serve(struct state *s, char *line)
{
    char *word[WORDS_MAX];
    unsigned n = 0;

    for (char *next = strtok(line, " \n"); next && n < WORDS_MAX; next = strtok(NULL, " \n"))
        word[n++] = next;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (n > 0 && strcmp(word[0], requests[i].name) == 0 && n == requests[i].words) {
            requests[i].serve(s, word);
            return;
        }
    }
    no("such request");
}

int peer_main(int argc, char **argv)
{
    struct state s = { .peer = peers };
    char line[256];

    if (argc < 3 || argc > 4)
        bench_die("%s CPU FOLDER [VARIANT]: the folder has the certificates", argv[0]);
    while (argc == 4 && s.peer->subject && strcmp(s.peer->variant, argv[3]) != 0)
        s.peer++;
    if (!s.peer->subject)
        bench_die("there is no variant '%s'", argv[3]);
    bench_pin((int)strtol(argv[1], NULL, 10));
    load(&s.certs, argv[2]);
    pair_mallocs = count_mallocs;
    printf("%s\n", peer_version());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        serve(&s, line);
        fflush(stdout);
    }
    return 0;
}
