/* SPDX-License-Identifier: Apache-2.0 */
/* What engines call, on their threads; and the device's life. */
#include "keyless.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define S_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)
#define TIME_MAX_NS (3600 * S_NS)
#define DEPTH_MAX 65536u
#define END_NS S_NS /* for the thread to end, unless it waits for a name */
#define WAKE_NS 15000u

struct list {
    struct milgi_op *first, *last;
};

struct milgi_qp {
    struct milgi__keyless *k;
    int fd;
    bool armed, rung;
    struct list asked, done; /* ops that requests are for; that have come back */
    struct list refused;     /* in a child of fork(): what it has tried there */
    unsigned in_flight;
};

/* In op.scratch while the device has it. */
struct ticket {
    struct milgi_op *next, *prev;
    struct milgi__keyless_request *request; /* NULL: it has come back */
    unsigned server;                        /* whose signature that is */
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

static struct ticket *ticket(const struct milgi_op *op)
{
    return (struct ticket *)(uintptr_t)op->scratch;
}

static struct milgi__keyless *keyless_of(struct milgi_device *device)
{
    return (struct milgi__keyless *)device;
}

uint64_t milgi__keyless_now(void)
{
    return uv_hrtime();
}

/* --- a child of fork() has no thread, and the lock as it was ------------------------------------------------------ */

static pthread_once_t forks_once = PTHREAD_ONCE_INIT;
static _Atomic unsigned forks;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork);
}

static bool is_here(const struct milgi__keyless *k)
{
    return k->forks == atomic_load_explicit(&forks, memory_order_relaxed);
}

/* --- ops come back, under the lock -------------------------------------------------------------------------------- */

static void append(struct list *list, struct milgi_op *op)
{
    ticket(op)->next = NULL;
    ticket(op)->prev = list->last;
    if (list->last)
        ticket(list->last)->next = op;
    else
        list->first = op;
    list->last = op;
}

static void take_out(struct list *list, struct milgi_op *op)
{
    struct ticket *t = ticket(op);
    if (t->prev)
        ticket(t->prev)->next = t->next;
    else
        list->first = t->next;
    if (t->next)
        ticket(t->next)->prev = t->prev;
    else
        list->last = t->prev;
}

static void give_back(struct milgi_qp *qp, struct milgi_op *op, int status, int code)
{
    static const uint64_t one = 1;
    op->status = (uint8_t)status;
    op->device_code = code;
    ticket(op)->request = NULL;
    append(&qp->done, op);
    if (!qp->armed)
        return;
    qp->armed = false;
    qp->rung = write(qp->fd, &one, sizeof one) == (ssize_t)sizeof one;
}

/* Takes its op from a request, which works on for nobody then. */
static struct milgi_op *take_away(struct milgi__keyless_request *request)
{
    struct milgi_op *op = request->op;
    request->op = NULL;
    if (!op)
        return NULL;
    take_out(&request->qp->asked, op);
    if (!request->qp->asked.first)
        pthread_cond_broadcast(&request->qp->k->calm);
    return op;
}

void milgi__keyless_give(struct milgi__keyless *k, struct milgi__keyless_request *request, int code,
    const struct milgi__keyless_server *server, const struct milgi__keyless_message *message)
{
    pthread_mutex_lock(&k->lock);
    struct milgi_qp *qp = request->qp;
    struct milgi_op *op = take_away(request);
    if (op && !code) {
        memcpy(op->u.sign.sig, message->payload, message->payload_len);
        op->u.sign.sig_len = (uint16_t)message->payload_len;
        ticket(op)->server = server->index;
        give_back(qp, op, MILGI_OP_OK, 0);
    } else if (op) {
        k->stats.failed++;
        give_back(qp, op, MILGI_OP_BROKEN, code);
    }
    pthread_mutex_unlock(&k->lock);
}

bool milgi__keyless_wanted(struct milgi__keyless *k, struct milgi__keyless_request *request)
{
    pthread_mutex_lock(&k->lock);
    bool wanted = request->op != NULL;
    pthread_mutex_unlock(&k->lock);
    return wanted;
}

bool milgi__keyless_begin(struct milgi__keyless *k, struct milgi__keyless_request *request)
{
    pthread_mutex_lock(&k->lock);
    bool wanted = request->op != NULL;
    request->begun = true;
    pthread_mutex_unlock(&k->lock);
    return wanted;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

void milgi__keyless_key_unref(struct milgi__keyless_key *key)
{
    if (key && atomic_fetch_sub(&key->refs, 1) == 1)
        free(key);
}

static bool take_ski(struct milgi__keyless_key *key, const char *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if (len != 2 * sizeof key->ski)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *digit = strchr(digits, tolower((unsigned char)text[i]));
        if (!digit || !*digit)
            return false;
        key->ski[i / 2] = (uint8_t)(key->ski[i / 2] << 4 | (digit - digits));
    }
    return true;
}

/* "sni=NAME;ski=HEX", either or neither: |*named| if it says which key. */
static bool take_attributes(struct milgi__keyless_key *key, const char *text, bool *named)
{
    *named = false;
    while (*text) {
        size_t len = strcspn(text, ";");
        if (strncmp(text, "sni=", 4) == 0 && len > 4 && len - 4 <= sizeof key->sni) {
            key->sni_len = (uint8_t)(len - 4);
            memcpy(key->sni, text + 4, len - 4);
        } else if (strncmp(text, "ski=", 4) == 0 && take_ski(key, text + 4, len - 4)) {
            *named = true;
        } else {
            return false;
        }
        text += len + (text[len] ? 1 : 0);
    }
    return true;
}

static void *keyless_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    static const char scheme[] = "keyless:";
    const struct milgi_credential *credential = key->loaded.credential;
    const char *uri = key->kind == MILGI_KEY_PRIVATE && credential ? milgi_credential_key_uri(credential) : NULL;
    bool named;
    (void)qp;
    if (!uri || strncasecmp(uri, scheme, sizeof scheme - 1) != 0)
        return NULL;
    struct milgi__keyless_key *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    atomic_init(&made->refs, 1);
    const char *type = milgi_credential_key_type(credential), *bits = strrchr(type, ' ');
    snprintf(made->type, sizeof made->type, "%s", type);
    if (!strncmp(type, "RSA", 3) && bits)
        made->sig_len = (uint16_t)((unsigned)atoi(bits) / 8);
    else if (!strcmp(type, "Ed25519"))
        made->sig_len = 64;
    if (take_attributes(made, uri + sizeof scheme - 1, &named) &&
        (named || !milgi_credential_key_id(credential, made->ski)))
        return made;
    free(made);
    return NULL;
}

static void keyless_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    (void)key;
    milgi__keyless_key_unref(loaded);
}

/* --- ops come ----------------------------------------------------------------------------------------------------- */

static int keyless_supports(struct milgi_device *device, int type, uint16_t alg)
{
    (void)device;
    return type == MILGI_OP_SIGN && milgi__keyless_opcode(alg) != 0;
}

/* Whether the key makes such signatures: what a server makes of others is its own affair. */
static bool fits(const struct milgi__keyless_key *key, uint16_t scheme, bool any_curve)
{
    switch (scheme) {
    case MILGI_SIG_ECDSA_SECP256R1_SHA256: return !strncmp(key->type, "ECDSA P-256", any_curve ? 5 : 11);
    case MILGI_SIG_ECDSA_SECP384R1_SHA384: return !strncmp(key->type, "ECDSA P-384", any_curve ? 5 : 11);
    case MILGI_SIG_ECDSA_SECP521R1_SHA512: return !strncmp(key->type, "ECDSA P-521", any_curve ? 5 : 11);
    case MILGI_SIG_ED25519: return !strcmp(key->type, "Ed25519");
    case MILGI_SIG_RSA_PSS_PSS_SHA256:
    case MILGI_SIG_RSA_PSS_PSS_SHA384:
    case MILGI_SIG_RSA_PSS_PSS_SHA512: return !strncmp(key->type, "RSA-PSS", 7);
    default: return !strncmp(key->type, "RSA ", 4);
    }
}

static unsigned kind_of(uint8_t opcode)
{
    unsigned row = opcode >> 4; /* RSA, ECDSA, PSS: three hashes of each */
    return opcode == MILGI__KEYLESS_ED25519 ? 9 : (row == 0 ? 0 : row == 1 ? 3
                                                                           : 6) +
            (opcode & 15u) - 5;
}

/* A request for |op|; NULL: it cannot be made, as |*code| says. */
static struct milgi__keyless_request *request_of(struct milgi_qp *qp, struct milgi_op *op, int *code)
{
    uint8_t room[MILGI_OP_HASH_MAX];
    const uint8_t *data;
    size_t len;
    uint8_t opcode = milgi__keyless_opcode(op->alg);
    const struct milgi_key *key = op->key;
    *code = MILGI_CODE_MALFORMED;
    if (op->type != MILGI_OP_SIGN || (opcode && milgi_op_to_sign(op, room, &data, &len)))
        return NULL;
    *code = MILGI_CODE_NO_KEY;
    if (!key || key->kind != MILGI_KEY_PRIVATE || op->dev >= MILGI_DEVICES_MAX || !key->loaded.dev[op->dev])
        return NULL;
    *code = MILGI_CODE_KEYLESS_SCHEME;
    if (!opcode)
        return NULL;
    *code = MILGI_CODE_NO_KEY;
    if (!fits(key->loaded.dev[op->dev], op->alg, op->u.sign.any_curve || op->u.sign.hashed))
        return NULL;
    *code = MILGI_CODE_KEYLESS_LONG;
    if (len > MILGI__KEYLESS_PAYLOAD_MAX)
        return NULL;
    *code = MILGI_CODE_KEYLESS_MEMORY;
    struct milgi__keyless_request *request = malloc(sizeof *request + len);
    if (!request)
        return NULL;
    *request = (struct milgi__keyless_request){ .qp = qp,
        .op = op,
        .opcode = opcode,
        .kind = (uint8_t)kind_of(opcode),
        .born_ns = milgi__keyless_now(),
        .key = key->loaded.dev[op->dev],
        .payload_len = (uint32_t)len };
    atomic_fetch_add(&request->key->refs, 1);
    memset(request->place, 0xff, sizeof request->place);
    memcpy(request->payload, data, len);
    return request;
}

/* In a child of fork(). */
static unsigned refuse_ops(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        *ticket(ops[i]) = (struct ticket){ 0 };
        ops[i]->status = MILGI_OP_BROKEN;
        ops[i]->device_code = MILGI_CODE_KEYLESS_FORK;
        append(&qp->refused, ops[i]);
    }
    return n;
}

static unsigned take_refused(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;
    for (; got < n && qp->refused.first; got++) {
        ops[got] = qp->refused.first;
        take_out(&qp->refused, ops[got]);
    }
    return got;
}

static void hand_over(struct milgi__keyless *k, struct milgi__keyless_request *request)
{
    struct milgi__keyless_list *came = &k->came;
    bool first = !came->first;
    if (first)
        came->first = request;
    else
        came->last->line.next = request;
    came->last = request;
    if (first)
        uv_async_send(&k->wake);
}

static unsigned keyless_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    struct milgi__keyless *k = qp->k;
    unsigned taken = 0;
    if (!is_here(k))
        return refuse_ops(qp, ops, n);
    for (; taken < n && qp->in_flight < k->options.depth; taken++) {
        int code;
        struct milgi_op *op = ops[taken];
        struct milgi__keyless_request *request = request_of(qp, op, &code);
        *ticket(op) = (struct ticket){ .request = request };
        qp->in_flight++;
        pthread_mutex_lock(&k->lock);
        k->stats.requests++;
        if (request) {
            append(&qp->asked, op);
            hand_over(k, request);
        } else {
            k->stats.failed++;
            give_back(qp, op, MILGI_OP_BROKEN, code);
        }
        pthread_mutex_unlock(&k->lock);
    }
    return taken;
}

static unsigned keyless_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;
    uint64_t count;
    if (!is_here(qp->k))
        return take_refused(qp, ops, n);
    pthread_mutex_lock(&qp->k->lock);
    if (qp->rung)
        qp->rung = read(qp->fd, &count, sizeof count) != (ssize_t)sizeof count;
    for (; got < n && qp->done.first; got++) {
        ops[got] = qp->done.first;
        take_out(&qp->done, ops[got]);
    }
    pthread_mutex_unlock(&qp->k->lock);
    qp->in_flight -= got;
    return got;
}

static int keyless_notify_fd(struct milgi_qp *qp)
{
    return qp->fd;
}

static int keyless_arm(struct milgi_qp *qp)
{
    if (!is_here(qp->k))
        return qp->refused.first != NULL;
    pthread_mutex_lock(&qp->k->lock);
    bool waiting = qp->done.first != NULL;
    qp->armed = !waiting;
    pthread_mutex_unlock(&qp->k->lock);
    return waiting;
}

static void keyless_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    if (!is_here(qp->k))
        return;
    pthread_mutex_lock(&qp->k->lock);
    struct milgi__keyless_request *request = ticket(op)->request;
    if (request && !request->begun) {
        give_back(qp, take_away(request), MILGI_OP_CANCELLED, 0);
        qp->k->cancelled++;
        uv_async_send(&qp->k->wake);
    }
    pthread_mutex_unlock(&qp->k->lock);
}

/* The engine has it given out again then, and it is asked for elsewhere. */
static void keyless_wrong(struct milgi_qp *qp, const struct milgi_op *op)
{
    if (!is_here(qp->k))
        return;
    pthread_mutex_lock(&qp->k->lock);
    qp->k->liars |= 1u << ticket(op)->server;
    qp->k->stats.wrong++;
    uv_async_send(&qp->k->wake);
    pthread_mutex_unlock(&qp->k->lock);
}

/* Takes away the ops of |qp|, or only those that nobody has been asked for yet. */
static void take_back(struct milgi_qp *qp, bool begun)
{
    struct milgi_op *next;
    for (struct milgi_op *op = qp->asked.first; op; op = next) {
        struct milgi__keyless_request *request = ticket(op)->request;
        next = ticket(op)->next;
        if (!begun && request->begun)
            continue;
        qp->k->cancelled += !request->begun;
        give_back(qp, take_away(request), MILGI_OP_CANCELLED, 0);
    }
}

/* False: the time is over. */
static bool wait_until(struct milgi__keyless *k, uint64_t ns)
{
    struct timespec at = { .tv_sec = (time_t)(ns / S_NS), .tv_nsec = (long)(ns % S_NS) };
    return pthread_cond_timedwait(&k->calm, &k->lock, &at) == 0;
}

static int keyless_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    struct milgi__keyless *k = qp->k;
    if (!is_here(k))
        return 0; /* nobody is, who could write to anything */
    uint64_t now = milgi__keyless_now(), end = limit_ns < TIME_MAX_NS ? now + limit_ns : now + TIME_MAX_NS;
    pthread_mutex_lock(&k->lock);
    take_back(qp, false);
    while (limit_ns && qp->asked.first && wait_until(k, end)) {
    }
    take_back(qp, true);
    pthread_mutex_unlock(&k->lock);
    return 0;
}

static struct milgi_qp *keyless_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = is_here(keyless_of(device)) ? calloc(1, sizeof *qp) : NULL;
    (void)clock;
    if (!qp)
        return NULL;
    qp->k = keyless_of(device);
    qp->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (qp->fd >= 0)
        return qp;
    free(qp);
    return NULL;
}

static void keyless_qp_close(struct milgi_qp *qp)
{
    close(qp->fd);
    free(qp);
}

void milgi_keyless_stats(struct milgi_device *device, struct milgi_keyless_stats *stats)
{
    struct milgi__keyless *k = keyless_of(device);
    *stats = (struct milgi_keyless_stats){ 0 };
    if (!is_here(k))
        return;
    pthread_mutex_lock(&k->lock);
    *stats = k->stats;
    pthread_mutex_unlock(&k->lock);
}

/* --- its thread --------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct milgi__keyless *k = timer->data;
    k->timer_ns = UINT64_MAX;
    milgi__keyless_pump(k);
}

static void stop(struct milgi__keyless *k)
{
    k->stopping_now = true;
    milgi__keyless_fail_all(k, MILGI_CODE_KEYLESS_NO_SERVER);
    for (unsigned i = 0; i < k->servers_n; i++)
        milgi__keyless_server_stop(&k->server[i]);
    uv_close((uv_handle_t *)&k->wake, NULL);
    uv_close((uv_handle_t *)&k->timer, NULL);
    milgi_uv_stop(k->uv, NULL, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct milgi__keyless *k = wake->data;
    pthread_mutex_lock(&k->lock);
    bool stopping = k->stopping;
    pthread_mutex_unlock(&k->lock);
    if (stopping && !uv_is_closing((uv_handle_t *)wake))
        stop(k);
    else if (!stopping)
        milgi__keyless_pump(k);
}

static void free_device(struct milgi__keyless *k)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        free(k->server[i].rx);
    milgi_config_unref(k->options.config);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->calm);
    free(k->server_name);
    free(k);
}

static void *run(void *arg)
{
    struct milgi__keyless *k = arg;
    milgi__keyless_pump(k);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
    pthread_mutex_lock(&k->lock);
    k->over = true;
    bool left = k->left;
    pthread_cond_broadcast(&k->calm);
    pthread_mutex_unlock(&k->lock);
    if (left)
        free_device(k);
    return NULL;
}

static void keyless_destroy(struct milgi_device *device)
{
    struct milgi__keyless *k = keyless_of(device);
    uint64_t end = milgi__keyless_now() + END_NS;
    if (!is_here(k))
        return; /* the thread is not here, nor what it holds */
    pthread_mutex_lock(&k->lock);
    k->stopping = true;
    uv_async_send(&k->wake);
    while (!k->over && wait_until(k, end)) {
    }
    bool over = k->over;
    pthread_t thread = k->thread;
    k->left = !over;
    pthread_mutex_unlock(&k->lock);
    if (!over) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    free_device(k);
}

/* --- making it ---------------------------------------------------------------------------------------------------- */

static const struct milgi_device_ops keyless_ops = {
    .name = "keyless",
    .supports = keyless_supports,
    .qp_open = keyless_qp_open,
    .qp_close = keyless_qp_close,
    .key_load = keyless_key_load,
    .key_free = keyless_key_free,
    .enqueue = keyless_enqueue,
    .dequeue = keyless_dequeue,
    .notify_fd = keyless_notify_fd,
    .arm = keyless_arm,
    .cancel = keyless_cancel,
    .wrong = keyless_wrong,
    .quiesce = keyless_quiesce,
    .destroy = keyless_destroy,
};

void milgi_keyless_options_init(struct milgi_keyless_options *options)
{
    *options = (struct milgi_keyless_options){
        .timeout_ns = 5 * S_NS,
        .hedge_percent = 10,
        .depth = 16384,
        .ping_ns = 10 * S_NS,
    };
}

static bool is_port(const char *text, size_t len)
{
    unsigned long port = 0;
    if (!len || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = 10 * port + (unsigned long)(text[i] - '0');
    }
    return port > 0 && port <= 65535;
}

/* "host:port" or "[v6]:port" of |len| bytes. */
static bool take_server(struct milgi__keyless_server *server, const char *text, size_t len)
{
    size_t colon = len, host;
    while (colon && text[colon - 1] != ':')
        colon--;
    if (colon < 2 || !is_port(text + colon, len - colon) || len >= sizeof server->shown)
        return false;
    host = colon - 1;
    memcpy(server->shown, text, len);
    memcpy(server->port, text + colon, len - colon);
    bool v6 = *text == '[';
    if (v6 && (host < 3 || text[host - 1] != ']'))
        return false;
    if (v6) {
        text++;
        host -= 2;
    }
    if (host >= sizeof server->host || (!v6 && memchr(text, ':', host)) || memchr(text, ' ', host))
        return false;
    memcpy(server->host, text, host);
    return true;
}

static const char no_memory[] = "out of memory";

static const char *take_servers(struct milgi__keyless *k, const char *text)
{
    while (text) {
        const char *comma = strchr(text, ',');
        size_t len = comma ? (size_t)(comma - text) : strlen(text);
        if (k->servers_n == MILGI_KEYLESS_SERVERS_MAX)
            return "keyless: at most 16 key servers";
        struct milgi__keyless_server *server = &k->server[k->servers_n];
        if (!take_server(server, text, len))
            return "keyless: key servers are host:port,host:port ...";
        server->k = k;
        server->index = k->servers_n++;
        server->name = k->server_name ? k->server_name : server->host;
        server->rx = malloc(MILGI__KEYLESS_MAX);
        if (!server->rx)
            return no_memory;
        milgi__keyless_server_init(server);
        text = comma ? comma + 1 : NULL;
    }
    return NULL;
}

static const char *fault_of(const struct milgi_keyless_options *o)
{
    if (!o->servers || !*o->servers)
        return "keyless: no key server is named";
    if (!o->config)
        return "keyless: a client's config says whom to trust, and who it is";
    if (o->timeout_ns < MS_NS || o->timeout_ns > TIME_MAX_NS || o->ping_ns < MS_NS || o->ping_ns > TIME_MAX_NS)
        return "keyless: timeout and ping are times from 1ms to 3600s";
    if (!o->depth || o->depth > DEPTH_MAX)
        return "keyless: depth is 1 to 65536 ops";
    return o->hedge_percent > 100 ? "keyless: hedge is a number of percent" : NULL;
}

static void describe(struct milgi__keyless *k)
{
    snprintf(k->device.spec, sizeof k->device.spec, "keyless:%s", k->options.servers);
    k->options.servers = NULL;
    k->device.ops = &keyless_ops;
    k->device.on_part = k->options.on_part;
    k->device.part_ctx = k->options.part_ctx;
    k->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_REMOTE | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED,
        .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
        .parallelism = MILGI__KEYLESS_WINDOW * k->servers_n,
        .max_in_flight = k->options.depth,
        .best_batch = k->options.depth < 32 ? k->options.depth : 32,
        .min_record = UINT32_MAX,
        .wake_ns = WAKE_NS,
    };
}

static bool make_lock(struct milgi__keyless *k)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr))
        return false;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bool lock = !pthread_mutex_init(&k->lock, NULL), made = lock && !pthread_cond_init(&k->calm, &attr);
    if (lock && !made)
        pthread_mutex_destroy(&k->lock);
    pthread_condattr_destroy(&attr);
    return made;
}

/* The loop with its handles; the thread's from when it runs. */
static int make_loop(struct milgi__keyless *k)
{
    if (uv_loop_init(&k->loop))
        return MILGI_ELIMIT;
    if (uv_async_init(&k->loop, &k->wake, on_wake)) {
        uv_loop_close(&k->loop);
        return MILGI_ELIMIT;
    }
    uv_timer_init(&k->loop, &k->timer);
    k->wake.data = k->timer.data = k;
    k->on_timer = on_timer;
    k->timer_ns = UINT64_MAX;
    int rv = milgi_uv_new(&k->loop, NULL, &k->uv);
    if (!rv)
        return 0;
    uv_close((uv_handle_t *)&k->wake, NULL);
    uv_close((uv_handle_t *)&k->timer, NULL);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
    return rv;
}

/* The application's signals are not for this thread. */
static int start(struct milgi__keyless *k)
{
    sigset_t all, before;
    int rv = make_loop(k);
    if (rv)
        return rv;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&k->thread, NULL, run, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) {
        (void)pthread_setname_np(k->thread, "milgi-keyless");
        return 0;
    }
    stop(k);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
    return MILGI_ELIMIT;
}

int milgi_keyless_new(const struct milgi_keyless_options *options, struct milgi_device **device, const char **why)
{
    const char *reason = fault_of(options);
    int rv = reason ? MILGI_EINVAL : 0;
    struct milgi__keyless *k = rv ? NULL : calloc(1, sizeof *k);
    *device = NULL;
    pthread_once(&forks_once, watch_forks);
    if (k && make_lock(k)) {
        k->options = *options;
        milgi_config_ref(options->config);
        k->forks = atomic_load(&forks);
        k->random = milgi__keyless_now() | 1;
        k->server_name = options->server_name ? strdup(options->server_name) : NULL;
        reason = options->server_name && !k->server_name ? no_memory : take_servers(k, options->servers);
        rv = reason == no_memory ? MILGI_ENOMEM : reason ? MILGI_EINVAL
                                                         : 0;
        if (!rv) {
            describe(k);
            rv = start(k);
        }
        if (rv)
            free_device(k);
        else
            *device = &k->device;
    } else if (!rv) {
        free(k);
        rv = MILGI_ENOMEM;
    }
    if (why)
        *why = rv && !reason ? milgi_error_text(rv) : reason;
    return rv;
}
