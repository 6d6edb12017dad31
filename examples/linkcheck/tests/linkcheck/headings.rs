//! The anchors of a Markdown file, as GitHub names them.

use crate::markdown::Document;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(Document::parse(text).anchors.into_iter().collect::<Vec<_>>(), expected, "{text:?}");
}

#[test]
fn signs_go_and_marks_stay() {
    check("# Über uns: *alle* `x_y`!", &["über-uns-alle-x_y"]);
    check("# I ♥ unicode", &["i--unicode"]);
    check("# Привет non-latin 你好", &["привет-non-latin-你好"]);
    // A sign and its variation selector, which is a mark.
    check("# ⚙\u{fe0f} Settings", &["\u{fe0f}-settings"]);
    check("# 🎉 Party", &["-party"]);
    check("# 1\u{fe0f}\u{20e3} One", &["1\u{fe0f}\u{20e3}-one"]);
    // An e and an accent of its own; Hindi is written with marks.
    check("# Cafe\u{301}", &["cafe\u{301}"]);
    check("# हिन्दी", &["हिन्दी"]);
    // Joiners, powers and fractions are neither letters nor digits.
    check("# 👨\u{200d}👩 m² ½", &["-m-"]);
    check("# ३ digits, Ⅷ letter", &["३-digits-ⅷ-letter"]);
    check("# :rocket: Start", &["rocket-start"]);
    check("# [A link](x) and ![an image](y) and <b>HTML</b>", &["a-link-and--and-html"]);
    check("Two\nlines\n===", &["twolines"]);
    check("# C & D &amp; E", &["c--d--e"]);
    check("> ## Quoted\n\n- ### In a list", &["quoted", "in-a-list"]);
}

#[test]
fn names_that_are_given_already_get_the_next_number_that_is_free() {
    check("# a\n# a\n# a", &["a", "a-1", "a-2"]);
    check("# a-1\n# a\n# a\n# a", &["a-1", "a", "a-2", "a-3"]);
    check("# a\n# a\n# a-1", &["a", "a-1", "a-1-1"]);
    // An anchor in HTML takes no name away.
    check("<a id=\"a\"></a>\n\n# a\n# a", &["a", "a-1"]);
}

#[test]
fn anchors_in_html_are_found_however_they_are_written() {
    check("<a name=\"x\"></a> <a id='y z'></a> <p ID=w>", &["x", "y z", "w"]);
    check("<div\nid=\"x\"\n  name = 'y'>\n\n", &["x", "y"]);
    check("text <a\nid=\"x\"></a>", &["x"]);
    check("    <a id=\"code\">\n\n`<a id=\"code\">` grid=\"x\"", &[]);
}

/// A mark of the byte order made a text of the first heading, and what stands in front by itself a heading.
#[test]
fn what_stands_before_the_first_heading_is_none() {
    check("\u{feff}# Title", &["title"]);
    check("---\ntitle: x\n---\n# Title", &["title"]);
    check("\u{feff}---\ntitle: x\n---\n# Title", &["title"]);
    let document = Document::parse("\u{feff}[a](b)\r\n[c](d)\n");
    let lines: Vec<_> = document.links.iter().map(|link| (link.line, &*link.target)).collect();
    assert_eq!(lines, [(1, "b"), (2, "d")]);
}

#[test]
fn links_are_told_with_their_line_and_as_they_are_written() {
    let text = "[a](b\n\"title\") <a@b.test> <http://c.test>\n\n[d][e] ![f](<g h>)\n\n[e]: i\n";
    let document = Document::parse(text);
    let links: Vec<_> = document.links.iter().map(|link| (link.line, &*link.target)).collect();
    assert_eq!(links, [(1, "b"), (2, "mailto:a@b.test"), (2, "http://c.test"), (4, "i"), (4, "g h")]);
}

/// The line of each link was counted from the beginning of the file, and the number of each heading from one.
#[test]
fn a_file_of_very_many_links_and_headings_is_parsed() {
    const MANY: usize = 200_000;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let document = Document::parse(&"# Same\n[link](target)\n".repeat(MANY));
        sender.send((document.links.len(), document.links[MANY - 1].line, document.anchors.len()))
    });
    // Counting anew takes hours.
    let parsed = receiver.recv_timeout(std::time::Duration::from_secs(100)).expect("it ends");
    assert_eq!(parsed, (MANY, 2 * MANY, MANY));
}

/// Texts of what is special to Markdown, HTML and URLs, put together at random: none of it is a panic.
#[test]
fn any_text_is_parsed_and_any_link_leads_somewhere_or_nowhere() {
    const PIECES: [&str; 40] = [
        "#", "# ", "[", "]", "(", ")", "<", ">", "!", "`", "\n", "\r\n", "id", "name", "=", "\"", "'", " ",
        "é", "\u{301}", "\u{feff}", "%", "%4", "%C3", "%00", "://", "http:", "https:", "//", "/", "..", "?",
        ":~:", "@", "mailto:", "---\n", "<a ", "&amp;", "&", "x",
    ];
    let mut state = 1_u64;
    let mut next = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % end
    };
    for _ in 0..20_000 {
        let text: String = (0..next(30)).map(|_| PIECES[next(PIECES.len())]).collect();
        let document = Document::parse(&text);
        for target in document.links.iter().map(|link| &*link.target).chain([&*text]) {
            let _ = crate::target::Target::of("/a/b.md".as_ref(), "/a".as_ref(), target);
            let _ = crate::target::shown(target);
            let joined = crate::url::Url::parse("http://h/a?b").unwrap().join(target);
            let urls = [crate::url::Url::parse(target), joined];
            for url in urls.into_iter().flatten() {
                let _ = (url.whole(), url.path(), url.address(), url.authorization());
            }
        }
    }
}
