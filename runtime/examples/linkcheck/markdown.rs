//! What a Markdown file holds, as far as links are concerned.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

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
        let mut document = Document::default();
        let mut heading: Option<String> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    if let Some(heading) = heading.take() {
                        document.add_anchor(slug(&heading));
                    }
                }
                Event::Text(piece) | Event::Code(piece) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&piece);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = 1 + text[..range.start].matches('\n').count();
                    document.links.push(Link { line, target: dest_url.into_string() });
                }
                Event::Html(html) | Event::InlineHtml(html) => document.anchors.extend(ids(&html)),
                _ => {}
            }
        }
        document
    }

    /// A heading that has been there before gets a number.
    fn add_anchor(&mut self, slug: String) {
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let free =
            std::iter::once(slug.clone()).chain(numbered).find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

/// How GitHub names a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// The values of `id` and `name` in HTML. Attributes in quotes only.
pub fn ids(html: &str) -> impl Iterator<Item = String> + '_ {
    ["id", "name"].into_iter().flat_map(move |attribute| {
        html.match_indices(attribute).filter_map(|(at, _)| {
            let before = html[..at].chars().next_back()?;
            let value = html[at + attribute.len()..].trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, _) = value[1..].split_once(quote)?;
            before.is_whitespace().then(|| value.to_owned())
        })
    })
}
