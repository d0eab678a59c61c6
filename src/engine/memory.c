/* SPDX-License-Identifier: Apache-2.0 */
/* Whose memory the chunks are. */
#include "engine/parts.h"

static void *slab_alloc(void *ctx, size_t size)
{
    struct milgi_device *device = ctx;
    return device->ops->chunk_alloc(device, size);
}

static void slab_free(void *ctx, void *p, size_t size)
{
    struct milgi_device *device = ctx;
    device->ops->chunk_free(device, p, size);
}

int milgi_engine_use_memory(struct milgi_engine *e, unsigned index)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->running)
        return MILGI_EREENTRY;
    if (index >= e->devs_n || !e->dev[index].device)
        return MILGI_EINVAL;
    if (index == e->memory_dev)
        return 0;
    struct milgi_device *device = index ? e->dev[index].device : NULL;
    if (device && !device->ops->chunk_alloc)
        return MILGI_EINVAL;
    struct milgi__memory memory = { slab_alloc, slab_free, device };
    int rv = milgi__pool_use_memory(e->pool, device ? &memory : NULL);
    if (rv == 0)
        e->memory_dev = index;
    return rv;
}
