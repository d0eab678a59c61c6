/* SPDX-License-Identifier: Apache-2.0 */
/* Engines, one for each thread that begins handshakes, and the device that they share. */
#include "shim.h"

#include <sys/timerfd.h>
#include <unistd.h>

/* Freed when neither an engine has it nor new ones are to get it. */
struct shared_device {
    atomic_uint refs;
    pid_t process;
    struct milgi_device *device;
};

static pthread_key_t key, bell_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static bool asked;                                       /* for the environment */
static char spec[128];
static struct shared_device *current; /* that new engines get; NULL: none */

static void device_unref(struct shared_device *shared)
{
    if (!shared || --shared->refs != 0)
        return;
    milgi_device_free(shared->device); /* in another process nothing happens */
    free(shared);
}

static void gone(void *home)
{
    milgi__ssl_home_unref(home);
}

/* Of a thread, which may be the one that has forked: then it is the parent's, too, and of no use. */
struct bell {
    pid_t process;
    int fd;
};

static void bell_gone(void *bell)
{
    close(((struct bell *)bell)->fd);
    free(bell);
}

static void make_key(void)
{
    if (pthread_key_create(&key, gone) || pthread_key_create(&bell_key, bell_gone))
        abort();
}

/* Under the lock. 1 or 0; a device of another process is not there. */
static int make_device(void)
{
    const char *why = NULL, *wanted = secure_getenv("MILGI_SSL_DEVICE");
    if (!asked && wanted)
        snprintf(spec, sizeof spec, "%s", wanted);
    asked = true;
    if (!spec[0] || (current && current->process == getpid()))
        return 1;
    struct shared_device *made = calloc(1, sizeof *made);
    int rv = made ? milgi_device_new(spec, &made->device, &why) : MILGI_ENOMEM;
    if (rv) {
        milgi__ssl_error_of(rv, why ? why : spec);
        free(made);
        return 0;
    }
    made->refs = 1;
    made->process = getpid();
    device_unref(current);
    current = made;
    return 1;
}

/* What engines have they keep; this thread gets a new one. */
int MILGI_SSL_use_device(const char *wanted)
{
    pthread_mutex_lock(&lock);
    asked = true;
    device_unref(current);
    current = NULL;
    snprintf(spec, sizeof spec, "%s", wanted ? wanted : "");
    int rv = make_device();
    if (!rv)
        spec[0] = 0;
    pthread_mutex_unlock(&lock);
    struct home *old = pthread_once(&once, make_key) ? NULL : pthread_getspecific(key);
    pthread_setspecific(key, NULL);
    milgi__ssl_home_unref(old);
    return rv;
}

/* 1 or 0. */
static int add_device(struct home *home)
{
    pthread_mutex_lock(&lock);
    int rv = make_device();
    if (rv && current) {
        home->device = current;
        current->refs++;
    }
    pthread_mutex_unlock(&lock);
    if (!home->device)
        return rv;
    struct milgi_device *device = home->device->device;
    int index = milgi_engine_add_device(home->engine, device);
    if (index == MILGI_ELIMIT) { /* so many threads have it: this one computes for itself */
        device_unref(home->device);
        home->device = NULL;
        return 1;
    }
    if (index > 0)
        index = milgi_engine_route(home->engine, device->caps.ops, (unsigned)index, 0);
    if (index < 0)
        milgi__ssl_error_of(index, "the device of MILGI_SSL_DEVICE");
    return index >= 0;
}

static struct home *home_new(void)
{
    struct home *home = calloc(1, sizeof *home);
    int rv = home ? milgi_engine_new(NULL, &home->engine) : MILGI_ENOMEM;
    if (rv) {
        milgi__ssl_error_of(rv, "an engine");
        free(home);
        return NULL;
    }
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&home->lock, &kind);
    pthread_mutexattr_destroy(&kind);
    home->refs = 1;
    home->process = getpid();
    if (add_device(home)) {
        if (home->device)
            (void)milgi__ssl_home_bell(); /* a program that counts its descriptors finds no more later */
        return home;
    }
    milgi__ssl_home_unref(home);
    return NULL;
}

struct home *milgi__ssl_home(void)
{
    pthread_once(&once, make_key);
    struct home *home = pthread_getspecific(key);
    if (!home || home->process != getpid()) {
        home = home_new(); /* a parent's is left as it is */
        if (!home)
            return NULL;
        if (pthread_setspecific(key, home)) {
            milgi__ssl_home_unref(home);
            SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
            return NULL;
        }
    }
    home->refs++;
    return home;
}

void milgi__ssl_home_unref(struct home *home)
{
    if (!home || --home->refs != 0 || home->process != getpid())
        return;
    milgi_engine_free(home->engine);
    device_unref(home->device);
    pthread_mutex_destroy(&home->lock);
    free(home);
}

/* The main thread does not end as others do: what it has is freed when the process ends. */
__attribute__((destructor)) static void end(void)
{
    if (pthread_once(&once, make_key))
        return;
    struct home *home = pthread_getspecific(key);
    pthread_setspecific(key, NULL);
    milgi__ssl_home_unref(home);
    struct bell *bell = pthread_getspecific(bell_key);
    pthread_setspecific(bell_key, NULL);
    if (bell)
        bell_gone(bell);
    device_unref(current);
    current = NULL;
}

/* --- who waits ---------------------------------------------------------------------------------------------------- */

int milgi__ssl_home_new_bell(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

/* It rings after |ns|; 0: not any more, and it is silent. */
static bool set_bell(int fd, uint64_t ns)
{
    const struct itimerspec when = { .it_value = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };
    return timerfd_settime(fd, 0, &when, NULL) == 0;
}

int milgi__ssl_home_bell(void)
{
    struct bell *bell = pthread_once(&once, make_key) ? NULL : pthread_getspecific(bell_key);
    if (bell && bell->process == getpid())
        return bell->fd;
    if (bell)
        bell_gone(bell);
    bell = malloc(sizeof *bell);
    int fd = bell ? milgi__ssl_home_new_bell() : -1;
    if (fd >= 0)
        *bell = (struct bell){ getpid(), fd };
    if (fd < 0 || pthread_setspecific(bell_key, bell)) {
        if (fd >= 0)
            close(fd);
        free(bell);
        pthread_setspecific(bell_key, NULL);
        return -1;
    }
    return fd;
}

void milgi__ssl_home_sleep(struct home *home, struct sleeper *who, int limit_ms)
{
    who->told = false;
    who->limited = limit_ms >= 0 && who->fd >= 0 && set_bell(who->fd, (uint64_t)limit_ms * 1000000 + 1);
    who->next = home->sleepers;
    who->link = &home->sleepers;
    if (who->next)
        who->next->link = &who->next;
    home->sleepers = who;
}

void milgi__ssl_home_wake(struct sleeper *who)
{
    if (!who->link)
        return;
    *who->link = who->next;
    if (who->next)
        who->next->link = who->link;
    who->link = NULL;
    if ((who->told || who->limited) && who->fd >= 0)
        (void)set_bell(who->fd, 0);
}

void milgi__ssl_home_tell(struct home *home)
{
    struct milgi_engine_stats stats;
    uint64_t completed = 0;

    if (!home->sleepers)
        return;
    milgi_engine_stats(home->engine, &stats);
    for (unsigned i = 0; i < stats.devices_n; i++)
        for (unsigned type = 0; type < MILGI_OP_TYPES; type++)
            completed += stats.device[i].completed[type];
    if (completed == home->completed)
        return;
    home->completed = completed;
    for (struct sleeper *s = home->sleepers; s; s = s->next)
        if (!s->told)
            s->told = s->fd < 0 || set_bell(s->fd, 1);
}
