//! Orders from outside: what Twilio's REST API makes of a call that is under way.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use sidetone_twilio::form::CallStatus;
use sidetone_twilio::twiml::Response;

use super::End;
use super::call::Call;
use super::conversation::Callee;
use super::exchange::{Instructions, Order};
use super::verbs::inline_url;
use super::web::Document;

/// From the end of what was followed to the next verb. Between two streams of a live call that was
/// led from one to the other, 0.7 s passed.
const SEAM: Duration = Duration::from_millis(600);

/// What keeps a document from being followed to its end.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// The call is over.
    End(End),
    /// Another document is to be followed.
    Redirect(Instructions),
}

impl From<End> for Interrupt {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Call {
    /// Does what is ordered, or keeps it for whoever follows the document.
    pub(super) fn take_order(&mut self, order: Order) {
        match order {
            Order::HangUp => {
                self.note("hung up over the REST API");
                self.ordered = Some(End::HungUp.into());
            }
            Order::Redirect(instructions) => {
                self.note("led to another document over the REST API");
                // A call that was hung up is not led anywhere any more.
                if !matches!(self.ordered, Some(Interrupt::End(_))) {
                    self.ordered = Some(Interrupt::Redirect(instructions));
                }
            }
            Order::StartStream { stream_sid, stream } => {
                self.note("a stream is started over the REST API");
                self.start(&inline_url(), stream_sid, &stream);
            }
            Order::StopStream(stream_sid) => {
                self.note("a stream is stopped over the REST API");
                self.abandon_stream(&stream_sid);
            }
        }
    }

    /// Gives way to what was ordered.
    pub(super) fn obey(&mut self) -> Result<(), Interrupt> {
        self.ordered.take().map_or(Ok(()), Err)
    }

    /// Waits for `work`, while the call goes on.
    ///
    /// # Errors
    /// What was ordered, when it comes first.
    pub(super) async fn unless_ordered<F: Future>(
        &mut self,
        work: F,
    ) -> Result<F::Output, Interrupt> {
        let mut work = pin!(work);
        loop {
            self.obey()?;
            tokio::select! {
                biased;
                output = &mut work => return Ok(output),
                () = self.step() => {}
            }
        }
    }

    /// Leaves what was followed for another document.
    pub(super) async fn redirected(
        &mut self,
        instructions: Instructions,
    ) -> Result<Document, Interrupt> {
        self.is_led = true;
        self.line.hush();
        self.line.stir();
        self.gathering = None;
        self.stream_ahead = true;
        self.callee = Callee::Expected;
        self.pause(SEAM).await?;
        self.instructed(instructions).await
    }

    /// The document that the instructions are.
    pub(super) async fn instructed(
        &mut self,
        instructions: Instructions,
    ) -> Result<Document, Interrupt> {
        match instructions {
            Instructions::Twiml(text) => match Response::parse(&text) {
                Ok(response) => Ok(Document {
                    url: inline_url(),
                    response,
                }),
                Err(error) => Err(self.application_error(&error.into()).into()),
            },
            Instructions::Fetch { url, method } => {
                let form = self.voice_request(CallStatus::InProgress).to_form();
                self.fetch_next(url, method, &form).await
            }
        }
    }
}
