/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, more than one core: what it can send and receive, beside what the cores can do without TLS. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/milgi.h>

#include "one.h"

#define WANTED 0.85
#define SUBJECTS_MAX 16

static const char usage[] =
    "bench_one-connection [--quick] [--json FILE] [--rounds N] [--slice MS] [--window N] [--only WORD] [--realtime]\n"
    "  --quick      only what the target is about, and what it stands beside: less than a minute\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all subjects in turn; 40\n"
    "  --slice MS   for each subject and round; 30\n"
    "  --window N   Milgi: records in flight, 1 to 64; 32\n"
    "  --only WORD  just the subjects in whose name this occurs, and the cores alone\n"
    "  --realtime   before everything else that the machine does: for one that has other work\n"
    "Exit status: 0 if the target was met, 1 if not, 2 if something went wrong.\n";

const struct suite suites[SUITES] = {
    { "ChaCha20-Poly1305", MILGI_SUITE_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256" },
    { "AES-128-GCM", MILGI_SUITE_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256" },
    { "AES-256-GCM", MILGI_SUITE_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384" },
};

#define BARE bare_make, bare_slice, bare_end
#define OPENSSL openssl_make, openssl_slice, openssl_end
#define MILGI milgi_make, milgi_slice, milgi_end

/* The first is what the others are compared with. */
static const struct subject subjects[] = {
    { "two cores, bare AEAD", ROUTE_CPU, 1, false, false, BARE },
    { "Milgi, loop and 1 worker, sending", ROUTE_FIRST, 1, false, true, MILGI },
    { "one core, bare AEAD", ROUTE_CPU, 0, false, false, BARE },
    { "OpenSSL, sending", ROUTE_CPU, 0, false, false, OPENSSL },
    { "Milgi, cpu, sending", ROUTE_CPU, 0, false, false, MILGI },
    { "Milgi, 1 worker, sending", ROUTE_POOL, 1, false, false, MILGI },
    { "Milgi, 1 worker, loop polls, sending", ROUTE_POOL, 1, false, true, MILGI },
    { "Milgi, 2 workers, sending", ROUTE_POOL, 2, false, false, MILGI },
    { "Milgi, cpu, receiving", ROUTE_CPU, 0, true, false, MILGI },
    { "Milgi, 1 worker, receiving", ROUTE_POOL, 1, true, false, MILGI },
    { "Milgi, 1 worker, loop polls, receiving", ROUTE_POOL, 1, true, true, MILGI },
    { "Milgi, 2 workers, receiving", ROUTE_POOL, 2, true, false, MILGI },
    { "Milgi, loop and 1 worker, receiving", ROUTE_FIRST, 1, true, true, MILGI },
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))
#define TARGETED 1

struct options {
    bool quick;
    unsigned rounds, window;
    uint64_t slice_ns;
    const char *json, *only;
};

struct score {
    const struct subject *subject;
    void *state;
    struct bench_samples rate, ratio; /* a sample per round; ratio: to the two cores in the same round */
    double share;
};

struct table {
    const struct suite *suite;
    struct score score[SUBJECTS_MAX];
    unsigned n;
    struct bench_samples trip_ns; /* line_round_trip() of the rounds */
};

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == 0 || *end != 0 || value < least || value > most)
        bench_die("'%s' is not a number from %lu to %lu", text, least, most);
    return value;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' }, { "rounds", required_argument, NULL, 'r' },
        { "slice", required_argument, NULL, 's' }, { "window", required_argument, NULL, 'w' },
        { "only", required_argument, NULL, 'o' }, { "realtime", no_argument, NULL, 'R' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct options o = { .rounds = 40, .window = 32, .slice_ns = 30000000 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': o.quick = true; break;
        case 'j': o.json = optarg; break;
        case 'r': o.rounds = (unsigned)number(optarg, 1, 100000); break;
        case 's': o.slice_ns = number(optarg, 1, 10000) * 1000000u; break;
        case 'w': o.window = (unsigned)number(optarg, 1, 64); break;
        case 'R': bench_realtime(); break;
        case 'o': o.only = optarg; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc)
        bench_die("unknown argument '%s'", argv[optind]);
    return o;
}

static bool chosen(const struct options *o, const struct subject *subject)
{
    if (o->quick && subject->receives)
        return false;
    return subject == &subjects[0] || !o->only || strstr(subject->name, o->only);
}

static void measure(struct table *table, const struct options *o, const struct setup *setup)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        if (chosen(o, &subjects[i]))
            table->score[table->n++] = (struct score){ .subject = &subjects[i] };
    }
    for (unsigned i = 0; i < table->n; i++)
        table->score[i].state = table->score[i].subject->make(table->score[i].subject, setup);
    for (unsigned round = 0; round <= o->rounds; round++) {
        double cores = 0;
        bench_samples_add(&table->trip_ns, line_round_trip(&setup->place));
        for (unsigned i = 0; i < table->n; i++) {
            struct score *score = &table->score[i];
            double rate = score->subject->slice(score->state, o->slice_ns);
            cores = i == 0 ? rate : cores;
            if (round == 0)
                continue; /* to warm up */
            bench_samples_add(&score->rate, rate);
            bench_samples_add(&score->ratio, rate / cores);
        }
    }
    for (unsigned i = 0; i < table->n; i++) {
        struct score *score = &table->score[i];
        if (score->subject->make == milgi_make)
            score->share = milgi_share(score->state);
        score->subject->end(score->state);
    }
}

/* --- results ---------------------------------------------------------------------------------------------------- */

static void print_table(const struct table *table)
{
    printf("\n%-38s %10s %10s %12s %12s %10s\n", table->suite->name, "best GB/s", "med. GB/s", "x two cores",
        "quartiles", "by pool");
    for (unsigned i = 0; i < table->n; i++) {
        const struct score *s = &table->score[i];
        printf("%-38s %10.2f %10.2f %12.3f  %5.3f-%5.3f", s->subject->name,
            bench_samples_percentile(&s->rate, 100) / 1e9, bench_samples_median(&s->rate) / 1e9,
            bench_samples_median(&s->ratio), bench_samples_percentile(&s->ratio, 25),
            bench_samples_percentile(&s->ratio, 75));
        if (s->subject->make == milgi_make)
            printf(" %8.0f %%", s->share);
        putchar('\n');
    }
    printf("a line of the cache to the other core and back: %.0f ns, quartiles %.0f-%.0f\n",
        bench_samples_median(&table->trip_ns), bench_samples_percentile(&table->trip_ns, 25),
        bench_samples_percentile(&table->trip_ns, 75));
}

static const struct score *targeted(const struct table *tables)
{
    for (unsigned i = 0; i < tables[0].n; i++) {
        if (tables[0].score[i].subject == &subjects[TARGETED])
            return &tables[0].score[i];
    }
    return NULL;
}

static bool met(const struct score *score)
{
    return bench_samples_median(&score->ratio) >= WANTED;
}

static void json_score(struct bench_json *json, const struct score *s)
{
    bench_json_open(json, NULL, '{');
    bench_json_text(json, "name", s->subject->name);
    bench_json_number(json, "best_bytes_per_s", bench_samples_percentile(&s->rate, 100));
    bench_json_number(json, "median_bytes_per_s", bench_samples_median(&s->rate));
    bench_json_number(json, "ratio_median", bench_samples_median(&s->ratio));
    bench_json_number(json, "ratio_p25", bench_samples_percentile(&s->ratio, 25));
    bench_json_number(json, "ratio_p75", bench_samples_percentile(&s->ratio, 75));
    if (s->subject->make == milgi_make)
        bench_json_number(json, "by_pool_percent", s->share);
    bench_json_close(json, '}');
}

static void write_json(FILE *file, const struct options *o, const struct table *tables, const struct setup *setup)
{
    struct bench_json json = { .file = file };
    const struct score *score = targeted(tables);

    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "program", "one-connection");
    bench_machine_json(&json, setup->place.loop);
    bench_json_open(&json, "rules", '{');
    bench_json_number(&json, "rounds", o->rounds);
    bench_json_number(&json, "slice_ns", (double)o->slice_ns);
    bench_json_number(&json, "window", o->window);
    bench_json_number(&json, "record_bytes", RECORD);
    bench_json_number(&json, "cpu_of_loop", setup->place.loop);
    bench_json_number(&json, "cpu_of_worker", setup->place.other);
    bench_json_text(&json, "ratio", "to two loops of the bare AEAD, one on each core, in the same round");
    bench_json_close(&json, '}');
    bench_json_open(&json, "results", '[');
    for (unsigned i = 0; i < SUITES; i++) {
        bench_json_open(&json, NULL, '{');
        bench_json_text(&json, "suite", tables[i].suite->name);
        bench_json_number(&json, "line_round_trip_ns_median", bench_samples_median(&tables[i].trip_ns));
        bench_json_number(&json, "line_round_trip_ns_p25", bench_samples_percentile(&tables[i].trip_ns, 25));
        bench_json_number(&json, "line_round_trip_ns_p75", bench_samples_percentile(&tables[i].trip_ns, 75));
        bench_json_open(&json, "subjects", '[');
        for (unsigned k = 0; k < tables[i].n; k++)
            json_score(&json, &tables[i].score[k]);
        bench_json_close(&json, ']');
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    bench_json_open(&json, "targets", '[');
    if (score) {
        bench_json_open(&json, NULL, '{');
        bench_json_text(&json, "what", "ChaCha20-Poly1305, sending, loop and 1 worker, of what two cores can do");
        bench_json_number(&json, "wanted", WANTED);
        bench_json_number(&json, "ratio_median", bench_samples_median(&score->ratio));
        bench_json_bool(&json, "met", met(score));
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    bench_json_close(&json, '}');
}

static void free_tables(struct table *tables)
{
    for (unsigned i = 0; i < SUITES; i++) {
        for (unsigned k = 0; k < tables[i].n; k++) {
            bench_samples_free(&tables[i].score[k].rate);
            bench_samples_free(&tables[i].score[k].ratio);
        }
        bench_samples_free(&tables[i].trip_ns);
    }
}

static bool run(const struct options *o, const struct setup *base)
{
    static struct table tables[SUITES];
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);
    FILE *json = NULL;
    bool ok = true;

    if (o->json && !(json = fopen(o->json, "w")))
        bench_die("cannot write '%s'", o->json);
    bench_machine_print(stdout, base->place.loop);
    printf("16 KiB records, %u in flight; the loop on CPU %d, the worker on CPU %d; %u rounds of %.0f ms\n", o->window,
        base->place.loop, base->place.other, o->rounds, (double)o->slice_ns / 1e6);
    for (unsigned i = 0; i < SUITES; i++) {
        struct setup setup = *base;
        setup.cert = &cert;
        setup.suite = tables[i].suite = &suites[i];
        measure(&tables[i], o, &setup);
        print_table(&tables[i]);
        fflush(stdout);
    }
    if (json) {
        write_json(json, o, tables, base);
        if (fclose(json) != 0)
            bench_die("cannot write '%s'", o->json);
    }
    const struct score *score = targeted(tables);
    if (score) {
        ok = met(score);
        printf("\n%-5s %.3f of what two cores can do: one connection, ChaCha20-Poly1305, sending, loop and 1 worker; "
               "wanted: %.2f\n",
            ok ? "ok" : "short", bench_samples_median(&score->ratio), WANTED);
    }
    free_tables(tables);
    bench_cert_free(&cert);
    return ok;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    int cpus[BENCH_CPUS_MAX];
    unsigned n = bench_cpus(cpus);

    if (n < 2)
        bench_die("two CPUs are needed");
    const struct setup setup = { .place = { cpus[n - 1], cpus[n - 2] }, .window = o.window };
    (void)bench_place(setup.place.loop, BENCH_NORMAL);
    return run(&o, &setup) ? 0 : 1;
}
