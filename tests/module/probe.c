/* SPDX-License-Identifier: Apache-2.0 */
/* Says what becomes of a device "toy", by the library that is inside of this program or, with an argument, by that. */
#include <dlfcn.h>
#include <stdio.h>

#include <milgi/milgi.h>

static int (*make)(const char *spec, struct milgi_device **device, const char **why) = milgi_device_new;

__attribute__((visibility("default"))) void toy_loaded(void);

/* The module is being loaded: who makes devices then is not to wait for that. */
void toy_loaded(void)
{
    struct milgi_device *device;
    const char *why;

    if (make("toy_of_nobody", &device, &why) == MILGI_EUNSUPPORTED)
        puts("loaded");
}

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    struct milgi_device *device;
    const char *why = "nothing";

    if (argc > 1 && !library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    if (library)
        *(void **)&make = dlsym(library, "milgi_device_new");
    int rv = make ? make("toy", &device, &why) : 0;
    printf("%d %s\n", rv, why);
    return 0;
}
