//! What is said in the demonstration.

use sidetone_simulator::phone::{Party, Turn};

/// Whom the profile dials.
pub(super) const CALLEE: &str = "+15551230002";

/// One conversation: who, and what.
type Conversation = &'static [(Party, &'static str)];

const CONVERSATIONS: &[Conversation] = &[
    &[
        (Party::Caller, "Hello, is anybody there?"),
        (
            Party::Callee,
            "Good morning, this is the service desk. How may I help you today?",
        ),
        (
            Party::Caller,
            "I am calling about my order. It was due on Monday, and nothing has come.",
        ),
        (
            Party::Callee,
            "I am sorry to hear that. Can you tell me the number of the order, please?",
        ),
        (
            Party::Caller,
            "Yes, it is four seven one nine, two zero three.",
        ),
        (
            Party::Callee,
            "Thank you. I can see it here. It left our house on Friday and will be with you tomorrow.",
        ),
        (
            Party::Caller,
            "That is good news. Thank you very much for your help.",
        ),
        (Party::Callee, "You are welcome. Have a good day, goodbye."),
    ],
    &[
        (
            Party::Caller,
            "Good afternoon, I would like to change my address.",
        ),
        (Party::Callee, "Of course. What is your name, please?"),
        (
            Party::Caller,
            "My name is John, and I have been with you for three years.",
        ),
        (Party::Callee, "Thank you. And where do you live now?"),
        (
            Party::Caller,
            "At number twelve, Green Street, the second floor.",
        ),
        (
            Party::Callee,
            "I have written that down. You will get a letter by the end of the week.",
        ),
        (Party::Caller, "Great, thanks. Goodbye."),
    ],
    &[
        (
            Party::Caller,
            "Hi, my phone does not work since yesterday evening.",
        ),
        (
            Party::Callee,
            "Let me have a look. Please turn it off, wait a minute, and turn it on again.",
        ),
        (Party::Caller, "One moment. Yes, now it is working."),
        (
            Party::Callee,
            "Very good. Is there anything else I can do for you?",
        ),
        (
            Party::Caller,
            "No, that was all. You have been a great help.",
        ),
        (Party::Callee, "Thank you for calling. Goodbye."),
    ],
];

/// Turns of a conversation that is cut short.
const SHORT_TURNS: usize = 3;

/// The n-th caller's conversation, or its beginning.
pub(super) fn conversation(n: usize, is_short: bool) -> Vec<Turn> {
    let conversation = CONVERSATIONS[n % CONVERSATIONS.len()];
    let turns = if is_short {
        &conversation[..SHORT_TURNS]
    } else {
        conversation
    };
    turns
        .iter()
        .map(|(party, text)| Turn::say(*party, *text))
        .collect()
}
