//! The mark that is a descriptor: a named memfd that survives a cleared environment.
