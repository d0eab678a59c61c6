/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each device by itself in a process of its own (a device may need one), and routers with several in theirs; each point
 * by all in turn, and several times.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices.h"

static const char usage[] =
    "bench_devices [--quick] [--json FILE] [--rounds N] [--slice MS] [--only WORD] [--virtual]\n"
    "              [--router 'SPEC SPEC...'] [SPEC...]\n"
    "  SPEC         devices to measure; by default cpu, pool:1, pool:2, batch, and what is here of dpdk and afalg\n"
    "  --router     those that a router is given; 'cpu pool:2', and with dpdk:vdev=crypto_aesni_mb where that is here\n"
    "  --quick      fewer points, 3 rounds\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of everything in turn; 7: the medians are told\n"
    "  --slice MS   how long a point is measured each time; 8\n"
    "  --only WORD  the points that have it in their names, 'seal 64/4' (bytes, at once), 'ECDSA/16', 'RSA/1'\n"
    "  --virtual    the kernel is a virtual one: its speed means nothing, and nothing is judged by it\n"
    "Exit status: 0 if every target was met, 1 if not, 2 if something went wrong.\n";

#define ROUNDS 7
#define SLICE_MS 8

/* What a child says of a point. */
struct answer {
    struct cost cost;
    double share;
};

struct options {
    bool quick;
    const char *json, *only;
    unsigned rounds;
    uint64_t slice_ns;
};

static void add_point(struct report *report, const char *only, struct point point)
{
    static const char *const names[KINDS] = { "seal", "open", "ECDSA", "RSA" };
    char name[32];
    if (point.size != 0)
        snprintf(name, sizeof name, "%s %u/%u", names[point.kind], point.size, point.batch);
    else
        snprintf(name, sizeof name, "%s/%u", names[point.kind], point.batch);
    if (!only || strstr(name, only))
        report->points[report->points_n++] = point;
}

static void add_points(struct report *report, const struct options *options)
{
    unsigned step = options->quick ? 2 : 1;
    static const uint32_t sizes[] = { 64, 256, 1024, 4096, 16384 }, batches[] = { 1, 4, 16, 64, 256 };
    for (int kind = SEAL; kind <= OPEN; kind++)
        for (unsigned i = 0; i < 5; i += step)
            for (unsigned k = 0; k < 5; k += step)
                add_point(report, options->only, (struct point){ (enum kind)kind, sizes[i], batches[k] });
    for (int kind = SIGN_P256; kind <= SIGN_RSA; kind++)
        for (unsigned k = 0; k < 3; k += step)
            add_point(report, options->only, (struct point){ (enum kind)kind, 0, batches[k] });
    if (report->points_n == 0)
        bench_die("no point is called '%s'", options->only);
}

static void add(struct report *report, const char *specs, bool router)
{
    if (report->contenders_n == CONTENDERS_MAX)
        bench_die("at most %d devices", CONTENDERS_MAX);
    report->contenders[report->contenders_n++] = (struct contender){ .specs = specs, .router = router };
}

/* --- a child ---------------------------------------------------------------------------------------------------- */

static void say(int fd, const void *data, size_t len)
{
    if (write(fd, data, len) != (ssize_t)len)
        _exit(2);
}

static bool hear(int fd, void *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)data + got, len - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* Says why it is left out, or an empty text; then measures each point that it is told. */
static void child(int from, int to, const struct report *report, const struct contender *c,
    const struct options *options, const struct bench_cert *certs)
{
    char why[sizeof c->why] = "";
    unsigned i;
    struct rig *rig = rig_new(c->specs, c->router, certs, why, sizeof why);
    say(to, why, sizeof why);
    while (rig && hear(from, &i, sizeof i)) {
        const struct point *point = &report->points[i];
        struct answer answer = { .share = 0 };
        if (rig_takes(rig, point)) {
            (void)rig_run(rig, point, options->slice_ns / 2); /* what caches hold, and what a router learns */
            (void)rig_share(rig, point);
            answer.cost = rig_run(rig, point, options->slice_ns);
            answer.share = rig_share(rig, point);
        }
        say(to, &answer, sizeof answer);
    }
    if (rig)
        rig_free(rig);
    exit(0);
}

static void child_start(struct report *report, struct contender *c, const struct options *options,
    const struct bench_cert *certs)
{
    int down[2], up[2];
    fflush(NULL);
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0)
        bench_die("no pipe");
    c->pid = fork();
    if (c->pid == 0) {
        for (unsigned i = 0; i < report->contenders_n; i++) /* else the others would not see their end */
            if (report->contenders[i].pid > 0 && &report->contenders[i] != c)
                close(report->contenders[i].to);
        close(down[1]);
        close(up[0]);
        child(down[0], up[1], report, c, options, certs);
    }
    close(down[0]);
    close(up[1]);
    c->to = down[1];
    c->from = up[0];
    if (c->pid < 0 || !hear(c->from, c->why, sizeof c->why))
        bench_die("%s: it has ended without a word", c->specs);
}

static void child_stop(struct contender *c)
{
    int status;
    close(c->to);
    close(c->from);
    if (waitpid(c->pid, &status, 0) != c->pid || status != 0)
        bench_die("%s: it has not ended well", c->specs);
}

static void measure(struct contender *c, unsigned i)
{
    struct answer answer;
    say(c->to, &i, sizeof i);
    if (!hear(c->from, &answer, sizeof answer))
        bench_die("%s: it has ended at point %u", c->specs, i);
    if (answer.cost.wall_ns > 0) {
        bench_samples_add(&c->wall[i], answer.cost.wall_ns);
        bench_samples_add(&c->cpu[i], answer.cost.cpu_ns);
        c->share[i] = answer.share;
    }
}

/* Each point by all who have it, one straight after the other: what the machine does meanwhile, it does to all. */
static void measure_all(struct report *report, const struct options *options)
{
    unsigned n = report->contenders_n;
    for (unsigned round = 0; round < options->rounds; round++)
        for (unsigned i = 0; i < report->points_n; i++)
            for (unsigned k = 0; k < n; k++) {
                struct contender *c = &report->contenders[(k + round) % n];
                if (c->why[0] == 0)
                    measure(c, i);
            }
}

/* --- all -------------------------------------------------------------------------------------------------------- */

static void default_devices(struct report *report, const char *router)
{
    static const char *const specs[] = { "cpu", "pool:1", "pool:2", "batch", "dpdk:vdev=crypto_aesni_mb",
        "dpdk:vdev=crypto_aesni_gcm", "dpdk:vdev=crypto_openssl", "afalg" };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        add(report, specs[i], false);
    add(report, router ? router : "cpu pool:2", true);
    if (!router)
        add(report, "cpu pool:2 dpdk:vdev=crypto_aesni_mb", true);
}

static void parse(int argc, char **argv, struct options *options, struct report *report)
{
    static const struct option names[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' },
        { "rounds", required_argument, NULL, 'r' }, { "slice", required_argument, NULL, 's' },
        { "only", required_argument, NULL, 'n' }, { "virtual", no_argument, NULL, 'v' },
        { "router", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    const char *router = NULL;
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'q': options->quick = true; break;
        case 'j': options->json = optarg; break;
        case 'r': options->rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': options->slice_ns = strtoul(optarg, NULL, 10) * 1000000u; break;
        case 'n': options->only = optarg; break;
        case 'v': report->no_speed = true; break;
        case 'o': router = optarg; break;
        default:
            fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    for (int i = optind; i < argc; i++)
        add(report, argv[i], false);
    if (optind == argc)
        default_devices(report, router);
    else if (router)
        add(report, router, true);
    if (options->rounds == 0)
        options->rounds = options->quick ? 3 : ROUNDS;
}

int main(int argc, char **argv)
{
    static struct report report;
    struct options options = { .slice_ns = SLICE_MS * 1000000u };
    struct bench_cert certs[BENCH_KEYS];
    parse(argc, argv, &options, &report);
    add_points(&report, &options);
    for (int i = 0; i < BENCH_KEYS; i++)
        certs[i] = bench_cert_make((enum bench_key)i);
    for (unsigned i = 0; i < report.contenders_n; i++)
        child_start(&report, &report.contenders[i], &options, certs);
    measure_all(&report, &options);
    for (unsigned i = 0; i < report.contenders_n; i++)
        child_stop(&report.contenders[i]);
    bench_machine_print(stdout, -1);
    bool ok = report_print(stdout, &report);
    if (options.json) {
        struct bench_json json = { .file = fopen(options.json, "w") };
        if (!json.file)
            bench_die("cannot write %s", options.json);
        bench_json_open(&json, NULL, '{');
        bench_machine_json(&json, -1);
        report_json(&json, &report);
        bench_json_close(&json, '}');
        fclose(json.file);
    }
    for (int i = 0; i < BENCH_KEYS; i++)
        bench_cert_free(&certs[i]);
    return ok ? 0 : 1;
}
