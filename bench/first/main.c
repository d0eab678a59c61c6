/* SPDX-License-Identifier: Apache-2.0 */
/* First figures: handshakes, records and heap, Milgi beside OpenSSL's libssl, in memory, one thread, the same run. */
#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "first.h"

#define HEAP_CONNECTIONS 2000

static const char usage[] =
    "bench_first [--quick] [--json FILE] [--rounds N] [--slice MS] [--cpu N] [--only WORD] [--profile N]\n"
    "  --quick      fewer rounds: less than a minute\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all subjects in turn; 60, or 20 with --quick\n"
    "  --slice MS   for each subject, case and round; 12, or 8 with --quick\n"
    "  --cpu N      the CPU to run on; by default the last one\n"
    "  --only WORD  just the cases in whose title this occurs; no heap, and the targets of those alone\n"
    "  --heap      only the heap, as lines of server|client|state|library\n"
    "  --profile N  nothing is measured: N handshakes or turns of Milgi's in the first of the chosen cases\n"
    "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

static unsigned long number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == 0 || *end != 0 || value > 1000000000)
        bench_die("'%s' is not a number", text);
    return value;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' },
        { "rounds", required_argument, NULL, 'r' }, { "slice", required_argument, NULL, 's' },
        { "cpu", required_argument, NULL, 'c' }, { "only", required_argument, NULL, 'o' },
        { "profile", required_argument, NULL, 'p' },
        { "heap", no_argument, NULL, 'H' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct options o = { .cpu = -1 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': o.quick = true; break;
        case 'j': o.json = optarg; break;
        case 'r': o.rounds = (unsigned)number(optarg); break;
        case 's': o.slice_ns = number(optarg) * 1000000u; break;
        case 'c': o.cpu = (int)number(optarg); break;
        case 'o': o.filter = optarg; break;
        case 'p': o.profile = (unsigned)number(optarg); break;
        case 'H': o.heap = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc)
        bench_die("unknown argument '%s'", argv[optind]);
    if (o.rounds == 0)
        o.rounds = o.quick ? 20 : 60;
    if (o.slice_ns == 0)
        o.slice_ns = (o.quick ? 8 : 12) * 1000000u;
    return o;
}

static bool chosen(const struct options *o, const struct timed *timed)
{
    char title[128];

    snprintf(title, sizeof title, "%s, %s", timed->test, timed->row);
    return !o->filter || strstr(title, o->filter);
}

struct family {
    void (*round)(struct timed *, unsigned, uint64_t);
    void (*profile)(struct timed *, unsigned);
    void (*end)(struct timed *);
};
static const struct family of_handshakes = { handshake_round, handshake_profile, handshake_end };
static const struct family of_records = { record_round, record_profile, record_end };

static const struct family *family(const struct timed *timed)
{
    return timed->bytes == 0 ? &of_handshakes : &of_records;
}

static unsigned make_cases(const struct options *o, struct timed cases[CASES_MAX])
{
    unsigned all = handshake_cases(cases);
    unsigned n = 0;

    all += record_cases(cases + all);
    for (unsigned i = 0; i < all; i++) {
        if (chosen(o, &cases[i]))
            cases[n++] = cases[i];
        else
            family(&cases[i])->end(&cases[i]);
    }
    if (n == 0)
        bench_die("no case has '%s' in its title", o->filter);
    return n;
}

static void timed_rounds(const struct options *o, struct timed *cases, unsigned n, struct floor *floors)
{
    for (unsigned round = 0; round < o->rounds; round++) {
        for (unsigned i = 0; i < n; i++) {
            for (unsigned subject = 0; subject < cases[i].n; subject++)
                family(&cases[i])->round(&cases[i], subject, o->slice_ns);
        }
        floor_round(floors);
    }
}

static void free_cases(struct timed *cases, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        family(&cases[i])->end(&cases[i]);
        for (unsigned k = 0; k < cases[i].n; k++) {
            struct score *score = &cases[i].score[k];
            for (int side = 0; side < 2; side++) {
                bench_samples_free(&score->own[side]);
                bench_samples_free(&score->copied[side]);
            }
            bench_samples_free(&score->both);
            bench_samples_free(&score->both_copied);
        }
    }
}

static bool measure(const struct options *o)
{
    static struct timed cases[CASES_MAX];
    static struct floor floors[FLOORS];
    static struct heap heaps[HEAPS_MAX];
    struct report report = { .options = o, .cases = cases, .floors = floors, .heaps = heaps };
    FILE *json = NULL;

    if (o->json && !(json = fopen(o->json, "w")))
        bench_die("cannot write '%s'", o->json);
    report.cpu = bench_pin(o->cpu);
    report.connections = HEAP_CONNECTIONS;
    if (!o->filter)
        report.heaps_n = heap_child(heaps);
    floor_setup(floors);
    report.cases_n = make_cases(o, cases);
    timed_rounds(o, cases, report.cases_n, floors);
    bool met = report_print(&report, stdout);
    if (json) {
        report_json(&report, json);
        if (fclose(json) != 0)
            bench_die("cannot write '%s'", o->json);
    }
    free_cases(cases, report.cases_n);
    floor_end(floors);
    return met;
}

static void profile(const struct options *o)
{
    static struct timed cases[CASES_MAX];
    unsigned n = make_cases(o, cases);

    family(&cases[0])->profile(&cases[0], o->profile);
    free_cases(cases, n);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);

    if (o.heap) {
        heap_measure(HEAP_CONNECTIONS);
        return 0;
    }
    if (o.profile == 0)
        return measure(&o) ? 0 : 1;
    profile(&o);
    return 0;
}
