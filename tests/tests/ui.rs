//! Messages of the compiler about misuse of `#[task_fn]`; correct use draws no warnings.
//!
//! After a change of messages: `TRYBUILD=overwrite cargo test -p larder-tests --test ui`, then read the difference.

/// One set of cases: with a `pass` among them trybuild builds instead of checking, and only a build sees that a future
/// is larger than allowed.
#[test]
fn misuse_is_explained_and_correct_use_draws_no_warnings() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
