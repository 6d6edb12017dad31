//! Why two machines do not share.

use super::*;

fn doctor(store: &Path, args: &[&str]) -> Ran {
    run(Command::new(LARDER).arg("doctor").arg(store).args(args))
}

#[test]
fn two_stores_of_one_program_are_found_fit_and_of_another_code_are_not() {
    let (here, there) = (Scene::new(), Scene::new());
    assert!(doctor(&here.store(), &[]).fine().contains("nothing stays here"));
    let other = there.store();
    let fit = doctor(&here.store(), &["--against", other.to_str().unwrap()]).fine();
    assert!(fit.contains("can be shared"), "{fit}");
    there.runs_in("new.redb", "new code", &["a.txt"]);
    let new = there.path("new.redb");
    let unfit = doctor(&here.store(), &["--against", new.to_str().unwrap()]);
    assert_eq!(unfit.code, 1);
    assert!(unfit.out.contains("the code of 3 functions differs"), "{}", unfit.out);
    assert!(unfit.out.contains("code_identity"), "{}", unfit.out);
}

#[test]
fn a_diagnosis_travels_as_json() {
    let (here, there) = (Scene::new(), Scene::new());
    let made = run(Command::new(LARDER).arg("doctor").arg(there.store()).arg("--json")).fine();
    let file = here.path("there.json");
    std::fs::write(&file, &made).unwrap();
    let fit = doctor(&here.store(), &["--against", file.to_str().unwrap()]).fine();
    assert!(fit.contains("can be shared"), "{fit}");
    let platform = made.replace(std::env::consts::ARCH, "another");
    std::fs::write(&file, platform).unwrap();
    let unfit = doctor(&here.store(), &["--against", file.to_str().unwrap()]);
    assert_eq!(unfit.code, 1);
    assert!(unfit.out.contains("the platform differs"), "{}", unfit.out);
    for hostile in ["{", "{}", "{\"diagnosis\":{\"functions\":[1]}}"] {
        std::fs::write(&file, hostile).unwrap();
        assert!(
            doctor(&here.store(), &["--against", file.to_str().unwrap()])
                .fails(2)
                .contains("is no diagnosis")
        );
    }
    assert!(!doctor(&here.store(), &["--against", "/dev/null"]).err.is_empty());
}

#[test]
fn absolute_paths_and_secrets_are_named() {
    let scene = Scene::new();
    let absolute = scene.path("a.txt");
    scene.runs_in("absolute.redb", "code", &[absolute.to_str().unwrap()]);
    let found = doctor(&scene.path("absolute.redb"), &[]);
    assert_eq!(found.code, 1);
    assert!(found.out.contains("an absolute path") && found.out.contains("base(dir)"), "{}", found.out);
}
