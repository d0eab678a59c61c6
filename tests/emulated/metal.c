/* SPDX-License-Identifier: Apache-2.0 */
#include "metal.h"

void *memcpy(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(n)
                     :
                     : "memory");
    return (uint8_t *)to - n;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if (t <= f || t >= f + n)
        return memcpy(to, from, n);
    while (n-- > 0)
        ((volatile uint8_t *)t)[n] = f[n];
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    void *at = to;

    __asm__ volatile("rep stosb"
                     : "+D"(at), "+c"(n)
                     : "a"(byte)
                     : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (((const volatile uint8_t *)a)[i] != ((const volatile uint8_t *)b)[i])
            return 1;
    }
    return 0;
}

void milgi__wipe(void *p, size_t len)
{
    memset(p, 0, len);
}

static void put(uint16_t port, char byte)
{
    __asm__ volatile("outb %b0, %w1"
                     :
                     : "a"(byte), "Nd"(port));
}

void say(const char *text)
{
    while (*text != '\0')
        put(0xe9, *text++); /* Bochs prints it */
}

void say_number(uint64_t n)
{
    char digits[24];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + n % 10);
    } while ((n /= 10) > 0);
    say(digits + at);
}

void switch_off(void)
{
    for (const char *word = "Shutdown"; *word != '\0'; word++)
        put(0x8900, *word); /* Bochs takes it */
    for (;;)
        __asm__ volatile("hlt");
}
