/* SPDX-License-Identifier: Apache-2.0 */
/* The anchors that the system has, from where libcrypto looks for them. */
#include <stdlib.h>

#include <openssl/x509.h>

#include "base/port.h"
#include "crypto/cert_list.h"
#include "crypto/libcrypto/libcrypto.h"

/* Directories hold certificates under several names. */
static int add_new(void *arg, const uint8_t *der, size_t len)
{
    return milgi__cert_list_has(arg, der, len) ? 0 : milgi__cert_list_add(arg, der, len);
}

/* What cannot be read, or is malformed, is passed over, as libcrypto does it with its defaults. */
static int add_file(struct milgi__cert_list *list, const char *path)
{
    size_t len;
    uint8_t *pem = milgi__port_read_file(path, &len);

    if (!pem)
        return 0;
    int error = milgi__pem_good_certificates(pem, len, add_new, list);
    milgi__free_wiped(pem, len);
    return error;
}

/* "4f06f81d.0": what libcrypto looks for in a directory of anchors. */
static bool is_hash_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] != '\0' &&
        strspn(name + 9, "0123456789") == strlen(name + 9);
}

static int add_named(void *list, const char *path)
{
    return is_hash_name(path) ? add_file(list, path) : 0;
}

int milgi__system_anchors(uint8_t **anchors, size_t *len)
{
    const char *file = secure_getenv(X509_get_default_cert_file_env());
    const char *directory = secure_getenv(X509_get_default_cert_dir_env());
    struct milgi__cert_list list = { .data = NULL };

    int error = add_file(&list, file ? file : X509_get_default_cert_file());
    if (error == 0)
        error = milgi__port_each_file(directory ? directory : X509_get_default_cert_dir(), add_named, &list);
    if (error == 0 && list.len == 0)
        error = MILGI_EFILE;
    if (error != 0)
        milgi__cert_list_clear(&list);
    *anchors = list.data;
    *len = list.len;
    return milgi__fail(error);
}
