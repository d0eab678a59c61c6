/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are worked with directly: ops in, signatures out, in whatever order they end. */
#include "keyserver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/say.h"

#define BURST 32u
#define LOOK_MS 1u /* at a device that does not tell */

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

static void take_finished(struct signer *s)
{
    struct milgi_op *ops[BURST];
    unsigned n;
    while ((n = s->device->ops->dequeue(s->qp, ops, BURST)) > 0) {
        s->in_flight -= n;
        for (unsigned i = 0; i < n; i++)
            client_answer((struct job *)((char *)ops[i] - offsetof(struct job, op)));
    }
}

/* Takes what has ended, gives what waits, and sees to it that it is called again. */
static void look(struct signer *s)
{
    do {
        take_finished(s);
        push(s);
    } while (s->in_flight && s->polls && s->device->ops->arm(s->qp));
    if (s->in_flight && !s->polls && !uv_is_active((uv_handle_t *)&s->again))
        uv_timer_start(&s->again, on_again, LOOK_MS, LOOK_MS);
    else if (!s->in_flight && !s->polls)
        uv_timer_stop(&s->again);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

static void append(struct line *line, struct job *job)
{
    job->next = NULL;
    job->prev = line->last;
    if (line->last)
        line->last->next = job;
    else
        line->first = job;
    line->last = job;
}

static void take_first(struct line *line)
{
    line->first = line->first->next;
    if (line->first)
        line->first->prev = NULL;
    else
        line->last = NULL;
}

static void push(struct signer *s)
{
    while (s->line.first) {
        struct job *job = s->line.first;
        struct milgi_op *op = &job->op;
        if (!job->client) { /* it has gone before it was its turn */
            take_first(&s->line);
            job_free(job);
            continue;
        }
        if (s->device->ops->enqueue(s->qp, &op, 1) != 1)
            return;
        take_first(&s->line);
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
    append(&s->line, job);
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
    while (s->line.first) {
        struct job *job = s->line.first;
        take_first(&s->line);
        job_free(job);
    }
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
