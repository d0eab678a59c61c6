/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of DPDK's: slabs for chunks of engines, and pools that wipe what comes back to them. */
#include "device/dpdk/dpdk.h"

#include <stdio.h>

#include <rte_mempool.h>
#include <rte_memzone.h>

/* --- slabs ------------------------------------------------------------------------------------------------------ */

struct dpdk_slabs {
    const struct rte_memzone *zone;
    pthread_mutex_t lock;
    size_t n, first; /* none before |first| is free */
    bool out[];
};

struct dpdk_slabs *dpdk_slabs_new(uint64_t size, int socket)
{
    size_t n = (size_t)(size / MILGI_MEMORY_SLAB);
    struct dpdk_slabs *slabs = milgi__alloc(sizeof *slabs + n * sizeof slabs->out[0]);
    char name[RTE_MEMZONE_NAMESIZE];

    if (!slabs)
        return NULL;
    snprintf(name, sizeof name, "milgi%u-slabs", dpdk_eal_number());
    slabs->n = n;
    slabs->zone = rte_memzone_reserve_aligned(
        name, n * (size_t)MILGI_MEMORY_SLAB, socket, RTE_MEMZONE_IOVA_CONTIG, MILGI_MEMORY_SLAB);
    if (!slabs->zone) {
        milgi__free(slabs);
        return NULL;
    }
    pthread_mutex_init(&slabs->lock, NULL);
    return slabs;
}

void dpdk_slabs_free(struct dpdk_slabs *slabs)
{
    if (!slabs)
        return;
    rte_memzone_free(slabs->zone);
    pthread_mutex_destroy(&slabs->lock);
    milgi__free(slabs);
}

void *dpdk_slabs_take(struct dpdk_slabs *slabs)
{
    uint8_t *slab = NULL;

    pthread_mutex_lock(&slabs->lock);
    while (slabs->first < slabs->n && slabs->out[slabs->first])
        slabs->first++;
    if (slabs->first < slabs->n) {
        slabs->out[slabs->first] = true;
        slab = (uint8_t *)slabs->zone->addr + slabs->first * (size_t)MILGI_MEMORY_SLAB;
    }
    pthread_mutex_unlock(&slabs->lock);
    return slab;
}

void dpdk_slabs_give(struct dpdk_slabs *slabs, void *slab)
{
    size_t at = (size_t)((uint8_t *)slab - (uint8_t *)slabs->zone->addr) / MILGI_MEMORY_SLAB;

    pthread_mutex_lock(&slabs->lock);
    slabs->out[at] = false;
    slabs->first = MILGI__MIN(slabs->first, at);
    pthread_mutex_unlock(&slabs->lock);
}

bool dpdk_slabs_have(const struct dpdk_slabs *slabs, const void *p, size_t len)
{
    uintptr_t at = (uintptr_t)p, base = (uintptr_t)slabs->zone->addr;
    size_t size = slabs->n * (size_t)MILGI_MEMORY_SLAB;

    return len == 0 || (at >= base && at - base < size && len <= size - (at - base));
}

/* --- pools that wipe -------------------------------------------------------------------------------------------- */

/*
 * Sessions hold what was made of keys, and not every cryptodev wipes them when they end. Those of a scheduler's workers
 * end without the device's knowing. So it is done where all of them go back to: the pool's functions are others, which
 * call those that it had.
 */
static struct {
    pthread_mutex_t lock;
    int index; /* of the wiping functions; 0: not yet registered. Others are registered before */
    struct rte_mempool_ops plain;
} wiping = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int alloc_plain(struct rte_mempool *pool)
{
    return wiping.plain.alloc(pool);
}

static void free_plain(struct rte_mempool *pool)
{
    wiping.plain.free(pool);
}

static int wipe_and_enqueue(struct rte_mempool *pool, void *const *objects, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        milgi__wipe(objects[i], pool->elt_size);
    return wiping.plain.enqueue(pool, objects, n);
}

static int dequeue_plain(struct rte_mempool *pool, void **objects, unsigned n)
{
    return wiping.plain.dequeue(pool, objects, n);
}

static unsigned count_plain(const struct rte_mempool *pool)
{
    return wiping.plain.get_count(pool);
}

struct rte_mempool *dpdk_wiping(struct rte_mempool *pool)
{
    if (!pool)
        return NULL;
    pthread_mutex_lock(&wiping.lock);
    if (wiping.index == 0) {
        struct rte_mempool_ops ops = { .name = "milgi_wiping",
            .alloc = alloc_plain,
            .free = free_plain,
            .enqueue = wipe_and_enqueue,
            .dequeue = dequeue_plain,
            .get_count = count_plain };
        wiping.plain = *rte_mempool_get_ops(pool->ops_index);
        wiping.index = rte_mempool_register_ops(&ops);
    }
    bool same = strcmp(wiping.plain.name, rte_mempool_get_ops(pool->ops_index)->name) == 0;
    int index = wiping.index;
    pthread_mutex_unlock(&wiping.lock);
    if (index <= 0 || !same) {
        rte_mempool_free(pool);
        return NULL;
    }
    pool->ops_index = index;
    return pool;
}
