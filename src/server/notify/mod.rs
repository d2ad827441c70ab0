//! Tells people: takes what is due from the outbox, and sends it by its channel.
