/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waves of handshakes, as the script `run` asks for them on the standard input, a line each:
 *
 *   wave N on|off MS     cpu COUNT P5 P50 P95 P99: nanoseconds of the server's CPU for a handshake, making and
 *                        freeing it included; answer COUNT P5 ...: nanoseconds from the arrival of the wave to the
 *                        server's answer
 *
 *   wave N on|off MS KIND   the same with another kind of handshake than 1.3: hybrid, 1.2, resumed
 *
 * Each answer ends in a line "end", or is "no REASON". The first line says which lanes there are.
 *
 * In a wave N clients have said hello at once. The server reads them as a loop does, EVENTS of them, then a turn, and
 * so on; then the clients answer, all at once again. Clients have an engine of their own, and nobody times them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <milgi/milgi.h>

#include "shake.h"

#define EVENTS 64u /* that a loop hands out at once */
#define WAVE_MAX 512u
#define FLIGHT_MAX 4096u /* what hosts read at first */
#define TEXT_MAX 65536u

struct end {
    struct milgi_conn *conn;
    struct end *peer;
    uint8_t in[FLIGHT_MAX]; /* what the peer has said */
    size_t in_len;
    uint64_t answered_ns;
    bool established;
};

static struct {
    struct milgi_engine *engine[3]; /* of clients; of the server, without and with the device */
    struct kind {
        struct milgi_config *config[2]; /* NULL: not asked for yet */
        struct milgi_session *session;  /* SHAKE_13_RESUMED: what all clients stand on */
    } kind[SHAKES];
    enum shake shake;
    struct milgi_device *device;
    struct end *end[2];
    bool runnable[3];
} bench;

static void must(int rv, const char *what)
{
    if (rv < 0)
        bench_die("%s: %s", what, milgi_error_text(rv));
}

/* --- what engines call -------------------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct end *end = arg, *peer = end->peer;
    size_t len = 0;

    if (!end->answered_ns)
        end->answered_ns = bench_now_ns();
    for (size_t i = 0; i < n; i++) {
        if (peer->in_len + iov[i].len > FLIGHT_MAX)
            bench_die("a flight is longer than %u bytes", FLIGHT_MAX);
        memcpy(peer->in + peer->in_len, iov[i].data, iov[i].len);
        peer->in_len += iov[i].len;
        len += iov[i].len;
    }
    milgi_conn_output_done(conn, len);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++)
        milgi_conn_consumed(conn, slices[i].len);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct milgi_conn_info info;

    milgi_conn_info(conn, &info);
    if (info.resumed != (bench.kind[bench.shake].session != NULL))
        bench_die("resumed, or not, as it should not be");
    ((struct end *)arg)->established = true;
}

static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    (void)conn;
    (void)arg;
    milgi_session_unref(bench.kind[bench.shake].session);
    bench.kind[bench.shake].session = milgi_session_ref(session);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    (void)arg;
    bench_die("closed: %s: %s", milgi_error_text(reason->error), reason->detail);
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_closed = on_closed,
    .on_session = on_session,
};

static void schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    *(bool *)ctx = true;
}

/* --- set up once -------------------------------------------------------------------------------------------------- */

static char *text_of(const char *dir, const char *name, size_t *len)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, TEXT_MAX);
    *len = file && text ? fread(text, 1, TEXT_MAX - 1, file) : 0;
    if (*len == 0)
        bench_die("cannot read '%s'", path);
    fclose(file);
    return text;
}

static void issue_tickets(struct milgi_config *c)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    struct milgi_ticket_keys *keys;

    must(milgi_ticket_keys_new(secret, 7200, time(NULL), &keys), "ticket keys");
    must(milgi_config_set_ticket_keys(c, keys), "ticket keys");
    must(milgi_config_set_tickets(c, 1), "tickets");
    milgi_ticket_keys_unref(keys);
}

static struct milgi_config *config(const char *dir, enum side side, enum shake shake)
{
    struct milgi_config *c = milgi_config_new(side == SERVER ? MILGI_SERVER : MILGI_CLIENT);
    const char *why = "";
    size_t cert_len, key_len;

    if (!c)
        bench_die("out of memory");
    milgi_shake(c, shake, MILGI_SUITE_AES_128_GCM_SHA256);
    if (side == SERVER && shake == SHAKE_13_RESUMED)
        issue_tickets(c);
    if (side == SERVER) {
        struct milgi_credential *credential;
        char *cert = text_of(dir, "ecdsa.crt", &cert_len), *key = text_of(dir, "ecdsa.key", &key_len);
        must(milgi_credential_new_pem(cert, cert_len, key, key_len, &credential), "credential");
        must(milgi_config_add_credential(c, credential), "credential");
        milgi_credential_unref(credential);
        free(cert);
        free(key);
    } else {
        must(milgi_config_dangerously_accept_any_server(c), "trust"); /* nobody times clients */
    }
    if (milgi_config_freeze(c, &why) != 0)
        bench_die("config: %s", why);
    return c;
}

/* The lanes that this processor has; those of libcrypto show what is around them, and gain nothing. */
static const char *open_device(const char *spec)
{
    const char *why = "";

    if (milgi_device_new(spec, &bench.device, &why) == 0)
        return "mb";
    if (milgi_device_new("batch:lanes=libcrypto", &bench.device, &why) != 0)
        bench_die("batch: %s", why);
    return "libcrypto";
}

static void set_up(const char *spec)
{
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_engine_options options;
        milgi_engine_options_init(&options);
        options.schedule = schedule;
        options.schedule_ctx = &bench.runnable[i];
        must(milgi_engine_new(&options, &bench.engine[i]), "engine");
    }
    for (enum side side = CLIENT; side <= SERVER; side++) {
        bench.end[side] = calloc(WAVE_MAX, sizeof(struct end));
        if (!bench.end[side])
            bench_die("out of memory");
    }
    printf("%s\n", open_device(spec));
    int index = milgi_engine_add_device(bench.engine[2], bench.device);
    must(index, "device");
    must(milgi_engine_route(bench.engine[2], bench.device->caps.ops, (unsigned)index, 0), "route");
}

/* --- a wave ------------------------------------------------------------------------------------------------------- */

static void run(unsigned engine)
{
    struct milgi_run_result result;

    do {
        bench.runnable[engine] = false;
        must(milgi_engine_run(bench.engine[engine], 0, &result), "run");
    } while (bench.runnable[engine] || result.next == MILGI_RUN_AGAIN);
}

static void begin(struct end *end, unsigned engine)
{
    const struct kind *kind = &bench.kind[bench.shake];
    bool server = engine > 0;

    int rv = milgi_conn_new(
        bench.engine[engine], kind->config[server], server ? NULL : "localhost", &events, end, &end->conn);
    must(rv, "connection");
    if (!server && kind->session)
        must(milgi_conn_set_session(end->conn, kind->session), "session");
}

static void hear(struct end *end)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(end->conn, FLIGHT_MAX);
    uint32_t len = (uint32_t)end->in_len;

    if (!chunk)
        bench_die("no chunk");
    memcpy(milgi_chunk_data(chunk), end->in, len);
    end->in_len = 0;
    must(milgi_conn_receive(end->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), len }), "receive");
}

/* What has come to one side, as a loop brings it. */
static void hear_all(enum side side, unsigned n, unsigned engine, bool new)
{
    for (unsigned i = 0; i < n; i++) {
        struct end *end = &bench.end[side][i];
        if (new)
            begin(end, engine);
        hear(end);
        if ((i + 1) % EVENTS == 0 || i + 1 == n)
            run(engine);
    }
}

/* For a profile: `perf report --comm server` shows the server alone. */
static void name_thread(const char *name)
{
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

static void wave(unsigned n, unsigned engine, struct bench_samples *cpu, struct bench_samples *answer)
{
    struct end *client = bench.end[CLIENT], *server = bench.end[SERVER];

    for (unsigned i = 0; i < n; i++) {
        client[i] = (struct end){ .peer = &server[i] };
        server[i] = (struct end){ .peer = &client[i] };
        begin(&client[i], 0);
    }
    run(0);
    name_thread("server");
    uint64_t arrived_ns = bench_now_ns(), begin_ns = bench_cpu_ns();
    hear_all(SERVER, n, engine, true);
    uint64_t spent_ns = bench_cpu_ns() - begin_ns;
    name_thread("client");
    for (unsigned i = 0; i < n; i++) {
        if (!server[i].answered_ns)
            bench_die("the server has not answered");
        bench_samples_add(answer, (double)(server[i].answered_ns - arrived_ns));
    }
    hear_all(CLIENT, n, 0, false);
    name_thread("server");
    begin_ns = bench_cpu_ns();
    hear_all(SERVER, n, engine, false);
    for (unsigned i = 0; i < n; i++) {
        if (!server[i].established)
            bench_die("the server is not established");
        milgi_conn_free(server[i].conn);
    }
    run(engine);
    bench_samples_add(cpu, (double)(spent_ns + bench_cpu_ns() - begin_ns) / n);
    name_thread("client");
    for (unsigned i = 0; i < n; i++)
        milgi_conn_free(client[i].conn);
    run(0);
}

/* A session for those who come after: the client hears what is said to it behind the handshake. */
static void meet(void)
{
    struct end *client = bench.end[CLIENT], *server = bench.end[SERVER];

    *client = (struct end){ .peer = server };
    *server = (struct end){ .peer = client };
    begin(client, 0);
    run(0);
    hear_all(SERVER, 1, 1, true);
    while (client->in_len || server->in_len) {
        if (client->in_len)
            hear_all(CLIENT, 1, 0, false);
        if (server->in_len)
            hear_all(SERVER, 1, 1, false);
    }
    if (!bench.kind[bench.shake].session)
        bench_die("there is no session");
    milgi_conn_free(client->conn);
    milgi_conn_free(server->conn);
    run(0);
    run(1);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void tell(const char *what, const struct bench_samples *samples)
{
    printf("%s %zu", what, samples->n);
    for (unsigned i = 0; i < 4; i++)
        printf(" %.2f", bench_samples_percentile(samples, (const double[]){ 5, 50, 95, 99 }[i]));
    printf("\n");
}

/* From now on handshakes are of this kind; false: there is no such. */
static bool be_of(const char *dir, enum shake shake)
{
    if (shake == SHAKES || shake == SHAKE_13_BARE || !milgi_shakes(shake))
        return false;
    bench.shake = shake;
    struct kind *kind = &bench.kind[shake];
    if (kind->config[CLIENT])
        return true;
    for (enum side side = CLIENT; side <= SERVER; side++)
        kind->config[side] = config(dir, side, shake);
    if (shake == SHAKE_13_RESUMED)
        meet();
    return true;
}

static void serve(unsigned n, bool on, uint64_t ns)
{
    static struct bench_samples cpu, answer;
    uint64_t end_ns = bench_now_ns() + ns;

    wave(n, 1 + on, &cpu, &answer); /* what was idle is warm */
    bench_samples_clear(&cpu);
    bench_samples_clear(&answer);
    do
        wave(n, 1 + on, &cpu, &answer);
    while (bench_now_ns() < end_ns);
    tell("cpu", &cpu);
    tell("answer", &answer);
    printf("end\n");
}

int main(int argc, char **argv)
{
    char line[256], on[8], kind[16];
    unsigned n;
    int words;
    double ms;

    if (argc != 3 && argc != 4)
        bench_die("%s CPU FOLDER [DEVICE]: the folder has the certificates", argv[0]);
    bench_pin((int)strtol(argv[1], NULL, 10));
    set_up(argc == 4 ? argv[3] : "batch");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        words = sscanf(line, "wave %u %7s %lf %15s", &n, on, &ms, kind);
        if (words >= 3 && n >= 1 && n <= WAVE_MAX && be_of(argv[2], words == 4 ? shake_named(kind) : SHAKE_13))
            serve(n, strcmp(on, "on") == 0, (uint64_t)(ms * 1e6));
        else
            printf("no such request\n");
        fflush(stdout);
    }
    return 0;
}
