/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device without TLS: a tunnel of ESP datagrams (RFC 4303, AES-GCM of RFC 4106, in UDP as RFC 3948 has it). There is
 * no engine, no connection and no stream: datagrams go into the device in vectors, and on as they come out of it.
 *
 *   example_esp DEVICE KEYS PLAIN ESP PEER      each an address and a port of IPv4: 127.0.0.1:7000
 *
 * What comes to PLAIN is sealed and goes from ESP to PEER; what comes to ESP is opened and goes from PLAIN to whoever
 * sent there last. KEYS has SPI (4 bytes), key (32) and salt (4) of the way out, then of the way in. SIGTERM ends it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <milgi/milgi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define ROOM 2048u /* of a datagram, with all that is around it */
#define PACKETS (MILGI_MEMORY_SLAB / (2 * ROOM))
#define BURST 64u
#define ICV 16u
#define WINDOW 1024u
#define HOST_PROTOCOL 61 /* "any host internal protocol": payloads are nothing of IP's */
struct header {
    uint32_t spi, seq, iv[2]; /* big endian */
};

struct packet {
    struct milgi_op op;
    uint8_t *data, *made; /* a header, and what it goes before; and what becomes of that, perhaps in the same place */
    size_t len;
};

struct sa {            /* security association: one way */
    uint32_t spi, seq; /* spi as it is sent */
    uint8_t salt[4];
    struct milgi_key key;
    uint64_t seen[WINDOW / 64]; /* of those that came, up to |seq| */
};

static struct milgi_device *device;
static struct milgi_qp *qp;
static struct sa out, in;
static int plain, esp; /* sockets */
static struct sockaddr_in plain_peer, esp_peer;
static struct packet packets[PACKETS], *unused[PACKETS];
static struct milgi_op *waiting[PACKETS]; /* the device was full */
static unsigned unused_n, waiting_n, in_device;
static unsigned long sealed, opened, dropped, replayed, forged, failed;

static uint64_t now_ns(void *ctx)
{
    struct timespec ts;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The replay window (RFC 4303 3.4.3). */
static bool is_replay(uint32_t seq)
{
    if (seq > in.seq)
        return false;
    return seq == 0 || in.seq - seq >= WINDOW || (in.seen[seq % WINDOW / 64] >> seq % 64 & 1) != 0;
}

static void mark(uint32_t seq)
{
    for (uint32_t i = seq > in.seq && seq - in.seq > WINDOW ? seq - WINDOW : in.seq; i < seq; i++)
        in.seen[(i + 1) % WINDOW / 64] &= ~(UINT64_C(1) << (i + 1) % 64);
    in.seen[seq % WINDOW / 64] |= UINT64_C(1) << seq % 64;
    in.seq = seq > in.seq ? seq : in.seq;
}

/* --- datagrams and ops ------------------------------------------------------------------------------------------ */

static void done_with(struct packet *p, unsigned long *counter)
{
    (*counter)++;
    unused[unused_n++] = p;
}

/* |len| bytes behind the header to the device: behind what waits, since it may be full. */
static void submit(struct packet *p, int type, struct sa *sa, size_t len)
{
    struct milgi_op_aead *aead = &p->op.u.aead;
    uint8_t *text = p->data + sizeof(struct header);
    p->op.type = (uint8_t)type; /* an op is large: what is the same for all has been said before */
    p->op.status = MILGI_OP_PENDING;
    p->op.key = &sa->key;
    aead->src[0] = (struct milgi_slice){ NULL, text, (uint32_t)len };
    aead->dst = aead->in_place && type == MILGI_OP_OPEN ? NULL : p->made + sizeof(struct header);
    aead->dst_len = (uint32_t)len + ICV;
    if (type == MILGI_OP_OPEN)
        memcpy(aead->tag, text + len, ICV);
    /* RFC 4106 4, 5: the nonce is the salt and then the IV; the additional data are SPI and sequence number. */
    memcpy(aead->nonce, sa->salt, 4);
    memcpy(aead->nonce + 4, p->data + 8, 8);
    memcpy(aead->aad, p->data, 8);
    waiting[waiting_n++] = &p->op;
}

/* A payload of p->len bytes stands behind the room for the header. */
static void seal(struct packet *p)
{
    uint8_t *tail = p->data + sizeof(struct header) + p->len, pad = (uint8_t)(-(p->len + 2) & 3);
    /* RFC 4303 3.3.3: "the transmitter MUST NOT send a packet on an SA if doing so would cause the sequence number to
     * cycle" */
    if (out.seq == UINT32_MAX)
        errx(1, "no sequence number is left");
    uint32_t seq = htonl(++out.seq); /* the IV, too, which is to be used once with a key (RFC 4106 3.1) */
    *(struct header *)p->data = *(struct header *)p->made = (struct header){ out.spi, seq, { 0, seq } };
    for (uint8_t i = 1; i <= pad; i++)
        *tail++ = i;
    *tail++ = pad;
    *tail++ = HOST_PROTOCOL;
    p->len = (size_t)(tail - p->data) + ICV;
    submit(p, MILGI_OP_SEAL, &out, p->len - sizeof(struct header) - ICV);
}

static void unseal(struct packet *p)
{
    const struct header *header = (struct header *)p->data;
    if (p->len < sizeof *header + 4 + ICV || p->len % 4 != 0 || header->spi != in.spi)
        done_with(p, &dropped); /* keepalives of one byte are among them (RFC 3948 2.3) */
    else if (is_replay(ntohl(header->seq)))
        done_with(p, &replayed);
    else
        submit(p, MILGI_OP_OPEN, &in, p->len - sizeof *header - ICV);
}

/* What was opened: p->len becomes the payload's. Not NULL: there is none to deliver, and where it is counted. */
static unsigned long *judge(struct packet *p)
{
    uint32_t seq = ntohl(((struct header *)p->data)->seq);
    if (p->op.status != MILGI_OP_OK)
        return p->op.status == MILGI_OP_REJECTED ? &forged : &failed;
    if (is_replay(seq)) /* its twin was opened meanwhile */
        return &replayed;
    /* RFC 4303 3.4.3: "The receive window is updated only if the integrity verification succeeds." */
    mark(seq);
    const uint8_t *tail = p->made + p->len - ICV - 2;
    size_t around = sizeof(struct header) + tail[0] + 2u + ICV;
    if (tail[1] != HOST_PROTOCOL || around > p->len)
        return &dropped;
    p->len -= around;
    return NULL;
}

/* --- the tunnel ------------------------------------------------------------------------------------------------- */

static void receive(int fd)
{
    size_t offset = fd == plain ? sizeof(struct header) : 0, room = ROOM - offset - (fd == plain ? 5 + ICV : 0);
    struct sockaddr_in from;
    for (unsigned i = 0; i < BURST && unused_n > 0; i++) {
        struct packet *p = unused[unused_n - 1];
        ssize_t got = recvfrom(fd, p->data + offset, room, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
            &(socklen_t){ sizeof from });
        if (got < 0)
            return;
        unused_n--;
        p->len = (size_t)got;
        if (p->len > room)
            done_with(p, &dropped);
        else if (fd == esp)
            unseal(p);
        else
            plain_peer = from, seal(p);
    }
}

static void send_on(struct packet *p, int fd, const struct sockaddr_in *to, size_t offset, unsigned long *counter)
{
    ssize_t sent = sendto(fd, p->made + offset, p->len, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
    done_with(p, sent >= 0 ? counter : &dropped);
}

/* Gives the device what waits, and sends on what it has finished, in whatever order. Returns how many that were. */
static unsigned exchange(void)
{
    unsigned taken = waiting_n > 0 ? device->ops->enqueue(qp, waiting, waiting_n) : 0;
    memmove(waiting, waiting + taken, (waiting_n -= taken) * sizeof waiting[0]);
    struct milgi_op *ops[BURST];
    unsigned n = device->ops->dequeue(qp, ops, BURST);
    in_device += taken - n;
    for (unsigned i = 0; i < n; i++) {
        struct packet *p = (struct packet *)ops[i]; /* its first member */
        unsigned long *why = p->op.type == MILGI_OP_OPEN ? judge(p) : p->op.status == MILGI_OP_OK ? NULL
                                                                                                  : &failed;
        if (why)
            done_with(p, why);
        else if (p->op.type == MILGI_OP_OPEN)
            send_on(p, plain, &plain_peer, sizeof(struct header), &opened);
        else
            send_on(p, esp, &esp_peer, 0, &sealed);
    }
    return n;
}

static void run(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int notify_fd = device->ops->notify_fd ? device->ops->notify_fd(qp) : -1, end_fd = signalfd(-1, &signals, 0);
    puts("ready");
    fflush(stdout);
    for (bool ending = false; !ending;) {
        while (exchange() > 0) {
        }
        /* A device that tells nobody is asked again and again, as long as it has something. */
        bool again = waiting_n > 0 || (in_device > 0 && (notify_fd < 0 || device->ops->arm(qp) == 1));
        short more = waiting_n == 0 && unused_n > 0 ? POLLIN : 0; /* else datagrams wait in the sockets */
        struct pollfd fds[] = { { plain, more, 0 }, { esp, more, 0 }, { notify_fd, POLLIN, 0 }, { end_fd, POLLIN, 0 } };
        (void)poll(fds, 4, again ? 0 : -1);
        ending = fds[3].revents != 0;
        for (int i = 0; i < 2; i++)
            if ((fds[i].revents & POLLIN) != 0)
                receive(fds[i].fd);
    }
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

static int bound(const char *text, struct sockaddr_in *address, bool here)
{
    char host[16];
    unsigned short port;
    *address = (struct sockaddr_in){ .sin_family = AF_INET };
    int fd = here ? socket(AF_INET, SOCK_DGRAM, 0) : -1;
    if (sscanf(text, "%15[0-9.]:%hu", host, &port) != 2 || inet_pton(AF_INET, host, &address->sin_addr) != 1)
        errx(1, "%s: an address is wanted, as 127.0.0.1:7000", text);
    address->sin_port = htons(port);
    if (here && bind(fd, (struct sockaddr *)address, sizeof *address) != 0)
        err(1, "%s", text);
    return fd;
}

static void read_sa(int fd, struct sa *sa, uint64_t serial)
{
    sa->key = (struct milgi_key){ .serial = serial, .alg = MILGI_SUITE_AES_256_GCM_SHA384, .raw_len = 32 };
    if (read(fd, &sa->spi, 4) != 4 || read(fd, sa->key.raw, 32) != 32 || read(fd, sa->salt, 4) != 4)
        errx(1, "KEYS: 80 bytes are wanted");
}

int main(int argc, char **argv)
{
    static uint8_t own[MILGI_MEMORY_SLAB];
    const char *why = "usage: DEVICE KEYS PLAIN ESP PEER";
    if (argc != 6 || milgi_device_new(argv[1], &device, &why) != 0)
        errx(2, "%s", why);
    /* Datagrams lie where the device reaches them: they come from the network right into its memory. */
    const struct milgi_device_ops *ops = device->ops;
    uint8_t *memory = ops->chunk_alloc ? ops->chunk_alloc(device, sizeof own) : own;
    qp = ops->qp_open(device, &(struct milgi_clock){ .monotonic_ns = now_ns });
    if (!memory || !qp || (ops->supports && ops->supports(device, MILGI_OP_SEAL, MILGI_SUITE_AES_256_GCM_SHA384) != 1))
        errx(1, "%s: no memory, no queue pair, or no AES-256-GCM", argv[1]);
    for (; unused_n < PACKETS; unused_n++) {
        struct packet *p = unused[unused_n] = &packets[unused_n];
        p->data = memory + unused_n * 2 * ROOM;
        p->made = p->data + (device->caps.flags & MILGI_CAP_IN_PLACE ? 0 : ROOM);
        p->op.alg = MILGI_SUITE_AES_256_GCM_SHA384;
        p->op.u.aead = (struct milgi_op_aead){ .src_n = 1, .aad_len = 8, .in_place = p->made == p->data };
    }
    int keys = open(argv[2], O_RDONLY);
    if (keys < 0)
        err(1, "%s", argv[2]);
    read_sa(keys, &out, 1);
    read_sa(keys, &in, 2);
    close(keys);
    plain = bound(argv[3], &plain_peer, true); /* until somebody sends there */
    esp = bound(argv[4], &esp_peer, true);
    (void)bound(argv[5], &esp_peer, false);
    run();
    /* What the device has begun comes back now. One that hangs keeps its ops and their memory: nothing is freed. */
    if (ops->quiesce && ops->quiesce(qp, 1000000000) != 0)
        return 1;
    for (waiting_n = 0; exchange() > 0;) {
    }
    printf("sealed %lu opened %lu dropped %lu replayed %lu forged %lu failed %lu\n", sealed, opened, dropped, replayed,
        forged, failed);
    for (int i = 0; i < 2; i++) { /* neither device nor memory keeps the keys */
        if (ops->key_free)
            ops->key_free(qp, i == 0 ? &out.key : &in.key, NULL);
        explicit_bzero(i == 0 ? &out : &in, sizeof out);
    }
    ops->qp_close(qp);
    if (ops->chunk_free)
        ops->chunk_free(device, memory, sizeof own);
    milgi_device_free(device);
    return 0;
}
