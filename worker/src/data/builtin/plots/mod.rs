//! What happens in a story: a problem and how it is solved, beat by beat.

mod courage;
mod friends;
mod making;
mod mishaps;
mod nature;

/// A part of a story, told in one of several ways.
pub(super) struct Beat {
    /// 0: in every story; 1: in medium and long ones; 2: in long ones only.
    pub(super) level: u8,
    /// Templates; the frequent ones come first.
    pub(super) lines: &'static [&'static str],
}

/// A problem, its solution, and what is learned from it.
pub(super) struct Plot {
    /// What keeps its name through the story, and the words to choose it from.
    pub(super) about: &'static [(&'static str, &'static [&'static str])],
    /// Between the opening and the ending.
    pub(super) beats: &'static [Beat],
    /// What it teaches.
    pub(super) morals: &'static [&'static str],
}

const fn always(lines: &'static [&'static str]) -> Beat {
    Beat { level: 0, lines }
}

const fn often(lines: &'static [&'static str]) -> Beat {
    Beat { level: 1, lines }
}

const fn seldom(lines: &'static [&'static str]) -> Beat {
    Beat { level: 2, lines }
}

/// Every plot; the frequent ones come first.
pub(super) const ALL: &[Plot] = &[
    mishaps::LOST,
    friends::SHARING,
    courage::FEAR,
    nature::RESCUE,
    making::LEARNING,
    mishaps::BROKEN,
    friends::NEWCOMER,
    making::BUILDING,
    nature::SEED,
    mishaps::ASTRAY,
    making::PRESENT,
    nature::RAIN,
    friends::QUARREL,
    courage::NIGHT,
    mishaps::GREED,
    courage::RACE,
];

/// How every story begins.
pub(super) const OPENING: &[Beat] = &[
    always(&[
        "once upon a time there was a (little|small|young) {kind} named {hero}.",
        "{hero} was a (little|small|young|kind|clever|curious|shy) {kind}.",
        "there was once a {kind} (named|called) {hero}.",
        "{hero} was a {kind} who lived near the {place}.",
        "once there was a {kind} named {hero} who loved to (play|sing|read|explore|dance|climb|draw).",
        "in a (little|small|quiet|old|far) (house|village|town) lived a {kind} (named|called) {hero}.",
        "long ago a {kind} (named|called) {hero} lived by the {place}.",
    ]),
    often(&[
        "{he} lived with {his} {grown} in a {size} house.",
        "{he} loved {his} {grown} very much.",
        "{he} liked to play near the {place} because it was (quiet|big|full of flowers|close to home).",
        "every day {he} went to the {place} with {his} {grown}.",
        "{he} had a {nice} {color} {wear} and wore it every day.",
        "{his} best friend was {friend}, and they did everything together.",
    ]),
];

/// How every story ends, before its moral.
pub(super) const ENDING: &[Beat] = &[often(&[
    "{hero} was {glad}.",
    "they were all {glad}, and {hero} (smiled|laughed).",
    "then they {play} until it was (dark|time for dinner|time to go home).",
    "{hero} gave {his} {grown} a (big|warm|long) hug.",
    "{his} {grown} was {glad} too.",
    "that night {hero} fell asleep with a smile.",
    "{hero} and {friend} {play} and {play}.",
])];
