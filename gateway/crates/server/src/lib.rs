//! Listeners and the request pipeline: the only crate that knows all others.
