use larder::task_fn;

#[task_fn(skip_unused)]
fn read(_context: u32, x: u32) -> u32 {
    x + _context
}

fn main() {
    read(1, 2);
}
