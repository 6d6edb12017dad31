//! Print: arguments and outputs in error texts, each cut short. A text of ten megabytes as an argument must not fill the log with every error.

use std::fmt::{self, Write};

/// The most bytes that are printed of one argument.
const MOST: usize = 200;
/// So many more are swallowed before the argument's `Debug` is told to stop. Most are over by then, and see no error.
/// Few under Miri, which takes a minute for as many as these.
const SWALLOWED: usize = if cfg!(miri) { 1 << 8 } else { 1 << 16 };

/// A tuple of arguments that can be printed.
pub trait Print {
    /// Writes the arguments as those of a call: `(1, "two")`.
    ///
    /// # Errors
    /// If `f` takes no more.
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: fmt::Debug),*> Print for ($($name,)*) {
            fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(f, &[$(&self.$index),*])
            }
        }
    };
}

for_each_tuple!(tuples);

fn print(f: &mut fmt::Formatter<'_>, arguments: &[&dyn fmt::Debug]) -> fmt::Result {
    f.write_char('(')?;
    for (number, argument) in arguments.iter().enumerate() {
        if number > 0 {
            f.write_str(", ")?;
        }
        print_short(f, argument)?;
    }
    f.write_char(')')
}

/// Writes a value, cut short.
pub(crate) fn print_short(f: &mut fmt::Formatter<'_>, value: &dyn fmt::Debug) -> fmt::Result {
    let mut short = Short { out: f, left: MOST, swallowed: 0 };
    let printed = write!(short, "{value:?}");
    match short.swallowed {
        0 => printed,
        _ => f.write_str(".."),
    }
}

/// Lets the first [`MOST`] bytes pass.
struct Short<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
    swallowed: usize,
}

impl Write for Short<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let passes = if text.len() <= self.left { text.len() } else { text.floor_char_boundary(self.left) };
        if passes < text.len() {
            self.left = 0;
            self.swallowed += text.len() - passes;
        } else {
            self.left -= passes;
        }
        self.out.write_str(&text[..passes])?;
        if self.swallowed > SWALLOWED { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Call<T>(T);

    impl<T: Print> fmt::Display for Call<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.print(f)
        }
    }

    fn check(arguments: impl Print, expected: &str) {
        assert_eq!(Call(arguments).to_string(), expected);
    }

    #[test]
    fn arguments_print_as_those_of_a_call() {
        check((), "()");
        check((1,), "(1)");
        check((1, "two", [3.0]), "(1, \"two\", [3.0])");
    }

    /// Far more than what is printed and swallowed.
    const LONG: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };

    #[test]
    fn each_argument_is_cut_short_by_itself() {
        let long = "x".repeat(LONG);
        let shown = format!("\"{}..", "x".repeat(199));
        check((long.as_str(), 2, long.as_str()), &format!("({shown}, 2, {shown})"));
        check((vec![0u8; LONG], 1), &format!("([{}.., 1)", "0, ".repeat(67)[..199].to_owned()));
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        check(("€".repeat(100),), &format!("(\"{}..)", "€".repeat(66)));
        check(("x".repeat(198),), &format!("(\"{}\")", "x".repeat(198)));
    }

    /// Prints itself for ever, unless it is told to stop.
    struct Endless;

    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("and so on ")?;
            }
        }
    }

    #[test]
    fn an_argument_that_prints_without_end_is_stopped() {
        check((Endless, 1), &format!("({}.., 1)", "and so on ".repeat(20)));
    }
}
