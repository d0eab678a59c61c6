/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's parameters as words, for pages and for `milgi connect`. */
#pragma once

#include <jansson.h>

#include <milgi/milgi.h>

/* Texts are static or the connection's; NULL: there is none. */
struct facts {
    const char *protocol, *suite, *group, *scheme, *alpn, *server_name;
    char psk[128]; /* the identity of the external PSK, cut; in hexadecimal if it is no text; empty: there is none */
    bool hello_retry, peer_authenticated, resumed;
};

/* What whoever runs the command can do about |reason|; NULL: nothing that an option would change. */
const char *facts_advice(const struct milgi_reason *reason);

struct facts facts_of(const struct milgi_conn *conn);
/* The same as an object, with |subject| (of the peer's certificate; may be NULL); a new reference, NULL: no memory. */
json_t *facts_json(const struct facts *facts, const char *subject);
/*
 * An object on one line, which is taken: nothing but ASCII without control characters, so that it can be looked at as
 * it is, and is JSON still. To be freed; NULL: no memory.
 */
char *facts_line(json_t *object);
