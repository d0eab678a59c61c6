/* SPDX-License-Identifier: Apache-2.0 */
/* A client's cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "heap.h"
#include "session/session.h"

#define NOW 1000000

static uint16_t version = 0x0304;

static struct milgi_session *session_until(int64_t until_s)
{
    struct milgi__session_fields f = {
        .version = version,
        .suite = MILGI_SUITE_AES_128_GCM_SHA256,
        .secret_len = 32,
        .created_s = until_s - 100,
        .authenticated_s = until_s - 100,
        .lifetime_s = 100,
        .valid_until_s = INT64_MAX,
    };
    struct milgi__session_parts parts = { .ticket = { "t", 1 } };
    struct milgi_session *s = milgi__session_new(&f, &parts);
    assert_non_null(s);
    return s;
}

static void put(struct milgi_session_cache *cache, const char *name, int64_t until_s)
{
    struct milgi_session *s = session_until(until_s);
    assert_int_equal(milgi_session_cache_put(cache, name, s), 0);
    milgi_session_unref(s);
}

/* When the one that is taken ends; 0: none. */
static int64_t take_at(struct milgi_session_cache *cache, const char *name, int64_t now_s)
{
    struct milgi_session *s = milgi_session_cache_take(cache, name, now_s);
    int64_t until_s = s ? milgi__session_expires(s) : 0;
    milgi_session_unref(s);
    return until_s;
}

static int64_t take(struct milgi_session_cache *cache, const char *name)
{
    return take_at(cache, name, NOW);
}

static struct milgi_session_cache *cache_of(size_t limit)
{
    struct milgi_session_cache *cache;
    assert_int_equal(milgi_session_cache_new(limit, &cache), 0);
    return cache;
}

static void the_newest_is_taken_first_and_once(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(10);
    put(cache, "a", NOW + 1);
    put(cache, "a", NOW + 2);
    put(cache, "b", NOW + 3);
    assert_int_equal(milgi_session_cache_count(cache), 3);
    assert_int_equal(take(cache, "a"), NOW + 2);
    assert_int_equal(take(cache, "a"), NOW + 1);
    assert_int_equal(take(cache, "a"), 0);
    assert_int_equal(take(cache, "A"), 0);
    assert_int_equal(take(cache, "b"), NOW + 3);
    assert_int_equal(milgi_session_cache_count(cache), 0);
    milgi_session_cache_unref(cache);
}

static void what_has_expired_is_gone(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(10);
    put(cache, "a", NOW + 1);
    put(cache, "a", NOW);
    put(cache, "a", NOW - 5);
    assert_int_equal(take(cache, "a"), NOW + 1);
    assert_int_equal(milgi_session_cache_count(cache), 0);
    milgi_session_cache_unref(cache);
}

static void one_name_has_eight(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(100);
    for (int i = 1; i <= 20; i++)
        put(cache, "a", NOW + i);
    assert_int_equal(milgi_session_cache_count(cache), 8);
    for (int i = 20; i > 12; i--)
        assert_int_equal(take(cache, "a"), NOW + i);
    assert_int_equal(take(cache, "a"), 0);
    milgi_session_cache_unref(cache);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(3);
    put(cache, "a", NOW + 1);
    put(cache, "b", NOW + 2);
    put(cache, "c", NOW + 3);
    put(cache, "d", NOW + 4);
    assert_int_equal(milgi_session_cache_count(cache), 3);
    assert_int_equal(take(cache, "a"), 0);
    assert_int_equal(take(cache, "d"), NOW + 4);
    put(cache, "e", NOW + 5);
    assert_int_equal(take(cache, "b"), NOW + 2);
    milgi_session_cache_unref(cache);
}

/* Who comes back again and again drives out nobody but its own. */
static void one_in_the_place_of_another_needs_no_room(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(3);
    version = MILGI_TLS_1_2;
    put(cache, "a", NOW + 1);
    put(cache, "b", NOW + 2);
    for (int i = 3; i < 20; i++)
        put(cache, "c", NOW + i);
    assert_int_equal(milgi_session_cache_count(cache), 3);
    assert_int_equal(take(cache, "a"), NOW + 1);
    assert_int_equal(take(cache, "b"), NOW + 2);
    assert_int_equal(take(cache, "c"), NOW + 19);
    version = MILGI_TLS_1_3;
    milgi_session_cache_unref(cache);
    cache = cache_of(9);
    put(cache, "a", NOW + 1);
    for (int i = 2; i < 20; i++)
        put(cache, "c", NOW + i);
    assert_int_equal(milgi_session_cache_count(cache), 9);
    assert_int_equal(take(cache, "a"), NOW + 1);
    milgi_session_cache_unref(cache);
    cache = cache_of(1);
    put(cache, "a", NOW + 1);
    put(cache, "b", NOW + 2);
    assert_int_equal(take(cache, "a"), 0);
    assert_int_equal(take(cache, "b"), NOW + 2);
    milgi_session_cache_unref(cache);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct milgi_session_cache *cache;
    char name[257];
    memset(name, 'a', 256);
    name[256] = '\0';
    assert_int_equal(milgi_session_cache_new(0, &cache), MILGI_EINVAL);
    assert_int_equal(milgi_session_cache_new(((size_t)1 << 28) + 1, &cache), MILGI_EINVAL);
    cache = cache_of(1);
    struct milgi_session *s = session_until(NOW + 1);
    assert_int_equal(milgi_session_cache_put(cache, "", s), MILGI_EINVAL);
    assert_int_equal(milgi_session_cache_put(cache, NULL, s), MILGI_EINVAL);
    assert_int_equal(milgi_session_cache_put(cache, name, s), MILGI_EINVAL);
    assert_int_equal(milgi_session_cache_put(cache, "a", NULL), MILGI_EINVAL);
    assert_null(milgi_session_cache_take(cache, name, NOW));
    milgi_session_unref(s);
    milgi_session_cache_unref(cache);
}

static void of_tls12_the_newest_stays_alone(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(20);
    put(cache, "a.test", NOW + 1);
    version = 0x0303;
    put(cache, "b.test", NOW + 5);
    put(cache, "a.test", NOW + 2);
    put(cache, "a.test", NOW + 3);
    assert_int_equal(milgi_session_cache_count(cache), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(cache, "a.test"), NOW + 3);
    version = 0x0304;
    put(cache, "a.test", NOW + 4); /* of the other version there may be more */
    assert_int_equal(milgi_session_cache_count(cache), 4);
    assert_int_equal(take(cache, "a.test"), NOW + 4);
    assert_int_equal(take(cache, "a.test"), NOW + 3);
    assert_int_equal(take_at(cache, "a.test", NOW + 3), 0); /* it is too old, and all before it */
    assert_int_equal(milgi_session_cache_count(cache), 1);
    milgi_session_cache_unref(cache);
}

/* --- kept elsewhere --------------------------------------------------------------------------------------------- */

struct shelf {
    struct milgi_session *one;
    char name[16];
    unsigned puts, takes, freed;
    int64_t now_s;
};

static void shelf_put(void *ctx, const char *name, struct milgi_session *session)
{
    struct shelf *shelf = ctx;
    snprintf(shelf->name, sizeof shelf->name, "%s", name);
    milgi_session_unref(shelf->one);
    shelf->one = milgi_session_ref(session);
    shelf->puts++;
}

static struct milgi_session *shelf_take(void *ctx, const char *name, int64_t now_s)
{
    struct shelf *shelf = ctx;
    struct milgi_session *taken = strcmp(name, shelf->name) == 0 ? shelf->one : NULL;
    shelf->one = taken ? NULL : shelf->one;
    shelf->now_s = now_s;
    shelf->takes++;
    return taken;
}

static size_t shelf_count(void *ctx)
{
    return ((struct shelf *)ctx)->one != NULL;
}

static void shelf_free(void *ctx)
{
    ((struct shelf *)ctx)->freed++;
}

static void a_store_elsewhere_is_asked_for_all_of_it(void **state)
{
    (void)state;
    struct shelf shelf = { .one = NULL };
    struct milgi_session_store store = { shelf_put, shelf_take, shelf_count, shelf_free, NULL };
    struct milgi_session_cache *cache;
    struct milgi_session *s = session_until(NOW + 1);
    assert_int_equal(milgi_session_cache_new_store(&store, &shelf, &cache), 0);
    assert_int_equal(milgi_session_cache_count(cache), 0);
    assert_int_equal(milgi_session_cache_put(cache, "", s), MILGI_EINVAL);
    assert_int_equal(milgi_session_cache_put(cache, "a.test", NULL), MILGI_EINVAL);
    assert_null(milgi_session_cache_take(cache, NULL, NOW));
    assert_int_equal(shelf.puts + shelf.takes, 0);
    assert_int_equal(milgi_session_cache_put(cache, "a.test", s), 0);
    assert_int_equal(milgi_session_cache_count(cache), 1);
    assert_null(milgi_session_cache_take(cache, "b.test", NOW));
    assert_ptr_equal(milgi_session_cache_take(cache, "a.test", NOW), s);
    assert_int_equal(shelf.now_s, NOW);
    assert_null(milgi_session_cache_take(cache, "a.test", NOW));
    milgi_session_unref(s); /* what was put */
    milgi_session_cache_unref(milgi_session_cache_ref(cache));
    assert_int_equal(shelf.freed, 0);
    milgi_session_cache_unref(cache);
    assert_int_equal(shelf.freed, 1);
    store.count = NULL;
    store.free = NULL;
    assert_int_equal(milgi_session_cache_new_store(&store, &shelf, &cache), 0);
    assert_int_equal(milgi_session_cache_count(cache), 0);
    milgi_session_cache_unref(cache);
    store.take = NULL;
    assert_int_equal(milgi_session_cache_new_store(&store, &shelf, &cache), MILGI_EINVAL);
    assert_null(cache);
    assert_int_equal(milgi_session_cache_new_store(NULL, &shelf, &cache), MILGI_EINVAL);
    milgi_session_unref(s);
}

/* --- a server's ------------------------------------------------------------------------------------------------- */

static struct milgi_session *kept(unsigned i, int64_t until_s)
{
    struct milgi__session_fields f = {
        .version = 0x0303,
        .by_id = true,
        .created_s = until_s - 100,
        .authenticated_s = until_s - 100,
        .lifetime_s = 100,
        .valid_until_s = INT64_MAX,
    };
    uint8_t id[MILGI__SESSION_ID_MAX] = { 0, (uint8_t)i, (uint8_t)(i >> 8) };
    struct milgi__session_parts parts = {
        .name = { "www.example.com", 15 },
        .alpn = { "h2", 2 },
        .ticket = { id, sizeof id },
    };
    struct milgi_session *s = milgi__session_new(&f, &parts);
    assert_non_null(s);
    return s;
}

static int64_t find(struct milgi_session_cache *cache, unsigned i)
{
    uint8_t id[MILGI__SESSION_ID_MAX] = { 0, (uint8_t)i, (uint8_t)(i >> 8) };
    struct milgi_session *s = milgi__session_cache_find_id(cache, id, sizeof id, NOW);
    int64_t until_s = s ? milgi__session_expires(s) : 0;
    milgi_session_unref(s);
    return until_s;
}

static void sessions_are_found_by_their_ids_until_they_are_dropped(void **state)
{
    (void)state;
    struct milgi_session_cache *cache = cache_of(4);
    struct milgi_session *s[5];
    for (unsigned i = 0; i < 5; i++) {
        s[i] = kept(i, NOW + (i == 3 ? 0 : 10 + i));
        assert_int_equal(milgi__session_cache_put_id(cache, s[i]), 0);
    }
    assert_int_equal(find(cache, 0), 0); /* it has made room */
    assert_int_equal(find(cache, 1), NOW + 11);
    assert_int_equal(find(cache, 1), NOW + 11);
    assert_int_equal(find(cache, 3), 0); /* too old */
    assert_int_equal(find(cache, 77), 0);
    milgi__session_cache_drop(cache, s[2], true);
    assert_int_equal(find(cache, 2), 0);
    milgi__session_cache_drop(cache, s[2], true); /* it is not there */
    struct milgi_session *alike = kept(4, NOW + 14);
    milgi__session_cache_drop(cache, alike, true); /* another one with that ID */
    assert_int_equal(find(cache, 4), NOW + 14);
    milgi_session_unref(alike);
    assert_int_equal(milgi_session_cache_count(cache), 2);
    for (unsigned i = 0; i < 5; i++)
        milgi_session_unref(s[i]);
    milgi_session_cache_unref(cache);
}

static char dropped[2 * MILGI__SESSION_ID_MAX + 1];

static void shelf_drop(void *ctx, const char *name)
{
    (void)ctx;
    snprintf(dropped, sizeof dropped, "%s", name);
}

static void a_store_elsewhere_is_told_ids_in_digits(void **state)
{
    (void)state;
    struct shelf shelf = { .one = NULL };
    struct milgi_session_store store = { shelf_put, shelf_take, shelf_count, NULL, shelf_drop };
    struct milgi_session_cache *cache;
    struct milgi_session *s = kept(0xa7, NOW + 1);
    uint8_t id[MILGI__SESSION_ID_MAX] = { 0, 0xa7 };
    assert_int_equal(milgi_session_cache_new_store(&store, &shelf, &cache), 0);
    assert_int_equal(milgi__session_cache_put_id(cache, s), 0);
    assert_string_equal(shelf.name, "00a700000000000"); /* as long as it has room for */
    assert_null(milgi__session_cache_find_id(cache, id, sizeof id, NOW));
    assert_int_equal(shelf.takes, 1);
    milgi__session_cache_drop(cache, s, true);
    assert_int_equal(strlen(dropped), 2 * sizeof id);
    assert_memory_equal(dropped, "00a70000", 8);
    milgi__session_cache_drop(cache, s, false);
    assert_string_equal(dropped, "www.example.com");
    /* What a server has opened a ticket to has no ID, and a client that names no server has no name for it. */
    struct milgi_session *nameless = milgi__session_new(&s->f, &(struct milgi__session_parts){ .name = { NULL, 0 } });
    assert_non_null(nameless);
    memcpy(dropped, "nothing", sizeof "nothing");
    milgi__session_cache_drop(cache, nameless, true);
    milgi__session_cache_drop(cache, nameless, false);
    assert_string_equal(dropped, "nothing");
    milgi_session_unref(nameless);
    milgi_session_cache_unref(cache);
    milgi_session_unref(shelf.one);
    milgi_session_unref(s);
}

static void a_session_takes_less_than_300_bytes(void **state)
{
    (void)state;
    enum {
        SESSIONS = 4000
    };
    size_t before = heap_used();
    struct milgi_session_cache *cache = cache_of(SESSIONS);
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct milgi_session *s = kept(i, NOW + 10);
        assert_int_equal(milgi__session_cache_put_id(cache, s), 0);
        milgi_session_unref(s);
    }
    size_t each = (heap_used() - before) / SESSIONS;
    print_message("%zu bytes for each session\n", each);
    assert_int_equal(milgi_session_cache_count(cache), SESSIONS);
    assert_true(each < 300);
    milgi_session_cache_unref(cache);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Nanoseconds for a session to be taken and put back, with |n| in the cache: the least of some tries. */
static uint64_t cost(size_t n)
{
    struct milgi_session_cache *cache = cache_of(n);
    struct milgi_session *s = session_until(NOW + 1);
    char name[32];
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%zu.test", i);
        assert_int_equal(milgi_session_cache_put(cache, name, s), 0);
    }
    for (unsigned round = 0; round < 20; round++) {
        uint64_t begin = now_ns();
        for (size_t i = 0; i < 500; i++) {
            snprintf(name, sizeof name, "%zu.test", (i * 7919 + round) % n);
            struct milgi_session *taken = milgi_session_cache_take(cache, name, NOW);
            assert_non_null(taken);
            milgi_session_cache_put(cache, name, taken);
            milgi_session_unref(taken);
        }
        uint64_t took = now_ns() - begin;
        best = took < best ? took : best;
    }
    milgi_session_unref(s);
    milgi_session_cache_unref(cache);
    return best / 500;
}

/* What is farther away in memory takes longer to come, and that is all. */
static void many_cost_no_more_than_few(void **state)
{
    (void)state;
    uint64_t few = cost(1000), many = cost(200000);
    print_message("%llu ns with 1 000, %llu ns with 200 000\n", (unsigned long long)few, (unsigned long long)many);
    assert_true(many < 4 * few + 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_is_taken_first_and_once),
        cmocka_unit_test(what_has_expired_is_gone),
        cmocka_unit_test(one_name_has_eight),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(one_in_the_place_of_another_needs_no_room),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(of_tls12_the_newest_stays_alone),
        cmocka_unit_test(a_store_elsewhere_is_asked_for_all_of_it),
        cmocka_unit_test(sessions_are_found_by_their_ids_until_they_are_dropped),
        cmocka_unit_test(a_store_elsewhere_is_told_ids_in_digits),
        cmocka_unit_test(a_session_takes_less_than_300_bytes),
        cmocka_unit_test(many_cost_no_more_than_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
