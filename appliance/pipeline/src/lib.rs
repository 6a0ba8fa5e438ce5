//! The configuration language, from text to a plan, without touching the world.
