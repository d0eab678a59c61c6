/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, stacks, randomness, files, and the calls that have nothing to do. */
#include "shim.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void *CRYPTO_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n ? malloc(n) : NULL;
}

void *CRYPTO_zalloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n ? calloc(1, n) : NULL;
}

char *CRYPTO_strdup(const char *text, const char *file, int line)
{
    (void)file;
    (void)line;
    return text ? strdup(text) : NULL;
}

void CRYPTO_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

void OPENSSL_cleanse(void *p, size_t n)
{
    explicit_bzero(p, n);
}

int CRYPTO_memcmp(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differs = 0;
    for (size_t i = 0; i < n; i++)
        differs = (uint8_t)(differs | (x[i] ^ y[i]));
    return differs;
}

unsigned long OpenSSL_version_num(void)
{
    return OPENSSL_VERSION_NUMBER;
}

const char *OpenSSL_version(int what)
{
    return what == OPENSSL_VERSION ? OPENSSL_VERSION_TEXT : "not available";
}

OPENSSL_INIT_SETTINGS *OPENSSL_INIT_new(void)
{
    return calloc(1, 1);
}

void OPENSSL_INIT_free(OPENSSL_INIT_SETTINGS *settings)
{
    free(settings);
}

int OPENSSL_init_crypto(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings)
{
    (void)opts;
    (void)settings;
    return 1;
}

int OPENSSL_init_ssl(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings)
{
    return OPENSSL_init_crypto(opts, settings);
}

void OPENSSL_cleanup(void)
{
}

/* --- stacks ------------------------------------------------------------------------------------------------------ */

struct stack_st {
    void **items;
    int n, room;
};

OPENSSL_STACK *OPENSSL_sk_new_null(void)
{
    return calloc(1, sizeof(OPENSSL_STACK));
}

void OPENSSL_sk_free(OPENSSL_STACK *stack)
{
    if (stack)
        free(stack->items);
    free(stack);
}

void OPENSSL_sk_pop_free(OPENSSL_STACK *stack, void (*each)(void *item))
{
    for (int i = 0; stack && i < stack->n; i++)
        if (stack->items[i])
            each(stack->items[i]);
    OPENSSL_sk_free(stack);
}

int OPENSSL_sk_num(const OPENSSL_STACK *stack)
{
    return stack ? stack->n : -1;
}

void *OPENSSL_sk_value(const OPENSSL_STACK *stack, int i)
{
    return stack && i >= 0 && i < stack->n ? stack->items[i] : NULL;
}

int OPENSSL_sk_push(OPENSSL_STACK *stack, void *item)
{
    if (!stack)
        return 0;
    if (stack->n == stack->room) {
        int room = stack->room ? 2 * stack->room : 4;
        void **items = realloc(stack->items, (size_t)room * sizeof *items);
        if (!items)
            return 0;
        stack->items = items;
        stack->room = room;
    }
    stack->items[stack->n++] = item;
    return stack->n;
}

/* --- randomness -------------------------------------------------------------------------------------------------- */

int RAND_bytes(unsigned char *out, int n)
{
    for (int at = 0; at < n;) {
        ssize_t got = getrandom(out + at, (size_t)(n - at), 0);
        if (got < 0 && errno != EINTR) {
            SYS_ERR(errno, "getrandom");
            return 0;
        }
        at += got > 0 ? (int)got : 0;
    }
    return 1;
}

int RAND_status(void)
{
    return 1;
}

void RAND_seed(const void *data, int n)
{
    (void)data;
    (void)n;
}

void RAND_add(const void *data, int n, double randomness)
{
    (void)data;
    (void)n;
    (void)randomness;
}

const char *RAND_file_name(char *buf, size_t n)
{
    const char *name = secure_getenv("RANDFILE"), *home = secure_getenv("HOME");
    int len = name ? snprintf(buf, n, "%s", name) : home ? snprintf(buf, n, "%s/.rnd", home)
                                                         : -1;
    return len > 0 && (size_t)len < n ? buf : NULL;
}

/* How many bytes there are, of which none is needed. */
int RAND_load_file(const char *file, long max)
{
    struct stat st;
    if (!file || stat(file, &st) != 0) {
        SYS_ERR(errno, file);
        return -1;
    }
    return (int)(max >= 0 && st.st_size > max ? max : st.st_size > 16384 ? 16384
                                                                         : st.st_size);
}

/* Nothing is kept between processes. */
int RAND_write_file(const char *file)
{
    (void)file;
    return -1;
}

/* --- bytes that grow, files -------------------------------------------------------------------------------------- */

bool milgi__ssl_append(struct text *text, const void *data, size_t len)
{
    size_t held = text->len, room = text->room;
    char *grown = text->data;
    if (held + len >= room) {
        room = 2 * (held + len) + 1;
        grown = malloc(room);
        if (!grown) {
            SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
            return false;
        }
        if (held)
            memcpy(grown, text->data, held);
    }
    if (len)
        memcpy(grown + held, data, len);
    grown[held + len] = 0;
    if (grown != text->data)
        milgi__ssl_text_free(text); /* it may hold a key */
    *text = (struct text){ grown, held + len, room };
    return true;
}

void milgi__ssl_text_free(struct text *text)
{
    if (text->data)
        explicit_bzero(text->data, text->len);
    free(text->data);
    *text = (struct text){ 0 };
}

static int read_all(FILE *file, const char *name, struct text *text)
{
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || S_ISDIR(st.st_mode)) {
        SYS_ERR(EISDIR, name);
        return 0;
    }
    size_t room = st.st_size > 0 && st.st_size < (off_t)FILE_LIMIT ? (size_t)st.st_size + 1 : 65536, n;
    char *block = malloc(room);
    int ok = block != NULL;
    while (ok && (n = fread(block, 1, room, file)) > 0) {
        ok = text->len + n <= FILE_LIMIT && milgi__ssl_append(text, block, n);
        explicit_bzero(block, n);
    }
    free(block);
    if (!ok || ferror(file)) {
        SYS_ERR(!ok ? EFBIG : EIO, name);
        milgi__ssl_text_free(text);
        return 0;
    }
    return 1;
}

int milgi__ssl_read_file(const char *name, struct text *text)
{
    *text = (struct text){ 0 };
    FILE *file = name ? fopen(name, "re") : NULL;
    if (!file) {
        SYS_ERR(name ? errno : EINVAL, name);
        return 0;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no copy of a key stays in a buffer */
    int rv = read_all(file, name, text);
    fclose(file);
    return rv;
}
