/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of keys that are gone (milgi__crew_forget(), milgi__crew_forget_all(), forget_keys() and forget_all_keys() of
 * src/device/worker/crew.c), for Spin: it comes round while a worker reads it.
 *
 * What must hold: a key that was gone when an op was taken is forgotten when that op is performed. Keys have the numbers
 * 0, 1 ... in the order in which they go; that several engines let keys go is one writer, since they hold a lock.
 *
 * Sizes (-D): FORGET_MAX entries of the list; GONE keys go. BROKEN n: one rule is broken, and something has to be found.
 */
#ifndef BROKEN
#define BROKEN 0
#endif

byte gone_n, gone[FORGET_MAX];
/* not in the code: keys whose milgi__crew_forget() has returned; milgi__crew_forget_all() has */
byte complete;
bit all;

active proctype writer()
{
    byte n, key;

    do
    :: key < GONE ->
#if BROKEN == 3 /* says that there is one before it is written */
        gone_n = n + 1;
        gone[n % FORGET_MAX] = key;
#else
        gone[n % FORGET_MAX] = key;
        gone_n = n + 1;
#endif
        atomic { n++; key++; complete = key }
    :: !all ->
#if BROKEN == 4 /* by less than the length of the list */
        gone_n = n + FORGET_MAX - 1;
        atomic { n = n + FORGET_MAX - 1; all = 1 }
#else
        gone_n = n + FORGET_MAX + 1;
        atomic { n = n + FORGET_MAX + 1; all = 1 }
#endif
    :: key == GONE -> break
    od
}

active proctype worker()
{
    byte forgotten, n, i, serial, taken;
    bit taken_all;
    byte kept = 255; /* a bit for each key: it has used all of them, those that go later too */
    byte ops = 3;

    do
    :: ops > 0 ->
        atomic { taken = complete; taken_all = all }; /* serve(): an op is taken; it was put in after these keys were gone */
        n = gone_n;
        if
        :: forgotten != n ->
            /* forget_keys() */
            n = gone_n;
            if
            :: n - forgotten <= FORGET_MAX ->
                i = forgotten;
                do
                :: i != n -> serial = gone[i % FORGET_MAX]; atomic { kept = kept & ~(1 << serial); serial = 0; i++ }
                :: else -> i = 0; break
                od
            :: else
            fi;
            if
#if BROKEN == 1 /* does not look whether the list came round */
            :: true -> forgotten = n
#elif BROKEN == 2 /* nor whether an entry is just being written */
            :: gone_n - forgotten <= FORGET_MAX -> forgotten = n
#else
            :: gone_n - forgotten < FORGET_MAX -> forgotten = n
#endif
            :: else -> forgotten = gone_n; kept = 0
            fi
        :: else
        fi;
        /* perform(): nothing of what was gone is left. */
        assert((kept & ((1 << taken) - 1)) == 0 && (kept == 0 || !taken_all));
        atomic { n = 0; taken = 0; taken_all = 0; ops-- }
    :: else -> break
    od
}
