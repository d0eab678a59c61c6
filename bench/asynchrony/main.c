/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs to be asynchronous, with crypto that costs nothing; and what it costs who never is. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/milgi.h>

#include "asynchrony.h"

#define OP_NS 60.0 /* wanted: an op, through everything */
#define CALLS 0.05 /* system calls per op under load: none of an op's own */
#define TAX 1.03   /* of a connection that never leaves the inline device: within the noise */
#define OPS_BATCHES 300u
#define MESSAGES 300u
#define POOL_OPS 200000u

static const char usage[] =
    "bench_asynchrony [--quick] [--json FILE] [--rounds N] [--profile N]\n"
    "  --quick      a quarter of the rounds\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all in turn; 400\n"
    "  --profile N  nothing is measured: N batches, for a profiler, which can be told to look at ops_run\n"
    "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

struct results {
    struct bench_samples bare, one, many, plain, beside;
    double calls, polls;
};

struct target {
    const char *what;
    double figure, wanted;
};

static double per_op(uint64_t (*run)(struct ops *, unsigned), struct ops *ops)
{
    uint64_t begin = bench_now_ns();
    uint64_t n = run(ops, OPS_BATCHES);
    return (double)(bench_now_ns() - begin) / (double)n;
}

static double per_message(struct tax *tax)
{
    uint64_t begin = bench_now_ns();
    tax_messages(tax, MESSAGES);
    return (double)(bench_now_ns() - begin) / MESSAGES;
}

static void measure(struct results *r, unsigned rounds)
{
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);
    struct ops *one = ops_new(1), *many = ops_new(BATCH);
    struct tax *plain = tax_new(false, &cert), *beside = tax_new(true, &cert);

    for (unsigned i = 0; i < rounds + 10; i++) {
        if (i == 10) { /* until then everything was warmed up */
            bench_samples_clear(&r->bare);
            bench_samples_clear(&r->one);
            bench_samples_clear(&r->many);
            bench_samples_clear(&r->plain);
            bench_samples_clear(&r->beside);
        }
        bench_samples_add(&r->bare, per_op(ops_bare, one));
        bench_samples_add(&r->one, per_op(ops_run, one));
        bench_samples_add(&r->many, per_op(ops_run, many));
        bench_samples_add(&r->plain, per_message(plain));
        bench_samples_add(&r->beside, per_message(beside));
    }
    ops_free(one);
    ops_free(many);
    tax_free(plain);
    tax_free(beside);
    bench_cert_free(&cert);
    r->calls = ops_system_calls(POOL_OPS, &r->polls);
}

static void profile(unsigned batches)
{
    struct ops *many = ops_new(BATCH);

    (void)ops_run(many, batches);
    ops_free(many);
}

static void row(const char *name, const struct bench_samples *s)
{
    printf("%-64s %8.1f %8.1f\n", name, bench_samples_percentile(s, 5), bench_samples_median(s));
}

static void print(const struct results *r)
{
    printf("\n%-64s %8s %8s\n", "ns an op, in batches of 32", "quiet", "median");
    row("enqueue and dequeue of the device that does nothing, alone", &r->bare);
    row("everything: slab, router, fairness, deadline, statistics, owner", &r->one);
    row("the same, each op another owner's", &r->many);
    row("two 64-byte messages inline, ns", &r->plain);
    row("the same with other devices beside", &r->beside);
    printf("\npool with a full queue, 64-byte records: %.4f reads and writes an op, of all threads; "
           "the loop waited %.4f times\n\n",
        r->calls, r->polls);
}

static double tax_of(const struct results *r)
{
    return bench_samples_percentile(&r->beside, 5) / bench_samples_percentile(&r->plain, 5);
}

static void json_samples(struct bench_json *json, const char *name, const struct bench_samples *s)
{
    bench_json_open(json, name, '{');
    bench_json_number(json, "quiet", bench_samples_percentile(s, 5));
    bench_json_number(json, "median", bench_samples_median(s));
    bench_json_close(json, '}');
}

static void write_json(const char *name, const struct results *r, const struct target *targets, size_t n, int cpu)
{
    struct bench_json json = { .file = fopen(name, "w") };

    if (!json.file)
        bench_die("cannot write '%s'", name);
    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "program", "asynchrony");
    bench_machine_json(&json, cpu);
    bench_json_number(&json, "batch", BATCH);
    json_samples(&json, "bare_ring_ns", &r->bare);
    json_samples(&json, "one_owner_ns", &r->one);
    json_samples(&json, "own_owner_ns", &r->many);
    json_samples(&json, "inline_ns", &r->plain);
    json_samples(&json, "inline_beside_devices_ns", &r->beside);
    bench_json_number(&json, "pool_reads_and_writes_per_op", r->calls);
    bench_json_number(&json, "pool_waits_of_the_loop_per_op", r->polls);
    bench_json_open(&json, "targets", '[');
    for (size_t i = 0; i < n; i++) {
        bench_json_open(&json, NULL, '{');
        bench_json_text(&json, "what", targets[i].what);
        bench_json_number(&json, "figure", targets[i].figure);
        bench_json_number(&json, "wanted", targets[i].wanted);
        bench_json_bool(&json, "met", targets[i].figure <= targets[i].wanted);
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    bench_json_close(&json, '}');
    if (fclose(json.file) != 0)
        bench_die("cannot write '%s'", name);
}

static bool judge(const struct target *targets, size_t n)
{
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        bool met = targets[i].figure <= targets[i].wanted;
        printf("%-5s %.3f %s; wanted: at most %.2f\n", met ? "ok" : "short", targets[i].figure, targets[i].what,
            targets[i].wanted);
        all = all && met;
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' }, { "rounds", required_argument, NULL, 'r' },
        { "profile", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    unsigned rounds = 400, batches = 0;
    const char *json = NULL;
    bool quick = false;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': quick = true; break;
        case 'j': json = optarg; break;
        case 'r': rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'p': batches = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind != argc || rounds == 0)
        bench_die("wrong arguments; --help tells");
    if (batches) {
        profile(batches);
        return 0;
    }
    int cpu = bench_pin(-1);
    struct results r = { .calls = 0 };
    bench_machine_print(stdout, cpu);
    measure(&r, quick ? (rounds + 3) / 4 : rounds);
    print(&r);
    const struct target targets[] = {
        { "ns an op: asynchrony itself, each op another owner's, quiet", bench_samples_percentile(&r.many, 5), OP_NS },
        { "reads and writes an op under load", r.calls, CALLS },
        { "x the time of a connection that never leaves the inline device", tax_of(&r), TAX },
    };
    size_t n = sizeof targets / sizeof targets[0];
    if (json)
        write_json(json, &r, targets, n, cpu);
    bool met = judge(targets, n);
    bench_samples_free(&r.bare);
    bench_samples_free(&r.one);
    bench_samples_free(&r.many);
    bench_samples_free(&r.plain);
    bench_samples_free(&r.beside);
    return met ? 0 : 1;
}
