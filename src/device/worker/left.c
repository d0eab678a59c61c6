/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that were freed and did not end, since a thread of theirs does not come out of a call. */
#include <pthread.h>

#include "device/device.h"

/* Reachable from here, for tools that look for memory that nobody knows of. */
struct left {
    struct left *next;
    struct milgi_device *device;
};

static struct left *left;
static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;

void milgi__device_leave(struct milgi_device *device)
{
    struct left *item = milgi__alloc(sizeof *item);

    if (!item)
        return;
    item->device = device;
    pthread_mutex_lock(&left_lock);
    item->next = left;
    left = item;
    pthread_mutex_unlock(&left_lock);
}

void milgi__device_left(struct milgi_device *device)
{
    struct left **at = &left, *item;

    pthread_mutex_lock(&left_lock);
    while (*at && (*at)->device != device)
        at = &(*at)->next;
    item = *at;
    if (item)
        *at = item->next;
    pthread_mutex_unlock(&left_lock);
    milgi__free(item);
}

unsigned milgi_devices_left(void)
{
    unsigned n = 0;

    pthread_mutex_lock(&left_lock);
    for (const struct left *item = left; item; item = item->next)
        n++;
    pthread_mutex_unlock(&left_lock);
    return n;
}
