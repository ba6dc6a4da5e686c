//! A local Crustocean.
