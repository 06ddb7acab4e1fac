//! Deepgram's side of a call's task.

use std::sync::Arc;
use std::task::{Context, Poll};

use sidetone_call::engine::LinkKey;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::info;

use super::{CallTask, Now};
use crate::calls::CallHandle;
use crate::calls::dialer::Target;
use crate::calls::link::{Link, LinkConnection, LinkEvent};
use crate::calls::socket;

impl CallTask {
    /// Takes at most one event of each connection; true when there was one.
    pub(super) fn poll_links(&mut self, cx: &mut Context<'_>, handle: &Arc<CallHandle>) -> bool {
        let mut busy = false;
        let mut index = 0;
        while let Some(connection) = self.links.get_mut(index) {
            if let Poll::Ready(event) = connection.poll_event(cx, Instant::now()) {
                busy = true;
                self.handle_link_event(index, &event);
                self.drain(handle);
                // What came may have silenced the agent, and its caller waits for that.
                self.flush_streams(cx);
                self.link_event_read = None;
            }
            index += 1;
        }
        busy
    }

    fn handle_link_event(&mut self, index: usize, event: &LinkEvent) {
        let now = Now::read();
        self.link_event_read = Some(now.instant);
        let LinkConnection {
            link, generation, ..
        } = self.links[index];
        if matches!(event, LinkEvent::Refused { .. } | LinkEvent::Closed { .. }) {
            self.links.swap_remove(index);
        }
        let input = event.input(generation);
        match link {
            Link::Listen(key) => self.engine.handle_link(now.std(), now.wall, key, input),
            Link::Agent => self.engine.handle_agent(now.std(), now.wall, input),
        }
    }

    pub(super) fn connect(&mut self, link: LinkKey, generation: u32, channels: usize) {
        let profile = self.services.config.profiles.get(&self.profile);
        let listen = profile.and_then(|profile| profile.listen.as_ref());
        let listen = listen.expect("the engine has links only when its profile listens");
        let query = listen.params.query(channels, self.call_sid.as_str());
        self.dial(Link::Listen(link), generation, Target::Listen(query));
    }

    pub(super) fn connect_agent(&mut self, generation: u32) {
        info!(call_sid = %self.call_sid, "Connecting to Deepgram's voice agent.");
        self.dial(Link::Agent, generation, Target::Agent);
    }

    fn dial(&mut self, link: Link, generation: u32, target: Target) {
        let dialer = Arc::clone(&self.services.dialer);
        self.links
            .push(LinkConnection::dial(link, generation, dialer, target));
    }

    /// Does something with a connection, if it is still there.
    pub(super) fn with_link(
        &mut self,
        link: Link,
        generation: u32,
        act: impl FnOnce(&mut LinkConnection),
    ) {
        let mut links = self.links.iter_mut();
        if let Some(connection) = links.find(|c| (c.link, c.generation) == (link, generation)) {
            act(connection);
        }
    }

    /// Closes a connection, or gives up making it.
    pub(super) fn close_link(&mut self, link: Link, generation: u32) {
        let is_it = |c: &LinkConnection| (c.link, c.generation) == (link, generation);
        let index = self.links.iter().position(is_it);
        let connection = index.map(|index| self.links.swap_remove(index));
        if let Some(socket) = connection.and_then(LinkConnection::into_socket) {
            let farewell = socket::close(socket, CloseCode::Normal, String::new());
            self.services.tasks.spawn(farewell);
        }
    }
}
