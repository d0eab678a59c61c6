/* SPDX-License-Identifier: Apache-2.0 */
#include "servers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "configs.h"
#include "crypto/sign.h"
#include "folder.h"
#include "op/material.h"

const struct identity *servers_root, *servers_self, *servers_client;
static struct identity *key; /* whose private half only the servers have */
static struct milgi__crypto *cx;
static struct milgi__pkey *private;
static unsigned files;

void servers_set_up(void)
{
    struct identity_options client = {
        .key = IDENTITY_P256, .common_name = "client", .purpose = IDENTITY_FOR_CLIENT
    };
    servers_root = client.issuer = identity_root(IDENTITY_P256, "key servers");
    servers_self = identity_leaf(servers_root, IDENTITY_P256, "IP:127.0.0.1,DNS:localhost");
    servers_client = identity_new(&client);
    key = identity_leaf(servers_root, IDENTITY_P256, "DNS:server.test");
    struct milgi_credential *c = configs_credential(key);
    cx = milgi__crypto_new();
    private = milgi__pkey_new(cx, c->pkcs8, c->pkcs8_len);
    assert_non_null(private);
    milgi_credential_unref(c);
}

void servers_tear_down(void)
{
    milgi__pkey_free(private);
    milgi__crypto_free(cx);
    identity_free(key);
    identity_free((struct identity *)(uintptr_t)servers_client);
    identity_free((struct identity *)(uintptr_t)servers_self);
    identity_free((struct identity *)(uintptr_t)servers_root);
}

struct milgi_config *servers_options(struct milgi_keyless_options *options, const char *addresses)
{
    milgi_keyless_options_init(options);
    options->servers = addresses;
    struct milgi_config *config = configs_begin(MILGI_CLIENT, servers_client, servers_root);
    assert_int_equal(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_3), 0); /* gokeyless speaks 1.2 */
    options->config = configs_freeze(config);
    return config;
}

/* --- a process ---------------------------------------------------------------------------------------------------- */

static char *file(const char *text)
{
    char name[32];
    snprintf(name, sizeof name, "%u.pem", files++);
    return identity_write(folder(), name, text);
}

static void add(char **argv, unsigned *n, const char *option, char *value)
{
    argv[(*n)++] = strdup(option);
    argv[(*n)++] = value;
}

void keyserver_begin(struct keyserver_process *process, const struct identity *const *identities, unsigned n)
{
    char *argv[64], listen[32], line[128] = "";
    unsigned argc = 0;
    int out[2];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", process->port);
    argv[argc++] = strdup(MILGI_COMMAND);
    argv[argc++] = strdup("keyserver");
    add(argv, &argc, "--listen", strdup(listen));
    add(argv, &argc, "--device", strdup("pool:2"));
    add(argv, &argc, "--cert", file(servers_self->chain_pem));
    add(argv, &argc, "--key", file(servers_self->key_pem));
    add(argv, &argc, "--client-ca", file(servers_root->cert_pem));
    for (unsigned i = 0; i < n; i++) {
        add(argv, &argc, "--sign-cert", file(identities[i]->chain_pem));
        add(argv, &argc, "--sign-key", file(identities[i]->key_pem));
    }
    argv[argc] = NULL;
    assert_int_equal(pipe(out), 0);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execv(MILGI_COMMAND, argv);
        _exit(127);
    }
    close(out[1]);
    process->out = out[0];
    size_t len = 0;
    while (len < sizeof line - 1 && read(out[0], line + len, 1) == 1 && line[len] != '\n')
        len++;
    const char *colon = strrchr(line, ':');
    assert_non_null(colon);
    process->port = (unsigned)atoi(colon + 1);
    for (unsigned i = 0; i < argc; i++)
        free(argv[i]);
}

static bool is_listening(unsigned port)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uv_ip4_addr("127.0.0.1", (int)port, &address);
    bool listening = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return listening;
}

void gokeyless_begin(
    struct keyserver_process *process, const char *program, const struct identity *const *identities, unsigned n)
{
    char keys[128], name[32], port[16];
    char *config = identity_write(folder(), "none.yaml", "port: 0\n");
    char *cert = file(servers_self->chain_pem), *private_key = file(servers_self->key_pem);
    char *ca = file(servers_root->cert_pem);
    snprintf(keys, sizeof keys, "%s/keys", folder());
    assert_int_equal(mkdir(keys, 0700), 0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%u.key", i);
        free(identity_write(keys, name, identities[i]->key_pem));
    }
    process->port = 20000 + (unsigned)getpid() % 20000; /* below those that the system gives out */
    snprintf(port, sizeof port, "%u", process->port);
    process->out = open("/dev/null", O_RDONLY);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program, "gokeyless", "-c", config, "--hostname", "localhost", "--zone_id", "x", "--origin_ca_api_key",
            "x", "--auth_cert", cert, "--auth_key", private_key, "--cloudflare_ca_cert", ca, "--port", port,
            "--metrics_port", "0", "--private_key_dirs", keys, "-l", "5", (char *)NULL);
        _exit(127);
    }
    for (unsigned i = 0; !is_listening(process->port); i++) {
        assert_true(i < 2000 && waitpid(process->pid, NULL, WNOHANG) == 0);
        usleep(10000);
    }
    process->is_other = true;
    free(config);
    free(cert);
    free(private_key);
    free(ca);
}

void keyserver_end(struct keyserver_process *process)
{
    int status;
    kill(process->pid, SIGTERM);
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    assert_true(process->is_other || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    close(process->out);
}

/* --- one that does as it is told ---------------------------------------------------------------------------------- */

struct told_client {
    struct told_client *next;
    struct told_server *server;
    struct milgi_stream *stream;
    uint8_t rx[MILGI__KEYLESS_MAX];
    size_t rx_len;
};

static uv_loop_t loop;
static uv_timer_t tick;
static struct milgi_uv *uv;

static void nothing(uv_timer_t *timer)
{
    (void)timer;
}

void told_loop_open(void)
{
    uv_loop_init(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, nothing, 1, 1);
    assert_int_equal(milgi_uv_new(&loop, NULL, &uv), 0);
}

void told_loop_close(void)
{
    uv_close((uv_handle_t *)&tick, NULL);
    milgi_uv_stop(uv, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

void told_turn(void)
{
    uv_run(&loop, UV_RUN_ONCE);
}

static void say(struct told_client *c, const void *bytes, size_t len)
{
    if (c->stream)
        assert_true(milgi_stream_write(c->stream, bytes, len) >= 0);
}

static void answer(struct told_client *c, const struct milgi__keyless_message *message)
{
    static uint8_t bytes[MILGI__KEYLESS_MAX];
    say(c, bytes, milgi__keyless_write(message, bytes));
}

static void take(struct told_client *c, const struct milgi__keyless_message *m)
{
    struct told_server *s = c->server;
    if (m->opcode == MILGI__KEYLESS_PING) {
        s->pings_n++;
        if (!s->dumb)
            answer(c, &(struct milgi__keyless_message){ .id = m->id, .opcode = MILGI__KEYLESS_PONG });
        return;
    }
    assert_true(s->asked_n < TOLD_MAX && m->payload_len <= sizeof s->asked[0].payload);
    struct asked *asked = &s->asked[s->asked_n++];
    *asked = (struct asked){ .client = c, .id = m->id, .opcode = m->opcode, .payload_len = m->payload_len };
    memcpy(asked->ski, m->ski, sizeof m->ski);
    memcpy(asked->payload, m->payload, m->payload_len);
    memcpy(asked->sni, m->sni ? m->sni : (const uint8_t *)"", m->sni_len);
    if (s->answers)
        told_sign(s, s->asked_n - 1);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct told_client *c = arg;
    struct milgi__keyless_message m;
    size_t whole;
    int rv;
    for (size_t i = 0; i < n; i++) {
        assert_true(c->rx_len + slices[i].len <= sizeof c->rx);
        memcpy(c->rx + c->rx_len, slices[i].data, slices[i].len);
        c->rx_len += slices[i].len;
        milgi_stream_consumed(stream, slices[i].len);
        while ((rv = milgi__keyless_parse(c->rx, c->rx_len, &m, &whole)) > 0) {
            take(c, &m);
            c->rx_len -= whole;
            memmove(c->rx, c->rx + whole, c->rx_len);
        }
        assert_int_equal(rv, 0);
    }
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    ((struct told_client *)arg)->stream = NULL;
    milgi_stream_close(stream);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    (void)stream;
    (void)reason;
    ((struct told_client *)arg)->stream = NULL;
}

static void on_gone(void *arg)
{
    struct told_client *c = arg, **at = &c->server->first;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    for (unsigned i = 0; i < c->server->asked_n; i++)
        if (c->server->asked[i].client == c)
            c->server->asked[i].client = NULL;
    free(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    static const struct milgi_stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_close = on_close, .on_gone = on_gone
    };
    struct told_server *s = listener->data;
    struct told_client *c = calloc(1, sizeof *c);
    assert_true(status == 0 && c);
    c->server = s;
    c->next = s->first;
    s->first = c;
    s->connections++;
    assert_int_equal(milgi_uv_accept(uv, listener, s->config, &events, c, &c->stream), 0);
}

void told_open(struct told_server *s, unsigned port)
{
    struct sockaddr_in address;
    int len = sizeof address;
    memset(s, 0, sizeof *s);
    s->config = configs_begin(MILGI_SERVER, servers_self, servers_root);
    assert_int_equal(milgi_config_set_client_auth(s->config, MILGI_CLIENT_AUTH_REQUIRED), 0);
    configs_freeze(s->config);
    uv_ip4_addr("127.0.0.1", (int)port, &address);
    uv_tcp_init(&loop, &s->listener);
    s->listener.data = s;
    assert_int_equal(uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 16, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &len), 0);
    s->port = (unsigned)(address.sin_port >> 8 | (address.sin_port & 0xff) << 8);
    s->listening = s->answers = true;
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
}

void told_deafen(struct told_server *s)
{
    bool closed = !s->listening;
    s->listening = false;
    if (!closed)
        uv_close((uv_handle_t *)&s->listener, NULL);
}

void told_cut(struct told_server *s, bool hard)
{
    for (struct told_client *c = s->first; c; c = c->next) {
        struct milgi_stream *stream = c->stream;
        c->stream = NULL;
        if (stream && hard)
            milgi_stream_reset(stream);
        else if (stream)
            milgi_stream_close(stream);
    }
}

void told_close(struct told_server *s)
{
    told_deafen(s);
    told_cut(s, true);
    UNTIL(!s->first && !uv_is_active((uv_handle_t *)&s->listener));
    milgi_config_unref(s->config);
}

void told_answer(struct told_server *s, unsigned i, const struct milgi__keyless_message *message)
{
    struct milgi__keyless_message m = *message;
    m.id = s->asked[i].id;
    if (s->asked[i].client)
        answer(s->asked[i].client, &m);
}

void told_sign(struct told_server *s, unsigned i)
{
    const struct asked *asked = &s->asked[i];
    uint8_t sig[MILGI_SIGNATURE_MAX];
    size_t len = sizeof sig;
    int made = milgi__pkey_sign_hashed(
        cx, private, milgi__keyless_scheme(asked->opcode), asked->payload, asked->payload_len, sig, &len);
    assert_int_equal(made, 0);
    told_answer(s, i,
        &(struct milgi__keyless_message){ .opcode = MILGI__KEYLESS_RESPONSE, .payload = sig, .payload_len = len });
}

void told_error(struct told_server *s, unsigned i, uint8_t error)
{
    told_answer(s, i,
        &(struct milgi__keyless_message){ .opcode = MILGI__KEYLESS_ERROR, .payload = &error, .payload_len = 1 });
}

void told_say(struct told_server *s, const void *bytes, size_t len)
{
    for (struct told_client *c = s->first; c; c = c->next)
        say(c, bytes, len);
}

/* --- ops ---------------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(void *ctx)
{
    (void)ctx;
    return uv_hrtime();
}

void asker_open(struct asker *a, struct milgi_device *device, const char *uri)
{
    static const struct milgi_clock clock = { .monotonic_ns = monotonic_ns };
    memset(a, 0, sizeof *a);
    a->device = device;
    a->qp = device->ops->qp_open(device, &clock);
    assert_non_null(a->qp);
    assert_int_equal(milgi_credential_new_uri(key->chain_pem, strlen(key->chain_pem), uri, &a->credential), 0);
    milgi_key_init(&a->key, a->credential, a->loaded);
    a->loaded[0] = device->ops->key_load(a->qp, &a->key);
}

void asker_close(struct asker *a)
{
    assert_int_equal(a->device->ops->quiesce(a->qp, 0), 0);
    (void)asker_back(a);
    assert_int_equal(a->back_n, a->ops_n);
    if (a->loaded[0])
        a->device->ops->key_free(a->qp, &a->key, a->loaded[0]);
    a->device->ops->qp_close(a->qp);
    milgi_credential_unref(a->credential);
}

unsigned asker_ask(struct asker *a)
{
    unsigned i = a->ops_n++;
    struct milgi_op *op = &a->ops[i];
    assert_true(i < TOLD_MAX);
    *op = (struct milgi_op){
        .type = MILGI_OP_SIGN, .cls = MILGI_OP_CLASS_HANDSHAKE, .alg = MILGI_SIG_ECDSA_SECP256R1_SHA256, .key = &a->key
    };
    op->u.sign.input_len = 4;
    memcpy(op->u.sign.input, &i, 4);
    assert_int_equal(a->device->ops->enqueue(a->qp, &op, 1), 1);
    return i;
}

unsigned asker_back(struct asker *a)
{
    struct milgi_op *ops[16];
    unsigned n;
    while ((n = a->device->ops->dequeue(a->qp, ops, 16)) > 0) {
        for (unsigned k = 0; k < n; k++) {
            assert_true(ops[k] >= a->ops && ops[k] < a->ops + a->ops_n);
            bool *back = &a->back[ops[k] - a->ops];
            assert_false(*back);
            *back = true;
            a->back_n++;
        }
    }
    return a->back_n;
}

void asker_good(struct asker *a, unsigned i)
{
    const struct milgi_op *op = &a->ops[i];
    const struct milgi_op_sign *s = &op->u.sign;
    assert_true(a->back[i]);
    if (op->status != MILGI_OP_OK)
        fail_msg("op %u: %s, code %d", i, milgi_op_status_name(op->status), (int)op->device_code);
    assert_int_equal(milgi__verify(cx, a->credential->spki, a->credential->spki_len, op->alg, s->input, s->input_len,
                         s->sig, s->sig_len),
        0);
}

void asker_bad(struct asker *a, unsigned i, int code)
{
    assert_true(a->back[i]);
    assert_int_equal(a->ops[i].status, MILGI_OP_BROKEN);
    assert_int_equal(a->ops[i].device_code, code);
}
