/* SPDX-License-Identifier: Apache-2.0 */
/* What a storm of RSA handshakes does to the connections that the same loop serves. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/resource.h>

#include "tail.h"

#define WANTED 2.0
#define STORM_LEAST 0.5 /* of what the other CPU could sign: less is no storm */
#define WARM_S 0.2      /* of a load, before anything is measured */

static const char usage[] =
    "bench_tail [--quick] [--json FILE] [--rounds N] [--slice MS] [--echoes N] [--rate N] [--clients N] [--bits N]\n"
    "           [--turn US] [--only WORD] [--realtime]\n"
    "  --quick      fewer rounds: less than a minute\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all designs in turn; 20, or 5 with --quick\n"
    "  --slice MS   quiet, and again in the storm, for each design and round; 700\n"
    "  --echoes N   connections that echo; 200\n"
    "  --rate N     messages a second on all of them; 2000\n"
    "  --clients N  handshakes at once; 32\n"
    "  --bits N     of the RSA key; 4096\n"
    "  --turn US    Milgi's budget of a turn; 200\n"
    "  --only WORD  just the designs in whose name this occurs\n"
    "  --realtime   before everything else that the machine does: for one that has other work\n"
    "Exit status: 0 if the target was met, 1 if not, 2 if something went wrong.\n";

/* The first is the one of the target. */
static const struct design designs[] = {
    { "Milgi, pool", milgi_loop, SIGN_INLINE, "pool:1" },
    { "Milgi, cpu", milgi_loop, SIGN_INLINE, NULL },
    { "OpenSSL, inline", openssl_loop, SIGN_INLINE, NULL },
    { "OpenSSL, fibers, eventfd", openssl_loop, SIGN_OFFLOAD_FD, NULL },
    { "OpenSSL, fibers, callback", openssl_loop, SIGN_OFFLOAD_CALLBACK, NULL },
};
#define DESIGNS (sizeof(designs) / sizeof(designs[0]))

struct options {
    bool quick;
    unsigned rounds, echoes, rate, clients, bits;
    uint64_t slice_ms, turn_us;
    const char *json, *only;
};

/* Quiet: the other CPU has as many signatures to make, and the loop no handshakes. */
enum phase {
    QUIET,
    STORM,
    PHASES
};
static const char *const phase_names[PHASES] = { "quiet", "storm" };

struct score {
    const struct design *design;
    struct server server;
    struct echo *echo;
    struct bench_samples us[PHASES]; /* of all rounds */
    struct bench_samples p99[PHASES];
    double seconds[PHASES], cpu_s[PHASES], done[PHASES]; /* handshakes, or signatures */
    double rate;                                         /* handshakes a second in the last storm */
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
        { "slice", required_argument, NULL, 's' }, { "echoes", required_argument, NULL, 'e' },
        { "rate", required_argument, NULL, 'm' }, { "clients", required_argument, NULL, 'c' },
        { "bits", required_argument, NULL, 'b' }, { "turn", required_argument, NULL, 't' },
        { "only", required_argument, NULL, 'o' }, { "realtime", no_argument, NULL, 'R' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct options o = { .echoes = 200, .rate = 2000, .clients = 32, .bits = 4096, .slice_ms = 700, .turn_us = 200 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': o.quick = true; break;
        case 'j': o.json = optarg; break;
        case 'r': o.rounds = (unsigned)number(optarg, 1, 100000); break;
        case 's': o.slice_ms = number(optarg, 10, 100000); break;
        case 'e': o.echoes = (unsigned)number(optarg, 1, 1000); break;
        case 'm': o.rate = (unsigned)number(optarg, 1, 100000); break;
        case 'c': o.clients = (unsigned)number(optarg, 1, 1000); break;
        case 'b': o.bits = (unsigned)number(optarg, 2048, 4096); break;
        case 't': o.turn_us = number(optarg, 1, 1000000); break;
        case 'o': o.only = optarg; break;
        case 'R': bench_realtime(); break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc)
        bench_die("unknown argument '%s'", argv[optind]);
    if (o.rounds == 0)
        o.rounds = o.quick ? 5 : 20;
    return o;
}

static void sleep_s(double seconds)
{
    const struct timespec t = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };

    nanosleep(&t, NULL);
}

/* --- phases ----------------------------------------------------------------------------------------------------- */

/* What the storm left behind is over: the loop has only those that echo. */
static void settle(const struct score *score, unsigned echoes)
{
    for (int i = 0; atomic_load(&score->server.conns) != echoes; i++) {
        if (i == 6000)
            bench_die("%s: connections are left over; if the machine has other work: --realtime", score->design->name);
        sleep_s(0.01);
    }
    sleep_s(0.05);
}

static void run_phase(struct score *score, enum phase phase, const struct options *o, bool recorded)
{
    struct load load = { .ground = score->server.ground, .port = score->server.port, .clients = o->clients };
    struct bench_samples us = { 0 };

    load.rate = score->rate;
    if (phase == STORM)
        storm_begin(&load);
    else
        burn_begin(&load);
    sleep_s(WARM_S);
    unsigned long done = atomic_load(&load.done);
    uint64_t began = bench_now_ns(), cpu = server_cpu_ns(&score->server);
    echo_run(score->echo, (double)o->slice_ms / 1e3, o->rate, &us);
    double seconds = (double)(bench_now_ns() - began) / 1e9;
    double cpu_s = (double)(server_cpu_ns(&score->server) - cpu) / 1e9;
    double now_done = (double)(atomic_load(&load.done) - done);
    load_end(&load);
    settle(score, o->echoes);
    if (phase == STORM)
        score->rate = now_done / seconds;
    if (recorded) {
        score->seconds[phase] += seconds;
        score->cpu_s[phase] += cpu_s;
        score->done[phase] += now_done;
        bench_samples_add(&score->p99[phase], bench_samples_percentile(&us, 99));
        for (size_t i = 0; i < us.n; i++)
            bench_samples_add(&score->us[phase], us.v[i]);
    }
    bench_samples_free(&us);
}

/* --- results ---------------------------------------------------------------------------------------------------- */

static double times(const struct score *s, double percent)
{
    return bench_samples_percentile(&s->us[STORM], percent) / bench_samples_percentile(&s->us[QUIET], percent);
}

/* Of what the other CPU could sign, if it did nothing else. */
static double stormy(const struct score *s, double alone)
{
    return s->done[STORM] / s->seconds[STORM] / alone;
}

static bool met(const struct score *s, double alone)
{
    return times(s, 99) <= WANTED && stormy(s, alone) >= STORM_LEAST;
}

static void print_scores(const struct score *scores, unsigned n)
{
    static const double shown[] = { 50, 99, 99.9 };

    printf("\n%-27s %-6s %9s %9s %9s %9s   %12s %9s\n", "echo, us", "", "p50", "p99", "p99.9", "most", "handshakes/s",
        "loop CPU");
    for (unsigned i = 0; i < n; i++) {
        const struct score *s = &scores[i];
        for (int phase = 0; phase < PHASES; phase++) {
            const struct bench_samples *us = &s->us[phase];
            printf("%-27s %-6s %9.0f %9.0f %9.0f %9.0f   %12.0f %7.1f %%\n", phase == QUIET ? s->design->name : "",
                phase_names[phase], bench_samples_percentile(us, 50), bench_samples_percentile(us, 99),
                bench_samples_percentile(us, 99.9), bench_samples_percentile(us, 100),
                phase == QUIET ? 0 : s->done[phase] / s->seconds[phase], 100 * s->cpu_s[phase] / s->seconds[phase]);
        }
        printf("%-27s %-6s", "", "x");
        for (size_t k = 0; k < sizeof shown / sizeof shown[0]; k++)
            printf(" %9.2f", times(s, shown[k]));
        putchar('\n');
    }
}

static void json_phase(struct bench_json *json, const struct score *s, enum phase phase)
{
    static const struct {
        const char *name;
        double percent;
    } shown[] = { { "p50_us", 50 }, { "p90_us", 90 }, { "p99_us", 99 }, { "p99_9_us", 99.9 }, { "p99_99_us", 99.99 },
        { "max_us", 100 } };

    bench_json_open(json, phase_names[phase], '{');
    bench_json_number(json, "messages", (double)s->us[phase].n);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        bench_json_number(json, shown[i].name, bench_samples_percentile(&s->us[phase], shown[i].percent));
    bench_json_number(json, "p99_median_of_rounds_us", bench_samples_median(&s->p99[phase]));
    bench_json_number(
        json, phase == STORM ? "handshakes_per_s" : "signatures_per_s", s->done[phase] / s->seconds[phase]);
    bench_json_number(json, "loop_cpu_share", s->cpu_s[phase] / s->seconds[phase]);
    bench_json_close(json, '}');
}

static void write_json(FILE *file, const struct options *o, const struct ground *ground, const struct score *scores,
    unsigned n, double alone)
{
    struct bench_json json = { .file = file };

    bench_json_open(&json, NULL, '{');
    bench_json_text(&json, "program", "tail");
    bench_machine_json(&json, ground->place.loop);
    bench_json_open(&json, "rules", '{');
    bench_json_number(&json, "rounds", o->rounds);
    bench_json_number(&json, "slice_ms", (double)o->slice_ms);
    bench_json_number(&json, "echoing_connections", o->echoes);
    bench_json_number(&json, "messages_per_s", o->rate);
    bench_json_number(&json, "message_bytes", MESSAGE);
    bench_json_number(&json, "handshakes_at_once", o->clients);
    bench_json_number(&json, "rsa_bits", o->bits);
    bench_json_number(&json, "turn_us", (double)o->turn_us);
    bench_json_number(&json, "cpu_of_loop", ground->place.loop);
    bench_json_number(&json, "cpu_of_clients_and_workers", ground->place.other);
    bench_json_number(&json, "signatures_per_s_of_one_cpu", alone);
    bench_json_text(&json, "latency", "from the moment when a message was meant to be sent to that when it is back");
    bench_json_text(&json, "quiet", "as many RSA signatures a second on the other CPU as in that design's storm");
    bench_json_close(&json, '}');
    bench_json_open(&json, "results", '[');
    for (unsigned i = 0; i < n; i++) {
        bench_json_open(&json, NULL, '{');
        bench_json_text(&json, "design", scores[i].design->name);
        for (int phase = 0; phase < PHASES; phase++)
            json_phase(&json, &scores[i], phase);
        bench_json_number(&json, "p99_ratio", times(&scores[i], 99));
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    bench_json_open(&json, "targets", '[');
    if (scores[0].design == &designs[0]) {
        bench_json_open(&json, NULL, '{');
        bench_json_text(&json, "what", "p99 of the echo in the storm, times its quiet p99: Milgi, pool");
        bench_json_number(&json, "wanted_at_most", WANTED);
        bench_json_number(&json, "ratio", times(&scores[0], 99));
        bench_json_bool(&json, "met", met(&scores[0], alone));
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    bench_json_close(&json, '}');
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static unsigned set_up(struct score *scores, const struct options *o, const struct ground *ground)
{
    unsigned n = 0;

    for (unsigned i = 0; i < DESIGNS; i++) {
        if (o->only && !strstr(designs[i].name, o->only))
            continue;
        struct score *s = &scores[n++];
        s->design = &designs[i];
        server_start(&s->server, s->design, ground);
        s->echo = echo_new(&s->server, o->echoes);
    }
    if (n == 0)
        bench_die("no design has '%s' in its name", o->only);
    return n;
}

static void tear_down(struct score *scores, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        echo_free(scores[i].echo);
        server_stop(&scores[i].server);
        for (int phase = 0; phase < PHASES; phase++) {
            bench_samples_free(&scores[i].us[phase]);
            bench_samples_free(&scores[i].p99[phase]);
        }
    }
}

/* What the other CPU can sign in a second when it does nothing else. */
static double signatures_alone(const struct ground *ground)
{
    struct load load = { .ground = ground, .rate = 1e9 };

    burn_begin(&load);
    sleep_s(WARM_S);
    unsigned long done = atomic_load(&load.done);
    uint64_t began = bench_now_ns();
    sleep_s(2 * WARM_S);
    double rate = (double)(atomic_load(&load.done) - done) * 1e9 / (double)(bench_now_ns() - began);
    load_end(&load);
    return rate;
}

static void print_rules(const struct options *o, const struct ground *ground, double alone)
{
    bench_machine_print(stdout, ground->place.loop);
    printf("%u connections echo %u messages of %u bytes a second; %u handshakes with RSA %u at once\n", o->echoes,
        o->rate, MESSAGE, o->clients, o->bits);
    printf("the loop on CPU %d; on CPU %d the clients and one worker, alone it could sign %.0f a second\n",
        ground->place.loop, ground->place.other, alone);
    printf("%u rounds of %.1f s, quiet and storm, for each\n", o->rounds, (double)o->slice_ms / 1e3);
    fflush(stdout);
}

static bool measure(const struct options *o, const struct ground *ground)
{
    static struct score scores[DESIGNS];
    FILE *json = NULL;
    bool ok = true;

    if (o->json && !(json = fopen(o->json, "w")))
        bench_die("cannot write '%s'", o->json);
    double alone = signatures_alone(ground);
    unsigned n = set_up(scores, o, ground);
    print_rules(o, ground, alone);
    for (unsigned round = 0; round <= o->rounds; round++) {
        for (unsigned i = 0; i < n; i++) {
            /* The first storm tells how many signatures the quiet is to have. */
            if (round > 0)
                run_phase(&scores[i], QUIET, o, true);
            run_phase(&scores[i], STORM, o, round > 0);
        }
    }
    print_scores(scores, n);
    if (json) {
        write_json(json, o, ground, scores, n, alone);
        if (fclose(json) != 0)
            bench_die("cannot write '%s'", o->json);
    }
    if (scores[0].design == &designs[0]) {
        ok = met(&scores[0], alone);
        printf("\n%-5s p99 of the echo in the storm is %.2f x its quiet p99: Milgi, pool; wanted: at most %.1f",
            ok ? "ok" : "short", times(&scores[0], 99), WANTED);
        if (stormy(&scores[0], alone) < STORM_LEAST)
            printf("; but it was no storm: %.0f handshakes a second", stormy(&scores[0], alone) * alone);
        putchar('\n');
    }
    tear_down(scores, n);
    return ok;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct rlimit files;
    int cpus[BENCH_CPUS_MAX];
    unsigned n = bench_cpus(cpus);

    if (n < 2)
        bench_die("two CPUs are needed");
    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct ground ground = { .rsa_bits = o.bits, .place = { cpus[n - 1], cpus[n - 2] }, .turn_ns = o.turn_us * 1000 };
    ground.cert = bench_cert_make_rsa(o.bits);
    if (!bench_place(ground.place.other, BENCH_FIRST))
        puts("Without the right to SCHED_FIFO, clients of the storm and workers share what the echo leaves them: "
             "handshakes come in heaps.");
    bool ok = measure(&o, &ground);
    bench_cert_free(&ground.cert);
    return ok ? 0 : 1;
}
