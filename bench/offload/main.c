/* SPDX-License-Identifier: Apache-2.0 */
/* The same accelerator behind several designs of a TLS server. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "offload.h"

#define ROWS_MAX 512
#define MS UINT64_C(1000000)
#define US UINT64_C(1000)
#define DEPTH 1024u
#define HEAP_DEVICE "sim:latency=100s,units=16,depth=256,canned"
#define HEAP_UNITS 16u
#define SYNC_NS (1000 * MS) /* so long at most may a round of a synchronous server's clients take */

static const char usage[] =
    "bench_offload [--quick] [--json FILE] [--rounds N] [--window MS] [--device SPEC]... [--only WORD] [--group WORD]\n"
    "              [--clients N] [--cert FILE --key FILE|URI]\n"
    "  --quick        only the points that a target names: less than a minute; without it some ten minutes\n"
    "  --json FILE    everything that was measured, with what is to be known about the machine\n"
    "  --rounds N     how often each point is measured, all of them in turn; the median is told\n"
    "  --window MS    how long a point is measured each time\n"
    "  --device SPEC  only this device (pool:1, pkcs11:...), not the modelled one; no targets\n"
    "  --only WORD    only the designs in whose name this occurs\n"
    "  --group WORD   only the points of one table\n"
    "  --clients N    with --device: how many; 1000\n"
    "  --cert FILE    a certificate with an ECDSA P-256 key, and that key: a file, or the pkcs11: URI of a key in a\n"
    "  --key FILE|URI token; by default both are made for the run\n"
    "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

#define DEVICES_MAX 8
struct options {
    bool quick;
    const char *json, *only, *group, *cert, *key;
    const char *device[DEVICES_MAX];
    unsigned devices_n, rounds, clients;
    uint64_t window_ns;
};

static struct row rows[ROWS_MAX];
static unsigned rows_n;

static unsigned long number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == 0 || *end != 0 || value == 0 || value > 1000000)
        bench_die("'%s' is not a number that makes sense here", text);
    return value;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' }, { "rounds", required_argument, NULL, 'r' },
        { "window", required_argument, NULL, 'w' }, { "device", required_argument, NULL, 'd' },
        { "only", required_argument, NULL, 'o' }, { "group", required_argument, NULL, 'g' },
        { "clients", required_argument, NULL, 'n' }, { "cert", required_argument, NULL, 'C' },
        { "key", required_argument, NULL, 'K' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct options o = { .clients = 1000 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': o.quick = true; break;
        case 'j': o.json = optarg; break;
        case 'r': o.rounds = (unsigned)number(optarg); break;
        case 'w': o.window_ns = number(optarg) * MS; break;
        case 'd':
            if (o.devices_n == DEVICES_MAX)
                bench_die("too many devices");
            o.device[o.devices_n++] = optarg;
            break;
        case 'o': o.only = optarg; break;
        case 'g': o.group = optarg; break;
        case 'n': o.clients = (unsigned)number(optarg); break;
        case 'C': o.cert = optarg; break;
        case 'K': o.key = optarg; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc)
        bench_die("unknown argument '%s'", argv[optind]);
    if ((!o.cert) != (!o.key))
        bench_die("--cert and --key go together");
    if (o.rounds > ROUNDS_MAX)
        bench_die("at most %d rounds", ROUNDS_MAX);
    if (o.window_ns == 0)
        o.window_ns = (o.quick ? 800 : 1500) * MS;
    return o;
}

/* --- points ----------------------------------------------------------------------------------------------------- */

static struct row *add(const struct options *o, const char *group, const struct design *design, const char *device)
{
    if (o->only && !strstr(design->name, o->only))
        return NULL;
    if (o->group && strcmp(o->group, group) != 0)
        return NULL;
    if (design == &design_retry && !retry_library())
        return NULL;
    if (rows_n == ROWS_MAX)
        bench_die("too many points");
    struct row *row = &rows[rows_n++];
    *row = (struct row){ .group = group, .point.design = design, .point.clients = o->clients };
    snprintf(row->device, sizeof row->device, "%s", device);
    row->point.device = row->device;
    return row;
}

/*
 * No more than there are descriptors for. A synchronous server has one signature in the device, however many clients
 * wait: no more than it can serve.
 */
static unsigned served(const struct design *design, unsigned clients, uint64_t latency_ns)
{
    unsigned most = rig_most_clients(design);
    uint64_t sync = latency_ns > 0 ? SYNC_NS / latency_ns : most;

    if (design == &design_sync && sync < most)
        most = (unsigned)sync;
    return clients < most ? clients : most;
}

static void add_sim(const struct options *o, const char *group, const struct design *design, uint64_t latency_ns,
    unsigned units, unsigned depth, unsigned clients)
{
    char spec[96];

    snprintf(spec, sizeof spec, "sim:latency=%luus,units=%u,depth=%u,canned", (unsigned long)(latency_ns / US), units,
        depth);
    struct row *row = add(o, group, design, spec);
    if (!row)
        return;
    row->point.latency_ns = latency_ns;
    row->point.units = units;
    row->point.depth = depth;
    row->point.clients = served(design, clients, latency_ns);
}

static void add_heap(const struct options *o, const struct design *design)
{
    struct row *row = add(o, GROUP_HEAP, design, HEAP_DEVICE);

    if (!row)
        return;
    row->point.latency_ns = 100 * MS;
    row->point.units = HEAP_UNITS;
    row->point.clients = 1000;
}

static const struct design *const all[] = { &design_sync, &design_threads, &design_fibers_fd, &design_fibers_callback,
    &design_retry, &design_milgi, &design_milgi_verify };
static const struct design *const targeted[] = { &design_fibers_fd, &design_fibers_callback, &design_milgi,
    &design_milgi_verify };
#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

static void quick_points(const struct options *o)
{
    for (unsigned i = 0; i < COUNT(targeted); i++)
        add_sim(o, GROUP_TARGET, targeted[i], MS, 64, DEPTH, 1000);
    add_sim(o, GROUP_TARGET, &design_transport, MS, 64, DEPTH, 1000);
    for (unsigned i = 0; i < COUNT(targeted); i++)
        add_sim(o, GROUP_LIMITED, targeted[i], MS, 1, DEPTH, 1000);
    for (unsigned i = 0; i < COUNT(all); i++) {
        bool wanted = !o->quick || !all[i]->threads;
        if (wanted && all[i] != &design_sync && !all[i]->verifies)
            add_heap(o, all[i]);
    }
}

/* Not the same point again, for want of clients that make a difference. */
static bool again(const char *group, const struct design *design, uint64_t latency_ns, unsigned clients)
{
    return strcmp(group, "clients") == 0 && design == &design_sync && clients > SYNC_NS / latency_ns;
}

/* All designs at one point. */
static void point(const struct options *o, const char *group, uint64_t latency_ns, unsigned units, unsigned depth,
    unsigned clients)
{
    for (unsigned i = 0; i < COUNT(all); i++) {
        if (!again(group, all[i], latency_ns, clients))
            add_sim(o, group, all[i], latency_ns, units, depth, clients);
    }
}

static void all_points(const struct options *o)
{
    static const unsigned clients[] = { 1, 10, 100, 1000, 10000 };
    static const uint64_t latency_us[] = { 0, 20, 200, 1000, 5000, 100000 };
    static const unsigned units[] = { 1, 4, 16, 64 };
    static const unsigned depth[] = { 16, 64, 1024 };

    for (unsigned k = 0; k < COUNT(clients); k++)
        point(o, "clients", MS, 64, DEPTH, clients[k]);
    for (unsigned k = 0; k < COUNT(latency_us); k++)
        point(o, "latency", latency_us[k] * US, 64, DEPTH, 1000);
    for (unsigned k = 0; k < COUNT(units); k++)
        point(o, "units", MS, units[k], DEPTH, 1000);
    for (unsigned k = 0; k < COUNT(depth); k++)
        point(o, "depth", MS, 16, depth[k], 1000);
}

static void device_points(const struct options *o)
{
    for (unsigned k = 0; k < o->devices_n; k++) {
        for (unsigned i = 0; i < COUNT(all); i++) {
            if (!all[i]->verifies)
                (void)add(o, "device", all[i], o->device[k]);
        }
    }
}

/* --- rounds ----------------------------------------------------------------------------------------------------- */

static void measure(struct rig *rig, struct row *row)
{
    struct figures *figures = &row->round[row->rounds];

    if (strcmp(row->group, GROUP_HEAP) == 0) {
        rig_measure_heap(rig, &row->point, figures);
        row->rounds++;
        return;
    }
    *figures = rig_measure(rig, &row->point);
    row->rounds++;
}

static unsigned rounds_of(const struct options *o, const struct row *row)
{
    if (o->rounds != 0)
        return o->rounds;
    if (strcmp(row->group, GROUP_HEAP) == 0)
        return 1;
    if (strcmp(row->group, GROUP_TARGET) == 0 || strcmp(row->group, GROUP_LIMITED) == 0)
        return o->quick ? 2 : 5;
    return 1;
}

static void all_rounds(const struct options *o, struct rig *rig, struct primitives *primitives)
{
    for (unsigned round = 0, more = 1; more > 0; round++) {
        more = 0;
        primitives_round(rig, primitives);
        for (unsigned i = 0; i < rows_n; i++) {
            if (round >= rounds_of(o, &rows[i]))
                continue;
            more++;
            fprintf(stderr, "\r%3u/%u %-60.60s", i + 1, rows_n, rows[i].point.design->title);
            measure(rig, &rows[i]);
        }
    }
    fprintf(stderr, "\r%70s\r", "");
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct rig rig;
    FILE *json = NULL;
    uint64_t began = bench_now_ns();

    if (o.json && !(json = fopen(o.json, "w")))
        bench_die("cannot write '%s'", o.json);
    rig_init(&rig, o.cert, o.key);
    rig.warm_ns = 100 * MS;
    rig.window_ns = o.window_ns;
    rig.syscalls_ns = o.quick ? 200 * MS : 500 * MS;
    struct results results = { .rig = &rig, .rows = rows, .quick = o.quick };
    if (o.devices_n > 0) {
        device_points(&o);
    } else {
        quick_points(&o);
        if (!o.quick)
            all_points(&o);
    }
    all_rounds(&o, &rig, &results.primitives);
    results.n = rows_n;
    results.seconds = (double)(bench_now_ns() - began) / 1e9;
    report_print(&results, stdout);
    if (json) {
        report_json(&results, json);
        if (fclose(json) != 0)
            bench_die("cannot write '%s'", o.json);
    }
    bool met = o.devices_n > 0 || report_targets(&results, stdout);
    for (enum primitive i = 0; i < PRIMITIVES; i++)
        bench_samples_free(&results.primitives.us[i]);
    rig_fini(&rig);
    return met ? 0 : 1;
}
