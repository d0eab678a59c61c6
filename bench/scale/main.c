/* SPDX-License-Identifier: Apache-2.0 */
/* A million connections: bytes for each, and what an active one costs beside one of a thousand. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "scale.h"

#define BYTES 1300.0 /* wanted: of a server end */
#define FLAT 1.2     /* wanted: what an active one costs among so many, beside one of FEW */
#define FEW 1000u
#define MANY 100000u /* among fewer the holes that handshakes leave in the heap, some MiB, count for much */
#define EACH 100u    /* of so many one is active */
#define PASSES 5u
#define MIB (1024.0 * 1024.0)

static const char usage[] =
    "bench_scale [--quick] [--json FILE] [--connections N] [--sockets N] [--rounds N]\n"
    "  --quick          20000 connections and 2000 sockets: less than a minute\n"
    "  --json FILE      everything that was measured, with what is to be known about the machine\n"
    "  --connections N  over memory; 1000000\n"
    "  --sockets N      over TCP; 200000, 0: none\n"
    "  --rounds N       of exchanges; 15\n"
    "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

struct options {
    unsigned connections, sockets, rounds;
    const char *json;
};

struct results {
    struct bench_samples alone, few, many, ratio; /* ns an exchange; ratio: many to few, of the same round */
    double heap, resident, made_s;
    struct sockets sockets;
};

struct target {
    const char *what;
    double figure, wanted;
};

static void measure(struct results *r, const struct options *o, const struct bench_cert *cert)
{
    struct population *alone = population_new(cert, FEW / EACH, 1), *few = population_new(cert, FEW, 1);
    uint64_t begin = bench_now_ns();
    struct population *many = population_new(cert, o->connections, EACH);

    r->made_s = (double)(bench_now_ns() - begin) / 1e9;
    for (unsigned round = 0; round < o->rounds; round++) {
        (void)population_exchanges(alone, FEW);
        bench_samples_add(&r->alone, population_exchanges(alone, FEW));
        /* Those of |many| have driven the others out of the caches. */
        (void)population_exchanges(few, FEW);
        bench_samples_add(&r->few, population_exchanges(few, PASSES * FEW));
        double ns = population_exchanges(many, population_active(many));
        bench_samples_add(&r->many, ns);
        bench_samples_add(&r->ratio, ns / r->few.v[r->few.n - 1]);
    }
    population_settle(alone);
    population_settle(few);
    population_settle(many);
    r->resident = population_resident(many) / o->connections;
    r->heap = population_heap(many) / o->connections;
    population_free(many);
    population_free(few);
    population_free(alone);
}

static void row(const char *name, const struct bench_samples *s)
{
    printf("%-64s %8.0f %8.0f\n", name, bench_samples_min(s), bench_samples_median(s));
}

static void print(const struct results *r, const struct options *o)
{
    const struct sockets *s = &r->sockets;

    printf("\n%u connections over memory, made in %.0f s; 1 in %u is active\n", o->connections, r->made_s, EACH);
    printf("bytes of a server end: %.0f by malloc's count, %.0f of the process\n", r->heap, r->resident);
    printf("\n%-64s %8s %8s\n", "server, ns for 64 bytes in and 64 bytes out, one a turn", "best", "median");
    row("10 connections, all active (in the nearest caches)", &r->alone);
    row("1000 connections, all active", &r->few);
    row("all connections, 1 in 100 active", &r->many);
    if (s->asked) {
        printf("\n%u sockets of %u, %u servers (%s)\n", s->n, s->asked, s->processes, s->bounded_by);
        printf("bytes of each: %.0f of the server's process, %.0f of the kernel for both ends; CPU idle: %.4f\n",
            s->resident, s->kernel, s->idle_cpu);
    }
    printf("\n");
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

static void json_samples(struct bench_json *json, const char *name, const struct bench_samples *s)
{
    bench_json_open(json, name, '{');
    bench_json_number(json, "best", bench_samples_min(s));
    bench_json_number(json, "median", bench_samples_median(s));
    bench_json_close(json, '}');
}

static void json_targets(struct bench_json *json, const struct target *targets, size_t n)
{
    bench_json_open(json, "targets", '[');
    for (size_t i = 0; i < n; i++) {
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "what", targets[i].what);
        bench_json_number(json, "figure", targets[i].figure);
        bench_json_number(json, "wanted", targets[i].wanted);
        bench_json_bool(json, "met", targets[i].figure <= targets[i].wanted);
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
}

static void write_json(
    const struct options *o, const struct results *r, const struct target *targets, size_t n, int cpu)
{
    struct bench_json json = { .file = fopen(o->json, "w") };

    if (!json.file)
        bench_die("cannot write '%s'", o->json);
    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "program", "scale");
    bench_machine_json(&json, cpu);
    bench_json_number(&json, "connections", o->connections);
    bench_json_number(&json, "active_one_in", EACH);
    bench_json_number(&json, "heap_bytes", r->heap);
    bench_json_number(&json, "resident_bytes", r->resident);
    json_samples(&json, "exchange_of_10_ns", &r->alone);
    json_samples(&json, "exchange_of_1000_ns", &r->few);
    json_samples(&json, "exchange_of_all_ns", &r->many);
    json_samples(&json, "all_to_1000", &r->ratio);
    bench_json_open(&json, "sockets", '{');
    bench_json_number(&json, "asked", r->sockets.asked);
    bench_json_number(&json, "connections", r->sockets.n);
    bench_json_number(&json, "servers", r->sockets.processes);
    bench_json_text(&json, "bounded_by", r->sockets.bounded_by ? r->sockets.bounded_by : "");
    bench_json_number(&json, "resident_bytes", r->sockets.resident);
    bench_json_number(&json, "kernel_bytes", r->sockets.kernel);
    bench_json_number(&json, "idle_cpu", r->sockets.idle_cpu);
    bench_json_close(&json, '}');
    json_targets(&json, targets, n);
    bench_json_close(&json, '}');
    if (fclose(json.file) != 0)
        bench_die("cannot write '%s'", o->json);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == 0 || *end != 0 || value > 100000000)
        bench_die("'%s' is not a number", text);
    return (unsigned)value;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' }, { "connections", required_argument, NULL, 'c' },
        { "sockets", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct options o = { .connections = 1000000, .sockets = 200000, .rounds = 15 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q':
            o.connections = 20000;
            o.sockets = 2000;
            break;
        case 'j': o.json = optarg; break;
        case 'c': o.connections = number(optarg); break;
        case 's': o.sockets = number(optarg); break;
        case 'r': o.rounds = number(optarg); break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc || o.rounds == 0 || o.connections < FEW)
        bench_die("wrong arguments; --help tells");
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);
    struct results r = { .heap = 0 };

    /* A process of its own comes first, before this one is large. */
    if (o.sockets)
        r.sockets = sockets_measure(&cert, o.sockets);
    int cpu = bench_pin(-1);
    bench_machine_print(stdout, cpu);
    measure(&r, &o, &cert);
    print(&r, &o);
    const struct target targets[] = {
        { "bytes of a server end, by malloc's count", r.heap, BYTES },
        { "x what an active one of 1000 costs, median of the rounds", bench_samples_median(&r.ratio), FLAT },
        { "bytes of a server end, of the process", r.resident, BYTES },
    };
    size_t n = sizeof targets / sizeof targets[0] - (o.connections < MANY);
    if (o.json)
        write_json(&o, &r, targets, n, cpu);
    bool met = judge(targets, n);
    bench_samples_free(&r.alone);
    bench_samples_free(&r.few);
    bench_samples_free(&r.many);
    bench_samples_free(&r.ratio);
    bench_cert_free(&cert);
    return met ? 0 : 1;
}
