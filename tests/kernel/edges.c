/* SPDX-License-Identifier: Apache-2.0 */
/* Every buffer of a record ends where a page begins that cannot be touched, or begins where one ends. */
#include "checks.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

#include "reference.h"

/* Some pages between two that cannot be touched. */
struct fenced {
    uint8_t *begin;
    size_t len;
};

static struct fenced fence(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inside = (len + page - 1) / page * page;
    uint8_t *all = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(all != MAP_FAILED);
    assert_int_equal(mprotect(all + page, inside, PROT_READ | PROT_WRITE), 0);
    return (struct fenced){ all + page, inside };
}

static void take_down(const struct fenced *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    munmap(f->begin - page, f->len + 2 * page);
}

enum {
    NONCE,
    AAD,
    TAG,
    SRC,
    DST,
    FENCES
};

struct field {
    struct fenced f[FENCES];
    bool at_end;
};

/* |len| bytes at one of the ends. */
static uint8_t *at(const struct field *field, unsigned which, size_t len)
{
    const struct fenced *f = &field->f[which];

    return field->at_end ? f->begin + f->len - len : f->begin;
}

#define ROOM 17000

static uint8_t plain[ROOM], sealed[ROOM];

static void one(const struct milgi__gcm_kernel *kernel, const struct field *field, size_t len, size_t aad_len,
    size_t key_len, bool in_place)
{
    uint8_t raw[32];
    struct milgi__gcm_key key;
    size_t tail = len > 0 && random_below(2) ? 1 : 0;
    uint8_t *nonce = at(field, NONCE, 12);
    uint8_t *aad = at(field, AAD, aad_len);
    struct milgi__piece src = { at(field, SRC, len - tail + (in_place ? tail + 16 : 0)), len - tail };
    int8_t verdict;

    random_fill(raw, sizeof raw);
    random_fill(nonce, 12);
    random_fill(aad, aad_len);
    random_fill(plain, len);
    if (tail)
        plain[len - 1] = 23;
    reference_seal(raw, key_len, nonce, aad, aad_len, plain, len, sealed);
    milgi__gcm_key_init(&key, raw, key_len);
    memcpy(src.data, plain, len - tail);
    struct milgi__gcm_record r = {
        .key = &key, .nonce = nonce, .aad = aad, .aad_len = aad_len, .src = &src, .src_n = 1
    };
    r.dst = in_place ? src.data : at(field, DST, len + 16);
    r.type = tail ? 23 : 0;
    kernel->seal(&r, 1);
    assert_memory_equal(r.dst, sealed, len + 16);

    uint8_t *tag = at(field, TAG, 16);
    memcpy(tag, sealed + len, 16);
    src = (struct milgi__piece){ at(field, SRC, len), len };
    memcpy(src.data, sealed, len);
    r.type = 0;
    r.dst = in_place ? NULL : at(field, DST, len);
    r.tag = tag;
    assert_int_equal(milgi__gcm_open(kernel, &r, 1, &verdict), 0);
    assert_memory_equal(in_place ? src.data : r.dst, plain, len);
}

void stays_inside_of_its_buffers(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);
    struct field field = { .at_end = false };

    for (unsigned i = 0; i < FENCES; i++)
        field.f[i] = fence(i < SRC ? 64 : ROOM);
    for (unsigned end = 0; end < 2; end++) {
        field.at_end = end == 1;
        for (size_t len = 0; len <= 1100; len++) {
            one(kernel, &field, len, len % 34, 16, false);
            one(kernel, &field, len, len % 17, 32, true);
        }
        for (size_t len = 16300; len <= 16640; len++)
            one(kernel, &field, len, 5, 16, len % 2 == 0);
    }
    for (unsigned i = 0; i < FENCES; i++)
        take_down(&field.f[i]);
}
