/* SPDX-License-Identifier: Apache-2.0 */
/* "HOST:PORT" in and out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct addrinfo;
struct sockaddr;

#define APP_ADDRESS_TEXT 72

/* "HOST:PORT", "[ADDRESS]:PORT" or ":PORT" in two parts; |host| is empty in the last case. False: it is none. */
bool app_address_split(const char *text, char *host, size_t host_len, char *port, size_t port_len);
/* Resolves it: a list to be given to freeaddrinfo(). NULL: it has complained. */
struct addrinfo *app_address_resolve(const char *text, bool passive);
/* "192.0.2.1:443" or "[2001:db8::1]:443". */
void app_address_text(const struct sockaddr *address, char text[APP_ADDRESS_TEXT]);
