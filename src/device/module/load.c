/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where modules are found: among those that the program has named; beside the library or the program that it is inside
 * of, be that installed or in a build directory; and where the system's loader looks. Never in the current directory.
 * What was loaded stays, as threads of its may.
 */
#include "device/module/module.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <milgi/milgi.h>

#define MODULES_MAX 16
#define NAME_MAX_LEN 32
#define PATH_LEN 4096

static struct {
    pthread_mutex_t lock;
    const struct milgi_device_module *module[MODULES_MAX];
    unsigned n;
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Modules of this tree, and what to do where one is not installed. */
static const struct {
    const char *name, *missing;
} own[] = {
    { "dpdk", "dpdk: its module is not there: it is in Debian's package milgi-dpdk; a build makes it where pkg-config "
              "finds libdpdk" },
};

const char *const *milgi_device_module_names(void)
{
    static const char *const names[] = { "dpdk", NULL };

    return names;
}

static const char *complaint(const struct milgi_device_module *module)
{
    if (!module || module->magic != MILGI__MODULE_MAGIC || !module->name || !module->version)
        return "this is no module of a device";
    if (module->abi != MILGI__MODULE_ABI || strcmp(module->version, milgi_version()) != 0)
        return "the module is of another version than the library";
    return NULL;
}

static const struct milgi_device_module *find_known(const char *name)
{
    for (unsigned i = 0; i < known.n; i++) {
        if (strcmp(known.module[i]->name, name) == 0)
            return known.module[i];
    }
    return NULL;
}

/* Under the lock. */
static int add(const struct milgi_device_module *module)
{
    if (find_known(module->name))
        return 0;
    if (known.n == MODULES_MAX)
        return MILGI_ELIMIT;
    known.module[known.n++] = module;
    return 0;
}

int milgi_device_add_module(const struct milgi_device_module *module)
{
    if (!module)
        return MILGI_EINVAL;
    if (complaint(module))
        return MILGI_EUNSUPPORTED;
    pthread_mutex_lock(&known.lock);
    int error = add(module);
    pthread_mutex_unlock(&known.lock);
    return error;
}

/* --- looking ---------------------------------------------------------------------------------------------------- */

/*
 * The directory of the object that this code is in, with a slash at its end. False: it says nothing; or the process has
 * rights that whoever started it has not, and may have put a name of the program where he likes.
 */
static bool own_directory(char out[PATH_LEN])
{
    static const char here;
    Dl_info info;
    struct link_map *map = NULL;

    if (getauxval(AT_SECURE) != 0)
        return false;
    if (dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || !map)
        return false;
    if (map->l_name[0] != '\0') {
        /* A relative name is one of the directory that was the current one then. */
        if (map->l_name[0] != '/' || snprintf(out, PATH_LEN, "%s", map->l_name) >= PATH_LEN)
            return false;
    } else { /* the program itself, which has no name: what it was called by says nothing */
        ssize_t len = readlink("/proc/self/exe", out, PATH_LEN - 1);
        if (len <= 0)
            return false;
        out[len] = '\0';
    }
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    slash[1] = '\0';
    return true;
}

/*
 * Whether nobody but root and the process's own user can have put there what is there: a file, or a directory. What is
 * his own his group may write to, as to what is built where that is usual; what is root's no group.
 */
static bool is_trusted(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & S_IWOTH) != 0)
        return false;
    return (st.st_mode & S_IWGRP) == 0 || st.st_uid != 0;
}

/* The libraries of an installation are seen from the programs' directory alone. |directory| has a slash at its end. */
static bool is_of_programs(const char *directory)
{
    size_t len = strlen(directory);

    return (len >= 5 && strcmp(directory + len - 5, "/bin/") == 0) ||
        (len >= 6 && strcmp(directory + len - 6, "/sbin/") == 0);
}

enum found {
    FOUND_NOT,
    FOUND_UNSAFE, /* where anybody may have put it, or his own: it is not loaded */
    FOUND
};

/* NULL unless it is found, and perhaps then. */
static void *open_in(const char *directory, const char *file, enum found *found)
{
    char path[3 * PATH_LEN];

    snprintf(path, sizeof path, "%s%s", directory, file);
    if (access(path, F_OK) != 0)
        return NULL;
    *found = is_trusted(directory) && is_trusted(path) ? FOUND : FOUND_UNSAFE;
    return *found == FOUND ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static void *open_file(const char *file, enum found *found)
{
    char directory[PATH_LEN], libraries[2 * PATH_LEN];

    *found = FOUND_NOT;
    if (own_directory(directory)) {
        void *handle = open_in(directory, file, found);
        if (*found != FOUND && is_of_programs(directory)) {
            snprintf(libraries, sizeof libraries, "%s%s/", directory, MILGI_MODULES_FROM_BINDIR);
            handle = open_in(libraries, file, found);
        }
        if (*found == FOUND)
            return handle;
    }
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle)
        *found = FOUND;
    return handle;
}

static const char *missing(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(own); i++) {
        if (strcmp(own[i].name, name) == 0)
            return own[i].missing;
    }
    return "no device of this name is built in";
}

/* Names go into those of files. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < NAME_MAX_LEN && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

/*
 * Without the lock: what is loaded runs code of its own at once, and that of libraries that it stands on, which may
 * make devices. Two that come here at once find the same.
 */
static const struct milgi_device_module *load(const char *name, const char **why)
{
    static _Thread_local char text[512];
    char file[2 * NAME_MAX_LEN], symbol[2 * NAME_MAX_LEN];
    enum found found;

    snprintf(file, sizeof file, "libmilgi-%s.so." MILGI_MODULES_VERSION, name);
    snprintf(symbol, sizeof symbol, "milgi_device_%s", name);
    void *handle = open_file(file, &found);
    if (!handle) {
        const char *error = found == FOUND ? dlerror() : NULL;
        if (found == FOUND_UNSAFE)
            error = "others than root and this user can write to it, or to its directory";
        snprintf(text, sizeof text, "%s: its module cannot be loaded: %s", name, error ? error : "");
        *why = found != FOUND_NOT ? text : missing(name);
        return NULL;
    }
    const struct milgi_device_module *module = dlsym(handle, symbol);
    const char *wrong = complaint(module);
    if (!wrong && strcmp(module->name, name) != 0)
        wrong = "the module is another device's";
    if (!wrong && milgi_device_add_module(module) == 0)
        return module;
    snprintf(text, sizeof text, "%s: %s", name, wrong ? wrong : "there are too many modules");
    *why = text;
    dlclose(handle);
    return NULL;
}

const struct milgi_device_module *milgi__module_find(const char *name, const char **why)
{
    if (!is_name(name)) {
        *why = "no device of this name is built in";
        return NULL;
    }
    pthread_mutex_lock(&known.lock);
    const struct milgi_device_module *module = find_known(name);
    pthread_mutex_unlock(&known.lock);
    return module ? module : load(name, why);
}
