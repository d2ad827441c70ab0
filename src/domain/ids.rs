//! Numbers that must not be swapped: each thing has its own type of id.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

id! {
    /// A site.
    SiteId,
    /// A device.
    DeviceId,
    /// A check of a device.
    CheckId,
    /// An outage of a device.
    OutageId,
    /// A ticket.
    TicketId,
    /// An event of the log.
    EventId,
    /// An entry of those who are told.
    EntryId,
    /// A delivery to one of them.
    DeliveryId,
    /// A user.
    UserId,
    /// A session of a user.
    SessionId,
    /// A token of a user's program.
    TokenId,
}
