/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, resolving and writing addresses. */
#include "common/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/say.h"

#define MOST 16u /* addresses of one name */

/* --- syntax ------------------------------------------------------------------------------------------------------- */

static bool copy(char *to, size_t to_len, const char *from, size_t len)
{
    if (len >= to_len)
        return false;
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits && digits <= 5 && !text[digits] && strtoul(text, NULL, 10) <= 65535;
}

const char *app_address_path(const char *text)
{
    return strncmp(text, "unix:", 5) ? NULL : text + 5;
}

const char *app_address_split(const char *text, char *host, size_t host_len, char *port, size_t port_len)
{
    static const char shape[] = "must be HOST:PORT, [ADDRESS]:PORT, :PORT or unix:/PATH";
    const char *end = strrchr(text, ':');
    if (!end || !is_port(end + 1) || !copy(port, port_len, end + 1, strlen(end + 1)))
        return shape;
    size_t len = (size_t)(end - text);
    if (*text == '[') {
        if (len < 3 || text[len - 1] != ']')
            return shape;
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return shape; /* an IPv6 address without brackets: which colon is the port's? */
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] > 126)
            return "the name is not ASCII: write it as DNS has it (xn--...)";
        else if ((unsigned char)text[i] <= 32)
            return shape;
    return copy(host, host_len, text, len) ? NULL : "the host's name is too long";
}

const char *app_address_fault(const char *text, bool any)
{
    char host[256], port[8];
    const char *path = app_address_path(text);
    if (path && *path != '/')
        return "must be unix: and an absolute path";
    if (path)
        return strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path ? NULL
                                                                           : "the path is too long for a socket";
    const char *fault = app_address_split(text, host, sizeof host, port, sizeof port);
    if (!fault && !any && !*host)
        return "the host is missing: 127.0.0.1 is this machine";
    return fault || any || strtoul(port, NULL, 10) ? fault : "nobody listens on port 0";
}

/* --- resolving ---------------------------------------------------------------------------------------------------- */

static bool add(struct app_addresses *found, const struct sockaddr *address, size_t len)
{
    struct app_address *items = realloc(found->items, (found->n + 1) * sizeof *items);
    if (!items) {
        app_complain("out of memory");
        return false;
    }
    found->items = items;
    items[found->n] = (struct app_address){ .len = (socklen_t)len };
    memcpy(&items[found->n++].socket, address, len);
    return true;
}

static bool add_path(struct app_addresses *found, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    return copy(address.sun_path, sizeof address.sun_path, path, strlen(path)) &&
        add(found, (struct sockaddr *)&address, sizeof address);
}

static const struct addrinfo *next_of(const struct addrinfo *from, bool v6)
{
    while (from && (from->ai_family == AF_INET6) != v6)
        from = from->ai_next;
    return from;
}

/* Families in turns: when one of them leads nowhere the other is not far (RFC 8305 4). */
static bool add_in_turns(struct app_addresses *found, const struct addrinfo *list)
{
    bool v6 = list->ai_family == AF_INET6;
    const struct addrinfo *next[2] = { next_of(list, false), next_of(list, true) };
    for (; (next[0] || next[1]) && found->n < MOST; v6 = !v6) {
        const struct addrinfo *one = next[v6];
        if (!one)
            continue;
        if (!add(found, one->ai_addr, one->ai_addrlen))
            return false;
        next[v6] = next_of(one->ai_next, v6);
    }
    return true;
}

bool app_addresses_find(const char *text, bool passive, struct app_addresses *found)
{
    char host[256], port[8];
    struct addrinfo *list, hints = { .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
    const char *path = app_address_path(text), *fault = app_address_fault(text, passive);
    *found = (struct app_addresses){ 0 };
    if (!fault && path)
        return add_path(found, path);
    if (!fault)
        fault = app_address_split(text, host, sizeof host, port, sizeof port);
    if (fault) {
        app_complain("%s: %s", text, fault);
        return false;
    }
    if (passive)
        hints.ai_flags = AI_PASSIVE;
    int rv = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (rv) {
        app_complain("%s: %s", text, rv == EAI_SYSTEM ? strerror(errno) : gai_strerror(rv));
        return false;
    }
    bool added = add_in_turns(found, list);
    freeaddrinfo(list);
    if (!added)
        app_addresses_free(found);
    return added;
}

void app_addresses_free(struct app_addresses *addresses)
{
    free(addresses->items);
    *addresses = (struct app_addresses){ 0 };
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

void app_address_text(const struct sockaddr *address, char text[APP_ADDRESS_TEXT])
{
    char name[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = address->sa_family == AF_INET6;
    if (address->sa_family == AF_UNIX) {
        snprintf(text, APP_ADDRESS_TEXT, "unix:%s", ((const struct sockaddr_un *)(const void *)address)->sun_path);
        return;
    }
    /* Both families have the port in the same place. */
    unsigned port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (is_v6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, name, sizeof name);
    else if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, name, sizeof name);
    snprintf(text, APP_ADDRESS_TEXT, is_v6 ? "[%s]:%u" : "%s:%u", name, port);
}
