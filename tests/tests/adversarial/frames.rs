//! Bodies that need much stack themselves, wherever they begin.

use std::hint::black_box;

use larder::{Runtime, task_fn};
use larder_tests::deadline::in_time;

/// Uses 200 KiB of stack and calls the next.
#[task_fn(transient)]
fn large(offset: u32, depth: u32) -> u32 {
    let frame = [1u8; 200 << 10];
    black_box(&frame);
    let below = if depth == 0 { 0 } else { large(offset, depth - 1) };
    below + u32::from(frame[(depth as usize * 97) % frame.len()])
}

/// Takes the stack so many frames of 16 KiB down before bodies nest.
fn further_down(frames: u32, offset: u32, runtime: &Runtime) -> u32 {
    let frame = [0u8; 16 << 10];
    black_box(&frame);
    let found = if frames == 0 {
        runtime.run(|| large(offset, 30))
    } else {
        further_down(frames - 1, offset, runtime)
    };
    found + u32::from(frame[offset as usize])
}

/// Each body has 256 KiB, on whatever stack it begins, and however far down.
#[test]
fn bodies_that_need_200_kib_of_stack_nest() {
    in_time(|| {
        let runtime = Runtime::new();
        for offset in 0..16 {
            let run = || further_down(offset, offset, &runtime);
            let thread = std::thread::Builder::new().stack_size(2 << 20);
            let found = std::thread::scope(|scope| {
                thread.spawn_scoped(scope, run).expect("a thread can be had").join().expect("no panic")
            });
            assert_eq!(found, 31);
        }
    });
}
