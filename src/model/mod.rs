//! What the API says, as types.
