/* SPDX-License-Identifier: Apache-2.0 */
/* What the documentation shows of C and no example has: it is quoted from here, so that it is built and run. */
#include <milgi/milgi.h>
#include <stdio.h>

/* docs/devices.md */
static int in_the_memory_of_a_device(struct milgi_engine *engine, struct milgi_device *device)
{
    int index = milgi_engine_add_device(engine, device);
    if (index < 0 || milgi_engine_use_memory(engine, (unsigned)index) || /* before the first chunk */
        milgi_engine_route(engine, device->caps.ops, (unsigned)index, 0))
        return -1;
    return 0;
}

int main(void)
{
    struct milgi_device *device;
    struct milgi_engine *engine;
    if (milgi_engine_new(NULL, &engine) || milgi_device_new("sim:latency=20us,memory=own", &device, NULL))
        return 1;
    int rv = in_the_memory_of_a_device(engine, device);
    struct milgi_chunk *chunk = milgi_chunk_new(engine, 1000);
    printf("%d, %s\n", rv, chunk ? "a chunk of the device's memory" : "no chunk");
    int failed = rv || !chunk;
    milgi_chunk_unref(chunk);
    milgi_engine_free(engine);
    milgi_device_free(device);
    return failed;
}
