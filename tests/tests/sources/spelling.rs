//! Paths that lead to one place and are written in several ways.

use super::*;

/// `Path` calls `f` and `f/` equal, so they were one source, while the system gives an error for the second. Whichever was read first
/// decided for both, beyond any refresh.
#[test]
fn a_slash_at_the_end_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.txt");
    std::fs::write(&file, "x").unwrap();
    let spelled = |end: &str| PathBuf::from(format!("{}{end}", file.display()));
    let wrong = [spelled("/"), spelled("/."), spelled("//")];
    let store = MemoryStorage::new();
    for round in 0..3 {
        let runtime = over(&store);
        let read = |path: &Path| runtime.run(|| (fs::read(path).is_ok(), text(path).is_ok()));
        if round == 1 {
            assert_eq!(read(&file), (true, true));
        }
        for wrong in &wrong {
            assert_eq!(read(wrong), (false, false), "{wrong:?}");
        }
        assert_eq!(read(&file), (true, true), "round {round}");
        runtime.refresh().unwrap();
        assert_eq!(read(&file), (true, true), "round {round}");
    }
}

/// So with directories: a path that leads through a link to one without a slash, with it is the directory itself.
#[test]
fn spellings_of_a_directory_have_the_entries_of_what_they_lead_to() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, link) = (folder.path().join("dir"), folder.path().join("link"));
    std::fs::create_dir_all(dir.join("below")).unwrap();
    std::os::unix::fs::symlink("dir/below", &link).unwrap();
    std::fs::write(dir.join("inside"), "").unwrap();
    let runtime = Runtime::new();
    let spelled = |text: String| runtime.run(|| names(Path::new(&text)).len());
    for end in ["", "/", "/.", "//", "/./"] {
        assert_eq!(spelled(format!("{}{end}", dir.display())), 2, "{end}");
        assert_eq!(spelled(format!("{}{end}", link.display())), 0, "{end}");
    }
    // By name alone it would be the folder, where there are two as well: but `..` is the parent of what the link leads to.
    assert_eq!(spelled(format!("{}/..", link.display())), 2);
    std::fs::remove_file(dir.join("inside")).unwrap();
    runtime.refresh().unwrap();
    for end in ["", "/", "/.", "//", "/./"] {
        assert_eq!(spelled(format!("{}{end}", dir.display())), 1, "{end}");
    }
    assert_eq!(spelled(format!("{}/..", link.display())), 1);
}

#[task_fn]
fn borrowed(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[task_fn]
fn owned(path: PathBuf) -> String {
    borrowed(&path)
}

#[task_fn]
fn listed(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| borrowed(path)).collect()
}

#[task_fn]
fn kept(paths: Vec<PathBuf>, perhaps: Option<PathBuf>) -> (Vec<String>, Option<String>) {
    (listed(&paths), perhaps.map(owned))
}

#[task_fn]
fn shared(path: std::sync::Arc<Path>) -> String {
    borrowed(&path)
}

#[task_fn]
fn boxed(path: Box<Path>) -> String {
    borrowed(&path)
}

/// Tasks over paths were one task for all spellings: the body that ran for `a/` answered for `a`, which shows in what it returns.
#[test]
fn a_body_gets_the_path_as_it_was_written() {
    let spellings = ["a", "a/", "a/.", "./a", "a//b", "a/b", "a/./b", "", ".", "/", "//", "a/.."];
    let store = MemoryStorage::new();
    for _ in 0..2 {
        let runtime = over(&store);
        for spelling in spellings.iter().chain(&spellings) {
            let path = Path::new(spelling);
            runtime.run(|| {
                assert_eq!(borrowed(path), *spelling);
                assert_eq!(owned(path.to_owned()), *spelling);
                assert_eq!(boxed(path.into()), *spelling);
                assert_eq!(shared(path.into()), *spelling);
                let paths = vec![path.to_owned(), path.to_owned()];
                assert_eq!(listed(&paths), [*spelling; 2]);
                let (all, one) = kept(paths, Some(path.to_owned()));
                assert_eq!(
                    (&*all, one.as_deref()),
                    (&[spelling.to_string(), spelling.to_string()][..], Some(*spelling))
                );
                assert!(borrowed::is_cached(path) && owned::is_cached(path.to_owned()));
            });
        }
    }
}

#[task_fn(transient)]
fn entries(dir: &larder::Input<String>) -> std::sync::Arc<[fs::Entry]> {
    fs::read_dir(dir.get()).unwrap()
}

#[task_fn(transient)]
fn shown(dir: &larder::Input<String>) -> String {
    entries(dir)[0].path.display().to_string()
}

#[task_fn(transient)]
fn error(file: &larder::Input<String>) -> String {
    failure(file).unwrap_err().to_string()
}

#[task_fn(transient)]
fn failure(file: &larder::Input<String>) -> Result<(), larder::SourceError> {
    fs::read(file.get()).map(drop)
}

/// Entries and errors that differ in the spelling of their path alone were equal, which stopped the change.
#[test]
fn a_change_of_spelling_goes_through_entries_and_errors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "").unwrap();
    let spelled = |middle: &str| format!("{}{middle}", folder.path().display());
    let runtime = Runtime::new();
    let (dir, file) = (runtime.input("dir", spelled("//")), runtime.input("file", spelled("/f/")));
    for (one, other) in [("//", "/f/"), ("/", "/f/."), ("//", "//f/")] {
        let (one, other) = (spelled(one), spelled(other));
        runtime
            .update(|update| {
                update.set(&dir, one.clone());
                update.set(&file, other.clone());
            })
            .unwrap();
        assert_eq!(runtime.run(|| shown(&dir)), format!("{one}f"));
        assert!(runtime.run(|| error(&file)).contains(&format!("{other}:")), "{other}");
    }
}

#[task_fn]
fn of_input(path: &larder::Input<PathBuf>) -> String {
    path.get().display().to_string()
}

#[task_fn]
fn path_of(text: &larder::Input<String>) -> PathBuf {
    text.get().into()
}

#[task_fn]
fn above(text: &larder::Input<String>) -> String {
    path_of(text).display().to_string()
}

/// Setting an input to another spelling was no change, and neither was a path that a task returned anew.
#[test]
fn another_spelling_is_a_change_of_an_input_and_of_a_result() {
    let store = MemoryStorage::new();
    for _ in 0..2 {
        let runtime = over(&store);
        let path = runtime.input("path", PathBuf::from("a"));
        let text = runtime.input("text", "a".to_owned());
        for spelling in ["a/", "a", "a/.", "a//b", "a/b", "./a"] {
            runtime
                .update(|update| {
                    update.set(&path, spelling.into());
                    update.set(&text, spelling.into());
                })
                .unwrap();
            assert_eq!(
                runtime.run(|| (of_input(&path), above(&text))),
                (spelling.to_owned(), spelling.to_owned())
            );
        }
    }
}
