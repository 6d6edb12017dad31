//! Error texts: they name calls, however long and however secret the arguments are, in time that grows with their number.

use std::fmt;

use larder::{Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;

#[task_fn(transient)]
fn ring(n: u32, of: u32) -> u32 {
    ring((n + 1) % of, of) + 1
}

/// Each task on a cycle was looked for among all others, again whenever one of them ended: a cycle of 100,000 tasks took over a minute
/// in a release build.
#[test]
fn a_cycle_of_many_tasks_is_told_as_fast_as_they_are_run() {
    const OF: u32 = 60_000;
    in_time(|| {
        let error = Runtime::new().try_run(|| ring(0, OF)).expect_err("a ring of tasks");
        let TaskError::Cycle(cycle) = error else { panic!("{error:?}") };
        assert_eq!(cycle.path.len(), OF as usize);
        assert_eq!(cycle.path[7], "ring(7, 60000)");
    });
}

#[task_fn(transient)]
fn catches_each(n: u32, of: u32) -> u32 {
    // The task after the next one is asked for again when the cycle has been found.
    let next = catches_each::task((n + 1) % of, of).try_get().unwrap_or(0);
    next + catches_each::task((n + 2) % of, of).try_get().unwrap_or(0)
}

/// Bodies that catch the error do not make it longer, nor escape it.
#[test]
fn a_cycle_whose_tasks_catch_the_error_is_told_as_fast() {
    in_time(|| {
        let runtime = Runtime::new();
        for of in [3, 20_000] {
            let error = runtime.try_run(|| catches_each(0, of)).expect_err("a ring of tasks");
            let TaskError::Cycle(cycle) = error else { panic!("{error:?}") };
            assert_eq!(cycle.path.len(), of as usize);
            for n in 1..3 {
                let error = runtime.try_run(|| catches_each(n, of));
                assert!(matches!(error, Err(TaskError::Cycle(_))), "{n} of {of}: {error:?}");
            }
        }
    });
}

#[task_fn(transient)]
fn long_ring(n: u32, text: &str) -> u32 {
    long_ring((n + 1) % 3, text) + 1
}

#[task_fn(transient)]
fn fails(bytes: &[u8], n: u32) -> u32 {
    panic!("{n} of {} bytes", bytes.len())
}

/// An argument of ten megabytes stood in the error once per task on the cycle, and the first one's twice in its text.
#[test]
fn long_arguments_are_cut_short_in_error_texts() {
    let runtime = Runtime::new();
    let text = "x".repeat(10 << 20);
    let error = runtime.try_run(|| long_ring(0, &text)).expect_err("a ring of tasks");
    let told = error.to_string();
    assert!(told.starts_with("a task depends on itself: long_ring(0, \"xxx") && told.len() < 1000, "{told}");
    assert_eq!(told.matches("xxx..) -> long_ring(").count(), 3, "{told}");
    assert!(format!("{error:?}").len() < 1000);

    let error = runtime.try_run(|| fails(&vec![7; 10 << 20], 5)).expect_err("the body panics");
    let told = error.to_string();
    assert!(told.starts_with("task fails([7, 7, ") && told.len() < 300, "{told}");
    assert!(told.ends_with("7.., 5) panicked: 5 of 10485760 bytes"), "{told}");
}

#[task_fn(transient, secret_args)]
fn login(user: &str, password: &str) -> u32 {
    match password {
        "around" => login(user, password),
        _ => panic!("{user} is unknown"),
    }
}

struct Server {
    key: u64,
}

impl Server {
    #[task_fn(transient, secret_args)]
    async fn connect(&self, password: String) -> u32 {
        std::future::ready(()).await;
        panic!("{} refused", u64::from(self.key == 0) + u64::from(password.is_empty()))
    }
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self { key: self.key }
    }
}
impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Server {}
impl std::hash::Hash for Server {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.key)
    }
}

#[test]
fn secret_arguments_stand_in_no_text() {
    let runtime = Runtime::new();
    let told = |error: &TaskError| {
        let texts = format!("{error} {error:?}");
        assert!(
            !texts.contains("hunter2") && !texts.contains("4711") && !texts.contains("around"),
            "{texts}"
        );
        error.to_string()
    };
    let error = runtime.try_run(|| login("ada", "hunter2")).expect_err("the body panics");
    assert_eq!(told(&error), "task login(..) panicked: ada is unknown");
    let error = runtime.try_run(|| login("ada", "around")).expect_err("a cycle");
    assert_eq!(told(&error), "a task depends on itself: login(..) -> login(..)");
    let server = Server { key: 4711 };
    let error = runtime.try_run(|| larder::ask(|| server.connect("hunter2".to_owned())).task::<u32>().get());
    assert_eq!(told(&error.expect_err("the body panics")), "task connect(..) panicked: 0 refused");
    runtime.run(|| {
        let handle = login::task("ada", "hunter2");
        assert!(!format!("{handle:?}").contains("hunter2"));
    });
}

/// A secret that prints itself as something else, wherever it stands.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[task_fn(transient)]
fn log_in(user: &str, password: &Password) -> usize {
    panic!("{user} is unknown, {}", password.0.len())
}

#[test]
fn an_argument_prints_itself_as_its_type_says() {
    let password = Password("hunter2".to_owned());
    let error = Runtime::new().try_run(|| log_in("ada", &password)).expect_err("the body panics");
    assert_eq!(error.to_string(), "task log_in(\"ada\", Password(..)) panicked: ada is unknown, 7");
}

#[task_fn(transient, cycle_initial = 255)]
fn least(n: u32) -> u32 {
    most(n)
}

#[task_fn(transient, cycle_initial = 0)]
fn most(n: u32) -> u32 {
    least(n)
}

#[task_fn(transient, cycle_initial = n, cycle_rounds = 30)]
fn hands_on(n: u32, of: u32) -> u32 {
    hands_on((n + 1) % of, of)
}

#[task_fn(transient, cycle_initial = 0)]
fn climbs(n: u32) -> u32 {
    climbs(n) + n
}

/// Two tasks that return each other's value exchange their initial values in each round: that there is no fixpoint was told, and not
/// why.
#[test]
fn initial_values_that_go_round_are_told_as_that() {
    let told = |ask: &dyn Fn() -> u32| {
        let error = Runtime::new().try_run(ask).expect_err("there is no fixpoint");
        assert!(matches!(error, TaskError::NoFixpoint(_)), "{error:?}");
        error.to_string()
    };
    let expected = "a cycle comes to no fixpoint: least(0) has changed in 200 rounds, and changes again, from 255 to 0, since it \
                    reads most(0), which has changed from 255 to 0: least(0) -> most(0) -> least(0) (values go round: this one has been back at what it was at first; begin with the same \
                    `cycle_initial` on the whole cycle, and let no body return less when it reads more)";
    assert_eq!([told(&|| least(0)), told(&|| most(0))], [expected; 2], "whichever is asked first");
    for of in 2..=15 {
        let text = told(&|| hands_on(1, of));
        assert!(text.contains("`cycle_initial`"), "{of}: {text}");
    }
    let text = told(&|| climbs(1));
    let ending = "changes again, from 200 to 201, since it reads climbs(1), which has changed from 199 to 200: climbs(1) -> climbs(1)";
    assert!(text.ends_with(ending), "{text}");
}

/// Has no `Debug`, and can be stored.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Unprinted(u32);

#[task_fn(cycle_initial = Unprinted(0), cycle_rounds = 3)]
fn unprinted(n: u32) -> Unprinted {
    Unprinted(unprinted_plainly(n).0 + 1)
}

#[task_fn]
fn unprinted_plainly(n: u32) -> Unprinted {
    unprinted(n)
}

#[task_fn(transient, cycle_initial = Unprinted(0), cycle_rounds = 3)]
fn untold(n: u32) -> Unprinted {
    Unprinted(untold(n).0 + 1)
}

#[task_fn(secret_args, cycle_initial = 0, cycle_rounds = 3)]
fn secret(n: u32) -> u32 {
    secret(n) + 77_000
}

#[task_fn(transient, cycle_initial = "x".repeat(300), cycle_rounds = 1)]
fn long(n: u32) -> String {
    format!("{}{n}", long(n))
}

#[derive(Clone, PartialEq)]
struct Unprintable(u32);

impl std::fmt::Debug for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("it will not be printed")
    }
}

#[task_fn(transient, cycle_initial = Unprintable(0), cycle_rounds = 1)]
fn unprintable(n: u32) -> Unprintable {
    Unprintable(unprintable(n).0 + 1)
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |_, _, round| round, cycle_rounds = 5)]
fn steps_on(n: u32) -> u32 {
    let _ = steps_beside(n);
    3
}

#[task_fn(transient)]
fn steps_beside(n: u32) -> u32 {
    steps_on(n).min(1)
}

fn no_fixpoint<T>(ask: impl FnOnce() -> T) -> std::sync::Arc<larder::FixpointError> {
    match Runtime::new().try_run(ask).map(|_| ()) {
        Err(TaskError::NoFixpoint(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cycle_without_a_fixpoint_says_between_which_values_and_why() {
    let error = no_fixpoint(|| unprinted(1));
    let prints =
        [&error.change.before, &error.change.after].map(|print| print.clone().expect("it is encoded"));
    assert!(prints.iter().all(|print| print.starts_with('#') && print.len() == 9), "{prints:?}");
    assert_ne!(prints[0], prints[1]);
    let (read, change) = error.because.as_ref().expect("it has read something");
    assert_eq!((read.as_str(), &change.after), ("unprinted_plainly(1)", &error.change.before));
}

#[test]
fn values_that_cannot_or_must_not_be_printed_are_not() {
    let error = no_fixpoint(|| untold(1));
    assert_eq!((&error.change.before, &error.change.after), (&None, &None));
    assert!(
        error.to_string().contains("changes again, since it reads untold(1), which has changed: "),
        "{error}"
    );
    let text = no_fixpoint(|| secret(1)).to_string();
    assert!(!text.contains("000") && !text.contains('#'), "{text}");
    let text = no_fixpoint(|| long(1)).to_string();
    assert!(text.contains("xx..") && text.len() < 1_500, "{text}");
    let text = no_fixpoint(|| unprintable(1)).to_string();
    assert!(text.contains("from <a panic in Debug> to <a panic in Debug>"), "{text}");
}

#[test]
fn a_step_that_does_not_settle_by_itself_names_no_read() {
    let error = no_fixpoint(|| steps_on(0));
    assert_eq!(error.because, None);
    assert!(error.to_string().contains("changes again, from 5 to 6: steps_on(0)"), "{error}");
}
