//! XML elements, and writing them.

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Writer, escape};

use super::attribute::Attribute;
use super::{Position, TwimlError};

/// An element with all it holds.
#[derive(Debug)]
pub(super) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    content: Vec<Node>,
    at: Position,
}

#[derive(Debug)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// An element to be written.
    pub(super) fn new(name: &str) -> Self {
        Self::at(Position::START, name, Vec::new())
    }

    /// An element that was read.
    pub(super) fn at(at: Position, name: &str, attributes: Vec<(String, String)>) -> Self {
        Self {
            name: name.into(),
            attributes,
            content: Vec::new(),
            at,
        }
    }

    /// With an attribute, if it has a value.
    pub(super) fn with<T: Attribute>(mut self, name: &str, value: Option<&T>) -> Self {
        self.attributes
            .extend(value.map(|value| (name.into(), value.write())));
        self
    }

    pub(super) fn with_child(mut self, child: Self) -> Self {
        self.push_child(child);
        self
    }

    pub(super) fn with_text(mut self, text: &str) -> Self {
        self.push_text(text);
        self
    }

    pub(super) fn push_child(&mut self, child: Self) {
        self.content.push(Node::Element(child));
    }

    pub(super) fn push_text(&mut self, text: &str) {
        self.content.push(Node::Text(text.into()));
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An attribute, if it is there.
    pub(super) fn attribute<T: Attribute>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, TwimlError> {
        let Some((_, text)) = self.attributes.iter().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        T::read(text).map(Some).ok_or_else(|| {
            let found = format!("`{}`", text.chars().take(40).collect::<String>());
            self.bad_attribute(name, found, T::EXPECTED)
        })
    }

    /// An attribute that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<String, TwimlError> {
        let missing = || self.bad_attribute(name, "missing".into(), String::EXPECTED);
        self.attribute(name)?.ok_or_else(missing)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The text in this element, without that of its children and without white space around it.
    pub(super) fn own_text(&self) -> String {
        let texts = self.content.iter().filter_map(|node| match node {
            Node::Element(_) => None,
            Node::Text(text) => Some(text.as_str()),
        });
        texts.collect::<String>().trim().into()
    }

    /// The text in this element and in all it holds, without white space around it.
    pub(super) fn all_text(&self) -> String {
        let mut text = String::new();
        self.collect_text(&mut text);
        text.trim().into()
    }

    fn collect_text(&self, text: &mut String) {
        for node in &self.content {
            match node {
                Node::Element(child) => child.collect_text(text),
                Node::Text(own) => text.push_str(own),
            }
        }
    }

    /// This element is not known where it is.
    pub(super) fn unknown(&self, parent: impl Into<String>) -> TwimlError {
        TwimlError::UnknownElement {
            at: self.at,
            name: self.name.clone(),
            parent: parent.into(),
        }
    }

    pub(super) fn bad_content(&self, expected: &'static str) -> TwimlError {
        TwimlError::BadContent {
            at: self.at,
            element: self.name.clone(),
            expected,
        }
    }

    pub(super) fn bad_attribute(
        &self,
        attribute: &'static str,
        found: String,
        expected: &'static str,
    ) -> TwimlError {
        let element = self.name.clone();
        TwimlError::BadAttribute {
            at: self.at,
            element,
            attribute,
            found,
            expected,
        }
    }

    /// The document with this element as root.
    pub(super) fn to_xml(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        let declaration = BytesDecl::new("1.0", Some("UTF-8"), None);
        put(&mut writer, Event::Decl(declaration));
        self.write(&mut writer);
        String::from_utf8(writer.into_inner()).expect("only text was written")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) {
        let mut start = BytesStart::new(&*self.name);
        for (name, value) in &self.attributes {
            // A pair of bytes is taken as escaped already.
            start.push_attribute((name.as_bytes(), escaped(value).as_bytes()));
        }
        if self.content.is_empty() {
            put(writer, Event::Empty(start));
            return;
        }
        put(writer, Event::Start(start));
        for node in &self.content {
            match node {
                Node::Element(child) => child.write(writer),
                Node::Text(text) => {
                    put(writer, Event::Text(BytesText::from_escaped(escaped(text))));
                }
            }
        }
        put(writer, Event::End(BytesEnd::new(&*self.name)));
    }
}

fn put(writer: &mut Writer<Vec<u8>>, event: Event<'_>) {
    writer
        .write_event(event)
        .expect("writing to a Vec does not fail");
}

/// Text as it can stand in an attribute or an element and be read back the same: readers turn
/// unescaped line ends and tabs into spaces in attributes and `\r` into `\n` everywhere.
fn escaped(text: &str) -> String {
    let legal: String = text.chars().filter(|char| is_xml_char(*char)).collect();
    let text = escape::escape(legal);
    text.replace('\t', "&#9;")
        .replace('\n', "&#10;")
        .replace('\r', "&#13;")
}

/// The production `Char` of XML 1.0.
pub(super) fn is_xml_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
