/* SPDX-License-Identifier: Apache-2.0 */
/* Binding: every address of a name, both families without one, sockets in the file system. */
#include "proxy/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/say.h"

#define BACKLOG 1024
#define PORT_TRIES 16 /* for one that is free for all addresses of a name */

static struct sockaddr_in6 *v6_of(struct app_address *a)
{
    return (struct sockaddr_in6 *)(void *)&a->socket;
}

static in_port_t *port_of(struct app_address *a)
{
    /* Both families have it in the same place. */
    return &((struct sockaddr_in *)(void *)&a->socket)->sin_port;
}

static bool is_internet(const struct app_address *a)
{
    return a->socket.ss_family == AF_INET || a->socket.ss_family == AF_INET6;
}

static bool is_any_v6(struct app_address *a)
{
    return a->socket.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6_of(a)->sin6_addr);
}

/* --- sockets in the file system ----------------------------------------------------------------------------------- */

static const char *path_of(const struct app_address *a)
{
    return ((const struct sockaddr_un *)(const void *)&a->socket)->sun_path;
}

/* A socket on which nobody listens: whoever made it has died without taking it away. */
static bool is_stale(const struct app_address *a)
{
    struct stat info;
    if (lstat(path_of(a), &info) || !S_ISSOCK(info.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)&a->socket, a->len) && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

void listeners_remove(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct listener *one = &l->items[i];
        struct stat info;
        const char *path = one->is_file ? app_address_path(one->text) : NULL;
        if (path && !stat(path, &info) && info.st_dev == one->dev && info.st_ino == one->ino)
            unlink(path);
        one->is_file = false;
    }
}

/* --- one address -------------------------------------------------------------------------------------------------- */

/* |both|: IPv4 too, where the address is any of IPv6. Returns the descriptor or a negative errno. */
static int bind_one(struct app_address *a, bool both)
{
    int on = 1, v6only = !both, fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (is_internet(a))
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->socket.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    int rv = bind(fd, (struct sockaddr *)&a->socket, a->len);
    if (rv && errno == EADDRINUSE && a->socket.ss_family == AF_UNIX && is_stale(a) && !unlink(path_of(a)))
        rv = bind(fd, (struct sockaddr *)&a->socket, a->len);
    if (!rv)
        rv = listen(fd, BACKLOG);
    if (!rv)
        return fd;
    rv = -errno;
    close(fd);
    return rv;
}

static int keep(struct listeners *l, int fd)
{
    struct listener *items = realloc(l->items, (l->n + 1) * sizeof *items);
    struct app_address bound = { .len = sizeof bound.socket };
    struct stat info;
    if (!items) {
        close(fd);
        return -ENOMEM;
    }
    l->items = items;
    struct listener *one = &items[l->n++];
    *one = (struct listener){ .fd = fd };
    if (getsockname(fd, (struct sockaddr *)&bound.socket, &bound.len))
        return -errno;
    app_address_text((struct sockaddr *)&bound.socket, one->text);
    one->is_file = bound.socket.ss_family == AF_UNIX && !stat(path_of(&bound), &info);
    if (one->is_file) {
        one->dev = info.st_dev;
        one->ino = info.st_ino;
    }
    return 0;
}

/* The port that the first of several addresses was given; 0: none. */
static in_port_t port_bound(const struct listener *one)
{
    struct app_address bound = { .len = sizeof bound.socket };
    if (getsockname(one->fd, (struct sockaddr *)&bound.socket, &bound.len) || !is_internet(&bound))
        return 0;
    return *port_of(&bound);
}

/* --- all of one name ---------------------------------------------------------------------------------------------- */

static void drop_from(struct listeners *l, size_t first)
{
    while (l->n > first)
        close(l->items[--l->n].fd);
}

/* A machine may lack one of the families. */
static bool is_lack(int rv)
{
    return rv == -EAFNOSUPPORT || rv == -EADDRNOTAVAIL;
}

/* 0, or the negative errno of the first that could not be bound for another reason than lack. */
static int bind_all(struct listeners *l, struct app_addresses *found)
{
    size_t first = l->n;
    int lack = 0;
    for (size_t i = 0; i < found->n; i++) {
        struct app_address *a = &found->items[i];
        if (l->n > first && is_internet(a) && !*port_of(a))
            *port_of(a) = port_bound(&l->items[first]);
        int rv = bind_one(a, false);
        if (is_lack(rv) && found->n > 1) {
            lack = rv;
            continue;
        }
        rv = rv < 0 ? rv : keep(l, rv);
        if (rv) {
            drop_from(l, first);
            return rv;
        }
    }
    return l->n > first ? 0 : lack;
}

/* One socket for both families, when that can be; a name like [::] means it, unless IPv4 has a socket of its own. */
static int bind_both(struct listeners *l, struct app_addresses *found)
{
    for (size_t i = 0; i < found->n; i++) {
        if (!is_any_v6(&found->items[i]))
            continue;
        int rv = bind_one(&found->items[i], true);
        return rv < 0 ? rv : keep(l, rv);
    }
    return -EAFNOSUPPORT;
}

static int open_one(struct listeners *l, const char *text)
{
    struct app_addresses found, copy;
    int rv = 0;
    if (!app_addresses_find(text, true, &found))
        return 1;
    for (int i = 0; i < PORT_TRIES; i++) {
        rv = bind_both(l, &found);
        if (!rv)
            break;
        copy = (struct app_addresses){ .items = malloc(found.n * sizeof *copy.items), .n = found.n };
        if (!copy.items)
            break;
        memcpy(copy.items, found.items, found.n * sizeof *copy.items);
        rv = bind_all(l, &copy);
        free(copy.items);
        /* Port 0: what the first address was given may be taken at the second. */
        if (rv != -EADDRINUSE || found.n < 2 || !is_internet(&found.items[0]) || *port_of(&found.items[0]))
            break;
    }
    app_addresses_free(&found);
    return rv;
}

bool listeners_open(struct listeners *l, const struct app_list *addresses)
{
    for (size_t i = 0; i < addresses->n; i++) {
        int rv = open_one(l, addresses->items[i]);
        if (rv < 0)
            app_complain("cannot listen on %s: %s", addresses->items[i], strerror(-rv));
        if (rv)
            return false;
    }
    return true;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->items[i].fd >= 0)
            close(l->items[i].fd);
        l->items[i].fd = -1;
    }
}

void listeners_free(struct listeners *l)
{
    listeners_close(l);
    free(l->items);
    *l = (struct listeners){ 0 };
}
