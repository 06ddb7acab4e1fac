//! `<Gather>`: keys are waited for, and told to the action.

use std::time::Duration;

use sidetone_twilio::form::{CallStatus, VoiceRequest};
use sidetone_twilio::twiml::{Gather, Method, Verb};

use super::call::Call;
use super::line::samples;
use super::orders::Interrupt;
use super::web::Document;

/// How long a key is waited for unless the document says otherwise.
const DEFAULT_TIMEOUT_SECS: u32 = 5;

/// The key after the last unless the document says otherwise.
const DEFAULT_FINISH: &str = "#";

/// Keys that are waited for.
#[derive(Debug)]
pub(super) struct Gathering {
    keys: String,
    most: usize,
    /// The key after the last, if there is one.
    finish: Option<char>,
    finished_on: Option<char>,
    /// Samples from one key to the next.
    patience: u64,
    /// Line position up to which the next one is waited for.
    deadline: u64,
}

impl Gathering {
    fn new(gather: &Gather, position: u64) -> Self {
        let timeout_secs = gather.timeout_secs.unwrap_or(DEFAULT_TIMEOUT_SECS);
        let patience = samples(Duration::from_secs(timeout_secs.into()));
        let finish = gather.finish_on_key.as_deref().unwrap_or(DEFAULT_FINISH);
        let most = gather.digit_count.map(usize::try_from);
        Self {
            keys: String::new(),
            most: most.and_then(Result::ok).unwrap_or(usize::MAX),
            finish: finish.chars().next(),
            finished_on: None,
            patience,
            deadline: position.saturating_add(patience),
        }
    }

    /// A key is pressed when the line is at `position`.
    pub(super) fn press(&mut self, key: char, position: u64) {
        if self.is_over(position) {
            return;
        }
        if self.finish == Some(key) {
            self.finished_on = self.finish;
        } else {
            self.keys.push(key);
            self.deadline = position.saturating_add(self.patience);
        }
    }

    fn is_over(&self, position: u64) -> bool {
        self.finished_on.is_some() || self.keys.len() >= self.most || position >= self.deadline
    }
}

impl Call {
    /// Lets the prompts be heard, waits for keys, and gives the document of the action if there
    /// were any.
    pub(super) async fn gather(
        &mut self,
        document: &Document,
        gather: &Gather,
    ) -> Result<Option<Document>, Interrupt> {
        let input = gather.input.as_deref().unwrap_or("dtmf");
        if input.split(' ').any(|way| way == "speech") {
            self.note("<Gather>: speech is not made out here, only keys are");
        }
        // Whoever is called listens to the end before a key is pressed.
        for prompt in &gather.prompts {
            match prompt {
                Verb::Say(say) => self.say(say).await?,
                Verb::Play(play) => self.play(document, play).await?,
                Verb::Pause { length_secs } => self.pause_secs(*length_secs).await?,
                _ => unreachable!("a prompt is one of these"),
            }
        }
        self.gathering = Some(Gathering::new(gather, self.line.position()));
        let Gathering {
            keys, finished_on, ..
        } = self
            .until(|call| {
                let position = call.line.position();
                let is_over = |gathering: &mut Gathering| gathering.is_over(position);
                call.gathering.take_if(is_over)
            })
            .await?;
        self.note(format!("<Gather>: {} keys", keys.len()));
        if keys.is_empty() && !gather.action_on_empty_result.unwrap_or(false) {
            return Ok(None);
        }
        let mut form = VoiceRequest {
            digits: Some(keys),
            ..self.voice_request(CallStatus::InProgress)
        }
        .to_form();
        if let Some(key) = finished_on {
            form.push("FinishedOnKey", key);
        }
        let method = gather.method.unwrap_or(Method::Post);
        match &gather.action {
            Some(action) => self.go_on(document, action, Some(method), &form).await,
            None => self.fetch_next(document.url.clone(), method, &form).await,
        }
        .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presses keys, one each second; the keys that were gathered, and the second in which that
    /// was over.
    fn pressed(gather: &Gather, keys: &str) -> (String, usize) {
        let mut gathering = Gathering::new(gather, 0);
        let mut keys = keys.chars();
        let second = (1..60).find(|second| {
            let position = second * 8_000;
            if let Some(key) = keys.next().filter(|key| *key != ' ') {
                gathering.press(key, position);
            }
            gathering.is_over(position)
        });
        let second = second.expect("it ends by itself");
        (gathering.keys, usize::try_from(second).unwrap())
    }

    #[test]
    fn keys_end_with_the_finishing_one_with_the_last_or_with_a_pause() {
        let gather = Gather::default();
        assert_eq!(pressed(&gather, "12#3"), ("12".into(), 3));
        assert_eq!(pressed(&gather, "12"), ("12".into(), 7));
        assert_eq!(pressed(&gather, ""), (String::new(), 5));
        let three = Gather {
            digit_count: Some(3),
            ..gather.clone()
        };
        assert_eq!(pressed(&three, "1234"), ("123".into(), 3));
        let star = Gather {
            finish_on_key: Some("*".into()),
            timeout_secs: Some(2),
            ..gather.clone()
        };
        assert_eq!(pressed(&star, "#1*"), ("#1".into(), 3));
        assert_eq!(pressed(&star, "1  2"), ("1".into(), 3));
        let none = Gather {
            finish_on_key: Some(String::new()),
            timeout_secs: Some(2),
            ..gather
        };
        assert_eq!(pressed(&none, "1#"), ("1#".into(), 4));
    }
}
