/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a key server: of each a certificate says which it is, and a file or a URI where it is. */
#include "keyserver.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/keys.h"
#include "common/say.h"

struct key *keys_find(const struct keys *keys, const uint8_t ski[MILGI__KEYLESS_SKI])
{
    size_t low = 0, high = keys->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(ski, keys->items[middle]->ski, MILGI__KEYLESS_SKI);
        if (order == 0)
            return keys->items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void key_unref(struct key *key)
{
    if (--key->refs)
        return;
    struct signer *signer = key->signer;
    if (signer && signer->device->ops->key_free)
        signer->device->ops->key_free(signer->qp, &key->key, key->loaded[0]);
    milgi_credential_unref(key->credential);
    free(key);
}

void keys_free(struct keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        key_unref(keys->items[i]);
    free(keys->items);
    *keys = (struct keys){ 0 };
}

size_t keys_elsewhere(const struct keys *keys)
{
    size_t n = 0;
    for (size_t i = 0; i < keys->n; i++)
        n += milgi_credential_key_uri(keys->items[i]->credential) != NULL;
    return n;
}

bool keys_try(const struct keys *keys, struct milgi_device *tokens)
{
    for (size_t i = 0; i < keys->n; i++) {
        const struct milgi_credential *credential = keys->items[i]->credential;
        if (milgi_credential_key_uri(credential) && !app_key_try(tokens, credential))
            return false;
    }
    return true;
}

/* Of its chain, its key, and the passphrase of that. */
static int load(const char *key, char *const text[3], const size_t len[3], struct milgi_credential **credential,
    struct milgi_problem *problem)
{
    if (milgi_credential_is_uri(key))
        return milgi_credential_load_uri(text[0], len[0], key, credential, problem);
    return milgi_credential_load_pem_encrypted(
        text[0], len[0], text[1], len[1], text[2], len[2], credential, problem);
}

/* NULL: it has complained. */
static struct milgi_credential *read_credential(
    const char *cert, const char *key, char *passphrase, size_t passphrase_len, uint32_t patience_ms)
{
    struct milgi_credential *credential = NULL;
    struct milgi_problem problem = { 0 };
    const char *file[2] = { cert, key };
    char *text[3] = { NULL, NULL, passphrase };
    size_t len[3] = { 0, 0, passphrase_len };
    const char *fault = NULL;
    unsigned files = milgi_credential_is_uri(key) ? 1 : 2, which = 0;
    for (; !fault && which < files; which++)
        fault = app_file_read(file[which], patience_ms, &text[which], &len[which]);
    int rv = fault ? 0 : load(key, text, len, &credential, &problem);
    if (fault)
        app_complain("%s: %s", file[which - 1], fault);
    else if (rv && problem.file == MILGI_FILE_KEY)
        app_key_complain_of(key, &problem);
    else if (rv)
        app_complain("%s: %s", cert, *problem.text ? problem.text : milgi_error_text(rv));
    app_file_free(text[0], len[0]);
    app_file_free(text[1], len[1]);
    return credential;
}

/* Takes the credential. */
static struct key *key_new(struct milgi_credential *credential)
{
    struct key *key = calloc(1, sizeof *key);
    if (!key || milgi_credential_key_id(credential, key->ski)) {
        app_complain("%s", key ? "this milgi's crypto library has no SHA-1, by which keys are named" : "out of memory");
        milgi_credential_unref(credential);
        free(key);
        return NULL;
    }
    key->credential = credential;
    key->refs = 1;
    key->pss = !strncmp(milgi_credential_key_type(credential), "RSA-PSS", 7);
    return key;
}

static int compare(const void *a, const void *b)
{
    return memcmp((*(struct key *const *)a)->ski, (*(struct key *const *)b)->ski, MILGI__KEYLESS_SKI);
}

bool keys_load(const struct app_options *options, uint32_t patience_ms, struct keys *keys)
{
    const struct app_list *certs = &options->sign_certs, *from = &options->sign_keys;
    *keys = (struct keys){ .items = calloc(certs->n ? certs->n : 1, sizeof(struct key *)) };
    char *word = NULL;
    size_t len = 0;
    bool right = keys->items != NULL;
    if (!right)
        app_complain("out of memory");
    right = right && app_file_passphrase(options->passphrase_file, patience_ms, &word, &len);
    for (size_t i = 0; right && i < certs->n; i++) {
        struct milgi_credential *credential = read_credential(certs->items[i], from->items[i], word, len, patience_ms);
        struct key *key = credential ? key_new(credential) : NULL;
        right = key != NULL;
        if (key)
            keys->items[keys->n++] = key;
    }
    app_file_free(word, len);
    if (right) {
        qsort(keys->items, keys->n, sizeof(struct key *), compare);
        return true;
    }
    keys_free(keys);
    return false;
}
