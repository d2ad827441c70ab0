//! What can happen: the kinds of lines of the event log. Every change is one event, written with it.

use crate::domain::ids::{DeviceId, SiteId, TicketId};
use crate::domain::named;

named! {
    /// What happened.
    pub enum Kind {
        /// `serve` began.
        ServerStarted = "server.started",
        /// `serve` stopped in order.
        ServerStopped = "server.stopped",
        /// Nobody measured for a while: lineman itself was away.
        MonitorAway = "monitor.away",
        /// The server itself is cut off: it freezes.
        MonitorBlind = "monitor.blind",
        /// The server can see again.
        MonitorSighted = "monitor.sighted",
        /// A scheduled job ran.
        JobRan = "job.ran",
        /// A scheduled job failed.
        JobFailed = "job.failed",
        /// A setting was changed.
        SettingChanged = "setting.changed",
        /// A user was added.
        UserAdded = "user.added",
        /// A user has another role.
        UserRole = "user.role",
        /// A user may do nothing any more.
        UserDisabled = "user.disabled",
        /// A user may do again what it is here for.
        UserEnabled = "user.enabled",
        /// A user chose another password.
        UserPassword = "user.password",
        /// A user signs in with a second factor, or not any more.
        UserFactor = "user.second-factor",
        /// A link was made with which a user signs in once.
        UserLink = "user.link",
        /// A user signed in.
        SignedIn = "sign-in.done",
        /// Somebody was not let in.
        SignInRefused = "sign-in.refused",
        /// A session was ended.
        SessionEnded = "session.ended",
        /// A user was refused what it may not do.
        RightRefused = "right.refused",
        /// A token for programs was made.
        ApiTokenAdded = "api-token.added",
        /// A token for programs was taken back.
        ApiTokenRevoked = "api-token.revoked",
        /// A site was added.
        SiteAdded = "site.added",
        /// A site was changed.
        SiteEdited = "site.edited",
        /// A site was removed.
        SiteRemoved = "site.removed",
        /// A device was added.
        DeviceAdded = "device.added",
        /// A device was changed by a person.
        DeviceEdited = "device.edited",
        /// A device was removed.
        DeviceRemoved = "device.removed",
        /// A device was paused.
        DevicePaused = "device.paused",
        /// A device is watched again.
        DeviceResumed = "device.resumed",
        /// A device's state changed.
        DeviceState = "device.state",
        /// A device's state changes too often.
        DeviceFlapping = "device.flapping",
        /// A device that flapped is quiet again.
        DeviceSteady = "device.steady",
        /// A device's address changed.
        DeviceAddress = "device.address",
        /// A device with a fixed address reports another.
        DeviceAddressDiffers = "device.address-differs",
        /// A device's clock is off.
        DeviceClock = "device.clock",
        /// Something of the network changed at a device.
        DeviceChange = "device.change",
        /// A join token was made.
        TokenMade = "token.made",
        /// An agent joined.
        AgentJoined = "agent.joined",
        /// An agent was started.
        AgentStarted = "agent.started",
        /// An agent's check-ins stopped.
        AgentSilent = "agent.silent",
        /// An agent's check-ins are back.
        AgentBack = "agent.back",
        /// An agent says it was cut off from the server.
        AgentCutOff = "agent.cut-off",
        /// An agent threw records away because its backlog was full.
        AgentDropped = "agent.dropped",
        /// A check was added.
        CheckAdded = "check.added",
        /// A check was removed.
        CheckRemoved = "check.removed",
        /// A check's status changed for good (hard).
        CheckStatus = "check.status",
        /// Something was told through a ping address.
        PingLogged = "ping.logged",
        /// A device went down.
        OutageBegan = "outage.began",
        /// It is reachable again.
        OutageEnded = "outage.ended",
        /// It turned out that the server could not see: it is not known whether there was one.
        OutageRetracted = "outage.retracted",
        /// It is known better where the fault of an outage was.
        OutageVerdict = "outage.verdict",
        /// A name server has a device's address.
        DnsUpdated = "dns.updated",
        /// A name server does not take a device's address; it is tried again.
        DnsFailed = "dns.failed",
        /// Somebody else changed a device's record at the name server: it is left alone.
        DnsConflict = "dns.conflict",
        /// What the server saw at a device's address is not that device.
        DeviceImpostor = "device.impostor",
        /// A ticket was opened.
        TicketOpened = "ticket.opened",
        /// A ticket's priority changed.
        TicketPriority = "ticket.priority",
        /// A ticket's device came back by itself.
        TicketRecovered = "ticket.recovered",
        /// A ticket resolved itself.
        TicketResolved = "ticket.resolved",
        /// A ticket is open again.
        TicketReopened = "ticket.reopened",
        /// A ticket went into the ticket of a root, and follows it.
        TicketMerged = "ticket.merged",
        /// A merged ticket is a trouble of its own again.
        TicketUnmerged = "ticket.unmerged",
        /// A person set a ticket's priority.
        TicketPinned = "ticket.pinned",
        /// A ticket's priority follows its score again.
        TicketUnpinned = "ticket.unpinned",
        /// A person knows of a ticket.
        TicketAcknowledged = "ticket.acknowledged",
        /// An acknowledgement ended.
        TicketUnacknowledged = "ticket.unacknowledged",
        /// A ticket waits for somebody else: its service clock stands.
        TicketWaiting = "ticket.waiting",
        /// A waiting ticket is worked on again.
        TicketResumed = "ticket.resumed",
        /// The time for a first response is nearly over.
        TicketResponseNearing = "ticket.response-nearing",
        /// Nobody responded in time.
        TicketResponseBreached = "ticket.response-breached",
        /// The time for the restoring is nearly over.
        TicketRestoreNearing = "ticket.restore-nearing",
        /// It was not restored in time.
        TicketRestoreBreached = "ticket.restore-breached",
        /// A person closed a ticket.
        TicketClosed = "ticket.closed",
        /// A person took a ticket, or gave it to somebody.
        TicketAssigned = "ticket.assigned",
        /// A person wrote on a ticket.
        TicketCommented = "ticket.commented",
        /// A maintenance window was added.
        MaintenanceAdded = "maintenance.added",
        /// Maintenance lasts longer than planned.
        MaintenanceExtended = "maintenance.extended",
        /// A maintenance window was removed.
        MaintenanceRemoved = "maintenance.removed",
        /// Maintenance began.
        MaintenanceBegan = "maintenance.began",
        /// Maintenance ended.
        MaintenanceEnded = "maintenance.ended",
        /// Maintenance ended as planned, and a device of it is still out: that counts.
        MaintenanceOverrun = "maintenance.overrun",
        /// A channel for notifications was added.
        NotifyAdded = "notify.added",
        /// A channel for notifications was changed.
        NotifyEdited = "notify.edited",
        /// A channel for notifications was removed.
        NotifyRemoved = "notify.removed",
        /// A notification was delivered.
        NotifySent = "notify.sent",
        /// A notification could not be delivered, and is not tried again.
        NotifyGaveUp = "notify.gave-up",
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The device, where it is about one.
    pub device: Option<DeviceId>,
    /// The site, where it is about one.
    pub site: Option<SiteId>,
    /// The ticket, where it is about one.
    pub ticket: Option<TicketId>,
}

impl From<DeviceId> for About {
    fn from(device: DeviceId) -> About {
        About { device: Some(device), ..About::default() }
    }
}

impl From<SiteId> for About {
    fn from(site: SiteId) -> About {
        About { site: Some(site), ..About::default() }
    }
}
