// SPDX-License-Identifier: Apache-2.0
//! A crowd that waits for chunks: who tries, in which order, and how many at once.
use std::collections::VecDeque;
use std::task::Wake;

use super::*;
use crate::ClientConfig;

const CROWD: usize = 3 * FED_AT_ONCE + 10;

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Nobody>) {}
}

/// Connections that have something to receive, of an engine that has no chunk for it.
struct Crowd {
    driver: Driver,
    all: Vec<Arc<Shared>>,
    taken: Vec<*mut sys::milgi_chunk>,
}

fn with_crowd<F: Future>(what: impl FnOnce(Crowd) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (engine, driver) = Engine::new(Options::new().memory_limit(8 << 20)).unwrap();
        let config = ClientConfig::builder().dangerously_accept_any_server().build().unwrap();
        let new = |_| Shared::new(engine.clone(), config.0.clone(), Some(CString::new("crowd.test").unwrap()));
        let mut crowd = Crowd { driver, all: (0..CROWD).map(new).collect(), taken: Vec::new() };
        for shared in &crowd.all {
            shared.tell(shared.lock());
        }
        crowd.turns();
        crowd.take_all();
        for shared in &crowd.all {
            shared.lock().cipher_in.push(&[22, 3, 3]); // of a record
            shared.tell(shared.lock());
        }
        crowd.take_in();
        assert_eq!(crowd.tried(), (0..CROWD as u64).collect::<Vec<_>>());
        assert_eq!(crowd.waiting(), CROWD);
        what(crowd).await;
    });
}

impl Crowd {
    fn poll(&mut self) {
        let waker = Waker::from(Arc::new(Nobody));
        assert_eq!(Pin::new(&mut self.driver).poll(&mut Context::from_waker(&waker)), Poll::Pending);
    }

    /// What was told, without a turn of the engine.
    fn take_in(&mut self) {
        let waker = Waker::from(Arc::new(Nobody));
        assert!(self.driver.take_in(&Context::from_waker(&waker)));
    }

    /// Until there is nothing to do but to wait.
    fn turns(&mut self) {
        self.poll();
        while self.driver.again {
            self.poll();
        }
    }

    /// Which connections have asked for a chunk since this was called last.
    fn tried(&self) -> Vec<u64> {
        self.driver.local.tried.take()
    }

    fn take_all(&mut self) {
        for size in [16384, 4096, 1024, 256, 64, 1] {
            // SAFETY: on the engine's thread; what is taken is given back before the engine goes.
            let take = || Some(unsafe { sys::milgi_chunk_new(self.driver.raw.engine, size) }).filter(|chunk| !chunk.is_null());
            self.taken.extend(std::iter::from_fn(take));
        }
    }

    /// Those that were taken last are the smallest.
    fn give_back(&mut self, n: usize) {
        for chunk in self.taken.drain(self.taken.len() - n..) {
            // SAFETY: as above.
            unsafe { sys::milgi_chunk_unref(chunk) };
        }
        self.driver.again = true;
    }

    /// It has something that the engine has not taken.
    fn waits(&self, id: u64) -> bool {
        !self.all[id as usize].lock().cipher_in.is_empty()
    }

    fn waiting(&self) -> usize {
        (0..CROWD as u64).filter(|id| self.waits(*id)).count()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.give_back(self.taken.len());
    }
}

#[test]
fn of_a_crowd_that_starves_those_who_have_waited_longest_try_for_each_chunk() {
    with_crowd(|mut crowd| async move {
        let (mut line, mut waiting): (VecDeque<u64>, _) = ((0..CROWD as u64).collect(), CROWD);
        while waiting > CROWD / 4 {
            crowd.give_back(1);
            crowd.driver.fed_due_ns = u64::MAX; // however slow this machine is
            crowd.poll();
            let tried = crowd.tried();
            let served = waiting - crowd.waiting();
            assert!(served > 0 && tried.len() <= served + FED_IN_VAIN, "{} tried, {} in vain", tried.len(), tried.len() - served);
            waiting -= served;
            for id in tried {
                assert_eq!(line.pop_front(), Some(id));
                line.extend(Some(id).filter(|id| crowd.waits(*id)));
            }
        }
    });
}

#[test]
fn a_crowd_that_starves_is_fed_as_long_as_there_is_something() {
    with_crowd(|mut crowd| async move {
        crowd.give_back(crowd.taken.len());
        crowd.poll();
        assert_eq!(crowd.tried(), (0..FED_AT_ONCE as u64).collect::<Vec<_>>());
        crowd.turns();
        assert_eq!(crowd.tried(), (FED_AT_ONCE as u64..CROWD as u64).collect::<Vec<_>>());
        assert_eq!(crowd.waiting(), 0);
    });
}

#[test]
fn who_was_not_reached_tries_after_a_while() {
    with_crowd(|mut crowd| async move {
        crowd.give_back(1);
        let mut reached = 0;
        let limit = Instant::now() + Duration::from_secs(60);
        while reached < CROWD {
            crowd.turns();
            reached += crowd.tried().len();
            assert!(Instant::now() < limit, "{} of {}", reached, CROWD);
            sleep(Duration::from_millis(10)).await;
        }
        crowd.turns();
        assert_eq!((reached, crowd.driver.unfed), (CROWD, 0));
    });
}

#[test]
fn who_waits_for_a_chunk_does_not_try_out_of_turn() {
    with_crowd(|mut crowd| async move {
        crowd.give_back(1);
        for shared in &crowd.all[..10] {
            shared.lock().cipher_in.push(&[0, 1]);
            shared.tell(shared.lock());
        }
        crowd.take_in();
        assert_eq!(crowd.tried(), []);
    });
}

#[test]
fn who_has_gone_waits_no_more() {
    with_crowd(|mut crowd| async move {
        for shared in crowd.all.drain(10..) {
            let mut state = shared.lock();
            state.dropped = true;
            shared.tell(state);
        }
        crowd.take_in();
        assert_eq!((crowd.driver.conns.len(), crowd.driver.local.line.borrow().len()), (10, 10));
    });
}

#[test]
fn of_what_is_begun_the_rest_is_had_though_there_is_no_chunk() {
    with_crowd(|mut crowd| async move {
        crowd.give_back(crowd.taken.len());
        crowd.turns();
        let one = crowd.all[0].clone();
        let hear = |crowd: &mut Crowd, bytes: &[u8]| {
            one.lock().cipher_in.push(bytes);
            one.tell(one.lock());
            crowd.take_in();
            one.lock().cipher_in.len()
        };
        let begun = [&[0x40, 0][..], &[0; 0x1000]].concat(); // the length behind what the crowd has heard
        assert_eq!(hear(&mut crowd, &begun), 0);
        crowd.take_all();
        assert_eq!(hear(&mut crowd, &[0; 0x4000]), 0x1000);
    });
}

#[test]
fn what_found_no_room_stays() {
    with_crowd(|crowd| async move {
        let one = &crowd.driver.conns[&0];
        one.sated();
        one.shared.lock().plain_out.push(&[1; 100]);
        one.serve();
        assert_eq!(one.shared.lock().plain_out.len(), 100);
    });
}

/// Between what the engine is given and its next turn another thread may ask.
#[test]
fn what_the_engine_has_taken_is_not_with_the_transport() {
    with_crowd(|mut crowd| async move {
        crowd.give_back(crowd.taken.len());
        crowd.turns();
        let one = &crowd.driver.conns[&0];
        let mut state = one.shared.lock();
        state.written = state.cipher_out.len();
        state.cipher_out = Default::default();
        state.plain_out.push(&[1; 100]);
        drop(state);
        one.serve();
        let state = one.shared.lock();
        assert!(state.plain_out.is_empty() && !state.is_drained());
        assert_eq!(state.pending, 100);
    });
}
