# The fault climbs: each time the topmost has the ticket, and what was below goes into it.
device core
device tower on core
device ap on tower
device client on ap
0:31 break ap
1:30 state client unreachable
1:30 ticket ap open affects client
1:40 break tower
2:30 ticket tower open affects ap,client
2:30 ticket ap merged into tower
2:40 break core
3:40 ticket core open P2 affects ap,client,tower
3:40 ticket tower merged into core
3:40 ticket ap merged into core
3:40 unfinished 1
4:00 mend core
4:40 state tower down
5:00 ticket tower open affects ap,client
5:00 ticket ap merged
5:10 mend tower
5:50 state ap down
6:10 ticket ap open affects client
6:20 mend ap
7:00 states * up
13:00 unfinished 0
13:00 tickets 3
