/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of DPDK's, in slabs for chunks of engines. */
#include "device/dpdk/dpdk.h"

#include <stdio.h>

#include <rte_memzone.h>

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
