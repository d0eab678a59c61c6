/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million sessions: what a look-up costs beside one among a thousand, in a client's cache, by name, and in a
 * server's, by session ID. Each session has bytes of its own, and which one is asked for is as good as random.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "session/session.h"

#define FEW 1000u
#define BATCH 500u      /* look-ups a span */
#define FLAT 1.1        /* wanted: what a look-up of the same BATCH sessions costs among so many, beside one of FEW */
#define LINES_NS 1500.0 /* wanted: and if nobody has asked for that session for long, what comes from memory at most */
#define NOW 1700000000

static const char usage[] = "bench_sessions [--quick] [--sessions N] [--rounds N]\n"
                            "  --quick       100000 sessions\n"
                            "  --sessions N  in each cache; 1000000\n"
                            "  --rounds N    of look-ups; 40\n"
                            "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

enum kind {
    CLIENT, /* TLS 1.3: what is taken is gone, and is put back */
    SERVER, /* TLS 1.2: what is found stays */
    KINDS
};

struct cache {
    struct milgi_session_cache *sessions;
    enum kind kind;
    uint32_t n, at;
    struct bench_samples all, same; /* ns a look-up: of any session, of those of the first batch again and again */
    struct bench_samples put;       /* ns for one to be put back */
};

/* The i-th session's name, or ID. */
static void name_of(uint32_t i, char name[32])
{
    memset(name, 0, 32);
    snprintf(name, 32, "host-%u.example.com", i);
}

static struct milgi_session *make(enum kind kind, uint32_t i)
{
    static const uint8_t ticket[200];
    char name[32];
    struct milgi__session_fields f = {
        .version = kind == CLIENT ? MILGI_TLS_1_3 : MILGI_TLS_1_2,
        .suite = kind == CLIENT ? 0x1301 : 0xc02b,
        .secret_len = kind == CLIENT ? 32 : 48,
        .by_id = kind == SERVER,
        .lifetime_s = 7200,
        .created_s = NOW,
        .authenticated_s = NOW,
        .valid_until_s = INT64_MAX,
    };
    name_of(i, name);
    struct milgi__session_parts parts = { .name = { name, strlen(name) }, .ticket = { ticket, sizeof ticket } };
    if (kind == SERVER)
        parts.ticket = (struct milgi_iov){ name, sizeof name };
    struct milgi_session *session = milgi__session_new(&f, &parts);
    if (!session)
        bench_die("no memory for a session");
    return session;
}

static void put(struct cache *c, struct milgi_session *session, const char name[32])
{
    int rv = c->kind == CLIENT ? milgi_session_cache_put(c->sessions, name, session)
                               : milgi__session_cache_put_id(c->sessions, session);
    if (rv != 0)
        bench_die("a session was not taken");
}

static void fill(struct cache *c, enum kind kind, uint32_t n)
{
    *c = (struct cache){ .kind = kind, .n = n };
    if (milgi_session_cache_new(n, &c->sessions) != 0)
        bench_die("no memory for a cache");
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        struct milgi_session *session = make(kind, i);
        name_of(i, name);
        put(c, session, name);
        milgi_session_unref(session);
    }
}

/* One batch, of any sessions or always of the same. */
static void look_up(struct cache *c, bool same, bool told)
{
    static char name[BATCH][32];
    static struct milgi_session *found[BATCH];
    for (uint32_t i = 0; i < BATCH; i++) {
        /* A prime above any N: a batch has no session twice. */
        c->at = (uint32_t)((c->at + UINT64_C(2654435761)) % c->n);
        name_of(same ? i : c->at, name[i]);
    }
    bench_span_begin();
    for (uint32_t i = 0; i < BATCH; i++)
        found[i] = c->kind == CLIENT
            ? milgi_session_cache_take(c->sessions, name[i], NOW)
            : milgi__session_cache_find_id(c->sessions, (const uint8_t *)name[i], sizeof name[i], NOW);
    double took = (double)bench_span_end().own_ns / BATCH;
    bench_span_begin();
    for (uint32_t i = 0; i < BATCH && c->kind == CLIENT; i++)
        put(c, found[i], name[i]);
    double back = (double)bench_span_end().own_ns / BATCH;
    for (uint32_t i = 0; i < BATCH; i++) {
        if (!found[i])
            bench_die("'%s' was not found", name[i]);
        milgi_session_unref(found[i]);
    }
    if (told)
        bench_samples_add(same ? &c->same : &c->all, took);
    if (told && !same)
        bench_samples_add(&c->put, back);
}

static void row(const struct cache *c, const char *what, const struct bench_samples *s)
{
    static const char *const kinds[] = { [CLIENT] = "client", [SERVER] = "server" };
    if (s->n != 0)
        printf("%-8s %9u sessions   %-28s %8.0f %8.0f\n", kinds[c->kind], c->n, what, bench_samples_min(s),
            bench_samples_median(s));
}

static void print(const struct cache *c)
{
    row(c, "any of them", &c->all);
    row(c, "the same 500 as before", &c->same);
    if (c->kind == CLIENT)
        row(c, "put back", &c->put);
}

static bool target(bool met, const char *what, const char *who, double figure, double wanted)
{
    printf("%-5s %.2f %s (%s); wanted: at most %.2f\n", met ? "ok" : "short", figure, what, who, wanted);
    return met;
}

static bool judge(const struct cache *few, const struct cache *many)
{
    const char *who = few->kind == CLIENT ? "client" : "server";
    double same = bench_samples_median(&many->same) / bench_samples_median(&few->same);
    double far = bench_samples_min(&many->all) - bench_samples_min(&few->all);
    bool flat = target(same <= FLAT, "x what a look-up costs among 1000, if somebody has just asked", who, same, FLAT);
    return target(far <= LINES_NS, "ns more, if nobody has for long", who, far, LINES_NS) && flat;
}

/* Malloc's count, as the benchmark of the heap has it. */
static double in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static bool measure(enum kind kind, uint32_t n, uint32_t rounds)
{
    struct cache few, many;
    fill(&few, kind, FEW);
    double before = in_use();
    fill(&many, kind, n);
    double each = (in_use() - before) / n;
    for (uint32_t round = 0; round < rounds + 2; round++) {
        look_up(&few, false, round > 1);
        look_up(&many, false, round > 1);
        for (unsigned again = 0; again < 3; again++)
            look_up(&few, true, again == 2 && round > 1);
        for (unsigned again = 0; again < 3; again++)
            look_up(&many, true, again == 2 && round > 1);
    }
    print(&few);
    print(&many);
    printf("%-8s %9u sessions   %.0f bytes each\n", kind == CLIENT ? "client" : "server", n, each);
    bool met = judge(&few, &many);
    milgi_session_cache_unref(few.sessions);
    milgi_session_cache_unref(many.sessions);
    struct bench_samples *all[] = { &few.all, &few.same, &few.put, &many.all, &many.same, &many.put };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        bench_samples_free(all[i]);
    return met;
}

static uint32_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0 || value > 10000000)
        bench_die("'%s' is not a number up to 10000000", text);
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "sessions", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    uint32_t n = 1000000, rounds = 40;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': n = 100000; break;
        case 's': n = number(optarg); break;
        case 'r': rounds = number(optarg); break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind != argc || rounds == 0 || n < FEW)
        bench_die("wrong arguments; --help tells");
    int cpu = bench_pin(-1);
    bench_machine_print(stdout, cpu);
    printf("\n%-58s %8s %8s\n", "ns", "best", "median");
    bool met = measure(CLIENT, n, rounds);
    met = measure(SERVER, n, rounds) && met;
    return met ? 0 : 1;
}
