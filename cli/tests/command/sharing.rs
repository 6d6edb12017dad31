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
fn a_cache_is_verified_and_what_does_not_hold_is_named() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let (at, store, (secret, public)) = (folder.path().to_str().unwrap(), scene.store(), keys("ci-1"));
    shared(&["push", store.to_str().unwrap(), at], &[("LARDER_SHARED_SIGNING_KEY", &secret)]).fine();
    let verify = ["verify", at, "--trust", &public];
    let sound = shared(&verify, &[]).fine();
    assert!(sound.contains("1 of 1 pack hold, with 5 tasks"), "{sound}");
    let mut packs: Vec<_> = walk(folder.path()).into_iter().filter(|path| is_pack(path)).collect();
    let pack = packs.pop().unwrap();
    assert!(packs.is_empty());
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let damaged = shared(&verify, &[]);
    assert_eq!(damaged.code, 1);
    let damaged = damaged.out;
    assert!(damaged.contains("0 of 1 pack hold") && damaged.contains("does not hold: `"), "{damaged}");
    let json = shared(&["verify", at, "--trust", &public, "--json"], &[]).json();
    assert_eq!((&json["sound"], &json["packs"], &json["tasks"]), (&0.into(), &1.into(), &0.into()));
    assert_eq!(json["rejected"].as_array().map(Vec::len), Some(1));
}

fn is_pack(path: &std::path::Path) -> bool {
    path.components().any(|part| part.as_os_str() == "p")
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
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

#[test]
fn a_ping_tells_what_is_there_and_what_one_may_do() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let (at, store) = (folder.path().join("cache"), scene.store());
    let (at, store) = (at.to_str().unwrap(), store.to_str().unwrap());
    let (secret, public) = keys("ci-1");
    let empty = shared(&["ping", at], &[]).fine();
    assert!(empty.contains("nothing has been pushed as `main`") && empty.contains("10 more took"), "{empty}");
    assert!(!std::path::Path::new(at).exists(), "without `--write` nothing is written");
    shared(&["push", store, at], &[("LARDER_SHARED_SIGNING_KEY", &secret)]).fine();
    let pushed = shared(&["ping", at, "--trust", &public, "--write"], &[]).fine();
    for line in ["`main` is number 1, signed by ci-1", "writes: yes", "leases: yes"] {
        assert!(pushed.lines().any(|one| one == line), "{pushed}");
    }
    let untrusted = shared(&["ping", at], &[]);
    assert_eq!(untrusted.code, 1);
    assert!(untrusted.out.contains("signed by a key that `--trust` does not name"), "{}", untrusted.out);
    let nowhere = shared(&["ping", at, "--trust", &public, "--json", "--count", "3"], &[]).fine();
    let told: serde_json::Value = serde_json::from_str(&nowhere).unwrap();
    assert_eq!((&told["looks"], &told["writes"]), (&3.into(), &serde_json::Value::Null));
    assert!(told["median_ms"].is_number() && told["is_usable"] == true, "{told}");
    // A lease that was taken to try is given back, and pushes and pulls are as before.
    let again = shared(&["ls", at, "--trust", &public], &[]).fine();
    assert!(again.contains("main is number 1"), "{again}");
}

#[test]
fn a_ping_of_what_does_not_work_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = shared(&["ping", file.to_str().unwrap()], &[]).fails(3);
    assert!(error.contains("does not work"), "{error}");
}

#[test]
fn stores_of_the_two_kinds_of_fingerprints_do_not_meet_and_it_is_said() {
    let (scene, there) = (Scene::new(), Scene::new());
    let folder = tempfile::tempdir().unwrap();
    let (at, (secret, public)) = (folder.path().to_str().unwrap(), keys("ci-1"));
    scene.runtime_with(Fingerprints::Xxh3, "fast.redb", "code").run(|| report(&["a.txt".to_owned()]));
    let fast = scene.path("fast.redb");
    assert!(on("stats", &fast).fine().contains("xxh3-128 fingerprints"));
    assert!(scene.larder("stats", &[]).fine().contains("blake3-128 fingerprints"));
    on("verify", &fast).fine();
    let compared = run(Command::new(LARDER).arg("doctor").arg(&fast).arg("--against").arg(scene.store()));
    assert!(compared.out.contains("the kind of fingerprints differs"), "{}", compared.out);

    let push = ["push", fast.to_str().unwrap(), at];
    let pushed = shared(&push, &[("LARDER_SHARED_SIGNING_KEY", &secret)]).fine();
    assert!(pushed.contains("for stores of xxh3-128 fingerprints only"), "{pushed}");
    let (to, trusted) = (there.path("new.redb"), [("LARDER_SHARED_TRUST", public.as_str())]);
    let pull = ["pull", to.to_str().unwrap(), at];
    let nothing = shared(&pull, &trusted);
    assert!(nothing.err.contains("with blake3-128 fingerprints"), "{}", nothing.err);
    let pulled = shared(&[&pull[..], &["--fingerprints", "xxh3"]].concat(), &trusted).fine();
    assert!(pulled.contains("pulled 3 results"), "{pulled}");
    // From here on the store says it, and the other kind would empty it.
    let again = shared(&pull, &trusted).fine();
    assert!(again.contains("3 known already"), "{again}");
    let refused = shared(&[&pull[..], &["--fingerprints", "blake3"]].concat(), &trusted);
    assert!(refused.err.contains("a store is of one kind"), "{}", refused.err);
    let runtime = there.runtime_with(Fingerprints::Xxh3, "new.redb", "code");
    runtime.run(|| report(&["a.txt".to_owned()]));
    assert_eq!(runtime.stats().runs(), 0);
}
