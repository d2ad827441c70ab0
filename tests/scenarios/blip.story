# Too short to count: a blip within the grouping time is an outage without a ticket.
device ap
0:31 break ap
0:42 mend ap
2:00 state ap up
2:00 tickets 0
