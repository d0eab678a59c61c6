/* SPDX-License-Identifier: Apache-2.0 */
/* "HOST:PORT" and "unix:/PATH" in and out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define APP_ADDRESS_TEXT 128

struct app_address {
    struct sockaddr_storage socket;
    socklen_t len;
};

/* All of one name. */
struct app_addresses {
    struct app_address *items;
    size_t n;
    size_t first; /* the one to begin with: that which answered last */
};

/* The path of "unix:/PATH", NULL: it is no such address. */
const char *app_address_path(const char *text);
/*
 * "HOST:PORT", "[ADDRESS]:PORT" or ":PORT" in two parts; |host| is empty in the last case. Returns NULL, or what is
 * wrong with it: a text that stays.
 */
const char *app_address_split(const char *text, char *host, size_t host_len, char *port, size_t port_len);
/* What is wrong with |text| as an address, or NULL. |any|: it may be without a host. Asks nobody. */
const char *app_address_fault(const char *text, bool any);

/*
 * Every address that |text| means, IPv6 and IPv4 in turns, that which the system prefers first; |passive|: to listen
 * on, where no host means every address of this machine. Free them. False: it has complained.
 */
bool app_addresses_find(const char *text, bool passive, struct app_addresses *found);
void app_addresses_free(struct app_addresses *addresses);

/* "192.0.2.1:443", "[2001:db8::1]:443" or "unix:/run/x". */
void app_address_text(const struct sockaddr *address, char text[APP_ADDRESS_TEXT]);
