//! Spans and figures as a subscriber and a recorder see them.
