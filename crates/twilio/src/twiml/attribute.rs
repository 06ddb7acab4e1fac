//! The values that attributes take.

/// A type that stands in an attribute.
pub(super) trait Attribute: Sized {
    /// What the text must be, in words.
    const EXPECTED: &'static str;

    fn read(text: &str) -> Option<Self>;

    fn write(&self) -> String;
}

impl Attribute for String {
    const EXPECTED: &'static str = "text";

    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }

    fn write(&self) -> String {
        self.clone()
    }
}

impl Attribute for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Attribute for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// Separated by white space.
impl Attribute for Vec<CallEvent> {
    const EXPECTED: &'static str = CallEvent::EXPECTED;

    fn read(text: &str) -> Option<Self> {
        text.split_ascii_whitespace().map(CallEvent::read).collect()
    }

    fn write(&self) -> String {
        self.iter()
            .map(|event| event.name())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

macro_rules! names {
    (
        $(#[$doc:meta])* $type:ident, $expected:literal,
        $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant),+
        }

        impl $type {
            /// The name in TwiML.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl Attribute for $type {
            const EXPECTED: &'static str = $expected;

            fn read(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn write(&self) -> String {
                self.name().into()
            }
        }
    };
}

names!(
    /// How Twilio requests a URL.
    Method, "`GET` or `POST`",
    /// With the parameters in the query.
    Get = "GET",
    /// With the parameters in a form.
    Post = "POST"
);

names!(
    /// Which tracks a stream carries.
    StreamTrack, "`inbound_track`, `outbound_track` or `both_tracks`",
    /// What the person on this leg says.
    Inbound = "inbound_track",
    /// What that person hears.
    Outbound = "outbound_track",
    /// Both.
    Both = "both_tracks"
);

names!(
    /// What a rejected caller is told.
    RejectReason, "`rejected` or `busy`",
    /// That the number is not in service.
    Rejected = "rejected",
    /// That it is busy.
    Busy = "busy"
);

names!(
    /// Changes of a call that a status callback tells of.
    CallEvent, "some of `initiated`, `ringing`, `answered`, `completed`",
    /// It is being placed.
    Initiated = "initiated",
    /// It rings.
    Ringing = "ringing",
    /// It was answered.
    Answered = "answered",
    /// It is over, whatever the reason.
    Completed = "completed"
);
