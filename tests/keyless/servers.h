/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the device keyless stand on: an authority, key servers, who asks them. Failures end the test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#include <milgi/milgi.h>
#include <milgi_keyless.h>
#include <milgi_uv.h>

#include "identity.h"
#include "wire.h"

/* Once; the authority of servers and clients, and who they are. */
void servers_set_up(void);
void servers_tear_down(void);
extern const struct identity *servers_root, *servers_self, *servers_client;

/* Options with the defaults, and a client's config, whose reference the caller has. */
struct milgi_config *servers_options(struct milgi_keyless_options *options, const char *addresses);

/* --- `milgi keyserver` in a process of its own -------------------------------------------------------------------- */

struct keyserver_process {
    int pid, out;
    unsigned port;
    bool is_other; /* ends in its own way */
};
/* It signs for |n| identities. port 0: any. */
void keyserver_begin(struct keyserver_process *process, const struct identity *const *identities, unsigned n);
/* The same by gokeyless, which is at |program|. */
void gokeyless_begin(struct keyserver_process *process, const char *program, const struct identity *const *identities,
    unsigned n);
void keyserver_end(struct keyserver_process *process);

/* --- one that does as it is told, in this thread's loop ----------------------------------------------------------- */

#define TOLD_MAX 4096

struct asked { /* a request that came */
    struct told_client *client;
    uint32_t id;
    uint8_t opcode;
    uint8_t ski[20];
    uint8_t payload[512];
    size_t payload_len;
    char sni[256];
};

struct told_server {
    uv_loop_t *loop;
    struct milgi_uv *uv;
    struct milgi_config *config;
    uv_tcp_t listener;
    unsigned port;
    char address[64]; /* "127.0.0.1:port" */
    struct told_client *first;
    unsigned connections; /* so far */
    bool listening;
    bool answers; /* signs what it is asked, at once; else it only notes it */
    bool dumb;    /* answers no pings either */
    struct asked asked[TOLD_MAX];
    unsigned asked_n; /* pings not counted */
    unsigned pings_n;
};

/* One loop for all of a test. */
void told_loop_open(void);
void told_loop_close(void);
/* |port| 0: any. */
void told_open(struct told_server *server, unsigned port);
void told_close(struct told_server *server);
/* Closes the connections; |hard|: by a reset. */
void told_cut(struct told_server *server, bool hard);
/* Nobody can connect any more; what is connected stays. */
void told_deafen(struct told_server *server);
/* Answers what it was asked as number |i|. */
void told_sign(struct told_server *server, unsigned i);
void told_answer(struct told_server *server, unsigned i, const struct milgi__keyless_message *message);
void told_error(struct told_server *server, unsigned i, uint8_t error);
/* To all who are connected. */
void told_say(struct told_server *server, const void *bytes, size_t len);
/* One turn of the loop, a millisecond at most. */
void told_turn(void);

/* --- a queue pair with ops ---------------------------------------------------------------------------------------- */

struct asker {
    struct milgi_device *device;
    struct milgi_qp *qp;
    struct milgi_credential *credential;
    struct milgi_key key;
    void *loaded[MILGI_DEVICES_MAX];
    struct milgi_op ops[TOLD_MAX];
    bool back[TOLD_MAX];
    unsigned ops_n, back_n;
};
void asker_open(struct asker *asker, struct milgi_device *device, const char *uri);
void asker_close(struct asker *asker);
/* Signs something; the op's number. */
unsigned asker_ask(struct asker *asker);
/* Turns the loop until |what| holds, for 20 s at most. */
#define UNTIL(what) \
    do { \
        uint64_t until_ns = uv_hrtime() + UINT64_C(20000000000); \
        while (!(what)) { \
            if (uv_hrtime() > until_ns) \
                fail_msg("in vain: %s", #what); \
            told_turn(); \
        } \
    } while (0)
/* Takes what is back; how many are back in all. */
unsigned asker_back(struct asker *asker);
/* It is back, OK, and its signature verifies. */
void asker_good(struct asker *asker, unsigned i);
void asker_bad(struct asker *asker, unsigned i, int code);
