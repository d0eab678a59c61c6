/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define SO_PIN "87654321"

static struct {
    char base[64], dir[80], conf[80], socket[80], pin[80];
    pid_t server;
} the;

static void die(const char *what)
{
    fprintf(stderr, "token: %s: %s\n", what, strerror(errno));
    abort();
}

const char *token_module(void)
{
    static const char *const paths[] = { "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so" };
    const char *said = getenv("MILGI_SOFTHSM_MODULE");

    if (said)
        return said;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    }
    return NULL;
}

static bool is_command(const char *name)
{
    char path[256], *list = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin");
    bool found = false;
    char *rest = list;

    for (char *dir = strtok_r(list, ":", &rest); dir && !found; dir = strtok_r(NULL, ":", &rest)) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        found = access(path, X_OK) == 0;
    }
    free(list);
    return found;
}

bool token_possible(void)
{
    return token_module() && is_command("softhsm2-util") && is_command("p11-kit");
}

/* --- other programs ----------------------------------------------------------------------------------------------- */

static pid_t start(const char *const *args)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    (void)setpgid(0, 0); /* so that it ends together with those that it starts */
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

static void run(const char *const *args)
{
    int status;
    pid_t pid = start(args);

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            die("waitpid");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "token: %s failed\n", args[0]);
        abort();
    }
}

/* --- the directory ------------------------------------------------------------------------------------------------ */

static void make_dir(void)
{
    if (the.base[0] != '\0')
        return;
    snprintf(the.base, sizeof the.base, "/tmp/milgi-token-XXXXXX");
    if (!mkdtemp(the.base))
        die("mkdtemp");
    snprintf(the.dir, sizeof the.dir, "%s/tokens", the.base);
    snprintf(the.conf, sizeof the.conf, "%s/softhsm2.conf", the.base);
    snprintf(the.socket, sizeof the.socket, "%s/socket", the.base);
    if (mkdir(the.dir, 0700) != 0)
        die("mkdir");
    FILE *f = fopen(the.conf, "w");
    if (!f)
        die(the.conf);
    fprintf(f, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", the.dir);
    if (fclose(f) != 0)
        die(the.conf);
    setenv("SOFTHSM2_CONF", the.conf, 1);
    snprintf(the.pin, sizeof the.pin, "%s/pin", the.base);
    free(identity_write(the.base, "pin", TOKEN_PIN "\n"));
}

const char *token_pin_file(void)
{
    make_dir();
    return the.pin;
}

const char *token_dir(void)
{
    make_dir();
    return the.dir;
}

void token_new(const char *label)
{
    const char *const args[] = { "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", TOKEN_PIN,
        "--so-pin", SO_PIN, NULL };

    make_dir();
    run(args);
}

/* A token knows no RSA keys that are for PSS only. */
static char *plain_key(const struct identity *identity)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text, *copy;

    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!bio || !ctx || EVP_PKEY_todata(identity->private_key, EVP_PKEY_KEYPAIR, &params) != 1 ||
        EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        die("an RSA key cannot be converted");
    long len = BIO_get_mem_data(bio, &text);
    copy = malloc((size_t)len + 1);
    if (!copy)
        die("no memory");
    memcpy(copy, text, (size_t)len); /* which has no end of its own */
    copy[len] = '\0';
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return copy;
}

void token_put(const char *label, const struct identity *identity, const char *object)
{
    bool pss = EVP_PKEY_is_a(identity->private_key, "RSA-PSS") == 1;
    char *pem = pss ? plain_key(identity) : strdup(identity->key_pem);
    char *file = identity_write(the.base, object, pem);
    /* The id is the name too, in hexadecimal. */
    char id[64] = "";
    for (size_t i = 0; object[i] != '\0' && i < 31; i++)
        snprintf(id + 2 * i, 3, "%02x", (unsigned char)object[i]);
    const char *const args[] = { "softhsm2-util", "--import", file, "--token", label, "--pin", TOKEN_PIN, "--label",
        object, "--id", id, NULL };

    run(args);
    unlink(file);
    free(file);
    free(pem);
}

/* --- the server --------------------------------------------------------------------------------------------------- */

static void end_server(void)
{
    if (the.server == 0)
        return;
    if (kill(-the.server, SIGKILL) != 0)
        kill(the.server, SIGKILL);
    while (waitpid(the.server, NULL, 0) < 0 && errno == EINTR)
        ;
    the.server = 0;
    unlink(the.socket);
}

/* The socket is there before somebody listens. */
static bool answers(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", the.socket);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

void token_serve(const char *label)
{
    static const struct timespec nap = { .tv_nsec = 10000000 };
    char uri[64], address[96];
    const char *const args[] = { "p11-kit", "server", "-f", "-n", the.socket, "--provider", token_module(), uri, NULL };

    end_server();
    if (!label)
        return;
    snprintf(uri, sizeof uri, "pkcs11:token=%s", label);
    snprintf(address, sizeof address, "unix:path=%s", the.socket);
    setenv("P11_KIT_SERVER_ADDRESS", address, 1);
    the.server = start(args);
    for (unsigned naps = 0; !answers(); naps++) {
        if (naps == 2000)
            die("p11-kit server does not start");
        nanosleep(&nap, NULL);
    }
}

void token_done(void)
{
    const char *const args[] = { "rm", "-rf", the.base, NULL };

    end_server();
    if (the.base[0] != '\0')
        run(args);
    the.base[0] = '\0';
}

/* --- ThreadSanitizer ---------------------------------------------------------------------------------------------- */

#define SEEN __attribute__((visibility("default"))) /* by the sanitizer's library */

/* SoftHSM's gmtime() in C_GetTokenInfo is not made for threads; it is SoftHSM's own matter. */
SEEN const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libsofthsm2.so\n";
}
