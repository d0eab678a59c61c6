/* SPDX-License-Identifier: Apache-2.0 */
#include "device/pkcs11/ward.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/port.h"
#include "crypto/context.h"

#define WARDS_MAX 64
#define LOST_MAX 16                              /* threads of a ward that hang and were replaced */
#define PROBES_MAX 5                             /* each probe waits twice as long as the one before, so often */
#define END_NS (1 * UINT64_C(1000000000))        /* for all threads to come out at the end */
#define FOREVER_NS (3600 * UINT64_C(1000000000)) /* the longest that anybody sleeps without looking */

struct list {
    struct milgi_op *first, *last;
    unsigned n;
};

/* In op.scratch while the device has it. */
struct ticket {
    struct milgi_op *next, *prev;
    struct milgi__ward_qp *qp;
    struct milgi__ward *ward; /* where it waits; NULL: nowhere */
    void *key;
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

struct worker {
    struct worker *next;
    struct milgi__ward *ward;
    pthread_t thread;
    struct milgi__crypto *cx;
    uint64_t begun_ns;   /* the call that it is in; 0: none */
    struct milgi_op *op; /* whose result it will be; NULL: it was given up */
    struct milgi__ward_qp *qp;
    void *key;
    bool lost;    /* given up: it does not count as one of the ward's threads */
    bool overdue; /* the keeper has seen to it */
    struct milgi_op_sign sign;
};

struct milgi__ward {
    struct milgi__ward *next;
    struct milgi__wards *wards;
    pthread_cond_t work;
    struct list line;
    struct worker *workers;
    unsigned active, idle, lost; /* threads that are not lost; of those, that have nothing to do; that are */
    unsigned keys;
    int code, told;     /* what ails it; what was told of it */
    uint64_t closed_ns; /* while it is ill: no op before this */
    unsigned probes;    /* in vain, since it is ill */
    bool probing;       /* one is under way */
    char name[256];
};

struct milgi__ward_qp {
    struct milgi__wards *wards;
    int fd;
    bool armed, rung;
    struct list done;
    unsigned in_flight, calls; /* calls: under way and not given up */
};

struct milgi__wards {
    struct milgi__ward_options options;
    pthread_mutex_t lock;
    pthread_cond_t watch; /* the keeper's */
    pthread_cond_t calm;  /* calls have ended, or everything has */
    pthread_t keeper;
    struct milgi__ward *first;
    unsigned wards_n, threads_n;
    struct worker *ended; /* to be joined */
    bool stopping, over, left;
    uint64_t watch_ns; /* when the keeper will look by itself */
};

static struct ticket *ticket(const struct milgi_op *op)
{
    return (struct ticket *)(uintptr_t)op->scratch;
}

static uint64_t now(void)
{
    return milgi__port_monotonic_ns(NULL);
}

/* False: the time is over. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns)
{
    struct timespec at = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    return pthread_cond_timedwait(cond, lock, &at) == 0;
}

static bool init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bool made = pthread_cond_init(cond, &attr) == 0;
    pthread_condattr_destroy(&attr);
    return made;
}

/* The process's signals are not for these threads: they would interrupt a token's driver. */
static int start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? MILGI_ELIMIT : 0;
}

/* --- lines, under the lock as all that follows -------------------------------------------------- */

static void append(struct list *list, struct milgi_op *op)
{
    ticket(op)->next = NULL;
    ticket(op)->prev = list->last;
    if (list->last)
        ticket(list->last)->next = op;
    else
        list->first = op;
    list->last = op;
    list->n++;
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
    list->n--;
}

/* Its status is final. */
static void give_back(struct milgi__ward_qp *qp, struct milgi_op *op)
{
    static const uint64_t one = 1;
    append(&qp->done, op);
    if (!qp->armed)
        return;
    qp->armed = false;
    qp->rung = write(qp->fd, &one, sizeof one) == (ssize_t)sizeof one;
}

static void break_op(struct milgi__ward_qp *qp, struct milgi_op *op, int code)
{
    op->status = MILGI_OP_BROKEN;
    op->device_code = code;
    give_back(qp, op);
}

/* Out of the line of |ward|, its own. */
static void leave_line(struct milgi__ward *ward, struct milgi_op *op)
{
    take_out(&ward->line, op);
    ticket(op)->ward = NULL;
}

/* --- health ------------------------------------------------------------------------------------- */

/* The token has answered, whatever it said. */
static void get_well(struct milgi__ward *ward)
{
    ward->probes = 0;
    if (!ward->code)
        return;
    ward->code = 0;
    ward->probing = false;
    pthread_cond_signal(&ward->wards->watch);
}

/* What waits would wait in vain. */
static void get_ill(struct milgi__ward *ward)
{
    const struct milgi__ward_options *o = &ward->wards->options;
    if (!ward->code || ward->probing) { /* else it is a call of before that */
        ward->closed_ns = now() + (o->timeout_ns << MILGI__MIN(ward->probes, PROBES_MAX));
        ward->probes++;
    }
    ward->code = o->timeout_code;
    ward->probing = false;
    while (ward->line.first) {
        struct milgi_op *op = ward->line.first;
        leave_line(ward, op);
        break_op(ticket(op)->qp, op, o->closed_code);
    }
}

/* Takes the op, if it still has one, from a thread that may never return. |code| 0: it is cancelled. */
static void give_up(struct worker *w, int code)
{
    if (w->op) {
        w->op->status = code ? MILGI_OP_BROKEN : MILGI_OP_CANCELLED;
        w->op->device_code = code;
        give_back(w->qp, w->op);
        w->qp->calls--;
        w->op = NULL;
    }
    if (w->lost)
        return;
    w->lost = true;
    w->ward->active--;
    w->ward->lost++;
}

/* --- the threads of a ward ---------------------------------------------------------------------- */

/* For a thread that may outlive the op. Without memory for it, what is to be signed makes no sense. */
static void copy_input(struct milgi_op_sign *to, const struct milgi_op_sign *from)
{
    to->input_len = from->input_len;
    to->any_curve = from->any_curve;
    to->hashed = from->hashed;
    memcpy(to->input, from->input, sizeof to->input);
    to->blob = (struct milgi_slice){ .data = NULL };
    if (from->input_len != MILGI_SIGN_INPUT_IN_BLOB || !from->blob.data)
        return;
    to->blob.data = milgi__alloc_raw(from->blob.len);
    to->blob.len = from->blob.len;
    if (to->blob.data)
        memcpy(to->blob.data, from->blob.data, from->blob.len);
}

static void drop_input(struct milgi_op_sign *sign)
{
    milgi__free(sign->blob.data);
    sign->blob.data = NULL;
}

static void begin_call(struct worker *w, struct milgi_op *op)
{
    struct milgi__wards *wards = w->ward->wards;
    leave_line(w->ward, op);
    w->op = op;
    w->qp = ticket(op)->qp;
    w->qp->calls++;
    w->key = ticket(op)->key;
    wards->options.ops->hold(w->key);
    copy_input(&w->sign, &op->u.sign);
    w->begun_ns = now();
    if (wards->watch_ns > w->begun_ns + wards->options.timeout_ns)
        pthread_cond_signal(&wards->watch);
}

static void end_call(struct worker *w, int code, uint64_t service_ns)
{
    struct milgi_op *op = w->op;
    drop_input(&w->sign);
    w->begun_ns = 0;
    w->overdue = false;
    if (w->lost) {
        w->lost = false;
        w->ward->lost--;
        w->ward->active++;
    }
    get_well(w->ward);
    if (!op)
        return;
    w->op = NULL;
    w->qp->calls--;
    op->service_ns = (uint32_t)MILGI__MIN(service_ns, UINT32_MAX);
    if (code) {
        break_op(w->qp, op, code);
    } else {
        op->u.sign.sig_len = w->sign.sig_len;
        memcpy(op->u.sign.sig, w->sign.sig, w->sign.sig_len);
        op->status = MILGI_OP_OK;
        op->device_code = 0;
        give_back(w->qp, op);
    }
    if (!w->qp->calls)
        pthread_cond_broadcast(&w->ward->wards->calm);
}

/* Without the lock. */
static void call(struct worker *w, uint16_t scheme)
{
    struct milgi__wards *wards = w->ward->wards;
    const struct milgi__ward_ops *ops = wards->options.ops;
    pthread_mutex_unlock(&wards->lock);
    int code = ops->perform(w->key, w->cx, scheme, &w->sign);
    uint64_t service_ns = now() - w->begun_ns;
    ops->let_go(w->key);
    w->key = NULL;
    pthread_mutex_lock(&wards->lock);
    end_call(w, code, service_ns);
    milgi__wipe(&w->sign, sizeof w->sign);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct milgi__ward *ward = w->ward;
    struct milgi__wards *wards = ward->wards;
    pthread_mutex_lock(&wards->lock);
    /* Whose place was taken while it hung goes. */
    while (!wards->stopping && ward->active <= wards->options.workers) {
        struct milgi_op *op = ward->line.first;
        if (op) {
            begin_call(w, op);
            call(w, op->alg);
            continue;
        }
        ward->idle++;
        pthread_cond_wait(&ward->work, &wards->lock);
        ward->idle--;
    }
    ward->active--;
    struct worker **at = &ward->workers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->next = wards->ended;
    wards->ended = w;
    pthread_cond_signal(&wards->watch);
    pthread_mutex_unlock(&wards->lock);
    return NULL;
}

static bool start_worker(struct milgi__ward *ward)
{
    struct milgi__wards *wards = ward->wards;
    struct worker *w = milgi__alloc(sizeof *w);
    if (!w)
        return false;
    w->ward = ward;
    w->cx = milgi__crypto_new();
    if (!w->cx || start_thread(&w->thread, work, w) != 0) {
        milgi__crypto_free(w->cx);
        milgi__free(w);
        return false;
    }
    char name[16];
    snprintf(name, sizeof name, "milgi-p11-%u", wards->threads_n++ % 100000);
    (void)pthread_setname_np(w->thread, name);
    w->next = ward->workers;
    ward->workers = w;
    ward->active++;
    return true;
}

/* --- the keeper --------------------------------------------------------------------------------- */

/* A call's time is over: its op goes back, and the ward is closed. */
static void judge(struct worker *w)
{
    struct milgi__ward *ward = w->ward;
    w->overdue = true;
    give_up(w, ward->wards->options.timeout_code);
    get_ill(ward);
    pthread_cond_broadcast(&ward->wards->calm);
}

/* When it has to look again. */
static uint64_t look_at_calls(struct milgi__wards *wards)
{
    uint64_t now_ns = now(), next_ns = now_ns + FOREVER_NS;
    for (struct milgi__ward *ward = wards->first; ward; ward = ward->next) {
        for (struct worker *w = ward->workers; w; w = w->next) {
            if (!w->begun_ns || w->overdue)
                continue;
            uint64_t until_ns = w->begun_ns + wards->options.timeout_ns;
            if (now_ns >= until_ns)
                judge(w);
            else
                next_ns = MILGI__MIN(next_ns, until_ns);
        }
    }
    return next_ns;
}

/* True: the lock was given up meanwhile. */
static bool tell_one(struct milgi__wards *wards)
{
    char name[sizeof wards->first->name];
    struct milgi__ward *ward = wards->first;
    while (ward && ward->told == ward->code)
        ward = ward->next;
    if (!ward)
        return false;
    int code = ward->told = ward->code;
    memcpy(name, ward->name, sizeof name);
    pthread_mutex_unlock(&wards->lock);
    wards->options.ops->tell(wards->options.ctx, name, code);
    pthread_mutex_lock(&wards->lock);
    return true;
}

static bool join_ended(struct milgi__wards *wards)
{
    struct worker *w = wards->ended;
    if (!w)
        return false;
    wards->ended = w->next;
    pthread_mutex_unlock(&wards->lock);
    pthread_join(w->thread, NULL);
    milgi__crypto_free(w->cx);
    milgi__free_wiped(w, sizeof *w);
    pthread_mutex_lock(&wards->lock);
    return true;
}

static bool is_empty(const struct milgi__wards *wards)
{
    for (const struct milgi__ward *ward = wards->first; ward; ward = ward->next) {
        if (ward->workers)
            return false;
    }
    return true;
}

static void free_wards(struct milgi__wards *wards)
{
    while (wards->first) {
        struct milgi__ward *ward = wards->first;
        wards->first = ward->next;
        pthread_cond_destroy(&ward->work);
        milgi__free(ward);
    }
    pthread_cond_destroy(&wards->watch);
    pthread_cond_destroy(&wards->calm);
    pthread_mutex_destroy(&wards->lock);
    milgi__free(wards);
}

static void *keep(void *arg)
{
    struct milgi__wards *wards = arg;
    struct milgi__ward_options o = wards->options;
    pthread_mutex_lock(&wards->lock);
    for (;;) {
        uint64_t next_ns = look_at_calls(wards);
        if (tell_one(wards) || join_ended(wards))
            continue;
        if (wards->stopping && is_empty(wards))
            break;
        wards->watch_ns = next_ns;
        (void)wait_until(&wards->watch, &wards->lock, next_ns);
        wards->watch_ns = 0;
    }
    pthread_mutex_unlock(&wards->lock);
    o.ops->end(o.ctx);
    pthread_mutex_lock(&wards->lock);
    wards->over = true;
    bool left = wards->left;
    pthread_cond_broadcast(&wards->calm);
    pthread_mutex_unlock(&wards->lock);
    if (left) {
        free_wards(wards);
        o.ops->gone(o.ctx);
    }
    return NULL;
}

/* --- wards come and go -------------------------------------------------------------------------- */

int milgi__wards_new(const struct milgi__ward_options *options, struct milgi__wards **out)
{
    struct milgi__wards *wards = milgi__alloc(sizeof *wards);
    *out = NULL;
    if (!wards)
        return MILGI_ENOMEM;
    wards->options = *options;
    (void)pthread_mutex_init(&wards->lock, NULL);
    if (!init_cond(&wards->watch) || !init_cond(&wards->calm)) {
        milgi__free(wards);
        return MILGI_ENOMEM;
    }
    int rv = start_thread(&wards->keeper, keep, wards);
    if (rv != 0) {
        free_wards(wards);
        return rv;
    }
    (void)pthread_setname_np(wards->keeper, "milgi-p11");
    *out = wards;
    return 0;
}

bool milgi__wards_free(struct milgi__wards *wards)
{
    uint64_t until_ns = now() + END_NS;
    pthread_mutex_lock(&wards->lock);
    wards->stopping = true;
    for (struct milgi__ward *ward = wards->first; ward; ward = ward->next)
        pthread_cond_broadcast(&ward->work);
    pthread_cond_signal(&wards->watch);
    while (!wards->over && wait_until(&wards->calm, &wards->lock, until_ns)) {
    }
    bool over = wards->over;
    wards->left = !over;
    pthread_t keeper = wards->keeper;
    pthread_mutex_unlock(&wards->lock);
    if (!over) {
        (void)pthread_detach(keeper);
        return false;
    }
    pthread_join(keeper, NULL);
    free_wards(wards);
    return true;
}

static struct milgi__ward *new_ward(struct milgi__wards *wards)
{
    struct milgi__ward *ward = milgi__alloc(sizeof *ward);
    if (!ward)
        return NULL;
    if (!init_cond(&ward->work)) {
        milgi__free(ward);
        return NULL;
    }
    ward->wards = wards;
    ward->next = wards->first;
    wards->first = ward;
    wards->wards_n++;
    return ward;
}

/* The one of this name; else a well one that nobody has a key in; else a new one; else one with few keys. */
static struct milgi__ward *find_ward(struct milgi__wards *wards, const char *name)
{
    struct milgi__ward *found = NULL;
    for (struct milgi__ward *ward = wards->first; ward; ward = ward->next) {
        if (!strcmp(ward->name, name))
            return ward;
        bool well = !ward->lost && !ward->code && !ward->told;
        if (well && (!found || ward->keys < found->keys))
            found = ward;
    }
    if (wards->wards_n < WARDS_MAX && (!found || found->keys))
        found = new_ward(wards);
    if (!found)
        found = wards->first; /* all of them hang */
    if (found && !found->keys)
        snprintf(found->name, sizeof found->name, "%s", name);
    return found;
}

struct milgi__ward *milgi__ward_get(struct milgi__wards *wards, const char *name)
{
    pthread_mutex_lock(&wards->lock);
    struct milgi__ward *ward = find_ward(wards, name);
    if (ward)
        ward->keys++;
    pthread_mutex_unlock(&wards->lock);
    return ward;
}

void milgi__ward_put(struct milgi__ward *ward)
{
    struct milgi__wards *wards = ward->wards;
    pthread_mutex_lock(&wards->lock);
    ward->keys--;
    pthread_mutex_unlock(&wards->lock);
}

/* --- the engine's side -------------------------------------------------------------------------- */

struct milgi__ward_qp *milgi__ward_open(struct milgi__wards *wards)
{
    struct milgi__ward_qp *qp = milgi__alloc(sizeof *qp);
    if (!qp)
        return NULL;
    qp->wards = wards;
    qp->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (qp->fd >= 0)
        return qp;
    milgi__free(qp);
    return NULL;
}

void milgi__ward_close(struct milgi__ward_qp *qp)
{
    close(qp->fd);
    milgi__free(qp);
}

/* 0: there is or will be a thread for one more op; else the code that it comes back with. */
static int admit(struct milgi__ward *ward)
{
    const struct milgi__ward_options *o = &ward->wards->options;
    if (ward->code && (ward->probing || now() < ward->closed_ns || ward->lost >= LOST_MAX))
        return o->closed_code;
    bool wanted = ward->idle <= ward->line.n && ward->active < o->workers;
    if (wanted && ward->lost < LOST_MAX && !start_worker(ward) && !ward->active)
        return o->closed_code;
    if (!ward->active)
        return o->closed_code;
    ward->probing = ward->code != 0;
    return 0;
}

bool milgi__ward_enqueue(
    struct milgi__ward_qp *qp, struct milgi__ward *ward, void *key, struct milgi_op *op, int code)
{
    struct milgi__wards *wards = qp->wards;
    if (qp->in_flight == wards->options.depth)
        return false;
    qp->in_flight++;
    *ticket(op) = (struct ticket){ .qp = qp, .key = key };
    pthread_mutex_lock(&wards->lock);
    if (!code)
        code = admit(ward);
    if (code) {
        break_op(qp, op, code);
    } else {
        ticket(op)->ward = ward;
        append(&ward->line, op);
        pthread_cond_signal(&ward->work);
    }
    pthread_mutex_unlock(&wards->lock);
    return true;
}

unsigned milgi__ward_dequeue(struct milgi__ward_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;
    uint64_t count;
    pthread_mutex_lock(&qp->wards->lock);
    if (qp->rung)
        qp->rung = read(qp->fd, &count, sizeof count) != (ssize_t)sizeof count;
    for (; got < n && qp->done.first; got++) {
        ops[got] = qp->done.first;
        take_out(&qp->done, ops[got]);
    }
    pthread_mutex_unlock(&qp->wards->lock);
    qp->in_flight -= got;
    return got;
}

int milgi__ward_fd(const struct milgi__ward_qp *qp)
{
    return qp->fd;
}

int milgi__ward_arm(struct milgi__ward_qp *qp)
{
    pthread_mutex_lock(&qp->wards->lock);
    qp->armed = !qp->done.first;
    int some = !qp->armed;
    pthread_mutex_unlock(&qp->wards->lock);
    return some;
}

static void cancel(struct milgi_op *op)
{
    ticket(op)->ward->probing = false; /* if it was to try a token that was ill, the next one does */
    leave_line(ticket(op)->ward, op);
    op->status = MILGI_OP_CANCELLED;
    give_back(ticket(op)->qp, op);
}

void milgi__ward_cancel(struct milgi__ward_qp *qp, struct milgi_op *op)
{
    pthread_mutex_lock(&qp->wards->lock);
    if (ticket(op)->ward)
        cancel(op);
    pthread_mutex_unlock(&qp->wards->lock);
}

/* What waits anywhere of this queue pair. */
static void cancel_all(struct milgi__ward_qp *qp)
{
    for (struct milgi__ward *ward = qp->wards->first; ward; ward = ward->next) {
        for (struct milgi_op *op = ward->line.first, *next; op; op = next) {
            next = ticket(op)->next;
            if (ticket(op)->qp == qp)
                cancel(op);
        }
    }
}

static void give_up_all(struct milgi__ward_qp *qp)
{
    for (struct milgi__ward *ward = qp->wards->first; ward; ward = ward->next) {
        for (struct worker *w = ward->workers; w; w = w->next) {
            if (w->op && w->qp == qp)
                give_up(w, 0);
        }
    }
}

void milgi__ward_quiesce(struct milgi__ward_qp *qp, uint64_t limit_ns)
{
    struct milgi__wards *wards = qp->wards;
    uint64_t until_ns = now() + MILGI__MIN(limit_ns, FOREVER_NS);
    pthread_mutex_lock(&wards->lock);
    cancel_all(qp);
    while (qp->calls && wait_until(&wards->calm, &wards->lock, until_ns)) {
    }
    give_up_all(qp);
    pthread_mutex_unlock(&wards->lock);
}
