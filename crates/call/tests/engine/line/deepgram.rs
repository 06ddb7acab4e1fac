//! What Deepgram does.

use sidetone_call::engine::LinkKey;
use sidetone_deepgram::connection::Input;

use super::Line;

impl Line {
    /// Deepgram says what it has heard on every open connection.
    pub(crate) fn results(&mut self, is_final: bool) {
        for (link, generation) in self.open_connections() {
            let connection = self.connections.get_mut(&(link, generation)).unwrap();
            for text in connection.results(is_final) {
                self.says(link, generation, &text);
            }
        }
    }

    /// Deepgram says this on its newest connection.
    pub(crate) fn says_now(&mut self, text: &str) {
        let (&(link, generation), _) = self.connections.last_key_value().unwrap();
        self.says(link, generation, text);
    }

    /// Every connection to Deepgram breaks.
    pub(crate) fn cut(&mut self) {
        for (link, _) in self.open_connections() {
            self.cut_link(link);
        }
    }

    /// The connection of one link breaks.
    pub(crate) fn cut_link(&mut self, cut: LinkKey) {
        let open = self.open_connections();
        let (link, generation) = open.into_iter().find(|(link, _)| *link == cut).unwrap();
        let connection = self.connections.get_mut(&(link, generation)).unwrap();
        connection.is_open = false;
        let input = Input::Closed {
            generation,
            code: None,
            reason: "connection reset",
        };
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }

    fn open_connections(&self) -> Vec<(LinkKey, u32)> {
        let open = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_open);
        open.map(|(key, _)| *key).collect()
    }

    fn says(&mut self, link: LinkKey, generation: u32, text: &str) {
        let input = Input::Text { generation, text };
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }
}
