//! From a prepared command to a process that waits, fully set up, for the word to go.
