/* SPDX-License-Identifier: Apache-2.0 */
/* BIOs: text in memory, a file, or a socket's number; a filter may stand before them (base64.c). */
#include "shim.h"

#include <errno.h>
#include <unistd.h>

struct bio_method_st {
    enum bio_kind kind;
};

const BIO_METHOD *BIO_s_mem(void)
{
    static const BIO_METHOD mem = { BIO_KIND_MEM };
    return &mem;
}

const BIO_METHOD *BIO_f_base64(void)
{
    static const BIO_METHOD base64 = { BIO_KIND_BASE64 };
    return &base64;
}

static BIO *bio_new(enum bio_kind kind)
{
    BIO *bio = calloc(1, sizeof *bio);
    if (!bio) {
        LIB_ERR(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    bio->refs = 1;
    bio->kind = kind;
    bio->fd = -1;
    return bio;
}

BIO *BIO_new(const BIO_METHOD *method)
{
    return bio_new(method->kind);
}

BIO *BIO_new_mem_buf(const void *data, int n)
{
    BIO *bio = data ? bio_new(BIO_KIND_MEM) : NULL;
    if (bio && !milgi__ssl_append(&bio->text, data, n < 0 ? strlen(data) : (size_t)n)) {
        BIO_free(bio);
        return NULL;
    }
    if (bio)
        bio->read_only = true;
    return bio;
}

BIO *BIO_new_fp(FILE *file, int close_flag)
{
    BIO *bio = bio_new(BIO_KIND_FILE);
    if (bio) {
        bio->file = file;
        bio->close_flag = close_flag & BIO_CLOSE;
    }
    return bio;
}

BIO *BIO_new_file(const char *name, const char *mode)
{
    FILE *file = fopen(name, mode);
    if (!file) {
        SYS_ERR(errno, name);
        return NULL;
    }
    BIO *bio = BIO_new_fp(file, BIO_CLOSE);
    if (!bio)
        fclose(file);
    return bio;
}

BIO *BIO_new_socket(int fd, int close_flag)
{
    BIO *bio = bio_new(BIO_KIND_SOCKET);
    if (bio) {
        bio->fd = fd;
        bio->close_flag = close_flag;
    }
    return bio;
}

int BIO_up_ref(BIO *bio)
{
    bio->refs++;
    return 1;
}

int BIO_free(BIO *bio)
{
    if (!bio)
        return 0;
    if (--bio->refs != 0)
        return 1;
    if (bio->kind == BIO_KIND_FILE && bio->close_flag)
        fclose(bio->file);
    if (bio->kind == BIO_KIND_SOCKET && bio->close_flag)
        close(bio->fd);
    milgi__ssl_text_free(&bio->text);
    free(bio);
    return 1;
}

void BIO_free_all(BIO *bio)
{
    while (bio) {
        BIO *next = bio->next;
        bool shared = bio->refs > 1;
        BIO_free(bio);
        bio = shared ? NULL : next;
    }
}

BIO *BIO_push(BIO *bio, BIO *next)
{
    BIO *last = bio;
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = next;
    return bio ? bio : next;
}

BIO *BIO_pop(BIO *bio)
{
    BIO *next = bio ? bio->next : NULL;
    if (next)
        bio->next = NULL;
    return next;
}

BIO *BIO_next(BIO *bio)
{
    return bio ? bio->next : NULL;
}

/* Where a question goes that a filter has no answer to. */
static BIO *source(BIO *bio)
{
    while (bio->kind == BIO_KIND_BASE64 && bio->next)
        bio = bio->next;
    return bio;
}

void BIO_set_flags(BIO *bio, int flags)
{
    bio->flags |= flags;
}

void BIO_clear_flags(BIO *bio, int flags)
{
    bio->flags &= ~flags;
}

int BIO_test_flags(const BIO *bio, int flags)
{
    return bio->flags & flags;
}

static int take(BIO *bio, void *data, size_t n)
{
    memcpy(data, bio->text.data + bio->first, n);
    bio->first += n;
    if (bio->first == bio->text.len && !bio->read_only) {
        milgi__ssl_text_free(&bio->text);
        bio->first = 0;
    }
    return (int)n;
}

int BIO_read(BIO *bio, void *data, int n)
{
    size_t held = bio->text.len - bio->first;
    if (n <= 0)
        return 0;
    switch (bio->kind) {
    case BIO_KIND_FILE: return (int)fread(data, 1, (size_t)n, bio->file);
    case BIO_KIND_SOCKET: return (int)read(bio->fd, data, (size_t)n);
    case BIO_KIND_BASE64: return milgi__ssl_base64_read(bio, data, n);
    case BIO_KIND_MEM: break;
    }
    if (!held)
        return bio->read_only ? 0 : -1;
    return take(bio, data, held < (size_t)n ? held : (size_t)n);
}

int BIO_gets(BIO *bio, char *line, int n)
{
    if (n <= 0)
        return 0;
    line[0] = 0;
    if (bio->kind == BIO_KIND_FILE)
        return fgets(line, n, bio->file) ? (int)strlen(line) : 0;
    size_t held = bio->text.len - bio->first;
    if (bio->kind != BIO_KIND_MEM || !held)
        return 0;
    const char *at = bio->text.data + bio->first, *end = memchr(at, '\n', held);
    size_t len = end ? (size_t)(end - at) + 1 : held;
    len = len < (size_t)n - 1 ? len : (size_t)n - 1;
    line[len] = 0;
    return take(bio, line, len);
}

int BIO_write(BIO *bio, const void *data, int n)
{
    if (n <= 0)
        return 0;
    int rv = -1;
    switch (bio->kind) {
    case BIO_KIND_FILE: rv = (int)fwrite(data, 1, (size_t)n, bio->file); break;
    case BIO_KIND_SOCKET: rv = (int)write(bio->fd, data, (size_t)n); break;
    case BIO_KIND_BASE64: rv = milgi__ssl_base64_write(bio, data, n); break;
    case BIO_KIND_MEM: rv = !bio->read_only && milgi__ssl_append(&bio->text, data, (size_t)n) ? n : -1; break;
    }
    bio->written += rv > 0 ? (uint64_t)rv : 0;
    return rv;
}

int BIO_puts(BIO *bio, const char *text)
{
    return BIO_write(bio, text, (int)strlen(text));
}

int BIO_vprintf(BIO *bio, const char *format, va_list args)
{
    char *text;
    int n = vasprintf(&text, format, args);
    if (n < 0)
        return -1;
    int rv = n == 0 ? 0 : BIO_write(bio, text, n);
    free(text);
    return rv;
}

int BIO_printf(BIO *bio, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rv = BIO_vprintf(bio, format, args);
    va_end(args);
    return rv;
}

int BIO_flush(BIO *bio)
{
    if (bio->kind == BIO_KIND_BASE64)
        return milgi__ssl_base64_flush(bio);
    return bio->kind == BIO_KIND_FILE ? fflush(bio->file) == 0 : 1;
}

long BIO_get_mem_ptr(BIO *bio, BUF_MEM **mem)
{
    bio = source(bio);
    if (bio->kind != BIO_KIND_MEM)
        return 0;
    bio->mem.length = (size_t)BIO_get_mem_data(bio, &bio->mem.data);
    bio->mem.max = bio->mem.length;
    *mem = &bio->mem;
    return 1;
}

long BIO_get_mem_data(BIO *bio, char **data)
{
    bio = source(bio);
    if (bio->kind != BIO_KIND_MEM)
        return 0;
    *data = bio->text.data ? bio->text.data + bio->first : NULL;
    return (long)(bio->text.len - bio->first);
}

int BIO_get_fd(BIO *bio, int *fd)
{
    if (bio->kind != BIO_KIND_SOCKET)
        return -1;
    if (fd)
        *fd = bio->fd;
    return bio->fd;
}

uint64_t BIO_number_written(BIO *bio)
{
    return bio->written;
}

size_t BIO_ctrl_pending(BIO *bio)
{
    bio = source(bio);
    return bio->kind == BIO_KIND_MEM ? bio->text.len - bio->first : 0;
}
