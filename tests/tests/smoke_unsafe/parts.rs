//! Parts: selected by a body, by their source, in an update, and out of a store.

use larder::storage::MemoryStorage;
use larder::{Digested, Input, Runtime, select, task_fn};

#[task_fn]
fn words(text: &Input<String>) -> Vec<String> {
    text.with(|text| text.split(' ').map(str::to_owned).collect())
}

#[task_fn]
fn length(text: &Input<String>, at: usize) -> usize {
    let word = words::part(text, &at, |words, at| words.get(*at).cloned());
    let again = words::entry(text, &at);
    assert_eq!(word, again);
    word.map_or(0, |word| word.len())
}

#[task_fn]
fn first_byte(text: &Input<String>) -> Option<u8> {
    text.part(&0_usize, |text, at| text.as_bytes().get(*at).copied())
}

#[task_fn]
fn same(content: &Digested<String>) -> usize {
    content.len()
}

#[test]
fn parts_follow_what_they_are_of() {
    let store = MemoryStorage::new();
    for stored in [false, true, true] {
        let builder = Runtime::builder();
        let runtime = if stored {
            builder.storage(store.clone()).code_identity("parts").try_build().unwrap()
        } else {
            builder.build()
        };
        let text = runtime.input("text", "one two".to_owned());
        for (value, lengths) in
            [("one two", [3, 3, 0]), ("one  two", [3, 0, 3]), ("a", [1, 0, 0]), ("one two x", [3, 3, 1])]
        {
            runtime.update(|update| update.set(&text, value.to_owned())).unwrap();
            assert_eq!(runtime.run(|| [0, 1, 2].map(|at| length(&text, at))), lengths);
            assert_eq!(runtime.run(|| first_byte(&text)), value.bytes().next());
            assert_eq!(runtime.run(|| same(&Digested::new(value.to_owned()))), value.len());
        }
        let list = runtime.transient_input("list", vec![1_u8, 2]);
        assert_eq!(runtime.run(|| list.transient_part(&1_usize, select::entry)), Some(2));
        runtime.flush().unwrap();
    }
}
