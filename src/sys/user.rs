//! Users by name or number, as the system's own databases know them.
