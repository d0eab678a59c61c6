/* SPDX-License-Identifier: Apache-2.0 */
/* Config, engine and devices from the options. Each function complains, and returns an exit status. */
#pragma once

#include <milgi/milgi.h>
#include <milgi_uv.h>

#include "common/options.h"
#include "common/outlet.h"
#include "common/ring.h"

#define APP_PATIENCE_MS 30000u /* at the start */

/* What is read from files, and may be read again. */
struct app_material {
    struct milgi_config *config;
    struct app_outlet *keylog;
    struct milgi_credential **elsewhere; /* those whose keys are in tokens */
    size_t elsewhere_n;
};

struct app_tls {
    struct app_material material;
    const char *keylog_name;
    struct milgi_ticket_keys *ticket_keys; /* the same after a reload, and in processes that are forked */
    struct milgi_session_cache *sessions;  /* the same after a reload, of one process; NULL: none are wanted */
    uint64_t credit;                       /* MILGI_LIMIT_CREDIT; 0: the library's default */
    struct milgi_uv *uv;                   /* NULL: its streams are in a ring: */
    struct app_ring *ring;                 /* NULL: or it has stopped, or not begun */
    struct milgi_device *device;           /* NULL: cpu only */
    struct milgi_device *lanes;            /* beside it, on the loop's own thread; NULL: there are none */
    struct milgi_device *keyless;          /* for keys on other machines; NULL: there is none */
    struct milgi_device *tokens;           /* for keys that are in tokens; NULL: there are none, or it is |device| */
};

/*
 * Reads certificates, keys and trust; key log lines will go to what tls->material.keylog is then. From any thread, as
 * long as only one does. |patience_ms|: how long to wait for whoever writes to a pipe that is named as a file.
 */
int app_tls_load(struct app_tls *tls, enum milgi_role role, const struct app_options *options, uint32_t patience_ms,
    struct app_material *material);
/* Takes |material|, for connections made from here on; that which it replaces goes with its last connection. */
void app_tls_adopt(struct app_tls *tls, struct app_material *material);
void app_material_free(struct app_material *material);
/* The device for keys in tokens, NULL: there is none yet. */
struct milgi_device *app_tls_tokens(const struct app_tls *tls);
/* Keys in tokens are |device|'s from here on, which is taken. False: it has complained. */
bool app_tls_use_tokens(struct app_tls *tls, struct milgi_device *device);
/* The engine and its device, in this process. */
int app_tls_start(struct app_tls *tls, uv_loop_t *loop, const struct app_options *options);

/* The engine: as long as it has not stopped. */
struct milgi_engine *app_tls_engine(const struct app_tls *tls);
/* A server's stream over |fd|, as milgi_uv_open(). */
int app_tls_accept(
    struct app_tls *tls, int fd, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);
/* As milgi_uv_stop(), if there is an engine. */
void app_tls_stop(struct app_tls *tls);
/* As uv_run() until nothing is alive in |loop|. */
void app_tls_run(struct app_tls *tls, uv_loop_t *loop);

/* Takes the ticket keys to where the time is, so that older ones are gone: where nobody is served. */
void app_tls_renew(struct app_tls *tls);

/* All of it at once. */
int app_tls_open(struct app_tls *tls, uv_loop_t *loop, enum milgi_role role, const struct app_options *options);
/* What milgi_uv_stop() leaves; the engine must have stopped. */
void app_tls_close(struct app_tls *tls);
