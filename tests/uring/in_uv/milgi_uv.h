/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of the adapter for libuv, so that its tests are those of the ring too: the ring in a libuv loop. */
#pragma once

#include <milgi_uring.h>
#include <uv.h>

struct milgi_uv;

int milgi_uv_new(uv_loop_t *loop, const struct milgi_stream_options *options, struct milgi_uv **uv);
void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg);
struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv);
unsigned milgi_uv_streams(const struct milgi_uv *uv);
int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);
int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);
int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *server_name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);
