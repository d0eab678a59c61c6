/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over TCP in a libuv loop: an echo server whose signatures are made by two threads.
 *
 *   example_libuv CHAIN.pem KEY.pem [PORT]
 *
 * Prints the port that it listens on. What a client sends comes back, no faster than it is read, to the client's end
 * and with an end of our own behind it; a client that is cut off is the concern of nobody else. SIGTERM ends it.
 */
#include <milgi_uv.h>
#include <stdio.h>
#include <stdlib.h>

static uv_loop_t *loop;
static uv_tcp_t tcp;
static uv_signal_t term;
static struct milgi_uv *uv;
static struct milgi_config *config;
static struct milgi_credential *credential;
static struct milgi_device *pool;

static void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

/* --- what the README shows ---------------------------------------------------------------------------------------- */

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t n)
{
    (void)arg;
    milgi_stream_forward(stream, stream, slices, n); /* back to itself: no copy, and read no faster than it is sent */
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    milgi_stream_shutdown(stream); /* half-close, both ways */
}

static const struct milgi_stream_events events = { .on_data = on_data, .on_end = on_end };

static void on_connection(uv_stream_t *server, int status)
{
    struct milgi_stream *stream;
    if (status == 0 && milgi_uv_accept(uv, server, config, &events, NULL, &stream) < 0)
        fprintf(stderr, "a connection was not taken\n");
}

static void serve(const char *chain, const char *key)
{
    config = milgi_config_new(MILGI_SERVER); /* TLS 1.3, safe choices */
    must(milgi_credential_new_file(chain, key, &credential), chain);
    must(milgi_config_add_credential(config, credential), "credential");
    must(milgi_config_freeze(config, NULL), "config"); /* plain data from here on, shared by threads */

    must(milgi_uv_new(loop, NULL, &uv), "engine"); /* one engine per loop */
    must(milgi_device_new("pool:2", &pool, NULL), "two threads");
    int index = milgi_engine_add_device(milgi_uv_engine(uv), pool);
    must(milgi_engine_route(milgi_uv_engine(uv), MILGI_OP_BIT(MILGI_OP_SIGN), (unsigned)index, 0), "route");
    uv_listen((uv_stream_t *)&tcp, 128, on_connection);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- and what it leaves out --------------------------------------------------------------------------------------- */

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_close((uv_handle_t *)signal, NULL);
    uv_close((uv_handle_t *)&tcp, NULL);
    milgi_uv_stop(uv, NULL, NULL); /* every stream is dropped: none of them looks as if it had ended in order */
}

int main(int argc, char **argv)
{
    struct sockaddr_storage address;
    int len = sizeof address;
    if (argc < 3) {
        fprintf(stderr, "example_libuv CHAIN.pem KEY.pem [PORT]\n");
        return 2;
    }
    loop = uv_default_loop();
    uv_tcp_init(loop, &tcp);
    uv_signal_init(loop, &term);
    uv_signal_start(&term, on_term, SIGTERM);
    uv_ip4_addr("127.0.0.1", argc > 3 ? atoi(argv[3]) : 0, (struct sockaddr_in *)&address);
    uv_tcp_bind(&tcp, (struct sockaddr *)&address, 0);
    uv_tcp_getsockname(&tcp, (struct sockaddr *)&address, &len);
    printf("port %d\n", ntohs(((struct sockaddr_in *)&address)->sin_port));
    fflush(stdout);
    serve(argv[1], argv[2]);
    uv_loop_close(loop);
    milgi_device_free(pool);
    milgi_config_unref(config);
    milgi_credential_unref(credential);
    return 0;
}
