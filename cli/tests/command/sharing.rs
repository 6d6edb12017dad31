//! Results that travel: one machine pushes its store, another one pulls it.

use super::*;

/// Runs `larder shared ARGS` with these variables alone.
fn shared(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(LARDER);
    command.arg("shared").args(args);
    for name in ["LARDER_SHARED_SIGNING_KEY", "LARDER_SHARED_TRUST"] {
        command.env_remove(name);
    }
    run(command.envs(env.iter().copied()))
}

/// The lines of `keygen` as variables.
fn keys(name: &str) -> (String, String) {
    let made = shared(&["keygen", name], &[]).fine();
    let value = |prefix: &str| made.lines().find_map(|line| line.strip_prefix(prefix)).unwrap().to_owned();
    (value("LARDER_SHARED_SIGNING_KEY="), value("LARDER_SHARED_TRUST="))
}

#[test]
fn a_store_that_is_pulled_spares_all_runs_elsewhere() {
    let (here, there) = (Scene::new(), Scene::new());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("cache");
    let (at, (secret, public)) = (at.to_str().unwrap(), keys("ci-1"));
    let (from, to) = (here.store(), there.path("pulled.redb"));
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let signed = [("LARDER_SHARED_SIGNING_KEY", secret.as_str())];
    let pushed = shared(&["push", from, at, "--namespace", "acme/words"], &signed).fine();
    assert!(pushed.contains("all of it: 5 tasks in 1 pack"), "{pushed}");
    let again = shared(&["push", from, at, "--namespace", "acme/words"], &signed).fine();
    assert!(again.contains("what is new: 0 tasks"), "{again}");
    let listed = shared(&["ls", at, "--namespace", "acme/words", "--trust", &public], &[]).fine();
    assert!(listed.contains("main is number 1, signed by ci-1"), "{listed}");
    let pulled =
        shared(&["pull", to, at, "--namespace", "acme/words"], &[("LARDER_SHARED_TRUST", &public)]).fine();
    assert!(pulled.contains("pulled 5 results"), "{pulled}");
    let runtime = there.runtime_of("pulled.redb", "code");
    runtime.run(|| report(&["a.txt".to_owned(), "b.txt".to_owned()]));
    assert_eq!(runtime.stats().runs(), 0);
}

#[test]
fn whoever_is_not_trusted_is_not_used_and_what_is_missing_is_said() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let (at, store, new) = (folder.path().to_str().unwrap(), scene.store(), scene.path("new.redb"));
    let (store, new) = (store.to_str().unwrap(), new.to_str().unwrap());
    let ((secret, public), (_, other)) = (keys("ci-1"), keys("ci-1"));
    assert!(shared(&["push", store, at], &[]).fails(2).contains("LARDER_SHARED_SIGNING_KEY"));
    assert!(shared(&["pull", new, at], &[]).fails(2).contains("nobody is trusted"));
    let nothing = shared(&["pull", new, at, "--trust", &public], &[]).fails(3);
    assert!(nothing.contains("nothing has been pushed as `main`"), "{nothing}");
    shared(&["push", store, at], &[("LARDER_SHARED_SIGNING_KEY", &secret)]).fine();
    let refused = shared(&["pull", new, at, "--trust", &other], &[]).fails(3);
    assert!(refused.contains("signed by a key that is not trusted"), "{refused}");
    let elsewhere = shared(&["pull", new, "ftp://x/y", "--trust", &public], &[]).fails(2);
    assert!(elsewhere.contains("no engine for URLs of that kind"), "{elsewhere}");
    let wrong = shared(&["push", store, at], &[("LARDER_SHARED_SIGNING_KEY", &secret[..20])]).fails(2);
    assert!(!wrong.contains(&secret[8..20]), "{wrong}");
}
