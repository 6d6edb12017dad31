use larder::task_fn;

#[derive(Clone)]
struct Settings;

#[task_fn(transient)]
fn by_value(settings: Settings) -> u32 {
    let Settings = settings;
    0
}

#[task_fn(transient)]
fn borrowed(x: u32, settings: &Settings) -> u32 {
    let Settings = settings;
    x
}

#[task_fn(transient)]
fn float(x: f64) -> f64 {
    x
}

fn main() {
    by_value(Settings);
    borrowed(1, &Settings);
    float(1.0);
}
