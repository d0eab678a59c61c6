/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one connection can hold at most, whatever the peer, the network, the device and the application do: the sum of
 * its parts (state.h), each of which is kept where it grows.
 */
#include "conn/bound.h"

#include "conn/over.h"

#define PIN 4u                /* a slice is at least a quarter of its chunk, or it is copied */
#define BODY (18u << 10)      /* the chunk of a record */
#define SLICE_COST 48u        /* of a slice in a queue that has just grown */
#define CRUMB 128u            /* a slice this short is gathered with its neighbours: a quarter of the smallest chunk */
#define HANDSHAKE (96u << 10) /* of a handshake, besides what grows with its messages */

static uint64_t limit(const struct milgi_config *config, enum milgi_limit which)
{
    return config->limit[which];
}

uint64_t milgi__conn_bound(const struct milgi_config *config)
{
    uint64_t window = limit(config, MILGI_LIMIT_WINDOW), message = limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE);
    uint64_t chain = 0;
    for (size_t i = 0; i < config->credentials_n; i++)
        chain = MILGI__MAX(chain, config->credentials[i]->chain_len);
    uint64_t fixed = sizeof(struct milgi_conn) + sizeof(struct milgi__conn_hs) +
        sizeof(struct milgi__over) + milgi__transport_size(64);
    /* staged, with the front of its first chunk; in the ring, with what they are opened to; a record in crumbs */
    uint64_t in = PIN * milgi__staged_max(config) + milgi__staged_max(config) / CRUMB * SLICE_COST + MILGI_CHUNK_MAX;
    in += window * (PIN * MILGI__RECORD_ON_WIRE + BODY) + 3 * BODY;
    uint64_t delivered = PIN * milgi__delivered_max(config);
    /* not framed; framed, with what is sealed still pinned; a record of 23 bytes is the shortest that costs a slice */
    uint64_t out = PIN * milgi__given_max(config) + window * PIN * MILGI__RECORD_ON_WIRE;
    out += 2 * milgi__framed_max(config) + milgi__framed_max(config) / 23 * SLICE_COST + 2 * BODY;
    /* The message as it came in, what is kept of it, and what ops hold; our own chain as it is written and framed. */
    uint64_t handshake = HANDSHAKE + 6 * message + 6 * chain;
    return fixed + in + delivered + out + handshake;
}

/* By the fourth power, since those who came first keep what they have: there must be enough for many more. */
uint64_t milgi__conn_share_less(const struct milgi_conn *c, enum milgi_limit which, uint64_t share)
{
    uint64_t most = limit(c->config, which);
    /* Half of INPUT must hold a record that is not whole yet: it is then that reading goes on. */
    uint64_t least = which == MILGI_LIMIT_INPUT ? 2 * MILGI__RECORD_ON_WIRE : MILGI__CIPHERTEXT_MAX;
    uint64_t square = share * share / MILGI__SHARE_ALL;
    return MILGI__MAX(MILGI__MIN(most, least), most / MILGI__SHARE_ALL * square / MILGI__SHARE_ALL * square);
}

size_t milgi_conn_read_size(const struct milgi_conn *c, size_t most)
{
    bool all = milgi__pool_share(milgi__engine_pool(c->engine)) == MILGI__SHARE_ALL;
    return all ? most : MILGI__MIN(most, MILGI__PLAINTEXT_MAX);
}
