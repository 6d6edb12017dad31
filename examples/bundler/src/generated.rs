//! A project of 300 modules, to try things on.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The entry of the project.
pub const ENTRY: &str = "main.js";

/// Writes the project to a folder: `main.js`, ten folders of 29 modules, of which each imports the one after it and `colors`, and
/// nine modules that are found in `modules`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let mut main = String::new();
    for part in 0..10 {
        let dir = folder.join(format!("part{part}"));
        std::fs::create_dir_all(&dir)?;
        _ = writeln!(main, "import \"./part{part}/m0\"");
        for number in 0..29 {
            let mut text = format!("import \"shared{}\"\n", number % 9);
            if number < 28 {
                _ = writeln!(text, "import \"./m{}\"", number + 1);
            }
            _ = writeln!(text, "let m{number} = {number}");
            std::fs::write(dir.join(format!("m{number}.js")), text)?;
        }
    }
    std::fs::write(folder.join(ENTRY), main + "let main = 1\n")?;
    for number in 0..9 {
        let dir = folder.join(format!("modules/shared{number}"));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("index.js"), format!("let shared{number} = {number}\n"))?;
    }
    Ok(())
}
