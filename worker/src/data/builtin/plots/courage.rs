//! Being afraid and doing it all the same.

use super::{Plot, always, often, seldom};

pub(super) const FEAR: Plot = Plot {
    about: &[(
        "fear",
        &[
            "the dark",
            "the water",
            "big dogs",
            "thunder",
            "high places",
            "spiders",
            "the deep snow",
            "loud noises",
            "the old bridge",
            "the dentist",
            "the cellar",
        ],
    )],
    beats: &[
        always(&[
            "{he} was afraid of {fear}.",
            "{hero} did not like {fear}.",
            "there was one thing that made {him} {sad}, and that was {fear}.",
        ]),
        often(&[
            "{day}, {friend} wanted to play outside, but {hero} was too scared.",
            "{day}, {his} {grown} said, \"Come, I will show you something.\"",
            "{day}, {weather}, and {hero} had to be brave.",
        ]),
        always(&[
            "\"Do not be afraid. I am with you,\" said {his} {grown}.",
            "{friend} took {his} hand and said, \"You can do it.\"",
            "{his} {grown} held {his} hand {softly}.",
            "\"Everyone is afraid of something,\" said {friend}. \"Even I am.\"",
        ]),
        seldom(&[
            "{his} heart was beating fast, and {his} knees were weak.",
            "{he} closed {his} eyes and counted to ten.",
            "{he} took one step, and then one more.",
        ]),
        always(&[
            "{hero} tried, and it was not so bad.",
            "{he} was brave, and soon {he} laughed.",
            "so {hero} took a deep breath and did it.",
            "{he} opened {his} eyes and saw that there was nothing to fear.",
        ]),
    ],
    morals: &[
        "after that {he} was not afraid of {fear} anymore.",
        "{hero} learned to be brave.",
        "{he} learned that it is fine to be scared.",
        "now {he} helps others who are afraid of {fear}.",
    ],
};

pub(super) const NIGHT: Plot = Plot {
    about: &[("light", &["star", "moon", "candle", "firefly", "lantern"])],
    beats: &[
        always(&[
            "one night {he} could not sleep.",
            "one night {hero} heard a strange noise and sat up in bed.",
            "one night {he} had a bad dream and woke up.",
        ]),
        often(&[
            "it was dark, and {he} was {sad}.",
            "something moved {spot}!",
            "\"Who is there?\" {he} asked {softly}.",
        ]),
        seldom(&[
            "{he} pulled the blanket over {his} head and waited.",
            "{he} thought of {size} {animal}s with {color} eyes.",
        ]),
        always(&[
            "but it was only a {animal} at the window.",
            "{his} {grown} came and sang a song for {him}.",
            "then {he} saw a {light}, and it was bright and beautiful.",
            "{his} {grown} looked {spot} and found only a {toy}.",
        ]),
        often(&[
            "\"Good night, {hero},\" said {his} {grown}.",
            "{he} counted the stars, one, two, three, and closed {his} eyes.",
            "{he} held {his} {toy} and felt better.",
        ]),
        always(&[
            "soon {he} was asleep.",
            "{he} slept until the morning.",
            "then {he} slept well and had a {nice} dream.",
        ]),
    ],
    morals: &[
        "{hero} knew that the night was not so bad.",
        "since then {he} says good night to the {light} every evening.",
    ],
};

pub(super) const RACE: Plot = Plot {
    about: &[(
        "contest",
        &["a race", "a jumping game", "a swimming race", "a singing contest", "a kite contest", "a dance"],
    )],
    beats: &[
        always(&[
            "{day}, there was {contest} near the {place}.",
            "{day}, all the animals and children met for {contest}.",
        ]),
        often(&[
            "\"I am the best, you can't win,\" said {friend} and laughed at {hero}.",
            "{hero} wanted to win, but {he} was very small.",
            "{hero} had practiced every day, and {he} was ready.",
        ]),
        always(&[
            "they started, and {friend} was first.",
            "in the middle {friend} fell down and hurt {fhis} knee.",
            "{hero} was slow, but {he} did not stop.",
        ]),
        always(&[
            "{hero} stopped to help {friend}, and they finished together.",
            "at the end {hero} won, and everyone clapped.",
            "{he} did not win, but {he} did {his} best.",
        ]),
        seldom(&[
            "the prize was a {color} {toy}, and they shared it.",
            "\"You are a good friend,\" said {friend}.",
        ]),
    ],
    morals: &[
        "{hero} learned that winning is not everything.",
        "{he} learned never to give up.",
        "{friend} never laughed at a small {kind} again.",
    ],
};
