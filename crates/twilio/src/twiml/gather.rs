//! `<Gather>` as an element, both ways.

use super::element::Element;
use super::{Gather, TwimlError, Verb};

impl Gather {
    pub(super) fn to_element(&self) -> Element {
        let gather = Element::new("Gather")
            .with("input", self.input.as_ref())
            .with("action", self.action.as_ref())
            .with("method", self.method.as_ref())
            .with("timeout", self.timeout_secs.as_ref())
            .with("numDigits", self.digit_count.as_ref())
            .with("finishOnKey", self.finish_on_key.as_ref())
            .with("actionOnEmptyResult", self.action_on_empty_result.as_ref());
        let prompts = self.prompts.iter().map(Verb::to_element);
        prompts.fold(gather, Element::with_child)
    }

    pub(super) fn from_element(element: &Element) -> Result<Self, TwimlError> {
        let prompt = |child: &Element| match child.name() {
            "Say" | "Play" | "Pause" => Verb::from_element(child),
            _ => Err(child.unknown("<Gather>")),
        };
        Ok(Self {
            prompts: element.children().map(prompt).collect::<Result<_, _>>()?,
            input: element.attribute("input")?,
            action: element.attribute("action")?,
            method: element.attribute("method")?,
            timeout_secs: element.attribute("timeout")?,
            digit_count: element.attribute("numDigits")?,
            finish_on_key: element.attribute("finishOnKey")?,
            action_on_empty_result: element.attribute("actionOnEmptyResult")?,
        })
    }
}
