# Forty devices of eight sites drop together: the server itself is cut off. No ticket, one event; afterwards all are tried.
site s-{1..8}
device a-{1..8} at s-{}
device b-{1..8} at s-{}
device c-{1..8} at s-{}
device d-{1..8} at s-{}
device e-{1..8} at s-{} agent
person ana
0:30 states * up
0:33 break line
1:40 states * unknown
1:40 event monitor.blind 1
1:40 unfinished 0
2:00 break a-3
3:00 mend line
3:03 event monitor.sighted 1
4:30 states b-* up
4:30 states e-* up
4:30 state a-1 up
4:30 state a-3 down
4:50 ticket a-3 open P3
4:50 outage a-3 3:03
4:50 tickets 1
4:50 event monitor.blind 1
4:50 told ana broke
4:50 told ana mended
4:50 told ana broke P3 a-3 is down
4:50 told-nothing
5:00 mend a-3
12:00 unfinished 0
