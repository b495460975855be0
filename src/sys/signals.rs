//! Signals of a program with one thread: told through a pipe, so that one `poll` sees everything.
