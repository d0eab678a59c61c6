/* SPDX-License-Identifier: Apache-2.0 */
/* Inside `milgi proxy`: connections (proxy.c) and what is done with their plaintext (relay.c, http.c). */
#pragma once

#include "app.h"

struct proxy;
struct client;

/* In order of |touched_ms|, the oldest first. */
struct clients {
    struct client *first, *last;
    uint32_t timeout_ms; /* after which the first is closed; 0: never */
};

/* One connection from its acceptance until its socket is closed and the service is done with it. */
struct client {
    struct proxy *proxy;
    struct milgi_uv_stream *stream; /* NULL: ended; nothing may be sent */
    struct clients *list;           /* shaking, then open, then lingering */
    struct client *next, *prev;
    uint64_t touched_ms;
    char *subject; /* of the client's certificate, or NULL */
    void *state;   /* the service's, from open() to proxy_done() */
    bool served;   /* between open() and proxy_done() */
    bool gone;     /* the socket is closed */
};

/*
 * What the plaintext is for. open() is called when the handshake is complete; false: no memory, the connection ends
 * with an alert. closed() comes after an open() that succeeded, when |stream| is NULL; |in_order| says that both sides
 * had sent close_notify. What is still on its way to elsewhere may then take its time, until proxy_done(), which the
 * service has to call; a second closed(), not in order, tells it to end now. The others come before closed(). busy():
 * the client would miss something if it were closed now. /
 */
struct service {
    bool (*open)(struct client *c);
    void (*data)(struct client *c, const struct milgi_slice *slices, size_t slices_n);
    void (*end)(struct client *c);
    void (*room)(struct client *c);
    void (*closed)(struct client *c, bool in_order);
    bool (*busy)(const struct client *c);
};

struct proxy {
    uv_loop_t loop;
    const struct app_options *options;
    struct app_tls tls;
    const struct service *service;
    struct sockaddr_storage backend;
    char backend_text[APP_ADDRESS_TEXT];

    uv_tcp_t listener;
    uv_signal_t on_term, on_int;
    uv_timer_t sweep; /* for the first of each list */
    uv_timer_t drain; /* active while draining */
    uv_timer_t stats;
    uv_timer_t held; /* active while nothing is accepted for want of descriptors */
    uv_timer_t calm; /* active when a crowd has left */
    struct clients shaking, open, lingering;
    uint32_t clients_n, max_conns;
    uint32_t clients_most; /* at once, since memory was last given back */
    bool waits;            /* a connection is there that is not accepted, because of |max_conns| or |held| */
    bool draining, stopping;
    uint64_t drain_end_ms;
    uint64_t complained_ms; /* about the backend: at most once a second */

    uint64_t accepted, established, failed, closed_in_order;
};

/* Something moved: the connection is not idle. */
void proxy_touch(struct client *c);
/* Nothing more will be sent to or taken from this client: an end in order, as far as that goes. */
void proxy_close(struct client *c);
/* The service has forgotten |c|, which may be gone with this. */
void proxy_done(struct client *c);

extern const struct service relay_service; /* to the backend, and back */
extern const struct service http_service;  /* the built-in pages */

/* The pages; to be freed. NULL: no memory. */
char *page_html(const struct client *c, size_t *len);
char *page_json(const struct client *c, size_t *len);
