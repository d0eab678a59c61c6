/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS by libevent's evhttp, whose signatures are made by two threads.
 *
 *   example_libevent CHAIN.pem KEY.pem [PORT]
 *
 * Prints the port that it listens on. GET answers with who asked and how, POST with what was sent. SIGTERM ends it.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <milgi_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct milgi_event *event;

static void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct milgi_conn *conn = milgi_bufferevent_conn(event, evhttp_connection_get_bufferevent(connection));
    struct evbuffer *answer = evbuffer_new();
    struct milgi_conn_info info = { 0 };
    char *address;
    ev_uint16_t port;
    (void)arg;
    if (conn)
        milgi_conn_info(conn, &info);
    evhttp_connection_get_peer(connection, &address, &port);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_POST)
        evbuffer_add_buffer(answer, evhttp_request_get_input_buffer(request));
    else
        evbuffer_add_printf(answer, "%s asks by protocol %04x\n", address, info.version);
    evhttp_send_reply(request, 200, "OK", answer);
    evbuffer_free(answer);
}

static void on_term(evutil_socket_t number, short what, void *base)
{
    (void)number;
    (void)what;
    event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    struct milgi_credential *credential;
    struct milgi_device *pool;
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (argc < 3) {
        fprintf(stderr, "example_libevent CHAIN.pem KEY.pem [PORT]\n");
        return 2;
    }
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    must(milgi_credential_new_file(argv[1], argv[2], &credential), argv[1]);
    must(milgi_config_add_credential(config, credential), "credential");
    must(milgi_config_freeze(config, NULL), "config");

    struct event_base *base = event_base_new();
    must(milgi_event_new(base, NULL, &event), "engine"); /* one engine per base */
    must(milgi_device_new("pool:2", &pool, NULL), "two threads");
    int index = milgi_engine_add_device(milgi_event_engine(event), pool);
    must(milgi_engine_route(milgi_event_engine(event), MILGI_OP_BIT(MILGI_OP_SIGN), (unsigned)index, 0), "route");

    struct evhttp *http = evhttp_new(base);
    evhttp_set_gencb(http, on_request, NULL);
    must(milgi_event_serve(event, http, config), "evhttp"); /* from here on it speaks TLS */
    struct evhttp_bound_socket *bound =
        evhttp_bind_socket_with_handle(http, "127.0.0.1", (ev_uint16_t)(argc > 3 ? atoi(argv[3]) : 0));
    if (!bound) {
        fprintf(stderr, "no such port\n");
        return 1;
    }
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
    printf("port %d\n", ntohs(((struct sockaddr_in *)&address)->sin_port));
    fflush(stdout);
    struct event *term = evsignal_new(base, SIGTERM, on_term, base);
    event_add(term, NULL);
    event_base_dispatch(base);

    event_free(term);
    evhttp_free(http);
    milgi_event_free(event); /* what is under way is cut: it does not look as if it had ended in order */
    event_base_free(base);
    milgi_device_free(pool);
    milgi_config_unref(config);
    milgi_credential_unref(credential);
    return 0;
}
