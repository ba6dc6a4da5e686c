//! REST as a user.
