//! The keys that are pressed after the turns.

use std::collections::VecDeque;

/// Frames from one key to the next: 300 ms.
const FRAMES_PER_KEY: u32 = 15;

/// Frames that `w` waits: half a second, as in `<Play digits>`.
const FRAMES_PER_WAIT: u32 = 25;

/// Keys still to be pressed.
#[derive(Debug)]
pub(super) struct Keypad {
    keys: VecDeque<char>,
    /// Before the next key.
    frames_to_wait: u32,
}

impl Keypad {
    /// What is neither a key nor `w` is left out.
    pub(super) fn new(keys: &str) -> Self {
        let is_key = |char: &char| matches!(char, '0'..='9' | '*' | '#' | 'A'..='D' | 'w');
        Self {
            keys: keys.chars().filter(is_key).collect(),
            frames_to_wait: FRAMES_PER_KEY,
        }
    }

    /// Moves on by 20 ms; the key that is pressed now.
    pub(super) fn advance(&mut self) -> Option<char> {
        if self.frames_to_wait > 0 {
            self.frames_to_wait -= 1;
            return None;
        }
        let key = self.keys.pop_front()?;
        self.frames_to_wait = if key == 'w' {
            FRAMES_PER_WAIT
        } else {
            FRAMES_PER_KEY
        };
        Some(key).filter(|key| *key != 'w')
    }

    pub(super) fn is_done(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pressed_one_after_the_other_and_w_waits() {
        let mut keypad = Keypad::new("1w#?");
        let pressed: Vec<(u32, char)> = (0..100)
            .filter_map(|frame| Some((frame, keypad.advance()?)))
            .collect();
        assert_eq!(pressed, [(15, '1'), (57, '#')]);
        assert!(keypad.is_done());
    }
}
