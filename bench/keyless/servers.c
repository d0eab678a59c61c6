/* SPDX-License-Identifier: Apache-2.0 */
/* Key servers in processes of their own, links to them that can be cut, and who asks them. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyless.h"

/* --- papers ------------------------------------------------------------------------------------------------------- */

static void put(const struct papers *papers, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", papers->directory, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        bench_die("%s: cannot be written", path);
}

void papers_make(struct papers *papers)
{
    char keys[96];
    snprintf(papers->directory, sizeof papers->directory, "/tmp/milgi-bench-XXXXXX");
    if (!mkdtemp(papers->directory))
        bench_die("no directory in /tmp");
    papers->self = bench_cert_make(BENCH_ECDSA_P256);
    papers->quick = bench_cert_make(BENCH_ECDSA_P256);
    papers->slow = bench_cert_make_rsa(4096);
    snprintf(keys, sizeof keys, "%s/keys", papers->directory);
    mkdir(keys, 0700);
    put(papers, "self.pem", papers->self.cert_pem);
    put(papers, "self.key", papers->self.key_pem);
    put(papers, "quick.pem", papers->quick.cert_pem);
    put(papers, "keys/quick.key", papers->quick.key_pem);
    put(papers, "slow.pem", papers->slow.cert_pem);
    put(papers, "keys/slow.key", papers->slow.key_pem);
    put(papers, "none.yaml", "port: 0\n");
}

void papers_free(struct papers *papers)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", papers->directory);
    (void)!system(command);
    bench_cert_free(&papers->self);
    bench_cert_free(&papers->quick);
    bench_cert_free(&papers->slow);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

static void run_milgi(const char *milgi, const char *listen)
{
    execl(milgi, "milgi", "keyserver", "--listen", listen, "--cert", "self.pem", "--key", "self.key", "--client-ca",
        "self.pem", "--sign-cert", "quick.pem", "--sign-key", "keys/quick.key", "--sign-cert", "slow.pem", "--sign-key",
        "keys/slow.key", (char *)NULL);
}

static void run_gokeyless(const char *gokeyless, const char *port)
{
    if (!freopen("/dev/null", "w", stderr))
        return;
    execl(gokeyless, "gokeyless", "-c", "none.yaml", "--hostname", "localhost", "--zone_id", "x", "--origin_ca_api_key",
        "x", "--auth_cert", "self.pem", "--auth_key", "self.key", "--cloudflare_ca_cert", "self.pem", "--port", port,
        "--metrics_port", "0", "--private_key_dirs", "keys", "-l", "5", (char *)NULL);
}

static int connected(unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int rv = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return rv == 0;
}

/* One that nobody listens on now. */
static unsigned free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        bench_die("no port is free");
    close(fd);
    return ntohs(address.sin_port);
}

void keyserver_start(struct keyserver *server, const struct papers *papers, const char *milgi, const char *gokeyless)
{
    char listen[32], port[16];
    if (!server->port)
        server->port = free_port();
    snprintf(listen, sizeof listen, "127.0.0.1:%u", server->port);
    snprintf(port, sizeof port, "%u", server->port);
    fflush(NULL);
    server->pid = fork();
    if (server->pid < 0)
        bench_die("no process can be made");
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(papers->directory) || !freopen("/dev/null", "w", stdout))
            _exit(127);
        if (gokeyless)
            run_gokeyless(gokeyless, port);
        else
            run_milgi(milgi, listen);
        _exit(127);
    }
    for (unsigned i = 0; !connected(server->port); i++) {
        if (i == 1000 || waitpid(server->pid, NULL, WNOHANG) != 0)
            bench_die("%s does not start", gokeyless ? gokeyless : milgi);
        usleep(10000);
    }
}

void keyserver_signal(const struct keyserver *server, int number)
{
    if (kill(server->pid, number))
        bench_die("a key server is gone: %s", strerror(errno));
}

void keyserver_kill(struct keyserver *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/* --- links -------------------------------------------------------------------------------------------------------- */

#define PIECE 65536

struct half {
    uv_tcp_t tcp;
    struct half *other;
    struct pair *pair;
    char bytes[PIECE];
    uv_write_t write;
    uv_buf_t buf;
};

struct pair {
    struct half side[2];
    uv_connect_t connect;
    unsigned open;
    struct pair *next, *prev;
    bool ended;
};

static struct {
    struct link *links;
    uv_loop_t loop;
    uv_tcp_t listener[SERVERS];
    struct pair *pairs[SERVERS];
    uv_timer_t look;
    uv_async_t stop;
    uv_thread_t thread;
} all;

static void on_closed(uv_handle_t *handle)
{
    struct pair *pair = ((struct half *)handle)->pair;
    if (--pair->open == 0)
        free(pair);
}

static void end(struct pair *pair)
{
    if (pair->ended)
        return;
    pair->ended = true;
    for (unsigned i = 0; i < SERVERS; i++)
        if (all.pairs[i] == pair)
            all.pairs[i] = pair->next;
    if (pair->prev)
        pair->prev->next = pair->next;
    if (pair->next)
        pair->next->prev = pair->prev;
    for (unsigned i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&pair->side[i].tcp, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    *buf = (uv_buf_t){ .base = ((struct half *)handle)->bytes, .len = PIECE };
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
    struct half *from = write->data;
    if (status)
        end(from->pair);
    else if (!from->pair->ended)
        uv_read_start((uv_stream_t *)&from->tcp, on_alloc, on_read);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct half *from = (struct half *)stream;
    if (len < 0) {
        end(from->pair);
        return;
    }
    if (len == 0)
        return;
    uv_read_stop(stream);
    from->buf = (uv_buf_t){ .base = buf->base, .len = (size_t)len };
    from->write.data = from;
    if (uv_write(&from->write, (uv_stream_t *)&from->other->tcp, &from->buf, 1, on_written))
        end(from->pair);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct pair *pair = connect->data;
    if (status)
        end(pair);
    if (pair->ended)
        return;
    for (unsigned i = 0; i < 2; i++) {
        uv_tcp_nodelay(&pair->side[i].tcp, 1);
        uv_read_start((uv_stream_t *)&pair->side[i].tcp, on_alloc, on_read);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    unsigned which = (unsigned)((uv_tcp_t *)listener - all.listener);
    struct pair *pair = status ? NULL : calloc(1, sizeof *pair);
    struct sockaddr_in address;
    if (!pair)
        bench_die("a link cannot be made");
    pair->open = 2;
    for (unsigned i = 0; i < 2; i++) {
        pair->side[i].pair = pair;
        pair->side[i].other = &pair->side[!i];
        uv_tcp_init(&all.loop, &pair->side[i].tcp);
    }
    pair->next = all.pairs[which];
    if (pair->next)
        pair->next->prev = pair;
    all.pairs[which] = pair;
    uv_accept(listener, (uv_stream_t *)&pair->side[0].tcp);
    uv_ip4_addr("127.0.0.1", (int)all.links[which].to, &address);
    pair->connect.data = pair;
    if (atomic_load(&all.links[which].cut) ||
        uv_tcp_connect(&pair->connect, &pair->side[1].tcp, (const struct sockaddr *)&address, on_connected))
        end(pair);
}

static void on_look(uv_timer_t *timer)
{
    (void)timer;
    for (unsigned i = 0; i < SERVERS; i++)
        while (atomic_load(&all.links[i].cut) && all.pairs[i])
            end(all.pairs[i]);
}

static void on_stop(uv_async_t *async)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        uv_close((uv_handle_t *)&all.listener[i], NULL);
        while (all.pairs[i])
            end(all.pairs[i]);
    }
    uv_close((uv_handle_t *)&all.look, NULL);
    uv_close((uv_handle_t *)async, NULL);
}

static void run(void *arg)
{
    (void)arg;
    uv_run(&all.loop, UV_RUN_DEFAULT);
}

void links_start(struct link links[SERVERS])
{
    struct sockaddr_in address;
    all.links = links;
    uv_loop_init(&all.loop);
    uv_async_init(&all.loop, &all.stop, on_stop);
    uv_timer_init(&all.loop, &all.look);
    uv_timer_start(&all.look, on_look, 5, 5);
    for (unsigned i = 0; i < SERVERS; i++) {
        int len = sizeof address;
        uv_ip4_addr("127.0.0.1", 0, &address);
        uv_tcp_init(&all.loop, &all.listener[i]);
        if (uv_tcp_bind(&all.listener[i], (const struct sockaddr *)&address, 0) ||
            uv_listen((uv_stream_t *)&all.listener[i], 16, on_connection) ||
            uv_tcp_getsockname(&all.listener[i], (struct sockaddr *)&address, &len))
            bench_die("a link cannot listen");
        links[i].port = ntohs(address.sin_port);
    }
    uv_thread_create(&all.thread, run, NULL);
}

void links_stop(void)
{
    uv_async_send(&all.stop);
    uv_thread_join(&all.thread);
    uv_loop_close(&all.loop);
}

/* --- a device ----------------------------------------------------------------------------------------------------- */

struct milgi_device *device_for(const struct papers *papers, const char *addresses, uint32_t hedge_percent)
{
    struct milgi_keyless_options options;
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    struct milgi_device *device;
    const char *why = "papers";
    if (!config || milgi_trust_new_pem(papers->self.cert_pem, papers->self.cert_len, &trust) ||
        milgi_credential_new_pem(papers->self.cert_pem, papers->self.cert_len, papers->self.key_pem,
            papers->self.key_len, &credential) ||
        milgi_config_set_trust(config, trust) || milgi_config_add_credential(config, credential) ||
        milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_3) || milgi_config_freeze(config, &why))
        bench_die("the config for key servers: %s", why);
    milgi_keyless_options_init(&options);
    options.servers = addresses;
    options.server_name = "localhost";
    options.config = config;
    options.hedge_percent = hedge_percent;
    if (milgi_keyless_new(&options, &device, &why))
        bench_die("%s", why);
    milgi_config_unref(config);
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
    return device;
}
