/* SPDX-License-Identifier: Apache-2.0 */
/* Linux's kernel TLS: keys into it, records and their types through it. */
#include "milgi_ktls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>

/* Younger than some headers. */
#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef TLS_TX_ZEROCOPY_RO
#define TLS_TX_ZEROCOPY_RO 3
#endif
#ifndef TLS_RX_EXPECT_NO_PAD
#define TLS_RX_EXPECT_NO_PAD 4
#endif

#define DATA 23
#define ALERT 21
#define ALERT_LEN 2u
#define RECORD 16384u
#define PIECES 16
#define READ_SIZE 65536u
#define COUNT_EVERY 1024u
#define BYTES_EVERY 256u /* received, or past us, per record of count_every: records may be short */

enum {
    TX = MILGI_SEND,
    RX = MILGI_RECEIVE
};

union crypto {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes128;
    struct tls12_crypto_info_aes_gcm_256 aes256;
    struct tls12_crypto_info_chacha20_poly1305 chacha;
};

/* What waits to be sent, or (keys) a change of keys between it. */
struct item {
    struct item *next;
    const uint8_t *data; /* the connection's, until it is counted */
    size_t len;
    union crypto *keys;
    unsigned keys_len;
    uint8_t type;
};

struct milgi_ktls {
    struct milgi_conn *conn;
    int fd;
    struct milgi_ktls_options options;
    struct item *first, *last;
    size_t unsent;
    int error;
    bool ulp;
    bool has[2], rekeys[2];
    uint32_t crypto_len[2];
    uint64_t sequence[2]; /* of the kernel's next record, when it was asked last */
    uint64_t since[2];    /* records that it may have made since, at least; */
    uint64_t bytes[2];    /* and bytes in records of which we know not how many they are */
    long instead;         /* what splice() has said of the next record; */
    bool is_other;        /* which milgi_ktls_receive() has not been asked for yet */
};

/* --- the system --------------------------------------------------------------------------------------------------- */

static int sys_set(void *ctx, int fd, int level, int option, const void *value, unsigned len)
{
    (void)ctx;
    return setsockopt(fd, level, option, value, len) ? -errno : 0;
}

static int sys_get(void *ctx, int fd, int level, int option, void *value, unsigned *len)
{
    socklen_t size = *len;
    (void)ctx;
    int rv = getsockopt(fd, level, option, value, &size) ? -errno : 0;
    *len = size;
    return rv;
}

static long sys_send(void *ctx, int fd, const struct msghdr *message, int flags)
{
    (void)ctx;
    ssize_t n = sendmsg(fd, message, flags);
    return n < 0 ? -errno : n;
}

static long sys_receive(void *ctx, int fd, struct msghdr *message, int flags)
{
    (void)ctx;
    ssize_t n = recvmsg(fd, message, flags);
    return n < 0 ? -errno : n;
}

static long sys_send_file(void *ctx, int fd, int file, int64_t *at, size_t len)
{
    off_t offset = *at;
    (void)ctx;
    ssize_t n = sendfile(fd, file, &offset, len);
    int error = errno;
    *at = offset;
    return n < 0 ? -error : n;
}

static long sys_splice(void *ctx, int from, int to, size_t len)
{
    (void)ctx;
    ssize_t n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return n < 0 ? -errno : n;
}

static const struct milgi_ktls_calls sys_calls = { sys_set, sys_get, sys_send, sys_receive, sys_send_file, sys_splice };

static int set(struct milgi_ktls *k, int level, int option, const void *value, unsigned len)
{
    return k->options.calls->set(k->options.calls_ctx, k->fd, level, option, value, len);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void put64(unsigned char *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (unsigned char)(v >> (56 - 8 * i));
}

static uint64_t get64(const unsigned char *in)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | in[i];
    return v;
}

/*
 * The kernel's nonces: in TLS 1.3, and of ChaCha20-Poly1305, salt and |iv| with the sequence number XORed. AES-GCM in
 * TLS 1.2 has |iv| as the next explicit nonce, which counts up by itself: it goes on where the connection's own were,
 * which are its IV with the sequence number XORed. From zero it would use each nonce again.
 */
/*= RFC5288 3: "Each value of the nonce_explicit MUST be distinct for each distinct invocation of the GCM encrypt
 *= function for any fixed key." */
static void put_iv(const struct milgi_traffic_keys *keys, unsigned char salt[4], unsigned char iv[8])
{
    memcpy(salt, keys->iv, 4);
    memcpy(iv, keys->iv + 4, 8);
    if (keys->version == TLS_1_2_VERSION)
        put64(iv, get64(keys->iv + 4) ^ keys->sequence);
}

/* What the kernel is given; the number of its bytes, 0: it has no such cipher. */
static unsigned make_crypto(const struct milgi_traffic_keys *keys, union crypto *c)
{
    memset(c, 0, sizeof *c);
    c->info.version = keys->version;
    switch (keys->suite) {
    case MILGI_SUITE_CHACHA20_POLY1305_SHA256:
    case MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256:
    case MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256:
        c->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
        memcpy(c->chacha.key, keys->key, sizeof c->chacha.key);
        memcpy(c->chacha.iv, keys->iv, sizeof c->chacha.iv);
        put64(c->chacha.rec_seq, keys->sequence);
        return sizeof c->chacha;
    default:
        break;
    }
    if (keys->key_len == sizeof c->aes128.key) {
        c->info.cipher_type = TLS_CIPHER_AES_GCM_128;
        memcpy(c->aes128.key, keys->key, sizeof c->aes128.key);
        put_iv(keys, c->aes128.salt, c->aes128.iv);
        put64(c->aes128.rec_seq, keys->sequence);
        return sizeof c->aes128;
    }
    if (keys->key_len == sizeof c->aes256.key) {
        c->info.cipher_type = TLS_CIPHER_AES_GCM_256;
        memcpy(c->aes256.key, keys->key, sizeof c->aes256.key);
        put_iv(keys, c->aes256.salt, c->aes256.iv);
        put64(c->aes256.rec_seq, keys->sequence);
        return sizeof c->aes256;
    }
    return 0;
}

static uint64_t sequence_of(const union crypto *c)
{
    if (c->info.cipher_type == TLS_CIPHER_CHACHA20_POLY1305)
        return get64(c->chacha.rec_seq);
    return get64(c->info.cipher_type == TLS_CIPHER_AES_GCM_128 ? c->aes128.rec_seq : c->aes256.rec_seq);
}

static int set_crypto(struct milgi_ktls *k, int direction, const union crypto *crypto, unsigned len)
{
    return set(k, SOL_TLS, direction == TX ? TLS_TX : TLS_RX, crypto, len);
}

/* The kernel counts from |crypto| on. */
static void count_from(struct milgi_ktls *k, int direction, const union crypto *crypto, unsigned len)
{
    k->crypto_len[direction] = len;
    k->sequence[direction] = sequence_of(crypto);
    k->since[direction] = k->bytes[direction] = 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void milgi_ktls_options_init(struct milgi_ktls_options *options)
{
    *options = (struct milgi_ktls_options){ .count_every = COUNT_EVERY };
}

int milgi_ktls_new(
    struct milgi_conn *conn, int fd, const struct milgi_ktls_options *options, struct milgi_ktls **ktls)
{
    struct milgi_ktls *k = calloc(1, sizeof *k);
    *ktls = k;
    if (!k)
        return MILGI_ENOMEM;
    k->conn = conn;
    k->fd = fd;
    if (options)
        k->options = *options;
    if (!k->options.count_every)
        k->options.count_every = COUNT_EVERY;
    if (!k->options.calls)
        k->options.calls = &sys_calls;
    return 0;
}

static void free_item(struct item *item)
{
    if (item->keys)
        explicit_bzero(item->keys, sizeof *item->keys);
    free(item->keys);
    free(item);
}

void milgi_ktls_free(struct milgi_ktls *k)
{
    if (!k)
        return;
    for (struct item *item = k->first, *next; item; item = next) {
        next = item->next;
        free_item(item);
    }
    free(k);
}

/* --- taking a direction ------------------------------------------------------------------------------------------- */

/* Into the kernel. 0; or a negative errno, and it has not got them. */
static int give_keys(struct milgi_ktls *k, int direction, const struct milgi_traffic_keys *keys)
{
    union crypto crypto;
    int on = 1;
    unsigned len = make_crypto(keys, &crypto);
    int rv = len ? 0 : -EOPNOTSUPP;
    if (!rv && !k->ulp)
        rv = set(k, IPPROTO_TCP, TCP_ULP, "tls", 4);
    if (!rv) {
        k->ulp = true;
        rv = set_crypto(k, direction, &crypto, len);
    }
    if (!rv) {
        count_from(k, direction, &crypto, len);
        /* The same once more: a kernel that cannot change keys refuses it. It has to be known before it is needed. */
        k->rekeys[direction] = keys->version == TLS_1_3_VERSION && !set_crypto(k, direction, &crypto, len);
        if (direction == TX && k->options.files_do_not_change)
            set(k, SOL_TLS, TLS_TX_ZEROCOPY_RO, &on, sizeof on);
        if (direction == RX && k->options.expect_no_padding && keys->version == TLS_1_3_VERSION)
            set(k, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &on, sizeof on);
    }
    explicit_bzero(&crypto, sizeof crypto);
    return rv;
}

int milgi_ktls_take(struct milgi_ktls *k, enum milgi_direction direction)
{
    struct milgi_traffic_keys keys;
    int rv = milgi_conn_keys(k->conn, direction, &keys);
    if (rv)
        return rv;
    rv = give_keys(k, (int)direction, &keys);
    explicit_bzero(&keys, sizeof keys);
    if (rv)
        return MILGI_EUNSUPPORTED;
    k->has[direction] = true;
    return milgi_conn_hand_over(k->conn, direction, k->rekeys[direction] ? MILGI_REKEYS : 0);
}

bool milgi_ktls_has(const struct milgi_ktls *k, enum milgi_direction direction)
{
    return k->has[direction];
}

bool milgi_ktls_rekeys(const struct milgi_ktls *k, enum milgi_direction direction)
{
    return k->rekeys[direction];
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

/* Records under the kernel's key since it was asked last. */
static uint64_t ask_count(struct milgi_ktls *k, int direction)
{
    union crypto crypto;
    unsigned len = k->crypto_len[direction];
    uint64_t made = k->since[direction];
    memset(&crypto, 0, sizeof crypto);
    int rv = k->options.calls->get(
        k->options.calls_ctx, k->fd, SOL_TLS, direction == TX ? TLS_TX : TLS_RX, &crypto, &len);
    if (!rv && sequence_of(&crypto) >= k->sequence[direction]) {
        made = sequence_of(&crypto) - k->sequence[direction];
        k->sequence[direction] += made;
    }
    explicit_bzero(&crypto, sizeof crypto);
    k->since[direction] = k->bytes[direction] = 0;
    return made;
}

/* |bytes| have gone or come in |records| records or more; |past|: of them, past the connection. */
static void count(struct milgi_ktls *k, int direction, size_t bytes, uint64_t past)
{
    uint64_t records = 0, every = k->options.count_every;
    k->since[direction] += 1 + bytes / RECORD;
    k->bytes[direction] += direction == RX ? bytes : past;
    if (k->since[direction] >= every || k->bytes[direction] >= every * BYTES_EVERY)
        records = ask_count(k, direction);
    if (records || past)
        milgi_conn_passed(k->conn, (enum milgi_direction)direction, past, records);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void sent(struct milgi_ktls *k, size_t bytes)
{
    k->unsent -= bytes;
    if (k->options.sent)
        k->options.sent(k->options.arg, bytes);
    else
        milgi_conn_output_done(k->conn, bytes);
}

static void drop_first(struct milgi_ktls *k)
{
    struct item *item = k->first;
    k->first = item->next;
    if (!k->first)
        k->last = NULL;
    free_item(item);
}

/* Nothing more goes out, and nobody is to wait for it. */
static void send_failed(struct milgi_ktls *k, int error)
{
    size_t unsent = k->unsent;
    k->error = k->error ? k->error : error;
    while (k->first)
        drop_first(k);
    if (unsent)
        sent(k, unsent);
}

static struct item *append(struct milgi_ktls *k, uint8_t type, const void *data, size_t len)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    *item = (struct item){ .type = type, .data = data, .len = len };
    *(k->last ? &k->last->next : &k->first) = item;
    k->last = item;
    return item;
}

void milgi_ktls_record(struct milgi_ktls *k, uint8_t type, const struct milgi_iov *iov, size_t iov_n)
{
    bool lost = k->error;
    for (size_t i = 0; i < iov_n; i++) {
        k->unsent += iov[i].len;
        lost = lost || !append(k, type, iov[i].data, iov[i].len);
    }
    if (lost)
        send_failed(k, ENOMEM);
    milgi_ktls_flush(k);
}

/* The key that the kernel opens with. Data under it waits in the kernel until it has one. */
static void change_read_key(struct milgi_ktls *k, const union crypto *crypto, unsigned len)
{
    int rv = set_crypto(k, RX, crypto, len);
    count_from(k, RX, crypto, len);
    if (rv)
        milgi_conn_receive_eof(k->conn, -rv);
}

void milgi_ktls_keys(struct milgi_ktls *k, int direction, const struct milgi_traffic_keys *keys)
{
    union crypto crypto;
    unsigned len = make_crypto(keys, &crypto);
    struct item *item = NULL;
    if (direction == RX) {
        change_read_key(k, &crypto, len);
    } else {
        /* Behind the KeyUpdate, which may still wait. */
        item = append(k, 0, NULL, 0);
        if (item)
            item->keys = malloc(sizeof *item->keys);
        if (item && item->keys) {
            *item->keys = crypto;
            item->keys_len = len;
        } else {
            send_failed(k, ENOMEM);
        }
    }
    explicit_bzero(&crypto, sizeof crypto);
    if (direction == TX)
        milgi_ktls_flush(k);
}

/* One record's content, or as much data as lies first. Bytes or a negative errno. */
static long send_first(struct milgi_ktls *k)
{
    union {
        char bytes[CMSG_SPACE(1)];
        struct cmsghdr align;
    } control = { .bytes = { 0 } };
    struct iovec iov[PIECES];
    struct msghdr message = { .msg_iov = iov };
    uint8_t type = k->first->type;
    for (struct item *item = k->first; item && item->type == type && !item->keys && message.msg_iovlen < PIECES;
         item = item->next) {
        iov[message.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)item->data, item->len };
        if (type == ALERT)
            break; /* each is a record of its own */
    }
    if (type != DATA) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_TLS;
        head->cmsg_type = TLS_SET_RECORD_TYPE;
        head->cmsg_len = CMSG_LEN(1);
        *CMSG_DATA(head) = type;
    }
    long n;
    do
        n = k->options.calls->send(k->options.calls_ctx, k->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n == -EINTR);
    /* Half an alert is none: the rest would be a record of its own. */
    return n > 0 && type == ALERT && (size_t)n < iov[0].iov_len ? -EIO : n;
}

/* |bytes| of what lies first are the kernel's. */
static void advance(struct milgi_ktls *k, size_t bytes)
{
    size_t left = bytes;
    while (left && k->first) {
        struct item *item = k->first;
        size_t part = left < item->len ? left : item->len;
        item->data += part;
        item->len -= part;
        left -= part;
        if (!item->len)
            drop_first(k);
    }
    count(k, TX, bytes, 0);
    sent(k, bytes);
}

int milgi_ktls_flush(struct milgi_ktls *k)
{
    while (k->first && !k->error) {
        long rv;
        if (k->first->keys) {
            struct item *item = k->first;
            rv = set_crypto(k, TX, item->keys, item->keys_len);
            count_from(k, TX, item->keys, item->keys_len);
            drop_first(k);
            if (rv)
                send_failed(k, (int)-rv); /* the peer has been told of another key: nothing more is understood */
            continue;
        }
        rv = send_first(k);
        if (rv == -EAGAIN || rv == -ENOBUFS)
            return MILGI_PAUSE;
        if (rv < 0)
            send_failed(k, (int)-rv);
        else
            advance(k, (size_t)rv);
    }
    return k->error ? MILGI_ETRANSPORT : 0;
}

int milgi_ktls_error(const struct milgi_ktls *k)
{
    return k->error;
}

size_t milgi_ktls_unsent(const struct milgi_ktls *k)
{
    return k->unsent;
}

/* --- past the connection ------------------------------------------------------------------------------------------ */

int milgi_ktls_may_pass(struct milgi_ktls *k, enum milgi_direction direction)
{
    if (!k->has[direction])
        return MILGI_EINVAL;
    if (direction == MILGI_SEND && k->error)
        return MILGI_ETRANSPORT;
    int rv = milgi_conn_passed(k->conn, direction, 0, 0);
    if (rv)
        return rv;
    bool first = direction == MILGI_SEND && (k->first || milgi_conn_output_pending(k->conn));
    return first ? MILGI_PAUSE : 0;
}

void milgi_ktls_passed(struct milgi_ktls *k, enum milgi_direction direction, size_t bytes)
{
    count(k, (int)direction, bytes, bytes);
}

int milgi_ktls_sendfile(struct milgi_ktls *k, int file, int64_t *at, size_t len, size_t *moved)
{
    int rv = milgi_ktls_may_pass(k, MILGI_SEND);
    long n;
    *moved = 0;
    if (rv)
        return rv;
    do
        n = k->options.calls->send_file(k->options.calls_ctx, k->fd, file, at, len);
    while (n == -EINTR);
    if (n == -EAGAIN || n == -ENOBUFS)
        return MILGI_PAUSE;
    if (n < 0) {
        send_failed(k, (int)-n);
        return MILGI_ETRANSPORT;
    }
    *moved = (size_t)n;
    if (n)
        milgi_ktls_passed(k, MILGI_SEND, *moved);
    return 0;
}

static long splice_once(const struct milgi_ktls *k, int from, int to, size_t len)
{
    long n;
    do
        n = k->options.calls->splice(k->options.calls_ctx, from, to, len);
    while (n == -EINTR);
    return n;
}

static int splice_out(struct milgi_ktls *k, int pipe, size_t len, size_t *moved)
{
    long n = splice_once(k, pipe, k->fd, len);
    if (n == 0 || n == -EAGAIN || n == -ENOBUFS)
        return MILGI_PAUSE;
    if (n < 0) {
        send_failed(k, (int)-n);
        return MILGI_ETRANSPORT;
    }
    *moved = (size_t)n;
    milgi_ktls_passed(k, MILGI_SEND, *moved);
    return 0;
}

static int splice_in(struct milgi_ktls *k, int pipe, size_t len, size_t *moved)
{
    if (k->is_other)
        return 0; /* nobody has read it */
    long n = splice_once(k, k->fd, pipe, len);
    if (n == -EAGAIN)
        return MILGI_PAUSE;
    k->is_other = n <= 0;
    k->instead = n;
    if (k->is_other)
        return 0;
    *moved = (size_t)n;
    milgi_ktls_passed(k, MILGI_RECEIVE, *moved);
    return 0;
}

int milgi_ktls_splice(struct milgi_ktls *k, enum milgi_direction direction, int pipe, size_t len, size_t *moved)
{
    int rv = milgi_ktls_may_pass(k, direction);
    *moved = 0;
    if (rv)
        return rv;
    return direction == MILGI_SEND ? splice_out(k, pipe, len, moved) : splice_in(k, pipe, len, moved);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/*
 * A record that could not be opened is an error of the socket, too, which sending would answer with: asking for it
 * takes it away, so that the alert can be sent.
 */
static void forget_error(struct milgi_ktls *k)
{
    int error;
    unsigned len = sizeof error;
    k->options.calls->get(k->options.calls_ctx, k->fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

/*
 * A kernel that can change its key waits for one behind each record of the handshake's that begins as a KeyUpdate.
 * Whether it is one is the connection's to say; one that has ended says nothing, and nobody will ever read on.
 */
static long wait_for_key(struct milgi_ktls *k)
{
    return milgi_conn_receive_blocked(k->conn) == MILGI_ECLOSED ? -EINVAL : -EKEYEXPIRED;
}

/*
 * What splice() has met is told once, and may be gone when it is read: an error of the socket, or an empty record,
 * which it takes for an end. What could be read all the same (such as an alert, which splice() does not take) is that.
 */
static long receive_instead(struct milgi_ktls *k, long n, uint8_t *type)
{
    bool nothing = k->is_other && (n == -EAGAIN || (n == 0 && !*type));
    k->is_other = false;
    if (!nothing || k->instead == -EKEYEXPIRED || (n == 0 && k->instead == 0))
        return n;
    if (k->instead == 0)
        *type = DATA;
    return k->instead;
}

static uint8_t type_of(struct msghdr *message, long n)
{
    uint8_t type = n > 0 ? DATA : 0;
    for (struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level == SOL_TLS && head->cmsg_type == TLS_GET_RECORD_TYPE)
            type = *CMSG_DATA(head);
    }
    return type;
}

long milgi_ktls_receive(struct milgi_ktls *k, void *data, size_t len, uint8_t *type)
{
    union {
        char bytes[CMSG_SPACE(1) + 64];
        struct cmsghdr align;
    } control = { .bytes = { 0 } };
    struct iovec iov = { data, len };
    struct msghdr message;
    long n;
    *type = 0;
    if (len < ALERT_LEN)
        return -ENOBUFS; /* an alert comes as a whole */
    do {
        message = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        n = k->options.calls->receive(k->options.calls_ctx, k->fd, &message, MSG_DONTWAIT);
    } while (n == -EINTR);
    *type = type_of(&message, n);
    n = receive_instead(k, n, type);
    if (n < 0) {
        if (milgi_ktls_alert(n) != MILGI_ALERT_NONE)
            forget_error(k);
        return n == -EKEYEXPIRED ? wait_for_key(k) : n;
    }
    if (n || *type)
        count(k, RX, (size_t)n, 0);
    return n;
}

int milgi_ktls_alert(long error)
{
    switch (error) {
    case -EBADMSG: /* its tag is wrong, or it has none */
        return MILGI_ALERT_BAD_RECORD_MAC;
    case -EMSGSIZE: /* its header, or what was sealed in it, says more than may be */
        return MILGI_ALERT_RECORD_OVERFLOW;
    case -EINVAL: /* what lies there is no header */
        return MILGI_ALERT_UNEXPECTED_MESSAGE;
    default:
        return MILGI_ALERT_NONE;
    }
}

static int read_failed(struct milgi_ktls *k, long error)
{
    /* EKEYEXPIRED: the connection has a KeyUpdate that it has not looked at yet, and does. */
    if (error == -EAGAIN || error == -EKEYEXPIRED)
        return MILGI_PAUSE;
    int alert = milgi_ktls_alert(error);
    if (alert != MILGI_ALERT_NONE)
        milgi_conn_receive_failed(k->conn, alert);
    else
        milgi_conn_receive_eof(k->conn, (int)-error);
    return MILGI_ECLOSED;
}

int milgi_ktls_read(struct milgi_ktls *k)
{
    uint8_t type;
    if (milgi_conn_input_paused(k->conn))
        return MILGI_PAUSE;
    size_t size = milgi_conn_read_size(k->conn, READ_SIZE);
    struct milgi_chunk *chunk = milgi_conn_chunk(k->conn, size);
    if (!chunk)
        return MILGI_PAUSE;
    long n = milgi_ktls_receive(k, milgi_chunk_data(chunk), size, &type);
    if (n <= 0 && !(n == 0 && type)) {
        milgi_chunk_unref(chunk);
        if (n)
            return read_failed(k, n);
        milgi_conn_receive_eof(k->conn, 0);
        return MILGI_ECLOSED;
    }
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)n };
    int rv = milgi_conn_receive_record(k->conn, type, slice);
    return rv == MILGI_EINVAL ? MILGI_ECLOSED : rv;
}
