/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes whose signatures two key servers make, while one is killed, paused or cut off (handshakes.c); and how long
 * a quick signature takes among slow ones (among.c). servers.c has the processes and the links to them.
 */
#pragma once

#include <milgi_keyless.h>
#include <milgi_uv.h>
#include <stdatomic.h>

#include "bench.h"

#define SERVERS 2u

/* Who all of them are, and what they sign with. */
struct papers {
    char directory[64];
    struct bench_cert self; /* of every key server and of who asks them: each vouches for itself */
    struct bench_cert quick, slow;
};
void papers_make(struct papers *papers);
void papers_free(struct papers *papers);

struct keyserver {
    int pid;
    unsigned port;
};
/* `milgi keyserver`, at |milgi|; or gokeyless, if that is what |gokeyless| is. port 0: any that is free. */
void keyserver_start(struct keyserver *server, const struct papers *papers, const char *milgi, const char *gokeyless);
void keyserver_signal(const struct keyserver *server, int number);
/* Kills it. */
void keyserver_kill(struct keyserver *server);

/* Links to key servers, in a thread of their own. */
struct link {
    unsigned port, to;
    _Atomic bool cut; /* nothing gets through, and what there was has ended */
};
void links_start(struct link links[SERVERS]);
void links_stop(void);

/* A client's config for key servers, and a device that asks |addresses|. */
struct milgi_device *device_for(const struct papers *papers, const char *addresses, uint32_t hedge_percent);

struct options {
    const char *milgi, *gokeyless;
    unsigned rate;  /* handshakes begun in a second */
    double stretch; /* of all times */
};
/* True: all that was promised was kept. */
bool handshakes(const struct options *options);
bool among(const struct options *options);
