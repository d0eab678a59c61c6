/* SPDX-License-Identifier: Apache-2.0 */
/* Trust: a list of anchors. */
#include "cert/cert.h"

#include "base/port.h"
#include "crypto/cert_list.h"

static void destroy(struct milgi_trust *trust)
{
    milgi__free(trust->anchors);
    milgi__free(trust);
}

/* Takes |anchors|. */
static int trust_new(uint8_t *anchors, size_t len, struct milgi_trust **trust)
{
    *trust = milgi__alloc(sizeof(**trust));
    if (*trust == NULL) {
        milgi__free(anchors);
        return MILGI_ENOMEM;
    }
    atomic_init(&(*trust)->refs, 1);
    (*trust)->destroy = destroy;
    (*trust)->serial = milgi__key_serial();
    (*trust)->anchors = anchors;
    (*trust)->anchors_len = len;
    return 0;
}

int milgi_trust_new_system(struct milgi_trust **trust)
{
    uint8_t *anchors;
    size_t len;

    *trust = NULL;
    int error = milgi__system_anchors(&anchors, &len);
    return error != 0 ? error : trust_new(anchors, len, trust);
}

int milgi_trust_new_pem(const void *pem, size_t pem_len, struct milgi_trust **trust)
{
    struct milgi__cert_list list = { .data = NULL };

    *trust = NULL;
    int error = milgi__cert_list_add_pem(&list, pem, pem_len);
    if (error == 0)
        return trust_new(list.data, list.len, trust);
    milgi__cert_list_clear(&list);
    return error;
}

int milgi_trust_new_file(const char *file, struct milgi_trust **trust)
{
    size_t len;
    uint8_t *pem = milgi__port_read_file(file, &len);

    *trust = NULL;
    if (pem == NULL)
        return MILGI_EFILE;
    int error = milgi_trust_new_pem(pem, len, trust);
    milgi__free_wiped(pem, len);
    return error;
}

struct milgi_trust *milgi_trust_ref(struct milgi_trust *trust)
{
    atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    return trust;
}

void milgi_trust_unref(struct milgi_trust *trust)
{
    if (trust)
        milgi__trust_unref(trust);
}
