//! Verbs and nouns as elements, both ways.

use super::element::Element;
use super::{
    Connect, Dial, Gather, Number, Parameter, Play, Redirect, Say, Stream, TwimlError, Verb,
};

impl Verb {
    pub(super) fn to_element(&self) -> Element {
        match self {
            Self::Start(stream) => Element::new("Start").with_child(stream.to_element()),
            Self::Stop { stream_name } => {
                let stream = Element::new("Stream").with("name", Some(stream_name));
                Element::new("Stop").with_child(stream)
            }
            Self::Connect(connect) => connect.to_element(),
            Self::Say(say) => say.to_element(),
            Self::Play(play) => play.to_element(),
            Self::Pause { length_secs } => {
                Element::new("Pause").with("length", length_secs.as_ref())
            }
            Self::Gather(gather) => gather.to_element(),
            Self::Dial(dial) => dial.to_element(),
            Self::Redirect(redirect) => redirect.to_element(),
            Self::Reject { reason } => Element::new("Reject").with("reason", reason.as_ref()),
            Self::Hangup => Element::new("Hangup"),
        }
    }

    pub(super) fn from_element(element: &Element) -> Result<Self, TwimlError> {
        Ok(match element.name() {
            "Start" => Self::Start(Stream::from_element(only_stream(element)?)?),
            "Stop" => Self::Stop {
                stream_name: only_stream(element)?.required("name")?,
            },
            "Connect" => Self::Connect(Connect::from_element(element)?),
            "Say" => Self::Say(Say::from_element(element)?),
            "Play" => Self::Play(Play::from_element(element)?),
            "Pause" => Self::Pause {
                length_secs: element.attribute("length")?,
            },
            "Gather" => Self::Gather(Gather::from_element(element)?),
            "Dial" => Self::Dial(Dial::from_element(element)?),
            "Redirect" => Self::Redirect(Redirect::from_element(element)?),
            "Reject" => Self::Reject {
                reason: element.attribute("reason")?,
            },
            "Hangup" => Self::Hangup,
            _ => return Err(element.unknown("<Response>")),
        })
    }
}

/// The one noun that `<Start>`, `<Stop>` and `<Connect>` have here.
fn only_stream(element: &Element) -> Result<&Element, TwimlError> {
    let mut children = element.children();
    match (children.next(), children.next()) {
        (Some(stream), None) if stream.name() == "Stream" => Ok(stream),
        (Some(other), None) => Err(other.unknown(format!("<{}>", element.name()))),
        _ => Err(element.bad_content("one <Stream>")),
    }
}

impl Stream {
    fn to_element(&self) -> Element {
        let stream = Element::new("Stream")
            .with("url", Some(&self.url))
            .with("name", self.name.as_ref())
            .with("track", self.track.as_ref())
            .with("statusCallback", self.status_callback.as_ref())
            .with("statusCallbackMethod", self.status_callback_method.as_ref());
        self.parameters
            .iter()
            .map(Parameter::to_element)
            .fold(stream, Element::with_child)
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        Ok(Self {
            url: element.required("url")?,
            name: element.attribute("name")?,
            track: element.attribute("track")?,
            status_callback: element.attribute("statusCallback")?,
            status_callback_method: element.attribute("statusCallbackMethod")?,
            parameters: element
                .children()
                .map(Parameter::from_element)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Parameter {
    fn to_element(&self) -> Element {
        Element::new("Parameter")
            .with("name", Some(&self.name))
            .with("value", Some(&self.value))
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        if element.name() != "Parameter" {
            return Err(element.unknown("<Stream>"));
        }
        let parameter = Self {
            name: element.required("name")?,
            value: element.required("value")?,
        };
        let chars = parameter
            .name
            .chars()
            .chain(parameter.value.chars())
            .count();
        if chars > Self::MAX_CHARS {
            let found = format!("{chars} characters long together with the name");
            return Err(element.bad_attribute("value", found, "less than 500"));
        }
        Ok(parameter)
    }
}

impl Connect {
    fn to_element(&self) -> Element {
        Element::new("Connect")
            .with("action", self.action.as_ref())
            .with("method", self.method.as_ref())
            .with_child(self.stream.to_element())
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        Ok(Self {
            stream: Stream::from_element(only_stream(element)?)?,
            action: element.attribute("action")?,
            method: element.attribute("method")?,
        })
    }
}

impl Say {
    fn to_element(&self) -> Element {
        Element::new("Say")
            .with("voice", self.voice.as_ref())
            .with("language", self.language.as_ref())
            .with("loop", self.loop_count.as_ref())
            .with_text(&self.text)
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        Ok(Self {
            text: element.all_text(),
            voice: element.attribute("voice")?,
            language: element.attribute("language")?,
            loop_count: element.attribute("loop")?,
        })
    }
}

impl Play {
    fn to_element(&self) -> Element {
        let play = Element::new("Play")
            .with("digits", self.digits.as_ref())
            .with("loop", self.loop_count.as_ref());
        match &self.url {
            Some(url) => play.with_text(url),
            None => play,
        }
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        let url = element.own_text();
        Ok(Self {
            url: (!url.is_empty()).then_some(url),
            digits: element.attribute("digits")?,
            loop_count: element.attribute("loop")?,
        })
    }
}

impl Dial {
    fn to_element(&self) -> Element {
        let dial = Element::new("Dial")
            .with("callerId", self.caller_id.as_ref())
            .with("timeout", self.timeout_secs.as_ref())
            .with("answerOnBridge", self.answer_on_bridge.as_ref())
            .with("action", self.action.as_ref())
            .with("method", self.method.as_ref());
        self.numbers
            .iter()
            .map(Number::to_element)
            .fold(dial, Element::with_child)
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        let text = element.own_text();
        let bare = (!text.is_empty()).then(|| Ok(Number::new(text)));
        let nouns = element.children().map(Number::from_element);
        Ok(Self {
            numbers: bare.into_iter().chain(nouns).collect::<Result<_, _>>()?,
            caller_id: element.attribute("callerId")?,
            timeout_secs: element.attribute("timeout")?,
            answer_on_bridge: element.attribute("answerOnBridge")?,
            action: element.attribute("action")?,
            method: element.attribute("method")?,
        })
    }
}

impl Number {
    fn to_element(&self) -> Element {
        Element::new("Number")
            .with("sendDigits", self.send_digits.as_ref())
            .with("url", self.url.as_ref())
            .with("method", self.method.as_ref())
            .with("statusCallback", self.status_callback.as_ref())
            .with("statusCallbackMethod", self.status_callback_method.as_ref())
            .with("statusCallbackEvent", self.status_callback_events.as_ref())
            .with_text(&self.number)
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        if element.name() != "Number" {
            return Err(element.unknown("<Dial>"));
        }
        Ok(Self {
            number: element.own_text(),
            send_digits: element.attribute("sendDigits")?,
            url: element.attribute("url")?,
            method: element.attribute("method")?,
            status_callback: element.attribute("statusCallback")?,
            status_callback_method: element.attribute("statusCallbackMethod")?,
            status_callback_events: element.attribute("statusCallbackEvent")?,
        })
    }
}

impl Redirect {
    fn to_element(&self) -> Element {
        Element::new("Redirect")
            .with("method", self.method.as_ref())
            .with_text(&self.url)
    }

    fn from_element(element: &Element) -> Result<Self, TwimlError> {
        Ok(Self {
            url: element.own_text(),
            method: element.attribute("method")?,
        })
    }
}
