//! Reading XML into elements: well-formedness, entities, positions, bounds.

use std::fmt;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion, escape};

use super::element::{Element, is_xml_char};
use super::{Position, TwimlError};

/// Deeper than any TwiML; a bound on the recursion over what was read.
const MAX_DEPTH: usize = 16;

/// Reads a document and returns its root.
pub(super) fn parse(xml: &str) -> Result<Element, TwimlError> {
    let mut cursor = Cursor {
        xml,
        offset: 0,
        position: Position::START,
    };
    if let Some((offset, char)) = xml.char_indices().find(|(_, char)| !is_xml_char(*char)) {
        return Err(malformed(
            cursor.advance_to(offset),
            format!("the character {char:?}"),
        ));
    }
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree {
        open: Vec::new(),
        root: None,
    };
    loop {
        let at = cursor.advance_to(to_offset(reader.buffer_position()));
        match reader.read_event() {
            Ok(Event::Eof) => return tree.finish().map_err(|detail| malformed(at, detail)),
            Ok(event) => tree
                .take(event, at)
                .map_err(|detail| malformed(at, detail))?,
            Err(error) => {
                let at = cursor.advance_to(to_offset(reader.error_position()));
                return Err(malformed(at, detail(error)));
            }
        }
    }
}

fn malformed(at: Position, detail: String) -> TwimlError {
    TwimlError::Malformed { at, detail }
}

fn detail(error: impl fmt::Display) -> String {
    error.to_string()
}

fn to_offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Counts lines and columns on the way through a document, so that all positions together cost
/// one pass.
struct Cursor<'a> {
    xml: &'a str,
    offset: usize,
    position: Position,
}

impl Cursor<'_> {
    /// The position of a byte offset. Offsets before the last one keep its position.
    fn advance_to(&mut self, offset: usize) -> Position {
        if let Some(passed) = self.xml.get(self.offset..offset) {
            for char in passed.chars() {
                let Position { line, column } = self.position;
                self.position = match char {
                    '\n' => Position {
                        line: line.saturating_add(1),
                        column: 1,
                    },
                    _ => Position {
                        line,
                        column: column.saturating_add(1),
                    },
                };
            }
            self.offset = offset;
        }
        self.position
    }
}

/// The elements read so far.
struct Tree {
    /// Those begun and not ended, the outermost first.
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), String> {
        match event {
            Event::Start(start) => self.begin(&start, at),
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text.xml10_content().map_err(detail)?),
            Event::CData(text) => self.text(&text.xml10_content().map_err(detail)?),
            Event::GeneralRef(reference) => {
                let reference = format!("&{};", reference.decode().map_err(detail)?);
                self.text(&unescaped(&reference)?)
            }
            Event::DocType(_) => Err("a document type declaration is not accepted".into()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>, at: Position) -> Result<(), String> {
        if self.open.len() == MAX_DEPTH {
            return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
        }
        if self.root.is_some() {
            return Err("a second element after the end of the first".into());
        }
        let name = std::str::from_utf8(start.name().into_inner()).map_err(detail)?;
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(detail)?;
            let key = std::str::from_utf8(attribute.key.into_inner()).map_err(detail)?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(detail)?;
            attributes.push((key.into(), legal(value.into_owned())?));
        }
        self.open.push(Element::at(at, name, attributes));
        Ok(())
    }

    /// The reader has seen that the end is that of the innermost element.
    fn end(&mut self) {
        let Some(ended) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.push_child(ended),
            None => self.root = Some(ended),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.push_text(text),
            None if text.trim().is_empty() => {}
            None => return Err("text outside of the element".into()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, String> {
        if let Some(element) = self.open.last() {
            return Err(format!("<{}> is not closed", element.name()));
        }
        self.root.ok_or_else(|| "there is no element".into())
    }
}

/// A reference to a character or to one of XML's five entities, resolved.
fn unescaped(reference: &str) -> Result<String, String> {
    legal(escape::unescape(reference).map_err(detail)?.into_owned())
}

/// A reference can name a character that could not stand in the document itself.
fn legal(text: String) -> Result<String, String> {
    match text.chars().find(|char| !is_xml_char(*char)) {
        Some(char) => Err(format!("a reference to the character {char:?}")),
        None => Ok(text),
    }
}
