/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/aead.h"

enum {
    LEVEL_TLS = 282 /* SOL_TLS, which not all headers have */
};

#define RECORD 16384u
#define FRONT_MAX 13u
#define TAG 16u

struct pair pair;
struct end ends[2];
struct end *client = &ends[MILGI_CLIENT], *server = &ends[MILGI_SERVER];

static struct identity *root, *leaf;
static struct milgi__crypto *cx;
static struct milgi_config *config[2];
static uint64_t key_serial;

/* By the role of who sends: so much. */
static size_t given[2];

/* --- what it is told ---------------------------------------------------------------------------------------------- */

static uint64_t number(const uint8_t *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_number(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static bool read_key(struct kernel_key *key, const void *value, unsigned len)
{
    const struct tls_crypto_info *info = value;
    key->version = info->version;
    key->cipher = info->cipher_type;
    key->len = len;
    if (info->cipher_type == TLS_CIPHER_AES_GCM_128 && len == sizeof(struct tls12_crypto_info_aes_gcm_128)) {
        const struct tls12_crypto_info_aes_gcm_128 *c = value;
        memcpy(key->raw, c->key, key->raw_len = sizeof c->key);
        memcpy(key->iv, c->salt, 4);
        memcpy(key->iv + 4, c->iv, 8);
        key->sequence = number(c->rec_seq);
    } else if (info->cipher_type == TLS_CIPHER_AES_GCM_256 && len == sizeof(struct tls12_crypto_info_aes_gcm_256)) {
        const struct tls12_crypto_info_aes_gcm_256 *c = value;
        memcpy(key->raw, c->key, key->raw_len = sizeof c->key);
        memcpy(key->iv, c->salt, 4);
        memcpy(key->iv + 4, c->iv, 8);
        key->sequence = number(c->rec_seq);
    } else if (info->cipher_type == TLS_CIPHER_CHACHA20_POLY1305 &&
        len == sizeof(struct tls12_crypto_info_chacha20_poly1305)) {
        const struct tls12_crypto_info_chacha20_poly1305 *c = value;
        memcpy(key->raw, c->key, key->raw_len = sizeof c->key);
        memcpy(key->iv, c->iv, 12);
        key->sequence = number(c->rec_seq);
    } else {
        return false;
    }
    return true;
}

static bool explicit_nonces(const struct kernel_key *key)
{
    return key->version == TLS_1_2_VERSION && key->cipher != TLS_CIPHER_CHACHA20_POLY1305;
}

static int set_key(struct end *e, int direction, const void *value, unsigned len)
{
    struct kernel_key key = { .on = true };
    if (e->saw_secret)
        e->saw_secret(value);
    bool again = e->key[direction].on;
    int error = again ? e->no_rekey[direction] : e->no_key[direction];
    if (again && e->key[direction].version != TLS_1_3_VERSION)
        error = -EBUSY;
    if (error)
        return error;
    if (!read_key(&key, value, len))
        return -EINVAL;
    /* The next explicit nonce goes on where the connection's own were: none comes twice. */
    if (explicit_nonces(&key) && direction == MILGI_SEND)
        assert_int_equal(number(key.iv + 4), key.sequence);
    e->key[direction] = key;
    e->keys[direction]++;
    if (direction == MILGI_RECEIVE)
        e->key_pending = false;
    return 0;
}

static int set(void *ctx, int fd, int level, int option, const void *value, unsigned len)
{
    struct end *e = ctx;
    assert_int_equal(fd, 7);
    if (level == IPPROTO_TCP && option == TCP_ULP) {
        assert_string_equal(value, "tls");
        e->ulps++;
        return e->no_ulp;
    }
    assert_int_equal(level, LEVEL_TLS);
    if (option == TLS_TX || option == TLS_RX)
        return set_key(e, option == TLS_TX ? MILGI_SEND : MILGI_RECEIVE, value, len);
    assert_true(option < 8);
    e->options[option]++;
    return 0;
}

static int get(void *ctx, int fd, int level, int option, void *value, unsigned *len)
{
    struct end *e = ctx;
    if (level == SOL_SOCKET && option == SO_ERROR) {
        e->pending = 0;
        return 0;
    }
    const struct kernel_key *key = &e->key[option == TLS_TX ? MILGI_SEND : MILGI_RECEIVE];
    assert_int_equal(fd, 7);
    assert_int_equal(level, LEVEL_TLS);
    if (e->no_count)
        return e->no_count;
    assert_true(key->on && *len == key->len);
    memset(value, 0, *len);
    if (e->saw_secret)
        e->saw_secret(value);
    struct tls_crypto_info *info = value;
    info->version = key->version;
    info->cipher_type = key->cipher;
    put_number((uint8_t *)value + *len - 8, key->sequence); /* the last member of each */
    return 0;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static struct milgi__aead_key aead_of(const struct kernel_key *key)
{
    uint16_t suite = key->cipher == TLS_CIPHER_AES_GCM_128 ? MILGI_SUITE_AES_128_GCM_SHA256
        : key->cipher == TLS_CIPHER_AES_GCM_256            ? MILGI_SUITE_AES_256_GCM_SHA384
                                                           : MILGI_SUITE_CHACHA20_POLY1305_SHA256;
    return (struct milgi__aead_key){ ++key_serial, suite, key->raw_len, key->raw };
}

/* Front and additional data of the next record, whose content is |len| bytes; its nonce. */
static size_t front_of(const struct kernel_key *key, uint8_t type, size_t len, uint8_t *front, uint8_t nonce[12],
    uint8_t aad[FRONT_MAX], size_t *aad_len)
{
    bool tls13 = key->version == TLS_1_3_VERSION, explicit = explicit_nonces(key);
    size_t body = len + TAG + (tls13 ? 1 : 0) + (explicit ? 8 : 0);
    const uint8_t header[5] = { tls13 ? 23 : type, 3, 3, (uint8_t)(body >> 8), (uint8_t)body };
    memcpy(front, header, 5);
    memcpy(nonce, key->iv, 12);
    if (explicit)
        memcpy(front + 5, nonce + 4, 8);
    else
        put_number(nonce + 4, number(nonce + 4) ^ key->sequence);
    if (tls13) {
        memcpy(aad, header, *aad_len = 5);
    } else {
        put_number(aad, key->sequence);
        memcpy(aad + 8, header, 3);
        aad[11] = (uint8_t)(len >> 8);
        aad[12] = (uint8_t)len;
        *aad_len = 13;
    }
    return explicit ? 13 : 5;
}

static void advance(struct kernel_key *key)
{
    key->sequence++;
    if (explicit_nonces(key))
        put_number(key->iv + 4, number(key->iv + 4) + 1);
}

static void seal(struct end *e, uint8_t type, uint8_t *data, size_t len)
{
    struct kernel_key *key = &e->key[MILGI_SEND];
    uint8_t record[FRONT_MAX + RECORD + 1 + TAG], nonce[12], aad[FRONT_MAX];
    size_t aad_len, front = front_of(key, type, len, record, nonce, aad, &aad_len);
    struct milgi__aead_key aead = aead_of(key);
    struct milgi__piece piece = { data, len };
    bool tls13 = key->version == TLS_1_3_VERSION;
    int rv = milgi__aead_seal(cx, &aead, nonce, aad, aad_len, &piece, 1, tls13 ? type : 0, 0, record + front);
    assert_int_equal(rv, 0);
    milgi__aead_forget(cx, aead.serial);
    pair_bytes_add(&e->side->wire, record, front + len + (tls13 ? 1 : 0) + TAG);
    advance(key);
    e->records[MILGI_SEND]++;
    e->sent_types[type]++;
}

void kernel_seal(struct end *e, uint8_t type, const void *data, size_t len)
{
    seal(e, type, (uint8_t *)(uintptr_t)data, len);
}

/* The next record of |in|. 0; -EAGAIN: there is none; or what is wrong with it. */
static int open_next(struct end *e)
{
    struct kernel_key *key = &e->key[MILGI_RECEIVE];
    uint8_t front[FRONT_MAX], nonce[12], aad[FRONT_MAX];
    size_t aad_len, besides = TAG + (explicit_nonces(key) ? 8u : 0u);
    bool tls13 = key->version == TLS_1_3_VERSION;
    if (e->key_pending)
        return -EKEYEXPIRED;
    if (e->in.len < 5)
        return -EAGAIN;
    size_t body = (size_t)e->in.p[3] << 8 | e->in.p[4];
    if (e->in.p[1] != 3 || e->in.p[2] != 3)
        return -EINVAL;
    if (body > RECORD + 256)
        return -EMSGSIZE;
    if (body < besides + tls13)
        return -EBADMSG;
    if (e->in.len < 5 + body)
        return -EAGAIN;
    size_t len = body - besides - tls13;
    size_t at = front_of(key, e->in.p[0], len, front, nonce, aad, &aad_len);
    if (explicit_nonces(key))
        memcpy(nonce + 4, e->in.p + 5, 8);
    struct milgi__aead_key aead = aead_of(key);
    uint8_t *text = e->in.p + at;
    struct milgi__piece piece = { text, len + tls13 };
    int rv = milgi__aead_open(cx, &aead, nonce, aad, aad_len, &piece, 1, text + len + tls13, NULL);
    milgi__aead_forget(cx, aead.serial);
    if (rv != 0)
        return -EBADMSG;
    while (tls13 && len && !text[len])
        len--; /* padding */
    e->opened_type = tls13 ? text[len] : e->in.p[0];
    pair_bytes_add(&e->opened, text, len);
    e->key_pending = tls13 && e->opened_type == 22 && len && text[0] == 24;
    pair_bytes_drop(&e->in, 5 + body);
    key->sequence++;
    e->records[MILGI_RECEIVE]++;
    return 0;
}

/* --- reading and writing ------------------------------------------------------------------------------------------ */

static long send_message(void *ctx, int fd, const struct msghdr *m, int flags)
{
    struct end *e = ctx;
    uint8_t type = 23;
    long done = 0;
    assert_int_equal(fd, 7);
    assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
    assert_true(e->key[MILGI_SEND].on);
    e->sends++;
    if (e->pending) {
        int error = e->pending;
        e->pending = 0;
        return error;
    }
    if (e->send_errors) {
        e->send_errors--;
        return e->send_error;
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(m);
    if (head) {
        assert_int_equal(head->cmsg_level, LEVEL_TLS);
        assert_int_equal(head->cmsg_type, TLS_SET_RECORD_TYPE);
        type = *CMSG_DATA(head);
        assert_int_not_equal(type, 23);
    }
    size_t most = e->send_most && e->send_most < e->room ? e->send_most : e->room, fill = 0;
    if (!most)
        return -EAGAIN;
    static uint8_t record[RECORD];
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        const uint8_t *from = m->msg_iov[i].iov_base;
        for (size_t k = 0; k < m->msg_iov[i].iov_len && (size_t)done < most; k++, done++) {
            record[fill++] = from[k];
            if (fill == RECORD) {
                seal(e, type, record, fill);
                fill = 0;
            }
        }
    }
    if (fill)
        seal(e, type, record, fill);
    e->room -= (size_t)done;
    e->bytes_sent += (size_t)done;
    return done;
}

/* A file that never ends: its bytes count up. */
static long send_file(void *ctx, int fd, int file, int64_t *at, size_t len)
{
    uint8_t bytes[RECORD];
    struct iovec iov = { bytes, len < sizeof bytes ? len : sizeof bytes };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    assert_int_equal(file, 9);
    for (size_t i = 0; i < iov.iov_len; i++)
        bytes[i] = (uint8_t)(*at + (int64_t)i);
    long n = send_message(ctx, fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    *at += n > 0 ? n : 0;
    return n;
}

static long receive(void *ctx, int fd, struct msghdr *m, int flags)
{
    struct end *e = ctx;
    assert_int_equal(fd, 7);
    assert_int_equal(flags, MSG_DONTWAIT);
    if (e->receive_error) {
        int error = e->receive_error;
        e->receive_error = 0;
        return error;
    }
    int rv = e->opened.len ? 0 : open_next(e);
    if (rv == -EAGAIN && e->ended) { /* in the midst of a record, too */
        m->msg_controllen = 0;
        return 0;
    }
    if (rv != 0) {
        e->pending = rv == -EKEYEXPIRED || rv == -EAGAIN ? 0 : rv;
        return rv;
    }
    size_t n = m->msg_iov[0].iov_len < e->opened.len ? m->msg_iov[0].iov_len : e->opened.len;
    if (n)
        memcpy(m->msg_iov[0].iov_base, e->opened.p, n);
    pair_bytes_drop(&e->opened, n);
    struct cmsghdr *head = CMSG_FIRSTHDR(m);
    assert_non_null(head);
    head->cmsg_level = LEVEL_TLS;
    head->cmsg_type = TLS_GET_RECORD_TYPE;
    head->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(head) = e->opened_type;
    m->msg_controllen = CMSG_SPACE(1);
    return (long)n;
}

/* Out of a real pipe, or into one: a part of a record at most. A record that is not data stays where it is. */
static long splice_bytes(void *ctx, int from, int to, size_t len)
{
    static uint8_t bytes[RECORD];
    struct end *e = ctx;
    e->splices_n++;
    if (e->splice_error) {
        int error = e->splice_error;
        e->splice_error = 0;
        return error;
    }
    if (to == 7) {
        struct iovec iov = { bytes, len < sizeof bytes ? len : sizeof bytes };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        if (!e->room)
            return -EAGAIN;
        iov.iov_len = iov.iov_len < e->room ? iov.iov_len : e->room;
        ssize_t n = read(from, bytes, iov.iov_len);
        iov.iov_len = n > 0 ? (size_t)n : 0;
        return n < 0 ? -errno : send_message(ctx, to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    assert_int_equal(from, 7);
    int rv = e->opened.len ? 0 : open_next(e);
    if (rv == -EAGAIN && e->ended)
        return 0;
    if (rv != 0 || (e->opened.len && e->opened_type != 23))
        return rv ? rv : -EINVAL; /* the error was the socket's, and is told once */
    size_t n = len < e->opened.len ? len : e->opened.len;
    assert_int_equal(write(to, e->opened.p, n), n);
    pair_bytes_drop(&e->opened, n);
    return (long)n;
}

static const struct milgi_ktls_calls calls = { set, get, send_message, receive, send_file, splice_bytes };

/* --- an end ------------------------------------------------------------------------------------------------------- */

static struct end *end_of(struct pair_side *side)
{
    return &ends[side == &pair.side[0] ? 0 : 1];
}

static void on_record(struct pair_side *side, uint8_t type, const struct milgi_iov *iov, size_t n)
{
    assert_true(n > 0 && (type != 21 || (n == 1 && iov[0].len == 2))); /* each alert is a record of its own */
    milgi_ktls_record(end_of(side)->ktls, type, iov, n);
}

static void on_keys(struct pair_side *side, int direction, const struct milgi_traffic_keys *keys)
{
    milgi_ktls_keys(end_of(side)->ktls, direction, keys);
}

static struct milgi_config *make_config(enum milgi_role role, const struct play *play)
{
    bool serves = role == MILGI_SERVER;
    struct milgi_config *c = configs_begin(role, serves ? leaf : NULL, serves ? NULL : root);
    uint16_t version = play->version ? play->version : 0x0304;
    assert_int_equal(milgi_config_set_versions(c, version, version), 0);
    if (play->suite)
        assert_int_equal(milgi_config_set_suites(c, &play->suite, 1), 0);
    if (!play->refused)
        assert_int_equal(milgi_config_set_hand_over(c, true), 0);
    if (play->configure)
        play->configure(c, role);
    return configs_freeze(c);
}

void play_begin(const struct play *play)
{
    struct pair_setup setup = { .server_name = "server.test", .seed = 5 };
    for (int role = 0; role < 2; role++)
        setup.config[role] = config[role] = make_config((enum milgi_role)role, play);
    pair_init(&pair, &setup);
    given[0] = given[1] = 0;
    for (int role = 0; role < 2; role++) {
        struct milgi_ktls_options options;
        milgi_ktls_options_init(&options);
        options.calls = &calls;
        options.calls_ctx = &ends[role];
        options.count_every = play->count_every ? play->count_every : 1;
        ends[role] = (struct end){ .side = &pair.side[role], .room = SIZE_MAX };
        pair.side[role].on_record = on_record;
        pair.side[role].on_keys = on_keys;
        assert_int_equal(milgi_ktls_new(pair.side[role].conn, 7, &options, &ends[role].ktls), 0);
    }
}

void play_end(void)
{
    for (int role = 0; role < 2; role++) {
        milgi_ktls_free(ends[role].ktls);
        free(ends[role].in.p);
        free(ends[role].opened.p);
        if (ends[role].pipe[1]) {
            close(ends[role].pipe[0]);
            close(ends[role].pipe[1]);
        }
        milgi_config_unref(config[role]);
    }
    pair_fini(&pair);
}

static int *pipe_of(struct end *e)
{
    if (!e->pipe[1])
        assert_int_equal(pipe(e->pipe), 0);
    return e->pipe;
}

/* True: data was spliced; false: |*rv| says why not, 0: something else is to be read. */
static bool splice_in(struct end *e, int *rv)
{
    uint8_t bytes[RECORD];
    size_t moved;
    *rv = milgi_ktls_splice(e->ktls, MILGI_RECEIVE, pipe_of(e)[1], sizeof bytes, &moved);
    if (!moved)
        return false;
    assert_int_equal(read(e->pipe[0], bytes, moved), moved);
    pair_bytes_add(&e->side->got, bytes, moved);
    e->bytes_spliced += moved;
    return true;
}

/* What lies at the socket to whoever opens. True: something. */
static bool read_socket(struct end *e)
{
    bool any = false;
    while (e->side->conn && !milgi_conn_input_paused(e->side->conn)) {
        if (milgi_conn_handed_over(e->side->conn, MILGI_RECEIVE)) {
            int rv = 0;
            if (e->kept == MILGI_ECLOSED)
                return any;
            if (e->splices && splice_in(e, &rv)) {
                any = true;
                continue;
            }
            if (rv)
                return any;
            e->kept = milgi_ktls_read(e->ktls);
            if (e->kept == MILGI_PAUSE)
                return any;
            any = true;
            continue;
        }
        size_t len = e->in.len < RECORD ? e->in.len : RECORD, rest = milgi_conn_record_rest(e->side->conn);
        if (e->read_most && len > e->read_most)
            len = e->read_most;
        if (e->exact && rest && len > rest)
            len = rest;
        else if (e->exact && !rest && e->want[MILGI_RECEIVE] && e->side->established)
            return any; /* the next belongs to the kernel */
        if (!len)
            break;
        pair_feed(e->side, e->in.p, len);
        pair_bytes_drop(&e->in, len);
        any = true;
    }
    if (!e->in.len && e->ended && e->side->conn && !milgi_conn_handed_over(e->side->conn, MILGI_RECEIVE))
        any |= milgi_conn_receive_eof(e->side->conn, 0) == 0;
    return any;
}

static bool take(struct end *e)
{
    bool any = false;
    for (int d = 0; d < 2; d++) {
        if (!e->want[d] || !e->side->conn || !e->side->established)
            continue;
        e->taken[d] = milgi_ktls_take(e->ktls, (enum milgi_direction)d);
        e->want[d] = e->taken[d] == MILGI_PAUSE;
        any |= !e->want[d];
    }
    return any;
}

void play_settle(void)
{
    for (unsigned guard = 0; guard < 1000000; guard++) {
        bool moved = false;
        for (int role = 0; role < 2; role++) {
            struct end *e = &ends[role], *other = &ends[!role];
            moved |= pair_run(e->side, NULL) == MILGI_RUN_AGAIN;
            moved |= take(e);
            if (e->side->conn && milgi_ktls_unsent(e->ktls)) {
                size_t unsent = milgi_ktls_unsent(e->ktls);
                milgi_ktls_flush(e->ktls);
                moved |= milgi_ktls_unsent(e->ktls) != unsent;
            }
            moved |= e->side->wire.len > 0;
            pair_bytes_add(&other->in, e->side->wire.p, e->side->wire.len);
            pair_bytes_drop(&e->side->wire, e->side->wire.len);
            moved |= read_socket(other);
        }
        if (!moved)
            return;
    }
    fail_msg("does not settle");
}

void play_hand_over(bool client_sends, bool client_receives, bool server_sends, bool server_receives)
{
    play_settle();
    assert_true(client->side->established && server->side->established);
    client->want[MILGI_SEND] = client_sends;
    client->want[MILGI_RECEIVE] = client_receives;
    server->want[MILGI_SEND] = server_sends;
    server->want[MILGI_RECEIVE] = server_receives;
    play_settle();
    for (int role = 0; role < 2; role++)
        for (int d = 0; d < 2; d++)
            assert_int_equal(ends[role].taken[d], 0);
}

/* --- what is sent ------------------------------------------------------------------------------------------------- */

static uint8_t pattern(int role, size_t at)
{
    return (uint8_t)(at * 7 + at / 251 + (size_t)role);
}

void play_send(struct end *from, size_t bytes)
{
    int role = from == server;
    uint8_t data[8192];
    while (bytes) {
        size_t len = bytes < sizeof data ? bytes : sizeof data;
        for (size_t i = 0; i < len; i++)
            data[i] = pattern(role, given[role] + i);
        int rv = milgi_conn_write(from->side->conn, data, len);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        given[role] += len;
        bytes -= len;
        if (rv == MILGI_PAUSE)
            play_settle();
    }
}

size_t play_splice(struct end *from, size_t bytes, int *rv)
{
    int role = from == server;
    uint8_t data[RECORD];
    size_t done = 0;
    *rv = 0;
    while (done < bytes && !*rv) {
        size_t len = bytes - done < sizeof data ? bytes - done : sizeof data, left = len, moved;
        for (size_t i = 0; i < len; i++)
            data[i] = pattern(role, given[role] + i);
        assert_int_equal(write(pipe_of(from)[1], data, len), len);
        for (; left && !*rv; left -= moved)
            *rv = milgi_ktls_splice(from->ktls, MILGI_SEND, from->pipe[0], left, &moved);
        if (left)
            assert_int_equal(read(from->pipe[0], data, left), left);
        given[role] += len - left;
        done += len - left;
    }
    return done;
}

void play_check(void)
{
    for (int role = 0; role < 2; role++) {
        const struct pair_bytes *got = &ends[!role].side->got;
        assert_int_equal(got->len, given[role]);
        for (size_t i = 0; i < got->len; i++)
            assert_int_equal(got->p[i], pattern(role, i));
    }
}

void play_close(void)
{
    for (int role = 0; role < 2; role++)
        assert_int_equal(milgi_conn_shutdown(ends[role].side->conn), 0);
    play_settle();
    for (int role = 0; role < 2; role++) {
        assert_true(ends[role].side->closed);
        assert_int_equal(ends[role].side->reason.error, 0);
    }
}

int kernel_setup(void **state)
{
    (void)state;
    root = identity_root(IDENTITY_P256, "root");
    leaf = identity_leaf(root, IDENTITY_P256, "DNS:server.test");
    cx = milgi__crypto_new();
    return cx ? 0 : -1;
}

int kernel_teardown(void **state)
{
    (void)state;
    milgi__crypto_free(cx);
    identity_free(leaf);
    identity_free(root);
    return 0;
}
