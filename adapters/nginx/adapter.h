/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the modules for http and stream have in common: the engine of a worker process, a connection over it in the
 * place of nginx's own socket functions, and the settings of a server.
 *
 * nginx's connection (|c|) is that of the plaintext: its descriptor is the accepted one, but epoll does not know it. A
 * second connection of nginx's, |net|, has the socket's events. What comes out of the engine is told to |c| by posted
 * events, so that nginx's handlers never run inside a turn, and may run one themselves (milgi__ngx_turn()).
 */
#pragma once

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "loop.h"

/* --- a server's settings (conf.c) --------------------------------------------------------------------------------- */

struct milgi__ngx_conf {
    ngx_flag_t enable, tickets;
    ngx_uint_t verify; /* enum milgi_client_auth */
    ngx_msec_t handshake_timeout;
    ngx_array_t *certificates, *keys; /* of ngx_str_t; the first to the first */
    ngx_array_t *alpn;                /* stream only */
    ngx_str_t trust, crl, policy;
    ngx_str_t passphrases;          /* lines; only while all is configured */
    struct milgi_config *config[2]; /* NULL: this server has no certificate; [1]: with HTTP/2 */
};

struct milgi__ngx_conf *milgi__ngx_conf_new(ngx_conf_t *cf);
/* |protocols|: what ALPN may choose, lists for config[0] and config[1] that end with NULL; NULL: there is no such. */
char *milgi__ngx_conf_merge(ngx_conf_t *cf, struct milgi__ngx_conf *parent, struct milgi__ngx_conf *conf,
    const char *const *protocols[2]);
char *milgi__ngx_password_file(ngx_conf_t *cf, ngx_command_t *command, void *conf);
extern ngx_conf_enum_t milgi__ngx_verify_words[];

/* The commands of both modules; |where| as in ngx_command_t, |level| the offset of the server's settings. */
#define MILGI__NGX_COMMANDS(where, level) \
    { ngx_string("milgi"), (where) | NGX_CONF_FLAG, ngx_conf_set_flag_slot, level, \
        offsetof(struct milgi__ngx_conf, enable), NULL }, \
        { ngx_string("milgi_certificate"), (where) | NGX_CONF_TAKE1, ngx_conf_set_str_array_slot, level, \
            offsetof(struct milgi__ngx_conf, certificates), NULL }, \
        { ngx_string("milgi_certificate_key"), (where) | NGX_CONF_TAKE1, ngx_conf_set_str_array_slot, level, \
            offsetof(struct milgi__ngx_conf, keys), NULL }, \
        { ngx_string("milgi_password_file"), (where) | NGX_CONF_TAKE1, milgi__ngx_password_file, level, 0, NULL }, \
        { ngx_string("milgi_crl"), (where) | NGX_CONF_TAKE1, ngx_conf_set_str_slot, level, \
            offsetof(struct milgi__ngx_conf, crl), NULL }, \
        { ngx_string("milgi_policy"), (where) | NGX_CONF_TAKE1, ngx_conf_set_str_slot, level, \
            offsetof(struct milgi__ngx_conf, policy), NULL }, \
        { ngx_string("milgi_tickets"), (where) | NGX_CONF_FLAG, ngx_conf_set_flag_slot, level, \
            offsetof(struct milgi__ngx_conf, tickets), NULL }, \
        { ngx_string("milgi_verify_client"), (where) | NGX_CONF_TAKE1, ngx_conf_set_enum_slot, level, \
            offsetof(struct milgi__ngx_conf, verify), milgi__ngx_verify_words }, \
    { \
        ngx_string("milgi_client_certificate"), (where) | NGX_CONF_TAKE1, ngx_conf_set_str_slot, level, \
            offsetof(struct milgi__ngx_conf, trust), NULL \
    }

/* --- the worker process (process.c) ------------------------------------------------------------------------------- */

/* The engine of this process; NULL: no server needs one. */
extern struct milgi_loop *milgi__ngx_loop;
/* A server has settings, so workers need an engine. */
void milgi__ngx_wanted(ngx_conf_t *cf);
/* A turn, now: not from inside of one. */
void milgi__ngx_turn(void);
/* As long as there are connections a worker that is to end waits for what the engine's timer is set for. */
void milgi__ngx_counted(void);

/* --- a connection (conn.c) ---------------------------------------------------------------------------------------- */

struct milgi__ngx_conn;

/* What http or stream does for a connection. */
struct milgi__ngx_protocol {
    /* The handshake is complete (NGX_OK) or has failed (NGX_ERROR). */
    void (*done)(ngx_connection_t *c, ngx_int_t rc);
    /* Which config a client goes by that wants |name| (lower case, empty: none); NULL: the one that it began with. */
    struct milgi_config *(*choose)(struct milgi__ngx_conn *m, ngx_str_t *name);
    /*
     * All that nginx had to send was given, and |last|: its last buffer says that it is complete. Whether it is the
     * connection's last, too.
     */
    bool (*ends)(struct milgi__ngx_conn *m, bool last);
    /* Whether whom nginx has it from has failed, so that there will be no end. May be NULL. */
    bool (*fails)(const struct milgi__ngx_conn *m);
    /* Whether ends() may say so without more to send: it is asked once more behind that. May be NULL. */
    bool (*may_end)(struct milgi__ngx_conn *m);
};

struct milgi__ngx_conn {
    struct milgi_stream stream; /* first */
    const struct milgi__ngx_protocol *protocol;
    ngx_connection_t *c;   /* NULL: nginx has closed it */
    ngx_connection_t *net; /* NULL: it is closed */
    ngx_socket_t fd;
    ngx_pool_t *pool; /* of |c| */
    ngx_event_t gone_event;
    void *arg;                          /* the protocol's */
    const struct milgi__ngx_conf *conf; /* the server's that the client has come to */

    struct milgi_iov *out; /* ciphertext that the socket has not taken */
    ngx_uint_t out_first, out_n, out_max;
    u_char *held; /* plaintext that the engine had no memory for */
    size_t held_n, held_max;

    /* what was negotiated, for variables; texts in the pool */
    struct milgi_conn_info info;
    ngx_str_t server_name, alpn, subject, issuer;

    bool reading;  /* the stream wants input */
    bool begun;    /* there has been some */
    bool open;     /* the handshake is complete */
    bool told;     /* and the protocol knows how it ended */
    bool ended;    /* the peer's close_notify came */
    bool failed;   /* nothing more comes or goes */
    bool full;     /* it takes nothing until on_room() */
    bool draining; /* nginx waits until its output is with the kernel */
    bool framed;   /* what is sent says itself where it ends */
    bool whole;    /* and else: what was sent so far has an end */
    bool finished; /* our direction has ended */
    bool gone;     /* the stream is, its socket is not used any more */
};

/*
 * |c|, which has just been accepted, begins a handshake under |config|; |timeout|: how long it may take. The protocol's
 * done() follows, from the loop. NGX_OK or NGX_ERROR: then |c| is as it was.
 */
ngx_int_t milgi__ngx_accept(ngx_connection_t *c, struct milgi_config *config, ngx_msec_t timeout,
    const struct milgi__ngx_protocol *protocol, void *arg);
/* That of nginx's connection, or NULL. */
struct milgi__ngx_conn *milgi__ngx_of(ngx_connection_t *c);

/* Those of the loop's hooks that are about a stream. */
extern const struct milgi_loop_hooks milgi__ngx_hooks;

/* --- variables ---------------------------------------------------------------------------------------------------- */

/* Their names and values; |m| NULL: no TLS of ours. Returns false: not found. */
enum milgi__ngx_variable {
    MILGI__NGX_PROTOCOL,
    MILGI__NGX_CIPHER,
    MILGI__NGX_CURVE,
    MILGI__NGX_SERVER_NAME,
    MILGI__NGX_ALPN,
    MILGI__NGX_SESSION_REUSED,
    MILGI__NGX_CLIENT_S_DN,
    MILGI__NGX_CLIENT_I_DN,
    MILGI__NGX_CLIENT_VERIFY,
    MILGI__NGX_VARIABLES
};
extern ngx_str_t milgi__ngx_variable_names[MILGI__NGX_VARIABLES];
bool milgi__ngx_variable(const struct milgi__ngx_conn *m, uintptr_t which, ngx_str_t *value);
