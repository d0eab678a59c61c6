/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_kernel.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "device/afalg/kernel.h"

#define SOCKETS 512
#define FIRST_FD 100000 /* no descriptor of this process: that it is closed here and not by close() is seen */
#define WORKS 1024
#define TAG 16u
#define BYTES 20000

struct fake_kernel fake_kernel;

static struct socket {
    bool open, busy;
    unsigned *count; /* of its kind */
    uint8_t key[32];
    size_t key_len;
    const EVP_CIPHER *cipher;
} sockets[SOCKETS];

struct milgi__ring {
    int fd;
    unsigned ends_n;
    struct milgi__ring_end ends[WORKS];
};

static struct under_way {
    struct milgi__ring *ring;
    uint32_t index;
    struct milgi__alg_work *work;
} works[WORKS];

static const struct milgi__alg_kernel *real;

static void complain(const char *what)
{
    if (!fake_kernel.complaint)
        fake_kernel.complaint = what;
}

/* --- sockets ---------------------------------------------------------------------------------------------------- */

static struct socket *at(int fd)
{
    static struct socket closed;
    struct socket *socket = fd >= FIRST_FD && fd < FIRST_FD + SOCKETS ? &sockets[fd - FIRST_FD] : &closed;

    if (!socket->open)
        complain("a socket that is not open");
    return socket;
}

static int socket_new(unsigned *count)
{
    unsigned limit = fake_kernel.sockets_max ? fake_kernel.sockets_max : SOCKETS;

    if (count != &fake_kernel.held && fake_kernel.keys + fake_kernel.operations >= limit)
        return -EMFILE;
    for (int i = 0; i < SOCKETS; i++) {
        if (sockets[i].open)
            continue;
        memset(&sockets[i], 0, sizeof sockets[i]);
        sockets[i].open = true;
        sockets[i].count = count;
        ++*count;
        return FIRST_FD + i;
    }
    return -ENFILE;
}

static int fake_bind(const char *name, const uint8_t *key, size_t len)
{
    static const uint8_t zeros[32];
    bool chacha = strcmp(name, "rfc7539(chacha20,poly1305)") == 0;

    fake_kernel.bound++;
    if (fake_kernel.bind_error != 0)
        return fake_kernel.bind_error;
    if (chacha && fake_kernel.no_chacha != 0)
        return fake_kernel.no_chacha;
    if (!chacha && strcmp(name, "gcm(aes)") != 0 && strcmp(name, "card(gcm,aes)") != 0)
        return -ENOENT;
    int fd = socket_new(memcmp(key, zeros, len) == 0 ? &fake_kernel.held : &fake_kernel.keys);
    if (fd < 0)
        return fd;
    struct socket *socket = at(fd);
    memcpy(socket->key, key, len);
    socket->key_len = len;
    socket->cipher = chacha ? EVP_chacha20_poly1305() : len == 16 ? EVP_aes_128_gcm()
                                                                  : EVP_aes_256_gcm();
    return fd;
}

static int fake_accept(int fd)
{
    struct socket *key = at(fd);

    fake_kernel.accepted++;
    if (key->count == &fake_kernel.operations)
        complain("an operation of what is no key");
    if (fake_kernel.accept_error != 0)
        return fake_kernel.accept_error;
    int got = socket_new(&fake_kernel.operations);
    if (got < 0)
        return got;
    struct socket *socket = at(got);
    memcpy(socket->key, key->key, sizeof key->key);
    socket->key_len = key->key_len;
    socket->cipher = key->cipher;
    return got;
}

static void fake_close(int fd)
{
    struct socket *socket = at(fd);

    if (socket->busy)
        complain("a socket was closed while its operation was under way");
    --*socket->count;
    socket->open = false;
}

/* --- an operation ----------------------------------------------------------------------------------------------- */

struct asked {
    uint32_t what, aad_len, iv_len;
    uint8_t iv[12];
};

static void read_control(struct msghdr *message, struct asked *asked)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_ALG)
            complain("control data of another level");
        if (c->cmsg_type == ALG_SET_OP)
            memcpy(&asked->what, CMSG_DATA(c), sizeof asked->what);
        else if (c->cmsg_type == ALG_SET_AEAD_ASSOCLEN)
            memcpy(&asked->aad_len, CMSG_DATA(c), sizeof asked->aad_len);
        else if (c->cmsg_type == ALG_SET_IV) {
            memcpy(&asked->iv_len, CMSG_DATA(c), sizeof asked->iv_len);
            memcpy(asked->iv, CMSG_DATA(c) + sizeof asked->iv_len, sizeof asked->iv);
        }
    }
    if (asked->iv_len != 12)
        complain("an IV of another length");
}

static size_t gather(const struct msghdr *message, uint8_t *to)
{
    size_t len = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++) {
        memcpy(to + len, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        len += message->msg_iov[i].iov_len;
    }
    return len;
}

/* As much as there is room for. */
static int scatter(const struct milgi__alg_work *work, const uint8_t *from, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < work->out_n && done < len; i++) {
        size_t part = MILGI__MIN(work->out[i].iov_len, len - done);
        memcpy(work->out[i].iov_base, from + done, part);
        done += part;
    }
    return (int)done;
}

/* AAD || in to AAD || out; the length of the latter, or -errno. */
static int aead(const struct socket *socket, const struct asked *asked, const uint8_t *in, size_t in_len, uint8_t *out)
{
    EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
    bool seal = asked->what == ALG_OP_ENCRYPT;
    size_t text = in_len - asked->aad_len - (seal ? 0 : TAG);
    const uint8_t *from = in + asked->aad_len;
    uint8_t *to = out + asked->aad_len, tag[TAG];
    int n, ok;

    memcpy(out, in, asked->aad_len);
    ok = EVP_CipherInit_ex(cx, socket->cipher, NULL, socket->key, asked->iv, seal);
    if (!seal) {
        memcpy(tag, from + text, TAG);
        ok = ok && EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_SET_TAG, TAG, tag);
    }
    ok = ok && EVP_CipherUpdate(cx, NULL, &n, in, (int)asked->aad_len) && EVP_CipherUpdate(cx, to, &n, from, (int)text);
    bool fine = ok && EVP_CipherFinal_ex(cx, to + text, &n) == 1;
    if (seal)
        fine = fine && EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_GET_TAG, TAG, to + text) == 1;
    EVP_CIPHER_CTX_free(cx);
    if (!fine)
        return seal ? -EINVAL : -EBADMSG;
    if (fake_kernel.garbles)
        to[0] ^= 1;
    return (int)(asked->aad_len + text + (seal ? TAG : 0));
}

static int perform(struct milgi__alg_work *work)
{
    static uint8_t in[BYTES], out[BYTES];
    struct asked asked = { .what = UINT32_MAX };

    read_control(&work->message, &asked);
    size_t in_len = gather(&work->message, in);
    if (in_len != work->in_len)
        complain("the ring was told another length");
    int len = aead(at(work->fd), &asked, in, in_len, out);
    if (len < 0) { /* what it had by then is in the destination */
        (void)scatter(work, in, in_len);
        return len;
    }
    fake_kernel.done++;
    return scatter(work, out, (size_t)len);
}

/* --- rings ------------------------------------------------------------------------------------------------------ */

void fake_kernel_end(unsigned i)
{
    struct under_way one = works[i];
    struct milgi__ring *ring = one.ring;
    uint64_t count = 1;

    memmove(works + i, works + i + 1, (--fake_kernel.under_way - i) * sizeof works[0]);
    at(one.work->fd)->busy = false;
    int result = fake_kernel.work_error != 0 ? fake_kernel.work_error : perform(one.work);
    ring->ends[ring->ends_n++] = (struct milgi__ring_end){ one.index, result };
    if (write(ring->fd, &count, sizeof count) < 0)
        complain("no descriptor");
}

static int ring_new(struct milgi__ring **ring, int error)
{
    if (error != 0)
        return error;
    *ring = milgi__alloc(sizeof **ring);
    (*ring)->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return 0;
}

static int open_uring(unsigned depth, unsigned workers, struct milgi__ring **ring)
{
    (void)depth;
    (void)workers;
    return ring_new(ring, fake_kernel.ring_error[0]);
}

static int open_aio(unsigned depth, unsigned workers, struct milgi__ring **ring)
{
    (void)depth;
    return ring_new(ring, workers > 0 ? -ENOSYS : fake_kernel.ring_error[1]);
}

static void ring_close(struct milgi__ring *ring)
{
    for (unsigned i = 0; i < fake_kernel.under_way; i++) {
        if (works[i].ring == ring)
            complain("a ring was closed with operations under way");
    }
    close(ring->fd);
    milgi__free(ring);
}

static void ring_put(struct milgi__ring *ring, uint32_t index, struct milgi__alg_work *work)
{
    struct socket *socket = at(work->fd);

    if (socket->count != &fake_kernel.operations || socket->busy)
        complain("a socket that has an operation got another");
    socket->busy = true;
    works[fake_kernel.under_way++] = (struct under_way){ ring, index, work };
}

static void ring_submit(struct milgi__ring *ring)
{
    for (unsigned i = 0; !fake_kernel.late && i < fake_kernel.under_way;) {
        if (works[i].ring == ring)
            fake_kernel_end(i);
        else
            i++;
    }
}

static unsigned ring_reap(struct milgi__ring *ring, struct milgi__ring_end *ends, unsigned n)
{
    uint64_t count;
    unsigned got = 0;

    while (got < n && ring->ends_n > 0)
        ends[got++] = ring->ends[--ring->ends_n];
    if (ring->ends_n == 0 && read(ring->fd, &count, sizeof count) < 0)
        return got; /* it was not readable */
    return got;
}

static int ring_fd(const struct milgi__ring *ring)
{
    return ring->fd;
}

static const struct milgi__ring_kind uring = { "io_uring", open_uring, ring_close, ring_put, ring_submit, ring_reap,
    ring_fd };
static const struct milgi__ring_kind aio = { "Linux AIO", open_aio, ring_close, ring_put, ring_submit, ring_reap,
    ring_fd };

/* --- what it lists ---------------------------------------------------------------------------------------------- */

static unsigned fake_most(void)
{
    return fake_kernel.most ? fake_kernel.most : UINT_MAX;
}

static char listed[32];
static int list_fd = -1;

static struct milgi__alg_kernel kernel = { fake_bind, fake_accept, fake_close, fake_most, { &uring, &aio }, listed };

void fake_kernel_list(void)
{
    static const char list[] =
        "name         : gcm(aes)\ndriver       : card(gcm,aes)\npriority     : 300\nasync        : no\n"
        "type         : aead\n\n"
        "name         : rfc7539(chacha20,poly1305)\ndriver       : plain(chacha20,poly1305)\npriority     : 100\n"
        "async        : no\ntype         : aead\n\n";

    if (list_fd < 0) {
        list_fd = memfd_create("list", MFD_CLOEXEC);
        snprintf(listed, sizeof listed, "/proc/self/fd/%d", list_fd);
    }
    if (ftruncate(list_fd, 0) != 0 ||
        (!fake_kernel.unlisted && pwrite(list_fd, list, sizeof list - 1, 0) != (ssize_t)sizeof list - 1))
        complain("no list");
}

void fake_kernel_begin(void)
{
    memset(&fake_kernel, 0, sizeof fake_kernel);
    memset(sockets, 0, sizeof sockets);
    fake_kernel_list();
    if (!real)
        real = milgi__alg_kernel;
    milgi__alg_kernel = &kernel;
}

void fake_kernel_done(void)
{
    milgi__alg_kernel = real;
}
