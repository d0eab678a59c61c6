/* SPDX-License-Identifier: Apache-2.0 */
/* Binding: every address of a name, both families without one, sockets in the file system. */
#include "proxy/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

void proxy_bound_unsent(int fd)
{
    int most = PROXY_UNSENT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

/* --- one address -------------------------------------------------------------------------------------------------- */

/* |both|: IPv4 too, where the address is any of IPv6. Returns the descriptor or a negative errno. */
static int bind_one(struct app_address *a, bool both)
{
    int on = 1, v6only = !both, fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (is_internet(a)) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        proxy_bound_unsent(fd); /* so are the sockets that it accepts */
    }
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
    *one = (struct listener){ .fd = fd, .accepted = -1 };
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

/* |both|: nobody else wants the port for IPv4. */
static int bind_found(struct listeners *l, const struct app_addresses *found, bool both)
{
    struct app_addresses copy = { .items = malloc(found->n * sizeof *copy.items), .n = found->n };
    int rv = -ENOMEM;
    for (int i = 0; copy.items && i < PORT_TRIES; i++) {
        memcpy(copy.items, found->items, found->n * sizeof *copy.items);
        rv = both ? bind_both(l, &copy) : -EAFNOSUPPORT;
        if (rv)
            rv = bind_all(l, &copy);
        /* Port 0: what the first address was given may be taken at the second. */
        if (rv != -EADDRINUSE || found->n < 2 || !is_internet(&found->items[0]) || *port_of(&found->items[0]))
            break;
    }
    free(copy.items);
    return rv;
}

/* --- all names ---------------------------------------------------------------------------------------------------- */

/* Both of the internet, of one family, and with one port that is known. */
static bool have_one_port(struct app_address *a, struct app_address *b)
{
    return is_internet(a) && a->socket.ss_family == b->socket.ss_family && *port_of(a) && *port_of(a) == *port_of(b);
}

/* Of one family: 0.0.0.0 or [::]. */
static bool is_any(struct app_address *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&a->socket;
    return a->socket.ss_family == AF_INET ? v4->sin_addr.s_addr == INADDR_ANY : is_any_v6(a);
}

static bool have_one_host(struct app_address *a, struct app_address *b)
{
    const struct sockaddr_in *x = (const struct sockaddr_in *)(const void *)&a->socket,
                             *y = (const struct sockaddr_in *)(const void *)&b->socket;
    if (is_any(a) || is_any(b))
        return true;
    return a->socket.ss_family == AF_INET ? x->sin_addr.s_addr == y->sin_addr.s_addr
                                          : IN6_ARE_ADDR_EQUAL(&v6_of(a)->sin6_addr, &v6_of(b)->sin6_addr);
}

/* The kernel lets but one of them be listened on. */
static bool overlap(struct app_address *a, struct app_address *b)
{
    if (a->socket.ss_family == AF_UNIX && b->socket.ss_family == AF_UNIX)
        return !strcmp(path_of(a), path_of(b));
    return have_one_port(a, b) && have_one_host(a, b);
}

/* Whether another than |found[which]| wants the port of its IPv6 address for IPv4. */
static bool wants_v4(const struct app_addresses *found, size_t n, size_t which)
{
    for (size_t i = 0; i < found[which].n; i++) {
        struct app_address v4 = found[which].items[i];
        v4.socket.ss_family = AF_INET;
        for (size_t k = 0; k < n && is_any_v6(&found[which].items[i]); k++)
            for (size_t j = 0; k != which && j < found[k].n; j++)
                if (have_one_port(&found[k].items[j], &v4))
                    return true;
    }
    return false;
}

/* The first before |which| that takes an address of it; |which|: none. */
static size_t taker_of(const struct app_addresses *found, size_t which)
{
    for (size_t k = 0; k < which; k++)
        for (size_t i = 0; i < found[which].n; i++)
            for (size_t j = 0; j < found[k].n; j++)
                if (overlap(&found[k].items[j], &found[which].items[i]))
                    return k;
    return which;
}

static void complain(const struct app_list *texts, const struct app_addresses *found, size_t which, int error)
{
    size_t taker = error == EADDRINUSE ? taker_of(found, which) : which;
    const char *path = app_address_path(texts->items[which]);
    struct stat info;
    if (error == EADDRINUSE && path && !lstat(path, &info) && !S_ISSOCK(info.st_mode))
        app_complain("cannot listen on %s: what is there is no socket", texts->items[which]);
    else if (taker != which)
        app_complain("--listen %s is given twice: --listen %s takes its address already", texts->items[which],
            texts->items[taker]);
    else
        app_complain("cannot listen on %s: %s", texts->items[which], strerror(error));
}

static bool open_found(struct listeners *l, const struct app_list *texts, const struct app_addresses *found)
{
    for (size_t i = 0; i < texts->n; i++) {
        int rv = bind_found(l, &found[i], !wants_v4(found, texts->n, i));
        if (!rv)
            continue;
        complain(texts, found, i, -rv);
        return false;
    }
    return true;
}

bool listeners_open(struct listeners *l, const struct app_list *texts)
{
    struct app_addresses *found = calloc(texts->n, sizeof *found);
    bool done = found != NULL;
    if (!done)
        app_complain("out of memory");
    for (size_t i = 0; done && i < texts->n; i++)
        done = app_addresses_find(texts->items[i], true, &found[i]);
    done = done && open_found(l, texts, found);
    for (size_t i = 0; found && i < texts->n; i++)
        app_addresses_free(&found[i]);
    free(found);
    return done;
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
