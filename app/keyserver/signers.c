/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are worked with directly: ops in, signatures out, in whatever order they end. */
#include "keyserver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/say.h"

#define BURST 32u
#define LOOK_MS 1u      /* at a device that does not tell */
#define TURN_NS 100000u /* what a key may cost in its turn */
#define CHEAP_NS 20000u /* what a signature costs at least, */
#define COST_NS 100000u /* and while it is not known */
#define AHEAD 2u        /* signatures for each unit of a device of this machine: one to do, and the next */

static uint64_t monotonic_ns(void *ctx)
{
    (void)ctx;
    return uv_hrtime();
}

static int64_t wall_s(void *ctx)
{
    (void)ctx;
    return time(NULL);
}

void job_free(struct job *job)
{
    job->key->signer->server->held -= job->held;
    key_unref(job->key);
    free(job->long_input);
    free(job);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void look(struct signer *s);
static void push(struct signer *s);

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    look(poll->data);
}

static void on_again(uv_timer_t *timer)
{
    look(timer->data);
}

/* What a signature costs, if the device knows. */
static void learn(struct key *key, const struct milgi_op *op)
{
    if (op->status == MILGI_OP_OK && op->service_ns)
        key->cost_ns = (7 * key->cost_ns + op->service_ns) / 8;
    if (key->cost_ns < CHEAP_NS)
        key->cost_ns = CHEAP_NS;
}

static void take_finished(struct signer *s)
{
    struct milgi_op *ops[BURST];
    unsigned n;
    while ((n = s->device->ops->dequeue(s->qp, ops, BURST)) > 0) {
        s->in_flight -= n;
        for (unsigned i = 0; i < n; i++) {
            struct job *job = (struct job *)((char *)ops[i] - offsetof(struct job, op));
            learn(job->key, ops[i]);
            client_answer(job);
        }
    }
}

/* Takes what has ended, gives what waits, and sees to it that it is called again. */
static void look(struct signer *s)
{
    do {
        take_finished(s);
        push(s);
    } while (s->in_flight && s->polls && s->device->ops->arm(s->qp));
    bool blind = s->in_flight ? !s->polls : s->turn != NULL; /* or one that takes nothing now, and has nothing */
    if (blind && !uv_is_active((uv_handle_t *)&s->again))
        uv_timer_start(&s->again, on_again, LOOK_MS, LOOK_MS);
    else if (!blind)
        uv_timer_stop(&s->again);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/*
 * Keys have turns, and what a turn may cost is the same for each: whoever wants many slow signatures of one key delays
 * those of another by hardly more than the one that is being made. A device of this machine is given no more than
 * keeps it busy, since what it has it does in its own order.
 */
static void join(struct signer *s, struct key *key)
{
    key->credit_ns = 0;
    if (!s->turn) {
        s->turn = key->next = key->prev = key;
        return;
    }
    key->next = s->turn;
    key->prev = s->turn->prev;
    key->next->prev = key->prev->next = key;
}

static void leave(struct signer *s, struct key *key)
{
    if (s->turn == key)
        s->turn = key->next == key ? NULL : key->next;
    key->next->prev = key->prev;
    key->prev->next = key->next;
    key->next = key->prev = NULL;
}

static void append(struct signer *s, struct job *job)
{
    struct line *line = &job->key->line;
    job->next = NULL;
    if (line->last)
        line->last->next = job;
    else
        line->first = job;
    line->last = job;
    if (line->first == job)
        join(s, job->key);
}

/* The first that waits for |key|, out of its line. The key stays as long as the job has it. */
static struct job *take_first(struct signer *s, struct key *key)
{
    struct job *job = key->line.first;
    key->line.first = job->next;
    if (!job->next) {
        key->line.last = NULL;
        leave(s, key);
    }
    return job;
}

/* The key whose signature is next. */
static struct key *next_key(struct signer *s)
{
    while (s->turn->credit_ns < s->turn->cost_ns) {
        s->turn->credit_ns += TURN_NS;
        s->turn = s->turn->next;
    }
    return s->turn;
}

static void push(struct signer *s)
{
    while (s->turn && s->in_flight < s->at_once) {
        struct key *key = next_key(s);
        struct job *job = key->line.first;
        struct milgi_op *op = &job->op;
        if (!job->client) { /* it has gone before it was its turn */
            job_free(take_first(s, key));
            continue;
        }
        if (s->device->ops->enqueue(s->qp, &op, 1) != 1)
            return;
        key->credit_ns -= key->cost_ns;
        (void)take_first(s, key);
        s->in_flight++;
    }
}

/* All that came in together goes in together. */
static void on_soon(uv_prepare_t *prepare)
{
    uv_prepare_stop(prepare);
    look(prepare->data);
}

void signer_submit(struct signer *s, struct job *job)
{
    append(s, job);
    uv_prepare_start(&s->soon, on_soon);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static bool take_key(struct keyserver *server, struct key *key)
{
    struct signer *signer = milgi_credential_key_uri(key->credential) ? &server->tokens : &server->files;
    if (key->signer)
        return true;
    if (!signer->device)
        return false;
    milgi_key_init(&key->key, key->credential, key->loaded);
    if (signer->device->caps.flags & MILGI_CAP_KEY_LOAD) {
        key->loaded[0] = signer->device->ops->key_load(signer->qp, &key->key);
        if (!key->loaded[0])
            return false;
    }
    key->signer = signer;
    key->cost_ns = COST_NS;
    return true;
}

bool signers_take(struct keyserver *server, struct keys *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (!take_key(server, keys->items[i])) {
            app_complain("the key of %s cannot be used by any device",
                milgi_credential_subject(keys->items[i]->credential));
            return false;
        }
    }
    return true;
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

static const char *unfit(const struct milgi_device *device)
{
    if (!(device->caps.ops & MILGI_OP_BIT(MILGI_OP_SIGN)) || !(device->caps.flags & MILGI_CAP_HASHED))
        return "makes no signatures of hashes";
    if (device->caps.flags & MILGI_CAP_OWN_MEMORY)
        return "reaches only memory of its own";
    return NULL;
}

bool signer_open(struct signer *s, struct keyserver *server, struct milgi_device *device)
{
    static const struct milgi_clock clock = { .monotonic_ns = monotonic_ns, .wall_s = wall_s };
    *s = (struct signer){ .server = server };
    if (!device)
        return true;
    const char *why = unfit(device);
    s->qp = why ? NULL : device->ops->qp_open(device, &clock);
    if (!s->qp) {
        app_complain("--device %s: %s", device->spec, why ? why : "no queue pair is left");
        milgi_device_free(device);
        return false;
    }
    s->device = device;
    s->at_once = device->caps.max_in_flight;
    if (!(device->caps.flags & MILGI_CAP_REMOTE) && device->caps.parallelism < s->at_once / AHEAD)
        s->at_once = device->caps.parallelism * AHEAD;
    int fd = device->ops->notify_fd ? device->ops->notify_fd(s->qp) : -1;
    s->polls = fd >= 0 && device->ops->arm && !uv_poll_init(&server->loop, &s->poll, fd);
    uv_timer_init(&server->loop, &s->again);
    uv_prepare_init(&server->loop, &s->soon);
    s->poll.data = s->again.data = s->soon.data = s;
    if (s->polls)
        uv_poll_start(&s->poll, UV_READABLE, on_ready);
    return true;
}

void signer_stop(struct signer *s)
{
    if (!s->device)
        return;
    if (s->polls)
        uv_close((uv_handle_t *)&s->poll, NULL);
    uv_close((uv_handle_t *)&s->again, NULL);
    uv_close((uv_handle_t *)&s->soon, NULL);
    while (s->turn)
        job_free(take_first(s, s->turn));
}

#define END_NS UINT64_C(1000000000)

void signer_close(struct signer *s)
{
    if (!s->device)
        return;
    s->stuck = s->device->ops->quiesce && s->device->ops->quiesce(s->qp, END_NS) != 0;
    take_finished(s);
}

void signer_free(struct signer *s)
{
    if (!s->device || s->stuck)
        return;
    s->device->ops->qp_close(s->qp);
    milgi_device_free(s->device);
    s->device = NULL;
}
