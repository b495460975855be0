//! The pipe that a service writes its output into.
