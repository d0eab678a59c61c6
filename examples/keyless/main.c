/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key that is on another machine: has it sign something, and says how it went.
 *
 *   example_keyless HOST:PORT,... CA.pem CERT.pem KEY.pem CHAIN.pem
 *
 * CA vouches for the key servers; CERT and KEY are what they know this client by; CHAIN belongs to the key that they
 * have.
 */
#include <milgi_keyless.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

static char *read_file(const char *name)
{
    static char text[65536];
    FILE *file = fopen(name, "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = 0;
    return text;
}

static struct milgi_config *client(const char *ca, const char *cert, const char *key)
{
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    must(milgi_trust_new_file(ca, &trust), ca);
    must(milgi_credential_new_file(cert, key, &credential), cert);
    must(milgi_config_set_trust(config, trust), "trust");
    must(milgi_config_add_credential(config, credential), "credential");
    must(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_3), "versions"); /* gokeyless speaks TLS 1.2 */
    must(milgi_config_freeze(config, NULL), "config");
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
    return config;
}

static void ask(const char *servers, struct milgi_config *config, const char *chain)
{
    struct milgi_keyless_options options;
    struct milgi_keyless_stats stats;
    struct milgi_credential *credential;
    struct milgi_device *device;
    const char *why;

    milgi_keyless_options_init(&options);
    options.servers = servers; /* "keys1.example.org:2407,keys2.example.org:2407" */
    options.config = config;   /* a client's: whom to trust, and the certificate that the servers want */
    must(milgi_keyless_new(&options, &device, &why), why);
    must(milgi_credential_new_uri(chain, strlen(chain), "keyless:", &credential), "credential");
    must(milgi_device_try_key(device, credential, NULL), "try key"); /* before there are connections; blocks */

    milgi_keyless_stats(device, &stats);
    printf("%s signs: %llu request(s), %u server(s) up\n", milgi_credential_subject(credential),
        (unsigned long long)stats.requests, stats.up);
    milgi_device_free(device);
    milgi_credential_unref(credential);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "example_keyless HOST:PORT,... CA.pem CERT.pem KEY.pem CHAIN.pem\n");
        return 2;
    }
    struct milgi_config *config = client(argv[2], argv[3], argv[4]);
    ask(argv[1], config, read_file(argv[5]));
    milgi_config_unref(config);
    return 0;
}
