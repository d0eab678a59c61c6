/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people, JSON for programs, and whether the targets are met. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "offload.h"

#define CPU_WANTED 0.5     /* of fibers' CPU beyond the primitives */
#define HEAP_WANTED 6144.0 /* bytes per parked handshake */
#define RATE_WANTED 0.95   /* of the bound */
#define LIMIT 1000.0       /* handshakes per second up to which the device is the bound by itself */

static double value(const struct row *row, unsigned round, size_t offset)
{
    return *(const double *)(const void *)((const char *)&row->round[round] + offset);
}

double row_median(const struct row *row, size_t offset)
{
    struct bench_samples samples = { 0 };

    for (unsigned i = 0; i < row->rounds; i++) {
        if (!isnan(value(row, i, offset)))
            bench_samples_add(&samples, value(row, i, offset));
    }
    double median = samples.n > 0 ? bench_samples_median(&samples) : NAN;
    bench_samples_free(&samples);
    return median;
}

double row_least(const struct row *row, size_t offset)
{
    double least = NAN;

    for (unsigned i = 0; i < row->rounds; i++)
        least = fmin(least, value(row, i, offset)); /* of a number and NAN: the number */
    return least;
}

static const struct row *find(const struct results *r, const char *group, const struct design *design)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (strcmp(r->rows[i].group, group) == 0 && r->rows[i].point.design == design)
            return &r->rows[i];
    }
    return NULL;
}

/* X25519's two halves and, where it is done, the verification: with the same libcrypto; least or median. */
static double primitives_us(const struct results *r, const struct design *design, bool least)
{
    double (*of)(const struct bench_samples *) = least ? bench_samples_min : bench_samples_median;
    const struct bench_samples *us = r->primitives.us;

    return of(&us[design->keygen]) + of(&us[design->keygen + 1]) + (design->verifies ? of(&us[PRIMITIVE_VERIFY]) : 0);
}

static double beyond_us(const struct results *r, const struct row *row, bool least)
{
    double cpu = least ? LEAST(row, cpu_us) : MEDIAN(row, cpu_us);

    return row->point.design->plain ? cpu : cpu - primitives_us(r, row->point.design, least);
}

/* --- text ------------------------------------------------------------------------------------------------------- */

static void print_number(FILE *out, int width, int digits, double number)
{
    if (isnan(number))
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.*f", width, digits, number);
}

static void print_row(const struct results *r, const struct row *row, FILE *out)
{
    fprintf(out, "  %-28s %7u", row->point.design->title, row->point.clients);
    print_number(out, 9, 0, MEDIAN(row, per_second));
    print_number(out, 9, 1, MEDIAN(row, cpu_us));
    print_number(out, 8, 1, beyond_us(r, row, false));
    print_number(out, 9, 0, MEDIAN(row, p50_us));
    print_number(out, 9, 0, MEDIAN(row, p99_us));
    print_number(out, 8, 2, MEDIAN(row, switches));
    print_number(out, 8, 2, MEDIAN(row, syscalls));
    print_number(out, 6, 0, 100 * MEDIAN(row, server_busy));
    print_number(out, 6, 0, 100 * MEDIAN(row, client_busy));
    print_number(out, 8, 1, MEDIAN(row, client_cpu_us));
    fprintf(out, "\n");
}

static const char heading[] =
    "                               clients      hs/s    CPU us  beyond    p50 us    p99 us switches syscalls server% "
    "client% client us\n";
static const char legend[] =
    "CPU us: the server's thread (of 'a thread per connection' all its threads), per handshake; beyond: less the\n"
    "primitives; p50, p99: a client's, from its start to its end; switches, syscalls: the server's, per handshake;\n"
    "server%, client%: how busy the two CPUs were with them; client us: the client's CPU per handshake\n";

static void print_rows(const struct results *r, FILE *out)
{
    const char *group = "", *device = "";

    for (unsigned i = 0; i < r->n; i++) {
        const struct row *row = &r->rows[i];
        if (strcmp(row->group, GROUP_HEAP) == 0)
            continue;
        if (strcmp(group, row->group) != 0 || strcmp(device, row->device) != 0)
            fprintf(out, "\n%s: %s\n%s", row->group, row->device, heading);
        group = row->group;
        device = row->device;
        print_row(r, row, out);
    }
}

static void print_heaps(const struct results *r, FILE *out)
{
    bool some = false;

    for (unsigned i = 0; i < r->n; i++) {
        const struct row *row = &r->rows[i];
        if (strcmp(row->group, GROUP_HEAP) != 0)
            continue;
        if (!some)
            fprintf(out, "\nbytes per handshake that waits for its signature, of %u\n", row->point.clients);
        some = true;
        fprintf(out, "  %-28s heap %8.0f", row->point.design->title, MEDIAN(row, heap));
        if (MEDIAN(row, stacks) > 0)
            fprintf(out, ", stack %8.0f", MEDIAN(row, stacks));
        fprintf(out, "\n");
    }
}

static void print_primitives(const struct results *r, FILE *out)
{
    static const char *const names[PRIMITIVES] = { "X25519 keygen", "X25519 derive", "ECDSA P-256 verify",
        "X25519 keygen, OpenSSL", "X25519 derive, OpenSSL", "X25519 keygen, AWS-LC", "X25519 derive, AWS-LC" };

    fprintf(out, "\nprimitives, us, with the other CPU busy alike: least, median\n");
    for (enum primitive i = 0; i < PRIMITIVES && r->primitives.us[i].n > 0; i++)
        fprintf(out, "  %-28s %8.1f %8.1f\n", names[i], bench_samples_min(&r->primitives.us[i]),
            bench_samples_median(&r->primitives.us[i]));
}

void report_print(const struct results *r, FILE *out)
{
    bench_machine_print(out, r->rig->server_cpu);
    fprintf(out, "%.0f s; server on CPU %d, clients on CPU %d\n%s", r->seconds, r->rig->server_cpu,
        r->rig->client_cpu, legend);
    print_rows(r, out);
    print_heaps(r, out);
    print_primitives(r, out);
    fprintf(out, "\n");
}

/* --- targets ---------------------------------------------------------------------------------------------------- */

/* The better of the two ways in which a fiber is told. */
static double fibers_us(const struct results *r, bool least)
{
    const struct row *fd = find(r, GROUP_TARGET, &design_fibers_fd);
    const struct row *callback = find(r, GROUP_TARGET, &design_fibers_callback);

    return fd && callback ? fmin(beyond_us(r, fd, least), beyond_us(r, callback, least)) : NAN;
}

static bool cpu_target(const struct results *r, const struct design *design, FILE *out)
{
    const struct row *row = find(r, GROUP_TARGET, design);

    if (!row || isnan(fibers_us(r, true)))
        return true;
    double least = beyond_us(r, row, true) / fibers_us(r, true);
    double median = beyond_us(r, row, false) / fibers_us(r, false);
    bool met = least <= CPU_WANTED && median <= CPU_WANTED;
    fprintf(out, "%-5s %.2f (median %.2f), wanted at most %.2f: %s: CPU beyond the primitives, of fibers': ",
        met ? "ok" : "short", least, median, CPU_WANTED, design->title);
    fprintf(out, "%.1f us to %.1f us\n", beyond_us(r, row, true), fibers_us(r, true));
    return met;
}

static bool heap_target(const struct results *r, FILE *out)
{
    const struct row *row = find(r, GROUP_HEAP, &design_milgi);

    if (!row)
        return true;
    bool met = MEDIAN(row, heap) <= HEAP_WANTED;
    fprintf(out, "%-5s %.0f, wanted at most %.0f: %s: bytes of heap per handshake that waits for its signature\n",
        met ? "ok" : "short", MEDIAN(row, heap), HEAP_WANTED, row->point.design->title);
    return met;
}

/* What the device allows, and where that is much, what the busier of the two CPUs allows: server's or clients'. */
static double bound(const struct row *row)
{
    double device = row->point.units / ((double)row->point.latency_ns / 1e9);

    double cpu_us = fmax(MEDIAN(row, cpu_us), MEDIAN(row, client_cpu_us));
    return device <= LIMIT ? device : fmin(device, 1e6 / cpu_us);
}

static bool rate_target(const struct results *r, const char *group, const struct design *design, FILE *out)
{
    const struct row *row = find(r, group, design);

    if (!row)
        return true;
    double ratio = MEDIAN(row, per_second) / bound(row);
    bool met = ratio >= RATE_WANTED;
    fprintf(out, "%-5s %.3f, wanted %.2f: %s: handshakes per second of what %s let: %.0f of %.0f\n",
        met ? "ok" : "short", ratio, RATE_WANTED, design->title,
        bound(row) <= LIMIT ? "the device" : "device or CPUs", MEDIAN(row, per_second), bound(row));
    return met;
}

bool report_targets(const struct results *r, FILE *out)
{
    bool met = cpu_target(r, &design_milgi_verify, out);

    met = cpu_target(r, &design_milgi, out) && met;
    met = heap_target(r, out) && met;
    met = rate_target(r, GROUP_LIMITED, &design_milgi, out) && met;
    met = rate_target(r, GROUP_TARGET, &design_milgi_verify, out) && met;
    met = rate_target(r, GROUP_TARGET, &design_milgi, out) && met;
    return met;
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

static void json_row(struct bench_json *json, const struct results *r, const struct row *row)
{
    const struct point *p = &row->point;

    bench_json_open(json, NULL, '{');
    bench_json_text(json, "group", row->group);
    bench_json_text(json, "design", p->design->name);
    bench_json_text(json, "title", p->design->title);
    bench_json_text(json, "device", row->device);
    bench_json_number(json, "clients", p->clients);
    bench_json_number(json, "latency_us", p->units > 0 ? (double)p->latency_ns / 1e3 : NAN);
    bench_json_number(json, "units", p->units > 0 ? (double)p->units : NAN);
    bench_json_number(json, "depth", p->depth > 0 ? (double)p->depth : NAN);
    bench_json_number(json, "rounds", row->rounds);
    if (strcmp(row->group, GROUP_HEAP) == 0) {
        bench_json_number(json, "heap_bytes", MEDIAN(row, heap));
        bench_json_number(json, "stack_bytes", MEDIAN(row, stacks));
        bench_json_close(json, '}');
        return;
    }
    bench_json_number(json, "per_second", MEDIAN(row, per_second));
    bench_json_number(json, "cpu_us", MEDIAN(row, cpu_us));
    bench_json_number(json, "cpu_us_least", LEAST(row, cpu_us));
    bench_json_number(json, "beyond_primitives_us", beyond_us(r, row, false));
    bench_json_number(json, "p50_us", MEDIAN(row, p50_us));
    bench_json_number(json, "p99_us", MEDIAN(row, p99_us));
    bench_json_number(json, "context_switches", MEDIAN(row, switches));
    bench_json_number(json, "system_calls", MEDIAN(row, syscalls));
    bench_json_number(json, "server_busy", MEDIAN(row, server_busy));
    bench_json_number(json, "client_busy", MEDIAN(row, client_busy));
    bench_json_number(json, "client_cpu_us", MEDIAN(row, client_cpu_us));
    bench_json_number(json, "refused_by_device", MEDIAN(row, refused));
    bench_json_close(json, '}');
}

void report_json(const struct results *r, FILE *out)
{
    static const char *const names[PRIMITIVES] = { "x25519_keygen", "x25519_derive", "ecdsa_p256_verify",
        "x25519_keygen_openssl", "x25519_derive_openssl", "x25519_keygen_aws_lc", "x25519_derive_aws_lc" };
    struct bench_json json = { .file = out };

    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "benchmark", "offload");
    bench_json_bool(&json, "quick", r->quick);
    if (retry_library())
        bench_json_text(&json, "aws_lc", retry_library());
    bench_json_number(&json, "server_cpu", r->rig->server_cpu);
    bench_json_number(&json, "clients_cpu", r->rig->client_cpu);
    bench_json_number(&json, "seconds", r->seconds);
    bench_machine_json(&json, r->rig->server_cpu);
    bench_json_open(&json, "primitives_us", '{');
    for (enum primitive i = 0; i < PRIMITIVES && r->primitives.us[i].n > 0; i++)
        bench_json_number(&json, names[i], bench_samples_median(&r->primitives.us[i]));
    bench_json_close(&json, '}');
    bench_json_open(&json, "rows", '[');
    for (unsigned i = 0; i < r->n; i++)
        json_row(&json, r, &r->rows[i]);
    bench_json_close(&json, ']');
    bench_json_close(&json, '}');
}
