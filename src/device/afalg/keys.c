/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and their sockets: found by serial, dropped by age. */
#include "device/afalg/keys.h"

#include <errno.h>
#include <limits.h>

#include "device/afalg/drivers.h"
#include "device/afalg/kernel.h"

int milgi__alg_keys_init(struct milgi__alg_keys *keys, unsigned depth)
{
    keys->depth = depth;
    keys->most = UINT_MAX;
    for (keys->buckets = 1; keys->buckets < depth;)
        keys->buckets *= 2;
    milgi__list_init(&keys->used);
    milgi__list_init(&keys->none);
    milgi__list_init(&keys->spare);
    keys->key = milgi__alloc(depth * sizeof *keys->key);
    keys->sock = milgi__alloc(depth * sizeof *keys->sock);
    keys->bucket = milgi__alloc(keys->buckets * sizeof(struct milgi__alg_key *));
    if (!keys->key || !keys->sock || !keys->bucket)
        return MILGI_ENOMEM;
    for (unsigned i = 0; i < depth; i++) {
        milgi__list_append(&keys->none, &keys->key[i].link);
        milgi__list_init(&keys->key[i].spare);
        keys->sock[i].next = keys->free;
        keys->free = &keys->sock[i];
    }
    return 0;
}

static struct milgi__alg_key **place(struct milgi__alg_keys *keys, uint64_t serial)
{
    struct milgi__alg_key **at = &keys->bucket[serial & (keys->buckets - 1)];

    while (*at && (*at)->serial != serial)
        at = &(*at)->next;
    return at;
}

static void close_fd(struct milgi__alg_keys *keys, int fd)
{
    milgi__alg_kernel->close(fd);
    keys->open--;
}

static void close_sock(struct milgi__alg_keys *keys, struct milgi__alg_sock *sock)
{
    close_fd(keys, sock->fd);
    sock->key = NULL;
    sock->next = keys->free;
    keys->free = sock;
}

static void close_idle(struct milgi__alg_keys *keys, struct milgi__alg_key *key)
{
    while (key->idle) {
        struct milgi__alg_sock *sock = key->idle;
        key->idle = sock->next;
        close_sock(keys, sock);
    }
}

static void drop(struct milgi__alg_keys *keys, struct milgi__alg_key *key)
{
    close_idle(keys, key);
    close_fd(keys, key->fd);
    milgi__list_remove(&key->spare);
    *place(keys, key->serial) = key->next;
    milgi__list_remove(&key->link);
    milgi__list_append(&keys->none, &key->link);
}

void milgi__alg_keys_fini(struct milgi__alg_keys *keys)
{
    while (keys->key && !milgi__list_empty(&keys->used))
        drop(keys, MILGI__ENTRY(keys->used.next, struct milgi__alg_key, link));
    milgi__free(keys->key);
    milgi__free(keys->sock);
    milgi__free(keys->bucket);
}

/* Closes what was idle longest: a key, or idle sockets of one that is in use. False: there is nothing but |but|. */
static bool make_room(struct milgi__alg_keys *keys, const struct milgi__alg_key *but)
{
    struct milgi__link *at = keys->spare.next;

    if (but && at == &but->spare)
        at = at->next;
    if (at == &keys->spare)
        return false;
    struct milgi__alg_key *key = MILGI__ENTRY(at, struct milgi__alg_key, spare);
    if (key->busy == 0) {
        drop(keys, key);
    } else {
        close_idle(keys, key);
        milgi__list_remove(&key->spare);
    }
    return true;
}

/* What is not in use begins, ends or goes on to be so. */
static void look_at_spare(struct milgi__alg_keys *keys, struct milgi__alg_key *key)
{
    milgi__list_remove(&key->spare);
    if (key->busy == 0 || key->idle)
        milgi__list_append(&keys->spare, &key->spare);
}

static void keep_few(struct milgi__alg_keys *keys)
{
    while (keys->open - keys->in_use > keys->most && make_room(keys, NULL))
        continue;
}

/* Another descriptor, for which older ones may have to go. */
static bool out_of_them(int fd)
{
    return fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM;
}

static struct milgi__alg_key *enter(
    struct milgi__alg_keys *keys, const char *name, const struct milgi_key *raw, int *error)
{
    while (milgi__list_empty(&keys->none)) {
        if (make_room(keys, NULL))
            continue;
        *error = -EBUSY; /* as many as there may be are under way */
        return NULL;
    }
    struct milgi__driver driver;
    if (keys->careful && !milgi__driver_of(milgi__alg_kernel->drivers, name, &driver)) {
        *error = -ENOENT;
        return NULL;
    }
    int fd = milgi__alg_kernel->bind(name, raw->raw, raw->raw_len);
    while (out_of_them(fd) && make_room(keys, NULL))
        fd = milgi__alg_kernel->bind(name, raw->raw, raw->raw_len);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    keys->open++;
    struct milgi__alg_key *key = MILGI__ENTRY(keys->none.next, struct milgi__alg_key, link);
    milgi__list_remove(&key->link);
    milgi__list_append(&keys->used, &key->link);
    struct milgi__alg_key **at = place(keys, raw->serial);
    key->serial = raw->serial;
    key->fd = fd;
    key->idle = NULL;
    key->busy = 0;
    key->next = NULL;
    *at = key;
    look_at_spare(keys, key);
    return key;
}

static struct milgi__alg_sock *another(struct milgi__alg_keys *keys, struct milgi__alg_key *key, int *error)
{
    while (!keys->free && make_room(keys, key))
        continue;
    int fd = milgi__alg_kernel->accept(key->fd);
    while (out_of_them(fd) && make_room(keys, key))
        fd = milgi__alg_kernel->accept(key->fd);
    if (fd < 0) {
        *error = fd;
        if (key->busy == 0) /* it may be the key's socket that is bad */
            drop(keys, key);
        return NULL;
    }
    struct milgi__alg_sock *sock = keys->free;
    if (!sock) { /* that would be as many as there may be under way */
        milgi__alg_kernel->close(fd);
        *error = -EBUSY;
        return NULL;
    }
    keys->open++;
    keys->free = sock->next;
    sock->fd = fd;
    sock->key = key;
    return sock;
}

struct milgi__alg_sock *milgi__alg_take(
    struct milgi__alg_keys *keys, const char *name, const struct milgi_key *key, uint64_t now_ns, int *error)
{
    struct milgi__alg_key *mine = *place(keys, key->serial);

    if (!mine)
        mine = enter(keys, name, key, error);
    if (!mine)
        return NULL;
    struct milgi__alg_sock *sock = mine->idle;
    if (sock)
        mine->idle = sock->next;
    else
        sock = another(keys, mine, error);
    if (!sock)
        return NULL;
    keys->in_use += mine->busy == 0 ? 2 : 1; /* the first has the key in use, too */
    mine->busy++;
    mine->used_ns = now_ns;
    milgi__list_remove(&mine->link);
    milgi__list_append(&keys->used, &mine->link);
    look_at_spare(keys, mine);
    return sock;
}

void milgi__alg_give(struct milgi__alg_keys *keys, struct milgi__alg_sock *sock, bool spoiled)
{
    struct milgi__alg_key *key = sock->key;

    key->busy--;
    keys->in_use -= key->busy == 0 ? 2 : 1;
    if (!spoiled) {
        sock->next = key->idle;
        key->idle = sock;
    } else {
        close_sock(keys, sock);
        if (key->busy == 0) { /* the next operation begins with a key that was made anew */
            drop(keys, key);
            return;
        }
    }
    look_at_spare(keys, key);
    keep_few(keys);
}

void milgi__alg_forget(struct milgi__alg_keys *keys, uint64_t serial)
{
    struct milgi__alg_key *key = *place(keys, serial);

    if (key)
        drop(keys, key);
}

uint64_t milgi__alg_drop(struct milgi__alg_keys *keys, uint64_t before_ns)
{
    for (struct milgi__link *at = keys->used.next, *next; at != &keys->used; at = next) {
        struct milgi__alg_key *key = MILGI__ENTRY(at, struct milgi__alg_key, link);
        next = at->next;
        if (key->used_ns >= before_ns)
            return key->used_ns;
        if (key->busy == 0)
            drop(keys, key);
    }
    return UINT64_MAX;
}
