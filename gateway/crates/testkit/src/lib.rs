//! A scripted upstream that does every fault on cue, for our tests and for users' own.
