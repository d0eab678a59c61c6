/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue pair: ops become messages whose pieces lie where the op has them, and reads into its destination. What comes
 * back begins with the additional data once more: that goes into the op's scratch.
 */
#include "device/afalg/afalg.h"

#include <errno.h>
#include <linux/if_alg.h>
#include <milgi/device_afalg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "device/afalg/drivers.h"
#include "device/worker/timer.h"

#define INPUT_MAX (16384u + 2048u)
#define TAG_LEN 16u
#define NONCE_LEN 12u
#define IN_MAX (MILGI_OP_SLICES + 4u)
#define BURST 32u
#define AAD_AT 2u /* in op->scratch */
#define ILL 8u    /* failures in a row: more are not worth the calls */
#define LOOK_NS UINT64_C(1000000000)

/* ALG_SET_OP, ALG_SET_IV, ALG_SET_AEAD_ASSOCLEN */
#define IV_LEN (sizeof(struct af_alg_iv) + NONCE_LEN)
#define CONTROL_LEN (2 * CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(IV_LEN))

/* An operation under way. */
struct slot {
    struct milgi__alg_work work;
    struct milgi_op *op;
    struct milgi__alg_sock *sock;
    uint32_t want; /* bytes of output */
    struct iovec in[IN_MAX], out[2];
    union {
        struct cmsghdr head;
        uint8_t bytes[CONTROL_LEN];
    } control;
};

struct milgi_qp {
    struct milgi__afalg *afalg;
    const struct milgi_clock *clock;
    struct milgi_qp *next; /* among those that are left */
    struct milgi__ring *ring;
    struct milgi__alg_keys keys;
    struct slot *slot;
    uint32_t *free; /* slots */
    unsigned free_n;
    unsigned inside; /* accepted and not given back */
    struct milgi_op *first, *last;
    unsigned failures; /* in a row, of which the last had this code */
    int ill_code;
    uint64_t look_ns;          /* when to look whether that has passed; 0: it was not told yet */
    struct milgi__timer timer; /* when keys have been idle for long, */
    uint64_t stale_ns;         /* which is then */
    int poll_fd;               /* both descriptors as one */
};

static const uint8_t zeros[INPUT_MAX]; /* padding */

static uint64_t now(const struct milgi_qp *qp)
{
    return qp->clock->monotonic_ns(qp->clock->ctx);
}

static unsigned under_way(const struct milgi_qp *qp)
{
    return qp->afalg->depth - qp->free_n;
}

/* --- it comes and goes ------------------------------------------------------------------------------------------ */

static void free_qp(struct milgi_qp *qp)
{
    milgi__alg_keys_fini(&qp->keys);
    atomic_fetch_sub(&qp->afalg->qps, 1);
    if (qp->ring)
        qp->afalg->ring->close(qp->ring);
    milgi__timer_fini(&qp->timer);
    if (qp->poll_fd >= 0)
        close(qp->poll_fd);
    milgi__free(qp->slot);
    milgi__free(qp->free);
    milgi__free(qp);
}

static bool watch(const struct milgi_qp *qp, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    return epoll_ctl(qp->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool fill_qp(struct milgi_qp *qp)
{
    const struct milgi__afalg *afalg = qp->afalg;

    qp->slot = milgi__alloc(afalg->depth * sizeof *qp->slot);
    qp->free = milgi__alloc(afalg->depth * sizeof *qp->free);
    if (milgi__alg_keys_init(&qp->keys, afalg->depth) != 0 || !qp->slot || !qp->free)
        return false;
    for (uint32_t i = 0; i < afalg->depth; i++)
        qp->free[qp->free_n++] = i;
    qp->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    return milgi__timer_init(&qp->timer) && qp->poll_fd >= 0 &&
        afalg->ring->open(afalg->depth, afalg->workers, &qp->ring) == 0 && watch(qp, qp->timer.fd) &&
        watch(qp, afalg->ring->fd(qp->ring));
}

struct milgi_qp *milgi__afalg_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi__afalg *afalg = MILGI__ENTRY(device, struct milgi__afalg, device);
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    if (!qp)
        return NULL;
    (void)milgi__afalg_sweep(afalg);
    qp->afalg = afalg;
    qp->clock = clock;
    qp->poll_fd = qp->timer.fd = -1;
    milgi__list_init(&qp->keys.used);
    atomic_fetch_add(&afalg->qps, 1);
    if (fill_qp(qp))
        return qp;
    free_qp(qp);
    return NULL;
}

/* --- an op ------------------------------------------------------------------------------------------------------ */

static int complain_of_pieces(const struct milgi_op_aead *a, size_t *len)
{
    *len = 0;
    if (a->src_n > MILGI_OP_SLICES || a->aad_len == 0 || a->aad_len > sizeof a->aad)
        return MILGI_CODE_MALFORMED;
    for (unsigned i = 0; i < a->src_n; i++) {
        if (a->src[i].len > INPUT_MAX || (!a->src[i].data && a->src[i].len > 0))
            return MILGI_CODE_MALFORMED;
        *len += a->src[i].len;
    }
    return *len > INPUT_MAX ? MILGI_CODE_MALFORMED : 0;
}

/* A device code, or 0 and in *|len| how many bytes there will be in the destination. */
static int complain(const struct milgi__afalg *afalg, const struct milgi_op *op, size_t *len)
{
    const struct milgi_op_aead *a = &op->u.aead;
    const struct milgi_key *key = op->key;
    unsigned suite = milgi__afalg_suite(op->alg);

    if (op->type != MILGI_OP_SEAL && op->type != MILGI_OP_OPEN)
        return MILGI_CODE_MALFORMED;
    int code = complain_of_pieces(a, len);
    if (code != 0)
        return code;
    if (op->type == MILGI_OP_SEAL)
        *len += a->inner_type != 0 ? 1u + a->pad_len : 0;
    if (*len > INPUT_MAX || a->in_place || !a->dst)
        return MILGI_CODE_MALFORMED;
    *len += op->type == MILGI_OP_SEAL ? TAG_LEN : 0;
    if (a->dst_len < *len)
        return MILGI_CODE_MALFORMED;
    if (suite == MILGI__AFALG_SUITES || !afalg->name[suite] || !key || key->kind != MILGI_KEY_AEAD ||
        key->alg != op->alg)
        return MILGI_CODE_NO_KEY;
    return 0;
}

static int code_of(int error)
{
    switch (-error) {
    case ENOENT:
    case EAFNOSUPPORT:
    case ESOCKTNOSUPPORT: return MILGI_CODE_AFALG_NO_CIPHER;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
    case EBUSY: return MILGI_CODE_AFALG_NO_ROOM;
    case EBADF:
    case ENOTSOCK:
    case EPIPE:
    case ENOTCONN: return MILGI_CODE_AFALG_CLOSED;
    default: return MILGI_CODE_AFALG_FAILED;
    }
}

static void give_back(struct milgi_qp *qp, struct milgi_op *op, enum milgi_op_status status, int code)
{
    op->status = (uint8_t)status;
    op->device_code = code;
    op->scratch[0] = 0;
    if (!qp->first)
        qp->first = op;
    else
        qp->last->scratch[0] = (uint64_t)(uintptr_t)op;
    qp->last = op;
}

static void fail(struct milgi_qp *qp, struct milgi_op *op, int error)
{
    int code = code_of(error);
    bool is_full = code == MILGI_CODE_AFALG_NO_ROOM && under_way(qp) > 0; /* that is no illness */

    if (!is_full) {
        qp->ill_code = code;
        qp->look_ns = ++qp->failures == ILL ? 0 : qp->look_ns;
    }
    give_back(qp, op, MILGI_OP_BROKEN, code);
}

static void *control(struct msghdr *message, struct cmsghdr **at, int type, size_t len)
{
    *at = *at ? CMSG_NXTHDR(message, *at) : CMSG_FIRSTHDR(message);
    (*at)->cmsg_level = SOL_ALG;
    (*at)->cmsg_type = type;
    (*at)->cmsg_len = CMSG_LEN(len);
    return CMSG_DATA(*at);
}

static void say_what(struct slot *slot, const struct milgi_op *op)
{
    struct msghdr *message = &slot->work.message;
    uint32_t what = op->type == MILGI_OP_SEAL ? ALG_OP_ENCRYPT : ALG_OP_DECRYPT, aad_len = op->u.aead.aad_len;
    uint32_t iv_len = NONCE_LEN;
    struct cmsghdr *at = NULL;

    memset(&slot->control, 0, sizeof slot->control);
    message->msg_control = slot->control.bytes;
    message->msg_controllen = sizeof slot->control.bytes;
    memcpy(control(message, &at, ALG_SET_OP, sizeof what), &what, sizeof what);
    uint8_t *iv = control(message, &at, ALG_SET_IV, IV_LEN);
    memcpy(iv, &iv_len, sizeof iv_len);
    memcpy(iv + sizeof iv_len, op->u.aead.nonce, NONCE_LEN);
    memcpy(control(message, &at, ALG_SET_AEAD_ASSOCLEN, sizeof aad_len), &aad_len, sizeof aad_len);
}

static void put_in(struct slot *slot, const void *data, size_t len)
{
    if (len == 0)
        return;
    slot->in[slot->work.message.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)data, len };
    slot->work.in_len += (uint32_t)len;
}

/* As it lies, without a copy: the additional data, the pieces, then type and padding, or the tag. */
static void say_of_what(struct slot *slot, const struct milgi_op *op)
{
    const struct milgi_op_aead *a = &op->u.aead;

    slot->work.message.msg_iov = slot->in;
    put_in(slot, a->aad, a->aad_len);
    for (unsigned i = 0; i < a->src_n; i++)
        put_in(slot, a->src[i].data, a->src[i].len);
    if (op->type == MILGI_OP_OPEN) {
        put_in(slot, a->tag, TAG_LEN);
    } else if (a->inner_type != 0) {
        put_in(slot, &a->inner_type, 1);
        put_in(slot, zeros, a->pad_len);
    }
}

static void start(struct milgi_qp *qp, struct milgi_op *op, struct milgi__alg_sock *sock, size_t len)
{
    uint32_t index = qp->free[--qp->free_n];
    struct slot *slot = &qp->slot[index];
    const struct milgi_op_aead *a = &op->u.aead;

    slot->op = op;
    slot->sock = sock;
    slot->work = (struct milgi__alg_work){ .fd = sock->fd, .out = slot->out, .out_n = len > 0 ? 2 : 1 };
    say_what(slot, op);
    say_of_what(slot, op);
    slot->out[0] = (struct iovec){ &op->scratch[AAD_AT], a->aad_len };
    slot->out[1] = (struct iovec){ a->dst, len };
    slot->want = (uint32_t)(a->aad_len + len);
    qp->afalg->ring->put(qp->ring, index, &slot->work);
}

static void finish(struct milgi_qp *qp, const struct milgi__ring_end *end)
{
    struct slot *slot = &qp->slot[end->index];
    struct milgi_op *op = slot->op;
    bool done = end->result == (int32_t)slot->want;
    bool forged = end->result == -EBADMSG && op->type == MILGI_OP_OPEN;

    if (!done)
        milgi__wipe(slot->out[1].iov_base, slot->out[1].iov_len);
    milgi__alg_give(&qp->keys, slot->sock, !done && !forged);
    slot->op = NULL;
    qp->free[qp->free_n++] = end->index;
    if (!done && !forged) {
        fail(qp, op, end->result < 0 ? end->result : -EIO);
        return;
    }
    qp->failures = 0;
    give_back(qp, op, done ? MILGI_OP_OK : MILGI_OP_REJECTED, 0);
}

static void reap(struct milgi_qp *qp)
{
    struct milgi__ring_end ends[BURST];
    unsigned n = BURST;

    while (n == BURST && under_way(qp) > 0) {
        n = qp->afalg->ring->reap(qp->ring, ends, BURST);
        for (unsigned i = 0; i < n; i++)
            finish(qp, &ends[i]);
    }
}

/* --- what the engine calls -------------------------------------------------------------------------------------- */

/*
 * Begins |op|, or says what is wrong with it. False: it cannot be begun before another one has ended, and one is there
 * that will.
 */
static bool accept_op(struct milgi_qp *qp, struct milgi_op *op, uint64_t now_ns)
{
    size_t len;
    int error = 0, code = complain(qp->afalg, op, &len);

    if (code != 0) {
        give_back(qp, op, MILGI_OP_BROKEN, code);
        return true;
    }
    const char *name = qp->afalg->name[milgi__afalg_suite(op->alg)];
    qp->keys.careful = qp->failures > 0; /* a card that was taken away: its cipher goes though it is held */
    struct milgi__alg_sock *sock = milgi__alg_take(&qp->keys, name, op->key, now_ns, &error);
    if (sock) {
        start(qp, op, sock, len);
        return true;
    }
    if (code_of(error) == MILGI_CODE_AFALG_NO_ROOM && qp->inside > 0)
        return false;
    fail(qp, op, error);
    return true;
}

/* What the thread of the engine did with them they are told to have taken. */
static void share_time(struct milgi_op *const *ops, unsigned n, uint64_t took_ns)
{
    for (unsigned i = 0; i < n; i++)
        ops[i]->service_ns = (uint32_t)MILGI__MIN(MILGI__MAX(took_ns / n, 1), UINT32_MAX);
}

unsigned milgi__afalg_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    uint64_t begin_ns = now(qp);
    unsigned i = 0;

    qp->keys.most = qp->afalg->most / MILGI__MAX(atomic_load_explicit(&qp->afalg->qps, memory_order_relaxed), 1);
    while (i < n && qp->inside < qp->afalg->depth && accept_op(qp, ops[i], begin_ns)) {
        qp->inside++;
        i++;
    }
    qp->afalg->ring->submit(qp->ring);
    if (qp->afalg->caller && i > 0)
        share_time(ops, i, now(qp) - begin_ns);
    return i;
}

/* Before which a key must have been used to be kept. */
static uint64_t horizon(const struct milgi_qp *qp, uint64_t now_ns)
{
    return now_ns > qp->afalg->idle_ns ? now_ns - qp->afalg->idle_ns : 0;
}

unsigned milgi__afalg_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    if (qp->timer.set && now(qp) >= qp->stale_ns) /* keys are dropped when it is armed again */
        milgi__timer_clear(&qp->timer);
    if (under_way(qp) > 0)
        reap(qp);
    for (; got < n && qp->first; got++) {
        ops[got] = qp->first;
        qp->first = (struct milgi_op *)(uintptr_t)ops[got]->scratch[0];
    }
    qp->inside -= got;
    return got;
}

int milgi__afalg_notify_fd(struct milgi_qp *qp)
{
    return qp->poll_fd;
}

int milgi__afalg_arm(struct milgi_qp *qp)
{
    reap(qp);
    if (qp->first)
        return 1;
    uint64_t now_ns = now(qp), oldest_ns = milgi__alg_drop(&qp->keys, horizon(qp, now_ns));
    qp->stale_ns = oldest_ns == UINT64_MAX ? UINT64_MAX : oldest_ns + qp->afalg->idle_ns + 1;
    milgi__timer_set(&qp->timer, oldest_ns == UINT64_MAX ? UINT64_MAX : qp->stale_ns - now_ns);
    return 0;
}

void milgi__afalg_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)loaded;
    if (key->kind == MILGI_KEY_AEAD)
        milgi__alg_forget(&qp->keys, key->serial);
}

/* Whether there is a cipher, and room for an operation of it. */
static int look(const struct milgi__afalg *afalg)
{
    static const uint8_t key[32];
    struct milgi__driver driver;
    unsigned suite = 0;

    while (suite < MILGI__AFALG_SUITES - 1 && !afalg->name[suite])
        suite++;
    if (!milgi__driver_of(milgi__alg_kernel->drivers, afalg->name[suite], &driver))
        return -ENOENT; /* bind() would wait while the kernel looks for a module */
    int fd = milgi__alg_kernel->bind(afalg->name[suite], key, suite == 0 ? 16 : sizeof key);
    if (fd < 0)
        return fd;
    int one = milgi__alg_kernel->accept(fd);
    milgi__alg_kernel->close(fd);
    if (one < 0)
        return one;
    milgi__alg_kernel->close(one);
    return 0;
}

/* Ops say whether the kernel does them; when several have said no it is asked now and then, without one. */
int milgi__afalg_health(struct milgi_qp *qp)
{
    if (qp->failures < ILL)
        return 0;
    uint64_t now_ns = now(qp);
    bool known = qp->look_ns != 0; /* it has been told */
    if (known && now_ns < qp->look_ns)
        return qp->ill_code;
    qp->look_ns = now_ns + LOOK_NS;
    int error = known ? look(qp->afalg) : 0;
    if (error != 0)
        qp->ill_code = code_of(error);
    if (!known || error != 0)
        return qp->ill_code;
    qp->failures = 0;
    return 0;
}

int milgi__afalg_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    uint64_t begin_ns = milgi__port_monotonic_ns(NULL);

    for (;;) {
        reap(qp);
        if (under_way(qp) == 0)
            return 0;
        uint64_t gone_ns = milgi__port_monotonic_ns(NULL) - begin_ns;
        if (gone_ns >= limit_ns)
            return MILGI_EBUSY;
        milgi__port_wait(qp->afalg->ring->fd(qp->ring), (int)MILGI__MIN((limit_ns - gone_ns) / 1000000 + 1, 1000));
    }
}

/* Those that are left go on without anybody: their ops are nobody's any more, and stay. */
bool milgi__afalg_sweep(struct milgi__afalg *afalg)
{
    milgi__port_lock(afalg->lock);
    for (struct milgi_qp **at = &afalg->left, *qp; (qp = *at);) {
        reap(qp);
        if (under_way(qp) > 0) {
            at = &qp->next;
            continue;
        }
        *at = qp->next;
        free_qp(qp);
    }
    bool none = !afalg->left;
    milgi__port_unlock(afalg->lock);
    return none;
}

void milgi__afalg_close(struct milgi_qp *qp)
{
    struct milgi__afalg *afalg = qp->afalg;

    if (under_way(qp) == 0) {
        free_qp(qp);
        return;
    }
    milgi__port_lock(afalg->lock);
    qp->next = afalg->left;
    afalg->left = qp;
    milgi__port_unlock(afalg->lock);
}
