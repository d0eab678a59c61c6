/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each device by itself in a process of its own (a device may need one), then the router with them; in turn, and
 * several times.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices.h"

static const char usage[] =
    "bench_devices [--quick] [--json FILE] [--rounds N] [--slice MS] [--virtual] [--router 'SPEC SPEC...'] [SPEC...]\n"
    "  SPEC         devices to measure; by default cpu, pool:1, pool:2, batch, and what is here of dpdk and afalg\n"
    "  --router     those that a router is given; 'cpu pool:2', and with dpdk:vdev=crypto_aesni_mb where that is here\n"
    "  --quick      fewer points, 3 rounds\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of everything in turn; 7: the medians are told\n"
    "  --slice MS   how long a point is measured each time; 8\n"
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
    const char *json;
    unsigned rounds;
    uint64_t slice_ns;
};

static void add_points(struct report *report, bool quick)
{
    static const uint32_t sizes[] = { 64, 256, 1024, 4096, 16384 }, batches[] = { 1, 4, 16, 64, 256 };
    for (int kind = SEAL; kind <= OPEN; kind++)
        for (unsigned i = 0; i < 5; i += quick ? 2 : 1)
            for (unsigned k = 0; k < 5; k += quick ? 2 : 1)
                report->points[report->points_n++] = (struct point){ (enum kind)kind, sizes[i], batches[k] };
    for (int kind = SIGN_P256; kind <= SIGN_RSA; kind++)
        for (unsigned k = 0; k < 3; k += quick ? 2 : 1)
            report->points[report->points_n++] = (struct point){ (enum kind)kind, 0, batches[k] };
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

static void child(int fd, const struct report *report, const struct contender *c, const struct options *options,
    const struct bench_cert *certs)
{
    char why[sizeof c->why] = "";
    struct rig *rig = rig_new(c->specs, c->router, certs, why, sizeof why);
    say(fd, why, sizeof why);
    for (unsigned i = 0; rig && i < report->points_n; i++) {
        const struct point *point = &report->points[i];
        struct answer answer = { .share = 0 };
        if (rig_takes(rig, point)) {
            (void)rig_run(rig, point, c->router ? options->slice_ns : options->slice_ns / 4); /* what a router learns */
            (void)rig_share(rig, point);
            answer.cost = rig_run(rig, point, options->slice_ns);
            answer.share = rig_share(rig, point);
        }
        say(fd, &answer, sizeof answer);
    }
    if (rig)
        rig_free(rig);
    exit(0);
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

static void measure(struct report *report, struct contender *c, const struct options *options,
    const struct bench_cert *certs)
{
    int fds[2], status;
    struct answer answer;
    fflush(NULL);
    if (pipe(fds) != 0)
        bench_die("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(fds[1], report, c, options, certs);
    }
    close(fds[1]);
    if (pid < 0 || !hear(fds[0], c->why, sizeof c->why))
        bench_die("%s: it has ended without a word", c->specs);
    for (unsigned i = 0; c->why[0] == 0 && i < report->points_n; i++) {
        if (!hear(fds[0], &answer, sizeof answer))
            bench_die("%s: it has ended at point %u", c->specs, i);
        if (answer.cost.wall_ns > 0) {
            bench_samples_add(&c->wall[i], answer.cost.wall_ns);
            bench_samples_add(&c->cpu[i], answer.cost.cpu_ns);
            c->share[i] = answer.share;
        }
    }
    close(fds[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        bench_die("%s: it has not ended well", c->specs);
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
        { "virtual", no_argument, NULL, 'v' }, { "router", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    const char *router = NULL;
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'q': options->quick = true; break;
        case 'j': options->json = optarg; break;
        case 'r': options->rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': options->slice_ns = strtoul(optarg, NULL, 10) * 1000000u; break;
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
    add_points(&report, options.quick);
    for (int i = 0; i < BENCH_KEYS; i++)
        certs[i] = bench_cert_make((enum bench_key)i);
    for (unsigned round = 0; round < options.rounds; round++)
        for (unsigned i = 0; i < report.contenders_n; i++)
            if (report.contenders[i].why[0] == 0)
                measure(&report, &report.contenders[i], &options, certs);
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
