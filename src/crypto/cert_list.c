/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/cert_list.h"

#include "crypto/x509.h"

bool milgi__cert_walk_next(struct milgi__cert_walk *walk)
{
    if (walk->left == 0 || walk->bad)
        return false;
    size_t len = walk->left >= 3 ? milgi__get24(walk->p) : 0;
    if (len == 0 || len > walk->left - 3) {
        walk->bad = true;
        return false;
    }
    walk->der = walk->p + 3;
    walk->der_len = len;
    walk->p += 3 + len;
    walk->left -= 3 + len;
    return true;
}

bool milgi__cert_list_has(const struct milgi__cert_list *list, const uint8_t *der, size_t len)
{
    struct milgi__cert_walk walk = { .p = list->data, .left = list->len };

    while (milgi__cert_walk_next(&walk)) {
        if (walk.der_len == len && memcmp(walk.der, der, len) == 0)
            return true;
    }
    return false;
}

static bool grow(struct milgi__cert_list *list, size_t need)
{
    if (list->cap - list->len >= need)
        return true;
    size_t cap = list->cap * 2 + need;
    uint8_t *data = milgi__alloc_raw(cap);
    if (!data)
        return false;
    if (list->len > 0)
        memcpy(data, list->data, list->len);
    milgi__free(list->data);
    list->data = data;
    list->cap = cap;
    return true;
}

int milgi__cert_list_add(struct milgi__cert_list *list, const uint8_t *der, size_t len)
{
    if (len == 0 || len > 0xffffff)
        return MILGI_EPARSE;
    if (!grow(list, len + 3))
        return MILGI_ENOMEM;
    uint8_t *p = list->data + list->len;
    p[0] = (uint8_t)(len >> 16);
    milgi__put16(p + 1, (unsigned)(len & 0xffff));
    memcpy(p + 3, der, len);
    list->len += len + 3;
    list->n++;
    return 0;
}

static int add(void *arg, const uint8_t *der, size_t len)
{
    return milgi__cert_list_add(arg, der, len);
}

int milgi__cert_list_add_pem(
    struct milgi__cert_list *list, const void *pem, size_t pem_len, struct milgi__pem_fault *fault)
{
    return milgi__pem_certificates(pem, pem_len, add, list, fault);
}

int milgi__cert_list_add_crls(
    struct milgi__cert_list *list, const void *pem, size_t pem_len, struct milgi__pem_fault *fault)
{
    return milgi__pem_crls(pem, pem_len, add, list, fault);
}

void milgi__cert_list_clear(struct milgi__cert_list *list)
{
    milgi__free(list->data);
    *list = (struct milgi__cert_list){ .data = NULL };
}
