/* SPDX-License-Identifier: Apache-2.0 */
/* The small things that every layer uses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <milgi/error.h>

#include "base/port.h"

#define MILGI__COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MILGI__MIN(a, b) ((a) < (b) ? (a) : (b))
#define MILGI__MAX(a, b) ((a) > (b) ? (a) : (b))

/* Of a function that is called now and then, by one that is called often and stays short by it. */
#define MILGI__APART __attribute__((noinline))

/* Asks for |len| bytes that will be wanted soon: they come together, not one line after the other. |p| may be NULL. */
static inline void milgi__prefetch(const void *p, size_t len)
{
    MILGI__UNROLL
    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + at), 1);
}

/* Overwrites secrets; never optimised away. */
void milgi__wipe(void *p, size_t len);
/*
 * memset() to zero, for sizes that are known where it is called: compilers turn those into instructions that take long
 * to begin.
 */
void milgi__zero(void *p, size_t len);
/* 1 if equal; takes the same time for all contents. */
int milgi__ct_equal(const void *a, const void *b, size_t len);

/*
 * Memory. All of the library's heap memory comes through here, so that tests can make any allocation fail: when
 * milgi__mem_fail is set, it is asked before each allocation and the allocation fails if it returns true. That counts
 * what is kept for reuse, too; milgi__mem_made, when it is set, is told of calls of malloc() alone.
 */
extern bool (*milgi__mem_fail)(void);
extern void (*milgi__mem_made)(void);
bool milgi__alloc_refused(void); /* of an allocation that is none of those below: is it to fail? */
void *milgi__alloc(size_t size); /* zeroed; NULL: none */
void *milgi__alloc_raw(size_t size);
void milgi__free(void *p);
void milgi__free_wiped(void *p, size_t size);

/* An intrusive doubly linked list: a head is a node that points to itself. */
struct milgi__link {
    struct milgi__link *next, *prev;
};

static inline void milgi__list_init(struct milgi__link *head)
{
    head->next = head->prev = head;
}

static inline bool milgi__list_empty(const struct milgi__link *head)
{
    return head->next == head;
}

static inline void milgi__list_append(struct milgi__link *head, struct milgi__link *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

/* Leaves |node| unlinked (an empty list of its own), so that removing twice is harmless. */
static inline void milgi__list_remove(struct milgi__link *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

/* All of |from| to the end of |to|. */
static inline void milgi__list_move(struct milgi__link *to, struct milgi__link *from)
{
    if (milgi__list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    milgi__list_init(from);
}

#define MILGI__ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void milgi__put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void milgi__put32(uint8_t *p, uint32_t v)
{
    milgi__put16(p, v >> 16);
    milgi__put16(p + 2, v);
}

static inline void milgi__put64(uint8_t *p, uint64_t v)
{
    milgi__put32(p, (uint32_t)(v >> 32));
    milgi__put32(p + 4, (uint32_t)v);
}

static inline unsigned milgi__get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline unsigned milgi__get24(const uint8_t *p)
{
    return (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
}
