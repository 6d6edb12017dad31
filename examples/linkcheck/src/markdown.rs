//! The content of a Markdown file, as far as links are concerned.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};
use regex::Regex;

/// A file: where it links to, and where in it one can link to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub links: Vec<Link>,
    /// Of headings, as GitHub names them, and of HTML in the text.
    pub anchors: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub line: usize,
    pub target: String,
}

impl Document {
    pub fn parse(text: &str) -> Document {
        // Some editors begin a file with a mark of the byte order. It is no text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = Lines::of(text);
        let mut document = Document::default();
        let mut headings = Headings::default();
        let mut html: Option<String> = None;
        for (event, range) in Parser::new_ext(text, extensions()).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => headings.begin(),
                Event::End(TagEnd::Heading(_)) => document.anchors.extend(headings.end()),
                Event::Text(piece) | Event::Code(piece) => headings.add(&piece),
                Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                    let line = lines.at(range.start);
                    document.links.push(Link { line, target: target(link_type, &dest_url) });
                }
                Event::Start(Tag::Image { link_type, dest_url, .. }) => {
                    let line = lines.at(range.start);
                    document.links.push(Link { line, target: target(link_type, &dest_url) });
                    headings.images += 1;
                }
                Event::End(TagEnd::Image) => headings.images -= 1,
                // A block comes line by line, and a tag may be on several.
                Event::Start(Tag::HtmlBlock) => html = Some(String::new()),
                Event::Html(piece) => html.get_or_insert_default().push_str(&piece),
                Event::End(TagEnd::HtmlBlock) => {
                    document.anchors.extend(html.take().iter().flat_map(|html| ids(html)))
                }
                Event::InlineHtml(piece) => document.anchors.extend(ids(&piece)),
                _ => {}
            }
        }
        document
    }

    /// Whether a link can lead to an anchor of this file. GitHub's own names of anchors have a prefix.
    pub fn has_anchor(&self, anchor: &str) -> bool {
        let own = anchor.strip_prefix("user-content-");
        self.anchors.contains(anchor) || own.is_some_and(|own| self.anchors.contains(own))
    }
}

fn extensions() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        // A line that stands in front of a text by itself would be taken for a heading.
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
}

fn target(link_type: LinkType, url: &str) -> String {
    match link_type {
        // `<a@b.test>` is written without its scheme.
        LinkType::Email => format!("mailto:{url}"),
        _ => url.to_owned(),
    }
}

/// Where lines begin: to count them anew for each link takes time in the square of their number.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The number of the line, from 1, that a byte is in.
    fn at(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= byte)
    }
}

/// Names headings as GitHub does: a name that has been given before gets a number.
#[derive(Default)]
struct Headings {
    current: Option<String>,
    /// Images around what is parsed now; what stands for one that cannot be shown is no text of a heading.
    images: usize,
    /// Names that have been given, and the highest number that was given after each.
    given: HashMap<String, usize>,
}

impl Headings {
    fn begin(&mut self) {
        self.current = Some(String::new());
    }

    fn add(&mut self, text: &str) {
        if let Some(current) = self.current.as_mut().filter(|_| self.images == 0) {
            current.push_str(text);
        }
    }

    fn end(&mut self) -> Option<String> {
        let plain = slug(&self.current.take()?);
        let mut name = plain.clone();
        while self.given.contains_key(&name) {
            let number = self.given.entry(plain.clone()).or_default();
            *number += 1;
            name = format!("{plain}-{number}");
        }
        self.given.insert(name.clone(), 0);
        Some(name)
    }
}

/// How GitHub names a heading: all but letters, marks, digits, connectors, hyphens and spaces goes. Marks stay that are put upon a
/// sign that goes, as the variation selector of an emoji.
fn slug(heading: &str) -> String {
    #[expect(clippy::unwrap_used, reason = "a constant")]
    static DROPPED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\- ]").unwrap());
    let kept = DROPPED.replace_all(heading.trim(), "");
    kept.chars().map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// The values of `id` and `name` in HTML.
pub fn ids(html: &str) -> impl Iterator<Item = String> + '_ {
    let lower = html.to_ascii_lowercase();
    ["id", "name"].into_iter().flat_map(move |attribute| {
        let found: Vec<usize> = lower.match_indices(attribute).map(|(at, _)| at).collect();
        found.into_iter().filter_map(move |at| {
            let is_apart = html[..at].chars().next_back().is_none_or(char::is_whitespace);
            let value = html[at + attribute.len()..].trim_start().strip_prefix('=')?.trim_start();
            let value = match value.chars().next()? {
                quote @ ('"' | '\'') => value[1..].split_once(quote)?.0,
                _ => value.split(|c: char| c.is_whitespace() || c == '>').next()?,
            };
            (is_apart && !value.is_empty()).then(|| value.to_owned())
        })
    })
}
