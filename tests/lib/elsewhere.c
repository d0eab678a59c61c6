/* SPDX-License-Identifier: Apache-2.0 */
/* See elsewhere.h. */
#include "elsewhere.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>

struct post {
    struct milgi_engine *engine;
    void (*call)(void *arg);
    void *arg;
    int rv;
};

static void *elsewhere(void *arg)
{
    struct post *post = arg;
    post->rv = milgi_engine_post(post->engine, post->call, post->arg);
    return post;
}

void post_elsewhere(struct milgi_engine *engine, void (*call)(void *arg), void *arg)
{
    struct post post = { .engine = engine, .call = call, .arg = arg, .rv = -1 };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, elsewhere, &post), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(post.rv, 0);
}
