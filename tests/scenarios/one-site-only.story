# The same with the devices of one site alone: that is the site's fault, and each of its five has a ticket.
site s-{1..8}
device a-{1..8} at s-{}
device b-{1..8} at s-{}
device c-{1..8} at s-{}
device d-{1..8} at s-{}
device e-{1..8} at s-{} agent
0:33 break a-1 b-1 c-1 d-1 e-1
2:40 state a-1 down
2:40 state e-1 down
2:40 state a-2 up
2:40 event monitor.blind 0
2:40 tickets 5
2:45 mend a-1 b-1 c-1 d-1 e-1
9:00 unfinished 0
