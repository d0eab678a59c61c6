/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this adapter share. */
#pragma once

#include "milgi_event.h"

#include <event2/buffer.h>
#include <event2/event_struct.h>

#include "../common/loop.h"

#define MILGI__READS 8u /* of one socket before others have their turn */

struct milgi_event {
    struct milgi_loop common;
    struct event_base *base;
    struct event completions; /* the engine's descriptor; in the base while there are streams */
    struct event turn, timer, reap, adopt;
    int ends_fd;                       /* an epoll descriptor: of the pairs whose other end goes; */
    struct event ends;                 /* in the base while there are links */
    uint64_t due_ns;                   /* what |timer| is set for; UINT64_MAX: it is not */
    struct link *links, *reaped_first; /* all; those that something is to be done for from the base */
    struct link **at;                  /* by the number of the application's descriptor */
    size_t at_n;
    struct server *servers;
    struct milgi__waiting *waiting_first, **waiting_last;
    void (*on_decide)(
        void *arg, struct bufferevent *bev, struct milgi_conn *conn, const struct milgi_decision *decision);
    void *decide_arg;
};

/* One evhttp, and what it has accepted in this pass of the base. */
struct server {
    struct milgi_event *event;
    struct milgi_config *config;
    struct server *next;
    evutil_socket_t nobody; /* an end of a pair that has no other */
};

struct milgi__waiting {
    struct bufferevent *bev;
    struct server *server;
    struct milgi__waiting *next;
};

struct link {
    struct milgi_stream common;
    struct milgi_event *event;
    struct link *next, **prev, *reaped_next;
    struct bufferevent *app;         /* NULL: it has been freed */
    evutil_socket_t fd;              /* the network's; -1: closed */
    evutil_socket_t outer;           /* the number of the application's descriptor */
    evutil_socket_t inner;           /* the other end of that */
    struct event readable, writable; /* of the network */
    struct event up, down;           /* of |inner|: to the stream, to the application */
    struct event read, patience;     /* the application has read; it has gone, and waiting for its peer has an end */
    struct evbuffer *wire, *plain;   /* what the network, what |inner| has not taken yet */
    struct milgi_slice held;         /* the stream had no memory for it */
    uint64_t written, taken;         /* by the application, in all; of these, from |inner| */
    int64_t peer_had;                /* of what went out, when |patience| was set; */
    uint64_t left_until_ns;          /* when that ends, since the application has gone */
    uint64_t shut_at, refused;       /* where our direction is to end; what was written behind that */
    struct milgi_reason reason;
    int failed;        /* TLS has ended otherwise than in order: an errno; */
    bool failed_told;  /* and the application knows */
    bool refused_told; /* that what it writes goes nowhere, too */
    bool has_reason;
    bool open, full;            /* the handshake is complete; the stream has enough to send */
    bool shut, shut_done;       /* our direction is to end behind |shut_at| */
    bool eof, eof_done;         /* the peer's end is to be told behind |plain| */
    bool over;                  /* nothing may be said to the stream any more */
    bool reaps, gone, has_left; /* in the list; the stream is; the application is */
};

/* milgi_event.c */

/* |l| is to be looked at from the base, not from here. */
void milgi__link_reap_later(struct link *l);

/* network.c: the stream's transport */

int milgi__network_read(struct milgi_stream *s, bool on);
long milgi__network_write(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n);
int milgi__network_shut(struct milgi_stream *s);
void milgi__network_close(struct milgi_stream *s, bool reset);
size_t milgi__network_unsent(struct milgi_stream *s, uint64_t *ago_ms);
void milgi__network_assign(struct link *l);

/* ends.c: between the stream and the pair */

extern const struct milgi_stream_events milgi__link_events;
void milgi__link_assign(struct link *l);
/* Watches what |app| writes and reads, and when it goes; 0 or MILGI_ENOMEM. */
int milgi__link_watch(struct link *l);
/* Applications' ends are gone. */
void milgi__links_left(evutil_socket_t fd, short what, void *arg);
/* |app|'s memory may be gone. */
bool milgi__link_is_closed(const struct link *l);
/* |app| has not been freed: it may be used. False of one that has no callbacks, too. */
bool milgi__link_is_live(const struct link *l);
/* Calls |app|'s event callback, from the base, unless it has been freed. */
void milgi__link_tell(struct link *l, short what, int error);
/* |app| is not touched from here on. */
void milgi__link_forget(struct link *l);
void milgi__link_drop_held(struct link *l);
void milgi__link_end_if_shut(struct link *l);

/* links.c */

/* |app| is at pair[0]; |fd| and pair[1] are taken, unless this fails. */
int milgi__link_new(struct milgi_event *event, struct bufferevent *app, const int pair[2], evutil_socket_t fd,
    struct milgi_config *config, const char *server_name);
void milgi__link_free(struct link *l);

/* http.c */

/* What evhttp has accepted in this pass of the base gets its connections. */
void milgi__http_adopt(evutil_socket_t fd, short what, void *arg);
void milgi__http_free(struct milgi_event *event);
