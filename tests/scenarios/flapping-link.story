# A link that goes up and down gets one ticket, which stays as it is until the link is quiet.
set ticket.group_wait 40s
device link
0:30 swing link 20 6:00
3:40 flaps link
3:40 ticket link open P4
3:40 tickets 1
6:00 ticket link open P4
6:00 tickets 1
6:00 event ticket.recovered 0
9:30 steady link
9:30 state link up
9:30 ticket link recovered P5
9:30 event device.flapping 1
15:00 ticket link resolved
15:00 tickets 1
