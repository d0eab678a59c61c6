/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside `milgi keyserver`: the keys and the devices that sign with them (keys.c, signers.c), the clients and their
 * requests (clients.c), the process (keyserver.c).
 */
#pragma once

#include <uv.h>

#include <wire.h>

#include "common/tls.h"

struct keyserver;
struct client;
struct signer;

/* --- keys --------------------------------------------------------------------------------------------------------- */

struct job;
struct line {
    struct job *first, *last;
};

/* A key that clients may have signatures of; stays until nobody signs with it. */
struct key {
    struct milgi_credential *credential;
    uint8_t ski[MILGI__KEYLESS_SKI];
    struct milgi_key key;
    void *loaded[MILGI_DEVICES_MAX];
    struct signer *signer; /* NULL: not taken up yet */
    unsigned refs;
    int code; /* why it could not be had last, as it was told */
    bool pss; /* of id-RSASSA-PSS */

    /* While signatures wait: */
    struct line line;
    struct key *next, *prev; /* those of its signer, in a ring */
    uint64_t cost_ns;        /* of a signature, as it was of late */
    uint64_t credit_ns;      /* what it may cost before the others have their turn */
};

struct keys {
    struct key **items; /* by their SKIs */
    size_t n;
};

/* Reads what --sign-cert and --sign-key say. From any thread. False: it has complained. */
bool keys_load(const struct app_options *options, uint32_t patience_ms, struct keys *keys);
/* How many of them are in tokens. */
size_t keys_elsewhere(const struct keys *keys);
/* Signs something with each key in a token, on |tokens|, which the loop cannot wait for. False: it has complained. */
bool keys_try(const struct keys *keys, struct milgi_device *tokens);
/* Drops the references. */
void keys_free(struct keys *keys);
/* NULL: there is none. */
struct key *keys_find(const struct keys *keys, const uint8_t ski[MILGI__KEYLESS_SKI]);
void key_unref(struct key *key);

/* --- signers ------------------------------------------------------------------------------------------------------ */

/* A signature that somebody waits for. */
struct job {
    struct job *next, *prev;       /* in a line */
    struct job *of_next, *of_prev; /* among those of its client */
    struct client *client;         /* NULL: nobody does any more */
    struct key *key;
    uint32_t id;
    uint8_t *long_input;
    uint32_t held; /* of server->held */
    struct milgi_op op;
};

/* A device with the key server's queue pair. */
struct signer {
    struct keyserver *server;
    struct milgi_device *device;
    struct milgi_qp *qp;
    uv_poll_t poll;
    uv_timer_t again; /* when there is nothing to poll */
    uv_prepare_t soon;
    bool polls, stuck; /* stuck: it goes on with something, and stays as it is */
    struct key *turn;  /* of the ring of keys for which signatures wait, whose turn it is; NULL: there are none */
    unsigned in_flight, at_once;
};

/* Takes |device|, which may be NULL: then it does nothing. False: it has complained. */
bool signer_open(struct signer *signer, struct keyserver *server, struct milgi_device *device);
/*
 * Loads the keys of |keys| that nobody has yet, on the loop: key_load() of a device waits for nothing, keys_try() has
 * done that. False: it has complained.
 */
bool signers_take(struct keyserver *server, struct keys *keys);
void signer_submit(struct signer *signer, struct job *job);
/* Ends all that is under way, in vain; the loop runs on until its handles are closed. */
void signer_stop(struct signer *signer);
/* After that: nothing is under way any more. Then its keys may go, and then all of it. */
void signer_close(struct signer *signer);
void signer_free(struct signer *signer);
void job_free(struct job *job);

/* --- clients ------------------------------------------------------------------------------------------------------ */

void clients_accept(uv_stream_t *listener, int status);
/* The answer to what |job| was for; it is freed. */
void client_answer(struct job *job);
/* What is under way is answered, then it is closed. */
void clients_drain(struct keyserver *server);
/* What is under way is for nobody any more. */
void clients_forget(struct keyserver *server);
/* Closes those that have been silent for too long, if any time is. */
void clients_sweep(struct keyserver *server);

/* --- all of it ---------------------------------------------------------------------------------------------------- */

#define LISTENERS 16u

/* What anybody can bring about as often as he likes, and is said once a second. */
enum grievance {
    REFUSED,
    NOT_ACCEPTED,
    NOT_TAKEN,
    NOT_SIGNED,
    NO_MEMORY,
    GRIEVANCES
};

struct keyserver {
    const struct app_options *options;
    struct app_tls tls;
    struct keys keys;
    struct signer files, tokens; /* for keys that are here; for those that are in tokens */
    uv_loop_t loop;
    uv_tcp_t listener[LISTENERS];
    unsigned listeners_n;
    uv_signal_t on_term, on_int, on_hup, on_usr1;
    uv_timer_t sweep, end;
    struct load *load;  /* a reload is under way */
    bool reload_wanted; /* and another behind it */
    struct client *first;
    unsigned clients_n;
    bool draining, stopping;
    size_t held, held_most; /* bytes of requests that are under way, of all clients */
    uint64_t accepted, refused, requests, signed_n, errors;
    uint64_t said_ms[GRIEVANCES];
};

/* Nobody is left: the process may end. */
void keyserver_empty(struct keyserver *server);
