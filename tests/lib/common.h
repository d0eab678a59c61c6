/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of adapters have in common, whatever their loop: bytes that are known, devices, and what is left. */
#pragma once

#include <milgi/milgi.h>

/* The |at|-th byte of what is sent; |len| of them from there on; whether |data| is these. */
uint8_t pattern(size_t at);
void pattern_fill(uint8_t *data, size_t at, size_t len);
bool is_pattern(const uint8_t *data, size_t at, size_t len);

/* A network between two sockets of this process. */
void socket_pair(int fd[2]);

/* Of this process. */
unsigned descriptors(void);

/* MILGI_TESTS_FULL: all that there is, however long it takes. Then, too, as many descriptors as may be. */
bool is_full_run(void);

/* |spec|, which does for |engine| all that it can. */
struct milgi_device *device_for(struct milgi_engine *engine, const char *spec);
/* On each kind of device that there is here; NULL: the processor. Every descriptor has to be back behind it. */
void on_each_device(void (*test)(const char *spec));

/*
 * Somebody has all the chunks that an engine with little memory has left, from 64 KiB down to |least| bytes. Where that
 * is 64 KiB there may be smaller ones between them.
 */
struct hoard {
    struct milgi_chunk *chunk[64];
    unsigned n;
};
void hoard(struct hoard *h, struct milgi_engine *engine, size_t least);
void hoard_give_back(struct hoard *h);
