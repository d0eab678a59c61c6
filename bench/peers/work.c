/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer does in a slice of time: handshakes, records; and what it counts: mallocs, heap. */
#include <stdlib.h>

#include "peer.h"

#define COUNTED 64u /* handshakes, or turns with records, over which mallocs are counted */
#define SMALL 64u

static struct setup setup_for(const struct certs *certs, enum bench_key key, uint16_t suite)
{
    return (struct setup){
        .cert = &certs->leaf[key],
        .anchor_pem = certs->anchor[key],
        .anchor_len = certs->anchor_len[key],
        .suite = suite,
    };
}

static void add(struct work *work, const struct used *used, double per)
{
    for (enum side side = CLIENT; side <= SERVER; side++)
        bench_samples_add(&work->side[side], used->own[side] / per);
}

/* --- handshakes ------------------------------------------------------------------------------------------------- */

static void whole_handshake(struct pair *pair, enum measure measure, struct used *used)
{
    pair_handshake(pair, measure, used);
    pair_free(pair, measure, used);
}

/* What is set up once stays for all slices. */
static struct pair *handshaker(
    const struct peer *peer, const struct certs *certs, enum bench_key key, enum shake shake)
{
    static struct pair kept[BENCH_KEYS][SHAKES];
    struct pair *pair = &kept[key][shake];
    struct used unused = { { 0 }, { 0 } };

    if (!pair->subject) {
        struct setup setup = setup_for(certs, key, 0x1301);
        setup.shake = shake;
        if (shake == SHAKE_13_BARE)
            setup.anchor_pem = NULL;
        pair_init(pair, peer->subject, peer->subject->world_new(&setup));
        whole_handshake(pair, MEASURE_NOTHING, &unused);
    }
    return pair;
}

void work_handshakes(struct work *work, const struct peer *peer, const struct certs *certs, enum bench_key key,
    enum shake shake, uint64_t slice_ns)
{
    struct pair *pair = handshaker(peer, certs, key, shake);
    struct used unused = { { 0 }, { 0 } };

    whole_handshake(pair, MEASURE_NOTHING, &unused); /* into the caches: other peers ran since the last slice */
    uint64_t end = bench_now_ns() + slice_ns;
    do {
        struct used used = { { 0 }, { 0 } };
        whole_handshake(pair, MEASURE_TIME, &used);
        add(work, &used, 1);
    } while (bench_now_ns() < end);
}

/* --- records ---------------------------------------------------------------------------------------------------- */

struct connected {
    struct pair pair;
    struct message message;
    void *shift;
};

/*
 * A connection of its own for each slice, behind a piece of heap of another size each time: how buffers lie to each
 * other modulo a page changes the time of a copy by more than what is to be seen here, and must be luck for nobody.
 */
static void connect_ends(
    struct connected *c, const struct peer *peer, const struct certs *certs, const struct record_shape *shape)
{
    static unsigned turn;
    struct setup setup = setup_for(certs, BENCH_ECDSA_P256, shape->suite);
    struct used unused = { { 0 }, { 0 } };

    setup.record_len = (uint32_t)shape->len;
    c->message = (struct message){ shape->way, shape->len, shape->burst };
    c->shift = malloc(64 + turn++ * 1008 % 32768);
    pair_init(&c->pair, peer->subject, peer->subject->world_new(&setup));
    pair_handshake(&c->pair, MEASURE_NOTHING, &unused);
    for (size_t sent = 0; sent < 2 * CHECKED; sent += shape->len * shape->burst)
        pair_exchange(&c->pair, SERVER, &c->message, MEASURE_NOTHING, &unused);
}

static void disconnect_ends(struct connected *c)
{
    struct used unused = { { 0 }, { 0 } };

    pair_free(&c->pair, MEASURE_NOTHING, &unused);
    pair_fini(&c->pair);
    c->pair.subject->world_free(c->pair.world);
    free(c->shift);
}

void work_records(struct work *work, const struct peer *peer, const struct certs *certs,
    const struct record_shape *shape, uint64_t slice_ns)
{
    struct connected c;

    connect_ends(&c, peer, certs, shape);
    uint64_t end = bench_now_ns() + slice_ns;
    do {
        struct used used = { { 0 }, { 0 } };
        pair_exchange(&c.pair, SERVER, &c.message, MEASURE_TIME, &used);
        add(work, &used, shape->burst);
    } while (bench_now_ns() < end);
    disconnect_ends(&c);
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

/* Without the one of the rig for each end. */
struct used work_mallocs_of_handshake(const struct peer *peer, const struct certs *certs)
{
    struct pair *pair = handshaker(peer, certs, BENCH_ECDSA_P256, SHAKE_13);
    struct used used = { { 0 }, { 0 } };

    for (unsigned i = 0; i < COUNTED; i++)
        whole_handshake(pair, MEASURE_NOTHING, &used);
    for (unsigned i = 0; i < COUNTED; i++)
        whole_handshake(pair, MEASURE_MALLOCS, &used);
    for (enum side side = CLIENT; side <= SERVER; side++)
        used.own[side] = used.own[side] / COUNTED - (pair_mallocs == count_mallocs ? 1 : 0);
    return used;
}

struct used work_mallocs_of_record(const struct peer *peer, const struct certs *certs)
{
    const struct record_shape shape = { 0x1301, BY_COPY, SMALL, 32 };
    struct used used = { { 0 }, { 0 } };
    struct connected c;

    connect_ends(&c, peer, certs, &shape);
    for (unsigned i = 0; i < COUNTED; i++)
        pair_exchange(&c.pair, SERVER, &c.message, MEASURE_MALLOCS, &used);
    disconnect_ends(&c);
    for (enum side side = CLIENT; side <= SERVER; side++)
        used.own[side] /= COUNTED * shape.burst;
    return used;
}

struct used work_heap(const struct peer *peer, const struct certs *certs, enum crowd_state state, unsigned connections)
{
    struct setup setup = setup_for(certs, BENCH_ECDSA_P256, 0x1301);

    setup.lean = true;
    return crowd(peer->subject, &setup, state, connections);
}
