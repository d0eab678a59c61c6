/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people, JSON for programs. */
#include <stdlib.h>
#include <string.h>

#include "first.h"

/* The figures of one subject, one side or both, and how many times as fast as a rival it is. */
struct figures {
    double best_ns, median_ns, ratio_best, ratio_median, copied_best_ns, copied_ratio_best;
};

enum part {
    PART_CLIENT,
    PART_SERVER,
    PART_BOTH,
    PARTS
};
static const char *const part_names[PARTS] = { "client", "server", "both" };

static const struct bench_samples *samples_of(const struct score *score, enum part part, bool copied)
{
    if (part == PART_BOTH)
        return copied ? &score->both_copied : &score->both;
    return copied ? &score->copied[part] : &score->own[part];
}

/* The median of the ratios of the same round: what disturbs a whole round disturbs both. */
static double median_ratio(const struct bench_samples *theirs, const struct bench_samples *ours)
{
    struct bench_samples ratios = { 0 };

    for (size_t i = 0; i < ours->n && i < theirs->n; i++)
        bench_samples_add(&ratios, theirs->v[i] / ours->v[i]);
    double median = bench_samples_median(&ratios);
    bench_samples_free(&ratios);
    return median;
}

static struct figures figures(const struct timed *timed, unsigned i, enum part part, unsigned rival)
{
    const struct score *theirs = &timed->score[rival];
    const struct bench_samples *a = samples_of(&timed->score[i], part, false);
    const struct bench_samples *b = samples_of(theirs, part, false);
    const struct bench_samples *a_copied = samples_of(&timed->score[i], part, true);
    const struct bench_samples *b_copied = samples_of(theirs, part, true);
    struct figures f = { bench_samples_min(a), bench_samples_median(a), 0, 0, bench_samples_min(a_copied), 0 };

    f.ratio_best = bench_samples_min(b) / f.best_ns;
    f.ratio_median = median_ratio(b, a);
    f.copied_ratio_best = bench_samples_min(b_copied) / f.copied_best_ns;
    return f;
}

static bool has_target(const struct timed *timed)
{
    return timed->target.wanted > 0;
}

static struct figures target_figures(const struct timed *timed)
{
    return figures(timed, 0, timed->target.server ? PART_SERVER : PART_BOTH, timed->target.rival);
}

/* Both ways of looking at the rounds must reach it: the best could be luck, the median a neighbour's doing. */
static bool target_met(const struct timed *timed)
{
    struct figures f = target_figures(timed);

    return f.ratio_best >= timed->target.wanted && f.ratio_median >= timed->target.wanted;
}

/* --- text ------------------------------------------------------------------------------------------------------- */

static void rate(FILE *out, const struct timed *timed, double ns)
{
    if (timed->bytes >= 1024)
        fprintf(out, "%9.2f GB/s", (double)timed->bytes / ns);
    else
        fprintf(out, "%11.0f /s ", 1e9 / ns);
}

/* The rival whose host does the I/O; the same as OpenSSL where there is none. */
static unsigned memory_rival(const struct timed *timed)
{
    return timed->bytes > 0 ? timed->n - 2 : timed->n - 1;
}

/* What the primitives alone take; 0: not told. */
static double floor_ns(const struct timed *timed, const struct floor *floors)
{
    double ns = 0;

    for (unsigned i = 0; i < FLOORS; i++)
        ns += timed->primitives[i] * (timed->primitives[i] > 0 ? bench_samples_min(&floors[i].ns) : 0);
    return ns;
}

/* How many times as fast as a rival anything could be that makes the same calls into libcrypto. */
static double most(const struct timed *timed, const struct floor *floors, unsigned rival)
{
    const struct score *score = &timed->score[rival];
    const struct bench_samples *theirs = timed->bytes > 0 ? &score->both : &score->own[SERVER];

    return bench_samples_min(theirs) / floor_ns(timed, floors);
}

static void print_case(FILE *out, const struct timed *timed, const struct floor *floors)
{
    unsigned memory = memory_rival(timed), openssl = timed->n - 1;

    fprintf(out, "\n%s, %s\n", timed->test, timed->row);
    fprintf(out, "  %-16s %-7s %9s %9s %14s %8s %8s %8s %8s\n", "", "side", "best ns", "median", "best rate", "x best",
        "x median", "x copies", "x memory");
    for (unsigned i = 0; i < timed->n; i++) {
        for (enum part part = PART_CLIENT; part < PARTS; part++) {
            struct figures f = figures(timed, i, part, openssl);
            fprintf(out, "  %-16s %-7s %9.0f %9.0f ", part == PART_CLIENT ? timed->score[i].label : "",
                part_names[part], f.best_ns, f.median_ns);
            rate(out, timed, f.best_ns);
            fprintf(out, " %8.2f %8.2f %8.2f", f.ratio_best, f.ratio_median, f.copied_ratio_best);
            if (memory != openssl)
                fprintf(out, " %8.2f", figures(timed, i, part, memory).ratio_best);
            fprintf(out, "\n");
        }
    }
    double floor = floor_ns(timed, floors);
    if (floor <= 0)
        return;
    enum part part = timed->bytes > 0 ? PART_BOTH : PART_SERVER;
    fprintf(out, "  %-16s %-7s %9.0f %9s ", "primitives alone", part_names[part], floor, "");
    rate(out, timed, floor);
    fprintf(out, " %8.2f %8s %8s", most(timed, floors, openssl), "", "");
    if (memory != openssl)
        fprintf(out, " %8.2f", most(timed, floors, memory));
    fprintf(out, "\n");
}

static void print_floors(FILE *out, const struct report *report)
{
    fprintf(out, "\nprimitives alone, keys and contexts made once\n");
    for (unsigned i = 0; i < FLOORS; i++)
        fprintf(out, "  %-26s %10.0f ns %10.0f ns median\n", report->floors[i].name,
            bench_samples_min(&report->floors[i].ns), bench_samples_median(&report->floors[i].ns));
}

static void print_heaps(FILE *out, const struct report *report)
{
    if (report->heaps_n == 0)
        return;
    fprintf(out, "\nheap bytes per connection, over %u connections\n", report->connections);
    fprintf(out, "  %-28s %-26s %10s %10s\n", "", "", "server", "client");
    for (unsigned i = 0; i < report->heaps_n; i++)
        fprintf(out, "  %-28s %-26s %10.0f %10.0f\n", report->heaps[i].state, report->heaps[i].label,
            report->heaps[i].side[SERVER], report->heaps[i].side[CLIENT]);
}

/* The most that one of Milgi's connections may take: docs/memory.md. 0: no more is said of it than what it takes. */
static const struct bound {
    const char *state;
    double most[2];
} bounds[] = {
    { "idle, established", { [SERVER] = 1100, [CLIENT] = 1200 } },
    { "server waits for Finished", { [SERVER] = 2632 } },
    { "server's signature in flight", { [SERVER] = 3612 } },
};

/* True if all are kept. */
static bool print_bounds(FILE *out, const struct report *report)
{
    static const char *const sides[2] = { [SERVER] = "server", [CLIENT] = "client" };
    bool all = true;

    for (unsigned i = 0; i < report->heaps_n; i++) {
        const struct heap *heap = &report->heaps[i];
        for (size_t k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
            if (strcmp(heap->label, "Milgi") != 0 || strcmp(heap->state, bounds[k].state) != 0)
                continue;
            for (enum side side = CLIENT; side <= SERVER; side++) {
                bool kept = heap->side[side] <= bounds[k].most[side];
                if (bounds[k].most[side] == 0)
                    continue;
                fprintf(out, "%-5s %.0f bytes, at most %.0f: heap of a %s: %s\n", kept ? "ok" : "short",
                    heap->side[side], bounds[k].most[side], sides[side], heap->state);
                all = all && kept;
            }
        }
    }
    return all;
}

static const char legend[] =
    "best: least of the rounds' medians; x: times as fast as OpenSSL doing its own I/O; x copies: with the copies\n"
    "counted, for both, that stand for send() and recv(); x memory: times as fast as OpenSSL behind memory BIOs\n";

/* The stricter comparison is told too where the target is about the other one. */
static void print_note(FILE *out, const struct timed *timed, const struct floor *floors)
{
    unsigned openssl = timed->n - 1;

    if (timed->target.rival == openssl)
        return;
    struct figures f = figures(timed, 0, PART_BOTH, openssl);
    fprintf(out, "note  %.2f (median %.2f), at most %.2f: %s, %s: against OpenSSL doing its own I/O\n", f.ratio_best,
        f.ratio_median, most(timed, floors, openssl), timed->test, timed->row);
}

bool report_print(const struct report *report, FILE *out)
{
    bool all = true;

    bench_machine_print(out, report->cpu);
    fprintf(out, "%u rounds, subjects in turn\n%s", report->options->rounds, legend);
    for (unsigned i = 0; i < report->cases_n; i++)
        print_case(out, &report->cases[i], report->floors);
    print_floors(out, report);
    print_heaps(out, report);
    fprintf(out, "\n");
    for (unsigned i = 0; i < report->cases_n; i++) {
        const struct timed *timed = &report->cases[i];
        if (!has_target(timed))
            continue;
        struct figures f = target_figures(timed);
        bool met = target_met(timed);
        fprintf(out, "%-5s %.2f (median %.2f), wanted %.2f: %s, %s: %s\n", met ? "ok" : "short", f.ratio_best,
            f.ratio_median, timed->target.wanted, timed->test, timed->row, timed->target.text);
        print_note(out, timed, report->floors);
        all = all && met;
    }
    return print_bounds(out, report) && all;
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

static void json_part(struct bench_json *json, const struct timed *timed, unsigned i, enum part part)
{
    struct figures f = figures(timed, i, part, timed->n - 1);

    bench_json_open(json, part_names[part], '{');
    bench_json_number(json, "best_ns", f.best_ns);
    bench_json_number(json, "median_ns", f.median_ns);
    bench_json_number(json, "per_second", 1e9 / f.best_ns);
    if (timed->bytes > 0)
        bench_json_number(json, "gigabytes_per_second", (double)timed->bytes / f.best_ns);
    bench_json_number(json, "with_copies_best_ns", f.copied_best_ns);
    bench_json_number(json, "ratio_best", f.ratio_best);
    bench_json_number(json, "ratio_median", f.ratio_median);
    bench_json_number(json, "with_copies_ratio_best", f.copied_ratio_best);
    if (timed->bytes > 0) {
        f = figures(timed, i, part, memory_rival(timed));
        bench_json_number(json, "memory_bios_ratio_best", f.ratio_best);
        bench_json_number(json, "memory_bios_ratio_median", f.ratio_median);
    }
    bench_json_close(json, '}');
}

static void json_case(struct bench_json *json, const struct timed *timed, const struct floor *floors)
{
    bench_json_open(json, NULL, '{');
    bench_json_text(json, "test", timed->test);
    bench_json_text(json, "row", timed->row);
    bench_json_number(json, "bytes", (double)timed->bytes);
    bench_json_number(json, "per_turn", timed->burst);
    if (floor_ns(timed, floors) > 0) {
        bench_json_number(json, "primitives_ns", floor_ns(timed, floors));
        bench_json_number(json, "ratio_at_most", most(timed, floors, timed->n - 1));
    }
    bench_json_open(json, "subjects", '[');
    for (unsigned i = 0; i < timed->n; i++) {
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "name", timed->score[i].label);
        for (enum part part = PART_CLIENT; part < PARTS; part++)
            json_part(json, timed, i, part);
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
    bench_json_close(json, '}');
}

static void json_rest(struct bench_json *json, const struct report *report)
{
    bench_json_open(json, "libcrypto", '[');
    for (unsigned i = 0; i < FLOORS; i++) {
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "name", report->floors[i].name);
        bench_json_number(json, "best_ns", bench_samples_min(&report->floors[i].ns));
        bench_json_number(json, "median_ns", bench_samples_median(&report->floors[i].ns));
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
    bench_json_open(json, "heap", '[');
    for (unsigned i = 0; i < report->heaps_n; i++) {
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "state", report->heaps[i].state);
        bench_json_text(json, "name", report->heaps[i].label);
        bench_json_number(json, "connections", report->connections);
        bench_json_number(json, "server_bytes", report->heaps[i].side[SERVER]);
        bench_json_number(json, "client_bytes", report->heaps[i].side[CLIENT]);
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
    bench_json_open(json, "targets", '[');
    for (unsigned i = 0; i < report->cases_n; i++) {
        const struct timed *timed = &report->cases[i];
        if (!has_target(timed))
            continue;
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "test", timed->test);
        bench_json_text(json, "row", timed->row);
        bench_json_text(json, "what", timed->target.text);
        bench_json_number(json, "wanted", timed->target.wanted);
        bench_json_number(json, "ratio_best", target_figures(timed).ratio_best);
        bench_json_number(json, "ratio_median", target_figures(timed).ratio_median);
        bench_json_bool(json, "met", target_met(timed));
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
}

void report_json(const struct report *report, FILE *out)
{
    struct bench_json json = { .file = out };

    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "program", "first");
    bench_machine_json(&json, report->cpu);
    bench_json_open(&json, "rules", '{');
    bench_json_number(&json, "rounds", report->options->rounds);
    bench_json_number(&json, "slice_ns", (double)report->options->slice_ns);
    bench_json_text(&json, "best", "least of the rounds' medians");
    bench_json_text(&json, "ratio", "times as fast as OpenSSL with a BIO of ours, doing its own I/O");
    bench_json_text(&json, "ratio_median", "median of the same rounds' ratios");
    bench_json_text(
        &json, "copies", "what stands for send() and recv(), one memcpy each, is counted in with_copies_* only");
    bench_json_text(&json, "memory_bios", "times as fast as OpenSSL whose host does the I/O");
    bench_json_close(&json, '}');
    bench_json_open(&json, "results", '[');
    for (unsigned i = 0; i < report->cases_n; i++)
        json_case(&json, &report->cases[i], report->floors);
    bench_json_close(&json, ']');
    json_rest(&json, report);
    bench_json_close(&json, '}');
}
