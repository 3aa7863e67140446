//! Messages, replies and states of every size and alignment.

use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, Counted, eventually};
use cuelight::{Actor, ActorRef, AskError, Context, DeadLetter, Handler};

contract! {
    sizes_around_every_class,
    large_messages_are_boxed,
    messages_of_no_size,
    over_aligned_messages,
    states_of_every_kind,
    refused_ones_come_back_whole,
    lost_ones_come_to_the_listener,
}

threads_contract! {
    many_at_once,
}

/// Checks what it gets, and gives it back.
struct Checker {
    seen: Count,
}

impl Actor for Checker {}

/// Bytes that know what they should be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Bytes<N> {
    fn new() -> Self {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(1..).for_each(|(byte, n): (_, u64)| *byte = (n % 251) as u8);
        Self(bytes)
    }

    fn is_whole(&self) -> bool {
        *self == Self::new()
    }
}

impl<const N: usize> Handler<Bytes<N>> for Checker {
    type Reply = Bytes<N>;

    fn handle(&mut self, message: Bytes<N>, _: &mut Context<Self>) -> Bytes<N> {
        assert!(message.is_whole());
        self.seen.add(1);
        message
    }
}

fn checker(stage: &Stage) -> (ActorRef<Checker>, Count) {
    let seen = Count::default();
    (stage.spawn(Checker { seen: seen.clone() }), seen)
}

/// Sends one in every way; six are seen.
fn in_every_way<const N: usize>(to: &ActorRef<Checker>) {
    to.tell(Bytes::<N>::new()).unwrap();
    to.recipient().tell(Bytes::<N>::new()).unwrap();
    to.send_all([Bytes::<N>::new(), Bytes::<N>::new()]).unwrap();
    assert!(to.ask(Bytes::<N>::new()).wait().unwrap().is_whole());
    drop(to.ask(Bytes::<N>::new()));
}

macro_rules! sizes {
    ($to:expr, $($n:literal)*) => {{ $(in_every_way::<$n>($to);)* [$($n),*].len() as u64 }};
}

fn sizes_around_every_class(on: Engine) {
    let stage = Stage::new(on);
    let (checker, seen) = checker(&stage);
    let sizes = sizes!(&checker, 0 1 7 8 15 16 17 31 32 47 48 49 63 64 79 80 95 96 97 111 112 113 127 128 143 144 145);
    let more = sizes!(&checker, 191 192 207 208 223 224 239 240 241 255 256 257 511 512 513 1024 4096);
    seen.reaches(6 * (sizes + more));
    stage.end();
}

fn large_messages_are_boxed(on: Engine) {
    let stage = Stage::new(on);
    let (checker, seen) = checker(&stage);
    // A mebibyte in the sender's own box, which no stack sees.
    let large: Box<[u8; 1 << 20]> = vec![7; 1 << 20].into_boxed_slice().try_into().expect("a mebibyte");
    checker.tell(large).unwrap();
    seen.reaches(1);
    in_every_way::<16_384>(&checker);
    seen.reaches(7);
    // By value: a few copies must fit into two mebibytes of stack, here and on the worker.
    checker.tell(Bytes::<200_000>::new()).unwrap();
    seen.reaches(8);
    stage.end();
}

impl Handler<Box<[u8; 1 << 20]>> for Checker {
    type Reply = ();

    fn handle(&mut self, message: Box<[u8; 1 << 20]>, _: &mut Context<Self>) {
        assert!(message.iter().all(|&byte| byte == 7));
        self.seen.add(1);
    }
}

/// Nothing but a type.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Nothing;

impl Handler<Nothing> for Checker {
    type Reply = Nothing;

    fn handle(&mut self, nothing: Nothing, _: &mut Context<Self>) -> Nothing {
        self.seen.add(1);
        nothing
    }
}

fn messages_of_no_size(on: Engine) {
    let stage = Stage::new(on);
    let (checker, seen) = checker(&stage);
    for _ in 0..100 {
        checker.tell(Nothing).unwrap();
    }
    checker.send_all([Nothing; 100]).unwrap();
    assert_eq!(checker.ask(Nothing).wait(), Ok(Nothing));
    seen.reaches(201);
    checker.stop();
    stage.living(0);
    assert_eq!(checker.send_all([Nothing; 3]).unwrap_err().into_messages(), [Nothing; 3]);
    stage.end();
}

/// Lies at multiples of its alignment, or else.
macro_rules! aligned {
    ($($name:ident $align:literal $size:literal),*) => {
        $(
            #[derive(Debug, Clone, Copy, PartialEq)]
            #[repr(align($align))]
            struct $name([u8; $size]);

            impl $name {
                fn check(&self) {
                    assert_eq!(std::ptr::from_ref(self).addr() % $align, 0);
                    assert!(self.0.iter().all(|&byte| byte == $align));
                }
            }

            impl Handler<$name> for Checker {
                type Reply = $name;

                fn handle(&mut self, message: $name, _: &mut Context<Self>) -> $name {
                    message.check();
                    self.seen.add(1);
                    message
                }
            }
        )*

        fn over_aligned_messages(on: Engine) {
            let stage = Stage::new(on);
            let (checker, seen) = checker(&stage);
            $({
                let message = $name([$align; $size]);
                checker.tell(message).unwrap();
                checker.send_all([message; 3]).unwrap();
                let reply = checker.ask(message).wait().unwrap();
                reply.check();
                assert_eq!(reply, message);
            })*
            seen.reaches([$($align),*].len() as u64 * 5);
            stage.end();
        }
    };
}

aligned!(Align2 2 3, Align16 16 16, Align16Large 16 300, Align32 32 1, Align64 64 64, Align64Large 64 5000, Align128 128 7);

/// A state that knows where it must lie.
#[repr(align(128))]
struct Wide {
    bytes: [u8; 1000],
    _drops: Counted,
}

/// A state of no size, whose drops are counted by somebody else.
struct Void;

/// A large state.
struct Huge([u64; 10_000]);

impl Actor for Wide {
    fn stopped(&mut self, _: &cuelight::StopReason) {
        self.check();
    }
}

impl Wide {
    fn check(&self) {
        assert_eq!(std::ptr::from_ref(self).addr() % 128, 0);
        assert!(self.bytes.iter().all(|&byte| byte == 9));
    }
}

impl Actor for Void {}
impl Actor for Huge {}

impl Handler<u64> for Wide {
    type Reply = u64;

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) -> u64 {
        self.check();
        if n > 0 {
            let child = Self { bytes: [9; 1000], _drops: Counted(self._drops.0.clone()) };
            ctx.spawn(child).tell(n - 1).unwrap();
        }
        n
    }
}

impl Handler<u64> for Void {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        n
    }
}

impl Handler<u64> for Huge {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.0[n as usize]
    }
}

fn states_of_every_kind(on: Engine) {
    let stage = Stage::new(on);
    let drops = Count::default();
    let wide = stage.spawn(Wide { bytes: [9; 1000], _drops: Counted(drops.clone()) });
    assert_eq!(wide.ask(5).wait(), Ok(5));
    stage.living(6);
    let void = stage.spawn(Void);
    assert_eq!(void.ask(7).wait(), Ok(7));
    let mut state = [0; 10_000];
    state[9_999] = 3;
    let huge = stage.spawn(Huge(state));
    assert_eq!(huge.ask(9_999).wait(), Ok(3));
    wide.drain();
    void.stop();
    huge.stop();
    stage.living(0);
    assert_eq!(drops.get(), 6);
    stage.end();
}

fn refused_ones_come_back_whole(on: Engine) {
    let stage = Stage::new(on);
    let (checker, _) = checker(&stage);
    checker.stop();
    stage.living(0);
    assert!(checker.tell(Bytes::<8>::new()).unwrap_err().into_message().is_whole());
    assert!(checker.tell(Bytes::<240>::new()).unwrap_err().into_message().is_whole());
    assert!(checker.tell(Bytes::<241>::new()).unwrap_err().into_message().is_whole());
    assert!(checker.tell(Bytes::<9999>::new()).unwrap_err().into_message().is_whole());
    let error = checker.recipient().send_all([Bytes::<500>::new(); 5]).unwrap_err();
    assert!(error.into_messages().iter().all(Bytes::is_whole));
    checker.tell(Align64Large([64; 5000])).unwrap_err().into_message().check();
    assert_eq!(checker.ask(Bytes::<9999>::new()).wait(), Err(AskError::Stopped));
    stage.end();
}

/// Looks into letters.
struct Clerk(Count);

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        let payload = letter.payload.expect("a payload");
        match payload.downcast::<Bytes<9999>>() {
            Ok(bytes) => assert!(bytes.is_whole()),
            Err(payload) => payload.downcast::<Align64>().expect("one of the two").check(),
        }
        self.0.add(1);
    }
}

fn lost_ones_come_to_the_listener(on: Engine) {
    let stage = Stage::new(on);
    let (checker, seen) = (checker(&stage).0, Count::default());
    stage.dead_letters(stage.spawn(Clerk(seen.clone())));
    checker.stop();
    stage.living(1);
    drop(checker.ask(Bytes::<9999>::new()));
    drop(checker.ask(Align64([64; 64])));
    seen.reaches(2);
    stage.end();
}

fn many_at_once(on: Engine) {
    let stage = Stage::new(on);
    let (checker, seen) = checker(&stage);
    let rounds = 100;
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let checker = checker.clone();
            std::thread::spawn(move || {
                for _ in 0..rounds {
                    in_every_way::<8>(&checker);
                    in_every_way::<100>(&checker);
                    in_every_way::<200>(&checker);
                    in_every_way::<300>(&checker);
                    in_every_way::<2000>(&checker);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    eventually("all are seen", || seen.get() == 3 * rounds * 5 * 6);
    stage.end();
}
