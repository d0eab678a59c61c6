/* SPDX-License-Identifier: Apache-2.0 */
#include "device/worker/crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/port.h"
#include "device/worker/bed.h"
#include "device/worker/lane.h"
#include "op/op.h"

#define QPS_MAX 64
#define FORGET_MAX 64                    /* a power of two */
#define RECORDS_AT_ONCE 8                /* records that a worker takes with one step */
#define LONG_NS (20 * UINT64_C(1000000)) /* a sleep after which a worker's keys are wiped */
#define NAP_NS 50000
#define JOIN_S 1         /* how long a worker is waited for at the end */
#define TIMED_ONE_OF 16u /* records: the clock would cost as much as a small one of them */

/* Ways to the workers: those of the classes, and one for what is done together. */
enum {
    TOGETHER = MILGI_OP_CLASSES,
    LANES
};

/*
 * Queue pairs stay until the crew goes, and are used again: so a worker may look at one without asking whether it is
 * still there, and a wake-up that comes late finds an open descriptor (and costs its next owner one idle turn).
 */
struct milgi__crew_qp {
    struct milgi__crew *crew;
    void *memory; /* that it lies in */
    int fd;
    bool open;              /* under crew->lock */
    _Atomic bool quiescing; /* ops that are not begun are not to be */
    struct milgi__lane lane[LANES];
    struct milgi__done done;
    /* the engine's */
    _Alignas(MILGI__CACHE_LINE) struct milgi_op *ready; /* taken from |done|, in order */
    struct milgi_op **ready_end;
    unsigned in_flight;
    bool armed;
    int64_t rung; /* times the fd was or is about to be written, less what was read from it */
};

struct worker {
    _Alignas(MILGI__CACHE_LINE) struct milgi__crew *crew;
    pthread_t thread;
    void *state;
    unsigned index, cursor; /* cursor: the queue pair to look at first */
    bool records_last;      /* the last that it did were records */
    bool together_last;     /* ... were handshake ops done together */
    uint32_t untimed;       /* records since one was timed */
    uint64_t forgotten;     /* keys gone that it has forgotten */
};

struct milgi__crew {
    void *memory; /* that it lies in */
    struct milgi__crew_options options;
    struct milgi__bed bed;
    _Atomic uint32_t stopping;         /* 1: no more work comes */
    _Atomic uint64_t gone_n;           /* keys gone so far */
    _Atomic uint64_t gone[FORGET_MAX]; /* the serials of the last of them */
    _Atomic unsigned qps_n;
    _Atomic(struct milgi__crew_qp *) qps[QPS_MAX];
    pthread_mutex_t lock; /* of queue pairs that open and close, and of keys that go */
    unsigned started;
    struct worker worker[];
};

/*
 * Zeroed, and at the beginning of a line of the cache: else what one core writes shares a line with what another
 * reads, as chance has it, at a cost of up to a fifth of a record's time.
 */
static void *lines_new(size_t size, void **memory)
{
    *memory = milgi__alloc(size + MILGI__CACHE_LINE - 1);
    if (!*memory)
        return NULL;
    uintptr_t at = (uintptr_t)*memory;
    return (char *)*memory + (MILGI__CACHE_LINE - at % MILGI__CACHE_LINE) % MILGI__CACHE_LINE;
}

/* --- workers ---------------------------------------------------------------------------------------------------- */

static void ring(struct milgi__crew_qp *qp)
{
    static const uint64_t one = 1;
    /* Fails only when the count is at its end, and then it is readable. */
    ssize_t n = write(qp->fd, &one, sizeof one);
    (void)n;
}

static void give_back(struct milgi__crew_qp *qp, struct milgi_op *op)
{
    if (milgi__done_push(&qp->done, op))
        ring(qp);
}

/* Performs it and says how long that took, if that is to be known. */
static void perform_timed(struct worker *w, struct milgi_op *op)
{
    bool timed = op->cls != MILGI_OP_CLASS_RECORDS || w->untimed++ % TIMED_ONE_OF == 0;
    uint64_t begin_ns = timed ? milgi__port_monotonic_ns(NULL) : 0;

    w->crew->options.ops->perform(w->state, w->index, op);
    if (timed)
        op->service_ns = (uint32_t)MILGI__MIN(milgi__port_monotonic_ns(NULL) - begin_ns, UINT32_MAX);
}

/* False: it was cancelled before it was begun. */
static bool begin(struct milgi__crew_qp *qp, struct milgi_op *op)
{
    uint64_t state = MILGI__TICKET_WAITING;

    if (!atomic_load(&qp->quiescing) &&
        atomic_compare_exchange_strong(&milgi__ticket(op)->state, &state, MILGI__TICKET_BEGUN))
        return true;
    op->status = MILGI_OP_CANCELLED;
    return false;
}

static void perform(struct worker *w, struct milgi__crew_qp *qp, struct milgi_op *op)
{
    if (begin(qp, op))
        perform_timed(w, op);
    give_back(qp, op);
}

/*
 * Those that are short go together and come back together, which is still soon. One that is to be timed is done by
 * itself, so that it is known what one takes.
 */
static void perform_records(struct worker *w, struct milgi__crew_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    const struct milgi__crew_ops *crew_ops = w->crew->options.ops;
    struct milgi_op *begun[RECORDS_AT_ONCE];
    unsigned begun_n = 0;

    for (unsigned i = 0; i < n; i++) {
        bool alone = n == 1 || !crew_ops->perform_records || w->untimed % TIMED_ONE_OF == 0;
        if (alone || !milgi__op_is_short(ops[i])) {
            perform(w, qp, ops[i]);
        } else if (begin(qp, ops[i])) {
            begun[begun_n++] = ops[i];
            w->untimed++;
        } else {
            give_back(qp, ops[i]);
        }
    }
    if (begun_n > 0)
        crew_ops->perform_records(w->state, begun, begun_n);
    for (unsigned i = 0; i < begun_n; i++)
        give_back(qp, begun[i]);
}

static void perform_together(struct worker *w, struct milgi__crew_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    struct milgi_op *begun[MILGI__CREW_TOGETHER];
    unsigned begun_n = 0;

    for (unsigned i = 0; i < n; i++) {
        if (begin(qp, ops[i]))
            begun[begun_n++] = ops[i];
    }
    if (begun_n > 0)
        w->crew->options.ops->perform_together(w->state, w->index, begun, begun_n);
    for (unsigned i = 0; i < n; i++)
        give_back(qp, ops[i]);
}

static void forget_all_keys(struct worker *w)
{
    w->forgotten = atomic_load(&w->crew->gone_n);
    w->crew->options.ops->forget_all(w->state);
}

/* The list of those gone is written on while it is read here: when it came round, nobody knows what was missed. */
static void forget_keys(struct worker *w)
{
    struct milgi__crew *crew = w->crew;
    uint64_t gone_n = atomic_load(&crew->gone_n);

    if (gone_n - w->forgotten <= FORGET_MAX) {
        for (uint64_t i = w->forgotten; i != gone_n; i++)
            crew->options.ops->forget(w->state, atomic_load(&crew->gone[i % FORGET_MAX]));
    }
    if (atomic_load(&crew->gone_n) - w->forgotten < FORGET_MAX)
        w->forgotten = gone_n;
    else
        forget_all_keys(w);
}

/*
 * How many a worker takes with one step, and among how many workers what waits is divided: what is done together is
 * not, for that would make it dearer.
 */
static unsigned take(struct worker *w, struct milgi__crew_qp *qp, int lane, struct milgi_op **ops)
{
    unsigned workers = w->crew->options.workers;

    switch (lane) {
    case TOGETHER: return milgi__lane_take(&qp->lane[lane], ops, MILGI__CREW_TOGETHER, 1);
    case MILGI_OP_CLASS_RECORDS: return milgi__lane_take(&qp->lane[lane], ops, RECORDS_AT_ONCE, workers);
    default: return milgi__lane_take(&qp->lane[lane], ops, 1, workers);
    }
}

static_assert(RECORDS_AT_ONCE <= MILGI__CREW_TOGETHER, "serve() has room for either");

/* Takes from the lanes of one kind and performs what it got. */
static bool serve(struct worker *w, int lane)
{
    struct milgi__crew *crew = w->crew;
    struct milgi_op *ops[MILGI__CREW_TOGETHER];
    unsigned qps_n = atomic_load_explicit(&crew->qps_n, memory_order_acquire);

    for (unsigned i = 0; i < qps_n; i++) {
        unsigned at = (w->cursor + i) % qps_n;
        struct milgi__crew_qp *qp = atomic_load_explicit(&crew->qps[at], memory_order_acquire);
        unsigned n = take(w, qp, lane, ops);
        if (n == 0)
            continue;
        w->cursor = at + 1;
        w->records_last = lane == MILGI_OP_CLASS_RECORDS;
        w->together_last = lane == TOGETHER;
        if (w->forgotten != atomic_load_explicit(&crew->gone_n, memory_order_acquire))
            forget_keys(w);
        if (lane == TOGETHER) {
            perform_together(w, qp, ops, n);
            return true;
        }
        if (lane == MILGI_OP_CLASS_RECORDS)
            perform_records(w, qp, ops, n);
        else
            perform(w, qp, ops[0]);
        return true;
    }
    return false;
}

/* Of handshake ops those that it has not done last. */
static bool serve_handshakes(struct worker *w)
{
    if (!w->crew->options.ops->together)
        return serve(w, MILGI_OP_CLASS_HANDSHAKE);
    if (w->together_last)
        return serve(w, MILGI_OP_CLASS_HANDSHAKE) || serve(w, TOGETHER);
    return serve(w, TOGETHER) || serve(w, MILGI_OP_CLASS_HANDSHAKE);
}

static bool work(struct worker *w)
{
    bool records_first = (w->index == 0 && w->crew->options.workers > 1) || !w->records_last;

    if (records_first)
        return serve(w, MILGI_OP_CLASS_RECORDS) || serve_handshakes(w);
    return serve_handshakes(w) || serve(w, MILGI_OP_CLASS_RECORDS);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks for work a little longer than it must: waking a sleeper costs more. */
static bool spin(struct worker *w)
{
    uint64_t spin_ns = w->crew->options.spin_ns;

    if (spin_ns == 0)
        return false;
    uint64_t end = milgi__port_monotonic_ns(NULL) + spin_ns;
    do {
        relax();
        if (work(w))
            return true;
    } while (milgi__port_monotonic_ns(NULL) < end);
    return false;
}

static bool anything_waits(struct milgi__crew *crew)
{
    unsigned qps_n = atomic_fetch_add(&crew->qps_n, 0);

    for (unsigned i = 0; i < qps_n; i++) {
        struct milgi__crew_qp *qp = atomic_load(&crew->qps[i]);
        for (int lane = 0; lane < LANES; lane++) {
            if (milgi__lane_waiting(&qp->lane[lane]))
                return true;
        }
    }
    return atomic_fetch_add(&crew->stopping, 0) != 0;
}

static void sleep_until_called(struct worker *w)
{
    struct milgi__bed *bed = &w->crew->bed;

    milgi__bed_lie(bed);
    if (anything_waits(w->crew)) {
        milgi__bed_rise(bed);
        return;
    }
    if (milgi__bed_sleep(bed, LONG_NS))
        return;
    forget_all_keys(w);
    (void)milgi__bed_sleep(bed, UINT64_MAX);
}

static void *run(void *arg)
{
    struct worker *w = arg;

    for (;;) {
        if (work(w) || spin(w))
            continue;
        if (atomic_load(&w->crew->stopping) != 0)
            return NULL;
        sleep_until_called(w);
    }
}

/* --- the crew --------------------------------------------------------------------------------------------------- */

/* The process's signals are not for workers: they would interrupt a handler's state or a token's driver. */
static int start_worker(struct worker *w)
{
    sigset_t all, before;
    char name[16];
    int error;

    w->state = w->crew->options.ops->worker_new(w->crew->options.ctx);
    if (!w->state)
        return MILGI_ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        w->crew->options.ops->worker_free(w->state);
        return MILGI_ELIMIT;
    }
    snprintf(name, sizeof name, "%.9s-%u", w->crew->options.ops->thread_name, w->index);
    (void)pthread_setname_np(w->thread, name);
    return 0;
}

int milgi__crew_new(const struct milgi__crew_options *options, struct milgi__crew **out)
{
    void *memory;
    struct milgi__crew *crew = lines_new(sizeof *crew + options->workers * sizeof(struct worker), &memory);

    *out = NULL;
    if (!crew)
        return MILGI_ENOMEM;
    crew->memory = memory;
    crew->options = *options;
    if (pthread_mutex_init(&crew->lock, NULL) != 0) {
        milgi__free(memory);
        return MILGI_ENOMEM;
    }
    for (; crew->started < options->workers; crew->started++) {
        struct worker *w = &crew->worker[crew->started];
        w->crew = crew;
        w->index = w->cursor = crew->started;
        int error = start_worker(w);
        if (error != 0) {
            (void)milgi__crew_free(crew); /* nobody has given it an op */
            return error;
        }
    }
    *out = crew;
    return 0;
}

static void free_qp(struct milgi__crew_qp *qp)
{
    if (!qp)
        return;
    if (qp->fd >= 0)
        close(qp->fd);
    for (int lane = 0; lane < LANES; lane++)
        milgi__free((void *)qp->lane[lane].cell);
    milgi__free(qp->memory);
}

/* Those who do not end in time are the process's from now on. */
static bool join_workers(struct milgi__crew *crew)
{
    struct timespec until;
    bool all = true;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += JOIN_S;
    for (unsigned i = 0; i < crew->started; i++) {
        struct worker *w = &crew->worker[i];
        if (pthread_timedjoin_np(w->thread, NULL, &until) == 0) {
            crew->options.ops->worker_free(w->state);
            continue;
        }
        (void)pthread_detach(w->thread);
        all = false;
    }
    return all;
}

bool milgi__crew_free(struct milgi__crew *crew)
{
    (void)atomic_exchange(&crew->stopping, 1);
    milgi__bed_call(&crew->bed, UINT32_MAX);
    if (!join_workers(crew))
        return false;
    for (unsigned i = 0; i < QPS_MAX; i++)
        free_qp(atomic_load(&crew->qps[i]));
    pthread_mutex_destroy(&crew->lock);
    milgi__free(crew->memory);
    return true;
}

void milgi__crew_forget(struct milgi__crew *crew, uint64_t serial)
{
    pthread_mutex_lock(&crew->lock);
    uint64_t n = atomic_load(&crew->gone_n);
    atomic_store(&crew->gone[n % FORGET_MAX], serial);
    atomic_store(&crew->gone_n, n + 1);
    pthread_mutex_unlock(&crew->lock);
}

/* --- queue pairs ------------------------------------------------------------------------------------------------ */

static bool init_lane(struct milgi__lane *lane, unsigned depth)
{
    uint64_t cells = 1;

    while (cells < depth)
        cells *= 2;
    lane->mask = cells - 1;
    lane->cell = milgi__alloc(cells * sizeof *lane->cell);
    return lane->cell != NULL;
}

static struct milgi__crew_qp *new_qp(struct milgi__crew *crew)
{
    void *memory;
    struct milgi__crew_qp *qp = lines_new(sizeof *qp, &memory);

    if (!qp)
        return NULL;
    qp->memory = memory;
    qp->crew = crew;
    qp->ready_end = &qp->ready;
    qp->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool made = qp->fd >= 0;
    for (int lane = 0; lane < LANES; lane++)
        made = made && init_lane(&qp->lane[lane], crew->options.depth);
    if (!made) {
        free_qp(qp);
        return NULL;
    }
    return qp;
}

/*
 * Reads the fd when it was written, so that it is readable once per notification. True if it has read: then for more
 * than is known of, perhaps, and the engine has to look at |done| once more, for nobody tells it again.
 */
static bool hush(struct milgi__crew_qp *qp)
{
    uint64_t count;

    if (qp->rung <= 0 || read(qp->fd, &count, sizeof count) != (ssize_t)sizeof count)
        return false;
    qp->rung -= (int64_t)count;
    return true;
}

/* Moves what is done behind what is ready, in the order in which it was done. */
static void collect(struct milgi__crew_qp *qp)
{
    struct milgi_op *op, *first = NULL;

    if (!milgi__done_some(&qp->done))
        return;
    if (qp->armed) {
        qp->armed = false;
        qp->rung++;
    }
    op = milgi__done_take(&qp->done);
    struct milgi_op **end = !op ? qp->ready_end : &milgi__ticket(op)->next;
    while (op) {
        struct milgi_op *next = milgi__ticket(op)->next;
        milgi__ticket(op)->next = first;
        first = op;
        op = next;
    }
    *qp->ready_end = first;
    qp->ready_end = end;
}

static unsigned ready_n(struct milgi__crew_qp *qp)
{
    unsigned n = 0;

    for (struct milgi_op *op = qp->ready; op; op = milgi__ticket(op)->next)
        n++;
    return n;
}

/* Nothing is in flight: whoever opens it next finds it as new. */
static void make_new(struct milgi__crew_qp *qp)
{
    (void)milgi__done_take(&qp->done); /* disarms */
    qp->armed = false;
    (void)hush(qp);
    qp->ready = NULL;
    qp->ready_end = &qp->ready;
    qp->in_flight = 0;
    atomic_store(&qp->quiescing, false);
}

/* Closed, and with it nothing of it is still with a worker. */
static bool is_unused(struct milgi__crew_qp *qp)
{
    if (qp->open)
        return false;
    if (qp->in_flight == 0)
        return true;
    collect(qp);
    if (ready_n(qp) != qp->in_flight)
        return false;
    make_new(qp);
    return true;
}

/* A closed one, or a new one behind the others. */
static struct milgi__crew_qp *find_qp(struct milgi__crew *crew)
{
    unsigned n = atomic_load(&crew->qps_n);

    for (unsigned i = 0; i < n; i++) {
        struct milgi__crew_qp *qp = atomic_load(&crew->qps[i]);
        if (is_unused(qp))
            return qp;
    }
    if (n == QPS_MAX)
        return NULL;
    struct milgi__crew_qp *qp = new_qp(crew);
    if (!qp)
        return NULL;
    atomic_store(&crew->qps[n], qp);
    (void)atomic_fetch_add(&crew->qps_n, 1);
    return qp;
}

void milgi__crew_forget_all(struct milgi__crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    /* More than are listed: what they were nobody can know. */
    atomic_store(&crew->gone_n, atomic_load(&crew->gone_n) + FORGET_MAX + 1);
    pthread_mutex_unlock(&crew->lock);
}

struct milgi__crew_qp *milgi__crew_open(struct milgi__crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    struct milgi__crew_qp *qp = find_qp(crew);
    if (qp)
        qp->open = true;
    pthread_mutex_unlock(&crew->lock);
    return qp;
}

void milgi__crew_close(struct milgi__crew_qp *qp)
{
    if (qp->in_flight == 0)
        make_new(qp);
    pthread_mutex_lock(&qp->crew->lock);
    qp->open = false;
    pthread_mutex_unlock(&qp->crew->lock);
}

static int lane_of(const struct milgi__crew *crew, const struct milgi_op *op)
{
    const struct milgi__crew_options *options = &crew->options;

    if (op->cls == MILGI_OP_CLASS_RECORDS)
        return MILGI_OP_CLASS_RECORDS;
    return options->ops->together && options->ops->together(options->ctx, op) ? TOGETHER : MILGI_OP_CLASS_HANDSHAKE;
}

unsigned milgi__crew_enqueue(struct milgi__crew_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned room = qp->crew->options.depth - qp->in_flight;

    n = MILGI__MIN(n, room);
    if (n == 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        atomic_init(&milgi__ticket(ops[i])->state, MILGI__TICKET_WAITING);
        milgi__lane_put(&qp->lane[lane_of(qp->crew, ops[i])], ops[i]);
    }
    qp->in_flight += n;
    for (int lane = 0; lane < LANES; lane++)
        milgi__lane_publish(&qp->lane[lane]);
    milgi__bed_call(&qp->crew->bed, n);
    return n;
}

unsigned milgi__crew_dequeue(struct milgi__crew_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    collect(qp);
    if (hush(qp))
        collect(qp);
    for (; got < n && qp->ready; got++) {
        ops[got] = qp->ready;
        qp->ready = milgi__ticket(ops[got])->next;
        if (!qp->ready)
            qp->ready_end = &qp->ready;
    }
    qp->in_flight -= got;
    return got;
}

int milgi__crew_fd(struct milgi__crew_qp *qp)
{
    return qp->fd;
}

int milgi__crew_arm(struct milgi__crew_qp *qp)
{
    if (qp->ready || !milgi__done_arm(&qp->done))
        return 1;
    qp->armed = true;
    return 0;
}

void milgi__crew_cancel(struct milgi__crew_qp *qp, struct milgi_op *op)
{
    uint64_t state = MILGI__TICKET_WAITING;

    (void)qp;
    (void)atomic_compare_exchange_strong(&milgi__ticket(op)->state, &state, MILGI__TICKET_CANCELLED);
}

/* Makes what waits in the lanes come back as cancelled: the engine takes it like a worker. */
static void drain(struct milgi__crew_qp *qp)
{
    struct milgi_op *op;

    for (int lane = 0; lane < LANES; lane++) {
        while (milgi__lane_take(&qp->lane[lane], &op, 1, 1) == 1) {
            op->status = MILGI_OP_CANCELLED;
            give_back(qp, op);
        }
    }
}

int milgi__crew_quiesce(struct milgi__crew_qp *qp, uint64_t limit_ns)
{
    static const struct timespec nap = { .tv_nsec = NAP_NS };
    uint64_t begin_ns = milgi__port_monotonic_ns(NULL);

    atomic_store(&qp->quiescing, true);
    drain(qp);
    for (;;) {
        collect(qp);
        if (ready_n(qp) == qp->in_flight)
            break;
        /* Nor is anything begun any more: it stays as it is. */
        if (milgi__port_monotonic_ns(NULL) - begin_ns >= limit_ns)
            return MILGI_EBUSY;
        nanosleep(&nap, NULL);
    }
    atomic_store(&qp->quiescing, false);
    return 0;
}
