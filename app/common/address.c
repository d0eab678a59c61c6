/* SPDX-License-Identifier: Apache-2.0 */
/* "HOST:PORT" in and out. */
#include "common/address.h"
#include "common/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool app_address_split(const char *text, char *host, size_t host_len, char *port, size_t port_len)
{
    const char *end = strrchr(text, ':');
    if (!end || !is_port(end + 1) || !copy(port, port_len, end + 1, strlen(end + 1)))
        return false;
    size_t len = (size_t)(end - text);
    if (*text == '[') {
        if (len < 3 || text[len - 1] != ']')
            return false;
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false; /* an IPv6 address without brackets: which colon is the port's? */
    }
    return copy(host, host_len, text, len);
}

struct addrinfo *app_address_resolve(const char *text, bool passive)
{
    char host[256], port[8];
    struct addrinfo *found, hints = { .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
    if (!app_address_split(text, host, sizeof host, port, sizeof port)) {
        app_complain("'%s' is no HOST:PORT", text);
        return NULL;
    }
    if (passive)
        hints.ai_flags = AI_PASSIVE;
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (rc) {
        app_complain("%s: %s", text, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return NULL;
    }
    return found;
}

void app_address_text(const struct sockaddr *address, char text[APP_ADDRESS_TEXT])
{
    char name[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = address->sa_family == AF_INET6;
    /* Both families have the port in the same place. */
    unsigned port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (is_v6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, name, sizeof name);
    else if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, name, sizeof name);
    snprintf(text, APP_ADDRESS_TEXT, is_v6 ? "[%s]:%u" : "%s:%u", name, port);
}
