/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi in a libevent event_base: bufferevents that speak TLS, and the engine's descriptor and timers in the same base.
 * For libevent 2.1. Everything belongs to the base's thread; it need not be the only one of the process.
 *
 * A bufferevent of ours is one of libevent's own, a bufferevent_socket, whose descriptor is one end of a socket pair;
 * Milgi holds the other end and the network's socket. So all that libevent has for a bufferevent works as it always
 * does: callbacks, watermarks, timeouts, rate limits, filters above it, bufferevent_free() at any time. Its descriptor
 * is for bufferevent_getfd() only: it is not the network's, and must not be shut down, closed or changed.
 *
 * EVENTS of such a bufferevent, beside those of timeouts:
 *
 *   BEV_EVENT_CONNECTED  the handshake is complete: milgi_conn_info() of milgi_bufferevent_conn() says with whom
 *   BEV_EVENT_EOF        the peer's close_notify, and nothing else; all that it has sent has been read. It may still be
 *                        written to
 *   BEV_EVENT_ERROR      TLS has ended in any other way: cut off, refused, a bad record, a failed device; all that came
 *                        before has been read, unless something is written meanwhile (BEV_EVENT_WRITING), which goes
 *                        nowhere. milgi_bufferevent_reason() says why
 *
 * None of them is called from inside a call of the application. What is written before BEV_EVENT_CONNECTED is sent
 * when the handshake is complete.
 *
 * BACKPRESSURE. What the application does not read (EV_READ disabled, a high watermark) stops the peer after the
 * config's MILGI_LIMIT_CREDIT and the pair's buffer; what the peer does not read stays in the bufferevent's output
 * after MILGI_LIMIT_OUTPUT and that buffer, so that its low watermark and its write timeout tell.
 *
 * HOW IT ENDS. bufferevent_free() with nothing left in the output is an end in order: all that was written, then
 * close_notify, in the background and bounded as milgi_stream.h says (linger_ms, flush_ms). With something left in the
 * output it is a cut, and the peer gets a fatal alert: it never takes one for the other. milgi_bufferevent_cut() makes
 * it a cut in any case, milgi_bufferevent_shutdown() ends our direction while reading goes on.
 */
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include <milgi_stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_event;

/*
 * Makes an engine and puts it into |base| (borrowed until milgi_event_free()). |options| is copied; NULL: all defaults.
 * Only while there are connections has |base| events of ours, so that without any event_base_dispatch() may return.
 * SIGPIPE is ignored from here on, unless the application has said something about it: libevent's writes would end the
 * process with it. Returns 0, an error of milgi_engine_new(), MILGI_ENOMEM, or MILGI_ELIMIT: no descriptor is left.
 */
MILGI_MUST_CHECK int milgi_event_new(
    struct event_base *base, const struct milgi_stream_options *options, struct milgi_event **event);

/*
 * Drops every connection at once, without close_notify: a bufferevent that is still there has BEV_EVENT_ERROR (unless
 * it has had an end already, or has that still to read), and may be freed as ever. Then frees the engine, which may
 * block for as long as a device's longest op; devices may be freed after it. Before the base, and after every evhttp
 * that milgi_event_serve() was called for. From any callback but on_decide's. NULL is fine.
 */
void milgi_event_free(struct milgi_event *event);

/* The engine: for milgi_engine_add_device(), milgi_engine_route(), statistics. Do not run or free it. */
struct milgi_engine *milgi_event_engine(struct milgi_event *event);
/* Connections that hold a network socket, lingering ones too. */
unsigned milgi_event_streams(const struct milgi_event *event);

/*
 * Who answers decisions (milgi/conn.h), for all connections made from now on; NULL, the default: nobody. Called from
 * inside the engine: of all calls here only milgi_bufferevent_conn() may be made; |bev| is NULL if it has been freed.
 */
void milgi_event_on_decide(struct milgi_event *event,
    void (*on_decide)(
        void *arg, struct bufferevent *bev, struct milgi_conn *conn, const struct milgi_decision *decision),
    void *arg);

/*
 * A bufferevent over TLS over |fd|, a stream socket that is connected or on which a non-blocking connect() is under
 * way. |fd| is taken, made non-blocking and closed when the connection is over, unless this fails. Whether it is a
 * client or a server is |config|'s, which is referenced; |server_name| as for milgi_conn_new(). |options| are
 * libevent's; BEV_OPT_CLOSE_ON_FREE is always among them. Set its callbacks before the base runs again. Returns 0, an
 * error of milgi_conn_new(), MILGI_ENOMEM, or MILGI_ELIMIT when there is no descriptor left (a connection takes three).
 */
MILGI_MUST_CHECK int milgi_bufferevent_new(struct milgi_event *event, evutil_socket_t fd, struct milgi_config *config,
    const char *server_name, int options, struct bufferevent **bev);

/*
 * Ends our direction: when all that has been written so far has gone out, close_notify follows. Reading goes on, to the
 * peer's own end. What is written after this call goes nowhere and is told with BEV_EVENT_ERROR and BEV_EVENT_WRITING,
 * once; what becomes of reading is told besides. Returns 0, or MILGI_ECLOSED: the connection has ended, or is not one
 * of |event|'s.
 */
int milgi_bufferevent_shutdown(struct milgi_event *event, struct bufferevent *bev);

/*
 * Ends the connection in the middle of something: a fatal alert instead of close_notify, and what has not gone out does
 * not any more. There are no further events; free |bev| next. Returns as milgi_bufferevent_shutdown().
 */
int milgi_bufferevent_cut(struct milgi_event *event, struct bufferevent *bev);

/*
 * The connection below |bev|: for milgi_conn_info() (protocol, ALPN, server name, the peer's certificates, resumption),
 * milgi_conn_update_keys(), milgi_conn_export(). Do not feed or free it. NULL when its socket has been closed, or |bev|
 * is not one of |event|'s (a filter's underlying one is).
 */
struct milgi_conn *milgi_bufferevent_conn(struct milgi_event *event, struct bufferevent *bev);

/* Why TLS has ended, valid until |bev| is freed; NULL: it has not. error is 0 when both directions ended in order. */
const struct milgi_reason *milgi_bufferevent_reason(struct milgi_event *event, struct bufferevent *bev);

/*
 * All that |http| accepts from now on is HTTPS, as |config| (a server's, referenced until milgi_event_free()) says.
 * |http| has to be in the same base and is used as ever: this is evhttp_set_bevcb(), which must not be called besides.
 * evhttp keeps the number of the descriptor that it has accepted, and shuts that down before anything could be said
 * there: by then it is one end of the pair. The peer's address is in evhttp_connection_get_peer(), the connection by
 * evhttp_connection_get_bufferevent() and milgi_bufferevent_conn(). evhttp would serve in the clear what it is given no
 * bufferevent for; when there is no memory for one the process is aborted instead. When there are no descriptors for a
 * connection it is closed. Returns 0, MILGI_ENOMEM or MILGI_ELIMIT.
 */
MILGI_MUST_CHECK int milgi_event_serve(struct milgi_event *event, struct evhttp *http, struct milgi_config *config);

#ifdef __cplusplus
}
#endif
